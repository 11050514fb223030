"""Parts on their way into a version folder: carried over, placed as they were written, written again without rows
that lost to another copy, or merged where many small ones have gathered (adr/0017)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from loglake_dagster.engines import ReadreadyJob
from loglake_dagster.engines.identities import Identities, StoredIdentities, identities_of
from loglake_dagster.engines.lookup import identity_scratch, write_identity_file
from loglake_dagster.engines.pool import Workers
from loglake_dagster.engines.runs import PART_MEMORY, again_name, rows_left, write_scratch
from loglake_dagster.errors import AuditError, StoreError
from loglake_dagster.io.identity_files import MIN_ROWS, identity_file_name
from loglake_dagster.io.orc import read_part
from loglake_dagster.io.store import Store
from loglake_dagster.io.versions import VersionFolder
from loglake_dagster.kernels.arrow import sorted_places
from loglake_dagster.lake.manifest import Part, combine_hashes
from loglake_dagster.lake.schema import Table
from loglake_dagster.lake.settings import OrcSettings
from loglake_dagster.sources import source_named

# A part of less than this share of `part_bytes` is small. So many small ones a day may have; a run that would leave
# more merges them.
SMALL_SHARE = 1 / 4
MANY_SMALL = 16


@dataclass(frozen=True, slots=True)
class Piece:
    """A part on its way: where its bytes are (a scratch file, or a part of the base version), and the identities of
    its rows, of a base part those that a new row may share."""

    part: Part
    identities: Identities | StoredIdentities | None
    scratch: Path | None


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Pieces to become one part of this name, each without its lost rows; they are read where they are, in a store
    under a key or, without a store, in the scratch folder."""

    name: str
    pieces: Sequence[tuple[Part, Store | None, str, Sequence[int]]]
    source: str
    table: Table
    orc: OrcSettings


# What became of a rewrite: the part, or None if no row is left, and lost rows by object. None instead of both: the rows
# take too much memory for one part.
Rewritten = tuple[Part | None, Mapping[str, int]] | None


def place_parts(
    workers: Workers,
    job: ReadreadyJob,
    pieces: Sequence[Piece],
    lost: Mapping[int, Sequence[int]],
    scratch: Path,
    part_bytes: int,
) -> tuple[list[Part], dict[str, int]]:
    """Puts every piece into the version folder: (parts by name, lost rows by object)."""
    groups = merge_groups([piece.part for piece in pieces], part_bytes)
    merges = [_rewrite(job, pieces, group, lost, "merged") for group in groups]
    merged = dict(zip(groups, workers.side_by_side(rewrite, [(one, scratch) for one in merges]), strict=True))
    gone = {place for group, one in merged.items() if one is not None for place in group}
    again = [place for place in sorted(lost) if place not in gone]
    rewrites = [_rewrite(job, pieces, (place,), lost, "again") for place in again]
    done = [*merged.values(), *workers.side_by_side(rewrite, [(one, scratch) for one in rewrites])]
    parts: list[Part] = []
    moved: dict[str, int] = {}
    for part, by_object in filter(None, done):
        if part is not None:
            _place_new(job.target, part, scratch)
            parts.append(part)
        for uri, count in by_object.items():
            moved[uri] = moved.get(uri, 0) + count
    for number, piece in enumerate(pieces):
        if number in gone or number in lost:
            continue
        if piece.scratch is not None:
            _place_new(job.target, piece.part, scratch)
        elif job.base is not None:
            _carry_over(job.base.folder, job.target, piece.part, scratch)
        parts.append(piece.part)
    return sorted(parts, key=lambda part: part.name), moved


