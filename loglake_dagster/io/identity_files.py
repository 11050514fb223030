"""A part's identity file: what says, without the part being decoded, that a row is no copy of any of its rows.

It holds the first 40 bits of the hash of each of the part's identities, sorted, in some 3 bytes a row. It is only an
aid: a prefix that is in it is a question, which the part itself answers; without a sound file the part is read. It
names the content of the part that it was made from and has a digest of its own, so that no damage is taken for an
answer (adr/0017).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from loglake_dagster.errors import StoreError
from loglake_dagster.lake.manifest import Part

# By chance, 2 million new rows share a prefix with one part of 50,000 rows in ten, which is then read for nothing.
PREFIX_BITS = 40
# Smaller parts are as soon read themselves, and have none.
MIN_ROWS = 4_096
FOLDER = "_identities"
_COLUMN, _DIGEST = "prefix", b"digest"

Prefixes = np.ndarray[Any, np.dtype[np.int64]]
Firsts = np.ndarray[Any, np.dtype[np.uint64]]


def prefixes_of(firsts: Firsts) -> Prefixes:
    """The prefixes of identities' hashes, of which the first halves are given: ascending, each once."""
    return np.unique(firsts >> np.uint64(64 - PREFIX_BITS)).astype(np.int64)


def has_prefix(firsts: Firsts, asked: Prefixes) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which hashes have one of the prefixes, which are ascending."""
    return is_among((firsts >> np.uint64(64 - PREFIX_BITS)).astype(np.int64), asked)


def is_among(values: np.ndarray[Any, Any], asked: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which of the values are asked for; `asked` is ascending."""
    if not len(asked):
        return np.zeros(len(values), bool)
    places = np.searchsorted(asked, values)
    return np.asarray(asked[np.minimum(places, len(asked) - 1)] == values, bool)


def identity_file_name(part: str) -> str:
    """The name of a part's identity file in its version folder."""
    return f"{FOLDER}/{part.removesuffix('.orc')}.parquet"


def pack_prefixes(prefixes: Prefixes, part: Part) -> bytes:
    """An identity file of a part."""
    schema = pa.schema([(_COLUMN, pa.int64())], {_DIGEST: _digest(prefixes, part)})
    sink = pa.BufferOutputStream()
    # The differences of sorted numbers are small, and are all that this encoding stores.
    encoding = {_COLUMN: "DELTA_BINARY_PACKED"}
    options = {"compression": "none", "use_dictionary": False, "write_statistics": False}
    pq.write_table(pa.table([pa.array(prefixes)], schema=schema), sink, column_encoding=encoding, **options)
    return bytes(memoryview(sink.getvalue()))


def read_prefixes(data: bytes, part: Part) -> Prefixes:
    """The prefixes of an identity file. StoreError if it is damaged, or of another part."""
    name = identity_file_name(part.name)
    try:
        rows = pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False)
        prefixes = np.asarray(rows[_COLUMN].to_numpy(), np.int64)
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise StoreError(f"{name}: not a readable identity file: {error}") from error
    if (rows.schema.metadata or {}).get(_DIGEST) != _digest(prefixes, part):
        raise StoreError(f"{name}: damaged, or not of a part with the content hash {part.content_hash}")
    return prefixes


def _digest(prefixes: Prefixes, part: Part) -> bytes:
    facts = f"{part.content_hash} {part.rows} {PREFIX_BITS}\n".encode()
    return xxhash.xxh3_128_hexdigest(facts + prefixes.astype("<i8").tobytes()).encode()
