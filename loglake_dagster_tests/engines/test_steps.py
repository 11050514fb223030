"""Bounded steps: a backlog comes to the table of one run, whoever is killed; no step is lost, and nobody sees one."""

import signal
import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loglake_dagster.engines import PlannedObject, ReadreadyJob, Written
from loglake_dagster.engines.lake import Lake, open_lake
from loglake_dagster.engines.readready import ReadreadyResult, materialize_readready
from loglake_dagster.engines.steps import cut_steps
from loglake_dagster.errors import AuditError, PublishConflict
from loglake_dagster.io.versions import STEPS
from loglake_dagster.lake.controls import Controls, Rule
from loglake_dagster.lake.manifest import ObjectEntry
from loglake_dagster.lake.settings import EngineSettings, Quality
from loglake_dagster.sources.cloudtrail import SOURCE, TABLE
from loglake_dagster_tests.engines.deliveries import OTHER_ACCOUNT, events, put, trail_file
from loglake_dagster_tests.engines.made_lake import (
    ONE_PROCESS,
    WatchedLake,
    ids_of,
    interrupted,
    made_lake,
    published,
    rows_of,
    trail_of,
)
from loglake_dagster_tests.made import ACCOUNT, DAY, log_file, member

ROOT = Path(__file__).parents[2]
OBJECTS, STEP = 25, 6
QUALITY = Quality(recount_objects=0)
IN_STEPS = replace(ONE_PROCESS, step_objects=STEP)


def deliver(folder: Path, numbers: range = range(OBJECTS)) -> list[Path]:
    """Objects of ten events, each beginning with three of the one before, in two accounts in turn: copies of an event
    are in steps far apart. One object has a reject, another cannot be read."""
    files = []
    for n in numbers:
        records, account = [*events(10, 7 * n)], OTHER_ACCOUNT if n % 2 else ACCOUNT
        records += [{"eventTime": "at noon"}] if n == 3 else []
        content = b"no object" if n == 4 else records
        files.append(trail_file(trail_of(folder), content, f"2026-03-02T01:{n:02d}", nonce=f"N{n}", account=account))
    return files


def run(lake: Lake) -> ReadreadyResult:
    result = materialize_readready(lake, SOURCE, DAY)
    result.raise_if_refused()
    return result


def contents(lake: Lake) -> tuple[str, list[object], dict[str, ObjectEntry]]:
    """(hash of the rows, rows, accounts)."""
    manifest, entries = published(lake, DAY)
    return manifest.content_hash, list(rows_of(lake)), entries


def steps_of(folder: Path, name: str = "lake") -> list[Path]:
    """The finished steps that a lake keeps, oldest first."""
    return sorted(path.parents[1] for path in (folder / name / STEPS).rglob("manifest.json"))


def lake_in_steps(folder: Path, name: str = "lake", **settings: object) -> Lake:
    return made_lake(folder, name, **{"engine": IN_STEPS, "quality": QUALITY, **settings})  # type: ignore[arg-type]


def assert_as_in_one_run(lake: Lake, folder: Path) -> None:
    whole = made_lake(folder, "whole", quality=QUALITY, controls=lake.settings.controls)
    run(whole)
    assert contents(lake) == contents(whole)
    assert details(lake) == details(whole)


def details(lake: Lake) -> tuple[object, ...]:
    """(totals, audit, rejects in any order) of what is published."""
    version = lake.published(TABLE.name, DAY)
    assert version is not None
    rejects = version.folder.read_rejects(version.manifest.reject_files)
    return version.manifest.totals, version.folder.read_audit(), sorted(map(str, rejects))


# -- undisturbed ----------------------------------------------------------------------------------------


def test_a_backlog_is_worked_off_in_steps_and_nobody_sees_one(tmp_path: Path) -> None:
    deliver(tmp_path)
    lake, seen, told = lake_in_steps(tmp_path), [], []

    def look(job: ReadreadyJob, written: Written) -> None:
        assert lake.catalog.published(TABLE.name, DAY) is None
        assert ids_of(lake) == []
        seen.append((len(job.objects), len(steps_of(tmp_path))))

    result = materialize_readready(interrupted(lake, look), SOURCE, DAY, lambda *counts: told.append(counts))
    assert seen == [(6, 0), (6, 1), (6, 2), (6, 3), (1, 4)]
    assert [(read, objects) for read, objects, _events in told] == [(6, 25), (12, 25), (18, 25), (24, 25), (25, 25)]
    assert told[-1][2] == result.manifest.totals.found == 241
    assert (result.objects_read, result.manifest.objects_read, result.manifest.base) == (25, 25, None)
    assert not (tmp_path / "lake" / STEPS / TABLE.name / f"eventday={DAY}").exists()
    assert len(lake.catalog.history(TABLE.name, DAY)) == 1
    assert_as_in_one_run(lake, tmp_path)
    assert run(lake).is_new is False


