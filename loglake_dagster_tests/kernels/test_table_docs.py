"""A table's page says what its record says."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglake_dagster.kernels.table_docs import Page, index_page, prose, table_page
from loglake_dagster.lake.schema import EVENT_DAY, SOURCE_OBJECT, Column, Table

COLUMNS = (
    Column("eventtime", "timestamp", "When.", "eventTime", "UTC", nullable=False),
    Column("asked", "json", "What, as `a|b` or <b>.", "request.asked", lookup=True),
    SOURCE_OBJECT,
)
TABLE = Table("t", "Some events.", COLUMNS, (EVENT_DAY,), row_order=("asked", "eventtime", "source_object"))
PAGE = Page(TABLE, "`from_t_raw`: files", "an event, named by its `asked`")


def lines_of(page):
    return table_page(page).splitlines()


def test_each_column_has_a_line_with_all_that_is_declared():
    lines = lines_of(PAGE)
    assert "| `eventtime` | timestamp | no | UTC | When. | `eventTime` |" in lines
    assert "| `asked` | string (JSON) | yes | | What, as `a\\|b` or &lt;b&gt;. | `request.asked` |" in lines
    assert "| `source_object` | string | no | | URI of the source object that the row was read from. | |" in lines
    assert "| `eventday` | date | no | UTC day | UTC day of eventtime; the partition. | |" in lines


def test_the_page_says_what_a_row_is_and_how_rows_are_laid():
    lines = lines_of(PAGE)
    assert lines[0].startswith("<!-- made by `make docs`")
    assert lines[1:4] == ["# t", "", "Some events."]
    assert "| one row is | an event, named by its `asked` |" in lines
    assert "| made from | `from_t_raw`: files |" in lines
    assert "| rows of a file are in the order of | `asked`, `eventtime`, `source_object` |" in lines
    assert "| ids with a bloom filter | `asked` |" in lines
    assert "| DDL for Athena | [t.sql](../../deploy/athena/t.sql) |" in lines


def test_questions_name_a_day_and_are_asked_in_both_dialects():
    lines = lines_of(PAGE)
    assert "$ loglake query \"select eventtime, asked from t where eventday = '2023-07-10' limit 10\"" in lines
    assert "select eventtime, asked from loglake.t where eventday = date '2023-07-10' limit 10;" in lines
    assert sum("json_extract_string(asked, '$.name')" in line for line in lines) == 1
    assert sum("json_extract_scalar(asked, '$.name')" in line for line in lines) == 1


def test_a_table_without_ids_and_trees_is_asked_for_rows_alone():
    bare = replace(TABLE, columns=COLUMNS[:1], row_order=())
    assert sum(line.startswith("$ loglake") for line in lines_of(replace(PAGE, table=bare))) == 1


def test_the_index_leads_to_every_page():
    assert "| [t](t.md) | Some events. |" in index_page([PAGE]).splitlines()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain {} and 100 %", "plain {} and 100 %"),
        ("`a|b` and a|b", "`a\\|b` and a\\|b"),
        ("<script>*x*</script>", "&lt;script&gt;\\*x\\*&lt;/script&gt;"),
        ("two\nlines [x](y)", "two lines \\[x\\](y)"),
        ("one ` alone", "one \\` alone"),
    ],
)
def test_a_sentence_is_text_and_its_code_stays_code(text, shown):
    assert prose(text) == shown


@given(st.text())
def test_no_sentence_ends_its_cell(text):
    shown = prose(text)
    assert len(shown.splitlines()) <= 1
    assert shown.replace("\\|", "").count("|") == 0
