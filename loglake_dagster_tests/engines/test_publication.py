"""Readers see the day before or after, never a half: whatever is killed, raced or broken meanwhile."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from loglake_dagster.catalog import Catalog, PublishedVersion
from loglake_dagster.catalog.sqlite import SqliteCatalog
from loglake_dagster.engines import ReadreadyJob, Written
from loglake_dagster.engines.lake import Lake
from loglake_dagster.engines.readready import ReadreadyResult, materialize_readready
from loglake_dagster.errors import CatalogError, PublishConflict, StoreError
from loglake_dagster.io.store import LocalStore
from loglake_dagster.lake.settings import Settings
from loglake_dagster.sources.cloudtrail import SOURCE, TABLE
from loglake_dagster_tests.engines.deliveries import OTHER_ACCOUNT, events, trail_file
from loglake_dagster_tests.engines.made_lake import ids_of, interrupted, made_lake, published, trail_of
from loglake_dagster_tests.made import ACCOUNT, DAY

ROOT = Path(__file__).parents[2]
EVENTS, OBJECTS = 3_000, 60
PER_OBJECT = EVENTS // OBJECTS
Files = dict[Path, tuple[int, int, int]]


def deliver_day(folder: Path) -> None:
    """The day's events, the first object in an account of its own, and a copy of every fifth object."""
    for n in range(OBJECTS):
        records, at = events(PER_OBJECT, n * PER_OBJECT), f"2026-03-02T{2 + n // 10:02d}:{n % 10:02d}"
        trail_file(trail_of(folder), records, at, nonce=f"N{n}", account=OTHER_ACCOUNT if n == 0 else ACCOUNT)
        if n % 5 == 0:
            trail_file(trail_of(folder), records, "2026-03-02T23:00", nonce=f"COPY{n}")


def publish_old(folder: Path, name: str) -> str:
    """A version from before most of the day's objects arrived."""
    others, aside = trail_of(folder) / "AWSLogs" / ACCOUNT, folder / "aside"
    others.rename(aside)
    try:
        return materialize_readready(made_lake(folder, name), SOURCE, DAY).manifest.version
    finally:
        aside.rename(others)


def start(folder: Path, name: str, *role: str) -> subprocess.Popen[str]:
    """A run in a process group of its own."""
    command = [sys.executable, "-m", "loglake_dagster_tests.engines.one_run", str(folder), name, *role]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    )


def said(process: subprocess.Popen[str]) -> str:
    out, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    return out


def files_of(lake_folder: Path) -> Files:
    """(inode, size, time of change) of everything that was written into the lake for good."""
    tables = [path for path in lake_folder.glob("[!.]*") if path.is_dir()]
    found = [path for table in tables for path in table.rglob("[!.]*") if path.is_file()]
    return {path: (path.stat().st_ino, path.stat().st_size, path.stat().st_mtime_ns) for path in found}


def assert_untouched(before: Files, lake_folder: Path) -> None:
    after = files_of(lake_folder)
    assert {path: after.get(path) for path in before} == before


# -- killed ---------------------------------------------------------------------------------------------

