"""What an increment need not do: read parts that no new row is a copy in, look at them again, keep them small for ever.

Whatever it spares, the table is the one that a whole run makes.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from loglake_dagster.engines import lookup, placing
from loglake_dagster.engines.lake import Lake
from loglake_dagster.engines.readready import ReadreadyResult, materialize_readready
from loglake_dagster.errors import AuditError
from loglake_dagster.io import identity_files
from loglake_dagster.io.orc import read_part
from loglake_dagster.io.store import LocalStore, local_path
from loglake_dagster.kernels.hashing import content_hash
from loglake_dagster.lake.manifest import ObjectEntry, Part
from loglake_dagster.sources.cloudtrail import SOURCE, TABLE
from loglake_dagster_tests.engines.deliveries import events, trail_file
from loglake_dagster_tests.engines.made_lake import ONE_PROCESS, ids_of, made_lake, published, rows_of, trail_of
from loglake_dagster_tests.made import DAY

# Each object a part, and never a small one.
PARTS = replace(ONE_PROCESS, part_bytes=1)


class ReadsNoted(LocalStore):
    """The lake's folder, which notes the names of what is read whole."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.reads: list[str] = []

    def read(self, key: str) -> bytes:
        self.reads.append(key.rpartition("/")[2])
        return super().read(key)


@pytest.fixture(autouse=True)
def every_part_has_an_identity_file(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (lookup, placing):
        monkeypatch.setattr(module, "MIN_ROWS", 0)


def run(lake: Lake) -> ReadreadyResult:
    result = materialize_readready(lake, SOURCE, DAY)
    result.raise_if_refused()
    return result


def deliver(folder: Path, numbers: range) -> None:
    """Objects of ten events, each beginning with two events of the one before."""
    for n in numbers:
        trail_file(trail_of(folder), events(10, 8 * n), f"2026-03-02T{1 + n // 60:02d}:{n % 60:02d}", nonce=f"N{n}")


def contents(lake: Lake) -> tuple[str, list[object], dict[str, ObjectEntry]]:
    """(hash of the rows, rows, accounts)."""
    manifest, entries = published(lake, DAY)
    return manifest.content_hash, list(rows_of(lake)), entries


def names_of(result: ReadreadyResult, folder: str, ending: str) -> set[str]:
    return {path.name.removesuffix(ending) for path in (local_path(result.location) / folder).glob(f"*{ending}")}


# -- identity files -------------------------------------------------------------------------------------


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def swap(path: Path) -> None:
    """The file of another part, in itself sound."""
    path.write_bytes(max(path.parent.iterdir()).read_bytes() if path != max(path.parent.iterdir()) else b"")


@pytest.mark.parametrize("harm", [None, Path.unlink, cut, swap], ids=["sound", "gone", "cut", "another's"])
def test_an_identity_file_is_only_an_aid(tmp_path: Path, harm: Callable[[Path], None] | None) -> None:
    deliver(tmp_path, range(0, 12, 2))
    lake = made_lake(tmp_path, engine=PARTS)
    first = run(lake)
    assert names_of(first, "_identities", ".parquet") == names_of(first, "", ".orc")
    for path in sorted((local_path(first.location) / "_identities").iterdir()) if harm else []:
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data)
        assert harm is not None
        harm(path)
    deliver(tmp_path, range(1, 12, 2))
    second = run(lake)
    whole = made_lake(tmp_path, "whole")
    run(whole)
    assert contents(lake) == contents(whole)
    assert second.manifest.totals.duplicate == 22
    assert names_of(second, "_identities", ".parquet") == names_of(second, "", ".orc")
    for part in second.manifest.parts:
        data = (local_path(second.location) / identity_files.identity_file_name(part.name)).read_bytes()
        assert len(identity_files.read_prefixes(data, part)) == part.rows


