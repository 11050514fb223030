"""What goes wrong on Spark is said in one sentence, the same as elsewhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from loglake_dagster.engines.lake import Lake
from loglake_dagster.engines.readready import materialize_readready
from loglake_dagster.errors import LogLakeError, StoreError
from loglake_dagster.io.store import LocalStore, Store, local_path
from loglake_dagster.lake.settings import EngineSettings, Feed
from loglake_dagster.sources.cloudtrail import SOURCE
from loglake_dagster_tests.engines.deliveries import events, trail_file
from loglake_dagster_tests.engines.made_lake import made_lake, trail_of
from loglake_dagster_tests.made import DAY

pytestmark = [pytest.mark.spark, pytest.mark.timeout(240)]
NO_JAVA = (
    "engine.type spark: Java did not start; install Java 17 or newer (on Debian: apt-get install default-jre-headless) "
    "and have it on PATH or in JAVA_HOME, or set engine.type to embedded. Where Java is, Spark has said above what is "
    "wrong with engine.master '{}' or engine.conf\n"
)
ONE_RUN = """
import json
import sys
from pathlib import Path
from loglake_dagster.engines.readready import materialize_readready
from loglake_dagster.errors import LogLakeError
from loglake_dagster.lake.settings import EngineSettings
from loglake_dagster.sources.cloudtrail import SOURCE
from loglake_dagster_tests.engines.made_lake import made_lake
from loglake_dagster_tests.made import DAY
try:
    engine = EngineSettings(type="spark", master=sys.argv[2], conf=json.loads(sys.argv[3]))
    lake = made_lake(Path(sys.argv[1]), engine=engine)
    materialize_readready(lake, SOURCE, DAY)
except LogLakeError as error:
    print(error)
"""


class FaultyFeed(LocalStore):
    """A feed that fails with what no store should raise."""

    def read(self, key: str) -> bytes:
        raise ZeroDivisionError("a fault of the program")


@dataclass(frozen=True, slots=True)
class FaultyLake(Lake):
    """A lake that reads its feeds from a FaultyFeed."""

    def feed_store(self, feed: Feed) -> Store:
        return FaultyFeed(Path(feed.uri))


def test_an_error_of_a_task_is_the_error_that_the_embedded_engine_gives(
    tmp_path: Path, on_spark: EngineSettings, on_one_machine: EngineSettings
) -> None:
    """Here a part of the published version that is no longer there."""
    told = []
    trail_file(trail_of(tmp_path), events(9))
    lakes = [made_lake(tmp_path, one.type, engine=one) for one in (on_spark, on_one_machine)]
    firsts = [materialize_readready(lake, SOURCE, DAY) for lake in lakes]
    trail_file(trail_of(tmp_path), events(9, 5), nonce="NEW")
    for lake, first in zip(lakes, firsts, strict=True):
        (local_path(first.location) / first.manifest.parts[0].name).unlink()
        with pytest.raises(StoreError) as caught:
            materialize_readready(lake, SOURCE, DAY)
        told.append(
            (
                re.sub(r"%3D\d+T\d+Z-\w+|-\d+T\d+Z-\w+|/(spark|embedded)/", "*", str(caught.value)),
                caught.value.facts["why"],
            )
        )
    assert told[0] == told[1]
    assert told[0][1] == "not found"


def test_an_error_that_is_none_of_ours_is_a_sentence_too(tmp_path: Path, on_spark: EngineSettings) -> None:
    trail_file(trail_of(tmp_path), events(9))
    lake = made_lake(tmp_path, engine=replace(on_spark, part_bytes=1 << 20))
    faulty = FaultyLake(lake.settings, lake.store, lake.catalog, lake.engine, lake.now)
    with pytest.raises(LogLakeError, match=r"^Spark could not finish: 'ZeroDivisionError: a fault of the program'$"):
        materialize_readready(faulty, SOURCE, DAY)


@pytest.mark.parametrize(
    ("environment", "master", "conf", "message"),
    [
        ({"JAVA_HOME": "/no/such/folder"}, "local[1]", {}, NO_JAVA.format("local[1]")),
        ({}, "nowhere", {}, NO_JAVA.format("nowhere")),
        (
            {},
            "local[1]",
            {"spark.driver.bindAddress": "203.0.113.1"},
            "engine.type spark: no session on 'local[1]': \"java.net.BindException: bind(",
        ),
    ],
    ids=["no Java", "no such master", "a wrong setting"],
)
def test_what_keeps_spark_from_starting_is_said_with_its_remedy(
    tmp_path: Path, environment: dict[str, str], master: str, conf: dict[str, str], message: str
) -> None:
    trail_file(trail_of(tmp_path), events(9))
    command = [sys.executable, "-c", ONE_RUN, str(tmp_path), master, json.dumps(conf)]
    everything = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", **environment}
    done = subprocess.run(command, capture_output=True, text=True, env=everything, timeout=200, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith(message)
    assert "Traceback" not in done.stdout
