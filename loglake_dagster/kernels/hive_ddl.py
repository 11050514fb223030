"""Tables as DDL for Athena and Hive: pure text from the declared columns, every name and word quoted.

Written for the grammar of Hive, which Athena's DDL is: names in backquotes, texts in single quotes with a backslash
before what would end them. `STORED AS ORC` is spelled out, because only the long form takes SerDe properties, and
`orc.column.index.access` is one. Comments keep to what Glue takes: one line, 255 bytes.
"""

from __future__ import annotations

import datetime as dt
import unicodedata
from collections.abc import Mapping, Sequence

from loglake_dagster.lake.schema import EVENT_DAY, Column, Table
from loglake_dagster.lake.source import RawFormat

DATABASE = "loglake"
# A place without a file: the rows of a table lie in the locations of its partitions alone. At the folder of the table
# itself a repair or a crawler would take every version of a day for a part of it.
NO_FILES = "s3://example-lake/_no_files/"
COMMENT_BYTES = 255
# Athena's DDL is Hive's (a backslash before a quote), its queries are Presto's (two quotes), and it takes one statement
# at a time, told apart at semicolons by rules that are not documented: comments do without both signs.
_PLAIN = str.maketrans({"'": "\u2019", ";": ","})
# SerDe, input format, output format: what `STORED AS ORC` stands for.
ORC = (
    "org.apache.hadoop.hive.ql.io.orc.OrcSerde",
    "org.apache.hadoop.hive.ql.io.orc.OrcInputFormat",
    "org.apache.hadoop.hive.ql.io.orc.OrcOutputFormat",
)
# By name, not by place: a day that was written before a column came is then still read rightly.
ORC_PROPERTIES = {"orc.column.index.access": "false"}


def create_orc_table(table: Table) -> str:
    """The statement that makes a readready table or sessions known; its days are added one by one."""
    columns = [_column(column) for column in table.columns]
    return _create(table, columns, ORC, ORC_PROPERTIES, {"classification": "orc"})


def create_raw_table(table: Table, raw: RawFormat) -> str:
    """The statement that makes a raw table known, whose files are read where they were delivered."""
    columns = [f"{quoted_name(name)} {kind}" for name, kind in raw.columns]
    return _create(table, columns, (raw.serde, raw.input_format, raw.output_format), {}, {})


def add_partition(table: Table, values: Mapping[str, str], location: str) -> str:
    """The statement that adds a partition; it changes nothing where there is one already."""
    return f"ALTER TABLE {_name(table)} ADD IF NOT EXISTS {_partition(values)} LOCATION {quoted_text(location)}"


def set_location(table: Table, values: Mapping[str, str], location: str) -> str:
    """The statement that moves a partition that is there: readers see the old files or the new ones."""
    return f"ALTER TABLE {_name(table)} {_partition(values)} SET LOCATION {quoted_text(location)}"


def day_of(day: dt.date) -> dict[str, str]:
    """The partition of a day."""
    return {EVENT_DAY.name: day.isoformat()}


def quoted_name(name: str) -> str:
    """A name of a table or column. ValueError if it holds a control character."""
    return "`" + _printable(name).replace("`", "``") + "`"


def quoted_text(text: str) -> str:
    """A text literal. ValueError if it holds a control character."""
    return "'" + _printable(text).replace("\\", "\\\\").replace("'", "\\'") + "'"


def quoted_comment(text: str) -> str:
    """A text literal of one line and 255 bytes at most, as Glue takes for a comment; what is cut ends in `...`, and
    apostrophe and semicolon have a stand-in."""
    text = text.translate(_PLAIN)
    line = " ".join("".join(" " if unicodedata.category(c)[0] == "C" else c for c in text).split())
    data = line.encode()
    if len(data) > COMMENT_BYTES:
        line = data[: COMMENT_BYTES - 3].decode(errors="ignore") + "..."
    return quoted_text(line)


def _create(
    table: Table,
    columns: Sequence[str],
    how: tuple[str, str, str],
    serde_properties: Mapping[str, str],
    properties: Mapping[str, str],
) -> str:
    serde, input_format, output_format = how
    lines = [
        f"CREATE EXTERNAL TABLE IF NOT EXISTS {_name(table)} (",
        *(f"  {column}," for column in columns[:-1]),
        f"  {columns[-1]}",
        ")",
        f"COMMENT {quoted_comment(table.doc)}",
        "PARTITIONED BY (",
        ",\n".join(f"  {_column(column)}" for column in table.partition_columns),
        ")",
        f"ROW FORMAT SERDE {quoted_text(serde)}",
        *([f"WITH SERDEPROPERTIES ({_pairs(serde_properties)})"] if serde_properties else []),
        f"STORED AS INPUTFORMAT {quoted_text(input_format)}",
        f"  OUTPUTFORMAT {quoted_text(output_format)}",
        f"LOCATION {quoted_text(f'{NO_FILES}{table.name}/')}",
        *([f"TBLPROPERTIES ({_pairs(properties)})"] if properties else []),
    ]
    return "\n".join(lines)


def _name(table: Table) -> str:
    return f"{quoted_name(DATABASE)}.{quoted_name(table.name)}"


def _column(column: Column) -> str:
    doc = f"{column.doc} ({column.unit})" if column.unit else column.doc
    return f"{quoted_name(column.name)} {column.hive_type} COMMENT {quoted_comment(doc)}"


def _partition(values: Mapping[str, str]) -> str:
    pairs = ", ".join(f"{quoted_name(name)} = {quoted_text(value)}" for name, value in values.items())
    return f"PARTITION ({pairs})"


def _pairs(properties: Mapping[str, str]) -> str:
    return ", ".join(f"{quoted_text(name)} = {quoted_text(value)}" for name, value in properties.items())


def _printable(text: str) -> str:
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise ValueError(f"{text!a}: a control character has no safe form in DDL")
    return text
