"""Builds a lake from a made workload and says in words where it differs from the workload's truth.

    python -m bench.compare WORKLOAD                             in a scratch folder, removed afterwards
    python -m bench.compare WORKLOAD --lake DIR --workers 2      kept, to look at

Exact, event by event and session by session. Rows are counted with SQL over the published versions, as a reader
sees them; what never becomes a row is counted in the manifests. A truth may leave out keys; what it tells, is compared.
"""

import argparse
import collections
import datetime as dt
import hashlib
import json
import pathlib
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.made_sessions import SESSION_GROUP
from loglake_dagster.engines.lake import Lake, open_lake
from loglake_dagster.engines.planning import list_source
from loglake_dagster.engines.query import run_query
from loglake_dagster.engines.readready import materialize_readready
from loglake_dagster.engines.sessions import materialize_sessions
from loglake_dagster.lake.manifest import ObjectEntry
from loglake_dagster.lake.partition import ONE_DAY, UTC, parse_day
from loglake_dagster.lake.settings import EngineSettings, Feed, Settings
from loglake_dagster.lake.source import Source
from loglake_dagster.sources import cloudtrail, cloudwatch

STATUS_OF_KIND = {
    "captured": "captured",
    "crosses_midnight": "captured",
    "missing": "missing",
    "not_loggable": "not_loggable",
    "denied": "not_started",
}
TRAIL, KEYSTROKES = cloudtrail.TABLE.name, cloudwatch.TABLE.name
Truth = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Stage:
    """One materialisation: how long it took, how many objects it read and how many events it found or joined."""

    name: str
    seconds: float
    objects: int
    events: int

    def __str__(self) -> str:
        rate = self.events / self.seconds if self.seconds else 0
        words = f"{self.objects} objects, {self.events} events, {rate:,.0f} events/s"
        return f"{self.name}: {self.seconds:.1f} s, {words}"


def workload_lake(
    workload: pathlib.Path, lake: pathlib.Path, engine: EngineSettings | None = None, **settings: Any
) -> Lake:
    """A lake in the folder `lake` that reads the workload's files where they lie; `settings` as Settings has them."""
    feeds = (
        Feed("cloudtrail", "cloudtrail", str(workload.absolute() / "trail")),
        Feed("cloudwatch", "cloudwatch", str(workload.absolute() / "firehose"), {"session": (SESSION_GROUP,)}),
    )
    return open_lake(
        Settings(
            file=lake / "loglake.yaml",
            lake=str(lake.absolute()),
            catalog_path=lake.absolute() / "catalog.db",
            feeds=feeds,
            engine=engine or EngineSettings(),
            **settings,
        )
    )


def read_truth(workload: pathlib.Path) -> Truth:
    """The workload's truth.json."""
    truth: Truth = json.loads((workload / "truth.json").read_text())
    return truth


def build_lake(lake: Lake, truth: Truth) -> Iterator[Stage]:
    """Materialises the truth's days and of the neighbours what their sessions need, stage by stage.

    The day after gets sessions too where it has CloudTrail objects: nothing that was typed past midnight may be an
    orphan there. CoverageError if a gate shuts.
    """
    for day in _days(truth):
        around = (day - ONE_DAY, day + ONE_DAY)
        neighbours = [one for one in around if list_source(lake, cloudtrail.SOURCE, one).objects]
        for one in sorted({day, *neighbours}):
            yield _readready(lake, cloudtrail.SOURCE, one)
        for one in (day, day + ONE_DAY):
            yield _readready(lake, cloudwatch.SOURCE, one)
        for one in (day, *(one for one in neighbours if one > day)):
            yield _sessions(lake, one)


def find_differences(lake: Lake, truth: Truth) -> list[str]:
    """Where the lake's published versions disagree with the truth; empty when nowhere."""
    trail, keystrokes = _entries(lake, TRAIL), _entries(lake, KEYSTROKES)
    return [
        *_coverage_differences(lake),
        *event_differences(lake, truth),
        *_accounting_differences(truth, trail, keystrokes),
        *_session_differences(lake, truth),
        *_orphan_differences(lake, truth),
    ]


def _days(truth: Truth) -> list[dt.date]:
    return [parse_day(day) for day in sorted(truth["events"])]


def _readready(lake: Lake, source: Source, day: dt.date) -> Stage:
    result = materialize_readready(lake, source, day)
    result.raise_if_refused()
    return Stage(f"{source.name} {day}", result.seconds, result.objects_read, result.manifest.totals.found)


def _sessions(lake: Lake, day: dt.date) -> Stage:
    """Two days later nothing is pending any more."""
    started = time.perf_counter()
    result = materialize_sessions(lake, day, dt.datetime.combine(day + 2 * ONE_DAY, dt.time(), UTC))
    return Stage(f"sessions {day}", time.perf_counter() - started, 0, result.manifest.rows)


def _coverage_differences(lake: Lake) -> Iterator[str]:
    for table in (TRAIL, KEYSTROKES):
        for version in lake.catalog.published_days(table):
            facts = version.facts
            yield from _differing(f"{table} {version.day}: landed of the source", facts["expected"], facts["landed"])


