"""Keys of the objects that Firehose writes, whatever log is in them: which day, and which folders to list for it.

Formats: docs/formats.md 4.3 (names and prefixes) and 4.4 (error output). A suffix says nothing: it lies.
"""

from __future__ import annotations

import datetime as dt
import re

from loglake_dagster.kernels.times import read_time
from loglake_dagster.lake.controls import Controls
from loglake_dagster.lake.source import Descent, IgnoredKey, SourceKey

# Firehose names an object after the arrival of its oldest record and fills it for up to 15 minutes.
LEAD = dt.timedelta(minutes=30)

_NAME = re.compile(
    r"(?P<stream>.+?)(?:-(?P<version>\d+))?-(?P<time>\d{4}(?:-\d\d){5})-"
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?:\.[^/]*)?",
    re.ASCII | re.DOTALL,
)
# `2026/03/02/01/`, `logs2026/03/02/01/` (a prefix without its slash), `year=2026/month=03/day=02/...`.
_DAY_FOLDER = re.compile(r"(?:.*[^0-9])?(?:year=)?(\d{4})/(?:month=)?(\d\d)/(?:day=)?(\d\d)/(?:.*/)?", re.DOTALL)
_MONTH_FOLDER = re.compile(r"(?:.*[^0-9])?(?:year=)?(\d{4})/(?:month=)?(\d\d)/", re.DOTALL)
_ERRORS = re.compile(
    r"(?:^|/)(?:[^/]*)(processing-failed|decompression-failed|format-conversion-failed|AmazonOpenSearchService-failed|"
    r"splunk-failed|http-endpoint-failed)(?=[/\d])",
)


def parse_key(key: str) -> SourceKey | IgnoredKey:
    """What a Firehose key says: the folder's date, else the date in the object's name. Never the suffix: it lies."""
    folder, _slash, name = key.rpartition("/")
    folder += "/" if folder else ""
    if not name:
        return IgnoredKey("folder marker")
    if error := _ERRORS.search(folder):
        return IgnoredKey(_error_output(error[1]))
    time = _delivery_time(name)
    day_folder = _day_folder(folder)
    if day_folder is not None:
        day, end = day_folder
    elif time is not None:
        day, end = time.date(), len(folder)
    else:
        return IgnoredKey("no date in the key")
    prefix = re.sub(r"(?:year=)?\d{4}/(?:month=)?\d\d/(?:day=)?\d\d/$", "", folder[:end])
    return SourceKey(day, time, None, None, (prefix, day.isoformat()), folder[:end])


def _day_folder(folder: str) -> tuple[dt.date, int] | None:
    """(day, end of the day's folder in the text), from the last date in the folder's name."""
    match = _DAY_FOLDER.fullmatch(folder)
    if match is None:
        return None
    try:
        return dt.date(int(match[1]), int(match[2]), int(match[3])), match.end(3) + 1
    except ValueError:
        return None


def _delivery_time(name: str) -> dt.datetime | None:
    match = _NAME.fullmatch(name)
    return read_time(match["time"], "%Y-%m-%d-%H-%M-%S") if match else None


def descend(folder: str, days: frozenset[dt.date], controls: Controls) -> Descent:
    """Month and day folders of other dates are not entered; any other folder may hold a date further down:
    `retail2020/` may be the year 2020 or a prefix, and one call tells."""
    del controls  # a Firehose key names neither account nor region
    if error := _ERRORS.search(folder):
        return Descent(ignored=_error_output(error[1]))
    return Descent((folder,) if _may_hold(folder, days) else ())


def _error_output(kind: str) -> str:
    """Why error output is passed over, and what to do about it. A feed whose root is such a folder reads it."""
    return f"Firehose error output ({kind}): in no table until a cloudwatch feed reads it, see docs/running.md"


def _may_hold(folder: str, days: frozenset[dt.date]) -> bool:
    if (day_folder := _day_folder(folder)) is not None:
        return day_folder[0] in days
    if match := _MONTH_FOLDER.fullmatch(folder):
        return (int(match[1]), int(match[2])) in {(day.year, day.month) for day in days}
    return True
