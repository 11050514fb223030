"""Object stores behind one narrow class: list a level, read, write what is not there yet, copy.

`open_store` takes a URI: a path or file:// (plain file calls), s3:// (obstore). Two implementations, because obstore's
local store stops listing at a name with a control character, and log buckets hold hostile names; one behaviour suite
tests both (adr/0003). Nothing here overwrites or deletes an object.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import secrets
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from loglake_dagster.errors import ObjectExists, StoreError, quote
from loglake_dagster.lake.settings import S3Settings
from loglake_dagster.lake.source import Listed

_EPOCH, _MILLISECOND = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc), dt.timedelta(milliseconds=1)
_BOTO3_KEPT = dt.timedelta(minutes=5)
# obstore has an error of its own for a refused get or put, but not for a refused listing.
_PLAIN = re.compile(r"[A-Za-z0-9_.~/-]*")
_STATUS = re.compile(r"status code: (\d{3})")


class Store(Protocol):
    """Objects under one root. Keys are relative to it, folders end with `/`, the root is the empty folder."""

    root: str

    def uri(self, key: str) -> str:
        """The object's absolute URI; a file's is percent-encoded."""

    def key(self, uri: str) -> str:
        """The key of an object below the root by its URI."""

    def list_level(self, folder: str) -> tuple[list[str], list[Listed]]:
        """Folders and objects directly in a folder, by name; both empty if there is no such folder."""

    def read(self, key: str) -> bytes:
        """All of an object; StoreError if it cannot be read."""

    def write(self, key: str, data: bytes) -> None:
        """A new object, whole or not at all; ObjectExists if one is there."""

    def write_file(self, key: str, path: Path) -> None:
        """A new object from a local file, which may be gone afterwards."""

    def copy(self, key: str, new_key: str) -> None:
        """A second name for an object: a hard link where there is one, else a copy on the server's side."""


def open_store(uri: str, s3: S3Settings) -> Store:
    """The store of a URI: s3://bucket/prefix, file:///path or a path."""
    if uri.startswith("s3://"):
        return S3Store(uri, s3)
    return LocalStore(local_path(uri))


def local_path(uri: str) -> Path:
    """The path of file:///path or of a plain path."""
    if not uri.startswith("file://"):
        return Path(uri)
    return Path(os.fsdecode(urllib.parse.unquote_to_bytes(urllib.parse.urlsplit(uri).path)))


