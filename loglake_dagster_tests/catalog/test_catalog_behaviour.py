"""One behaviour suite over every catalog: tables, raw partitions, and the pointer that readers follow."""

import contextlib
import datetime as dt
import multiprocessing
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import pytest

from loglake_dagster.catalog import LateDay, LateObject, PublishedVersion, RawPartition
from loglake_dagster.catalog.sqlite import SqliteCatalog
from loglake_dagster.errors import CatalogError, PublishConflict
from loglake_dagster.lake.manifest import ObjectEntry
from loglake_dagster.lake.partition import UTC
from loglake_dagster.lake.schema import EVENT_DAY, Column, Table
from loglake_dagster.sources import SOURCES
from loglake_dagster_tests.made import DAY

CATALOGS = {"sqlite": lambda folder: SqliteCatalog(folder / "catalog" / "catalog.db")}
NEXT = DAY + dt.timedelta(days=1)
NOON = dt.datetime(2026, 3, 3, 12, tzinfo=UTC)
TABLE = Table(
    "readready", "A table.", (Column("a", "string", "Text."), Column("n", "bigint", "A number.")), (EVENT_DAY,)
)


@pytest.fixture(params=CATALOGS)
def catalog(request, tmp_path):
    return CATALOGS[request.param](tmp_path)


def version(name="v1", day=DAY, table="readready", hour=0, **facts):
    published = dt.datetime(2026, 3, 3, hour, 0, 0, 250_000, tzinfo=UTC)
    return PublishedVersion(table, day, name, f"file:///lake/{table}/eventday={day}/v={name}/", published, facts)


def test_a_new_catalog_is_empty(catalog):
    assert catalog.tables() == []
    assert catalog.raw_partitions("raw") == []
    assert catalog.published("readready", DAY) is None
    assert list(catalog.published_days("readready")) == []
    assert list(catalog.history("readready", DAY)) == []


def test_reading_a_catalog_that_is_not_there_makes_nothing(catalog, tmp_path):
    catalog.tables()
    catalog.raw_partitions("raw")
    catalog.published_days("readready")
    catalog.late_days("readready")
    with pytest.raises(CatalogError, match=r"no table 'readready'"):
        catalog.columns("readready")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a b", "a%20b", "a?b#c", "caf\u00e9", "a'\"b"])
def test_a_catalog_may_lie_in_a_folder_of_any_name(tmp_path, name):
    for catalog in CATALOGS.values():
        one = catalog(tmp_path / name)
        one.publish(version("v1"), None)
        assert one.published("readready", DAY) == version("v1")
        assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_registered_table_has_its_columns_in_order_partition_columns_last(catalog):
    catalog.register_table(TABLE)
    assert catalog.tables() == ["readready"]
    assert catalog.columns("readready") == [("a", "string"), ("n", "bigint"), ("eventday", "date")]


def test_registering_again_changes_nothing_and_brings_new_columns(catalog):
    catalog.register_table(TABLE)
    catalog.register_table(TABLE)
    assert catalog.tables() == ["readready"]
    catalog.register_table(replace(TABLE, columns=(*TABLE.columns[1:], Column("z", "boolean", "New."))))
    assert catalog.columns("readready") == [("n", "bigint"), ("z", "boolean"), ("eventday", "date")]


def test_the_declared_tables_register(catalog):
    for source in reversed(SOURCES):
        catalog.register_table(source.table)
    assert catalog.tables() == sorted(source.readready_name for source in SOURCES)
    columns = catalog.columns("from_cloudtrail_readready")
    assert (columns[0], columns[-1]) == (("eventtime", "timestamp"), ("eventday", "date"))


def test_an_unknown_table_is_an_error_that_says_what_to_do(catalog):
    with pytest.raises(CatalogError, match=r"no table 'sesions'; materialise it first$") as caught:
        catalog.columns("sesions")
    assert caught.value.facts["table"] == "sesions"
    assert not caught.value.retryable


