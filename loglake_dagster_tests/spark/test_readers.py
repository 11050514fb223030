"""Every reader sees the same values: Spark, DuckDB over Arrow, pyorc and pyarrow, in a process that is not in UTC.

The tables are those of the sample day, and of a day that holds every golden object: all quirks, hostile text and odd
numbers that the sources are tested with.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyorc
import pytest
from pyarrow import orc

from bench.size import PACKINGS
from loglake_dagster.demo import AS_OF
from loglake_dagster.demo import DAY as SAMPLE_DAY
from loglake_dagster.engines.lake import Lake
from loglake_dagster.engines.query import TABLES, run_query
from loglake_dagster.engines.readready import materialize_readready
from loglake_dagster.engines.sessions import materialize_sessions
from loglake_dagster.io.orc import pack_part
from loglake_dagster.lake.schema import Table
from loglake_dagster.lake.settings import OrcSettings
from loglake_dagster.sources import SOURCES
from loglake_dagster_tests.io.every_kind import TABLE as EVERY_KIND
from loglake_dagster_tests.io.every_kind import many_rows
from loglake_dagster_tests.made import DAY
from loglake_dagster_tests.spark.real_files import deliver_real_files, real_lake

pytestmark = [pytest.mark.spark, pytest.mark.timeout(300)]
ZONE = "America/New_York"
# Of texts so long that a stripe's are in several chunks.
MANY = many_rows(16_000, text_bytes=200)
# Of row groups at the ends of stripes and between.
SCATTERED = (2999, 3000, 5999, 6000, 9001, 15_999)
DAYS = (SAMPLE_DAY, DAY)
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The sample day and the day of the golden objects, materialised."""
    folder = tmp_path_factory.mktemp("lake")
    opened = real_lake(folder, deliver_real_files(folder))
    for day in DAYS:
        for source in SOURCES:
            materialize_readready(opened, source, day).raise_if_refused()
        materialize_sessions(opened, day, AS_OF)
    return opened


@pytest.fixture
def _not_in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The process in New York's zone, where a naive timestamp that is taken for local shows at once."""
    monkeypatch.setenv("TZ", ZONE)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(scope="module")
def seen_by_spark(lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Rows]:
    """Each table's rows as Spark reads them, and of parts of many rows those that it is asked for, all in one
    session."""
    asked = {
        table.name: (_spark_schema(table), [str(path) for path in parts_of(lake, table.name)], "true")
        for table in TABLES
    }
    for settings in PACKINGS:
        path = tmp_path_factory.mktemp("parts") / f"{settings.compression}.orc"
        path.write_bytes(pack_part(MANY, EVERY_KIND, settings))
        asked[settings.compression] = (_spark_schema(EVERY_KIND), [str(path)], f"a_bigint IN {SCATTERED}")
    command = [sys.executable, "-m", "loglake_dagster_tests.spark.read_orc"]
    environment = {**os.environ, "TZ": ZONE, "PYSPARK_PYTHON": sys.executable}
    given = json.dumps({name: one for name, one in asked.items() if one[1]})
    done = subprocess.run([*command, given], capture_output=True, text=True, env=environment, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    rows: dict[str, Rows] = {name: [] for name in asked}
    for line in done.stdout.splitlines():
        word, _space, rest = line.partition(" ")
        if word == "row":
            name, _space, row = rest.partition(" ")
            rows[name].append(json.loads(row))
    return rows


def _spark_schema(table: Table) -> str:
    return ", ".join(f"`{column.name}` {column.hive_type}" for column in table.columns)


def parts_of(lake: Lake, table: str) -> list[Path]:
    versions = [lake.published(table, day) for day in DAYS]
    folders = [(one.folder, one.manifest.parts) for one in versions if one is not None]
    return [Path(lake.settings.lake) / folder.key(part.name) for folder, parts in folders for part in parts]


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
    return run_query(lake, f"SELECT {', '.join(table.column_names)} FROM {table.name}").to_pylist()


@pytest.mark.usefixtures("_not_in_utc")
@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_reader_sees_the_same_values(lake: Lake, seen_by_spark: dict[str, Rows], table: Table) -> None:
    paths = parts_of(lake, table.name)
    wanted = plain(with_pyarrow(paths))
    assert wanted
    assert plain(with_pyorc(paths)) == wanted
    assert plain(with_duckdb(lake, table)) == wanted
    assert plain(seen_by_spark[table.name]) == wanted


def test_a_known_moment_is_that_moment(seen_by_spark: dict[str, Rows]) -> None:
    """Not only the same everywhere, but right: 12:18:40 UTC of the sample's story."""
    started = {row["sessionid"]: row["eventtime"] for row in seen_by_spark["sessions"]}
    assert started["0d9e8c7b6a5f41320"] == 1688991520 * 1_000_000


@pytest.mark.parametrize("settings", PACKINGS, ids=lambda one: one.compression)
def test_spark_skips_to_the_row_groups_that_it_is_asked_for(
    seen_by_spark: dict[str, Rows], settings: OrcSettings
) -> None:
    rows = MANY.take(list(SCATTERED)).to_pylist()
    wanted = [{k: v.isoformat() if type(v) is dt.date else v for k, v in row.items()} for row in rows]
    assert plain(seen_by_spark[settings.compression]) == plain(wanted)