def test_prefixes_that_say_nothing_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two different events whose hashes begin alike stay two rows: a prefix only asks."""
    monkeypatch.setattr(identity_files, "PREFIX_BITS", 2)
    deliver(tmp_path, range(0, 6, 2))
    lake = made_lake(tmp_path, engine=PARTS)
    run(lake)
    deliver(tmp_path, range(1, 6, 2))
    run(lake)
    whole = made_lake(tmp_path, "whole")
    run(whole)
    assert contents(lake) == contents(whole)
    assert len(ids_of(lake)) == 50


def test_no_part_is_read_but_those_that_share_an_event(tmp_path: Path) -> None:
    deliver(tmp_path, range(0, 12, 3))
    lake = made_lake(tmp_path, engine=PARTS)
    first = run(lake)
    deliver(tmp_path, range(20, 21))
    store = ReadsNoted(tmp_path / "lake")
    alone = run(replace(lake, store=store))
    old = {part.name for part in first.manifest.parts}
    assert {name for name in store.reads if name.endswith(".orc")} == {
        part.name for part in alone.manifest.parts if part.name not in old
    }
    deliver(tmp_path, range(21, 22))
    store.reads.clear()
    shared = run(replace(lake, store=store))
    carried = {part.name for part in alone.manifest.parts}
    assert {name for name in store.reads if name in carried} == carried - old
    assert len(shared.manifest.parts) == 6


# -- parts that were carried over -----------------------------------------------------------------------


def harmed(path: Path, data: bytes | None) -> None:
    path.unlink()
    if data is not None:
        path.write_bytes(data)


@pytest.mark.parametrize(("harm", "said"), [(b"", "got 0"), (b"x" * 9, "got 9")])
def test_a_carried_part_of_another_size_is_an_error(tmp_path: Path, harm: bytes, said: str) -> None:
    deliver(tmp_path, range(0, 4, 2))
    lake = made_lake(tmp_path, engine=PARTS)
    first = run(lake)
    part = first.manifest.parts[0]
    harmed(local_path(first.location) / part.name, harm)
    deliver(tmp_path, range(20, 21))
    with pytest.raises(AuditError) as caught:
        materialize_readready(lake, SOURCE, DAY)
    assert str(caught.value).endswith(f"{part.name}: carried over, expected {part.bytes} bytes, {said}")


def test_a_published_part_that_is_gone_is_an_error(tmp_path: Path) -> None:
    deliver(tmp_path, range(1))
    lake = made_lake(tmp_path, engine=PARTS)
    first = run(lake)
    harmed(local_path(first.location) / first.manifest.parts[0].name, None)
    with pytest.raises(AuditError, match=r"part-00000-.*\.orc: carried over, but not there"):
        materialize_readready(lake, SOURCE, DAY)


# -- small parts ----------------------------------------------------------------------------------------

INCREMENTS = 30


def test_many_increments_leave_few_parts_and_the_table_of_a_whole_run(tmp_path: Path) -> None:
    lake = made_lake(tmp_path)
    counts = []
    for n in range(INCREMENTS):
        # Every third arrives before the object whose events it shares, and then takes them over.
        deliver(tmp_path, range(n + 1, n + 2) if n % 3 == 0 else range(n - 1, n) if n % 3 == 1 else range(n, n + 1))
        result = run(lake)
        counts.append(len(result.manifest.parts))
        assert result.manifest.rows == result.manifest.totals.landed
    assert max(counts) <= placing.MANY_SMALL
    assert min(counts[placing.MANY_SMALL :]) == 1, "they were merged"
    whole = made_lake(tmp_path, "whole")
    assert len(run(whole).manifest.parts) == 1
    assert contents(lake) == contents(whole)
    assert_sound_parts(lake)


def assert_sound_parts(lake: Lake) -> None:
    """The rows of each part are in the table's order, and hash to what the manifest says."""
    version = lake.published(TABLE.name, DAY)
    assert version is not None
    for part in version.manifest.parts:
        rows = read_part(version.folder.store.read(version.folder.key(part.name)), TABLE)
        assert content_hash(rows) == part.content_hash
        keys = [tuple(row[name] for name in TABLE.row_order) for row in rows.select(TABLE.row_order).to_pylist()]
        assert keys == sorted(keys)


def test_merged_parts_are_the_part_of_a_whole_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placing, "MANY_SMALL", 3)
    lake, whole = made_lake(tmp_path), made_lake(tmp_path, "whole")
    for n in (2, 6, 0, 4):
        deliver(tmp_path, range(n, n + 1))
        run(lake)
    run(whole)
    (part, merged), (_part, other) = only_part(lake), only_part(whole)
    assert part.name == f"part-00001-{published(lake, DAY)[0].version}-merged.orc"
    assert merged == other


def only_part(lake: Lake) -> tuple[Part, bytes]:
    version = lake.published(TABLE.name, DAY)
    assert version is not None
    (part,) = version.manifest.parts
    return part, version.folder.store.read(version.folder.key(part.name))


def test_parts_that_take_too_much_memory_are_not_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placing, "MANY_SMALL", 1)
    monkeypatch.setattr(placing, "PART_MEMORY", 10)
    lake = made_lake(tmp_path)
    for n in range(3):
        deliver(tmp_path, range(n, n + 1))
        run(lake)
    assert [part.rows for part in published(lake, DAY)[0].parts] == [10, 8, 8]
    assert len(ids_of(lake)) == 26


def test_a_part_that_was_damaged_is_not_merged_into_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placing, "MANY_SMALL", 2)
    lake = made_lake(tmp_path)
    for n in (0, 2):
        deliver(tmp_path, range(n, n + 1))
        first = run(lake)
    one, other = first.manifest.parts
    folder = local_path(first.location)
    harmed(folder / one.name, (folder / other.name).read_bytes())
    deliver(tmp_path, range(8, 9))
    with pytest.raises(AuditError, match=r"whose rows must have the content hash .* a part was damaged since it was"):
        materialize_readready(lake, SOURCE, DAY)
    assert published(lake, DAY)[0] == first.manifest


def test_which_parts_are_merged() -> None:
    def parts(*sizes: int) -> list[Part]:
        return [Part(name=f"part-{n:03d}", rows=1, bytes=size, content_hash="0") for n, size in enumerate(sizes)]

    many = placing.MANY_SMALL
    assert placing.merge_groups(parts(*[1] * many, 100, 100), 100) == []
    assert placing.merge_groups(parts(50, *[1] * (many + 1), 25), 100) == [tuple(range(1, many + 2))]
    assert placing.merge_groups(parts(*[24] * 17), 100) == [
        (0, 1, 2, 3),
        (4, 5, 6, 7),
        (8, 9, 10, 11),
        (12, 13, 14, 15),
    ]
