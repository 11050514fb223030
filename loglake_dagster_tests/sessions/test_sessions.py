"""When a day's sessions are made, made again, or refused; and what a run says of itself."""

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest

from loglake_dagster.engines import embedded_sessions
from loglake_dagster.engines.lake import Lake
from loglake_dagster.engines.readready import materialize_readready
from loglake_dagster.engines.sessions import count_statuses, materialize_sessions, preview_sessions, read_sessions
from loglake_dagster.errors import LogLakeError
from loglake_dagster.lake.partition import ONE_DAY
from loglake_dagster.lake.settings import Quality
from loglake_dagster.sessions.record import STATUSES, TABLE
from loglake_dagster.sources import cloudtrail, cloudwatch
from loglake_dagster_tests.engines.deliveries import put, trail_file
from loglake_dagster_tests.engines.made_lake import made_lake, trail_of
from loglake_dagster_tests.made import DAY
from loglake_dagster_tests.sessions.made_sessions import land, land_around, start, stored, streamed, utc

NOON = utc("2026-03-02T12:00:00")
LATER = utc("2026-03-02T14:00:00")
SILENT = start("silent-1", "2026-03-02T11:00:00")
SOON = start("soon-1", "2026-03-02T11:30:00")
HEARD = start("heard-1", "2026-03-02T11:00:00")
TYPED = streamed("heard-1", "2026-03-02T11:00:10", ["$ ls"])


def versions(lake: Lake) -> int:
    return len(lake.catalog.history(TABLE.name, DAY))


# -- refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("there", "table"), [(cloudwatch.SOURCE, cloudtrail.TABLE.name), (cloudtrail.SOURCE, cloudwatch.TABLE.name)]
)
def test_without_a_published_input_there_are_no_sessions(tmp_path: Path, there: object, table: str) -> None:
    lake = made_lake(tmp_path)
    materialize_readready(lake, there, DAY)
    with pytest.raises(LogLakeError) as caught:
        materialize_sessions(lake, DAY)
    assert str(caught.value) == (
        f"sessions 2026-03-02: {table} has no published version of that day; materialise it first, or see why its gate "
        "is shut (loglake status)"
    )
    assert caught.value.facts == {"table": table, "day": "2026-03-02"}
    assert lake.catalog.published(TABLE.name, DAY) is None


def test_what_has_not_passed_its_gate_is_not_joined(tmp_path: Path) -> None:
    lake = made_lake(tmp_path)
    materialize_readready(lake, cloudwatch.SOURCE, DAY)
    put(trail_file(trail_of(tmp_path), [SILENT]), b"no log file")
    assert not materialize_readready(lake, cloudtrail.SOURCE, DAY).is_published
    with pytest.raises(LogLakeError, match="from_cloudtrail_readready has no published version of that day"):
        materialize_sessions(lake, DAY)


def test_sessions_that_were_not_made_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(LogLakeError) as caught:
        read_sessions(made_lake(tmp_path), DAY)
    assert str(caught.value) == (
        "sessions 2026-03-02: nothing is published; loglake materialize --day 2026-03-02 makes it"
    )


# -- inputs ---------------------------------------------------------------------------------------------


def test_a_run_names_its_inputs_and_the_neighbours_that_it_lacked(tmp_path: Path) -> None:
    lake = made_lake(tmp_path)
    land(lake, tmp_path, [HEARD], [TYPED])
    alone = materialize_sessions(lake, DAY, NOON)
    assert alone.absent == ("from_cloudtrail_readready 2026-03-01", "from_cloudwatch_readready 2026-03-03")
    land_around(lake, tmp_path, [start("old-1", "2026-03-01T12:00:00")], [])
    whole = materialize_sessions(lake, DAY, NOON)
    assert whole.absent == ()
    inputs = {
        "started": (cloudtrail.TABLE.name, DAY),
        "typed": (cloudwatch.TABLE.name, DAY),
        "started_before": (cloudtrail.TABLE.name, DAY - ONE_DAY),
        "typed_after": (cloudwatch.TABLE.name, DAY + ONE_DAY),
    }
    published = {name: lake.catalog.published(*place) for name, place in inputs.items()}
    assert whole.manifest.inputs == {name: one.version for name, one in published.items() if one}
    assert {*whole.manifest.inputs} - {*alone.manifest.inputs} == {"started_before", "typed_after"}


