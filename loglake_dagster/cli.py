"""`loglake`: the command line. Materialises through Dagster, reads what is published, prints it safely."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from loglake_dagster import __version__
from loglake_dagster.errors import LogLakeError

if TYPE_CHECKING:
    from rich.console import Console

    from loglake_dagster.assets.launch import DayRun, RunOutcome
    from loglake_dagster.engines.lake import Lake

# Imports stand inside the commands: `loglake --help` answers at once, `query` loads no Dagster.


class _Day(click.ParamType[dt.date]):
    name = "YYYY-MM-DD"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dt.date:
        from loglake_dagster.lake.partition import parse_day

        if isinstance(value, dt.date):
            return value
        try:
            return parse_day(value)
        except LogLakeError as error:
            self.fail(error.message, param, ctx)


class _Moment(click.ParamType[dt.datetime]):
    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dt.datetime:
        if isinstance(value, dt.datetime):
            return value
        try:
            moment = dt.datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"expected an ISO-8601 time such as 2026-11-02T00:30:00Z, got {value!r}", param, ctx)
        return moment.replace(tzinfo=moment.tzinfo or dt.timezone.utc)


DAY = _Day()
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="loglake")
@click.option("--config", type=click.Path(dir_okay=False), help="Settings file [LOGLAKE_CONFIG, ./loglake.yaml].")
@click.pass_context
def cli(context: click.Context, config: str | None) -> None:
    """Raw CloudTrail and Session Manager logs in; tables that a manager and an auditor can read out."""
    context.obj = config


@cli.command()
@click.option("--day", type=DAY, help="First (or only) UTC day.")
@click.option("--to", "last", type=DAY, help="Last day of a range.")
@click.option("--table", "tables", multiple=True, help="Only this table; may be given several times.")
@click.option("--late", "is_late", is_flag=True, help="Days with late events, and sessions whose inputs changed.")
@click.option("--as-of", type=_Moment(), help="Moment that `pending` is judged by [now].")
@JSON
@click.pass_obj
def materialize(
    config: str | None,
    day: dt.date | None,
    last: dt.date | None,
    tables: tuple[str, ...],
    is_late: bool,
    as_of: dt.datetime | None,
    as_json: bool,
) -> None:
    """Bring a day's tables up to date, through Dagster.

    Reads only files that are new. With the sessions, the neighbours that they need are brought up to date first.
    """
    from loglake_dagster.assets.launch import plan_again, plan_runs

    if is_late == (day is not None) or (is_late and (last or tables)):
        raise click.UsageError("expected --day D, with or without --to and --table; or --late alone")
    lake = _open(config)
    if day is None:
        runs = plan_again(lake)
    else:
        _check_request(lake, day, last or day, tables)
        runs = iter(plan_runs(lake, day, last or day, tables, lake.now().date()))
    outcomes = _run(lake, runs, as_of, is_quiet=as_json)
    if not outcomes and not as_json:
        click.echo("no late events wait, no sessions have other inputs")
    if as_json:
        from loglake_dagster.terminal import json_text

        click.echo(json_text([_outcome_facts(outcome) for outcome in outcomes]))
    if any(not outcome.is_success and not outcome.run.why for outcome in outcomes):
        raise SystemExit(1)


@cli.command()
@click.argument("sql")
@click.option("--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
@click.pass_obj
def query(config: str | None, sql: str, form: str) -> None:
    """Ask the published tables in SQL (DuckDB); one view a table."""
    from loglake_dagster.engines.published import Reads
    from loglake_dagster.engines.query import run_query
    from loglake_dagster.terminal import Grid, console, counted, csv_text, json_text

    reads = Reads()
    answer = run_query(_open(config), sql, reads)
    records = answer.to_pylist()
    rows = [list(record.values()) for record in records]
    if form == "json":
        click.echo(json_text(records))
    elif form == "csv":
        click.echo(csv_text(answer.column_names, rows, sys.stdout.isatty()), nl=False)
    else:
        console().print(Grid("", answer.column_names, rows))
        read = f" (read: {counted(reads.stripes, 'stripe')} of {counted(reads.rows, 'row')})" if reads.stripes else ""
        click.echo(f"{counted(len(rows), 'row')}{read}")


@cli.command()
@click.option("--day", type=DAY, help="One day with its whole account.")
@JSON
@click.pass_obj
def status(config: str | None, day: dt.date | None, as_json: bool) -> None:
    """What is published, how whole it is, and what was rejected."""
    from loglake_dagster.engines.status import read_status
    from loglake_dagster.terminal import console, json_text, status_tables

    statuses = read_status(_open(config), day)
    if as_json:
        click.echo(json_text([one.as_facts() for one in statuses]))
        return
    if not statuses:
        click.echo("nothing is published" + (f" for {day}" if day else "") + "; loglake materialize --day D makes it")
        return
    for table in status_tables(statuses, is_detailed=day is not None):
        console().print(table)


@cli.command()
@click.option("--day", type=DAY, required=True, help="UTC day that the sessions were started on.")
@click.option("--session", "session", help="Show this session's transcript (its id, or owner-id).")
@JSON
@click.pass_obj
def sessions(config: str | None, day: dt.date, session: str | None, as_json: bool) -> None:
    """A day's sessions, or the transcript of one."""
    from loglake_dagster.engines.sessions import read_sessions
    from loglake_dagster.terminal import console, json_text, sessions_table

    rows = read_sessions(_open(config), day)
    if session is not None:
        rows = [row for row in rows if session in (row["sessionid"], f"{row['sessionowner']}-{row['sessionid']}")]
        if not rows:
            raise LogLakeError(f"sessions {day}: no session {session!r}; loglake sessions --day {day} lists them")
    if as_json:
        click.echo(json_text(rows))
    elif session is not None:
        _print_transcripts(rows)
    else:
        console().print(sessions_table(str(day), rows))


