"""What the command line prints: tables on a terminal, JSON and CSV for programs. Every text passes the safe kernel.

A table takes the first layout that fits the terminal: values side by side, several in one cell, or one a line. What
does not fit is folded, what is too long says how much was cut: nothing vanishes silently.
"""

from __future__ import annotations

import base64
import csv
import datetime as dt
import decimal
import io
import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from loglake_dagster.engines.rejects import TableRejects
from loglake_dagster.engines.status import TableStatus
from loglake_dagster.kernels.safe_text import terminal_text
from loglake_dagster.lake.manifest import Totals

CELL, RECORD_CELL = 60, 400
UNLIMITED = 1 << 20
SHOWN_OBJECTS = 50
SESSION_COLUMNS = {
    "time": "eventtime",
    "status": "keystroke_status",
    "owner": "sessionowner",
    "session": "sessionid",
    "account": "recipientaccountid",
    "region": "awsregion",
    "target": "target",
    "lines": "lines",
    "error": "errorcode",
}
SESSION_STACKS = (("time", "account"), ("status", "lines"), ("owner", "session"), ("target", "region", "error"))
STATUS_STYLES = {"captured": "green", "missing": "bold red", "orphan": "bold red", "pending": "yellow"}
VERSION_STACKS = (("table", "version"), ("day", "published (UTC)"), ("rows", "bytes"), ("coverage", "settled"))


def console() -> Console:
    """Standard output; as wide as needed when it is no terminal, so that nothing is folded in a pipe."""
    return Console(width=None if sys.stdout.isatty() else UNLIMITED, highlight=False)


def stderr_console() -> Console:
    """Standard error, for what is not the answer: progress."""
    return Console(stderr=True)


