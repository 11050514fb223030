"""Controls: which files are worth reading, and which events are kept. Allow and deny, deny wins.

File rules are judged on an object's key before a byte is paid for; event rules on the decoded event. A pattern is
a shell glob (`*`, `?`, `[..]`), case-sensitive; an empty `allow` allows everything. What a control drops is
counted under the name of the rule that dropped it, never forgotten.
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass, field, fields
from functools import cached_property


@dataclass(frozen=True)
class Rule:
    """Globs that allow and globs that deny."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()

    @cached_property
    def _patterns(self) -> tuple[re.Pattern[str] | None, re.Pattern[str] | None]:
        return _any_of(self.allow), _any_of(self.deny)

    def admits(self, value: str) -> bool:
        """Whether the value may pass: matched by no deny, and by some allow where there is one."""
        allow, deny = self._patterns
        if deny is not None and deny.fullmatch(value):
            return False
        return allow is None or allow.fullmatch(value) is not None

    @property
    def is_open(self) -> bool:
        """True when everything passes."""
        return not self.allow and not self.deny


def _any_of(globs: tuple[str, ...]) -> re.Pattern[str] | None:
    if not globs:
        return None
    return re.compile("|".join(fnmatch.translate(glob) for glob in globs))


@dataclass(frozen=True)
class Controls:
    """All rules. `accounts`, `regions` and `keys` judge files; the rest judge events."""

    accounts: Rule = field(default_factory=Rule)
    regions: Rule = field(default_factory=Rule)
    keys: Rule = field(default_factory=Rule)
    event_sources: Rule = field(default_factory=Rule)
    event_names: Rule = field(default_factory=Rule)
    log_groups: Rule = field(default_factory=Rule)

    def refusal_of_object(self, key: str, account: str | None, region: str | None) -> str | None:
        """The name of the rule that keeps an object from being read, or None. `key` is relative to the feed."""
        if account is not None and not self.accounts.admits(account):
            return "accounts"
        if region is not None and not self.regions.admits(region):
            return "regions"
        return None if self.keys.admits(key) else "keys"

    def as_facts(self) -> dict[str, dict[str, list[str]]]:
        """What the rules say, sorted, for the recipe of a version: equal facts mean equal controls."""
        return {
            f.name: {"allow": sorted(rule.allow), "deny": sorted(rule.deny)}
            for f in fields(self)
            if not (rule := getattr(self, f.name)).is_open
        }
