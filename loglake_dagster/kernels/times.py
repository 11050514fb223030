"""Event times: one canonical text, and the forms that real records use besides it.

CloudTrail writes `2026-03-01T23:58:41Z`; fractions, offsets and ISO's basic form occur (docs/formats.md 1.5). A time
before 1970 or after 2261 is no event time: ORC has no sound form for the former, Arrow's readers none for the latter.
"""

from __future__ import annotations

import datetime as dt
import functools
import math
import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# Years 1970 to 2259; the few later ones take the careful path.
_CANONICAL = r"^(?:19[7-9]|2[01][0-9]|22[0-5])[0-9]-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"
_PLAIN = re.compile(_CANONICAL)
_BASIC = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z")
_EXTENDED = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:?\d\d)", re.ASCII)
YEARS = "the years 1970 to 2261"
MIN_MS, MAX_MS = 0, 9_214_646_399_999


@functools.lru_cache(4096)
def read_time(text: str, form: str) -> dt.datetime | None:
    """A UTC time, or a day's midnight, in a form of strptime's; None if it is none. Names of objects share few times,
    and strptime is a third of what reading a name costs."""
    try:
        return dt.datetime.strptime(text, form).replace(tzinfo=dt.timezone.utc)
    except ValueError:
        return None


def canonical(moment: dt.datetime) -> str:
    """The canonical text of a moment; one without a zone is UTC."""
    if moment.tzinfo is not None:
        moment = moment.astimezone(dt.timezone.utc).replace(tzinfo=None)
    return moment.replace(microsecond=0).isoformat() + "Z"


def to_canonical(text: str) -> str | None:
    """A time's canonical text, whole seconds in UTC (a fraction is cut off); None if it is no event time."""
    if _PLAIN.fullmatch(text):  # as nearly all are
        try:
            return f"{dt.datetime.fromisoformat(text[:-1]).isoformat()}Z"
        except ValueError:
            return None
    if basic := _BASIC.fullmatch(text):
        text = "{}-{}-{}T{}:{}:{}Z".format(*basic.groups())
    if not _EXTENDED.fullmatch(text):
        return None
    try:
        moment = dt.datetime.fromisoformat(text.upper()).astimezone(dt.timezone.utc)
        return canonical(moment) if is_storable_ms(math.floor(moment.timestamp() * 1000)) else None
    except (ValueError, OverflowError):
        return None


def parse_canonical(texts: pa.Array) -> pa.Array:
    """Canonical texts as UTC timestamps without a zone; ArrowInvalid if one is no real calendar time."""
    return texts.cast(pa.timestamp("ms", "UTC")).cast(pa.timestamp("ms"))


def not_canonical(texts: list[Any]) -> list[int]:
    """The places of texts that are not a canonical event time of a real calendar day (None among them)."""
    array = pa.array(texts, pa.string())
    matches = pc.fill_null(pc.match_substring_regex(array, _CANONICAL), False).to_numpy(zero_copy_only=False)
    try:
        parse_canonical(pc.filter(array, pa.array(matches)))
    except pa.ArrowInvalid:
        matches = np.array(
            [bool(match) and to_canonical(text) == text for match, text in zip(matches, texts, strict=True)]
        )
    return [int(i) for i in np.flatnonzero(~matches)]


def is_storable_ms(value: int) -> bool:
    """Whether an epoch time in milliseconds can be an event time that every reader shows rightly."""
    return MIN_MS <= value <= MAX_MS
