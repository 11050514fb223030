"""ORC parts: written, read back, read by another reader, searched by id."""

import datetime as dt
import io
import random
from pathlib import Path

import pyarrow as pa
import pyorc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyorc.predicates import PredicateColumn

from loglake_dagster.errors import StoreError
from loglake_dagster.io.orc import bounds_of, count_rows, pack_part, read_part
from loglake_dagster.kernels.accounting import rows_of_day
from loglake_dagster.kernels.arrow import arrow_schema
from loglake_dagster.kernels.hashing import content_hash
from loglake_dagster.lake.schema import Column, Table
from loglake_dagster.lake.settings import OrcSettings
from loglake_dagster.lake.source import Wanted
from loglake_dagster.sources import cloudtrail, cloudwatch
from loglake_dagster_tests.io.every_kind import EPOCH, TABLE
from loglake_dagster_tests.made import LIMIT, document, entry, log_event

LANDING = Path(__file__).parents[2] / "examples/sample_day/landing"
ZLIB, ZSTD = OrcSettings("zlib"), OrcSettings("zstd")
ROWS = st.fixed_dictionaries(
    {
        "a_string": st.none() | st.text(),
        "a_json": st.none() | st.sampled_from(["{}", '{"a":"\\ud800"}']),
        "a_boolean": st.none() | st.booleans(),
        "a_int": st.none() | st.integers(-(2**31), 2**31 - 1),
        "a_bigint": st.none() | st.integers(-(2**63), 2**63 - 1),
        "a_timestamp": st.none()
        | st.integers(0, 9_214_646_399_999).map(lambda ms: EPOCH + dt.timedelta(milliseconds=ms)),
        "a_date": st.none() | st.dates(dt.date(1970, 1, 1), dt.date(2261, 12, 31)),
    }
)


def sample_rows(source, folder):
    """(the source's table, its rows of 10 July 2023 in the sample day)."""
    files = sorted(path for path in (LANDING / folder).rglob("*") if path.is_file())
    wanted = Wanted(log_groups={"session": ("/aws/ssm/*",), "other": ("/aws/lambda/*",)})
    decoded = source.decode([path.read_bytes() for path in files], wanted, LIMIT)
    rows, _ = rows_of_day(source, source.table, decoded, [entry(path.name) for path in files], dt.date(2023, 7, 10))
    return source.table, rows


def read_by_pyorc(data):
    """Rows as dictionaries, by the reader of Apache's own C++ library."""
    return list(pyorc.Reader(io.BytesIO(data), struct_repr=pyorc.StructRepr.DICT))


@given(st.lists(ROWS, max_size=20), st.sampled_from([ZLIB, ZSTD]))
def test_any_rows_read_back_as_they_were_written(rows, settings):
    written = pa.Table.from_pylist(rows, arrow_schema(TABLE))
    data = pack_part(written, TABLE, settings)
    assert read_part(data, TABLE).equals(written)
    assert count_rows(data) == len(rows)


@pytest.mark.parametrize("settings", [ZLIB, ZSTD], ids=lambda one: one.compression)
@pytest.mark.parametrize(
    ("source", "folder", "count"), [(cloudtrail.SOURCE, "trail", 2915), (cloudwatch.SOURCE, "firehose", 17)]
)
def test_the_sample_day_reads_back_and_pyorc_reads_the_same_values(source, folder, count, settings):
    table, rows = sample_rows(source, folder)
    data = pack_part(rows, table, settings)
    assert rows.num_rows == count
    assert read_part(data, table).equals(rows)
    assert content_hash(read_part(data, table)) == content_hash(rows)
    given = [{**row, "eventtime": row["eventtime"].replace(tzinfo=dt.timezone.utc)} for row in rows.to_pylist()]
    assert [{**row, "eventtime": row["eventtime"].astimezone(dt.timezone.utc)} for row in read_by_pyorc(data)] == given


def test_the_type_of_a_time_is_the_one_without_a_zone():
    """Athena, Hive and Trino take TIMESTAMP as `timestamp`, and not TIMESTAMP_INSTANT (adr/0004)."""
    written = pa.Table.from_pylist([{"a_timestamp": dt.datetime(2026, 3, 2, 1, 2, 3, 4000)}], arrow_schema(TABLE))
    reader = pyorc.Reader(io.BytesIO(pack_part(written, TABLE, ZLIB)))
    assert str(reader.schema) == (
        "struct<a_string:string,a_json:string,a_boolean:boolean,a_int:int,a_bigint:bigint,a_timestamp:timestamp,a_date:date>"
    )
    assert reader.read()[0][5] == dt.datetime(2026, 3, 2, 1, 2, 3, 4000, tzinfo=dt.timezone.utc)
    assert reader.compression is pyorc.CompressionKind.ZLIB


def test_picked_columns_are_read_in_the_asked_order():
    table, rows = sample_rows(cloudwatch.SOURCE, "firehose")
    data = pack_part(rows, table, ZLIB)
    picked = read_part(data, table, ["sessionid", "eventtime", "eventid"])
    assert picked.equals(rows.select(["sessionid", "eventtime", "eventid"]))


