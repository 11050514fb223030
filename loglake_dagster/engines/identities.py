"""The identities of a part's rows, and which copy of an event is the row.

Of a day's rows, their identities are what a run must compare as a whole. They wait in files, 32 bytes a row, so that
the run's own process holds no more of them than the hashes' first halves, and those only while it compares.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from loglake_dagster.io.identity_files import Firsts, is_among
from loglake_dagster.io.orc import read_part
from loglake_dagster.kernels.hashing import Hashes, identity_hashes
from loglake_dagster.lake.manifest import ObjectEntry
from loglake_dagster.lake.schema import SOURCE_OBJECT, SOURCE_ORDINAL, Table
from loglake_dagster.sources import source_named

Int32s = np.ndarray[Any, np.dtype[np.int32]]
Int64s = np.ndarray[Any, np.dtype[np.int64]]
_STORED = pa.schema(
    [
        ("first", pa.uint64()),
        ("second", pa.uint64()),
        ("row", pa.int32()),
        ("object", pa.dictionary(pa.int32(), pa.string())),
        ("ordinal", pa.int64()),
    ]
)


@dataclass(frozen=True, slots=True)
class Identities:
    """The identities of a part's rows that have one: their hashes, their row numbers, and the places of their copies
    (index into `uris`, ordinal in the object)."""

    hashes: Hashes
    rows: Int32s
    objects: Int32s
    ordinals: Int64s
    uris: Sequence[str]

    def firsts(self) -> Firsts:
        """The first halves of the hashes: rows that have none in common are no copies."""
        return self.hashes[:, 0]

    def chosen(self, places: Int64s) -> Identities:
        """Those at the given places."""
        return Identities(
            self.hashes[places], self.rows[places], self.objects[places], self.ordinals[places], self.uris
        )


@dataclass(frozen=True, slots=True)
class StoredIdentities:
    """Identities in a file of this machine, read as far as they are asked for."""

    path: Path

    def firsts(self) -> Firsts:
        """See Identities."""
        with pa.memory_map(str(self.path)) as file:
            return np.array(_batch(file)["first"].to_numpy())

    def chosen(self, places: Int64s) -> Identities:
        """See Identities."""
        with pa.memory_map(str(self.path)) as file:
            batch = _batch(file)
            first, second, rows, ordinals = (
                batch[name].to_numpy()[places] for name in ("first", "second", "row", "ordinal")
            )
            objects = batch["object"].indices.to_numpy()[places]
            uris = batch["object"].dictionary.to_pylist()
        return Identities(np.stack([first, second], axis=1), rows, objects, ordinals, uris)


def _batch(file: Any) -> pa.RecordBatch:
    return pa.ipc.open_file(file).get_batch(0)


def store_identities(path: Path, found: Identities) -> StoredIdentities:
    """Writes identities into a new file."""
    objects = pa.DictionaryArray.from_arrays(pa.array(found.objects), pa.array(found.uris, pa.string()))
    halves = [pa.array(np.ascontiguousarray(found.hashes[:, half])) for half in (0, 1)]
    batch = pa.record_batch([*halves, pa.array(found.rows), objects, pa.array(found.ordinals)], schema=_STORED)
    with pa.ipc.new_file(str(path), _STORED) as file:
        file.write_batch(batch)
    return StoredIdentities(path)


def identities_of(rows: pa.Table, identity: Sequence[str]) -> Identities:
    """The identities of rows that have the identity columns, source_object and source_ordinal."""
    hashes, has_identity = identity_hashes(rows, identity)
    numbers = np.flatnonzero(has_identity).astype(np.int32)
    uris = rows[SOURCE_OBJECT.name].combine_chunks().dictionary_encode()
    places = uris.indices.to_numpy(zero_copy_only=False).astype(np.int32)
    ordinals = rows[SOURCE_ORDINAL.name].to_numpy().astype(np.int64)
    return Identities(hashes[numbers], numbers, places[numbers], ordinals[numbers], uris.dictionary.to_pylist())


def packed_identities(data: bytes, table: Table, source: str) -> Identities:
    """The identities of a data file's rows."""
    identity = source_named(source).identity
    columns = dict.fromkeys((*identity, SOURCE_OBJECT.name, SOURCE_ORDINAL.name))
    return identities_of(read_part(data, table, list(columns)), identity)


def ranks_of(entries: Iterable[ObjectEntry]) -> dict[str, int]:
    """The objects' URIs, each with its place in the order by which copies are told apart: (delivery time, key)."""
    return {entry.uri: n for n, entry in enumerate(sorted(entries, key=lambda entry: entry.rank))}


def lost_copies(hashes: Hashes, ranks: Int64s, ordinals: Int64s) -> Int64s:
    """Which rows are copies of a row whose object has a lower rank, or that stands before it in the same object. How a
    day was split into runs never shows."""
    # Only rows whose high half another has can be copies: few, and quickly found.
    rows = np.flatnonzero(is_among(hashes[:, 0], repeated_values(hashes[:, 0].copy())))
    sequence = rows[np.lexsort((ordinals[rows], ranks[rows], hashes[rows, 1], hashes[rows, 0]))]
    ordered = hashes[sequence]
    is_lost = np.zeros(len(sequence), bool)
    is_lost[1:] = (ordered[1:] == ordered[:-1]).all(axis=1)
    return sequence[is_lost]


def repeated_values(values: Firsts) -> Firsts:
    """The values that occur more than once, ascending, each once. Sorts what it is given: a day's are many."""
    values.sort()
    return np.unique(values[1:][values[1:] == values[:-1]])
