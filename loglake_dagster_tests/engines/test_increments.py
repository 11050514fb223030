"""A day that grows: what is read again, what is carried over, and that the way it grew never shows in a row."""

import datetime as dt
import random
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loglake_dagster.engines import embedded
from loglake_dagster.engines.lake import Lake
from loglake_dagster.engines.query import run_query
from loglake_dagster.engines.readready import ReadreadyResult, materialize_readready
from loglake_dagster.errors import AuditError, StoreError
from loglake_dagster.io.store import local_path
from loglake_dagster.lake.controls import Controls, Rule
from loglake_dagster.lake.manifest import ObjectEntry
from loglake_dagster.lake.settings import EngineSettings, Quality
from loglake_dagster.sources.cloudtrail import SOURCE, TABLE
from loglake_dagster_tests.engines.deliveries import OTHER_ACCOUNT, REGION, event, events, put, trail_file
from loglake_dagster_tests.engines.made_lake import (
    ONE_PROCESS,
    WatchedLake,
    accounted,
    ids_of,
    made_lake,
    published,
    rows_of,
    trail_of,
)
from loglake_dagster_tests.made import ACCOUNT, DAY, log_file, member

NO_RECOUNT = Quality(recount_objects=0)
LENIENT = Quality(coverage=0.5)


def run(lake: Lake) -> ReadreadyResult:
    result = materialize_readready(lake, SOURCE, DAY)
    result.raise_if_refused()
    return result


def versions(lake: Lake) -> list[str]:
    return [one.version for one in lake.catalog.history(TABLE.name, DAY)]


# -- what is read ---------------------------------------------------------------------------------------


def test_a_run_without_news_reads_no_object_and_publishes_nothing(tmp_path: Path) -> None:
    for n in range(3):
        trail_file(trail_of(tmp_path), events(4, 4 * n), nonce=f"N{n}")
    lake = WatchedLake.of(made_lake(tmp_path, quality=NO_RECOUNT))
    first = run(lake)
    files = sorted(path for path in Path(tmp_path / "lake").rglob("*"))
    assert (first.is_new, first.is_published, first.objects_read, first.manifest.objects_read) == (True, True, 3, 3)
    lake.reads.clear()
    again = run(lake)
    assert (again.is_new, again.is_published, again.objects_read) == (False, True, 0)
    assert lake.reads == []
    assert again.manifest == first.manifest
    assert again.coverage == first.coverage
    assert versions(lake) == [first.manifest.version]
    assert sorted(path for path in Path(tmp_path / "lake").rglob("*")) == files


def test_a_day_of_which_the_source_holds_nothing_is_published_empty(tmp_path: Path) -> None:
    lake = made_lake(tmp_path)
    first, again = run(lake), run(lake)
    assert (first.is_new, first.manifest.parts, first.coverage.ratio) == (True, (), 1.0)
    assert (again.is_new, versions(lake)) == (False, [first.manifest.version])


def test_a_feed_whose_folder_is_not_there_is_an_error_and_no_empty_day(tmp_path: Path) -> None:
    lake, place = made_lake(tmp_path), trail_of(tmp_path)
    place.rmdir()
    with pytest.raises(StoreError) as caught:
        run(lake)
    assert str(caught.value) == f"{place}: the feed's folder is not there; mend its uri in the settings"
    assert versions(lake) == []


def test_new_objects_are_read_and_nothing_else(tmp_path: Path) -> None:
    trail_file(trail_of(tmp_path), events(4), nonce="OLD")
    lake = WatchedLake.of(made_lake(tmp_path, quality=NO_RECOUNT))
    first = run(lake)
    new = [trail_file(trail_of(tmp_path), events(3, 10 * n), "2026-03-02T02:00", nonce=f"N{n}") for n in (1, 2)]
    lake.reads.clear()
    second = run(lake)
    assert sorted(lake.reads) == sorted(path.name for path in new)
    assert (second.objects_read, second.manifest.base) == (2, first.manifest.version)
    assert second.manifest.totals.objects == 3
    assert ids_of(lake) == [f"event-{n:04d}" for n in (0, 1, 2, 3, 10, 11, 12, 20, 21, 22)]


