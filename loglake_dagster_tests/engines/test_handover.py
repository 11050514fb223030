"""A job that is handed over as a file gives the version that it gives where it was planned."""

from __future__ import annotations

import dataclasses
import datetime as dt
import gzip
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from loglake_dagster.engines import Engine, ReadreadyJob, SessionsJob, Written
from loglake_dagster.engines.embedded import EmbeddedEngine
from loglake_dagster.engines.handover import (
    ANSWER,
    JOB,
    SESSIONS_INPUTS,
    Answer,
    Handover,
    handed_readready,
    program_name,
    taken_readready,
)
from loglake_dagster.engines.lake import Lake, open_lake
from loglake_dagster.engines.readready import materialize_readready
from loglake_dagster.engines.remote import RemoteEngine, do_job
from loglake_dagster.errors import AuditError, LogLakeError, StoreError
from loglake_dagster.io.store import local_path
from loglake_dagster.lake.controls import Controls, Rule
from loglake_dagster.lake.partition import UTC
from loglake_dagster.lake.settings import EngineSettings, Glue, Launch, Quality, S3Settings
from loglake_dagster.sources import SOURCES
from loglake_dagster.sources.cloudtrail import SOURCE
from loglake_dagster_tests.engines.deliveries import events, trail_file
from loglake_dagster_tests.engines.made_lake import ONE_PROCESS, made_lake, published, trail_of
from loglake_dagster_tests.engines.test_increments import deliver
from loglake_dagster_tests.made import DAY
from loglake_dagster_tests.spark.parity import readready_facts, sessions_facts
from loglake_dagster_tests.spark.real_files import deliver_real_files, real_lake

LENIENT = Quality(coverage=0.0, recount_objects=10_000)
NOON = dt.datetime.combine(DAY, dt.time(12), UTC)


@dataclass
class Elsewhere:
    """A launcher whose other machine is this process: it knows the job's file and nothing else."""

    jobs: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)

    def run(self, job_uri: str) -> None:
        self.jobs.append(job_uri)
        self.answers.append(do_job(job_uri, S3Settings(), self.engine, self.said.append))

    def engine(self, settings: EngineSettings) -> Engine:
        return EmbeddedEngine(settings)


def handed(lake: Lake, elsewhere: Elsewhere | None) -> Lake:
    """The lake, but for its engine, which is elsewhere."""
    return replace(lake, engine=RemoteEngine(lake.settings.engine, lake.settings.s3, elsewhere))


@pytest.mark.parametrize(("step_objects", "jobs"), [(50_000, 3), (2, 5)], ids=["whole", "in steps"])
def test_a_day_that_grows_is_the_same_when_it_is_handed_over(tmp_path: Path, step_objects: int, jobs: int) -> None:
    """Copies, rejects, damaged objects, a base that is carried over, parts of it written again; also a base that is a
    step, and a job that writes one."""
    engine, elsewhere = replace(ONE_PROCESS, part_bytes=300, step_objects=step_objects), Elsewhere()
    controls = Controls(event_names=Rule(deny=("Never*",)))
    there, here = (
        made_lake(tmp_path, name, engine=engine, quality=LENIENT, controls=controls) for name in ("there", "here")
    )
    there = handed(there, elsewhere)
    for places in ([1, 3, 5, 7], [0, 2], [4, 6, 8, 9], []):
        deliver(trail_of(tmp_path), places)
        assert readready_facts(there, SOURCE, DAY) == readready_facts(here, SOURCE, DAY)
    assert len(elsewhere.jobs) == jobs  # nothing was new the last time
    version, entries = published(there, DAY)
    assert any(part.name.endswith("-again.orc") for part in version.parts)
    assert version.totals.unreadable
    assert "objects read, " in elsewhere.said[-1]
    assert elsewhere.answers[-1].entries == tuple(entries[uri] for uri in sorted(entries))


