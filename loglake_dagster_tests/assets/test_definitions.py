"""The code location: which assets there are, what the UI says of each, what each day needs, and what loading costs."""

import datetime as dt
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from loglake_dagster.config import load_settings
from loglake_dagster.definitions import build_definitions
from loglake_dagster.engines.raw import raw_table
from loglake_dagster.sessions.record import TABLE as SESSIONS
from loglake_dagster.sources import SOURCES
from loglake_dagster_tests.assets.sample import ASSETS, CLOUDTRAIL, CLOUDWATCH, DAY, NEXT_DAY, READREADY, SETTINGS

TABLES = {
    **{source.raw_name: raw_table(source) for source in SOURCES},
    **{source.readready_name: source.table for source in SOURCES},
    SESSIONS.name: SESSIONS,
}
STEPS = {  # group, kinds, tags
    **{s.raw_name: ("raw", {"s3", "json"}, {"source": s.name, "stage": "raw"}) for s in SOURCES},
    **{s.readready_name: ("readready", {"orc", "table"}, {"source": s.name, "stage": "readready"}) for s in SOURCES},
    "sessions": ("sessions", {"orc", "table"}, {"stage": "sessions"}),
}
CHECKS = {**{(table, "coverage"): True for table in READREADY}, ("sessions", "captured"): False}
BEFORE = dt.date(2023, 7, 9)
NEEDS = {
    **{source.raw_name: {} for source in SOURCES},
    **{source.readready_name: {source.raw_name: [DAY, NEXT_DAY]} for source in SOURCES},
    CLOUDWATCH: {"from_cloudwatch_raw": [BEFORE, DAY, NEXT_DAY]},  # an object is named after its oldest event
    "sessions": {
        CLOUDTRAIL: [BEFORE, DAY, NEXT_DAY],
        CLOUDWATCH: [DAY, NEXT_DAY],
        "from_ssm_s3_readready": [DAY, NEXT_DAY],
    },
}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    file = tmp_path_factory.mktemp("project") / "loglake.yaml"
    file.write_text(SETTINGS + "partitions: {start: 2023-07-01}\n")
    return file


@pytest.fixture(scope="module")
def definitions(file):
    return build_definitions(load_settings(file))


@pytest.fixture(scope="module")
def specs(definitions):
    return {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}


def today():
    return dt.datetime.now(dt.timezone.utc).date()


def test_there_are_exactly_the_assets_of_the_design(specs):
    assert sorted(specs) == sorted(ASSETS)


@pytest.mark.parametrize("name", ASSETS)
def test_the_ui_says_what_an_asset_is(specs, name):
    spec, (group, kinds, tags) = specs[name], STEPS[name]
    assert spec.group_name == group
    assert spec.kinds == kinds
    assert {key: tag for key, tag in spec.tags.items() if not key.startswith("dagster/")} == tags
    assert spec.owners == ["team:log-lake"]
    assert spec.description.startswith(TABLES[name].doc if group != "raw" else spec.description[:1])
    assert len(spec.description.split()) >= 15
    # A description that starts with one of these is rendered as a quote, a heading or a list.
    assert spec.description[0] not in ">#-*"


@pytest.mark.parametrize("name", ASSETS)
def test_the_column_schema_is_the_tables_record(specs, name):
    schema = specs[name].metadata["dagster/column_schema"]
    schema = schema.value if isinstance(schema, dg.MetadataValue) else schema
    columns = (*TABLES[name].columns, *TABLES[name].partition_columns)
    assert [(one.name, one.type, one.constraints.nullable) for one in schema.columns] == [
        (column.name, column.hive_type, column.nullable) for column in columns
    ]
    for one, column in zip(schema.columns, columns, strict=True):
        assert one.description.startswith(column.doc)
        assert one.description.endswith(f"({column.unit})" if column.unit else column.doc)