def test_untouched_parts_are_carried_over_as_hard_links(tmp_path: Path) -> None:
    trail_file(trail_of(tmp_path), events(4), nonce="OLD")
    lake = made_lake(tmp_path)
    first = run(lake)
    trail_file(trail_of(tmp_path), events(3, 10), nonce="NEW")
    second = run(lake)
    (old,) = first.manifest.parts
    assert old in second.manifest.parts
    assert len(second.manifest.parts) == 2
    assert file_of(first, old.name).samefile(file_of(second, old.name))


def file_of(result: ReadreadyResult, part: str) -> Path:
    return local_path(result.location) / part


# -- however the day was split --------------------------------------------------------------------------

COPY = {"account": OTHER_ACCOUNT}
OBJECTS: tuple[tuple[str, dict[str, str], bytes], ...] = (
    ("2026-03-02T00:10", {"nonce": "A"}, member(log_file(*events(7), event(50, "2026-03-01T23:59:59Z")))),
    ("2026-03-02T00:10", {"nonce": "B"}, member(log_file(*reversed(events(7))))),
    ("2026-03-02T00:05", {"nonce": "C", **COPY}, member(log_file(*events(4, 3), event(60, "2026-03-03T00:00:00Z")))),
    ("2026-03-02T05:00", {"nonce": "D"}, member(log_file(*events(9, 5), 42, {"eventName": "no time"}))),
    ("2026-03-02T05:00", {"nonce": "E"}, member(log_file(*[{**event(70), "eventID": None}] * 3))),
    ("2026-03-02T06:00", {"nonce": "F"}, member(log_file(*events(20, 10)))[:-40]),
    ("2026-03-02T07:00", {"nonce": "G"}, member(log_file(*events(5, 12), *events(5, 12)))),
    ("2026-03-02T08:00", {"nonce": "H"}, b"neither gzip nor JSON"),
    ("2026-03-03T00:30", {"nonce": "I"}, member(log_file(*events(5, 1), event(61, "2026-03-03T00:00:01Z")))),
    ("2026-03-03T01:00", {"nonce": "J", **COPY}, member(log_file(event(62, "2026-03-03T00:40:00Z")))),
)


def deliver(trail: Path, places: Sequence[int]) -> None:
    for place in places:
        at, where, data = OBJECTS[place]
        trail_file(trail, data, at, **where)


def built_whole(folder: Path) -> tuple[str, list[object], dict[str, ObjectEntry]]:
    """(content hash, rows, accounts) of the day, built in one run of one part."""
    deliver(trail_of(folder), range(len(OBJECTS)))
    lake = made_lake(folder, "whole", quality=LENIENT)
    result = run(lake)
    assert len(result.manifest.parts) == 1
    found = result.manifest.content_hash, list(rows_of(lake)), contents(published(lake, DAY)[1])
    shutil.rmtree(trail_of(folder))
    shutil.rmtree(folder / "whole")
    return found


def contents(entries: dict[str, ObjectEntry]) -> dict[str, ObjectEntry]:
    """The accounts without what a file system says of the file."""
    return {uri: replace(entry, etag="") for uri, entry in entries.items()}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("split")


@pytest.fixture(scope="module")
def whole(place: Path) -> tuple[str, list[object], dict[str, ObjectEntry]]:
    return built_whole(place)


@settings(max_examples=12, deadline=None)
@given(
    order=st.permutations(range(len(OBJECTS))),
    cuts=st.lists(st.integers(1, len(OBJECTS) - 1), max_size=3, unique=True),
    part_bytes=st.sampled_from([1, 300, 1 << 20]),
)
def test_order_of_arrival_and_split_into_runs_never_show(
    place: Path,
    whole: tuple[str, list[object], dict[str, ObjectEntry]],
    order: list[int],
    cuts: list[int],
    part_bytes: int,
) -> None:
    shutil.rmtree(trail_of(place), ignore_errors=True)
    shutil.rmtree(place / "lake", ignore_errors=True)
    lake = made_lake(place, quality=Quality(coverage=0.0), engine=replace(ONE_PROCESS, part_bytes=part_bytes))
    read = 0
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(order)], strict=True):
        deliver(trail_of(place), order[start:end])
        read += run(lake).objects_read
    manifest, entries = published(lake, DAY)
    assert read == len(OBJECTS)
    assert manifest.content_hash == whole[0]
    assert rows_of(lake) == whole[1]
    assert contents(entries) == whole[2]


