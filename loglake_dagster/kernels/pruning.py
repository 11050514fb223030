"""Which stretches of a table can hold rows that a question wants, told from what is known of them. Nothing is read.

A stretch (a day, a part, a stripe) comes with a guarantee: an expression that is true of each of its rows. Whether a
filter can still be true under it is Arrow's own answer, by the simplification that it skips row groups of Parquet
with; nothing here takes a filter apart. Bounds are of values: rows may be null besides, unless a column is said to be
full.
"""

from __future__ import annotations

import datetime as dt
import functools
import itertools
import operator
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs as pafs

Bounds = Mapping[str, tuple[str, str] | None]
# A question may ask for many ids at once; filters of ids are tried one by one.
MOST_VALUES = 100
_FORMAT, _NOWHERE = ds.OrcFileFormat(), pafs.LocalFileSystem()


def places_of(guarantees: Sequence[ds.Expression], schema: pa.Schema, wanted: ds.Expression | None) -> list[int]:
    """The places of the guarantees under which a row can be wanted. pyarrow shows its simplification only as the
    pruning of a dataset: each guarantee becomes a file that is never opened, named after its place."""
    if wanted is None:
        return list(range(len(guarantees)))
    fragments = [
        _FORMAT.make_fragment(str(place), _NOWHERE, partition_expression=guarantee)
        for place, guarantee in enumerate(guarantees)
    ]
    dataset = ds.FileSystemDataset(fragments, schema, _FORMAT, _NOWHERE)
    return [int(fragment.path) for fragment in dataset.get_fragments(filter=wanted)]


def columns_of(wanted: ds.Expression | None, schema: pa.Schema) -> list[str]:
    """The columns that a filter looks at: those without which it cannot be bound."""
    if wanted is None:
        return []
    # Every name in the filter is in its text, beside others by chance: few are then tried one by one.
    text = str(wanted)
    fields = [field for field in schema if field.name in text]
    if not _is_bound(wanted, fields):
        fields = list(schema)
    return [one.name for one in fields if not _is_bound(wanted, [field for field in fields if field is not one])]


def _is_bound(wanted: ds.Expression, fields: Sequence[pa.Field]) -> bool:
    """Whether a filter looks at no other columns than these."""
    try:
        places_of([], pa.schema(fields), wanted)
    except pa.ArrowInvalid:
        return False
    return True


def guarantee_of(
    bounds: Bounds, schema: pa.Schema, names: Sequence[str], full: Collection[str] = ()
) -> ds.Expression | None:
    """What bounds (least and most as text, None where every row is null) say of the named columns; `full` are those
    without a null. None where they say nothing."""
    known = [_known(bounds[name], schema.field(name), name in full) for name in names if name in bounds]
    said = [one for one in known if one is not None]
    return functools.reduce(operator.and_, said) if said else None


def _known(bound: tuple[str, str] | None, field: pa.Field, is_full: bool) -> ds.Expression | None:
    column = pc.field(field.name)
    if bound is None:
        return column.is_null()
    if pa.types.is_string(field.type):
        least, most = (pa.scalar(text, field.type) for text in bound)
    elif pa.types.is_timestamp(field.type):
        least, most = (pa.scalar(dt.datetime.fromisoformat(text), field.type) for text in bound)
    else:
        return None
    if is_full:
        return (column >= least) & (column <= most)
    # Arrow understands "or null" of each bound alone, and not of both together.
    return ((column >= least) | column.is_null()) & ((column <= most) | column.is_null())


def only_values(wanted: ds.Expression | None, schema: pa.Schema, name: str) -> list[str] | None:
    """The values that a text column must have one of in each wanted row; None where there is no such list, or it is
    long. The texts that a filter mentions are candidates; that no other value will do is again Arrow's answer, for the
    gaps between them and for null."""
    if wanted is None:
        return None
    values = sorted(set(_texts_in(wanted)), key=str.encode)
    if not 0 < len(values) <= MOST_VALUES:
        return None
    column = pc.field(name)
    gaps = [(column > one) & (column < two) for one, two in itertools.pairwise(values)]
    others = [column < values[0], *gaps, column > values[-1], column.is_null()]
    return None if places_of(others, schema, wanted) else values


def _texts_in(wanted: ds.Expression) -> Iterator[str]:
    """Every text in a filter's constants. An expression is pickled as an Arrow file of its constants; a candidate too
    few or too many costs time, never a row."""
    try:
        table = pa.ipc.open_file(wanted.__reduce__()[1][0]).read_all()
    except (pa.ArrowException, OSError, TypeError, IndexError):
        return
    for column in table.columns:
        yield from _texts(column.to_pylist())


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)