def test_a_published_day_is_added_to_in_steps(tmp_path: Path) -> None:
    deliver(tmp_path, range(0, OBJECTS, 3))
    first = run(lake_in_steps(tmp_path))
    deliver(tmp_path, range(1, OBJECTS, 3))
    deliver(tmp_path, range(2, OBJECTS, 3))
    jobs: list[ReadreadyJob] = []
    lake = lake_in_steps(tmp_path)
    second = run(interrupted(lake, lambda job, _written: jobs.append(job)))
    assert [len(job.objects) for job in jobs] == [6, 6, 4]
    assert [job.base and job.base.manifest.base for job in jobs] == [None, *[first.manifest.version] * 2]
    assert (second.manifest.base, second.objects_read) == (first.manifest.version, 16)
    assert_as_in_one_run(lake, tmp_path)


def test_how_a_backlog_is_cut() -> None:
    def objects(*sizes: int) -> list[PlannedObject]:
        return [PlannedObject(entry(n, size), f"{n}") for n, size in enumerate(sizes)]

    def cut(objects: list[PlannedObject], **settings: object) -> list[list[int]]:
        engine = EngineSettings(**settings)  # type: ignore[arg-type]
        return [[one.entry.size for one in step] for step in cut_steps(objects, engine)]

    assert cut([]) == [[]]
    assert cut(objects(1, 2, 3, 4)) == [[1, 2, 3, 4]]
    assert cut(objects(1, 2, 3, 4), step_objects=3) == [[1, 2, 3], [4]]
    assert cut(objects(5, 5, 1, 99, 1), step_bytes=10) == [[5, 5], [1], [99], [1]]
    assert cut(list(reversed(objects(1, 2, 3))), step_bytes=3) == [[1, 2], [3]]
    assert cut(objects(1, 2, 3), step_objects=1, type="spark") == [[1, 2, 3]]
    assert cut(objects(1, 2, 3), step_objects=1, type="spark", spark_above=6) == [[1], [2], [3]]
    assert cut(objects(1, 2, 3), step_objects=1, type="spark", spark_above=5) == [[1, 2, 3]]


def entry(number: int, size: int) -> ObjectEntry:
    return ObjectEntry(uri=f"file:///{number}", feed="cloudtrail", size=size, etag="", delivery_day=DAY)


# -- killed ---------------------------------------------------------------------------------------------

# (what is not done any more, for the how manieth time; objects of the steps that are kept)
MOMENTS = [
    ("run", 1, 0),
    ("accounts", 1, 0),
    ("manifest", 1, 0),
    ("manifest", 2, 6),
    ("part", 5, 12),
    ("accounts", 3, 12),
    ("run", 4, 18),
    ("part", 12, 24),
    ("manifest", 5, 24),
    ("publish", 1, 24),
]


