"""Questions to published tables: the answers of plain rows whatever is skipped, and how little is read for them."""

import datetime as dt
import random
from dataclasses import replace

import duckdb
import pyarrow as pa
import pytest

from loglake_dagster.engines.published import Reads
from loglake_dagster.engines.query import answer_to, open_tables, run_query
from loglake_dagster.engines.runs import pack
from loglake_dagster.errors import LogLakeError
from loglake_dagster.io.versions import VersionFolder
from loglake_dagster.kernels.arrow import ARROW_TYPES, arrow_schema
from loglake_dagster.lake.manifest import Manifest
from loglake_dagster.lake.settings import OrcSettings
from loglake_dagster.sources.cloudtrail import TABLE
from loglake_dagster_tests.engines.made_lake import made_lake

FIRST = dt.date(2026, 3, 2)
DAYS = [FIRST + dt.timedelta(days=n) for n in range(3)]
ROWS, PARTS = 20_000, 2
NAMES = ["AssumeRole", "ConsoleLogin", "GetObject", "PutObject", "StartSession", "TerminateSession", "zürich", None]
TRAIL = TABLE.name


def made_rows(day, seed):
    """A part's rows, in the table's order. Names are null here and there, and of sessions only some have an id."""
    draw = random.Random(seed)
    shares = [30, 5, 30, 20, 1, 1, 1, 1]
    names = sorted(draw.choices(NAMES, shares, k=ROWS), key=lambda one: (one is None, (one or "").encode()))
    values = {column: [None] * ROWS for column in TABLE.column_names}
    start = dt.datetime.combine(day, dt.time())
    values |= {
        "eventname": names,
        "eventtime": [start + dt.timedelta(milliseconds=draw.randrange(86_400_000)) for _ in names],
        "eventid": [None if draw.random() < 0.01 else f"{draw.getrandbits(128):032x}" for _ in names],
        "sessionid": [
            f"{draw.getrandbits(68):017x}"
            if one in ("StartSession", "TerminateSession") and draw.random() < 0.8
            else None
            for one in names
        ],
        "recipientaccountid": [f"{seed:012d}"] * ROWS,
        "awsregion": [draw.choice(["eu-west-1", "us-east-1"]) for _ in names],
        "useragent": [draw.choice(["console", "a \" b' = eventid", None]) for _ in names],
        # Random text fills stripes, so that a part has several.
        "requestparameters": [f"{draw.getrandbits(400):x}" for _ in names],
        "is_truncated": [False] * ROWS,
        "source_object": [f"s3://b/{seed}"] * ROWS,
        "source_ordinal": list(range(ROWS)),
    }
    return pa.table(values, arrow_schema(TABLE))


def published(lake, day, tables, as_before=False):
    """Publishes tables as the parts of a day; `as_before` as releases did that did not name stripes."""
    folder = lake.new_version(TRAIL, day)
    parts = []
    for n, rows in enumerate(tables):
        part, data = pack(f"part-{n:05d}-{folder.version}.orc", rows, TABLE, OrcSettings())
        lake.store.write(folder.key(part.name), data)
        parts.append(replace(part, stripes=()) if as_before else part)
    manifest = Manifest(
        table=TRAIL, day=day, version=folder.version, base=None, created=lake.now(), recipe="r", engine="embedded",
        parts=tuple(parts),
    )  # fmt: skip
    folder.write_manifest(manifest, [])
    lake.publish(manifest, None, {})
    return manifest


@pytest.fixture(scope="module")
def plain():
    """The rows of each part by day."""
    return {day: [made_rows(day, 10 * n + part) for part in range(PARTS)] for n, day in enumerate(DAYS)}


@pytest.fixture(scope="module")
def lake(tmp_path_factory, plain):
    """A lake of them; the last day is as an earlier release wrote it."""
    lake = made_lake(tmp_path_factory.mktemp("published"))
    for day, tables in plain.items():
        manifest = published(lake, day, tables, as_before=day == DAYS[-1])
        assert all(len(part.stripes) > 3 for part in manifest.parts) or day == DAYS[-1]
    return lake


@pytest.fixture(scope="module")
def rows(plain):
    """All rows as one Arrow table with eventday, as a reader sees them."""
    kind = ARROW_TYPES["date"]
    return pa.concat_tables(
        table.append_column("eventday", pa.repeat(pa.scalar(day, kind), table.num_rows))
        for day, tables in plain.items()
        for table in tables
    )


def asked(lake, sql):
    """(answer, what was read for it)."""
    reads = Reads()
    with open_tables(lake, reads) as connection:
        return answer_to(connection, sql), reads


