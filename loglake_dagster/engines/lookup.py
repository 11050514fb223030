"""Which copy of an event wins: the rows of a run against each other, and against the parts of the version added to.

Of those parts, only identities that a new row may share are read at all: identity files say which (adr/0017).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from loglake_dagster.engines.identities import (
    Identities,
    StoredIdentities,
    lost_copies,
    packed_identities,
    ranks_of,
    repeated_values,
)
from loglake_dagster.engines.runs import Run, RunResult, write_run
from loglake_dagster.errors import StoreError
from loglake_dagster.io.identity_files import (
    MIN_ROWS,
    Prefixes,
    has_prefix,
    identity_file_name,
    is_among,
    pack_prefixes,
    prefixes_of,
    read_prefixes,
)
from loglake_dagster.io.versions import VersionFolder
from loglake_dagster.lake.manifest import ObjectEntry, Part
from loglake_dagster.lake.schema import Table


def identity_scratch(scratch: Path, part: str) -> Path:
    """Where a part's identity file waits, beside the part, to be placed."""
    return scratch / f"{part}.identities"


def write_identity_file(scratch: Path, part: Part, identities: Identities | StoredIdentities) -> None:
    """A part's identity file in the scratch folder, if the part is large enough for one."""
    if part.rows >= MIN_ROWS:
        data = pack_prefixes(prefixes_of(identities.firsts()), part)
        identity_scratch(scratch, part.name).write_bytes(data)


def write_with_identities(run: Run, scratch: Path) -> RunResult:
    """write_run, with the parts' identity files beside them."""
    result = write_run(run, scratch)
    for part, identities in result.parts:
        write_identity_file(scratch, part, identities)
    return result


def write_asked(path: Path, new: Iterable[StoredIdentities]) -> int:
    """Writes the prefixes that base parts are asked for into a file, which worker processes share; how many."""
    found = [prefixes_of(one.firsts()) for one in new]
    asked = np.unique(np.concatenate(found)) if found else np.zeros(0, np.int64)
    np.save(path, asked)
    return len(asked)


def base_matches(
    folder: VersionFolder, part: Part, table: Table, source: str, asked: Path, scratch: Path
) -> Identities | None:
    """The identities of a base part's rows that a new row may share; None where there are none. A part without a
    sound identity file is read, and gets one."""
    wanted: Prefixes = np.load(asked, mmap_mode="r")
    prefixes = _prefixes(folder, part) if part.rows >= MIN_ROWS else None
    if prefixes is not None and not is_among(prefixes, wanted).any():
        return None
    identities = packed_identities(folder.store.read(folder.key(part.name)), table, source)
    if prefixes is None:
        write_identity_file(scratch, part, identities)
    chosen = np.flatnonzero(has_prefix(identities.firsts(), wanted))
    return identities.chosen(chosen) if len(chosen) else None


def _prefixes(folder: VersionFolder, part: Part) -> Prefixes | None:
    """What a part's identity file says; None for one that is damaged, or not there, as in versions of releases that
    wrote none."""
    try:
        return read_prefixes(folder.store.read(folder.key(identity_file_name(part.name))), part)
    except StoreError:
        return None


def find_lost(
    pieces: Sequence[Identities | StoredIdentities | None], entries: Sequence[ObjectEntry]
) -> dict[int, list[int]]:
    """Rows that lost to another copy, by place of their piece."""
    order = ranks_of(entries)
    kept = [(place, piece) for place, piece in enumerate(pieces) if piece is not None]
    if not kept:
        return {}
    # All that is put together of a day's identities is what may be copies.
    repeated = repeated_values(np.concatenate([one.firsts() for _place, one in kept]))
    shared = [(place, one, np.flatnonzero(is_among(one.firsts(), repeated))) for place, one in kept]
    found = [(place, one.chosen(rows)) for place, one, rows in shared if len(rows)]
    if not found:
        return {}
    hashes = np.concatenate([one.hashes for _place, one in found])
    ranks = np.concatenate([np.array([order[uri] for uri in one.uris], np.int64)[one.objects] for _place, one in found])
    ordinals = np.concatenate([one.ordinals for _place, one in found])
    owners = np.concatenate([np.full(len(one.rows), place) for place, one in found])
    numbers = np.concatenate([one.rows for _place, one in found])
    lost: dict[int, list[int]] = {}
    for index in lost_copies(hashes, ranks, ordinals).tolist():
        lost.setdefault(int(owners[index]), []).append(int(numbers[index]))
    return lost
