"""What a Spark task does for a readready day: the functions that executors run, Arrow in and out.

Belongs here: what happens to the batches of one partition. Stays out: Spark itself (spark.py), so that a task needs
nothing but this package and pyarrow. Every function may run twice, because its executor died; what it writes and gives
back is then the same, or it fails.
"""

from __future__ import annotations

import hashlib
import itertools
import pickle
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from loglake_dagster.engines.identities import Identities, lost_copies, packed_identities
from loglake_dagster.engines.runs import Run, again_name, decode_run, pack, pieces_of, without_rows
from loglake_dagster.errors import LogLakeError, ObjectExists
from loglake_dagster.io.store import Store
from loglake_dagster.io.versions import VersionFolder
from loglake_dagster.lake.manifest import ObjectEntry, Part
from loglake_dagster.lake.schema import Table
from loglake_dagster.lake.settings import OrcSettings
from loglake_dagster.lake.source import Reject

Batches = Iterator[pa.RecordBatch]

# Large values travel in pieces: neither a row nor a batch of Spark's ever holds a whole part.
CHUNK_BYTES = 1 << 20
CHUNKS = pa.schema([("run", pa.int32()), ("name", pa.string()), ("chunk", pa.binary())])
IDENTITIES = pa.schema(
    [(name, pa.int64()) for name in ("high", "low", "rank", "ordinal")] + [("place", pa.int32()), ("row", pa.int32())]
)
LOST = pa.schema([("place", pa.int32()), ("row", pa.int32())])
ANSWERS = pa.schema([("place", pa.int32()), ("answer", pa.binary())])


@dataclass(frozen=True, slots=True)
class Decoded:
    """What the driver learns of a run: its parts with the digests of their bytes, its entries, its rejects."""

    parts: Sequence[tuple[Part, bytes]]
    entries: Sequence[ObjectEntry]
    rejects: Sequence[tuple[str, Reject]]


@dataclass(frozen=True, slots=True)
class NewPart:
    """A part that a run gave: its place among the day's parts, its facts, the digest of its bytes."""

    place: int
    part: Part
    digest: bytes


@dataclass(frozen=True, slots=True)
class Day:
    """What every task of a day is told: the new parts by name, and the ranks of all objects."""

    source: str
    table: Table
    orc: OrcSettings
    target: VersionFolder
    base: VersionFolder | None
    parts: Mapping[str, NewPart]
    ranks: Ranks


class Ranks:
    """The ranks of objects by URI (identities.py), in 24 bytes an object: every executor holds all of them."""

    def __init__(self, ranks: Mapping[str, int]) -> None:
        digests = np.array([digest_of(uri.encode(errors="surrogatepass"), 16) for uri in ranks], "S16")
        order = np.argsort(digests)
        self._digests, self._ranks = digests[order], np.fromiter(ranks.values(), np.int64, len(ranks))[order]

    def of(self, uris: Iterable[str]) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The ranks of known objects."""
        asked = np.array([digest_of(uri.encode(errors="surrogatepass"), 16) for uri in uris], "S16")
        places = np.searchsorted(self._digests, asked)
        return np.asarray(self._ranks[places], np.int64)


def digest_of(data: bytes, size: int = 32) -> bytes:
    """A digest by which bytes are known again."""
    return hashlib.blake2b(data, digest_size=size).digest()


def packed(value: object) -> bytes:
    """Anything of this package as bytes for a row."""
    return zlib.compress(pickle.dumps(value), 1)


def unpacked(data: bytes) -> Any:
    return pickle.loads(zlib.decompress(data))


# -- decode ---------------------------------------------------------------------------------------------


def decode_runs(batches: Batches) -> Batches:
    """Runs to what became of them, under no name, and to their parts' bytes, both in chunks."""
    for number, value in values_of(batches):
        run: Run = unpacked(value)
        rows, entries, rejects = decode_run(run)
        facts = []
        for name, piece in pieces_of(run, rows):
            part, data = pack(name, piece, run.table, run.orc)
            facts.append((part, digest_of(data)))
            yield from _chunks(number, name, data)
        yield from _chunks(number, "", packed(Decoded(facts, entries, rejects)))


def values_of(batches: Batches) -> Iterator[tuple[int, bytes]]:
    """The rows of batches of two columns: a number and some bytes."""
    for batch in batches:
        yield from zip(batch.column(0).to_pylist(), (one.as_py() for one in batch.column(1)), strict=True)


def _chunks(run: int, name: str, data: bytes) -> Batches:
    for start in range(0, len(data), CHUNK_BYTES):
        chunk = data[start : start + CHUNK_BYTES]
        yield pa.RecordBatch.from_pylist([{"run": run, "name": name, "chunk": chunk}], CHUNKS)


