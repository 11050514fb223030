"""Columns made from a record's text by compiled code (_columns.c): the quick way of what flatten.py says.

It takes records of exactly the declared shape and leaves every other one to the readers in Python, so that it changes
how long a day takes and never what is in it. Where the extension was not built there is no quick way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from loglake_dagster.kernels.arrow import ARROW_TYPES, combined
from loglake_dagster.kernels.flatten import EMPTY_FIELDS, EXTRA, Flattener, Node, label_texts
from loglake_dagster.lake.schema import SOURCE_ORDINAL, Column, Kind
from loglake_dagster.lake.source import MAX_REJECTS, OBJECT_PLACE

try:
    from loglake_dagster.kernels import _columns
except ImportError:  # no compiler where it was installed: the readers in Python do all
    _columns = None  # type: ignore[assignment]

_KINDS: dict[Kind, str] = {
    "string": "text", "json": "json", "boolean": "flag", "timestamp": "time", "bigint": "number", "int": "number",
}  # fmt: skip
_MOST_COLUMNS, _MOST_LABELS, _MOST_JUDGED = 256, 63, 4

# Of a record's judged texts: the name of the rule that drops it, None if it is kept.
Verdict = Callable[[Sequence[str]], str | None]


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a text: how many records it has, how many of them each rule dropped, and (ordinal, start, end) of
    those that are left to the readers in Python."""

    found: int
    filtered: Mapping[str, int]
    odd: Sequence[tuple[int, int, int]]


def is_built() -> bool:
    """Whether the compiled code is there."""
    return _columns is not None


class ColumnBuilder:
    """The columns of a run of texts under construction. `verdict` judges records by `judged`, names of text fields;
    None keeps all."""

    def __init__(
        self, flattener: Flattener, member: str, time_field: str, judged: Sequence[str], verdict: Verdict | None
    ) -> None:
        self._columns = flattener.columns
        self._places = {column.name: place for place, column in enumerate(self._columns)}
        self._labels: list[str] = []
        self._member = member
        self._verdicts: dict[bytes, int] | None = None if verdict is None else {}
        self._verdict, self._rules = verdict, list[str]()
        members = self._members(flattener.root, judged)
        time_column = next(n for n, column in enumerate(self._columns) if column.field == time_field)
        self._builder = _columns.Builder(len(self._columns), time_column, members)
        self.size = 0

    def _members(self, node: Node, judged: Sequence[str] = ()) -> list[tuple[Any, ...]]:
        """A node's members as the compiled code wants them. Labels are numbered as the columns are gone through in
        flatten.py, and texts list them in that order."""
        told: list[tuple[Any, ...]] = []
        for name, column in node.leaves.items():
            label = self._label(f"{node.path}.{name}=null" if node.path else f"{name}=null", column.kind == "json")
            place = judged.index(name) if name in judged else -1
            told.append((name, _KINDS[column.kind], self._places[column.name], label, place, None))
        for name, child in node.nodes.items():
            inside = self._members(child)
            told.append((name, "node", -1, self._label(f"{child.path}={{}}", True), -1, inside))
        return told

    def _label(self, text: str, is_used: bool) -> int:
        if not is_used:
            return -1
        self._labels.append(text)
        return len(self._labels) - 1

    def add(self, text: bytes, place: int, first: int) -> Taken | None:
        """Adds the rows of the text, of the object at `place`, whose records are counted from `first` on. None, and
        nothing added, for a text that is not well-formed or not framed as foreseen."""
        told = self._builder.add(text, self._member, place, first, MAX_REJECTS, self._verdicts, self._ask)
        if told is None:
            return None
        self.size += len(text)
        found, dropped, odd = told
        return Taken(found, {self._rules[number - 1]: count for number, count in dropped.items()}, odd)

    def _ask(self, key: bytes) -> int:
        assert self._verdict is not None
        # What is not UTF-8 is found at the end of its text, which is then not taken.
        rule = self._verdict(key.decode("utf-8", "replace").split("\0"))
        if rule is None:
            return 0
        if rule not in self._rules:
            self._rules.append(rule)
        return self._rules.index(rule) + 1

    def finish(self) -> dict[str, pa.Array]:
        """The arrays of what was added since the last time, by column name, in the order in which it was added."""
        rows, places, ordinals, labels, columns = self._builder.finish()
        self.size = 0
        arrays = {column.name: _array(column, rows, told) for column, told in zip(self._columns, columns, strict=True)}
        arrays[EXTRA] = pa.nulls(rows, pa.string())
        arrays[EMPTY_FIELDS] = label_texts(self._labels, np.frombuffer(labels, np.int64))
        arrays[SOURCE_ORDINAL.name] = pa.Array.from_buffers(pa.int64(), rows, [None, pa.py_buffer(ordinals)], 0)
        arrays[OBJECT_PLACE] = pa.Array.from_buffers(pa.int32(), rows, [None, pa.py_buffer(places)], 0)
        return arrays


def can_build(flattener: Flattener, judged: Sequence[str]) -> bool:
    """Whether the compiled code is there and can hold this shape."""
    return is_built() and len(flattener.columns) <= _MOST_COLUMNS and len(judged) <= _MOST_JUDGED


def _array(column: Column, rows: int, told: tuple[int, bytes | None, bytes, bytes | None] | None) -> pa.Array:
    kind = ARROW_TYPES[column.kind]
    if told is None:
        return pa.nulls(rows, kind)
    nulls, valid, values, offsets = told
    validity = None if valid is None else pa.py_buffer(valid)
    if offsets is not None:
        return pa.Array.from_buffers(kind, rows, [validity, pa.py_buffer(offsets), pa.py_buffer(values)], nulls)
    if column.kind == "boolean":
        bits = pa.py_buffer(np.packbits(np.frombuffer(values, np.uint8), bitorder="little"))
        return pa.Array.from_buffers(kind, rows, [validity, bits], nulls)
    whole = pa.Array.from_buffers(pa.int64(), rows, [validity, pa.py_buffer(values)], nulls)
    return whole if kind == pa.int64() else whole.cast(kind)


def joined_rows(columns: Sequence[pa.ChunkedArray], rows_at_once: int) -> Iterator[tuple[bytes, list[int]]]:
    """For so many rows after the other: (their bytes, where each row ends). A row has for every column eight bytes with
    a text's length or a number, -1 and the smallest number for null, then the texts."""
    told = [_buffers_of(column) for column in columns]
    count = len(columns[0])
    for start in range(0, count, rows_at_once):
        joined, ends = _columns.join_rows(start, min(start + rows_at_once, count), told)
        yield joined, np.frombuffer(ends, np.int64).tolist()


def _buffers_of(chunked: pa.ChunkedArray) -> tuple[Any, ...]:
    """A column as the compiled code wants it."""
    is_text = pa.types.is_string(chunked.type) or pa.types.is_large_string(chunked.type)
    if chunked.null_count == len(chunked):
        return True, is_text, 0, False, None, b"", b""
    column = combined(chunked)
    if is_text:
        valid, offsets, texts = column.buffers()
        return False, True, column.offset, pa.types.is_large_string(column.type), valid, offsets, texts or b""
    # date32 casts to int64 by way of int32 only
    values = (column.cast(pa.int32()) if column.type == pa.date32() else column).cast(pa.int64())
    valid, numbers = values.buffers()
    return False, False, values.offset, False, valid, numbers, b""
