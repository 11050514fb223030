"""What values of loglake.yaml may look like. A part of config.py in its own file."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from loglake_dagster.errors import LogLakeError
from loglake_dagster.lake.partition import parse_day

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZES = {"": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}

Text = Annotated[str, Field(min_length=1)]


class Section(BaseModel):
    """A section of the file."""

    # strict: `true` is no number and "2" is no 2; lists of the file are tuples here, hence not for those.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _span(value: Any) -> dt.timedelta:
    match = re.fullmatch(r"(\d{1,6})\s*([smhd])", str(value))
    if match is None:
        raise ValueError("expected a time span such as 90m, 2h or 1d")
    return dt.timedelta(seconds=int(match[1]) * _UNITS_S[match[2]])


def _size(value: Any) -> int:
    match = re.fullmatch(r"(\d{1,15})\s*([KMGT]?B?)", str(value).upper())
    if match is None or isinstance(value, bool):
        raise ValueError("expected a size such as 512MB or 2GB")
    unit = match[2] if match[2].endswith("B") or not match[2] else match[2] + "B"
    return int(match[1]) * _SIZES["" if unit == "B" else unit]


def _day(value: Any) -> dt.date:
    try:
        return parse_day(value if isinstance(value, str) else "")
    except LogLakeError:
        raise ValueError("expected a day such as 2026-11-01") from None


Day = Annotated[dt.date, BeforeValidator(_day)]
Span = Annotated[dt.timedelta, BeforeValidator(_span)]
Size = Annotated[int, BeforeValidator(_size), Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