# (step, for the how manieth time it is taken, whether an older version is published)
MOMENTS = [
    ("run", 1, False),
    ("run", 6, True),
    ("run", 11, False),
    ("part", 1, False),
    ("part", 5, True),
    ("part", 12, False),
    ("accounts", 1, True),
    ("manifest", 1, False),
    ("publish", 1, True),
    ("published", 1, True),
]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """(folder with the day's objects, the hash of its rows)."""
    folder = tmp_path_factory.mktemp("killed")
    deliver_day(folder)
    assert said(start(folder, "lake")).startswith("done True")
    manifest, _entries = published(made_lake(folder), DAY)
    assert (manifest.rows, manifest.totals.duplicate) == (EVENTS, EVENTS // 5)
    assert len(manifest.parts) > 12
    return folder, manifest.content_hash


@pytest.mark.parametrize(
    ("step", "count", "has_old"), MOMENTS, ids=[f"{step} {count}" for step, count, _old in MOMENTS]
)
def test_a_killed_run_leaves_garbage_never_damage(
    undisturbed: tuple[Path, str], step: str, count: int, has_old: bool
) -> None:
    folder, content = undisturbed
    name = f"lake-{step}-{count}"
    old = publish_old(folder, name) if has_old else None
    process = start(folder, name, "kill", step, str(count))
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    wait_until_nobody_is_left(process.pid)
    lake = made_lake(folder, name)
    is_done = step == "published"
    assert len(ids_of(lake)) == (EVENTS if is_done else PER_OBJECT if has_old else 0)
    version = lake.catalog.published(TABLE.name, DAY)
    assert ((version and version.version) == old) is not is_done
    assert any((folder / name / ".scratch").iterdir()) is (step in ("run", "part"))
    before = files_of(folder / name)
    result = materialize_readready(lake, SOURCE, DAY)
    assert (result.manifest.content_hash, result.is_new) == (content, not is_done)
    manifest, entries = published(lake, DAY)
    assert (manifest.totals.found, len(entries)) == (EVENTS + EVENTS // 5, OBJECTS + OBJECTS // 5)
    assert_untouched(before, folder / name)
    if result.is_new:
        assert list((folder / name / ".scratch").iterdir()) == []


def wait_until_nobody_is_left(group: int) -> None:
    """Workers see that their parent is gone and end by themselves."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    pytest.fail(f"processes of group {group} outlived their parent")


# -- broken at every step -------------------------------------------------------------------------------


class FailingStore(LocalStore):
    """A folder whose disk is full after so many writes."""

    def __init__(self, path: Path, writes: int) -> None:
        super().__init__(path)
        self.writes = writes

    def write(self, key: str, data: bytes) -> None:
        self._count()
        super().write(key, data)

    def write_file(self, key: str, path: Path) -> None:
        self._count()
        super().write_file(key, path)

    def _count(self) -> None:
        self.writes -= 1
        if self.writes < 0:
            raise StoreError("the disk is full")


def test_a_run_that_fails_at_any_write_changes_nothing_that_readers_see(tmp_path: Path) -> None:
    trail_file(trail_of(tmp_path), [*events(4), 42], nonce="A")
    lake = made_lake(tmp_path)
    old = materialize_readready(replace(lake, settings=lenient(lake)), SOURCE, DAY).manifest
    seen = ids_of(lake)
    for n in (1, 2, 3):
        trail_file(trail_of(tmp_path), [*events(4, 10 * n), 42], "2026-03-02T01:00", nonce=f"N{n}")
    before = files_of(tmp_path / "lake")
    failures = 0
    while (result := run_until(lake, failures)) is None:
        failures += 1
        assert ids_of(lake) == seen
        assert published(lake, DAY)[0] == old
        assert list((tmp_path / "lake" / ".scratch").iterdir()) == []
    assert failures == 7, "two parts, two reject files, the accounts, the manifest, the audit"
    assert (result.manifest.totals.landed, result.manifest.totals.rejected) == (16, 4)
    assert_untouched(before, tmp_path / "lake")


def run_until(lake: Lake, writes: int) -> ReadreadyResult | None:
    """The result of a run; None when it needs more writes than these."""
    failing = replace(lake, settings=lenient(lake), store=FailingStore(Path(lake.settings.lake), writes))
    try:
        return materialize_readready(failing, SOURCE, DAY)
    except StoreError:
        return None


def lenient(lake: Lake) -> Settings:
    return replace(lake.settings, quality=replace(lake.settings.quality, coverage=0.5))


@dataclass(frozen=True)
class LostAnswer:
    """A catalog that publishes and then does not say so, or does not even publish."""

    catalog: Catalog
    is_done: bool

    def __getattr__(self, name: str) -> object:
        return getattr(self.catalog, name)

    def publish(self, version: PublishedVersion, expected: str | None) -> None:
        if self.is_done:
            self.catalog.publish(version, expected)
        raise CatalogError("the connection was lost", retryable=True)


def test_a_publication_whose_answer_was_lost_is_made(tmp_path: Path) -> None:
    trail_file(trail_of(tmp_path), events(4))
    lake = made_lake(tmp_path)
    result = materialize_readready(replace(lake, catalog=LostAnswer(lake.catalog, True)), SOURCE, DAY)
    assert result.is_published
    assert published(lake, DAY)[0] == result.manifest
    assert materialize_readready(lake, SOURCE, DAY).is_new is False


def test_a_publication_that_was_not_made_is_an_error(tmp_path: Path) -> None:
    trail_file(trail_of(tmp_path), events(4))
    lake = made_lake(tmp_path)
    with pytest.raises(CatalogError, match="the connection was lost"):
        materialize_readready(replace(lake, catalog=LostAnswer(lake.catalog, False)), SOURCE, DAY)
    assert lake.catalog.published(TABLE.name, DAY) is None
    assert materialize_readready(lake, SOURCE, DAY).is_new is True


# -- raced ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("has_old", [False, True], ids=["first version", "later version"])
def test_of_two_processes_that_publish_at_once_one_wins(tmp_path: Path, has_old: bool) -> None:
    for n in range(4):
        trail_file(trail_of(tmp_path), events(5, 5 * n), nonce=f"N{n}", account=OTHER_ACCOUNT if n == 0 else ACCOUNT)
    old = publish_old(tmp_path, "lake") if has_old else None
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    racers = [start(tmp_path, "lake", "meet", str(meeting)) for _n in range(2)]
    while len(list(meeting.glob("written-*"))) < 2:
        time.sleep(0.01)
    (meeting / "go").touch()
    first, second = sorted(map(said, racers))
    lake = made_lake(tmp_path)
    winner = lake.catalog.published(TABLE.name, DAY)
    assert winner is not None
    assert first == (
        f"PublishConflict {TABLE.name} {DAY}: another run published {winner.version} meanwhile (this one set out from "
        f"{old}); run again to take its result in\n"
    )
    assert second == f"done True {winner.version}\n"
    assert len(ids_of(lake)) == published(lake, DAY)[0].totals.landed == 20
    again = materialize_readready(lake, SOURCE, DAY)
    assert (again.is_new, again.manifest.version) == (False, winner.version)


def test_a_run_that_lost_takes_the_winners_result_in(tmp_path: Path) -> None:
    trail_file(trail_of(tmp_path), events(40), nonce="A")
    lake = made_lake(tmp_path)

    def overtake(job: ReadreadyJob, written: Written) -> None:
        del job, written
        trail_file(trail_of(tmp_path), events(4, 50), nonce="B")
        materialize_readready(lake, SOURCE, DAY)

    with pytest.raises(PublishConflict) as caught:
        materialize_readready(interrupted(lake, overtake), SOURCE, DAY)
    assert caught.value.retryable
    assert len(ids_of(lake)) == 44
    trail_file(trail_of(tmp_path), events(4, 60), nonce="C")
    assert materialize_readready(lake, SOURCE, DAY).objects_read == 1
    assert len(ids_of(lake)) == 48


# -- read meanwhile -------------------------------------------------------------------------------------


def test_readers_see_the_version_before_until_the_pointer_moves(tmp_path: Path) -> None:
    trail_file(trail_of(tmp_path), events(4), nonce="A")
    lake = made_lake(tmp_path)
    old = materialize_readready(lake, SOURCE, DAY).manifest
    trail_file(trail_of(tmp_path), events(4, 10), nonce="B")
    seen: list[list[str]] = []

    def read(job: ReadreadyJob, written: Written) -> None:
        del job, written
        seen.append(ids_of(lake))

    new = materialize_readready(interrupted(lake, read), SOURCE, DAY).manifest
    assert seen == [[f"event-{n:04d}" for n in range(4)]]
    assert ids_of(lake) == [f"event-{n:04d}" for n in (0, 1, 2, 3, 10, 11, 12, 13)]
    assert [one.version for one in lake.catalog.history(TABLE.name, DAY)] == [old.version, new.version]


def test_earlier_versions_stay_readable_by_name(tmp_path: Path) -> None:
    lake = made_lake(tmp_path)
    contents = []
    for n in range(4):
        before = files_of(tmp_path / "lake") if n else {}
        trail_file(trail_of(tmp_path), events(5, 3 * n), f"2026-03-02T{9 - n:02d}:00", nonce=f"N{n}")
        contents.append(materialize_readready(lake, SOURCE, DAY).manifest)
        assert_untouched(before, tmp_path / "lake")
    history = lake.catalog.history(TABLE.name, DAY)
    assert [lake.open_version(one).manifest for one in history] == contents
    assert [one.totals.landed for one in contents] == [5, 8, 11, 14]
    assert isinstance(lake.catalog, SqliteCatalog)
