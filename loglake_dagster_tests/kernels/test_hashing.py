"""Row hashes: equal tables have equal hashes, and nothing else has."""

import datetime as dt
import struct

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import assume, given
from hypothesis import strategies as st

from loglake_dagster.kernels import hashing
from loglake_dagster.kernels.hashing import content_hash, identity_hashes, multiset_hash, repeated, row_hashes
from loglake_dagster.lake.manifest import combine_hashes

SCHEMA = pa.schema(
    [
        ("a", pa.string()),
        ("b", pa.string()),
        ("flag", pa.bool_()),
        ("count", pa.int64()),
        ("size", pa.int32()),
        ("time", pa.timestamp("ms")),
        ("day", pa.date32()),
    ]
)
TEXTS = st.none() | st.text(max_size=4)
ROWS = st.fixed_dictionaries(
    {
        "a": TEXTS,
        "b": TEXTS,
        "flag": st.none() | st.booleans(),
        "count": st.none() | st.integers(-(2**63) + 1, 2**63 - 1),
        "size": st.none() | st.integers(-(2**31), 2**31 - 1),
        "time": st.none()
        | st.integers(0, 10**13).map(lambda ms: dt.datetime(1970, 1, 1) + dt.timedelta(milliseconds=ms)),
        "day": st.none() | st.dates(dt.date(1970, 1, 1), dt.date(2261, 1, 1)),
    }
)
TABLES = st.lists(ROWS, max_size=12)


def table(rows):
    return pa.Table.from_pylist(rows, SCHEMA)


@given(TABLES, st.randoms(use_true_random=False), st.integers(1, 5))
def test_the_hash_depends_on_neither_order_nor_chunks_nor_parts(rows, random, parts):
    shuffled = random.sample(rows, len(rows))
    split = [table(shuffled[n::parts]) for n in range(parts)]
    assert content_hash(table(rows)) == content_hash(pa.concat_tables(split))
    assert content_hash(table(rows)) == combine_hashes(content_hash(part) for part in split)


@given(TABLES, st.integers(1, 5))
def test_the_hash_does_not_depend_on_how_many_rows_are_hashed_at_once(rows, at_once):
    whole = row_hashes(table(rows), SCHEMA.names)
    before = hashing._ROWS_AT_ONCE
    try:
        hashing._ROWS_AT_ONCE = at_once
        assert (row_hashes(table(rows), SCHEMA.names) == whole).all()
    finally:
        hashing._ROWS_AT_ONCE = before


@given(st.lists(ROWS, min_size=1, max_size=6), st.data())
def test_any_changed_value_changes_the_hash(rows, data):
    place = data.draw(st.integers(0, len(rows) - 1))
    name = data.draw(st.sampled_from(SCHEMA.names))
    other = data.draw(ROWS)[name]
    assume(other != rows[place][name])
    changed = [*rows[:place], {**rows[place], name: other}, *rows[place + 1 :]]
    assert content_hash(table(rows)) != content_hash(table(changed))


@given(st.lists(ROWS, min_size=1, max_size=6))
def test_a_row_more_or_less_changes_the_hash(rows):
    assert content_hash(table(rows)) != content_hash(table(rows[1:]))
    assert content_hash(table(rows)) != content_hash(table([*rows, rows[0]]))


EMPTY = dict.fromkeys(SCHEMA.names)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": None}, {"a": ""}),
        ({"a": "x", "b": ""}, {"a": "", "b": "x"}),
        ({"a": "x", "b": None}, {"a": None, "b": "x"}),
        ({"a": "xy", "b": "z"}, {"a": "x", "b": "yz"}),
        ({"a": "\0"}, {"a": "\0\0"}),
        ({"flag": None}, {"flag": False}),
        ({"count": None}, {"count": 0}),
        ({"count": 1}, {"size": 1}),
        ({"size": None}, {"size": 0}),
        ({"time": None}, {"time": dt.datetime(1970, 1, 1)}),
        ({"day": None}, {"day": dt.date(1970, 1, 1)}),
    ],
)
def test_values_that_look_alike_hash_apart(one, other):
    assert content_hash(table([{**EMPTY, **one}])) != content_hash(table([{**EMPTY, **other}]))


def test_the_hash_of_a_row_covers_lengths_and_numbers_then_the_texts():
    """Spelled out, because manifests keep hashes for years: another formula would make every version look altered."""
    row = {
        "a": "x",
        "b": None,
        "flag": True,
        "count": 2**40,
        "size": -1,
        "time": dt.datetime(1970, 1, 1, 0, 0, 2),
        "day": dt.date(1970, 1, 4),
    }
    covered = struct.pack("<7q", 1, -1, 1, 2**40, -1, 2000, 3) + b"x"
    assert content_hash(table([row])) == xxhash.xxh3_128(covered).hexdigest()
    nothing = struct.pack("<7q", -1, -1, *[-(2**63)] * 5)
    assert content_hash(table([EMPTY])) == xxhash.xxh3_128(nothing).hexdigest()
    assert content_hash(table([])) == "0" * 32


def test_a_sum_of_hashes_carries_from_the_low_half_into_the_high_half():
    hashes = np.array([[0, 2**64 - 1], [0, 1], [2**64 - 1, 5]], np.uint64)
    assert multiset_hash(hashes) == f"{(2**64 - 1 + 1 + ((2**64 - 1) << 64) + 5) % 2**128:032x}"


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)), max_size=8))
def test_the_multiset_hash_is_the_sum_modulo_2_to_128(pairs):
    hashes = np.array(pairs, np.uint64).reshape(len(pairs), 2)
    assert multiset_hash(hashes) == f"{sum((high << 64) + low for high, low in pairs) % 2**128:032x}"


@given(st.lists(st.sampled_from("abc"), max_size=10))
def test_a_row_is_repeated_when_an_earlier_one_has_its_hash(letters):
    hashes = row_hashes(pa.table({"a": pa.array(letters, pa.string())}), ["a"])
    assert repeated(hashes).tolist() == [letter in letters[:n] for n, letter in enumerate(letters)]


def test_a_row_without_the_first_identity_column_is_nobodys_duplicate():
    rows = pa.table({"id": pa.array(["x", "", None, "x"]), "account": pa.array(["1", "1", "1", "2"])})
    hashes, has_identity = identity_hashes(rows, ["id", "account"])
    assert has_identity.tolist() == [True, False, False, True]
    assert len({tuple(one) for one in hashes.tolist()}) == 4
