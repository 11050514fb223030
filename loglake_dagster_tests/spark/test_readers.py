"""Every reader sees the same values: Spark, DuckDB over Arrow, pyorc and pyarrow, in a process that is not in UTC."""

from __future__ import annotations

import datetime as dt
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyorc
import pytest
from pyarrow import orc

from loglake_dagster.demo import AS_OF, DAY
from loglake_dagster.engines.lake import Lake, open_lake
from loglake_dagster.engines.query import TABLES, run_query
from loglake_dagster.engines.readready import materialize_readready
from loglake_dagster.engines.sessions import materialize_sessions
from loglake_dagster.io.versions import VersionFolder
from loglake_dagster.lake.schema import Table
from loglake_dagster.lake.settings import Feed, Settings
from loglake_dagster.sources import SOURCES

pytestmark = [pytest.mark.spark, pytest.mark.timeout(300)]
LANDING = Path(__file__).parents[2] / "examples" / "sample_day" / "landing"
ZONE = "America/New_York"
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The sample day, materialised."""
    root = tmp_path_factory.mktemp("lake")
    feeds = (
        Feed("trail", "cloudtrail", str(LANDING / "trail")),
        Feed("firehose", "cloudwatch", str(LANDING / "firehose"), {"session": ("/aws/ssm/sessionlogs",)}),
    )
    opened = open_lake(Settings(file=root / "x", lake=str(root), catalog_path=root / "catalog.db", feeds=feeds))
    for source in SOURCES[:2]:
        materialize_readready(opened, source, DAY)
    materialize_sessions(opened, DAY, AS_OF)
    return opened


@pytest.fixture
def _not_in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The process in New York's zone, where a naive timestamp that is taken for local shows at once."""
    import time

    monkeypatch.setenv("TZ", ZONE)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def parts_of(lake: Lake, table: str) -> list[Path]:
    version = lake.catalog.published(table, DAY)
    assert version is not None
    folder = VersionFolder(lake.store, table, DAY, version.version)
    return [Path(lake.settings.lake) / folder.key(part.name) for part in folder.read_manifest().parts]


def micros(moment: dt.datetime) -> int:
    """Epoch microseconds of a UTC moment, with or without a zone."""
    return round(moment.replace(tzinfo=dt.timezone.utc).timestamp() * 1_000_000)


def plain(rows: Rows) -> Rows:
    """Rows with timestamps as epoch microseconds, in an order of their own."""
    told = [{k: micros(v) if isinstance(v, dt.datetime) else v for k, v in row.items()} for row in rows]
    return sorted(told, key=lambda row: json.dumps(row, sort_keys=True))


def with_pyarrow(paths: list[Path]) -> Rows:
    return [row for path in paths for row in orc.ORCFile(path).read().to_pylist()]


def with_pyorc(paths: list[Path]) -> Rows:
    rows: Rows = []
    for path in paths:
        reader = pyorc.Reader(io.BytesIO(path.read_bytes()), struct_repr=pyorc.StructRepr.DICT)
        rows += [dict(row) for row in reader]
    return rows


def with_duckdb(lake: Lake, table: Table) -> Rows:
    columns = ", ".join(table.column_names)
    return run_query(lake, f"SELECT {columns} FROM {table.name} WHERE eventday = DATE '{DAY}'").to_pylist()


def with_spark(table: Table, paths: list[Path]) -> Rows:
    schema = ", ".join(f"`{c.name}` {c.hive_type}" for c in table.columns)
    command = [sys.executable, "-m", "loglake_dagster_tests.spark.read_orc", schema, *map(str, paths)]
    environment = {**os.environ, "TZ": ZONE, "PYSPARK_PYTHON": sys.executable}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line.removeprefix("row ")) for line in done.stdout.splitlines() if line.startswith("row ")]


@pytest.mark.usefixtures("_not_in_utc")
@pytest.mark.parametrize("table", [t for t in TABLES if "bedrock" not in t.name], ids=lambda table: table.name)
def test_every_reader_sees_the_same_values(lake: Lake, table: Table) -> None:
    paths = parts_of(lake, table.name)
    wanted = plain(with_pyarrow(paths))
    assert wanted
    assert plain(with_pyorc(paths)) == wanted
    assert plain(with_duckdb(lake, table)) == wanted
    assert plain(with_spark(table, paths)) == wanted


def test_a_known_moment_is_that_moment(lake: Lake) -> None:
    """Not only the same everywhere, but right: 12:18:40 UTC of the sample's story."""
    rows = with_pyorc(parts_of(lake, "sessions"))
    started = {row["sessionid"]: micros(row["eventtime"]) for row in rows}
    assert started["0d9e8c7b6a5f41320"] == 1688991520 * 1_000_000
