"""Projects to test in: a folder with a settings file, a landing zone of the sample day or of made files, and a lake."""

import datetime as dt
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg

from loglake_dagster.config import load_settings
from loglake_dagster.definitions import build_definitions
from loglake_dagster.engines.lake import Lake, open_lake
from loglake_dagster.sources import SOURCES

PROJECT = Path(__file__).resolve().parents[2]
LANDING = PROJECT / "examples" / "sample_day" / "landing"
DAY, NEXT_DAY = dt.date(2023, 7, 10), dt.date(2023, 7, 11)
AS_OF = "2023-07-11T00:30:00Z"
CLOUDTRAIL, CLOUDWATCH = "from_cloudtrail_readready", "from_cloudwatch_readready"
RAW, READREADY = (tuple(s.raw_name for s in SOURCES), tuple(s.readready_name for s in SOURCES))
ASSETS = (*RAW, *READREADY, "sessions")
# Those that the settings below have a feed for: commands leave the others out.
FED = ("from_cloudtrail_raw", "from_cloudwatch_raw", CLOUDTRAIL, CLOUDWATCH, "sessions")
# One worker runs in the tests' own process: no second is spent on starting others.
SETTINGS = """
lake: ./lake
engine: {workers: 1}
feeds:
  - {source: cloudtrail, uri: ./landing/trail}
  - {source: cloudwatch, uri: ./landing/firehose, log_groups: {session: [/aws/ssm/sessionlogs]}}
"""


@dataclass
class Project:
    """A project folder and the Dagster instance of its runs."""

    folder: Path
    instance: dg.DagsterInstance
    definitions: dg.Definitions = field(init=False)

    def __post_init__(self) -> None:
        self.definitions = build_definitions(load_settings(self.folder / "loglake.yaml"))

    @property
    def trail(self) -> Path:
        return self.folder / "landing" / "trail"

    @property
    def lake(self) -> Lake:
        """The lake as the settings file describes it now."""
        return open_lake(load_settings(self.folder / "loglake.yaml"))

    def run(self, day: dt.date | str, *tables: str, as_of: str | None = AS_OF) -> dg.ExecuteInProcessResult:
        """One run of the day's job, of all its tables if none are named."""
        config: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        if as_of is not None and (not tables or "sessions" in tables):
            config["ops"] = {"sessions": {"config": {"as_of": as_of}}}
        return self.definitions.resolve_job_def("day").execute_in_process(
            instance=self.instance,
            partition_key=str(day),
            asset_selection=[dg.AssetKey(table) for table in tables] or None,
            run_config=config,
            raise_on_error=False,
        )

    def materialized_days(self, table: str) -> set[str]:
        """The partitions that the instance knows as materialised."""
        return set(self.instance.get_materialized_partitions(dg.AssetKey(table)))

    def checks(self, table: str, name: str = "coverage") -> list[tuple[str | None, str]]:
        """(partition, status) of a check's executions, oldest first."""
        key = dg.AssetCheckKey(dg.AssetKey(table), name)
        history = self.instance.event_log_storage.get_asset_check_execution_history(key, limit=100)
        return [(one.partition, one.status.value) for one in reversed(history)]

    def published(self, table: str, day: dt.date = DAY) -> str | None:
        """The version that readers see."""
        version = self.lake.catalog.published(table, day)
        return version.version if version else None


@contextmanager
def opened_project(folder: Path, landing: Path | None = LANDING, settings: str = SETTINGS) -> Iterator[Project]:
    """A project with the files of a landing zone, and an instance of its own in memory."""
    if landing is not None:
        shutil.copytree(landing, folder / "landing")
    (folder / "loglake.yaml").write_text(settings)
    home = folder / ".dagster_home"
    home.mkdir()
    with dg.DagsterInstance.ephemeral(str(home), settings={"telemetry": {"enabled": False}}) as instance:
        yield Project(folder, instance)


def values(result: dg.ExecuteInProcessResult, table: str) -> dict[str, Any]:
    """Metadata values of the table's materialisation in a run."""
    (done,) = [
        event.materialization
        for event in result.get_asset_materialization_events()
        if event.asset_key == dg.AssetKey(table)
    ]
    return {name: value.value for name, value in done.metadata.items()}


def damage(trail: Path, share: float) -> list[Path]:
    """Makes files unreadable that hold about this share of the bytes, largest first; returns them."""
    files = sorted(trail.rglob("*.json.gz"), key=lambda file: (-file.stat().st_size, file.name))
    left = share * sum(file.stat().st_size for file in files)
    damaged = []
    for file in files:
        if (size := file.stat().st_size) <= left:
            left -= size
            file.write_bytes(b"\0" * size)
            damaged.append(file)
    return damaged
