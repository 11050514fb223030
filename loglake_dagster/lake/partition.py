"""Event days, delivery windows and the names of version folders.

An event day is a UTC date. Which deliveries can hold a day's events is decided here and nowhere else: the day's
own folder, and the next day's folder up to the lateness (delivery day is not event day).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from loglake_dagster.errors import LogLakeError, quote

UTC = dt.timezone.utc
ONE_DAY = dt.timedelta(days=1)


def parse_day(text: str) -> dt.date:
    """A day from `YYYY-MM-DD`; LogLakeError if the text is anything else."""
    try:
        day = dt.date.fromisoformat(text)
        if day.isoformat() == text:  # fromisoformat also takes 20260301 and 2026-W09-7
            return day
    except ValueError:
        pass
    raise LogLakeError(f"day: expected YYYY-MM-DD (UTC), got {quote(text)}", value=text)


def day_start(day: dt.date) -> dt.datetime:
    """00:00 UTC of the day."""
    return dt.datetime.combine(day, dt.time(), UTC)


@dataclass(frozen=True, slots=True)
class DeliveryWindow:
    """The deliveries that a run for `day` reads: all of the day's folder, of the next day's folder what was delivered
    before `lateness` had passed, and of the day before's what was named within `lead` of midnight, where a source names
    an object after its oldest event. An object of a neighbouring folder whose delivery time cannot be told from its key
    is read too: reading costs little, missing costs a case."""

    day: dt.date
    lateness: dt.timedelta
    lead: dt.timedelta = dt.timedelta(0)

    @property
    def delivery_days(self) -> tuple[dt.date, ...]:
        """The folders to list, oldest first."""
        before, after = -(-self.lead // ONE_DAY), -(-self.lateness // ONE_DAY)
        return tuple(self.day + ONE_DAY * n for n in range(-before, after + 1))

    def holds(self, delivery_day: dt.date, delivery_time: dt.datetime | None) -> bool:
        """Whether an object delivered then is read for this day."""
        if delivery_day == self.day:
            return True
        if delivery_day not in self.delivery_days:
            return False
        start = day_start(self.day)
        return delivery_time is None or start - self.lead <= delivery_time < start + ONE_DAY + self.lateness


def day_folder(table: str, day: dt.date) -> str:
    """Key of the folder that holds a day's versions, relative to the lake, no slash at the end."""
    return f"{table}/eventday={day.isoformat()}"


def version_folder(table: str, day: dt.date, version: str) -> str:
    """Key of a version's folder, relative to the lake, no slash at the end."""
    return f"{day_folder(table, day)}/v={version}"


def version_name(now: dt.datetime, nonce: str) -> str:
    """A version's name: sorts by time, and the nonce keeps two runs of one moment apart."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%S%f}Z-{nonce}"