@pytest.mark.parametrize(("what", "count", "kept"), MOMENTS, ids=[f"{what} {n}" for what, n, _kept in MOMENTS])
def test_a_killed_run_loses_one_step_at_most(tmp_path: Path, what: str, count: int, kept: int) -> None:
    files = deliver(tmp_path)
    command = [sys.executable, "-m", "loglake_dagster_tests.engines.one_run", str(tmp_path), "lake", "kill", what]
    process = subprocess.run([*command, str(count), str(STEP)], cwd=ROOT, capture_output=True, timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert len(steps_of(tmp_path)) == kept // STEP
    lake = WatchedLake.of(lake_in_steps(tmp_path))
    assert (lake.catalog.published(TABLE.name, DAY), ids_of(lake)) == (None, [])
    result = run(lake)
    # The one that cannot be read is in the first step, and is tried again.
    reads = [name for name in lake.reads if name != files[4].name]
    assert len(reads) == len(set(reads)) == OBJECTS - max(kept, 1)
    assert result.objects_read == OBJECTS - kept
    assert_as_in_one_run(lake, tmp_path)
    assert steps_of(tmp_path) == []


# -- what a kept step is good for -----------------------------------------------------------------------


class Killed(Exception):
    """Ends a run in this process as SIGKILL does in another: nothing after it is done."""


def stopped(lake: Lake, after: int) -> Lake:
    """The lake, whose engine is ended once it has written so many steps and one more."""
    jobs: list[ReadreadyJob] = []

    def end(job: ReadreadyJob, _written: Written) -> None:
        jobs.append(job)
        if len(jobs) > after:
            raise Killed

    return interrupted(lake, end)


def stop_after(lake: Lake, steps: int) -> None:
    with pytest.raises(Killed):
        materialize_readready(stopped(lake, steps), SOURCE, DAY)


def test_a_step_with_an_object_that_has_changed_since_is_not_used(tmp_path: Path) -> None:
    files, lake = deliver(tmp_path), lake_in_steps(tmp_path)
    stop_after(lake, 2)
    put(files[23], member(log_file(*events(9, 500))))
    assert len(steps_of(tmp_path)) == 2
    assert run(lake).objects_read == OBJECTS - 2 * STEP, "it is in no step yet"
    other = lake_in_steps(tmp_path, "other")
    stop_after(other, 2)
    put(files[0], member(log_file(*events(9, 600))))
    assert run(other).objects_read == OBJECTS
    assert_as_in_one_run(other, tmp_path)


def test_a_step_of_other_controls_is_not_used(tmp_path: Path) -> None:
    deliver(tmp_path)
    stop_after(lake_in_steps(tmp_path), 3)
    controls = Controls(accounts=Rule(deny=(OTHER_ACCOUNT,)))
    lake = lake_in_steps(tmp_path, controls=controls)
    assert run(lake).objects_read == 13
    assert {row["recipientaccountid"] for row in rows_of(lake)} == {ACCOUNT}
    assert steps_of(tmp_path) == []


def test_a_rebuild_goes_on_with_its_own_steps(tmp_path: Path) -> None:
    """And what they hold is not lost, when its raw file expires before the rebuild has ended."""
    files = deliver(tmp_path)
    old = run(lake_in_steps(tmp_path)).manifest
    lake = lake_in_steps(tmp_path, controls=Controls(event_names=Rule(deny=("Decrypt",))))
    stop_after(lake, 2)
    files[0].unlink()
    result = run(lake)
    assert (result.objects_read, result.manifest.base) == (OBJECTS - 2 * STEP, None)
    assert result.manifest.content_hash == old.content_hash
    files[2].unlink()
    with pytest.raises(AuditError, match=r"2 objects with .* are no longer in the source"):
        materialize_readready(lake_in_steps(tmp_path), SOURCE, DAY)


def test_of_two_runs_in_steps_one_wins_and_the_other_says_so(tmp_path: Path) -> None:
    deliver(tmp_path)
    lake = lake_in_steps(tmp_path)
    jobs: list[ReadreadyJob] = []

    def overtake(job: ReadreadyJob, _written: Written) -> None:
        jobs.append(job)
        if len(jobs) == 2:
            assert run(lake).objects_read == OBJECTS - STEP, "it goes on from the other's step"

    with pytest.raises(PublishConflict, match=r"another run published .* \(this one set out from None\); run again"):
        materialize_readready(interrupted(lake, overtake), SOURCE, DAY)
    assert len(jobs) == 2
    assert_as_in_one_run(lake, tmp_path)
    assert run(lake).is_new is False
    assert steps_of(tmp_path) == [], "those of the run that lost too"


def test_a_run_whose_step_was_removed_meanwhile_says_why(tmp_path: Path) -> None:
    deliver(tmp_path)
    lake = lake_in_steps(tmp_path)
    stop_after(lake, 1)

    class Overtaken(type(lake.engine)):  # type: ignore[misc]
        """An engine before whose work another run publishes the day."""

        def write_readready(self, job: ReadreadyJob, progress: object = None) -> Written:
            run(lake)
            return super().write_readready(job, None)

    with pytest.raises(PublishConflict, match="another run published"):
        materialize_readready(replace(lake, engine=Overtaken(IN_STEPS)), SOURCE, DAY)
    assert_as_in_one_run(lake, tmp_path)


def test_a_refused_day_keeps_its_steps(tmp_path: Path) -> None:
    deliver(tmp_path)
    strict = lake_in_steps(tmp_path, quality=Quality(coverage=1.0, recount_objects=0))
    refused = materialize_readready(strict, SOURCE, DAY)
    assert (refused.is_published, len(steps_of(tmp_path)), ids_of(strict)) == (False, 4, [])
    lake = lake_in_steps(tmp_path)
    result = run(lake)
    assert (result.objects_read, result.manifest.rows) == (1, refused.manifest.rows)
    assert_as_in_one_run(lake, tmp_path)
    assert steps_of(tmp_path) == []


@pytest.mark.parametrize(
    "harm",
    [
        lambda step: next(step.glob("*.orc")).unlink(),
        lambda step: (step / "_manifest/manifest.json").write_bytes(b"{"),
        lambda step: (step / "_manifest/objects.parquet").unlink(),
    ],
    ids=["part", "manifest", "accounts"],
)
def test_a_damaged_step_is_passed_over(tmp_path: Path, harm: Callable[[Path], object]) -> None:
    deliver(tmp_path)
    lake = lake_in_steps(tmp_path)
    stop_after(lake, 3)
    harm(steps_of(tmp_path)[-1])
    assert run(lake).objects_read == OBJECTS - 2 * STEP
    assert_as_in_one_run(lake, tmp_path)


def test_in_an_object_store_steps_are_kept_and_left_to_its_lifecycle_rule(tmp_path: Path, s3_server: Any) -> None:
    files, uri = deliver(tmp_path), f"s3://{s3_server.bucket}/{uuid.uuid4().hex}"
    settings, catalog = lake_in_steps(tmp_path).settings, tmp_path / "catalog.db"
    lake = open_lake(replace(settings, lake=uri, catalog_path=catalog, s3=s3_server.settings))
    stop_after(lake, 2)
    assert run(lake).objects_read == OBJECTS - 2 * STEP
    assert_as_in_one_run(lake, tmp_path)
    kept = lake.store.list_level(f"{STEPS}/{TABLE.name}/eventday={DAY}/after=none/")[0]
    assert len(kept) == 5, "two, one that was not finished, two; the last one is the version"
    trail_file(trail_of(tmp_path), events(5, 900), nonce="NEW")
    again = run(lake)
    assert (again.objects_read, again.manifest.totals.objects) == (1, len(files) + 1)
