"""A real cluster: both workers work, and one that dies in the middle changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from loglake_dagster.engines.lake import Lake
from loglake_dagster.io.store import LocalStore, Store
from loglake_dagster.lake.settings import EngineSettings, Feed, Quality
from loglake_dagster.sources.cloudtrail import SOURCE
from loglake_dagster_tests.engines.deliveries import events, trail_file
from loglake_dagster_tests.engines.made_lake import made_lake, trail_of
from loglake_dagster_tests.made import DAY
from loglake_dagster_tests.spark.cluster import Cluster, Deadly, read_json
from loglake_dagster_tests.spark.parity import readready_facts

pytestmark = [pytest.mark.spark, pytest.mark.timeout(240)]
FILES = 12
ALL = Quality(recount_objects=10_000)


class DeadlyFeed(LocalStore):
    """A feed whose middle object takes down the worker that reads it first."""

    def __init__(self, path: Path, death: Deadly) -> None:
        super().__init__(path)
        self.death = death

    def read(self, key: str) -> bytes:
        if f"N{FILES // 2}." in key:
            self.death.strike()
        return super().read(key)


class DeadlyLakeStore(LocalStore):
    """A lake in which the first part that is written takes down the worker that wrote it."""

    def __init__(self, path: Path, death: Deadly) -> None:
        super().__init__(path)
        self.death = death

    def write(self, key: str, data: bytes) -> None:
        super().write(key, data)
        if key.endswith(".orc"):
            self.death.strike()


@dataclass(frozen=True, slots=True)
class DeadlyLake(Lake):
    """A lake that reads its feeds from a DeadlyFeed."""

    death: Deadly | None = None

    def feed_store(self, feed: Feed) -> Store:
        assert self.death is not None
        return DeadlyFeed(Path(feed.uri), self.death)


def deliver(trail: Path) -> None:
    """Files of a run each, every one with copies of events of the one before it: parts lose rows to another part."""
    for n in range(FILES):
        trail_file(trail, events(40, 30 * n), nonce=f"N{n}")


@pytest.fixture
def lakes(tmp_path: Path, on_spark: EngineSettings, on_one_machine: EngineSettings) -> tuple[Lake, Lake]:
    """(one on Spark, one on this machine) of the same feeds."""
    deliver(trail_of(tmp_path))
    engines = (replace(one, part_bytes=1) for one in (on_spark, on_one_machine))
    spark, embedded = (made_lake(tmp_path, one.type, engine=one, quality=ALL) for one in engines)
    return spark, embedded


def tasks_by_executor(settings: EngineSettings) -> dict[str, int]:
    """Tasks that the session's executors have done, by the address of each."""
    api = f"http://127.0.0.1:{settings.conf['spark.ui.port']}/api/v1/applications"
    (application,) = read_json(api)
    executors = read_json(f"{api}/{application['id']}/executors")
    return {one["hostPort"]: one["completedTasks"] for one in executors if one["id"] != "driver"}


def test_both_workers_do_work(lakes: tuple[Lake, Lake], on_spark: EngineSettings, cluster: Cluster) -> None:
    spark, embedded = lakes
    assert cluster.alive() == 2
    assert readready_facts(spark, SOURCE, DAY) == readready_facts(embedded, SOURCE, DAY)
    tasks = tasks_by_executor(on_spark)
    assert len(tasks) == 2
    assert min(tasks.values()) >= FILES // 4


@pytest.mark.parametrize("at", ["while objects are read", "after a part was written"])
def test_a_worker_that_is_killed_in_the_middle_changes_nothing(
    tmp_path: Path, lakes: tuple[Lake, Lake], cluster: Cluster, at: str
) -> None:
    spark, embedded = lakes
    death = Deadly(tmp_path / "struck")
    if at == "while objects are read":
        spark = DeadlyLake(spark.settings, spark.store, spark.catalog, spark.engine, spark.now, death)
    else:
        spark = replace(spark, store=DeadlyLakeStore(Path(spark.settings.lake), death))
    assert cluster.alive() == 2
    ours = readready_facts(spark, SOURCE, DAY)
    assert death.marker.exists()
    assert ours == readready_facts(embedded, SOURCE, DAY)
    cluster.wait_for(1)
    cluster.add_workers(1)