def test_every_source_and_the_sessions_are_the_same_when_they_are_handed_over(tmp_path: Path) -> None:
    feeds, elsewhere = deliver_real_files(tmp_path), Elsewhere()
    there, here = handed(real_lake(tmp_path, feeds, "there"), elsewhere), real_lake(tmp_path, feeds, "here")
    for source in SOURCES:
        assert readready_facts(there, source, DAY) == readready_facts(here, source, DAY)
    assert sessions_facts(there, DAY, NOON) == sessions_facts(here, DAY, NOON)
    assert len(elsewhere.jobs) == len(SOURCES) + 1


@dataclass
class Taken:
    """An engine that keeps the jobs it is given, and writes nothing."""

    jobs: list[ReadreadyJob | SessionsJob] = field(default_factory=list)

    def write_readready(self, job: ReadreadyJob, progress: object = None) -> Written:
        self.jobs.append(job)
        raise AuditError("nothing is written")

    def write_sessions(self, job: SessionsJob) -> Written:
        self.jobs.append(job)
        raise AuditError("nothing is written")


def test_a_job_comes_back_as_it_was(tmp_path: Path) -> None:
    trail_file(trail_of(tmp_path), events(5))
    taken = Taken()
    controls = Controls(event_names=Rule(allow=("Start*",)), accounts=Rule(deny=("999999999999",)))
    lake = made_lake(tmp_path, controls=controls, engine=EngineSettings(type="spark", conf={"a": "b"}, spark_above=7))
    with pytest.raises(AuditError, match="nothing is written"):
        materialize_readready(replace(lake, engine=taken), SOURCE, DAY)
    (job,) = taken.jobs
    assert isinstance(job, ReadreadyJob)
    file = handed_readready(job, lake.settings.engine, lake.settings.s3)
    handover = Handover(lake.store, job.target.folder)
    handover.write_job(file)
    read = Handover(lake.store, job.target.folder).read_job()
    assert read == file
    assert (read.engine.conf, read.engine.master, read.engine.spark_above) == ({}, None, None)
    assert read.readready is not None
    again = taken_readready(read, read.readready)
    assert again.objects == list(job.objects)
    assert (again.table, again.day, again.orc, again.base) == (job.table, job.day, job.orc, job.base)
    assert again.target.location == job.target.location
    assert again.feeds.keys() == job.feeds.keys()
    assert all(again.feeds[name].wanted == job.feeds[name].wanted for name in job.feeds)


def test_the_inputs_of_a_session_are_all_named() -> None:
    """A new input that was not handed over would be missing there without a word."""
    plain = {"table", "day", "target", "as_of", "sla_minutes", "orc"}
    assert {one.name for one in dataclasses.fields(SessionsJob)} - plain == set(SESSIONS_INPUTS)


class Failing(Elsewhere):
    """Another machine, where writing fails; its service says so too, if `service` has words."""

    def __init__(self, error: Exception, service: str = "") -> None:
        super().__init__()
        self.error, self.service = error, service

    def run(self, job_uri: str) -> None:
        super().run(job_uri)
        if self.service:
            raise LogLakeError(self.service)

    def engine(self, settings: EngineSettings) -> Engine:
        return FailingEngine(self.error)


class FailingEngine(Engine):
    def __init__(self, error: Exception) -> None:
        self.error = error

    def write_readready(self, job: ReadreadyJob, progress: object = None) -> Written:
        raise self.error

    def write_sessions(self, job: SessionsJob) -> Written:
        raise self.error


@pytest.mark.parametrize("service", ["", "the job failed"])
@pytest.mark.parametrize(
    "error",
    [AuditError("a contradiction"), StoreError("a server is busy", retryable=True), LogLakeError("run again")],
    ids=lambda error: type(error).__name__,
)
def test_an_error_there_is_the_same_error_here(tmp_path: Path, error: LogLakeError, service: str) -> None:
    trail_file(trail_of(tmp_path), events(5))
    lake = handed(made_lake(tmp_path), Failing(error, service))
    with pytest.raises(type(error), match=f"^{error}$") as caught:
        materialize_readready(lake, SOURCE, DAY)
    assert type(caught.value) is type(error)
    assert caught.value.retryable == error.retryable
    assert lake.published(SOURCE.readready_name, DAY) is None