def test_a_session_of_the_day_before_is_an_orphan_until_that_day_is_there(tmp_path: Path) -> None:
    lake = made_lake(tmp_path)
    land(lake, tmp_path, [], [streamed("old-1", "2026-03-02T00:01:00", ["$ ls"])])
    assert materialize_sessions(lake, DAY, NOON).statuses["orphan"] == 1
    land_around(lake, tmp_path, [start("old-1", "2026-03-01T23:00:00")], [])
    assert materialize_sessions(lake, DAY, NOON).manifest.rows == 0


def test_a_day_without_sessions_is_published_empty(tmp_path: Path) -> None:
    lake = made_lake(tmp_path)
    land(lake, tmp_path)
    result = materialize_sessions(lake, DAY, NOON)
    assert (result.is_new, result.manifest.parts, result.captured_share) == (True, (), 1.0)
    assert result.statuses == dict.fromkeys(STATUSES, 0)
    assert read_sessions(lake, DAY) == rows_of_sessions(lake) == []
    assert materialize_sessions(lake, DAY, LATER).is_new is False


def rows_of_sessions(lake: Lake) -> list[object]:
    version = lake.published(TABLE.name, DAY)
    assert version is not None
    return preview_sessions(version, 10).to_pylist()


# -- made again -----------------------------------------------------------------------------------------


def test_what_is_settled_is_not_made_again(tmp_path: Path) -> None:
    lake = made_lake(tmp_path)
    land(lake, tmp_path, [HEARD], [TYPED])
    first = materialize_sessions(lake, DAY, NOON)
    again = materialize_sessions(lake, DAY, LATER)
    assert (first.is_new, again.is_new, versions(lake)) == (True, False, 1)
    assert (again.manifest, again.statuses, again.absent) == (first.manifest, first.statuses, first.absent)
    assert first.statuses == dict.fromkeys(STATUSES, 0) | {"captured": 1}


def test_what_is_pending_is_judged_again_when_the_clock_has_moved(tmp_path: Path) -> None:
    lake = made_lake(tmp_path)
    land(lake, tmp_path, [SOON])
    assert materialize_sessions(lake, DAY, NOON).statuses["pending"] == 1
    assert materialize_sessions(lake, DAY, NOON).is_new is False
    still = materialize_sessions(lake, DAY, NOON + dt.timedelta(minutes=30))
    assert (still.is_new, still.statuses["pending"]) == (True, 1)
    (row,) = read_sessions(lake, DAY)
    assert row["statusasof"] == stored("2026-03-02T12:30:00")
    late = materialize_sessions(lake, DAY, LATER)
    assert (late.statuses["pending"], late.statuses["missing"], late.manifest.as_of) == (0, 1, LATER)
    assert materialize_sessions(lake, DAY, LATER + ONE_DAY).is_new is False
    assert versions(lake) == 3


def test_keystrokes_that_landed_later_are_joined(tmp_path: Path) -> None:
    lake = made_lake(tmp_path)
    land(lake, tmp_path, [HEARD])
    first = materialize_sessions(lake, DAY, LATER)
    assert (first.statuses["missing"], first.captured_share) == (1, 0.0)
    land(lake, tmp_path, typed=[TYPED], nonce=1)
    second = materialize_sessions(lake, DAY, LATER)
    assert (second.is_new, second.statuses["captured"], second.captured_share) == (True, 1, 1.0)
    history = [lake.open_version(one) for one in lake.catalog.history(TABLE.name, DAY)]
    assert [count_statuses(one)["missing"] for one in history] == [1, 0]


