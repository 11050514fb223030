"""Columns and tables."""

import pytest

from loglake_dagster.lake.schema import Column, Table
from loglake_dagster.sources import SOURCES

A, B, DAY = (Column(name, "string", "A column.") for name in ("a", "b", "day"))
TABLE = Table("t", "A table.", (A, B), (DAY,), row_order=("a",))


@pytest.mark.parametrize("name", ["", "A", "1a", "a-b", "a.b", "a b", "ä", "a" * 256, "a\n"])
def test_a_column_name_that_hive_would_not_take_is_refused(name):
    with pytest.raises(ValueError) as caught:
        Column(name, "string", "A column.")
    assert str(caught.value) == f"column name {name!r}: expected lower case, Hive-safe"


def test_a_table_finds_its_columns_by_name_partition_columns_too():
    assert TABLE.column("b") is B
    assert TABLE.column("day") is DAY
    with pytest.raises(KeyError):
        TABLE.column("c")


def test_a_table_with_fewer_columns_keeps_their_order():
    assert TABLE.with_columns(frozenset(["b", "x"])).column_names == ("b",)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_every_declared_column_is_there_once_and_says_what_it_holds(source):
    names = [*source.table.column_names, *(column.name for column in source.table.partition_columns)]
    assert len(set(names)) == len(names)
    assert [column.name for column in source.table.columns if not column.doc.endswith(".")] == []
    assert set(source.table.row_order) <= set(names)
    assert set(source.identity) <= set(names)
    assert source.table.lookup_columns != ()