class Silent(Elsewhere):
    """A service that fails, or ends well, without that the job did anything."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self.words = words

    def run(self, job_uri: str) -> None:
        if self.words:
            raise LogLakeError(self.words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("the service refused", "^the service refused$"),
        ("", r"_job/job.json.gz: the job ended without an answer; its driver's log says why$"),
    ],
)
def test_a_job_without_an_answer_is_an_error(tmp_path: Path, words: str, message: str) -> None:
    trail_file(trail_of(tmp_path), events(5))
    with pytest.raises(LogLakeError, match=message):
        materialize_readready(handed(made_lake(tmp_path), Silent(words)), SOURCE, DAY)


def test_another_program_refuses_the_job(tmp_path: Path) -> None:
    """Rows must be those that Dagster's program would write: it is the one that audits, and that names the recipe."""
    trail_file(trail_of(tmp_path), events(5))
    elsewhere = Elsewhere()
    lake = made_lake(tmp_path)
    with pytest.raises(LogLakeError, match="service refused"):
        materialize_readready(handed(lake, Silent("the service refused")), SOURCE, DAY)
    (job,) = Path(lake.settings.lake).rglob(JOB)
    told = json.loads(gzip.decompress(job.read_bytes()))
    assert told["program"] == program_name()
    other = tmp_path / "other" / JOB
    other.parent.mkdir(parents=True)
    other.write_bytes(gzip.compress(json.dumps({**told, "program": "of last week"}).encode()))
    answer = do_job(other.as_uri(), S3Settings(), elsewhere.engine, elsewhere.said.append)
    assert answer.problem is not None
    assert answer.problem.message == (
        f"{SOURCE.readready_name} {DAY}: the job is of program of last week, this is {program_name()}; make the "
        "package anew from the version of Log Lake that Dagster runs, and upload it (deploy/spark)"
    )
    assert (other.parent / Path(ANSWER).name).exists()


def test_what_is_no_job_is_said(tmp_path: Path) -> None:
    with pytest.raises(LogLakeError, match=r"^expected the URI of a version's _job/job.json.gz, got 's3://b/day'$"):
        do_job("s3://b/day", S3Settings(), EmbeddedEngine, print)
    with pytest.raises(StoreError, match=r"_job/job.json.gz: not found$"):
        do_job((tmp_path / JOB).as_uri(), S3Settings(), EmbeddedEngine, print)
    (tmp_path / JOB).parent.mkdir()
    for data in (b"not gzip", gzip.compress(b"{"), gzip.compress(b'{"program": 5}'), gzip.compress(b"{}")[:-3]):
        (tmp_path / JOB).write_bytes(data)
        with pytest.raises(StoreError, match=r"_job/job.json.gz: not a readable file of a job: "):
            do_job((tmp_path / JOB).as_uri(), S3Settings(), EmbeddedEngine, print)


def test_a_lake_that_no_run_of_dagster_opened_starts_no_job(tmp_path: Path) -> None:
    """Its readers need no engine; who would write is told what does."""
    trail_file(trail_of(tmp_path), events(5))
    engine = EngineSettings(type="spark", launch=Launch("messages", glue=Glue("loglake")))
    settings = made_lake(tmp_path, engine=engine).settings
    with pytest.raises(LogLakeError, match=r"^engine.launch: only a run of Dagster starts jobs; use loglake material"):
        materialize_readready(open_lake(settings), SOURCE, DAY)


def test_files_of_a_job_are_no_rows(tmp_path: Path) -> None:
    """Readers take what has no `_` for rows; and a lake's folder says what was asked of whom."""
    trail_file(trail_of(tmp_path), events(5))
    elsewhere = Elsewhere()
    result = materialize_readready(handed(made_lake(tmp_path), elsewhere), SOURCE, DAY)
    names = sorted(path.name for path in local_path(result.location).iterdir())
    assert [name for name in names if not name.startswith("_")] == [part.name for part in result.manifest.parts]
    assert "_job" in names