@pytest.mark.parametrize("name", ASSETS)
def test_partitions_are_utc_days_from_the_settings_start_to_today(specs, name):
    partitions = specs[name].partitions_def
    assert isinstance(partitions, dg.DailyPartitionsDefinition)
    assert partitions.timezone == "UTC"
    keys = partitions.get_partition_keys()
    assert keys[0] == "2023-07-01"
    assert keys[-1] in (today().isoformat(), (today() - dt.timedelta(days=1)).isoformat())
    midnight = dt.datetime.combine(DAY, dt.time(), dt.timezone.utc)
    for moment in (midnight, midnight + dt.timedelta(hours=23, minutes=59, seconds=59)):
        assert partitions.get_partition_keys(current_time=moment)[-1] == str(DAY)


@pytest.mark.parametrize(("table", "needed"), NEEDS.items(), ids=NEEDS)
def test_a_day_is_made_from_the_days_that_can_hold_it(specs, table, needed):
    assert upstream_days(specs, table, DAY) == {name: list(map(str, days)) for name, days in needed.items()}


def test_days_that_are_no_partitions_are_not_asked_for(specs):
    first, last = dt.date(2023, 7, 1), today()
    assert upstream_days(specs, "sessions", first)[CLOUDTRAIL] == [str(first), "2023-07-02"]
    assert upstream_days(specs, "sessions", last)[CLOUDWATCH] == [str(last)]
    assert upstream_days(specs, CLOUDWATCH, first)["from_cloudwatch_raw"] == [str(first), "2023-07-02"]


def upstream_days(specs, table, day):
    """The partitions of each upstream table that a day's partition maps to."""
    partitions = specs[table].partitions_def
    found = {}
    for dep in specs[table].deps:
        mapped = dep.partition_mapping.get_upstream_mapped_partitions_result_for_partitions(
            partitions.subset_with_partition_keys([str(day)]), partitions, partitions
        )
        assert list(mapped.required_but_nonexistent_partition_keys) == []
        found[dep.asset_key.to_user_string()] = sorted(mapped.partitions_subset.get_partition_keys())
    return found


def test_checks_have_a_result_a_day_and_coverage_blocks(definitions):
    graph = definitions.resolve_asset_graph()
    found = {
        (key.asset_key.to_user_string(), key.name): graph.get(key).blocking for key in sorted(graph.asset_check_keys)
    }
    assert found == CHECKS
    for key in graph.asset_check_keys:
        assert isinstance(graph.get(key).partitions_def, dg.DailyPartitionsDefinition)
        assert graph.get(key).description


def test_the_job_makes_every_table_of_a_day(definitions):
    assert [job.name for job in definitions.jobs] == ["day"]
    job = definitions.resolve_job_def("day")
    keys = {key.to_user_string() for key in job.asset_layer.executable_asset_keys}
    assert keys == set(ASSETS)
    # A backfill policy would make runs over ranges, whose checks have no partition.
    assert all(node.backfill_policy is None for node in definitions.resolve_asset_graph().asset_nodes)


def test_the_schedule_asks_for_keystrokes_since_midnight_and_for_the_day_that_ended(definitions):
    (schedule,) = definitions.schedules
    assert (schedule.name, schedule.cron_schedule, schedule.execution_timezone) == ("daily", "30 2 * * *", "UTC")
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
    after, whole = tick(definitions, dt.datetime(2023, 7, 11, 2, 30, tzinfo=dt.timezone.utc))
    assert (after.run_key, after.partition_key) == ("2023-07-11 keystrokes", "2023-07-11")
    assert [key.to_user_string() for key in after.asset_selection] == ["from_cloudwatch_raw", CLOUDWATCH]
    assert (whole.run_key, whole.partition_key, whole.asset_selection) == ("2023-07-10 day", "2023-07-10", None)