def made_part(rows=25_000):
    """(part, rows) with random text in every id column, so that any absent one lies between the least and the most."""
    draw = random.Random(3)
    table = cloudtrail.TABLE
    values = {name: [None] * rows for name in table.column_names}
    for name in ("eventid", "sessionid", "requestid", "sharedeventid", "eventname"):
        values[name] = [f"{draw.getrandbits(64):016x}" for _ in range(rows)]
    values["eventtime"] = [dt.datetime(2026, 3, 2)] * rows
    values["source_object"], values["source_ordinal"] = ["s3://b/k"] * rows, list(range(rows))
    written = pa.table(values, arrow_schema(table))
    return pack_part(written, table, ZLIB), written


PART, MADE = made_part()


def rows_read(column, value):
    """How many rows a reader that skips by statistics and bloom filters has to look at for one value of a column."""
    wanted = PredicateColumn(pyorc.TypeKind.STRING, column) == value
    return sum(1 for _row in pyorc.Reader(io.BytesIO(PART), column_names=[column], predicate=wanted))


def absent_between(column):
    """Values that no row has, between the least and the most that some row has in each row group."""
    there = set(MADE[column].to_pylist())
    return [value for value in (f"8{n:015x}" for n in range(50)) if value not in there]


@pytest.mark.parametrize("column", cloudtrail.TABLE.lookup_columns)
def test_the_bloom_filter_of_a_lookup_column_spares_reading_any_row_for_an_absent_id(column):
    """A filter is asked for by ORC column id; off by one, another column has it and nobody notices."""
    spared = [value for value in absent_between(column) if rows_read(column, value) == 0]
    assert len(spared) >= 35  # of 50: a filter of 5 % errs in one of three row groups now and then
    present = MADE[column][17].as_py()
    assert 0 < rows_read(column, present) <= 10_000


@pytest.mark.parametrize("column", ["requestid", "sharedeventid", "eventname"])
def test_other_columns_have_no_bloom_filter_so_that_the_whole_part_is_read(column):
    assert {rows_read(column, value) for value in absent_between(column)[:8]} == {MADE.num_rows}


def test_the_lookup_columns_are_the_ids_that_single_rows_are_searched_by():
    assert cloudtrail.TABLE.lookup_columns == ("eventid", "sessionid")
    assert cloudwatch.TABLE.lookup_columns == ("eventid", "sessionid")


def test_texts_that_repeat_are_stored_once():
    """pyarrow writes no dictionary unless asked: a third larger."""
    names = [f"{n % 7}" * 200 for n in range(20_000)]
    table = Table("t", "Text.", (Column("a", "string", "A column."),), ())
    part = pack_part(pa.table({"a": names}), table, OrcSettings("zstd"))
    assert len(part) < 8000


@pytest.mark.parametrize(
    "data",
    [b"", b"ORC", b"x" * 1000, PART[:-1], PART[:1000], PART[:-1] + b"\xff"],
    ids=["empty", "head", "junk", "less one byte", "cut", "bad end"],
)
def test_what_is_no_whole_orc_file_is_a_store_error(data):
    for read in (lambda: read_part(data, cloudtrail.TABLE), lambda: count_rows(data)):
        with pytest.raises(StoreError, match=r"^not a readable ORC file: "):
            read()


def test_a_part_damaged_inside_is_a_store_error_or_has_another_hash():
    """ORC has no checksums: what decodes all the same is told by the content hash in the manifest."""
    table, rows = sample_rows(cloudwatch.SOURCE, "firehose")
    data, hashed = pack_part(rows, table, ZLIB), content_hash(rows)
    for place in range(0, len(data) - 100, 97):
        damaged = data[:place] + bytes([data[place] ^ 0x5A]) + data[place + 1 :]
        try:
            again = read_part(damaged, table)
        except StoreError:
            continue
        assert again.equals(rows) or content_hash(again) != hashed


def test_bounds_are_the_least_and_the_most_of_the_columns_that_readers_search_by():
    data = document(log_event(), log_event("b", id="x"), logStream="zoe-9", logGroup="/a") + document(
        log_event(), logGroup="/b"
    )
    decoded = cloudwatch.SOURCE.decode([data], Wanted(log_groups={"session": ("/*",)}), LIMIT)
    rows, _ = rows_of_day(cloudwatch.SOURCE, cloudwatch.TABLE, decoded, [entry()], dt.date(2026, 3, 2))
    assert bounds_of(rows) == {
        "owner": ("111122223333", "111122223333"),
        "loggroup": ("/a", "/b"),
        "sessionid": ("9", "t59j8gpq2ta8hniozstbnphqs8"),
        "eventtime": ("2026-03-02 01:02:03", "2026-03-02 01:02:03"),
    }
    assert bounds_of(rows.slice(0, 0)) == {}
