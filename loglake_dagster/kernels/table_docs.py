"""A table's page: Markdown from its record, for the people who read the table.

Everything that a page says comes from the record or from the few words that its maker passes; examples name the sample
day, so that they can be run as they stand.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

from loglake_dagster.kernels.hive_ddl import DATABASE
from loglake_dagster.lake.schema import EVENT_DAY, SOURCE_OBJECT, SOURCE_ORDINAL, Column, Table

NOTICE = "made by `make docs` from the record of the table: change the record, not this file"
EXAMPLE_DAY = "2023-07-10"
SHOWN_COLUMNS = 4
# Where the DDL is, seen from a page.
ATHENA = "../../deploy/athena/"
_SOURCES_OWN = (SOURCE_OBJECT.name, SOURCE_ORDINAL.name)
_CODE = re.compile(r"(`[^`]*`)")


@dataclass(frozen=True, slots=True)
class Page:
    """What a page is made from. `made_from` and `one_row` are phrases: where rows come from, what names one."""

    table: Table
    made_from: str
    one_row: str


def table_page(page: Page) -> str:
    """The page of a table."""
    table = page.table
    order = ", ".join(f"`{name}`" for name in table.row_order)
    ddl = f"[{table.name}.sql]({ATHENA}{table.name}.sql)"
    days = f"`{table.name}` is partitioned by `{EVENT_DAY.name}`, a UTC day of `eventtime`."
    facts = [
        ("made from", page.made_from),
        ("one row is", page.one_row),
        ("rows of a file are in the order of", order),
        ("ids with a bloom filter", ", ".join(f"`{name}`" for name in table.lookup_columns)),
        ("stored as", f"ORC files below `{table.name}/{EVENT_DAY.name}=.../v=.../` of the lake; flat columns only"),
    ]
    columns = (*table.columns, *table.partition_columns)
    return "\n".join(
        [
            f"<!-- {NOTICE} -->",
            f"# {table.name}",
            "",
            prose(table.doc),
            "",
            *_grid(("", ""), [*((words, prose(said)) for words, said in facts), ("DDL for Athena", ddl)]),
            "",
            "## Columns",
            "",
            "Timestamps are UTC, to the millisecond. A `string (JSON)` holds JSON text exactly as the record had it.",
            "The last column names the field of AWS's record; where it is empty, Log Lake makes the value.",
            "",
            *_grid(
                ("column", "type", "null", "unit", "what it holds", "AWS field"), [_row(column) for column in columns]
            ),
            "",
            "## How to query it",
            "",
            prose(f"{days} Name the days: a query without them reads every day that was ever published."),
            "",
            *_examples(table),
            "",
        ]
    )


def index_page(pages: Sequence[Page]) -> str:
    """The list of all tables."""
    rows = [(f"[{page.table.name}]({page.table.name}.md)", prose(page.table.doc)) for page in pages]
    return "\n".join(
        [
            f"<!-- {NOTICE.replace('the table', 'each table')} -->",
            "# Tables",
            "",
            "What readers see: one page a table, made from the record that the table itself is made from.",
            "",
            *_grid(("table", "what it holds"), rows),
            "",
        ]
    )


def prose(text: str) -> str:
    """A sentence of a record as Markdown: its code spans stay, everything else is text, also in a table."""
    parts = _CODE.split(" ".join(text.split()))
    return "".join(
        part.replace("|", "\\|") if place % 2 else re.sub(r"([|*\[\]\\`])", r"\\\1", html.escape(part, quote=False))
        for place, part in enumerate(parts)
    )


def type_of(column: Column) -> str:
    """A column's type as a reader sees it."""
    return f"{column.hive_type} (JSON)" if column.kind == "json" else column.hive_type


def _row(column: Column) -> tuple[str, ...]:
    is_null = "yes" if column.nullable else "no"
    field = f"`{column.field}`" if column.field else ""
    return f"`{column.name}`", type_of(column), is_null, column.unit or "", prose(column.doc), prose(field)


def _grid(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    lines = [header, tuple("---" for _name in header), *rows]
    return ["|" + "|".join(f" {cell} " if cell else " " for cell in line) + "|" for line in lines]


def _depth(column: Column) -> int:
    return (column.field or "").count(".")


def _examples(table: Table) -> list[str]:
    """The same questions for the command line (DuckDB) and for Athena: some rows, one id, a member of a JSON text."""
    named = [name for name in ("eventtime", *table.row_order) if name not in _SOURCES_OWN]
    columns = ", ".join(list(dict.fromkeys(named))[:SHOWN_COLUMNS])
    day, where = EVENT_DAY.name, f"from {table.name} where {EVENT_DAY.name} = '{EXAMPLE_DAY}'"
    duckdb = [f"select {columns} {where} limit 10"]
    if table.lookup_columns:
        duckdb.append(f"select * {where} and {table.lookup_columns[0]} = 'the id'")
    trees = [column.name for column in sorted(table.columns, key=_depth) if column.kind == "json"]
    if trees:
        duckdb.append(f"select json_extract_string({trees[0]}, '$.name') as name, count(*) {where} group by all")
    athena = [
        question.replace(f"from {table.name}", f"from {DATABASE}.{table.name}")
        .replace(f"{day} = '", f"{day} = date '")
        .replace("json_extract_string", "json_extract_scalar")
        .replace("group by all", "group by 1")
        for question in duckdb
    ]
    return [
        "```console",
        *(f'$ loglake query "{question}"' for question in duckdb),
        "```",
        "",
        f"Athena, after [its table was made]({ATHENA}README.md):",
        "",
        "```sql",
        *(f"{question};" for question in athena),
        "```",
    ]