def test_the_schedule_asks_for_uploads_since_midnight_where_they_have_a_feed(tmp_path):
    file = tmp_path / "loglake.yaml"
    file.write_text(SETTINGS + "  - {source: ssm_s3, uri: ./landing/uploads}\n")
    moment = dt.datetime(2023, 7, 11, 2, 30, tzinfo=dt.timezone.utc)
    after, _whole = tick(build_definitions(load_settings(file)), moment)
    selected = [key.to_user_string() for key in after.asset_selection]
    assert selected == ["from_cloudwatch_raw", CLOUDWATCH, "from_ssm_s3_raw", "from_ssm_s3_readready"]


def test_the_schedules_day_is_the_utc_day_wherever_the_clock_stands(definitions):
    moment = dt.datetime(2023, 7, 11, 4, 30, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    assert [request.partition_key for request in tick(definitions, moment)] == ["2023-07-11", "2023-07-10"]


def test_the_runs_that_the_schedule_asks_for_can_be_run(project):
    requests = tick(project.definitions, dt.datetime(2023, 7, 11, 2, 30, tzinfo=dt.timezone.utc))
    for request in requests:
        names = [key.to_user_string() for key in request.asset_selection or ()]
        assert project.run(request.partition_key, *names).success
    assert project.materialized_days("from_cloudwatch_raw") == {"2023-07-10", "2023-07-11"}
    assert project.materialized_days("sessions") == project.materialized_days(CLOUDTRAIL) == {"2023-07-10"}
    assert project.checks(CLOUDWATCH) == [("2023-07-11", "SUCCEEDED"), ("2023-07-10", "SUCCEEDED")]
    manifest = project.lake.published("sessions", DAY).manifest
    assert manifest.inputs["typed_after"] == project.published(CLOUDWATCH, NEXT_DAY)


def tick(definitions, moment):
    """The schedule's run requests, checked by Dagster as the daemon does."""
    repository = definitions.get_repository_def()
    context = dg.build_schedule_context(scheduled_execution_time=moment, repository_def=repository)
    return definitions.resolve_schedule_def("daily").evaluate_tick(context).run_requests


LOAD = """
import json, os, resource, sys, time
from loglake_dagster.definitions import defs
touched = []
def note(event, arguments):
    if event in ("open", "os.listdir", "os.scandir", "os.mkdir", "sqlite3.connect", "socket.connect"):
        touched.append(f"{event} {arguments[0]}")
sys.addaudithook(note)
loaded = defs()
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({
    "cpu_seconds": used.ru_utime + used.ru_stime,
    "touched": touched,
    "assets": len(loaded.resolve_all_asset_specs()),
    "late": sorted({"pyspark", "boto3", "duckdb", "obstore", "pandas"} & set(sys.modules)),
}))
"""


def test_loading_is_quick_and_reads_the_settings_file_only(file):
    """DAGSTER.md: a code location is loaded by every server and daemon, again and again."""
    env = {**os.environ, "LOGLAKE_CONFIG": str(file)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LOAD], capture_output=True, text=True, env=env, cwd="/", check=True
    )
    facts = json.loads(done.stdout)
    assert facts["assets"] == len(ASSETS)
    assert [one for one in facts["touched"] if not one.endswith((".py", ".pyc"))] == [f"open {file}"]
    assert facts["cpu_seconds"] < 3
    assert facts["late"] == []
    assert [path.name for path in file.parent.iterdir()] == ["loglake.yaml"]


def test_dagster_validates_the_code_location_without_a_warning(file, tmp_path):
    env = {**os.environ, "LOGLAKE_CONFIG": str(file), "DAGSTER_HOME": str(tmp_path)}
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    dagster = Path(sys.executable).with_name("dagster")
    command = [dagster, "definitions", "validate", "-m", "loglake_dagster.definitions"]
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=tmp_path, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "Validation successful for code location loglake_dagster.definitions" in said
    # The command itself says that `dg check defs` is to come in its place.
    assert [line for line in said.splitlines() if re.search("warning", line, re.I) and "Supersession" not in line] == []
