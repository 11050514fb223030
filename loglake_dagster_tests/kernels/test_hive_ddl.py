"""DDL for Athena and Hive: parsed by another program's grammar, whatever names and sentences hold."""

import datetime as dt

import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

from loglake_dagster.kernels.hive_ddl import (
    COMMENT_BYTES,
    add_partition,
    create_orc_table,
    create_raw_table,
    day_of,
    quoted_comment,
    quoted_name,
    quoted_text,
    set_location,
)
from loglake_dagster.lake.schema import EVENT_DAY, Column, Table
from loglake_dagster.lake.source import RawFormat

DIALECTS = ("hive", "athena")
HOSTILE = "it's `odd`, \\ and \" too; DROP TABLE x; -- \n\t\0\x1b[31m\u202e <script> \U0001f600"
TABLE = Table("t", HOSTILE, (Column("when", "timestamp", HOSTILE, unit="UTC"), Column("b", "json", "B.")), (EVENT_DAY,))
PLACE = "s3://lake/it's/t/eventday=2026-03-02/v=1/"
PRINTABLE = st.text(st.characters(exclude_categories=["Cc", "Cs"]))


def parsed(statement, dialect):
    """The one statement of a text; a command is what sqlglot calls that which it cannot parse."""
    (tree,) = sqlglot.parse(statement, dialect=dialect)
    assert not isinstance(tree, exp.Command)
    return tree


def columns_of(tree):
    """(name, type, comment) of a table's columns, in order."""
    return [
        (one.name, one.kind.sql().lower(), one.find(exp.CommentColumnConstraint).this.name)
        for one in tree.this.expressions
    ]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_readready_table_is_made_of_its_columns_and_read_by_name(dialect):
    tree = parsed(create_orc_table(TABLE), dialect)
    assert (tree.kind, tree.args["exists"]) == ("TABLE", True)
    assert (tree.this.this.db, tree.this.this.name) == ("loglake", "t")
    assert [(name, kind) for name, kind, _comment in columns_of(tree)] == [("when", "timestamp"), ("b", "text")]
    (partition,) = tree.find(exp.PartitionedByProperty).this.expressions
    assert (partition.name, partition.kind.sql()) == ("eventday", "DATE")
    serde = tree.find(exp.SerdeProperties)
    assert [(one.this.name, one.args["value"].name) for one in serde.expressions] == [
        ("orc.column.index.access", "false")
    ]
    assert tree.find(exp.LocationProperty).this.name == "s3://example-lake/_no_files/t/"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_raw_table_has_the_types_of_its_reader_and_no_property_of_orc(dialect):
    raw = RawFormat((("a", "STRUCT<type:STRING,m:MAP<STRING,ARRAY<STRING>>>"),), "a.SerDe", "an.Input", "an.Output")
    statement = create_raw_table(Table("r", "Raw.", (), (Column("day", "date", "Day."),)), raw)
    assert parsed(statement, dialect).this.expressions[0].kind.this == exp.DataType.Type.STRUCT
    assert "orc" not in statement


@given(st.text(max_size=400))
def test_a_comment_is_one_line_of_at_most_255_bytes_that_ends_where_it_should(text):
    literal = quoted_comment(text)
    assert [len(sqlglot.tokenize(literal, dialect=dialect)) for dialect in DIALECTS] == [1, 1]
    comment = parsed(f"SELECT {literal}", "hive").expressions[0].name
    assert len(comment.encode()) <= COMMENT_BYTES
    assert comment.split() == comment.split(" ") or comment == ""
    assert not {"'", ";"} & set(literal[1:-1])


def test_a_long_comment_says_that_it_was_cut():
    assert quoted_comment("\u20ac" * 85) == f"'{chr(0x20AC) * 85}'"
    assert quoted_comment("\u20ac" * 86) == f"'{chr(0x20AC) * 84}...'"


@given(PRINTABLE)
def test_texts_and_names_are_read_as_they_are(text):
    assert parsed(f"SELECT {quoted_text(text)}", "hive").expressions[0].name == text
    if text:
        assert parsed(f"SELECT {quoted_name(text)}", "hive").expressions[0].name == text


@pytest.mark.parametrize("quoted", [quoted_text, quoted_name])
@pytest.mark.parametrize("character", ["\0", "\n", "\x1b", "\x7f", "\x85", "\ud800"])
def test_a_control_character_is_refused_where_it_would_have_to_be_kept(quoted, character):
    with pytest.raises(ValueError, match="a control character has no safe form in DDL"):
        quoted(f"a{character}b")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_published_day_is_added_or_moved_to_its_versions_folder(dialect):
    day = day_of(dt.date(2026, 3, 2))
    for statement in (add_partition(TABLE, day, PLACE), set_location(TABLE, day, PLACE)):
        tree = parsed(statement, dialect)
        assert (tree.this.db, tree.this.name) == ("loglake", "t")
        texts = [one.name for one in tree.find_all(exp.Literal)]
        assert "2026-03-02" in texts
        assert PLACE in texts
