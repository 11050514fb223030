"""Every error that Log Lake raises on purpose.

    LogLakeError
    |-- ConfigError        the settings are wrong: file, line, key, value, what is accepted
    |-- ObjectError        a source object cannot be read; it is accounted as unreadable, the day goes on
    |-- RecordError        a record cannot be a row; it becomes a reject, its object goes on
    |-- StoreError         the object store refused or failed (retryable or not)
    |   `-- ObjectExists   a write met an object that is already there; objects are never overwritten
    |-- CatalogError       the catalog refused or failed (retryable or not)
    |   `-- PublishConflict  another run published the partition first; plan again from its version
    |-- CoverageError      a version holds too little of its source and was not published
    `-- AuditError         a written version disagrees with the source or with its own manifest

Facts are attributes, so that a caller never parses a message. All are picklable: they cross process borders.
A message never holds secrets, prompts or keystrokes; values are quoted with `quote` and cut.
"""

from __future__ import annotations

from typing import Any

QUOTE_LIMIT = 80


def quote(value: object, limit: int = QUOTE_LIMIT) -> str:
    """`repr` of a value, cut to `limit` characters, safe to print on a terminal."""
    text = ascii(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


class LogLakeError(Exception):
    """Root of the tree. `facts` are the keyword arguments that it was raised with."""

    retryable = False

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.facts = facts

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.message, self.facts)


def _restore(kind: type[LogLakeError], message: str, facts: dict[str, Any]) -> LogLakeError:
    return kind(message, **facts)


class ConfigError(LogLakeError):
    """The settings file is wrong; the message names file, line, key, value and what is accepted."""


class ObjectError(LogLakeError):
    """A source object cannot be read. `reason` is one short phrase for the manifest."""

    def __init__(self, reason: str, **facts: Any) -> None:
        super().__init__(reason, **facts)
        self.reason = reason


class RecordError(LogLakeError):
    """A record cannot be a row: at `path` something was `expected` and something else was there (`got`)."""

    def __init__(self, path: str, expected: str, got: str) -> None:
        super().__init__(f"{path}: expected {expected}, got {got}", path=path, expected=expected, got=got)
        self.path, self.expected, self.got = path, expected, got

    def __reduce__(self) -> tuple[Any, ...]:
        return RecordError, (self.path, self.expected, self.got)


class StoreError(LogLakeError):
    """The object store refused or failed. `retryable` says whether trying again can help."""

    def __init__(self, message: str, retryable: bool = False, **facts: Any) -> None:
        super().__init__(message, retryable=retryable, **facts)
        self.retryable = retryable


class ObjectExists(StoreError):
    """An object of that name is already there. Nothing in the lake is ever overwritten."""


class CatalogError(LogLakeError):
    """The catalog refused or failed. `retryable` says whether trying again can help."""

    def __init__(self, message: str, retryable: bool = False, **facts: Any) -> None:
        super().__init__(message, retryable=retryable, **facts)
        self.retryable = retryable


class PublishConflict(CatalogError):
    """Another run published this partition since this run was planned."""

    def __init__(self, message: str, retryable: bool = True, **facts: Any) -> None:
        super().__init__(message, retryable=retryable, **facts)


class CoverageError(LogLakeError):
    """A written version holds less of its source than the threshold asks for. It was not published."""


class AuditError(LogLakeError):
    """A written version disagrees with its manifest, or a recount with other code disagrees with the accounting."""
