"""A lean set of columns: the same rows with less in them, and nothing that anything else is made from."""

from dataclasses import replace

import pyorc
import pytest

from loglake_dagster.config import load_settings
from loglake_dagster.engines.lake import open_lake
from loglake_dagster.engines.planning import plan_readready
from loglake_dagster.engines.query import run_query
from loglake_dagster.engines.readready import materialize_readready
from loglake_dagster.errors import ConfigError
from loglake_dagster.lake.settings import Settings
from loglake_dagster.sessions import query as sessions
from loglake_dagster.sources import SOURCES
from loglake_dagster.sources.cloudtrail import LEAN_WITHOUT, SOURCE, TABLE
from loglake_dagster_tests.engines.deliveries import event, trail_file
from loglake_dagster_tests.engines.made_lake import made_lake, rows_of, trail_of
from loglake_dagster_tests.made import DAY


def lean(lake):
    return replace(lake, settings=replace(lake.settings, lean=frozenset({"cloudtrail"})))


def delivered(tmp_path):
    lake = made_lake(tmp_path)
    events = [event(n, requestID=f"r{n}", tlsDetails={"tlsVersion": "TLSv1.3"}) for n in range(3)]
    trail_file(trail_of(tmp_path), events, f"{DAY}T12:00")
    return lake


def test_a_lean_part_is_written_without_the_columns_and_readers_get_null(tmp_path):
    lake = delivered(tmp_path)
    materialize_readready(lake, SOURCE, DAY).raise_if_refused()
    whole = rows_of(lake)
    assert {row["requestid"] for row in whole} == {"r0", "r1", "r2"}
    result = materialize_readready(lean(lake), SOURCE, DAY)
    result.raise_if_refused()
    assert rows_of(lake) == [row | dict.fromkeys(LEAN_WITHOUT) for row in whole]
    folder = lake.published(TABLE.name, DAY).folder
    for part in result.manifest.parts:
        with (lake.store.path / folder.key(part.name)).open("rb") as file:
            assert set(pyorc.Reader(file).schema.fields) == set(TABLE.column_names) - LEAN_WITHOUT
    assert run_query(lake, f"SELECT eventid FROM {TABLE.name} WHERE requestid = 'r1'").num_rows == 0
    assert run_query(lake, f"SELECT eventid FROM {TABLE.name} WHERE requestid IS NULL").num_rows == 3


def test_a_change_of_columns_builds_the_day_whole_and_the_same_ones_do_not(tmp_path):
    lake = delivered(tmp_path)
    materialize_readready(lake, SOURCE, DAY).raise_if_refused()
    assert plan_readready(lake, SOURCE, DAY).is_settled
    plan = plan_readready(lean(lake), SOURCE, DAY)
    assert (plan.base, len(plan.unread)) == (None, 1)
    materialize_readready(lean(lake), SOURCE, DAY).raise_if_refused()
    assert plan_readready(lean(lake), SOURCE, DAY).is_settled


def test_a_late_file_extends_a_lean_day(tmp_path):
    lake = lean(delivered(tmp_path))
    materialize_readready(lake, SOURCE, DAY).raise_if_refused()
    trail_file(trail_of(tmp_path), [event(1), event(9)], f"{DAY}T13:00", nonce="B" * 16)
    materialize_readready(lake, SOURCE, DAY).raise_if_refused()
    assert sorted(row["eventid"] for row in rows_of(lake)) == ["event-0000", "event-0001", "event-0002", "event-0009"]


@pytest.mark.parametrize("source", SOURCES, ids=lambda one: one.name)
def test_what_rows_are_told_apart_ordered_searched_and_joined_by_is_always_there(source):
    joined = {*sessions.STARTED_COLUMNS, *sessions.NAME_COLUMNS, *sessions.TYPED_COLUMNS}
    needed = {*source.identity, *source.table.row_order, *source.table.lookup_columns, source.account_column, *joined}
    assert not source.lean_without & needed
    assert source.lean_without <= set(source.table.column_names)
    assert all(source.table.column(name).nullable for name in source.lean_without)
    assert source.stored_table(False) is source.table


def test_the_settings_know_the_sources_that_have_a_lean_set(tmp_path):
    file = tmp_path / "loglake.yaml"
    text = "lake: ./lake\nfeeds:\n  - {source: cloudtrail, uri: ./in}\n"
    file.write_text(text + "columns: {cloudtrail: lean}\n")
    settings = load_settings(file)
    assert isinstance(settings, Settings)
    assert settings.lean == {"cloudtrail"}
    assert open_lake(settings).stored_table(SOURCE).column_names == tuple(
        name for name in TABLE.column_names if name not in LEAN_WITHOUT
    )
    for source in SOURCES:
        if not source.lean_without:
            file.write_text(text + f"columns: {{{source.name}: lean}}\n")
            with pytest.raises(ConfigError, match=f"columns.{source.name}"):
                load_settings(file)
    file.write_text(text + "columns: {cloudtrail: few}\n")
    with pytest.raises(ConfigError, match=r"columns.cloudtrail: expected 'all' or 'lean', got 'few'"):
        load_settings(file)