def raw(region, day=DAY):
    values = ("AWSLogs/o-x", "011122223333", region, day.isoformat())
    return RawPartition(values, f"s3://b/{'/'.join(values)}/")


def test_raw_partitions_register_once_and_say_how_many_were_new(catalog):
    assert catalog.register_raw("raw", [raw("b"), raw("a")]) == 2
    assert catalog.register_raw("raw", [raw("a"), raw("b"), raw("c"), raw("c")]) == 1
    assert catalog.register_raw("raw", []) == 0
    assert catalog.raw_partitions("raw") == [raw("a"), raw("b"), raw("c")]


def test_raw_partitions_are_of_one_table_and_of_one_delivery_day_if_asked(catalog):
    catalog.register_raw("raw", [raw("a"), raw("a", NEXT)])
    catalog.register_raw("other", [raw("z")])
    assert catalog.raw_partitions("raw", NEXT) == [raw("a", NEXT)]
    assert catalog.raw_partitions("raw", NEXT + dt.timedelta(days=1)) == []
    assert catalog.raw_partitions("other") == [raw("z")]


def test_values_of_raw_partitions_are_any_text(catalog):
    odd = RawPartition(('a"b\n\x1f,[]', "\u20ac\U0001f600", "2026-03-02"), "s3://b/%20x/")
    catalog.register_raw("raw", [odd])
    assert catalog.raw_partitions("raw", DAY) == [odd]


def test_a_registered_partition_keeps_its_location(catalog):
    catalog.register_raw("raw", [raw("a")])
    assert catalog.register_raw("raw", [replace(raw("a"), location="s3://elsewhere/")]) == 0
    assert catalog.raw_partitions("raw") == [raw("a")]


def test_a_published_version_is_what_readers_see(catalog):
    first = version("v1", rows=3, coverage=0.99, content_hash="ab", by={"a": [1, None]})
    catalog.publish(first, None)
    assert catalog.published("readready", DAY) == first
    assert catalog.published("readready", NEXT) is None
    assert catalog.published("sessions", DAY) is None


def test_the_pointer_moves_from_the_version_that_the_run_was_planned_from(catalog):
    catalog.publish(version("v1"), None)
    catalog.publish(version("v2", hour=1), "v1")
    assert catalog.published("readready", DAY) == version("v2", hour=1)
    assert list(catalog.history("readready", DAY)) == [version("v1"), version("v2", hour=1)]


@pytest.mark.parametrize(("expected", "said"), [(None, "None"), ("v0", "v0"), ("v2", "v2")])
def test_a_version_planned_from_another_one_is_a_conflict_and_changes_nothing(catalog, expected, said):
    catalog.publish(version("v1"), None)
    with pytest.raises(PublishConflict) as caught:
        catalog.publish(version("v2", hour=1), expected)
    assert str(caught.value) == (
        f"readready 2026-03-02: another run published v1 meanwhile (this one set out from {said}); "
        "run again to take its result in"
    )
    assert caught.value.facts == {"table": "readready", "day": "2026-03-02", "retryable": True}
    assert caught.value.retryable
    assert catalog.published("readready", DAY) == version("v1")
    assert list(catalog.history("readready", DAY)) == [version("v1")]


def test_a_version_planned_from_one_that_was_never_published_is_a_conflict(catalog):
    with pytest.raises(PublishConflict):
        catalog.publish(version("v2"), "v1")
    assert catalog.published("readready", DAY) is None


def test_days_and_tables_have_pointers_of_their_own(catalog):
    for one in (version("v1", NEXT), version("v1", DAY), version("v9", DAY, "sessions")):
        catalog.publish(one, None)
    assert list(catalog.published_days("readready")) == [version("v1", DAY), version("v1", NEXT)]
    assert list(catalog.published_days("readready", NEXT)) == [version("v1", NEXT)]
    assert list(catalog.published_days("readready", None, DAY)) == [version("v1", DAY)]
    assert list(catalog.published_days("readready", DAY, DAY)) == [version("v1", DAY)]
    assert list(catalog.published_days("readready", NEXT, DAY)) == []


