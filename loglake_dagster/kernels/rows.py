"""Decoded rows that are not columns yet: of a table, or of several makers (the compiled code, the readers in Python).

Which rows a day wants, and in which order, is known only after all were read: columns are made then, each value once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from loglake_dagster.kernels.arrow import taken
from loglake_dagster.lake.schema import SOURCE_ORDINAL
from loglake_dagster.lake.source import OBJECT_PLACE, Decoded, ObjectAccount, Rows

Places = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class Derived:
    """Columns that are made of others, row by row: `make` adds or changes those named in `made`, in arrays that have
    at least those named in `needs`."""

    make: Callable[[dict[str, pa.Array]], None]
    made: frozenset[str]
    needs: frozenset[str]


class TableRows:
    """Rows that are a table already. See Rows."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    @property
    def num_rows(self) -> int:
        return int(self._table.num_rows)

    @property
    def column_names(self) -> list[str]:
        return list(self._table.column_names)

    def table(self, names: Sequence[str] | None = None, places: Places | None = None) -> pa.Table:
        names = self.column_names if names is None else list(names)
        if places is None:
            return self._table.select(names)
        chosen = pa.array(places)
        return pa.table({name: taken(self._table[name], chosen) for name in names})


class _PiecedRows:
    """Rows of several makers in the order in which they were read, without those of some objects. See Rows."""

    def __init__(self, pieces: Sequence[Rows], unread: Sequence[int]) -> None:
        self._pieces = pieces
        keys = pa.concat_tables([piece.table([OBJECT_PLACE, SOURCE_ORDINAL.name]) for piece in pieces])
        objects, ordinals = keys[OBJECT_PLACE].to_numpy(), keys[SOURCE_ORDINAL.name].to_numpy()
        self._order = np.lexsort((ordinals, objects)).astype(np.int64)
        if unread:
            self._order = self._order[~np.isin(objects[self._order], unread)]

    @property
    def num_rows(self) -> int:
        return len(self._order)

    @property
    def column_names(self) -> list[str]:
        return list(self._pieces[0].column_names)

    def table(self, names: Sequence[str] | None = None, places: Places | None = None) -> pa.Table:
        names = self.column_names if names is None else list(names)
        wanted = self._order if places is None else self._order[places]
        tables: list[pa.Table] = []
        found: list[Places] = []
        start = 0
        for piece in self._pieces:
            at = np.flatnonzero((wanted >= start) & (wanted < start + piece.num_rows))
            tables.append(piece.table(names, wanted[at] - start))
            found.append(at)
            start += piece.num_rows
        joined, at = pa.concat_tables(tables), np.concatenate(found)
        return joined if (np.diff(at) > 0).all() else TableRows(joined).table(names, np.argsort(at))


def decoded_of(pieces: Sequence[Rows], accounts: Sequence[ObjectAccount]) -> Decoded:
    """A run's rows, of one maker or several, and accounts. An object that turned out to be unreadable has no rows and
    counts nothing, however far its reading came."""
    unread = [place for place, account in enumerate(accounts) if account.error is not None]
    kept = pieces[0] if len(pieces) == 1 and not unread else _PiecedRows(pieces, unread)
    return Decoded(kept, [ObjectAccount(error=one.error) if one.error is not None else one for one in accounts])