def counted(number: int, noun: str) -> str:
    """`1 row`, `2,915 rows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def cell(value: Any, limit: int = CELL) -> Text:
    """One value, safe, never read as markup; what is cut is counted."""
    if isinstance(value, Text):
        return value
    text = terminal_text(shown(value))
    if len(text) > limit:
        text = f"{text[:limit]}... +{len(text) - limit:,}"
    return Text(text, overflow="fold")


def shown(value: Any) -> str:
    """A value as a person reads it, exact."""
    if value is None:
        return ""
    if isinstance(value, dt.datetime):
        spec = "milliseconds" if value.microsecond % 1000 == 0 else "microseconds"
        return value.replace(tzinfo=None).isoformat(" ", spec if value.microsecond else "seconds")
    if isinstance(value, (int, decimal.Decimal)) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows below a title and a header. `stacks` are the columns that a narrow terminal shows one above the other."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Any]]
    stacks: Sequence[Sequence[str]] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        if self.title:
            yield Text(self.title, style="bold")
        flat = self._table(self.header, self.rows)
        if _width(console, options, flat) <= options.max_width:
            yield flat
        elif self.stacks and self.rows:
            yield self._stacked()
        elif self.rows:
            yield from self._records()
        else:
            yield cell(", ".join(self.header), UNLIMITED)

    @staticmethod
    def _table(header: Sequence[Any], rows: Sequence[Sequence[Any]], leading: int = 0) -> Table:
        table = Table(header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), leading=leading)
        for place, name in enumerate(header):
            is_number = any(map(_is_number, column := [row[place] for row in rows])) and all(
                value is None or _is_number(value) for value in column
            )
            table.add_column(cell(name), justify="right" if is_number else "left", overflow="fold")
        for row in rows:
            table.add_row(*map(cell, row))
        return table

    def _stacked(self) -> Table:
        places = [[list(self.header).index(name) for name in stack] for stack in self.stacks]
        rows = [[_stack([cell(row[place]) for place in stack]) for stack in places] for row in self.rows]
        tallest = max(map(len, self.stacks))
        header = [Text("\n".join((*stack, *[""] * (tallest - len(stack))))) for stack in self.stacks]
        return self._table(header, rows, leading=1)

    def _records(self) -> Iterator[RenderableType]:
        for number, row in enumerate(self.rows, 1):
            record = Table.grid(padding=(0, 2, 0, 1))
            record.add_column(style="bold", overflow="fold")
            record.add_column(overflow="fold")
            for name, value in zip(self.header, row, strict=True):
                record.add_row(cell(name), cell(value, RECORD_CELL))
            yield Text(f"-- {number} of {len(self.rows)}", style="dim")
            yield record
        yield ""


def _width(console: Console, options: ConsoleOptions, table: Table) -> int:
    return Measurement.get(console, options.update_width(UNLIMITED), table).maximum


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, decimal.Decimal)) and not isinstance(value, bool)


def _stack(values: list[Text]) -> Text:
    while values and not values[-1]:
        values.pop()
    return Text("\n").join(values)


def sessions_table(day: str, rows: Sequence[Mapping[str, Any]]) -> Grid:
    """The sessions of a day without their transcripts."""
    lines = [[_session_cell(name, row[name]) for name in SESSION_COLUMNS.values()] for row in rows]
    return Grid(f"sessions {day} (UTC)", list(SESSION_COLUMNS), lines, SESSION_STACKS)


def _session_cell(name: str, value: Any) -> Any:
    if name == "eventtime":
        return f"{value:%H:%M:%S}"
    if name == "keystroke_status":
        return Text(str(value), style=STATUS_STYLES.get(str(value), ""))
    return value


def status_tables(statuses: Sequence[TableStatus], is_detailed: bool) -> list[RenderableType]:
    """Published versions; for one day also coverage by account and region, the account, and what was rejected."""
    header = ["table", "day", "rows", "coverage", "settled", "bytes", "published (UTC)", "version"]
    rows = [
        [s.table, s.day, s.rows, _percent(s.coverage), _settled(s), s.bytes, _published(s.published), s.version]
        for s in statuses
    ]
    is_any_refused = any(one.published is None for one in statuses)
    title = "published and refused versions" if is_any_refused else "published versions"
    tables: list[RenderableType] = [Grid(title, header, rows, VERSION_STACKS)]
    for one in statuses if is_detailed else ():
        tables += _details(one)
    return tables


def _settled(one: TableStatus) -> str:
    if one.late:
        return f"{counted(one.late, 'late object')} to read"
    if one.is_past_horizon and one.unrun:
        return f"{counted(one.unrun, 'later day')} not run"
    return "yes" if one.is_settled else f"from {one.settles:%F}" if one.settles else ""


def _published(moment: dt.datetime | None) -> str:
    return "refused, not seen" if moment is None else f"{moment:%F %T}"


def _details(one: TableStatus) -> Iterator[RenderableType]:
    of = f"{one.table} {one.day}{'' if one.published else ' (refused)'}"
    if one.statuses:
        yield Grid(f"{of}: sessions by keystroke status", list(one.statuses), [list(one.statuses.values())])
    if one.totals is not None:
        yield _account(of, one.totals)
    if one.accounts:
        rows = [[r.account, r.region, r.landed, r.expected, r.gap, _percent(r.coverage)] for r in one.accounts]
        yield Grid(
            f"{of}: coverage by account and region",
            ["account", "region", "landed", "expected", "gap", "coverage"],
            rows,
        )
    if one.missing:
        lines = [[_uri(m.uri), m.reason, m.estimated, "estimated" if m.is_estimate else "counted"] for m in one.missing]
        yield from _first(f"{of}: missing or damaged", ["object", "reason", "events", "how known"], lines)
    if one.rejects:
        lines = [[_uri(r["object"]), r["ordinal"], r["path"], r["expected"], r["got"]] for r in one.rejects]
        yield from _first(f"{of}: rejected", ["object", "record", "path", "expected", "got"], lines)
    if one.ignored or one.refused:
        refused = [[f"refused by controls.{name}", count] for name, count in one.refused.items()]
        rows = [*([cell(reason, UNLIMITED), count] for reason, count in one.ignored.items()), *refused]
        yield Grid(f"{of}: keys and folders that were not read", ["why", "keys"], rows)


def _account(of: str, totals: Totals) -> Group:
    """What became of every record, as the sum that must hold."""
    parts = ("landed", "duplicate", "filtered", "other_day", "rejected")
    return Group(
        Text(f"{of}: account", style="bold"),
        f"{totals.objects:,} objects ({totals.unreadable:,} unreadable, {totals.partly_read:,} partly read)",
        f"{totals.found:,} found = {' + '.join(f'{getattr(totals, name):,} {name}' for name in parts)}\n",
    )


def _first(title: str, header: Sequence[str], rows: list[list[Any]]) -> Iterator[RenderableType]:
    yield Grid(title, header, rows[:SHOWN_OBJECTS])
    if len(rows) > SHOWN_OBJECTS:
        yield f" and {len(rows) - SHOWN_OBJECTS:,} more, which --json gives\n"


def rejects_lists(found: Sequence[TableRejects], is_full: bool) -> Iterator[RenderableType]:
    """Each table's rejects one below the other, the record last; `is_full` cuts none of them off, nor their number."""
    for one in found:
        count = len(one.rejects)
        yield Text(f"{one.table} {one.day}: {count:,} rejected (version {one.version})", style="bold")
        for number, reject in enumerate(one.rejects[: None if is_full else SHOWN_OBJECTS], 1):
            yield Text(f"-- {number:,} of {count:,}", style="dim")
            yield from _reject(reject, UNLIMITED if is_full else RECORD_CELL)
        if not is_full and count > SHOWN_OBJECTS:
            yield f" and {count - SHOWN_OBJECTS:,} more, which --full and --json give"
        yield ""


def _reject(reject: Mapping[str, Any], limit: int) -> Iterator[RenderableType]:
    """A reject's facts, one a line."""
    record = reject.get("record")
    if record is None:  # no UTF-8: its bytes are shown as \xff; --json has them exactly
        record = base64.b64decode(reject["record_base64"]).decode("utf-8", "backslashreplace")
    values = {name: cell(reject[name], RECORD_CELL) for name in ("ordinal", "path", "expected", "got", "eventday")}
    for name, value in {"object": _uri(reject["object"]), **values, "record": cell(record, limit)}.items():
        yield Text.assemble((f" {name:<8}  ", "bold"), value, overflow="fold")


def _uri(uri: str) -> Text:
    """An object's URI uncut: it is there to be copied."""
    return cell(uri, UNLIMITED)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.2%}"


def json_text(value: Any) -> str:
    """JSON in ASCII: a control character in it is an escape, on a terminal too."""
    return json.dumps(_plain(value), indent=1, ensure_ascii=True, allow_nan=False)


def _plain(value: Any) -> Any:
    """What JSON has a word for; times are UTC with a Z, numbers that JSON does not know are text."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, dt.datetime):
        utc = value if value.tzinfo is None else value.astimezone(dt.timezone.utc).replace(tzinfo=None)
        return f"{utc.isoformat()}Z"
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value.hex() if isinstance(value, bytes) else str(value)


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]], is_terminal: bool) -> str:
    """CSV with a header; verbatim in a pipe or file, made safe on a terminal."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    for row in (header, *rows):
        values = ["" if value is None else value for value in row]
        writer.writerow([terminal_text(value) if is_terminal else value for value in values])
    return sink.getvalue()