class LocalStore:
    """A folder of this machine's file system."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.root = _file_uri(str(self.path))

    def uri(self, key: str) -> str:
        # Quoting what needs none is a fifth of what listing a day costs.
        return f"{self.root}/{key if _PLAIN.fullmatch(key) else urllib.parse.quote(os.fsencode(key))}"

    def key(self, uri: str) -> str:
        return os.fsdecode(urllib.parse.unquote_to_bytes(uri.removeprefix(f"{self.root}/")))

    def list_level(self, folder: str) -> tuple[list[str], list[Listed]]:
        folders: list[str] = []
        objects: list[Listed] = []
        with _said("list", self.uri(folder)):
            try:
                entries = sorted(os.scandir(self.path / folder), key=lambda entry: entry.name)
            except FileNotFoundError:
                return [], []
            for entry in entries:
                if entry.is_dir():
                    folders.append(f"{folder}{entry.name}/")
                elif (facts := _stat(entry)) is not None:
                    objects.append(
                        Listed(
                            folder + entry.name,
                            facts.st_size,
                            f"{facts.st_mtime_ns:x}-{facts.st_size:x}",
                            modified=_moment(facts.st_mtime_ns // 1_000_000),
                        )
                    )
        return folders, objects

    def read(self, key: str) -> bytes:
        # pathlib and _said take three times what opening, reading and closing a small file does.
        try:
            with open(f"{self.path}/{key}", "rb", buffering=0) as file:
                return file.read()
        except Exception as error:
            raise _store_error(error, "read", self.uri(key)) from error

    def write(self, key: str, data: bytes) -> None:
        target = self.path / key
        with _said("write", self.uri(key)):
            target.parent.mkdir(parents=True, exist_ok=True)
            scratch = target.with_name(f".{secrets.token_hex(8)}.tmp")
            try:
                scratch.write_bytes(data)
                _link(scratch, target)
            finally:
                scratch.unlink(missing_ok=True)

    def write_file(self, key: str, path: Path) -> None:
        target = self.path / key
        with _said("read", _file_uri(str(path))):
            path.stat()
        with _said("write", self.uri(key)):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                _link(path, target)
                return
            except OSError as error:
                if isinstance(error, FileExistsError):
                    raise
        self.write(key, _read_file(path))

    def copy(self, key: str, new_key: str) -> None:
        self.write_file(new_key, self.path / key)


class S3Store:
    """A prefix of a bucket, through obstore; credentials come from the environment, profile or role."""

    def __init__(self, uri: str, settings: S3Settings) -> None:
        self.root = uri.rstrip("/")
        self._bucket, _slash, prefix = self.root.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._settings = settings

    @cached_property
    def _store(self) -> Any:
        from obstore.store import S3Store as Obstore

        return Obstore(self._bucket, **self.options)

    @property
    def options(self) -> dict[str, Any]:
        """obstore's words for the settings."""
        # A multipart copy is the one that S3 refuses where an object is already there.
        options: dict[str, Any] = {"copy_if_not_exists": "multipart"}
        if self._settings.endpoint:
            options["endpoint"] = self._settings.endpoint
        if self._settings.region:
            options["region"] = self._settings.region
        if self._settings.allow_http:
            options["client_options"] = {"allow_http": True}
        if self._settings.through_boto3:
            from obstore.auth.boto3 import Boto3CredentialProvider

            # boto3 renews what has less than ten minutes to live: nothing may be kept for longer.
            options["credential_provider"] = Boto3CredentialProvider(ttl=_BOTO3_KEPT)
        return options

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_store"}

    def uri(self, key: str) -> str:
        return f"{self.root}/{key}"

    def key(self, uri: str) -> str:
        return uri.removeprefix(f"{self.root}/")

    def list_level(self, folder: str) -> tuple[list[str], list[Listed]]:
        prefix = self._prefix + folder
        with _said("list", self.uri(folder)):
            level = self._store.list_with_delimiter(prefix.rstrip("/") or None)
        folders = sorted(f"{path.rstrip('/')}/".removeprefix(self._prefix) for path in level["common_prefixes"])
        objects = [
            Listed(
                self._key(one["path"], prefix),
                one["size"],
                (one["e_tag"] or "").strip('"'),
                one["version"],
                _moment((one["last_modified"] - _EPOCH) // _MILLISECOND),
            )
            for one in level["objects"]
        ]
        return folders, sorted(objects, key=lambda one: one.key)

    def _key(self, path: str, prefix: str) -> str:
        """A listed object's key. The folder's own zero-byte marker comes without its slash, and gets it back."""
        return (f"{path}/" if f"{path}/" == prefix else path).removeprefix(self._prefix)

    def read(self, key: str) -> bytes:
        with _said("read", self.uri(key)):
            return bytes(self._store.get(self._prefix + key).bytes())

    def write(self, key: str, data: bytes) -> None:
        with _said("write", self.uri(key)):
            self._store.put(self._prefix + key, data, mode="create")

    def write_file(self, key: str, path: Path) -> None:
        self.write(key, _read_file(path))

    def copy(self, key: str, new_key: str) -> None:
        try:
            self._store.copy(self._prefix + key, self._prefix + new_key, overwrite=False)
        except Exception as error:
            missing = isinstance(error, FileNotFoundError)
            raise _store_error(error, "write", self.uri(key if missing else new_key)) from error


@contextmanager
def _said(verb: str, uri: str) -> Iterator[None]:
    """Turns what the system or obstore raises into a StoreError that says who, where and what to do."""
    try:
        yield
    except Exception as error:
        raise _store_error(error, verb, uri) from error


def _store_error(error: Exception, verb: str, uri: str) -> Exception:
    """Ours for theirs. obstore's errors are told by name: importing it for a local lake would cost for nothing."""
    name = type(error).__name__
    if isinstance(error, StoreError):
        return error
    if name in ("FileExistsError", "AlreadyExistsError"):
        return ObjectExists(f"{uri}: an object is already there; nothing is overwritten", uri=uri)
    status = _STATUS.search(str(error)) if name == "GenericError" else None
    if name in ("PermissionError", "PermissionDeniedError", "UnauthenticatedError") or (status and status[1] == "403"):
        return StoreError(f"{uri}: not allowed to {verb}; grant it and run again", uri=uri, why="not allowed")
    if name in ("FileNotFoundError", "NotFoundError") or (status and status[1] == "404"):
        return StoreError(f"{uri}: not found", uri=uri, why="not found")
    if isinstance(error, (OSError, ValueError)) or type(error).__module__.startswith("obstore"):
        why = quote(str(error).partition("\n")[0], 200)
        return StoreError(
            f"{uri}: cannot {verb}: {why}", not isinstance(error, ValueError), uri=uri, why=f"cannot {verb}"
        )
    return error


def _read_file(path: Path) -> bytes:
    with _said("read", _file_uri(str(path))):
        return path.read_bytes()


def _link(path: Path, target: Path) -> None:
    """A second name for a file, both on the disk before this returns: the catalog must never point at less. A file
    that has two names already was synced with the second."""
    if path.stat().st_nlink == 1:
        _sync(path)
    os.link(path, target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _stat(entry: os.DirEntry[str]) -> os.stat_result | None:
    """An entry's facts; None for what vanished or is no file."""
    try:
        return entry.stat() if entry.is_file() else None
    except FileNotFoundError:
        return None


def _moment(ms: int) -> dt.datetime | None:
    """An epoch time in milliseconds; None for one that the calendar does not know."""
    try:
        return _EPOCH + ms * _MILLISECOND
    except OverflowError:
        return None


def _file_uri(path: str) -> str:
    return "file://" + urllib.parse.quote(os.fsencode(path.rstrip("/")))