WANTED = [
    "eventname = 'StartSession'", "eventname = 'StartSession' AND eventday = DATE '2026-03-03'",
    "eventname = 'zürich'", "eventname > 'z'", "eventname < 'B'", "eventname >= 'StartSession'", "eventname = 'No'",
    "eventname IS NULL", "eventname IS NOT NULL", "eventname <> 'GetObject'", "NOT eventname = 'GetObject'",
    "eventname IN ('StartSession', 'TerminateSession')", "eventname NOT IN ('GetObject', 'PutObject')",
    "eventname IN ('ConsoleLogin', NULL)", "eventname BETWEEN 'B' AND 'D'", "eventname LIKE 'Start%'",
    "eventname = 'ConsoleLogin' OR eventname IS NULL", "eventname IS DISTINCT FROM 'GetObject'",
    "eventname = 'ConsoleLogin' OR sessionid IS NOT NULL", "sessionid IS NULL", "sessionid IS NOT NULL",
    "sessionid > 'f'", "eventtime >= TIMESTAMP '2026-03-03 23:59:30'", "eventtime < TIMESTAMP '2026-03-02'",
    "eventtime = TIMESTAMP '2026-03-03 23:59:30.5' OR eventname = 'zürich'", "recipientaccountid = '000000000011'",
    "recipientaccountid <> '000000000011'", "eventday = DATE '2026-03-04'", "eventday > DATE '2026-03-02'",
    "eventday IN (DATE '2026-03-02', DATE '2026-03-04')", "eventday IS NULL", "eventday = DATE '2020-01-01'",
    "eventname = 'StartSession' AND awsregion = 'eu-west-1' AND eventtime > TIMESTAMP '2026-03-03 12:00:00'",
    "lower(eventname) = 'startsession'", "useragent = 'a \" b'' = eventid' AND eventname = 'ConsoleLogin'",
    "is_truncated", "NOT is_truncated AND eventname = 'ConsoleLogin'", "source_ordinal < 3", "true", "false",
]  # fmt: skip


def in_order(table):
    return table.sort_by([("source_object", "ascending"), ("source_ordinal", "ascending")])


@pytest.mark.parametrize("wanted", WANTED)
def test_an_answer_is_that_of_the_plain_rows(lake, rows, wanted):
    columns = "source_object, source_ordinal, eventname, sessionid, eventday"
    with duckdb.connect() as connection:
        connection.register(TRAIL, rows)
        expected = connection.sql(f"SELECT {columns} FROM {TRAIL} WHERE {wanted}").to_arrow_table()
    with open_tables(lake) as connection:
        answer = answer_to(connection, f"SELECT {columns} FROM {TRAIL} WHERE {wanted}")
        (count,) = answer_to(connection, f"SELECT count(*) AS n FROM {TRAIL} WHERE {wanted}")["n"].to_pylist()
    assert in_order(answer).equals(in_order(expected))
    assert count == expected.num_rows


def test_every_column_comes_as_it_was_written(lake, plain, rows):
    answer = run_query(lake, f"SELECT * FROM {TRAIL} WHERE eventname = 'StartSession'")
    with duckdb.connect() as connection:
        connection.register(TRAIL, rows)
        expected = connection.sql(f"SELECT * FROM {TRAIL} WHERE eventname = 'StartSession'").to_arrow_table()
    assert expected.num_rows > 100
    assert in_order(answer).equals(in_order(expected))
    whole = run_query(lake, f"SELECT * EXCLUDE (eventday) FROM {TRAIL} WHERE eventday = DATE '2026-03-04'")
    assert in_order(whole).equals(in_order(pa.concat_tables(plain[DAYS[-1]])))


def test_joins_limits_and_orders_are_answered_from_the_same_tables(lake, rows):
    sql = f"""SELECT a.eventid, b.eventtime FROM {TRAIL} a JOIN {TRAIL} b USING (sessionid)
              WHERE a.eventname = 'StartSession' AND b.eventday = DATE '2026-03-03' ORDER BY ALL LIMIT 7"""
    top = f"SELECT eventid FROM {TRAIL} ORDER BY eventtime DESC, eventid LIMIT 3"
    with duckdb.connect() as connection:
        connection.register(TRAIL, rows)
        for one in (sql, top):
            assert run_query(lake, one).to_pylist() == connection.sql(one).to_arrow_table().to_pylist()
    assert run_query(lake, f"SELECT 1 AS a FROM {TRAIL} LIMIT 5").num_rows == 5


def ids(rows, column, day=DAYS[1]):
    wanted = f"{column} IS NOT NULL AND eventday = DATE '{day}'"
    with duckdb.connect() as connection:
        connection.register("rows", rows)
        return [row[0] for row in connection.sql(f"SELECT {column} FROM rows WHERE {wanted} LIMIT 40").fetchall()]


