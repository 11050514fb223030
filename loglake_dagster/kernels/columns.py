"""Columns made from a record's text by compiled code (_columns.c): the quick way of what flatten.py says.

It takes records of the declared shape, with what is undeclared beside, and leaves every other one to the readers in
Python, so that it changes how long a day takes and never what is in it. Where the extension was not built there is no
quick way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from loglake_dagster.kernels.arrow import ARROW_TYPES, combined, is_text
from loglake_dagster.kernels.flatten import EMPTY_FIELDS, EXTRA, Flattener, Node, label_texts
from loglake_dagster.kernels.rows import Derived, Places
from loglake_dagster.lake.schema import SOURCE_ORDINAL, Column, Kind
from loglake_dagster.lake.source import MAX_REJECTS, OBJECT_PLACE

try:
    from loglake_dagster.kernels import _columns
except ImportError:  # no compiler where it was installed: the readers in Python do all
    _columns = None  # type: ignore[assignment]

_KINDS: dict[Kind, str] = {
    "string": "text", "json": "json", "boolean": "flag", "timestamp": "time", "bigint": "number",
}  # fmt: skip
_EXTRA_COLUMN = Column(EXTRA, "json", "What is undeclared.")
_MOST_MEMBERS, _MOST_LABELS, _MOST_JUDGED = 255, 48, 4

# Of a record's judged texts: the name of the rule that drops it, None if it is kept.
Verdict = Callable[[Sequence[str]], str | None]


class Taken(NamedTuple):
    """What became of a text: how many records it has, how many of them each rule dropped, and (ordinal, start, end) of
    those that are left to the readers in Python."""

    found: int
    filtered: Mapping[str, int]
    odd: Sequence[tuple[int, int, int]]


def is_built() -> bool:
    """Whether the compiled code is there."""
    return _columns is not None


def holds(buffer: pa.Buffer, text: bytes) -> bool:
    """Whether the text stands anywhere in the buffer."""
    return _columns.holds(buffer, text) if is_built() else text in buffer.to_pybytes()


class ColumnBuilder:
    """The columns of a run of texts under construction. `verdict` judges records by `judged`, names of text fields;
    None keeps all."""

    def __init__(
        self, flattener: Flattener, member: str, time_field: str, judged: Sequence[str], verdict: Verdict | None
    ) -> None:
        self._columns = (*flattener.columns, _EXTRA_COLUMN)
        self._places = {column.name: place for place, column in enumerate(self._columns)}
        self._labels: list[str] = []
        self._nulls: list[str] = []
        self._member = member
        self._verdicts: dict[bytes, int] | None = None if verdict is None else {}
        self._verdict, self._rules = verdict, list[str]()
        members = [*self._members(flattener.root, judged), *_others(flattener)]
        time_column = next(n for n, column in enumerate(self._columns) if column.field == time_field)
        self._builder = _columns.Builder(len(self._columns), time_column, len(self._columns) - 1, members)
        self.size = 0

    def _members(self, node: Node, judged: Sequence[str] = ()) -> list[tuple[Any, ...]]:
        """A node's members as the compiled code wants them. Labels are numbered as the columns are gone through in
        flatten.py, and texts list them in that order."""
        told: list[tuple[Any, ...]] = []
        for name, column in node.leaves.items():
            text = f"{node.path}.{name}=null" if node.path else f"{name}=null"
            label = _numbered(self._labels, text) if column.kind == "json" else -1
            null = _numbered(self._nulls, text) if column.kind not in ("json", "timestamp") else -1
            place = judged.index(name) if name in judged else -1
            told.append((name, _KINDS[column.kind], self._places[column.name], label, null, place, None))
        for name, child in node.nodes.items():
            inside, null = self._members(child), _numbered(self._nulls, f"{child.path}=null")
            told.append((name, "node", -1, _numbered(self._labels, f"{child.path}={{}}"), null, -1, inside))
        return told

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
        rule = self._verdict(key.decode().split("\0"))
        if rule is None:
            return 0
        if rule not in self._rules:
            self._rules.append(rule)
        return self._rules.index(rule) + 1

    def finish(self, derived: Derived | None = None) -> BuiltRows:
        """The rows of what was added since the last time, in the order in which it was added."""
        rows, count, objects, ordinals, labels = self._builder.finish()
        self.size = 0
        ids = np.frombuffer(objects, np.int32), np.frombuffer(ordinals, np.int64), np.frombuffer(labels, np.uint64)
        return BuiltRows(rows, count, self._columns, *ids, self._labels, self._nulls, derived)


class BuiltRows:
    """Rows that the compiled code kept, not columns yet. See Rows."""

    def __init__(
        self,
        rows: _columns.Rows,
        count: int,
        columns: Sequence[Column],
        objects: np.ndarray[Any, Any],
        ordinals: np.ndarray[Any, Any],
        labels: np.ndarray[Any, Any],
        label_names: Sequence[str],
        nulls: Sequence[str],
        derived: Derived | None,
    ) -> None:
        self._rows, self._count, self._columns, self._derived = rows, count, columns, derived
        self._ids = {OBJECT_PLACE: objects, SOURCE_ORDINAL.name: ordinals}
        self._labels, self._label_names, self._nulls = labels, label_names, nulls

    @property
    def num_rows(self) -> int:
        return self._count

    @property
    def column_names(self) -> list[str]:
        made = self._derived.made if self._derived else ()
        return sorted({*(column.name for column in self._columns), *self._ids, EMPTY_FIELDS, *made})

    def table(self, names: Sequence[str] | None = None, places: Places | None = None) -> pa.Table:
        names = self.column_names if names is None else list(names)
        derived = self._derived
        if derived is None or derived.made.isdisjoint(names):
            arrays = self._arrays(set(names), places)
        else:
            arrays = self._arrays({*names, *derived.needs}, places)
            derived.make(arrays)
        return pa.table({name: arrays[name] for name in names})

    def _arrays(self, names: Set[str], places: Places | None) -> dict[str, pa.Array]:
        """Those of the named columns that are not derived."""
        order = None if places is None else np.ascontiguousarray(places, np.int64)
        count = self._count if order is None else len(order)
        wanted = [number for number, column in enumerate(self._columns) if column.name in names]
        told = self._rows.columns(wanted, order)
        columns = [self._columns[number] for number in wanted]
        arrays = {column.name: _array(column, count, one) for column, one in zip(columns, told, strict=True)}
        for name in names & self._ids.keys():
            arrays[name] = pa.array(self._ids[name] if order is None else self._ids[name][order])
        if EMPTY_FIELDS in names:
            arrays[EMPTY_FIELDS] = self._label_texts(self._labels if order is None else self._labels[order])
        return arrays

    def _label_texts(self, codes: np.ndarray[Any, Any]) -> pa.Array:
        """For each code the labels whose bits it has and, last, the nulls that it has the numbers of."""
        nulls: dict[int, list[str]] = {}
        for kind in np.unique(codes).tolist():
            numbers = (kind >> _MOST_LABELS).to_bytes(2, "little")
            nulls[kind] = [self._nulls[number - 1] for number in numbers if number]
        return label_texts(self._label_names, codes, nulls)


def _numbered(texts: list[str], text: str) -> int:
    """Adds the text to the list; its place there."""
    texts.append(text)
    return len(texts) - 1


def _others(flattener: Flattener) -> Iterator[tuple[Any, ...]]:
    """Members that may stand in for declared ones: a record that has one is for the readers in Python."""
    for name in sorted({path.partition(".")[0] for path in flattener.stand_ins.values()}):
        yield name, "other", -1, -1, -1, -1, None


def can_build(flattener: Flattener, judged: Sequence[str]) -> bool:
    """Whether the compiled code is there and can hold this shape."""
    nodes = sum(1 for _node in _nodes_of(flattener.root))
    labels = nodes + sum(column.kind == "json" for column in flattener.columns)
    declared = {*flattener.root.leaves, *flattener.root.nodes}
    has_others = declared.isdisjoint(name for name, *_rest in _others(flattener))
    is_small = len(flattener.columns) + nodes + len(flattener.stand_ins) <= _MOST_MEMBERS and labels <= _MOST_LABELS
    return (
        is_built()
        and is_small
        and has_others
        and len(judged) <= _MOST_JUDGED
        and "int" not in {c.kind for c in flattener.columns}
    )


def _nodes_of(node: Node) -> Iterator[Node]:
    for child in node.nodes.values():
        yield child
        yield from _nodes_of(child)


def _array(column: Column, rows: int, told: tuple[int, bytes | None, bytes, bytes | None] | None) -> pa.Array:
    kind = ARROW_TYPES[column.kind]
    if told is None:
        return pa.nulls(rows, kind)
    nulls, valid, values, texts = told
    buffers = [None if valid is None else pa.py_buffer(valid), pa.py_buffer(values)]
    if column.kind == "boolean":
        buffers[1] = pa.py_buffer(np.packbits(np.frombuffer(values, np.uint8, rows), bitorder="little"))
    if texts is not None:
        buffers.append(pa.py_buffer(texts))
    return pa.Array.from_buffers(kind, rows, buffers, nulls)


def joined_rows(columns: Sequence[pa.ChunkedArray], rows_at_once: int) -> Iterator[list[bytes]]:
    """The bytes of so many rows after the other. A row has for every column eight bytes with a text's length or a
    number, -1 and the smallest number for null, then the texts."""
    told = [_buffers_of(column) for column in columns]
    count = len(columns[0])
    for start in range(0, count, rows_at_once):
        yield _columns.join_rows(start, min(start + rows_at_once, count), told)


def _buffers_of(chunked: pa.ChunkedArray) -> tuple[Any, ...]:
    """A column as the compiled code wants it."""
    has_texts = is_text(chunked.type)
    if chunked.null_count == len(chunked):
        return True, has_texts, 0, False, None, b"", b""
    column = combined(chunked)
    if has_texts:
        valid, offsets, texts = column.buffers()
        return False, True, column.offset, pa.types.is_large_string(column.type), valid, offsets, texts or b""
    # date32 casts to int64 by way of int32 only
    values = (column.cast(pa.int32()) if column.type == pa.date32() else column).cast(pa.int64())
    valid, numbers = values.buffers()
    return False, False, values.offset, False, valid, numbers, b""
