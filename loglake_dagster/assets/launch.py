"""Runs started from the command line: through Dagster, in this process, into the same history that the UI shows."""

import datetime as dt
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg

from loglake_dagster.assets.automation import AFTER, BEFORE, DAY_JOB, after_tables
from loglake_dagster.engines.lake import Lake
from loglake_dagster.engines.late import due_again
from loglake_dagster.engines.planning import list_source
from loglake_dagster.errors import LogLakeError
from loglake_dagster.lake.partition import ONE_DAY
from loglake_dagster.lake.settings import Settings
from loglake_dagster.sessions.record import TABLE
from loglake_dagster.sources import SOURCES, cloudtrail, cloudwatch, ssm_s3

# For a settings file that has no dagster.yaml beside it.
DEFAULT_INSTANCE = "telemetry: {enabled: false}\n"
OUR_ERRORS = f"{LogLakeError.__module__}."
# Host and process of a run that the command line executes itself.
PROCESS_TAG = "loglake/process"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True, slots=True)
class DayRun:
    """One run: a day, and the assets to materialise (all of the job's if none). `why` says what a neighbour is for."""

    day: dt.date
    assets: tuple[str, ...] = ()
    why: str = ""


@dataclass(slots=True)
class RunOutcome:
    """What a run came to: materialised tables with their metadata, failed checks, and why it failed if it did."""

    run: DayRun
    run_id: str
    is_success: bool
    materialized: dict[str, dict[str, Any]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def plan_runs(lake: Lake, first: dt.date, last: dt.date, tables: Sequence[str], today: dt.date) -> list[DayRun]:
    """The runs that bring the days' tables up to date: the named ones, or all that are fed. Sessions also need the day
    before's CloudTrail and the day after's keystrokes: those neighbours are run first, where the source holds something
    for them."""
    days = [first + ONE_DAY * n for n in range((last - first).days + 1)]
    runs: list[DayRun] = []
    if not tables or TABLE.name in tables:
        before, after = first - ONE_DAY, last + ONE_DAY
        is_known = lake.catalog.published(cloudtrail.SOURCE.readready_name, before) is not None
        if not is_known and before >= lake.settings.start and list_source(lake, cloudtrail.SOURCE, before).objects:
            runs.append(DayRun(before, BEFORE, "sessions that were started the day before"))
        if after <= today and any(list_source(lake, s, after).objects for s in (cloudwatch.SOURCE, ssm_s3.SOURCE)):
            runs.append(DayRun(after, after_tables(lake.settings), "keystrokes that go on after midnight"))
    parts = fed_tables(lake.settings)
    if tables or len(days) == 1:
        return runs + [DayRun(day, tuple(tables) or (*parts, TABLE.name)) for day in days]
    return runs + [DayRun(day, parts) for day in days] + [DayRun(day, (TABLE.name,)) for day in days]


def fed_tables(settings: Settings) -> tuple[str, ...]:
    """The raw and readready tables of sources that have a feed, and those that sessions are joined from."""
    sources = [s for s in SOURCES if settings.feeds_of(s.name) or s.readready_name in (*BEFORE, *AFTER)]
    return (*(source.raw_name for source in sources), *(source.readready_name for source in sources))


def plan_again(lake: Lake) -> Iterator[DayRun]:
    """The runs that the sensor would ask for: days with late events, then, once those have run, sessions whose inputs
    are others by then."""
    return (DayRun(due.day, (due.table,)) for due in due_again(lake))


@contextmanager
def day_runner(definitions: dg.Definitions, as_of: dt.datetime | None) -> Iterator[Callable[[DayRun], RunOutcome]]:
    """What runs a day in DAGSTER_HOME's instance; a failed run is an outcome like any other."""
    job = definitions.resolve_job_def(DAY_JOB)

    def run_day(run: DayRun) -> RunOutcome:
        config: dict[str, Any] = dict(QUIET)
        if as_of is not None and (not run.assets or TABLE.name in run.assets):
            config["ops"] = {TABLE.name: {"config": {"as_of": as_of.isoformat()}}}
        result = job.execute_in_process(
            instance=instance,
            partition_key=run.day.isoformat(),
            asset_selection=[dg.AssetKey(name) for name in run.assets] or None,
            run_config=config,
            tags={PROCESS_TAG: _process(os.getpid())},
            raise_on_error=False,
        )
        return _outcome(run, result)

    with dg.DagsterInstance.get() as instance:
        _end_dead_runs(instance)
        yield run_day


def _end_dead_runs(instance: dg.DagsterInstance) -> None:
    """Marks runs as failed whose process was killed: Dagster watches runs that it launched itself, and one that stays
    `started` for ever keeps the next from the queue's only place."""
    host = socket.gethostname()
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        name, _colon, process = run.tags.get(PROCESS_TAG, "").partition(":")
        if name == host and not Path("/proc", process).exists():
            instance.report_run_failed(run, "The process of this run was killed. Nothing of it was published.")


def _process(pid: int) -> str:
    return f"{socket.gethostname()}:{pid}"


def _outcome(run: DayRun, result: dg.ExecuteInProcessResult) -> RunOutcome:
    outcome = RunOutcome(run, result.run_id, result.success)
    for event in result.all_events:
        if event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION:
            done = event.step_materialization_data.materialization
            values = {
                name: value.value  # what is Markdown is for the web UI; `loglake status --json` has it as data
                for name, value in done.metadata.items()
                if not isinstance(value, dg.MarkdownMetadataValue)
            }
            outcome.materialized[done.asset_key.to_user_string()] = values
        elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data
            if not check.passed and check.severity == dg.AssetCheckSeverity.WARN:
                outcome.warnings.append(f"{check.asset_key.to_user_string()}: {check.description}")
        elif event.event_type == dg.DagsterEventType.STEP_FAILURE:
            outcome.failures.append(_reason(event.step_failure_data))
    return outcome


def _reason(failure: Any) -> str:
    """Why a step failed, without a traceback: the words of our own error, which tell the remedy, or of the deepest."""
    if failure.user_failure_data is not None:
        return str(failure.user_failure_data.description)
    error, words = failure.error, "failed"
    while error is not None:
        words = str(error.message).strip()
        if words.startswith(OUR_ERRORS):
            return words.partition(": ")[2]
        error = error.cause
    return words


def prepare_home(home: Path, template: Path) -> None:
    """Dagster's folder with a dagster.yaml: the project's own where there is one. An instance that somebody set up
    elsewhere and named with DAGSTER_HOME keeps the file that it has."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        target, wanted = home / "dagster.yaml", template.read_text() if template.is_file() else DEFAULT_INSTANCE
        is_ours = home.parent == template.parent
        if not target.exists() or (is_ours and target.read_text() != wanted):
            target.write_text(wanted)
    except OSError as error:
        raise LogLakeError(f"{home}: cannot be used as DAGSTER_HOME: {error}") from error
