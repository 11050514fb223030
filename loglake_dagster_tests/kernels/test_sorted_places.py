"""The order of rows: what Arrow's own sort says, for any columns."""

import datetime as dt

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglake_dagster.kernels.arrow import sorted_places

SCHEMA = pa.schema(
    [
        ("a", pa.string()),
        ("b", pa.string()),
        ("t", pa.timestamp("ms")),
        ("c", pa.string()),
        ("n", pa.int64()),
        ("d", pa.date32()),
    ]
)
TEXTS = st.none() | st.sampled_from(["", "a", "A", "aa", "\u00e9", "\U0001f600", "z"])
NUMBERS = st.none() | st.sampled_from([-(2**63), -1, 0, 1, 2**62, 2**63 - 1])
MOMENTS = st.none() | st.integers(-5, 5).map(lambda second: dt.datetime(2026, 3, 2) + dt.timedelta(seconds=second))
DATES = st.none() | st.dates(dt.date(2026, 3, 1), dt.date(2026, 3, 4))
ROWS = st.lists(
    st.fixed_dictionaries({"a": TEXTS, "b": TEXTS, "t": MOMENTS, "c": TEXTS, "n": NUMBERS, "d": DATES}), max_size=40
)
ORDERS = st.permutations(SCHEMA.names).flatmap(lambda names: st.integers(1, 6).map(lambda count: names[:count]))


@given(ROWS, ORDERS, st.integers(1, 3))
def test_the_order_is_that_of_arrows_sort(rows, names, chunks):
    whole = pa.Table.from_pylist(rows, SCHEMA)
    table = pa.concat_tables([whole] * chunks)
    expected = pc.sort_indices(table, sort_keys=[(name, "ascending") for name in names])
    assert sorted_places(table, names).tolist() == expected.to_pylist()


@pytest.mark.parametrize("name", ["t", "n"])
def test_numbers_that_are_too_far_apart_for_one_are_ordered_all_the_same(name):
    rows = pa.table({"n": pa.array([2**63 - 1, None, -(2**63), 0]), "t": pa.array([3, None, 1, 2])})
    assert sorted_places(rows, [name]).tolist() == [2, 3, 0, 1]


def test_many_texts_whose_numbers_do_not_fit_together_are_ordered_all_the_same():
    count = 3000
    columns = {
        f"c{n}": [f"{(row * (2 * n + 3)) % 2999}" for row in range(count)] for n in range(7)
    }  # 3000 ** 7 > 2 ** 63
    table = pa.table(columns)
    expected = pc.sort_indices(table, sort_keys=[(name, "ascending") for name in columns])
    assert sorted_places(table, list(columns)).tolist() == expected.to_pylist()
