"""What may be skipped: only what cannot hold a wanted row, whatever is null."""

import datetime as dt
import operator

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglake_dagster.kernels.pruning import MOST_VALUES, columns_of, guarantee_of, only_values, places_of

SCHEMA = pa.schema([("name", pa.string()), ("id", pa.string()), ("time", pa.timestamp("ms")), ("n", pa.int64())])
NAME, ID = pc.field("name"), pc.field("id")
COMPARISONS = (operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge)
VALUES = st.none() | st.sampled_from(["", "A", "B", "b", "é", "B" * 300])
FILTERS = st.recursive(
    st.one_of(
        st.sampled_from(["A", "AA", "B", "é", "z"]).flatmap(
            lambda v: st.sampled_from([*(compare(NAME, v) for compare in COMPARISONS), NAME.isin([v, "b"])])
        ),
        st.sampled_from([NAME.is_null(), NAME.is_valid(), ID == "A", ID.is_null()]),
    ),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda two: two[0] & two[1]),
        st.tuples(inner, inner).map(lambda two: two[0] | two[1]),
        inner.map(lambda one: ~one),
    ),
    max_leaves=5,
)


@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=6), FILTERS)
def test_a_stretch_with_a_wanted_row_is_never_left_out(pairs, wanted):
    names, ids = zip(*pairs, strict=True)
    rows = pa.table({"name": names, "id": ids, "time": [None] * len(names), "n": [1] * len(names)}, SCHEMA)
    known = sorted((name for name in names if name is not None), key=str.encode)
    bounds = {"name": (known[0], known[-1]) if known else None}
    full = ("name",) if len(known) == len(names) else ()
    guarantees = [guarantee_of(bounds, SCHEMA, ["name"], full), guarantee_of(bounds, SCHEMA, ["name"])]
    if rows.filter(wanted).num_rows:
        assert places_of(guarantees, SCHEMA, wanted) == [0, 1]
    only = only_values(wanted, SCHEMA, "id")
    assert only is None or set(rows.filter(wanted)["id"].to_pylist()) <= set(only)


def test_bounds_leave_out_what_lies_beside_them_though_rows_may_be_null():
    guarantee = guarantee_of({"name": ("B", "D")}, SCHEMA, ["name"])
    for beside in (NAME == "A", NAME > "D", NAME < "B", (NAME == "E") & (ID == "x")):
        assert places_of([guarantee], SCHEMA, beside) == []
    for inside in (NAME == "C", NAME.is_null(), ~(NAME == "C"), (NAME == "A") | (ID == "x"), None):
        assert places_of([guarantee], SCHEMA, inside) == [0]
    nulls = guarantee_of({"name": None}, SCHEMA, ["name"])
    assert places_of([nulls], SCHEMA, NAME == "C") == []
    assert places_of([nulls], SCHEMA, NAME.is_null()) == [0]
    times = guarantee_of({"time": ("2026-03-02 00:00:00", "2026-03-02 01:02:03.500000")}, SCHEMA, ["time"])
    later = pc.field("time") > pa.scalar(dt.datetime(2026, 3, 2, 1, 2, 3, 500_000), pa.timestamp("ms"))
    assert places_of([times], SCHEMA, later) == []
    assert guarantee_of({"n": ("1", "2")}, SCHEMA, ["n", "name"]) is None


@given(FILTERS)
def test_a_filter_can_be_asked_of_its_columns_alone_and_of_none_less(wanted):
    names = columns_of(wanted, SCHEMA)
    rows = pa.table({"name": ["A", None], "id": ["A", "B"], "time": [None] * 2, "n": [1, 2]}, SCHEMA)
    assert rows.select(names).filter(wanted).num_rows == rows.filter(wanted).num_rows
    for name in names:
        with pytest.raises(pa.ArrowInvalid):
            rows.select([one for one in names if one != name]).filter(wanted)


def test_the_columns_of_a_filter_are_those_it_cannot_do_without():
    assert columns_of((NAME == "a") | ~(pc.field("n") > 1), SCHEMA) == ["name", "n"]
    assert columns_of(None, SCHEMA) == []
    assert columns_of(pc.scalar(True), SCHEMA) == []
    # Of a filter that cannot be bound every column may be looked at.
    assert columns_of((NAME == "a") & (pc.field("gone") == 1), SCHEMA) == SCHEMA.names
    assert columns_of(NAME == "id of n", SCHEMA) == ["name"], "a name among the values is no column"


@pytest.mark.parametrize(
    ("wanted", "values"),
    [
        (ID == "x", ["x"]),
        ((ID == "x") & (NAME == "y"), ["x", "y"]),
        (ID.isin(["x", "a"]), ["a", "x"]),
        ((ID == "x") | (ID == "y"), ["x", "y"]),
        ((ID == "x") | ID.is_null(), None),
        ((ID == "x") | (NAME == "y"), None),
        (ID != "x", None),
        (~(ID == "x"), None),
        (ID >= "x", None),
        (ID.is_valid(), None),
        (NAME == "x", None),
        (None, None),
        (ID.isin([f"{n:03d}" for n in range(MOST_VALUES + 1)]), None),
    ],
)
def test_the_only_values_of_a_column_are_told_where_there_are_no_others(wanted, values):
    assert only_values(wanted, SCHEMA, "id") == values