def event_differences(lake: Lake, truth: Truth) -> Iterator[str]:
    """Where the CloudTrail rows disagree with the truth: by day, by name, by account and region, and events twice."""
    days = _counts(lake, f"SELECT CAST(eventday AS VARCHAR), count(*) FROM {TRAIL} GROUP BY 1")
    yield from _differing_counts("events of", truth["events"], days)
    names = _counts(lake, f"SELECT concat(eventsource, ':', eventname), count(*) FROM {TRAIL} GROUP BY 1")
    yield from _differing_counts("events named", truth["names"], names)
    twice = _counts(lake, f"SELECT eventid, count(*) FROM {TRAIL} GROUP BY 1 HAVING count(*) > 1")
    yield from _differing_counts("rows of event", {}, twice)
    if "events_by_account_region" in truth:
        place = "concat_ws(' ', CAST(eventday AS VARCHAR), recipientaccountid, awsregion)"
        found = _counts(lake, f"SELECT {place}, count(*) FROM {TRAIL} GROUP BY 1")
        expected = {
            f"{day} {account} {region}": count
            for day, accounts in truth["events_by_account_region"].items()
            for account, regions in accounts.items()
            for region, count in regions.items()
        }
        yield from _differing_counts("events of", expected, found)


def _accounting_differences(
    truth: Truth, trail: Mapping[str, list[ObjectEntry]], keystrokes: Mapping[str, list[ObjectEntry]]
) -> Iterator[str]:
    """An object that two days read is counted in both manifests: duplicates are of a day, what is filtered is not."""
    of_days = [entry for entries in trail.values() for entry in entries]
    yield from _differing("duplicates", truth["duplicate_events"], sum(e.duplicate for e in of_days))
    late = sum(e.landed for day, entries in trail.items() for e in entries if e.delivery_day.isoformat() > day)
    yield from _differing("events in the next day's folder", truth["next_day_folder_events"], late)
    objects = {entry.uri: entry for entries in keystrokes.values() for entry in entries}
    filtered: collections.Counter[str] = collections.Counter()
    for entry in objects.values():
        filtered.update(entry.filtered_by)
    expected = {"control_message": truth["control_messages"], "log_groups": truth["noise_log_events"]}
    yield from _differing_counts("filtered by", expected, filtered)
    if "log_events" in truth:
        found = sum(entry.found for entry in objects.values()) - filtered["control_message"]
        yield from _differing("log events found", sum(truth["log_events"].values()), found)
    every = {e.uri: e for e in of_days} | objects
    yield from _differing("files", truth["files"], len(every))
    yield from (f"{e.uri}: {e.state}, {e.reason}" for e in every.values() if e.state != "read" or e.rejected)


def _session_differences(lake: Lake, truth: Truth) -> Iterator[str]:
    rows = run_query(lake, "SELECT * FROM sessions WHERE keystroke_status <> 'orphan'").to_pylist()
    found = collections.Counter(row["eventid"] for row in rows)
    yield from _differing_counts("session rows of", dict.fromkeys(truth["sessions"], 1), found)
    for row in rows:
        if (told := truth["sessions"].get(row["eventid"])) is not None:
            expected = _told(told) | {"status": STATUS_OF_KIND[told["kind"]], "caller": told["owner"]}
            if told["sessionid"] is None:
                expected["owner"] = None
            seen = _seen(row) | {"status": row["keystroke_status"], "caller": row["useridentity_arn"].split("/")[-1]}
            yield from _differing_counts(f"session {row['eventid']}", expected, {name: seen[name] for name in expected})


def _orphan_differences(lake: Lake, truth: Truth) -> Iterator[str]:
    rows = run_query(lake, "SELECT * FROM sessions WHERE keystroke_status = 'orphan'").to_pylist()
    yield from _differing("orphans", truth["orphan_transcripts"], len(rows))
    if "orphans" in truth:
        expected = {one["sessionid"]: _told(one) for one in truth["orphans"]}
        yield from _differing_counts("orphan", expected, {row["sessionid"]: _seen(row) for row in rows})


def _told(session: Mapping[str, Any]) -> dict[str, Any]:
    """What the truth tells of a session that a row can be held against."""
    names = ("sessionid", "owner", "account", "region", "lines", "chunks", "sha256")
    return {name: session[name] for name in names if name in session}


def _seen(row: Mapping[str, Any]) -> dict[str, Any]:
    text = row["sessiondata"]
    return {
        "sessionid": row["sessionid"],
        "owner": row["sessionowner"],
        "account": row["recipientaccountid"],
        "region": row["awsregion"],
        "lines": row["lines"],
        "chunks": row["chunks"],
        "sha256": None if text is None else hashlib.sha256(text.encode()).hexdigest(),
    }


def _entries(lake: Lake, table: str) -> dict[str, list[ObjectEntry]]:
    """The accounts of every published day of a table."""
    return {
        version.day.isoformat(): list(lake.open_version(version).entries)
        for version in lake.catalog.published_days(table)
    }


def _counts(lake: Lake, sql: str) -> dict[str, int]:
    """A query's two columns as a mapping."""
    return dict(tuple(row.values()) for row in run_query(lake, sql).to_pylist())


def _differing(what: str, expected: object, found: object) -> Iterable[str]:
    return [] if expected == found else [f"{what}: expected {expected!r}, found {found!r}"]


def _differing_counts(what: str, expected: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted({*expected, *found}):
        yield from _differing(f"{what} {key}", expected.get(key), found.get(key))


def main() -> None:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__, formatter_class=form)
    parser.add_argument("workload", type=pathlib.Path, help="folder with trail/, firehose/ and truth.json")
    parser.add_argument("--lake", type=pathlib.Path, help="folder of the lake, kept; otherwise a scratch one")
    parser.add_argument("--workers", type=int, default=0, help="processes; 0 means one a core")
    given = parser.parse_args()
    truth = read_truth(given.workload)
    with tempfile.TemporaryDirectory(prefix="loglake-compare-") as scratch:
        engine = EngineSettings(workers=given.workers)
        lake = workload_lake(given.workload, given.lake or pathlib.Path(scratch), engine)
        for stage in build_lake(lake, truth):
            print(stage, flush=True)
        differences = find_differences(lake, truth)
    print("\n".join(differences) or "no difference")
    sys.exit(1 if differences else 0)


if __name__ == "__main__":
    main()