def test_another_sla_is_another_table(tmp_path: Path) -> None:
    lake = made_lake(tmp_path)
    land(lake, tmp_path, [SILENT])
    assert materialize_sessions(lake, DAY, NOON).statuses["pending"] == 1
    strict = made_lake(tmp_path, quality=Quality(sla_minutes=30))
    assert materialize_sessions(strict, DAY, NOON).statuses["missing"] == 1


def test_without_a_given_time_the_lakes_clock_is_asked_to_the_millisecond(tmp_path: Path) -> None:
    lake = replace(made_lake(tmp_path), now=lambda: utc("2026-03-02T12:00:00.123456"))
    land(lake, tmp_path, [SOON])
    assert materialize_sessions(lake, DAY).manifest.as_of == utc("2026-03-02T12:00:00.123")
    assert [row["statusasof"] for row in read_sessions(lake, DAY)] == [stored("2026-03-02T12:00:00.123")]
    assert materialize_sessions(lake, DAY).is_new is False


def test_the_share_of_captured_counts_those_that_are_due(tmp_path: Path) -> None:
    lake = made_lake(tmp_path)
    refused = start(None, errorCode="AccessDenied")
    tunnel = start("t-1", requestParameters={"documentName": "AWS-StartSSHSession"})
    due = [start(f"due{n}-1", "2026-03-02T08:00:00") for n in range(2)]
    land(
        lake, tmp_path, [HEARD, SOON, refused, tunnel, *due], [TYPED, streamed("ghost-1", "2026-03-02T09:00:00", ["$"])]
    )
    result = materialize_sessions(lake, DAY, NOON)
    assert dict(result.statuses) == {
        "captured": 1,
        "pending": 1,
        "missing": 2,
        "not_loggable": 1,
        "not_started": 1,
        "orphan": 1,
    }
    assert result.captured_share == 1 / 3
    facts = lake.catalog.published(TABLE.name, DAY)
    assert facts is not None
    assert (facts.facts["statuses"], facts.facts["rows"]) == (dict(result.statuses), 7)


# -- written --------------------------------------------------------------------------------------------


def test_the_same_inputs_give_the_same_rows(tmp_path: Path) -> None:
    hashes = set()
    for name in ("one", "other"):
        lake = made_lake(tmp_path, name)
        land(lake, tmp_path, [HEARD, SILENT, SOON], [TYPED])
        hashes.add(materialize_sessions(lake, DAY, NOON).manifest.content_hash)
    assert len(hashes) == 1


def test_many_sessions_fall_into_several_parts_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_sessions, "PART_BYTES", 1)
    lake = made_lake(tmp_path)
    minutes = [f"2026-03-02T{n % 24:02d}:{n % 60:02d}:{n % 59:02d}" for n in range(5_000)]
    land(lake, tmp_path, [start(f"u{n}-1", minute) for n, minute in enumerate(minutes)])
    result = materialize_sessions(lake, DAY, NOON)
    assert len(result.manifest.parts) == 3
    assert result.manifest.rows == 5_000
    keys = [(row["eventtime"], row["eventid"]) for row in read_sessions(lake, DAY)]
    assert keys == sorted(keys)
    version = lake.published(TABLE.name, DAY)
    assert version is not None
    assert preview_sessions(version, 2_500)["eventid"].to_pylist() == [key[1] for key in keys[:2_500]]


def test_the_accounts_of_the_inputs_are_not_read(tmp_path: Path) -> None:
    """A day of an organisation has hundreds of thousands of objects; the join asks for none of them."""
    lake = made_lake(tmp_path)
    land(lake, tmp_path, [HEARD], [TYPED])
    accounts = [path for path in (tmp_path / "lake").rglob("objects.parquet") if path.unlink() is None]
    assert len(accounts) == 2
    assert materialize_sessions(lake, DAY, NOON).statuses["captured"] == 1
