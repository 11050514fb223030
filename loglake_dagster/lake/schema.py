"""Columns and tables, declared once; DDL, catalogs, Dagster's schema and documents are made from these.

Belongs here: names, kinds, units, sentences. Stays out: Arrow, ORC, SQL dialects (kernels, io).
Column names are lower case and Hive-safe; a kind names what a reader sees, not how a library stores it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal["string", "json", "boolean", "int", "bigint", "timestamp", "date"]

HIVE_TYPES: dict[Kind, str] = {
    "string": "string",
    "json": "string",
    "boolean": "boolean",
    "int": "int",
    "bigint": "bigint",
    "timestamp": "timestamp",
    "date": "date",
}

_NAME = re.compile(r"[a-z][a-z0-9_]{0,254}")


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `field` is the dotted path in AWS's record that it is read from, None where Log Lake makes it.

    A `json` column holds JSON text exactly as the record had it. A `timestamp` is UTC, to the millisecond.
    `lookup` marks the ids that single rows are searched by: they get a bloom filter.
    """

    name: str
    kind: Kind
    doc: str
    field: str | None = None
    unit: str | None = None
    nullable: bool = True
    lookup: bool = False

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"column name {self.name!r}: expected lower case, Hive-safe")

    @property
    def hive_type(self) -> str:
        return HIVE_TYPES[self.kind]


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its columns in order, its partition columns, and the order of rows inside a part."""

    name: str
    doc: str
    columns: tuple[Column, ...]
    partition_columns: tuple[Column, ...]
    row_order: tuple[str, ...] = ()

    def column(self, name: str) -> Column:
        """The column of that name; KeyError if there is none."""
        for column in self.columns + self.partition_columns:
            if column.name == name:
                return column
        raise KeyError(name)

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def lookup_columns(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns if column.lookup)

    def with_columns(self, kept: frozenset[str]) -> Table:
        """The same table with only the named columns left, order unchanged."""
        return replace(self, columns=tuple(c for c in self.columns if c.name in kept))


EVENT_DAY = Column("eventday", "date", "UTC day of eventtime; the partition.", unit="UTC day", nullable=False)
SOURCE_OBJECT = Column(
    "source_object", "string", "URI of the source object that the row was read from.", nullable=False
)
SOURCE_ORDINAL = Column(
    "source_ordinal",
    "bigint",
    "Place of the record in its source object, counted from 0 over every record, rejected ones too.",
    unit="count",
    nullable=False,
)