def parts_of(day: Day, batches: Batches) -> Iterator[tuple[int, str, bytes]]:
    """(place, name, bytes) of the parts in batches of chunks. LogLakeError for a part that is not the one that the
    driver was told of: it was made again, after an executor died, from objects that read otherwise by then."""
    rows = (row for batch in batches for row in zip(*(batch[name] for name in ("name", "chunk")), strict=True))
    for name, chunks in itertools.groupby(rows, lambda row: row[0].as_py()):
        if name == "":
            continue
        data = b"".join(chunk.as_buffer() for _name, chunk in chunks)
        if name not in day.parts or digest_of(data) != day.parts[name].digest:
            raise _changed(name)
        yield day.parts[name].place, name, data


def _changed(name: str) -> LogLakeError:
    return LogLakeError(
        f"{name}: was made twice, because an executor died, and came out differently the second time: an object was "
        "changed, or could not be read, meanwhile; run again"
    )


# -- which copies lose ----------------------------------------------------------------------------------


def identities_of_chunks(day: Day, batches: Batches) -> Batches:
    """Parts in chunks to the identities of their rows."""
    for place, _name, data in parts_of(day, batches):
        yield _identities(day, place, packed_identities(data, day.table, day.source))


def identities_of_base(day: Day, batches: Batches) -> Batches:
    """Places and parts of the base version to the identities of their rows."""
    for place, value in values_of(batches):
        part: Part = unpacked(value)
        yield _identities(day, place, packed_identities(_read_base(day, part.name), day.table, day.source))


def _read_base(day: Day, name: str) -> bytes:
    assert day.base is not None
    return day.base.store.read(day.base.key(name))


def _identities(day: Day, place: int, found: Identities) -> pa.RecordBatch:
    count = len(found.rows)
    columns = [
        found.hashes[:, 0].astype(np.int64),
        found.hashes[:, 1].astype(np.int64),
        day.ranks.of(found.uris)[found.objects],
        found.ordinals,
        np.full(count, place, np.int32),
        found.rows.astype(np.int32),
    ]
    return pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=IDENTITIES)


def find_lost(batches: Batches) -> Batches:
    """Identities, all copies of an event in one partition, to the rows that lost."""
    rows = pa.Table.from_batches(list(batches), IDENTITIES)
    high, low, ranks, ordinals = (rows[name].to_numpy() for name in ("high", "low", "rank", "ordinal"))
    lost = lost_copies(np.stack([high.view(np.uint64), low.view(np.uint64)], axis=1), ranks, ordinals)
    yield from rows.select(LOST.names).take(pa.array(lost)).to_batches()


def pack_lost(batches: Batches) -> Batches:
    """Lost rows, all of a part in one partition, to one bit a row: by place."""
    rows = pa.Table.from_batches(list(batches), LOST)
    places, numbers = rows["place"].to_numpy(), rows["row"].to_numpy()
    for place in np.unique(places).tolist():
        of_part = numbers[places == place]
        bits = np.zeros(int(of_part.max()) + 1, bool)
        bits[of_part] = True
        yield answer(place, np.packbits(bits).tobytes())


def answer(place: int, value: object) -> pa.RecordBatch:
    """What a task tells the driver of the part at a place."""
    return pa.RecordBatch.from_pylist([{"place": place, "answer": packed(value)}], ANSWERS)


# -- place ----------------------------------------------------------------------------------------------

# What is told of a part that was placed: its facts, or None if no row is left, and lost rows by object.
Placed = tuple[Part | None, Mapping[str, int]]


def place_chunks(day: Day, lost: Mapping[int, bytes], batches: Batches) -> Batches:
    """Writes parts in chunks into the version folder, without their lost rows."""
    for place, name, data in parts_of(day, batches):
        if place in lost:
            yield answer(place, _place_again(day, place, day.parts[name].part, data, lost[place]))
        else:
            write_once(day.target.store, day.target.key(name), data)
            yield answer(place, (day.parts[name].part, {}))


def place_base(day: Day, lost: Mapping[int, bytes], batches: Batches) -> Batches:
    """Carries parts of the base version over, without their lost rows."""
    for place, value in values_of(batches):
        part: Part = unpacked(value)
        if place in lost:
            yield answer(place, _place_again(day, place, part, _read_base(day, part.name), lost[place]))
            continue
        assert day.base is not None
        try:
            day.target.store.copy(day.base.key(part.name), day.target.key(part.name))
        except ObjectExists:  # an executor died after it had copied
            write_once(day.target.store, day.target.key(part.name), _read_base(day, part.name))
        yield answer(place, (part, {}))


def _place_again(day: Day, place: int, part: Part, data: bytes, lost: bytes) -> Placed:
    rows = np.flatnonzero(np.unpackbits(np.frombuffer(lost, np.uint8))).tolist()
    again, by_object = without_rows(data, part, rows, again_name(place, day.target.version), day.table, day.orc)
    if again is None:
        return None, by_object
    left, packed_again = again
    write_once(day.target.store, day.target.key(left.name), packed_again)
    return left, by_object


def write_once(store: Store, key: str, data: bytes) -> None:
    """A new object, or the same one that a task wrote before its executor died."""
    try:
        store.write(key, data)
    except ObjectExists:
        if store.read(key) != data:
            raise _changed(key) from None