@cli.command()
@click.option("--day", type=DAY, required=True, help="UTC day of the versions that the records were rejected from.")
@click.option("--table", help="Only this table.")
@click.option("--full", is_flag=True, help="All of them, and every record uncut.")
@JSON
@click.pass_obj
def rejects(config: str | None, day: dt.date, table: str | None, full: bool, as_json: bool) -> None:
    """Records that could not be rows: where they are, why, and verbatim.

    Once a newer Log Lake can read them, the next materialize of the day takes them in.
    """
    from loglake_dagster.engines.rejects import read_rejects
    from loglake_dagster.terminal import console, json_text, rejects_lists

    found = read_rejects(_open(config), day, table)
    if as_json:
        click.echo(json_text([fact for one in found for fact in one.as_facts()]))
        return
    for one in rejects_lists(found, full):
        console().print(one)


@cli.command()
@click.option("--sample", type=click.Path(file_okay=False, path_type=Path), help="Folder of the sample day.")
@click.pass_obj
def demo(config: str | None, sample: Path | None) -> None:
    """Build a sample lake and show what is in it."""
    from loglake_dagster import demo as sample_day
    from loglake_dagster.assets.launch import plan_runs
    from loglake_dagster.engines.sessions import read_sessions
    from loglake_dagster.engines.status import read_status
    from loglake_dagster.terminal import console, sessions_table, status_tables

    lake = _open(config)
    copied = sample_day.deliver_sample(lake.settings, sample or sample_day.SAMPLE)
    click.echo(
        f"sample day {sample_day.DAY}: {copied} raw files delivered" if copied else "sample files are there already"
    )
    runs = plan_runs(lake, sample_day.DAY, sample_day.DAY, (), lake.now().date())
    outcomes = _run(lake, iter(runs), sample_day.AS_OF)
    out = console()
    out.print(sessions_table(str(sample_day.DAY), read_sessions(lake, sample_day.DAY)))
    for table in status_tables(read_status(lake, sample_day.DAY), is_detailed=True):
        out.print(table)
    _print_places(lake, out)
    if not all(outcome.is_success for outcome in outcomes):
        raise SystemExit(1)


def _open(config: str | None) -> Lake:
    from loglake_dagster.config import load_settings
    from loglake_dagster.engines.lake import open_lake

    return open_lake(load_settings(config))


def _run(lake: Lake, runs: Iterator[DayRun], as_of: dt.datetime | None, is_quiet: bool = False) -> list[RunOutcome]:
    """Runs them one after the other; what one leaves behind may decide what the next one is."""
    from loglake_dagster.assets.launch import day_runner, prepare_home
    from loglake_dagster.config import dagster_home, use_for_children
    from loglake_dagster.definitions import build_definitions

    file = lake.settings.file
    definitions = build_definitions(lake.settings)
    home = dagster_home(file)
    prepare_home(home, file.parent / "dagster.yaml")
    use_for_children(file, home)
    outcomes = []
    with day_runner(definitions, as_of) as run_day:
        for run in runs:
            with _progress_bar(str(run.day), is_quiet):  # gone before a line is printed: two writers garble a terminal
                outcomes.append(run_day(run))
            if not is_quiet:
                _print_outcome(outcomes[-1])
    return outcomes


