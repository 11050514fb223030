"""The same settings file, one line changed: Dagster's day runs on the cluster, with the same tables and checks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from loglake_dagster.demo import AS_OF
from loglake_dagster.lake.settings import EngineSettings
from loglake_dagster.sources import SOURCES
from loglake_dagster_tests.assets.sample import (
    CLOUDTRAIL,
    CLOUDWATCH,
    DAY,
    FED,
    LANDING,
    SETTINGS,
    Project,
    opened_project,
)
from loglake_dagster_tests.spark.parity import engine_of, readready_facts, sessions_facts

pytestmark = [pytest.mark.spark, pytest.mark.timeout(240)]
EMBEDDED = "engine: {workers: 1}"
# What says where and when a run was, and not what it found.
_OWN = re.compile(r"/[^\s|;,]*/(embedded|spark)/|\d{8}T\d+Z-[0-9a-f]{8}")
OWN_METADATA = {"seconds", "events_per_second", "engine", "dagster/uri"}


@pytest.fixture
def projects(tmp_path: Path, on_spark: EngineSettings) -> Iterator[dict[str, Project]]:
    """Two lakes of the sample day, of the same feeds: one for this machine, one for the cluster."""
    cluster = f"engine: {{type: spark, master: '{on_spark.master}', conf: {json.dumps(dict(on_spark.conf))}}}"
    settings = SETTINGS.replace("./landing", str(LANDING))
    assert settings.count(EMBEDDED) == 1
    folders = {name: tmp_path / name for name in ("embedded", "spark")}
    for folder in folders.values():
        folder.mkdir()
    with (
        opened_project(folders["embedded"], None, settings) as here,
        opened_project(folders["spark"], None, settings.replace(EMBEDDED, cluster)) as there,
    ):
        yield {"embedded": here, "spark": there}


def shown(value: Any) -> Any:
    """A value as the UI has it, without what is a run's own."""
    text = _OWN.sub("*", json.dumps(value, default=str))
    return json.loads(text)


def told(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    """All that a run tells of its tables: check results, and the metadata of each."""
    checks = {
        one.asset_check_key.to_user_string(): (
            one.passed,
            one.severity.value,
            shown(one.description),
            shown({name: value.value for name, value in one.metadata.items()}),
        )
        for one in result.get_asset_check_evaluations()
    }
    tables = {
        event.asset_key.to_user_string(): shown(
            {k: v.value for k, v in event.materialization.metadata.items() if k not in OWN_METADATA}
        )
        for event in result.get_asset_materialization_events()
        if event.asset_key is not None
    }
    return {"checks": checks, "tables": tables}


def test_a_day_runs_on_a_cluster_by_changing_one_line(projects: dict[str, Project]) -> None:
    here, there = (projects[name].run(DAY, *FED) for name in ("embedded", "spark"))
    assert here.success
    assert there.success
    assert told(there) == told(here)
    assert set(told(there)["tables"]) == set(FED)
    assert set(told(there)["checks"]) == {f"{CLOUDTRAIL}:coverage", f"{CLOUDWATCH}:coverage", "sessions:captured"}
    lakes = {name: project.lake for name, project in projects.items()}
    for name, lake in lakes.items():
        assert {engine_of(lake, table, DAY) for table in (CLOUDTRAIL, CLOUDWATCH, "sessions")} == {name}
    for source in SOURCES[:2]:
        assert readready_facts(lakes["spark"], source, DAY) == readready_facts(lakes["embedded"], source, DAY)
    assert sessions_facts(lakes["spark"], DAY, AS_OF) == sessions_facts(lakes["embedded"], DAY, AS_OF)