@pytest.mark.parametrize("column", TABLE.lookup_columns)
def test_a_lookup_by_id_reads_the_stripe_that_has_it(lake, rows, column):
    """A bloom filter of 3 % lets a stripe pass now and then that has not got the id."""
    read = []
    for value in ids(rows, column):
        sql = f"SELECT * FROM {TRAIL} WHERE {column} = '{value}' AND eventday = DATE '{DAYS[1]}'"
        answer, reads = asked(lake, sql)
        assert answer[column].to_pylist() == [value]
        read.append(reads.stripes)
    assert read.count(1) >= len(read) // 2
    assert sum(read) / len(read) < 2


def test_a_lookup_among_all_days_reads_few_stripes_and_of_an_absent_id_hardly_any(lake, rows):
    value = ids(rows, "eventid")[0]
    answer, reads = asked(lake, f"SELECT eventname FROM {TRAIL} WHERE eventid = '{value}'")
    _every, all_reads = asked(lake, f"SELECT count(useragent) FROM {TRAIL}")
    assert answer.num_rows == 1
    assert all_reads.rows == rows.num_rows
    assert reads.stripes <= 1 + all_reads.stripes // 6
    _none, reads = asked(lake, f"SELECT eventname FROM {TRAIL} WHERE eventid = '{value[::-1]}'")
    assert reads.stripes <= all_reads.stripes // 6


@pytest.mark.parametrize(
    ("wanted", "few"),
    [
        ("eventid IN ('{0}', '{1}', 'x')", True),
        ("eventid = '{0}' OR eventid = '{1}'", True),
        ("eventid = '{0}' AND useragent IS NOT DISTINCT FROM useragent", True),
        ("(eventid = '{0}' OR eventid IS NULL) AND eventname = 'ConsoleLogin'", False),
        ("eventid = '{0}' OR useragent = '{1}'", False),
        ("eventid <> '{0}' AND eventname = 'zürich'", False),
        ("NOT (eventid = '{0}') AND eventname = 'zürich'", False),
        ("useragent = '{0}'", False),
        ("eventid >= '{0}' AND eventname = 'zürich'", False),
    ],
)
def test_bloom_filters_are_asked_only_where_a_row_must_have_one_of_the_ids(lake, rows, wanted, few):
    wanted = wanted.format(*ids(rows, "eventid"))
    answer, reads = asked(lake, f"SELECT source_object, source_ordinal FROM {TRAIL} WHERE {wanted}")
    with duckdb.connect() as connection:
        connection.register(TRAIL, rows)
        sql = f"SELECT source_object, source_ordinal FROM {TRAIL} WHERE {wanted}"
        assert in_order(answer).equals(in_order(connection.sql(sql).to_arrow_table()))
    assert not few or reads.stripes <= 10


def test_a_name_reads_the_stripes_that_hold_it_and_a_day_no_other(lake):
    sql = f"SELECT eventtime, eventid FROM {TRAIL} WHERE eventname = 'StartSession' AND eventday = DATE '{DAYS[0]}'"
    answer, reads = asked(lake, sql)
    assert answer.num_rows > 100
    assert (reads.parts, reads.stripes) == (PARTS, PARTS)
    _answer, whole = asked(lake, f"SELECT count(useragent) FROM {TRAIL} WHERE eventday = DATE '{DAYS[0]}'")
    assert whole.rows == ROWS * PARTS
    assert reads.rows < ROWS * PARTS / 4


def test_the_manifests_of_other_days_are_not_opened(tmp_path, plain):
    lake = made_lake(tmp_path)
    for day, tables in plain.items():
        published(lake, day, tables[:1])
    for version in lake.catalog.published_days(TRAIL):
        if version.day != DAYS[1]:
            folder = VersionFolder(lake.store, TRAIL, version.day, version.version)
            (lake.store.path / folder.key("_manifest/manifest.json")).unlink()
    sql = f"SELECT count(*) AS n FROM {TRAIL} WHERE eventday = DATE '{DAYS[1]}'"
    assert run_query(lake, sql).to_pylist() == [{"n": ROWS}]
    with pytest.raises(LogLakeError, match=r"_manifest/manifest\.json: not found"):
        run_query(lake, f"SELECT count(*) FROM {TRAIL}")


def test_a_damaged_part_is_an_error_that_names_it(tmp_path, plain):
    lake = made_lake(tmp_path)
    manifest = published(lake, FIRST, plain[FIRST][:1])
    (version,) = lake.catalog.published_days(TRAIL)
    path = lake.store.path / VersionFolder(lake.store, TRAIL, FIRST, version.version).key(manifest.parts[0].name)
    path.write_bytes(path.read_bytes()[:-100])
    for wanted in ("true", "eventid = 'x'", "eventname = 'StartSession'"):
        with pytest.raises(LogLakeError, match=r"part-00000-.*orc: not a readable ORC file"):
            run_query(lake, f"SELECT max(eventname) FROM {TRAIL} WHERE {wanted}")
