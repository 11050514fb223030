"""What the command line prints: tables on a terminal, JSON and CSV for programs. Every text passes the safe kernel."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from loglake_dagster.engines.status import TableStatus
from loglake_dagster.kernels.safe_text import terminal_text

CELL = 60
SESSION_COLUMNS = (
    "eventtime", "keystroke_status", "sessionowner", "sessionid", "recipientaccountid", "awsregion", "target", "lines",
    "errorcode",
)  # fmt: skip
STATUS_STYLES = {"captured": "green", "missing": "bold red", "orphan": "bold red", "pending": "yellow"}


def console() -> Console:
    """Standard output; as wide as needed when it is no terminal, so that nothing is cut in a pipe."""
    return Console(width=None if sys.stdout.isatty() else 200, highlight=False, soft_wrap=False)


def stderr_console() -> Console:
    """Standard error, for what is not the answer: progress."""
    return Console(stderr=True)


def cell(value: Any, limit: int = CELL) -> Text:
    """One value, safe and cut, never read as markup."""
    text = terminal_text(shown(value))
    return Text(text if len(text) <= limit else text[: limit - 3] + "...", overflow="fold")


def shown(value: Any) -> str:
    """A value as a person reads it."""
    if value is None:
        return ""
    if isinstance(value, dt.datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)


def rows_table(title: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Group:
    """A table whose numbers stand right, below its title."""
    table = Table(header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    lines = [list(row) for row in rows]
    for place, name in enumerate(header):
        is_number = bool(lines) and all(isinstance(line[place], (int, float)) for line in lines)
        table.add_column(name, justify="right" if is_number else "left", overflow="fold")
    for line in lines:
        table.add_row(*(value if isinstance(value, Text) else cell(value) for value in line))
    return Group(Text(title, style="bold"), table) if title else Group(table)


def sessions_table(day: str, rows: Sequence[Mapping[str, Any]]) -> Group:
    """The sessions of a day without their transcripts."""
    lines = [[_session_cell(name, row[name]) for name in SESSION_COLUMNS] for row in rows]
    return rows_table(
        f"sessions {day}",
        ["time", "status", "owner", "session", "account", "region", "target", "lines", "error"],
        lines,
    )


def _session_cell(name: str, value: Any) -> Text | Any:
    if name == "keystroke_status":
        return Text(str(value), style=STATUS_STYLES.get(str(value), ""))
    return cell(value)


def status_tables(statuses: Sequence[TableStatus], is_detailed: bool) -> list[Group]:
    """Published versions; for one day also coverage by account and region, the account, and what was rejected."""
    header = ["table", "day", "rows", "coverage", "bytes", "published (UTC)", "version"]
    rows = [[s.table, s.day, s.rows, _percent(s.coverage), s.bytes, s.published, s.version] for s in statuses]
    tables = [rows_table("published versions", header, rows)]
    for one in statuses if is_detailed else ():
        tables += _details(one)
    return tables


def _details(one: TableStatus) -> list[Group]:
    tables: list[Group] = []
    if one.statuses:
        header = list(one.statuses)
        tables.append(
            rows_table(
                f"{one.table} {one.day}: sessions by keystroke status", header, [[one.statuses[k] for k in header]]
            )
        )
    if one.totals is not None:
        names = (
            "objects",
            "found",
            "landed",
            "duplicate",
            "filtered",
            "other_day",
            "rejected",
            "unreadable",
            "partly_read",
        )
        title = f"{one.table} {one.day}: found = landed + duplicate + filtered + other_day + rejected"
        tables.append(rows_table(title, names, [[getattr(one.totals, name) for name in names]]))
    if one.accounts:
        rows = [[r.account, r.region, r.landed, r.expected, r.gap, _percent(r.coverage)] for r in one.accounts]
        header = ["account", "region", "landed", "expected", "gap", "coverage"]
        tables.append(
            rows_table(f"{one.table} {one.day}: coverage by account and region", header, [_textual(r) for r in rows])
        )
    if one.missing:
        lines = [[m.uri, m.reason, m.estimated, "estimated" if m.is_estimate else "counted"] for m in one.missing]
        tables.append(
            rows_table(
                f"{one.table} {one.day}: missing or damaged", ["object", "reason", "events", "how known"], _wide(lines)
            )
        )
    if one.rejects:
        lines = [[r["object"], r["ordinal"], r["path"], r["expected"], r["got"]] for r in one.rejects]
        tables.append(
            rows_table(
                f"{one.table} {one.day}: rejected", ["object", "record", "path", "expected", "got"], _wide(lines)
            )
        )
    return tables


def _textual(row: Sequence[Any]) -> list[Any]:
    """Account ids are text: no thousands separator, leading zeros kept."""
    return [cell(str(row[0])), cell(str(row[1])), *row[2:]]


def _wide(lines: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """The object's URI uncut: it is there to be copied."""
    return [[cell(line[0], 1000), *line[1:]] for line in lines]


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.2%}"


def json_text(value: Any) -> str:
    """JSON in ASCII: a control character in it is an escape, on a terminal too."""
    return json.dumps(value, indent=1, default=_plain, ensure_ascii=True)


def _plain(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return value.isoformat() + ("Z" if value.tzinfo is None else "")
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def csv_text(header: Sequence[str], rows: Iterable[Mapping[str, Any]], is_terminal: bool) -> str:
    """CSV with a header; verbatim in a pipe or file, made safe on a terminal."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        values = ["" if row[name] is None else row[name] for name in header]
        writer.writerow([terminal_text(value) if is_terminal else value for value in values])
    return sink.getvalue()