def _check_request(lake: Lake, first: dt.date, last: dt.date, tables: tuple[str, ...]) -> None:
    from loglake_dagster.sessions.record import TABLE
    from loglake_dagster.sources import SOURCES

    names = [name for source in SOURCES for name in (source.raw_name, source.readready_name)] + [TABLE.name]
    for table in tables:
        if table not in names:
            raise LogLakeError(f"--table: expected one of {', '.join(names)}, got {table!r}")
    today = lake.now().date()
    if not lake.settings.start <= first <= last <= today:
        raise LogLakeError(
            f"--day {first} --to {last}: expected days in order, from {lake.settings.start} (partitions.start in "
            f"{lake.settings.file.name}) to today, {today}"
        )


@contextmanager
def _progress_bar(title: str, is_quiet: bool) -> Iterator[None]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from loglake_dagster.assets.resources import PROGRESS
    from loglake_dagster.terminal import stderr_console

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("objects"),
        TimeElapsedColumn(),
    )
    out = stderr_console()
    with Progress(*columns, console=out, transient=True, disable=is_quiet or not out.is_terminal) as progress:
        task = progress.add_task(title, total=None)

        def told(table: str, done: int, total: int, _events: int) -> None:
            progress.update(task, description=f"{title} {table}", completed=done, total=total)

        token = PROGRESS.set(told)
        try:
            yield
        finally:
            PROGRESS.reset(token)


def _print_outcome(outcome: RunOutcome) -> None:
    from loglake_dagster.kernels.safe_text import terminal_text

    day, why = outcome.run.day, f" ({outcome.run.why})" if outcome.run.why else ""
    for table, facts in outcome.materialized.items():
        click.echo(f"{day} {table}: {_summary(facts)}{why}")
    for words in outcome.warnings:
        click.echo(f"{day} warning: {terminal_text(words)}")
    for words in outcome.failures:
        click.echo(f"{day} FAILED: {terminal_text(words)}", err=True)


def _summary(facts: dict[str, Any]) -> str:
    if "files" in facts:
        return f"{facts['files']:,} files, {facts['bytes']:,} bytes, {facts['new_partitions']} new partitions"
    rows = f"{facts['dagster/partition_row_count']:,} rows"
    news = "new version" if facts["is_new_version"] else "nothing new, version"
    if "coverage" in facts:
        rows += f", coverage {facts['coverage']:.2%}, {facts['objects_read']:,} objects read"
    return f"{rows}, {news} {facts['version']}"


def _outcome_facts(outcome: RunOutcome) -> dict[str, Any]:
    return {
        "day": outcome.run.day,
        "run_id": outcome.run_id,
        "success": outcome.is_success,
        "materialized": outcome.materialized,
        "warnings": outcome.warnings,
        "failures": outcome.failures,
    }


def _print_transcripts(rows: list[dict[str, Any]]) -> None:
    from loglake_dagster.kernels.safe_text import terminal_text

    for row in rows:
        who = terminal_text(row["useridentity_arn"] or row["sessionowner"])
        click.echo(
            f"-- {who} on {terminal_text(row['target'])}, {row['eventtime']:%Y-%m-%d %H:%M:%S} UTC, "
            f"{row['keystroke_status']}"
        )
        click.echo(terminal_text(row["sessiondata"] or "(no keystrokes)", keep_lines=True))


def _print_places(lake: Lake, out: Console) -> None:
    settings = lake.settings
    click.echo(f"\nlake      {settings.lake}\ncatalog   {settings.catalog_path}\nsettings  {settings.file}")
    for feed in settings.feeds:
        click.echo(f"raw       {feed.uri} ({feed.source})")
    # As it can be typed here: `make` puts the command into .venv, which is on nobody's path.
    command = "loglake" if shutil.which("loglake") else os.path.relpath(sys.argv[0])
    click.echo(
        f'\nAsk it:   {command} query "select keystroke_status, count(*) from sessions group by all"\n'
        f"A case:   {command} sessions --day 2023-07-10 --session 0d9e8c7b6a5f41320\n"
        "The UI:   make up, then http://127.0.0.1:3000 (lineage, partitions, checks, run history)"
    )


def main() -> None:
    """Entry point: an error of ours is one line on standard error and exit code 2, never a traceback."""
    try:
        cli()
    except LogLakeError as error:
        from loglake_dagster.kernels.safe_text import terminal_text

        click.echo(f"Error: {terminal_text(error.message, keep_lines=True)}", err=True)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