def late(name="a", day=DAY, etag="1", events=3):
    uri = f"s3://bucket/{name}"
    entry = ObjectEntry(uri=uri, feed="trail", size=5, etag=etag, delivery_day=NEXT, delivery_time=NOON, account="1")
    return LateObject("readready", day, entry, name, events)


def test_late_objects_are_kept_by_day_and_waited_for_until_they_are_settled(catalog):
    assert (catalog.late_objects("readready", DAY), catalog.late_days("readready")) == ([], [])
    assert catalog.note_late([late("b"), late("a"), late("c", NEXT)]) == 3
    assert catalog.late_objects("readready", DAY) == [late("a"), late("b")]
    assert catalog.late_days("readready") == [LateDay(DAY, 2, 2), LateDay(NEXT, 1, 1)]
    catalog.settle_late("readready", DAY, [late("a").entry, late("never noted").entry])
    assert catalog.late_days("readready") == [LateDay(DAY, 2, 1), LateDay(NEXT, 1, 1)]
    assert catalog.late_objects("readready", DAY) == [late("a"), late("b")]
    assert (catalog.late_objects("other", DAY), catalog.late_days("other")) == ([], [])


def test_a_late_object_is_waited_for_again_when_its_content_changes(catalog):
    catalog.note_late([late(), late()])
    catalog.settle_late("readready", DAY, [late(etag="0").entry])
    assert catalog.late_days("readready") == [LateDay(DAY, 1, 1)]
    catalog.settle_late("readready", DAY, [late().entry])
    assert catalog.note_late([late()]) == 0
    assert catalog.note_late([late(events=9)]) == 1
    assert catalog.late_objects("readready", DAY) == [late(events=9)]
    assert catalog.late_days("readready") == [LateDay(DAY, 1, 0)]
    assert catalog.note_late([late(etag="2")]) == 1
    assert catalog.late_objects("readready", DAY) == [late(etag="2")]
    assert catalog.late_days("readready") == [LateDay(DAY, 1, 1)]


def test_a_catalog_crosses_process_borders(catalog):
    catalog.publish(version("v1"), None)
    assert pickle.loads(pickle.dumps(catalog)).published("readready", DAY) == version("v1")


def publish_as(catalog, name, days, start):
    """In a process of its own: the days that this process won."""
    start.wait(30)
    won = []
    for n in range(days):
        try:
            catalog.publish(version(name, DAY + dt.timedelta(days=n)), None)
            won.append(n)
        except PublishConflict:
            continue
    return won


@contextlib.contextmanager
def racers():
    """Three processes and what they meet at. Not multiprocessing.Pool, which ends its processes by SIGTERM and waits
    for ever where they ignore it, as those of a pytest-xdist worker do."""
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(3, context) as pool:
        yield manager, pool


# Each publication waits for the disk: a busy machine takes a second for it.
RACES = 6


def test_of_processes_that_publish_one_day_at_once_just_one_wins(catalog):
    """From the first call on: the catalog itself is made in the race."""
    with racers() as (manager, pool):
        start = manager.Barrier(3)
        runs = [pool.submit(publish_as, catalog, f"by-{n}", RACES, start) for n in range(3)]
        won = [run.result(60) for run in runs]
    assert sorted(n for one in won for n in one) == list(range(RACES))
    for n in range(RACES):
        (winner,) = [place for place, days in enumerate(won) if n in days]
        day = DAY + dt.timedelta(days=n)
        assert catalog.published("readready", day) == version(f"by-{winner}", day)
        assert list(catalog.history("readready", day)) == [version(f"by-{winner}", day)]


def test_processes_that_make_a_catalog_at_once_all_come_through(tmp_path):
    """SQLite's timeout does not hold while a new file is changed to its write-ahead log."""
    catalogs = [CATALOGS["sqlite"](tmp_path / str(n)) for n in range(RACES)]
    with racers() as (manager, pool):
        for catalog in catalogs:
            start = manager.Barrier(3)
            runs = [pool.submit(publish_as, catalog, f"by-{n}", 1, start) for n in range(3)]
            assert sorted(run.result(60) for run in runs) == [[], [], [0]]


