"""The engine of machines elsewhere: a job is handed over, done by the Spark engine there, and its answer read here.

The plan, the audit and the catalog stay where Dagster is; only the two verbs travel (adr/0019). Who starts the job, on
EMR Serverless or Glue, is a Launcher, which assets/pipes.py has: an engine must not know Dagster.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from loglake_dagster import errors
from loglake_dagster.engines import Engine, Progress, ReadreadyJob, SessionsJob, Written
from loglake_dagster.engines.handover import (
    JOB,
    Answer,
    HandedJob,
    Handover,
    Problem,
    handed_readready,
    handed_sessions,
    program_name,
    taken_readready,
    taken_sessions,
)
from loglake_dagster.errors import LogLakeError, StoreError, quote
from loglake_dagster.io.store import open_store
from loglake_dagster.io.versions import VersionFolder
from loglake_dagster.lake.settings import EngineSettings, S3Settings


class Launcher(Protocol):
    """What starts jobs elsewhere."""

    def run(self, job_uri: str) -> None:
        """Has the job of a file done, and returns when it has ended well. LogLakeError if it did not."""


class RemoteEngine(Engine):
    """See Engine."""

    def __init__(self, settings: EngineSettings, s3: S3Settings, launcher: Launcher | None) -> None:
        self._settings, self._s3, self._launcher = settings, s3, launcher

    def write_readready(self, job: ReadreadyJob, progress: Progress | None = None) -> Written:
        answer = self._done(job.target, handed_readready(job, self._settings, self._s3))
        if progress is not None:
            progress(len(job.objects), len(job.objects), sum(entry.found for entry in answer.entries))
        return _written(answer)

    def write_sessions(self, job: SessionsJob) -> Written:
        return _written(self._done(job.target, handed_sessions(job, self._settings, self._s3)))

    def _done(self, target: VersionFolder, job: HandedJob) -> Answer:
        if self._launcher is None:
            raise LogLakeError(
                "engine.launch: only a run of Dagster starts jobs; use loglake materialize or the UI, or leave "
                "engine.launch out"
            )
        handover = Handover(target.store, target.folder)
        handover.write_job(job)
        try:
            self._launcher.run(handover.job_uri)
        except LogLakeError as error:
            answer = handover.read_answer()
            if answer is None or answer.problem is None:
                raise
            raise _error(answer.problem) from error
        answer = handover.read_answer()
        if answer is None:
            raise LogLakeError(f"{handover.job_uri}: the job ended without an answer; its driver's log says why")
        if answer.problem is not None:
            raise _error(answer.problem)
        return answer


def _written(answer: Answer) -> Written:
    return Written(parts=answer.parts, engine=answer.engine, entries=answer.entries, reject_files=answer.reject_files)


def _error(problem: Problem) -> LogLakeError:
    """The error that was raised there."""
    kind = getattr(errors, problem.kind, LogLakeError)
    if issubclass(kind, StoreError):
        there: LogLakeError = kind(problem.message, retryable=problem.retryable)
        return there
    return kind(problem.message) if kind in (errors.AuditError, errors.ConfigError) else LogLakeError(problem.message)


# Told of progress in words, for a person.
Said = Callable[[str], None]


def do_job(job_uri: str, s3: S3Settings, engine_of: Callable[[EngineSettings], Engine], say: Said) -> Answer:
    """Does the job of a file with the engine of its settings, and leaves the answer beside it, a problem too.
    LogLakeError where there is no such job, or no answer can be left."""
    if not job_uri.endswith(f"/{JOB}"):
        raise LogLakeError(f"expected the URI of a version's {JOB}, got {quote(job_uri, 200)}")
    started = time.perf_counter()
    handover = Handover(open_store(job_uri.removesuffix(f"/{JOB}"), s3))
    job = handover.read_job()
    try:
        written = _do(job, engine_of, say)
        answer = Answer(
            engine=written.engine,
            parts=written.parts,
            entries=tuple(written.entries),
            reject_files=written.reject_files,
            seconds=time.perf_counter() - started,
        )
    except LogLakeError as error:
        problem = Problem(type(error).__name__, str(error), error.retryable)
        answer = Answer(engine="spark", problem=problem, seconds=time.perf_counter() - started)
    handover.write_answer(answer)
    return answer


def _do(job: HandedJob, engine_of: Callable[[EngineSettings], Engine], say: Said) -> Written:
    if job.program != program_name():
        raise LogLakeError(
            f"{job.target.table} {job.target.day}: the job is of program {job.program}, this is {program_name()}; make "
            "the package anew from the version of Log Lake that Dagster runs, and upload it (deploy/spark)"
        )
    engine = engine_of(job.engine)
    if job.sessions is not None:
        say(f"{job.target.table} {job.target.day}: joining {len(job.sessions.inputs)} versions")
        return engine.write_sessions(taken_sessions(job, job.sessions))
    assert job.readready is not None
    say(f"{job.target.table} {job.target.day}: {len(job.readready.objects)} objects to read")

    def told(done: int, total: int, events: int) -> None:
        say(f"{job.target.table} {job.target.day}: {done} of {total} objects read, {events} events")

    return engine.write_readready(taken_readready(job, job.readready), told)