def test_worker_processes_never_show(
    place: Path, whole: tuple[str, list[object], dict[str, ObjectEntry]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "SMALL_DAY_BYTES", 0)
    shutil.rmtree(trail_of(place), ignore_errors=True)
    shutil.rmtree(place / "lake", ignore_errors=True)
    lake = made_lake(place, quality=LENIENT, engine=EngineSettings(workers=2, part_bytes=300))
    order = random.Random(7).sample(range(len(OBJECTS)), len(OBJECTS))
    for half in (order[:5], order[5:]):
        deliver(trail_of(place), half)
        materialize_readready(lake, SOURCE, DAY)
    manifest, entries = published(lake, DAY)
    assert (manifest.content_hash, rows_of(lake), contents(entries)) == whole


# -- duplicates -----------------------------------------------------------------------------------------


def test_a_copy_that_was_delivered_earlier_wins_when_it_arrives_later(tmp_path: Path) -> None:
    late = trail_file(trail_of(tmp_path), events(5), "2026-03-02T02:00", nonce="LATE")
    other = trail_file(trail_of(tmp_path), events(4, 20), "2026-03-02T02:05", nonce="OTHER")
    lake = made_lake(tmp_path, engine=replace(ONE_PROCESS, part_bytes=1))
    first = run(lake)
    assert [part.rows for part in first.manifest.parts] == [5, 4]
    early = trail_file(trail_of(tmp_path), events(3, 1), "2026-03-02T01:00", nonce="EARLY")
    second = run(lake)
    owners = {row["eventid"]: row["source_object"] for row in rows_of(lake) if row["eventid"] < "event-0020"}
    assert owners == {
        "event-0000": late.as_uri(),
        "event-0001": early.as_uri(),
        "event-0002": early.as_uri(),
        "event-0003": early.as_uri(),
        "event-0004": late.as_uri(),
    }
    entries = published(lake, DAY)[1]
    assert {uri: accounted(entry) for uri, entry in entries.items()} == {
        early.as_uri(): (3, 3, 0, 0, 0, 0),
        late.as_uri(): (5, 2, 3, 0, 0, 0),
        other.as_uri(): (4, 4, 0, 0, 0, 0),
    }
    rewritten, carried = first.manifest.parts
    assert rewritten.name not in [part.name for part in second.manifest.parts]
    assert carried in second.manifest.parts
    assert sorted(part.rows for part in second.manifest.parts) == [2, 3, 4]


def test_a_part_that_loses_every_row_is_gone(tmp_path: Path) -> None:
    trail_file(trail_of(tmp_path), events(3), "2026-03-02T02:00", nonce="LATE")
    lake = made_lake(tmp_path)
    run(lake)
    early = trail_file(trail_of(tmp_path), events(3), "2026-03-02T01:00", nonce="EARLY")
    result = run(lake)
    assert [part.rows for part in result.manifest.parts] == [3]
    assert {row["source_object"] for row in rows_of(lake)} == {early.as_uri()}
    assert (result.manifest.totals.landed, result.manifest.totals.duplicate) == (3, 3)


def test_one_event_of_two_accounts_is_two_rows_and_shared_ids_are_no_key(tmp_path: Path) -> None:
    shared = {"sharedEventID": "shared", "requestID": "request"}
    records = [
        event(1, **shared),
        event(1, recipientAccountId=OTHER_ACCOUNT, **shared),
        event(2, **shared),
        event(1, **shared),
    ]
    trail_file(trail_of(tmp_path), records)
    lake = made_lake(tmp_path)
    assert run(lake).manifest.totals.duplicate == 1
    assert [(row["eventid"], row["recipientaccountid"]) for row in rows_of(lake)] == [
        ("event-0001", ACCOUNT),
        ("event-0001", OTHER_ACCOUNT),
        ("event-0002", ACCOUNT),
    ]


# -- what builds the day whole --------------------------------------------------------------------------


def test_other_controls_build_the_day_whole(tmp_path: Path) -> None:
    trail_file(trail_of(tmp_path), [*events(4), event(9, eventName="Decrypt")])
    trail_file(trail_of(tmp_path), events(2, 20), account=OTHER_ACCOUNT)
    before = made_lake(tmp_path)
    run(before)
    controls = Controls(event_names=Rule(deny=("Decrypt",)), accounts=Rule(deny=(OTHER_ACCOUNT,)))
    after = made_lake(tmp_path, controls=controls)
    result = run(after)
    assert (result.is_new, result.objects_read, result.manifest.base) == (True, 1, None)
    assert result.manifest.refused == {"accounts": 1}
    assert ids_of(after) == [f"event-{n:04d}" for n in range(4)]
    (entry,) = published(after, DAY)[1].values()
    assert (accounted(entry), entry.filtered_by) == ((5, 4, 0, 1, 0, 0), {"event_names": 1})
    assert len(ids_of(before)) == 4, "there is one published version, whoever asks"
    assert run(before).manifest.totals.landed == 7


def test_an_object_with_other_content_builds_the_day_whole(tmp_path: Path) -> None:
    trail_file(trail_of(tmp_path), events(4), nonce="SAME")
    changed = trail_file(trail_of(tmp_path), events(4, 10), nonce="CHANGED")
    lake = made_lake(tmp_path)
    run(lake)
    put(changed, member(log_file(*events(3, 30))))
    result = run(lake)
    assert (result.objects_read, result.manifest.base) == (2, None)
    assert ids_of(lake) == [f"event-{n:04d}" for n in (0, 1, 2, 3, 30, 31, 32)]


def test_rows_stay_when_their_object_expires(tmp_path: Path) -> None:
    old = trail_file(trail_of(tmp_path), events(4), nonce="OLD")
    lake = made_lake(tmp_path)
    run(lake)
    old.unlink()
    assert run(lake).is_new is False
    trail_file(trail_of(tmp_path), events(2, 10), nonce="NEW")
    result = run(lake)
    assert (result.objects_read, result.manifest.totals.landed, result.coverage.ratio) == (1, 6, 1.0)


def test_a_rebuild_that_would_lose_rows_is_refused(tmp_path: Path) -> None:
    old = trail_file(trail_of(tmp_path), events(4), nonce="OLD")
    trail_file(trail_of(tmp_path), events(2, 10), nonce="KEPT")
    lake = made_lake(tmp_path)
    first = run(lake)
    old.unlink()
    other = made_lake(tmp_path, controls=Controls(event_names=Rule(deny=("Decrypt",))))
    with pytest.raises(AuditError) as caught:
        run(other)
    assert str(caught.value) == (
        f"from_cloudtrail_readready {DAY}: must be built anew (settings, transform or objects changed), but 1 "
        f"objects with 4 of its rows are no longer in the source, first {old.as_uri()}; the published version stays. "
        "Put the objects back, or leave the day as it is"
    )
    assert caught.value.facts == {"table": TABLE.name, "day": str(DAY), "objects": 1}
    assert versions(lake) == [first.manifest.version]
    assert len(ids_of(lake)) == 6


@pytest.mark.parametrize(
    "denied",
    [
        Controls(accounts=Rule(deny=(OTHER_ACCOUNT,))),
        Controls(regions=Rule(deny=("us-*",))),
        Controls(keys=Rule(deny=("*_DENIED.json.gz",))),
    ],
    ids=["account", "region", "key"],
)
def test_a_control_may_drop_rows_whose_object_is_gone(tmp_path: Path, denied: Controls) -> None:
    gone = trail_file(trail_of(tmp_path), events(4), account=OTHER_ACCOUNT, region="us-east-1", nonce="DENIED")
    trail_file(trail_of(tmp_path), events(2, 10), region=REGION)
    run(made_lake(tmp_path))
    gone.unlink()
    lake = made_lake(tmp_path, controls=denied)
    assert run(lake).is_new
    assert ids_of(lake) == ["event-0010", "event-0011"]


# -- objects that heal ----------------------------------------------------------------------------------


def test_an_object_that_cannot_be_read_is_read_as_soon_as_it_can_be(tmp_path: Path) -> None:
    trail_file(trail_of(tmp_path), events(40), nonce="SOUND")
    locked = trail_file(trail_of(tmp_path), events(2, 50), nonce="LOCKED")
    lake = WatchedLake.of(made_lake(tmp_path, quality=Quality(recount_objects=0, coverage=0.5)))
    lake.broken.add(locked.name)
    first = run(lake)
    entry = published(lake, DAY)[1][locked.as_uri()]
    assert (entry.state, entry.reason, accounted(entry)) == ("unreadable", "not allowed", (0, 0, 0, 0, 0, 0))
    assert [one.uri for one in first.coverage.missing] == [locked.as_uri()]
    assert run(lake).is_new is False
    lake.broken.clear()
    second = run(lake)
    assert (second.objects_read, second.manifest.base) == (1, first.manifest.version)
    assert (second.coverage.ratio, second.manifest.totals.landed) == (1.0, 42)
    assert published(lake, DAY)[1][locked.as_uri()].state == "read"


def test_a_bad_object_that_was_put_right_is_read_and_nothing_else(tmp_path: Path) -> None:
    sound = trail_file(trail_of(tmp_path), events(40), nonce="SOUND")
    good = member(log_file(*events(2, 50)))
    bad = trail_file(trail_of(tmp_path), good[:10] + bytes(len(good) - 10), nonce="BAD")
    lake = WatchedLake.of(made_lake(tmp_path, quality=Quality(recount_objects=0, coverage=0.5)))
    first = run(lake)
    assert published(lake, DAY)[1][bad.as_uri()].state == "unreadable"
    sound.unlink()
    put(bad, good)
    lake.reads.clear()
    second = run(lake)
    assert set(lake.reads) == {bad.name}
    assert (second.objects_read, second.manifest.base) == (1, first.manifest.version)
    assert (second.coverage.ratio, len(ids_of(lake))) == (1.0, 42)


def test_rejects_are_carried_over_and_added_to(tmp_path: Path) -> None:
    first_file = trail_file(trail_of(tmp_path), [*events(20), 42], nonce="A")
    lake = made_lake(tmp_path)
    first = run(lake)
    second_file = trail_file(trail_of(tmp_path), [*events(20, 30), {"eventTime": "2026-03-02 at noon"}], nonce="B")
    second = run(lake)
    version = lake.published(TABLE.name, DAY)
    assert version is not None
    assert second.manifest.reject_files[:1] == first.manifest.reject_files
    rejects = version.folder.read_rejects(second.manifest.reject_files)
    assert [(one["object"], one["ordinal"], one["path"], one["got"], one["record"]) for one in rejects] == [
        (first_file.as_uri(), 20, "$", "int '42'", "42"),
        (second_file.as_uri(), 20, "$.eventTime", "'2026-03-02 at noon' (str)", '{"eventTime":"2026-03-02 at noon"}'),
    ]


def test_days_do_not_see_each_other(tmp_path: Path) -> None:
    trail_file(trail_of(tmp_path), [event(1), event(2, "2026-03-03T00:10:00Z")], "2026-03-03T00:15")
    lake = made_lake(tmp_path)
    for day in (DAY, DAY + dt.timedelta(days=1)):
        assert materialize_readready(lake, SOURCE, day).manifest.rows == 1
    answer = run_query(lake, f"SELECT eventday, eventid FROM {TABLE.name} ORDER BY 1").to_pylist()
    assert answer == [
        {"eventday": DAY, "eventid": "event-0001"},
        {"eventday": DAY + dt.timedelta(days=1), "eventid": "event-0002"},
    ]