PUBLISH_FOR_EVER = """
import pickle, sys
from loglake_dagster_tests.catalog.test_catalog_behaviour import DAY, version
catalog = pickle.loads(bytes.fromhex(sys.argv[1]))
catalog.publish(version("v0"), None)
for n in range(1, 100_000):
    print(n, flush=True)
    catalog.publish(version(f"v{n}"), f"v{n - 1}")
"""


@pytest.mark.parametrize("published", [1, 7, 20])
def test_a_killed_publisher_leaves_one_version_published_and_its_history_whole(catalog, published):
    process = subprocess.Popen(
        [sys.executable, "-c", PUBLISH_FOR_EVER, pickle.dumps(catalog).hex()], stdout=subprocess.PIPE, text=True
    )
    with process:
        for _ in range(published):
            process.stdout.readline()
        time.sleep(0.003 * published)
        os.kill(process.pid, signal.SIGKILL)
    names = [one.version for one in catalog.history("readready", DAY)]
    assert len(names) >= published
    assert sorted(names, key=lambda name: int(name[1:])) == [f"v{n}" for n in range(len(names))]
    current = catalog.published("readready", DAY)
    assert current.version == f"v{len(names) - 1}"
    catalog.publish(version("after", hour=2), current.version)
    assert catalog.published("readready", DAY) == version("after", hour=2)


class Deadly:
    """A fact whose text kills the process: it is made into text inside the transaction."""

    def __str__(self):
        os.kill(os.getpid(), signal.SIGKILL)
        return ""


def publish_deadly(catalog):
    catalog.publish(version("v2", hour=1, fact=Deadly()), "v1")


def test_a_process_killed_inside_a_transaction_leaves_the_version_before_and_no_lock(tmp_path):
    catalog = CATALOGS["sqlite"](tmp_path)
    catalog.publish(version("v1"), None)
    process = multiprocessing.get_context("spawn").Process(target=publish_deadly, args=(catalog,))
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    assert list(catalog.history("readready", DAY)) == [version("v1")]
    catalog.publish(version("v2", hour=1), "v1")
    assert catalog.published("readready", DAY) == version("v2", hour=1)


def test_a_catalog_file_that_is_none_is_an_error_that_names_it(tmp_path):
    path = tmp_path / "catalog.db"
    path.write_text("this is no database, and is longer than a header of one hundred bytes would be " * 3)
    with pytest.raises(CatalogError) as caught:
        SqliteCatalog(path).tables()
    assert str(caught.value) == f"catalog {path}: file is not a database; check the path and its permissions"
    assert (caught.value.retryable, caught.value.facts["path"]) == (False, str(path))


def test_a_catalog_whose_folder_cannot_be_made_is_an_error_that_names_it(tmp_path):
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "catalog.db"
    for call in SqliteCatalog(path).tables, lambda: SqliteCatalog(path).publish(version(), None):
        with pytest.raises(CatalogError, match=r"check the path and its permissions$"):
            call()


def test_a_catalog_that_another_process_holds_is_worth_another_try(tmp_path, monkeypatch):
    catalog = CATALOGS["sqlite"](tmp_path)
    catalog.publish(version("v1"), None)
    monkeypatch.setattr("loglake_dagster.catalog.sqlite.WAIT_S", 0.1)
    holder = sqlite3.connect(catalog.path, isolation_level=None)
    try:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(CatalogError, match=r"another process holds it, run again$") as caught:
            catalog.publish(version("v2", hour=1), "v1")
        assert caught.value.retryable
        assert catalog.published("readready", DAY) == version("v1")
    finally:
        holder.close()
    catalog.publish(version("v2", hour=1), "v1")
    assert catalog.published("readready", DAY) == version("v2", hour=1)
