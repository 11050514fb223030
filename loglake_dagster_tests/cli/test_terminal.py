"""On a terminal of 80 columns: readable, nothing wider than the screen, nothing left out."""

import io
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from loglake_dagster.terminal import Grid
from loglake_dagster_tests.cli.process import plain

DAY = "2023-07-10"


def on_screen(result):
    """The lines that a person sees, checked to fit."""
    assert result.code == 0
    lines = plain(result.out).splitlines()
    assert max(map(len, lines)) <= 80
    return lines


def test_sessions_are_told_in_two_lines_each(demo):
    lines = on_screen(demo[0].terminal("sessions", "--day", DAY))
    at = lines.index(" 09:12:04      captured      mia.keller@example.com      i-0a1b2c3d4e5f60718  ")
    assert lines[at + 1].split() == ["218007301253", "13", "t59j8gpq2ta8hniozstbnphqs8", "us-east-1"]
    assert [line.strip() for line in lines].count("AccessDenied") == 1
    assert sum(line.startswith(" 218007301253  ") for line in lines) == 12


def test_status_names_objects_whole(demo):
    lines = on_screen(demo[0].terminal("status", "--day", DAY))
    assert any(line.split() == ["from_cloudtrail_readready", DAY, "2,915", "99.93%"] for line in lines)
    joined = "".join(line.strip() for line in lines)
    assert "218007301253_CloudTrail_us-east-1_20230710T1620Z_Made22f56333ffdc.json.gz" in joined
    assert "2,919 found = 2,915 landed + 2 duplicate + 0 filtered + 0 other_day + 2 rejected" in lines


def test_a_row_of_many_columns_is_told_one_value_a_line(demo):
    result = demo[0].terminal("query", "select * from sessions order by eventtime limit 2")
    lines = on_screen(result)
    assert lines[0] == "-- 1 of 2"
    told = [line.split() for line in lines]
    assert ["sessionowner", "mia.keller@example.com"] in told
    assert ["sessionowner", "jan-willem"] in told
    assert lines[-1] == "2 rows (read: 1 stripe of 12 rows)"


def test_an_answer_without_rows_still_names_its_columns(demo):
    lines = on_screen(demo[0].terminal("query", "select * from sessions where false"))
    assert " ".join(lines).startswith("eventtime, sessionid, sessionowner, keystroke_status, ")
    assert lines[-1] == "0 rows"


def test_a_progress_bar_leaves_no_trace_in_what_is_told(sample):
    result = sample.terminal("materialize", "--day", DAY, "--table", "from_cloudwatch_readready")
    last = [line.rpartition("\x1b[2K")[2] for line in result.out.splitlines() if line.strip()]
    assert last[-1].startswith(f"{DAY} from_cloudwatch_readready: 11 rows, coverage 100.00%")


def rendered(grid, width):
    sink = io.StringIO()
    Console(file=sink, width=width, force_terminal=False).print(grid)
    return sink.getvalue()


TEXT = st.text(st.characters(codec="ascii", exclude_categories=["Cc", "Zs"]), max_size=50)
CELLS = st.one_of(TEXT, st.integers(), st.none(), st.booleans())


@st.composite
def grids(draw):
    header = draw(st.lists(TEXT.filter(bool), min_size=1, max_size=7, unique=True))
    rows = draw(st.lists(st.lists(CELLS, min_size=len(header), max_size=len(header)), max_size=4))
    cut = draw(st.integers(1, len(header)))
    stacks = draw(st.sampled_from([(), (tuple(header[:cut]), tuple(header[cut:]) or (header[0],))]))
    return Grid("", header, rows, stacks)


@given(grids(), st.sampled_from([40, 80, 200]))
def test_no_layout_loses_a_character_or_is_wider_than_the_screen(grid, width):
    """Once a table of many columns gave the last ones no width at all, and their values were gone."""
    text = rendered(grid, width)
    assert all(len(line) <= width for line in text.splitlines())
    wanted = Counter()
    for value in (*grid.header, *(value for row in grid.rows for value in row)):
        wanted.update("" if value is None else f"{value:,}" if type(value) is int else str(value))
    assert not wanted - Counter(text)


@pytest.mark.parametrize("width", [20, 80, 1 << 20])
def test_markup_in_a_value_is_text(width):
    assert "[red]x[/red]" in rendered(Grid("", ["[b]a"], [["[red]x[/red]"]]), width)
