"""One cluster and one session for all tests of the Spark engine: a JVM takes seconds to start."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from loglake_dagster.lake.settings import EngineSettings
from loglake_dagster_tests.servers import CREDENTIALS, free_ports

if TYPE_CHECKING:  # other suites run where pyspark is not installed
    from loglake_dagster_tests.spark.cluster import Cluster


# Every JVM of these tests lives for seconds: code that is compiled well would be ready when it ends.
SHORT_LIVED = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Sockets of libraries that a thread or a run left when it was ended in the middle: collected after the last test,
    they would fail a run of which every test has passed. What a test itself collects still fails it."""
    if session.config.getoption("markexpr") == "spark":
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "unclosed <socket", ResourceWarning)
            gc.collect()


@pytest.fixture(scope="session", autouse=True)
def short_lived_jvms() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JDK_JAVA_OPTIONS", SHORT_LIVED)
        yield


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A master with two workers."""
    from loglake_dagster_tests.spark.cluster import Cluster

    one = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        one.add_workers(2)
        yield one
    finally:
        one.stop()


@pytest.fixture(scope="session")
def on_spark(cluster: Cluster) -> Iterator[EngineSettings]:
    """Settings of the Spark engine on the cluster. Parts are small, so that even a small day has several."""
    (port,) = free_ports(1)
    conf = {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.executor.memory": "512m",
        # Tasks start when both workers are there, and whatever the tests do is seen by the session's own pages.
        "spark.cores.max": "2",
        "spark.scheduler.minRegisteredResourcesRatio": "1.0",
        "spark.ui.enabled": "true",
        "spark.ui.port": str(port),
        **{f"spark.executorEnv.{name}": value for name, value in CREDENTIALS.items()},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        yield EngineSettings(type="spark", master=cluster.master, conf=conf, part_bytes=100_000)
        from pyspark.sql import SparkSession

        session = SparkSession.getActiveSession()
        if session is not None:
            session.stop()


@pytest.fixture(scope="session")
def on_one_machine(on_spark: EngineSettings) -> EngineSettings:
    """The same settings for the embedded engine."""
    return replace(on_spark, type="embedded", master=None, conf={}, workers=1)
