"""JSON objects to flat columns and back, driven by the declared columns alone.

A column's `field` is a dotted path; the nested types for msgspec are made from the paths. Whole well-formed records
take one typed parse. A record with anything unforeseen (an unknown field, a null, another type) is parsed again by
`flatten_oddity`, which loses nothing: what the columns cannot say goes to `extra` (verbatim JSON, laid out like the
record) or to `emptyfields` (`path=null`, `path={}`, `path=absent`). `rebuild` undoes both.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec
import numpy as np
import pyarrow as pa

from loglake_dagster.errors import RecordError, quote
from loglake_dagster.kernels.arrow import ARROW_TYPES, json_text_array
from loglake_dagster.kernels.times import canonical, parse_canonical, to_canonical
from loglake_dagster.lake.schema import Column

EXTRA, EMPTY_FIELDS = "extra", "emptyfields"
_ABSENT = msgspec.Raw(b"")
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_INT64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_PYTHON_TYPES: dict[str, Any] = {"string": str, "boolean": bool, "timestamp": str, "bigint": _INT64, "int": _INT64}


@dataclass(slots=True)
class Oddity:
    """What a record holds beyond its columns: `extra` as nested verbatim JSON, `empties` as labels."""

    extra: dict[str, Any] = field(default_factory=dict)
    empties: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Node:
    """An object of the record: its own columns and the objects inside it."""

    path: str
    leaves: dict[str, Column] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    type: Any = None
    empty: Any = None

    def seal(self) -> None:
        """Makes the msgspec type: every field optional, unknown ones an error, absent objects one shared instance."""
        fields: list[tuple[str, Any, Any]] = []
        for name, node in self.nodes.items():
            node.seal()
            fields.append((name, node.type, node.empty))
        for name, column in self.leaves.items():
            if column.kind == "json":
                fields.append((name, msgspec.Raw, _ABSENT))
            else:
                fields.append((name, _PYTHON_TYPES[column.kind], None))
        name = "Record" + "".join(part.title() for part in self.path.split("."))
        self.type = msgspec.defstruct(name, fields, frozen=True, gc=False, forbid_unknown_fields=True)
        self.empty = self.type()


class Flattener:
    """Turns records of one shape into columns. `columns` are those with a `field`; others are the caller's.

    `stand_ins` name, for a field that a kindred document lacks in any spelling, the path of the field that says it
    there: the column is filled from it, `emptyfields` says that the field itself was absent, and the other stays where
    it was.
    """

    def __init__(self, columns: Iterable[Column], stand_ins: Mapping[str, str] | None = None) -> None:
        self.columns = tuple(column for column in columns if column.field is not None)
        self.stand_ins = dict(stand_ins or {})
        self.root = Node("")
        for column in self.columns:
            node, path = self.root, str(column.field).split(".")
            for depth, name in enumerate(path[:-1], 1):
                node = node.nodes.setdefault(name, Node(".".join(path[:depth])))
            node.leaves[path[-1]] = column
        self.root.seal()
        self.record_type = self.root.type
        self._decode_one = msgspec.json.Decoder(self.record_type).decode

    def decode_record(self, record: bytes) -> Any:
        """One record of the foreseen shape; msgspec's errors, RecursionError or UnicodeDecodeError otherwise."""
        return self._decode_one(record)

    def flatten_oddity(self, record: bytes) -> tuple[Any, Oddity]:
        """Any JSON object as a record and what its columns cannot say. RecordError if it is no JSON object, or a
        time cannot be read."""
        oddity = Oddity()
        members = _members(record, "$")
        flat = self._odd_object(self.root, members, oddity)
        given = {name.lower() for name in members}
        for name, path in self.stand_ins.items():
            text = _member_at(members, path) if name.lower() not in given else None
            # What is odd about the other field is no matter: it stays in `extra`, verbatim.
            value = _odd_leaf(self.root.leaves[name], path, bytes(text), Oddity()) if text else None
            if value is not None:
                flat = msgspec.structs.replace(flat, **{name: value})
                oddity.empties.append(f"{name}=absent")
        return flat, oddity

    def _odd_object(self, node: Node, members: dict[str, msgspec.Raw], oddity: Oddity) -> Any:
        values: dict[str, Any] = {}
        lowered = {name.lower(): name for name in (*node.leaves, *node.nodes)}
        for given, raw in members.items():
            text = bytes(raw)
            name = given if given in node.leaves or given in node.nodes else lowered.get(given.lower(), "")
            path = f"{node.path}.{name}" if node.path else name
            if not name or (name != given and name in members):
                _put(oddity.extra, node.path, given, text)
                continue
            inside = oddity
            if name != given:  # all of it is kept under the name that was given; what is odd inside is kept with it
                _put(oddity.extra, node.path, given, text)
                oddity.empties.append(f"{path}=absent")
                inside = Oddity()
            if name in node.nodes:
                value = self._odd_node(node.nodes[name], text, inside)
            else:
                value = _odd_leaf(node.leaves[name], path, text, inside)
            if value is not None:
                values[name] = value
        return node.type(**values)

    def _odd_node(self, node: Node, text: bytes, oddity: Oddity) -> Any:
        if text == b"null":
            oddity.empties.append(f"{node.path}=null")
            return None
        if not text.startswith(b"{"):
            parent, _dot, name = node.path.rpartition(".")
            _put(oddity.extra, parent, name, text)
            return None
        return self._odd_object(node, _members(text, f"$.{node.path}"), oddity)

    def arrays(self, records: Sequence[Any], oddities: Mapping[int, Oddity]) -> dict[str, pa.Array]:
        """Every column's array, plus `extra` and `emptyfields`, rows in the order of `records`. `oddities` are keyed
        by place in `records`. Text columns of kind timestamp hold canonical text here and come out as timestamps."""
        arrays: dict[str, pa.Array] = {}
        empties: list[tuple[str, np.ndarray[Any, Any]]] = []
        self._node_arrays(self.root, records, arrays, empties)
        extra: list[str | None] = [None] * len(records)
        labels = _empty_labels(len(records), empties).to_pylist()
        for index, oddity in oddities.items():
            if oddity.extra:
                extra[index] = _extra_text(oddity.extra).decode()
            if oddity.empties:
                labels[index] = ",".join(filter(None, [labels[index], *oddity.empties]))
        arrays[EXTRA] = pa.array(extra, pa.string())
        arrays[EMPTY_FIELDS] = pa.array(labels, pa.string())
        return arrays

    def _node_arrays(
        self,
        node: Node,
        objects: Sequence[Any],
        arrays: dict[str, pa.Array],
        empties: list[tuple[str, np.ndarray[Any, Any]]],
    ) -> np.ndarray[Any, Any]:
        """Adds the arrays of a node's columns; returns which of its objects said anything (a value, null or {})."""
        said = np.zeros(len(objects), bool)
        for name, column in node.leaves.items():
            path = f"{node.path}.{name}" if node.path else name
            values = list(map(operator.attrgetter(name), objects))
            if column.kind == "json":
                array, is_null = json_text_array(values)
                if is_null.any():
                    empties.append((f"{path}=null", is_null))
                    said |= is_null
            else:
                array = _leaf_array(column, values)
            arrays[column.name] = array
            if array.null_count < len(array):
                said |= array.is_valid().to_numpy(zero_copy_only=False)
        for name, child in node.nodes.items():
            inner = list(map(operator.attrgetter(name), objects))
            is_there = np.fromiter((one is not child.empty for one in inner), bool, len(inner))
            child_said = self._node_arrays(child, inner, arrays, empties)
            is_empty = is_there & ~child_said
            if is_empty.any():
                empties.append((f"{child.path}={{}}", is_empty))
            said |= is_there
        return said

    def rebuild(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The record that a row was made from, key order aside. `row` maps column names to Python values."""
        record: dict[str, Any] = {}
        for column in self.columns:
            if (value := row.get(column.name)) is not None:
                _set(record, str(column.field), _as_given(column, value))
        for label in filter(None, (row.get(EMPTY_FIELDS) or "").split(",")):
            path, _equals, what = label.rpartition("=")
            if what == "absent":
                _remove(record, path)
            else:
                _set(record, path, None if what == "null" else {})
        return _overlay(record, json.loads(row.get(EXTRA) or "{}"))


def _leaf_array(column: Column, values: list[Any]) -> pa.Array:
    if column.kind == "timestamp":
        return parse_canonical(pa.array(values, pa.string()))
    return pa.array(values, ARROW_TYPES[column.kind])


def _members(text: bytes, path: str) -> dict[str, msgspec.Raw]:
    try:
        text.decode()
        return _MEMBERS.decode(text)
    except UnicodeDecodeError as error:
        got = f"byte 0x{text[error.start]:02x} at byte {error.start}"
        raise RecordError(path, "UTF-8 text", got) from None
    except RecursionError:
        raise RecordError(path, "a record that a JSON parser can nest", "deeper nesting") from None
    except msgspec.ValidationError as error:
        raise RecordError(path, "a JSON object", _got_of(error, text)) from None
    except msgspec.DecodeError as error:
        got = "half of a UTF-16 pair, as in \\ud800" if _has_lone_surrogate(text) else str(error)
        raise RecordError(path, "well-formed JSON", got) from None


def _has_lone_surrogate(text: bytes) -> bool:
    """Whether a text is sound JSON but for half of an escaped pair, which no text column can hold: msgspec says of it
    that it was truncated."""
    try:
        json.dumps(json.loads(text), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    except (ValueError, RecursionError):
        return False
    return False


def _member_at(members: Mapping[str, msgspec.Raw], path: str) -> msgspec.Raw | None:
    """The value at a dotted path, None if there is none."""
    first, _dot, rest = path.partition(".")
    value = members.get(first)
    if value is None or not rest:
        return value
    return _member_at(_members(bytes(value), f"$.{first}"), rest) if bytes(value).startswith(b"{") else None


def _got_of(error: Exception, text: bytes) -> str:
    kind = str(error).rpartition("got ")[2].strip("`") or "something else"
    return f"{kind} {quote(text[:40].decode('utf-8', 'replace'), 44)}"


def _odd_leaf(column: Column, path: str, text: bytes, oddity: Oddity) -> Any:
    """A leaf's value in its column's type; what the type cannot hold is kept verbatim in `extra` as well."""
    if column.kind == "json":
        return msgspec.Raw(text)
    if text == b"null" and column.kind != "timestamp":
        oddity.empties.append(f"{path}=null")
        return None
    value, is_exact = _LEAVES[column.kind](_value_of(text, path), text, path)
    if not is_exact:
        parent, _dot, name = path.rpartition(".")
        _put(oddity.extra, parent, name, text)
    return value


def _value_of(text: bytes, path: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return json.loads(text)  # 1e400: sound JSON, and infinite for readers that hold numbers in 64 bits
    except RecursionError:
        raise RecordError(f"$.{path}", "a value that a JSON parser can nest", "deeper nesting") from None


def _odd_text(value: Any, text: bytes, _path: str) -> tuple[Any, bool]:
    return (value, True) if isinstance(value, str) else (text.decode(), False)


def _odd_boolean(value: Any, _text: bytes, _path: str) -> tuple[Any, bool]:
    if isinstance(value, bool):
        return value, True
    return {"true": True, "false": False}.get(str(value).lower()), False


def _odd_integer(value: Any, _text: bytes, _path: str) -> tuple[Any, bool]:
    is_exact = isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
    return (value, True) if is_exact else (None, False)


def _odd_time(value: Any, _text: bytes, path: str) -> tuple[Any, bool]:
    canonical = to_canonical(value) if isinstance(value, str) else None
    if canonical is None:
        got = "null" if value is None else f"{quote(value)} ({type(value).__name__})"
        raise RecordError(f"$.{path}", "an ISO-8601 time", got)
    return canonical, canonical == value


_LEAVES: dict[str, Callable[[Any, bytes, str], tuple[Any, bool]]] = {
    "string": _odd_text,
    "boolean": _odd_boolean,
    "bigint": _odd_integer,
    "int": _odd_integer,
    "timestamp": _odd_time,
}


def _put(extra: dict[str, Any], parent: str, name: str, text: bytes) -> None:
    for part in filter(None, parent.split(".")):
        extra = extra.setdefault(part, {})
    extra[name] = text


def _extra_text(extra: Mapping[str, Any]) -> bytes:
    inside = (
        json.dumps(name, ensure_ascii=False).encode() + b":" + (v if isinstance(v, bytes) else _extra_text(v))
        for name, v in extra.items()
    )
    return b"{" + b",".join(inside) + b"}"


def _empty_labels(count: int, empties: Sequence[tuple[str, np.ndarray[Any, Any]]]) -> pa.Array:
    """For each row the labels whose mask holds, comma-separated; None where none does."""
    codes = np.zeros(count, np.int64)
    for bit, (_label, mask) in enumerate(empties):
        codes |= mask.astype(np.int64) << bit
    return label_texts([label for label, _mask in empties], codes)


def label_texts(
    labels: Sequence[str], codes: np.ndarray[Any, Any], last: Mapping[int, Sequence[str]] | None = None
) -> pa.Array:
    """For each code the labels whose bits it has and what `last` has for it, comma-separated; null for none. Rows share
    few codes, so each one's text is made once."""
    last = last or {}
    kinds = pa.array(codes).dictionary_encode()
    texts = [
        ",".join([*(label for bit, label in enumerate(labels) if kind >> bit & 1), *last.get(kind, ())]) or None
        for kind in kinds.dictionary.to_pylist()
    ]
    return pa.array(texts, pa.string()).take(kinds.indices)


def _as_given(column: Column, value: Any) -> Any:
    if column.kind == "json":
        return json.loads(value)
    if column.kind == "timestamp":
        return canonical(value)
    return value


def _set(record: dict[str, Any], path: str, value: Any) -> None:
    *parents, name = path.split(".")
    for part in parents:
        record = record.setdefault(part, {})
    record[name] = value


def _remove(record: dict[str, Any], path: str) -> None:
    *parents, name = path.split(".")
    for part in parents:
        record = record.get(part, {})
    record.pop(name, None)


def _overlay(record: dict[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in extra.items():
        below = record.get(name)
        record[name] = _overlay(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return record