def merge_groups(parts: Sequence[Part], part_bytes: int) -> list[tuple[int, ...]]:
    """Which parts become one, by their places. While a day has few small parts there are none; then all small ones, in
    the order of their names, each group at most about one part large."""
    small = [place for place, part in enumerate(parts) if part.bytes < part_bytes * SMALL_SHARE]
    if len(small) <= MANY_SMALL:
        return []
    groups: list[list[int]] = [[]]
    size = 0
    for number in sorted(small, key=lambda number: parts[number].name):
        if size + parts[number].bytes > part_bytes:
            groups.append([])
            size = 0
        groups[-1].append(number)
        size += parts[number].bytes
    return [tuple(group) for group in groups if len(group) > 1]


def _rewrite(
    job: ReadreadyJob, pieces: Sequence[Piece], group: Sequence[int], lost: Mapping[int, Sequence[int]], why: str
) -> Rewrite:
    name = again_name(group[0], job.target.version) if why == "again" else merged_name(group[0], job.target.version)
    chosen = []
    for number in group:
        part, path = pieces[number].part, pieces[number].scratch
        store = job.base.folder.store if path is None and job.base is not None else None
        key = job.base.folder.key(part.name) if path is None and job.base is not None else part.name
        chosen.append((part, store, key, lost.get(number, ())))
    return Rewrite(name, chosen, job.source, job.table, job.orc)


def merged_name(place: int, version: str) -> str:
    """The name of a part that small ones were merged into; `place` is that of the first among the day's parts."""
    return f"part-{place:05d}-{version}-merged.orc"


def rewrite(task: Rewrite, scratch: Path) -> Rewritten:
    """Writes the part and its identity file into the scratch folder. AuditError if the rows that were read of small
    parts are not those that the manifest says were written."""
    kept: list[pa.Table] = []
    hashes: list[str] = []
    moved: dict[str, int] = {}
    for part, store, key, lost in task.pieces:
        data = (scratch / key).read_bytes() if store is None else store.read(key)
        rows, content, by_object = rows_left(read_part(data, task.table), part, lost)
        kept.append(rows)
        hashes.append(content)
        moved = {uri: moved.get(uri, 0) + by_object.get(uri, 0) for uri in {**moved, **by_object}}
        if len(task.pieces) > 1 and sum(rows.nbytes for rows in kept) > PART_MEMORY:
            return None
    rows = pa.concat_tables(kept)
    if not rows.num_rows:
        return None, moved
    content = combine_hashes(hashes)
    if len(task.pieces) == 1:
        part = write_scratch(scratch / task.name, rows, task.table, task.orc, content)
    else:
        rows = rows.take(pa.array(sorted_places(rows, task.table.row_order)))
        part = write_scratch(scratch / task.name, rows, task.table, task.orc)
        if part.content_hash != content:
            raise AuditError(
                f"{task.name}: merged from {', '.join(one[0].name for one in task.pieces)}, whose rows must have the "
                f"content hash {content}, got {part.content_hash}: a part was damaged since it was written; nothing is "
                "published. Restore it, or build the day whole"
            )
    write_identity_file(scratch, part, identities_of(rows, source_named(task.source).identity))
    return part, moved


def _place_new(target: VersionFolder, part: Part, scratch: Path) -> None:
    target.store.write_file(target.key(part.name), scratch / part.name)
    _place_identities(target, part, scratch)


def _place_identities(target: VersionFolder, part: Part, scratch: Path) -> bool:
    """Places the identity file that this run wrote; False if it wrote none."""
    path = identity_scratch(scratch, part.name)
    if not path.exists():
        return False
    target.store.write_file(target.key(identity_file_name(part.name)), path)
    return True


def _carry_over(base: VersionFolder, target: VersionFolder, part: Part, scratch: Path) -> None:
    """A part of the base version under its name, with its identity file, if it has one."""
    target.store.copy(base.key(part.name), target.key(part.name))
    if _place_identities(target, part, scratch) or part.rows < MIN_ROWS:
        return
    name = identity_file_name(part.name)
    try:
        target.store.copy(base.key(name), target.key(name))
    except StoreError as error:
        if error.facts.get("why") != "not found":
            raise
