"""Hostile text made safe to show: on a terminal nothing acts, in Markdown nothing is markup, and nothing is lost."""

import html
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglake_dagster.kernels.safe_text import markdown_cell, markdown_table, terminal_text

ANY_TEXT = st.text(st.characters())  # lone surrogates too


def acting(text):
    """Characters that a terminal or a browser acts on, or that show as another text than they are."""
    return {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("it's <b>", "it&#39;s &#60;b&#62;"),
        ("a|b", "a&#124;b"),
        ("[x](javascript:alert)", "&#91;x&#93;&#40;javascript:alert&#41;"),
        ("&lt;", "&#38;lt;"),
        ("\x1b[31m", "&#92;x1b&#91;31m"),
        ("two\nlines", "two&#92;nlines"),
        (None, ""),
    ],
)
def test_a_cell_is_text(text, shown):
    assert markdown_cell(text) == shown


@given(ANY_TEXT)
def test_a_cell_shows_the_text_and_holds_no_sign_of_markup(text):
    cell = markdown_cell(text, limit=10**6)
    assert html.unescape(cell) == terminal_text(text)
    assert not set("<>\"'|`*_[]()!~\\\n") & set(cell)
    assert acting(cell) == set()


@given(ANY_TEXT)
def test_a_terminal_gets_nothing_that_acts(text):
    assert acting(terminal_text(text)) == set()
    assert acting(terminal_text(text, keep_lines=True)) <= {"\n", "\t"}


def test_a_long_cell_is_cut_before_it_is_escaped():
    assert markdown_cell("'" * 300, limit=10) == "&#39;" * 7 + "..."


def test_a_table_has_a_line_a_row_whatever_the_values_hold():
    table = markdown_table(("a", "b"), [("x|y", "two\nlines"), (1, None)])
    assert table.splitlines() == ["| a | b |", "| --- | --- |", "| x&#124;y | two&#92;nlines |", "| 1 |  |"]
    assert markdown_table(("a",), []) == "none"
