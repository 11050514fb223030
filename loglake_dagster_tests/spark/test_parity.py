"""Spark and the embedded engine make the same day of the same objects, to the last byte of every part, on a real
cluster with two workers."""

from __future__ import annotations

import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from bench.compare import workload_lake
from bench.workload import WorkloadOptions, make_workload
from loglake_dagster.demo import AS_OF
from loglake_dagster.demo import DAY as SAMPLE_DAY
from loglake_dagster.engines.lake import Lake, open_lake
from loglake_dagster.io.store import S3Store
from loglake_dagster.lake.partition import ONE_DAY
from loglake_dagster.lake.settings import EngineSettings, Feed, Quality, Settings
from loglake_dagster.sources import SOURCES
from loglake_dagster.sources.cloudtrail import SOURCE
from loglake_dagster_tests.engines.made_lake import made_lake, published, trail_of
from loglake_dagster_tests.engines.test_increments import OBJECTS, deliver
from loglake_dagster_tests.made import DAY
from loglake_dagster_tests.servers import S3Server
from loglake_dagster_tests.spark.parity import engine_of, readready_facts, sessions_facts
from loglake_dagster_tests.spark.real_files import deliver_real_files, real_lake

pytestmark = [pytest.mark.spark, pytest.mark.timeout(240)]
TINY = WorkloadOptions(events=600, accounts=20, per_file=6)
DENSE = WorkloadOptions(events=20_000, accounts=6, per_file=200, bucket_minutes=60)
ALL = Quality(recount_objects=10_000)


def lakes(folder: Path, workload: Path, *engines: EngineSettings) -> list[Lake]:
    return [workload_lake(workload, folder / engine.type, engine, quality=ALL) for engine in engines]


@pytest.mark.parametrize("options", [TINY, DENSE], ids=["tiny files", "dense files"])
def test_a_made_day_is_the_same_on_both_engines(
    tmp_path: Path, on_spark: EngineSettings, on_one_machine: EngineSettings, options: WorkloadOptions
) -> None:
    make_workload(tmp_path / "workload", options)
    spark, embedded = lakes(tmp_path, tmp_path / "workload", on_spark, on_one_machine)
    for source in SOURCES[:2]:
        assert readready_facts(spark, source, options.day) == readready_facts(embedded, source, options.day)
        assert engine_of(spark, source.readready_name, options.day) == "spark"
    version, _entries = published(spark, options.day)
    assert len(version.parts) > 3
    as_of = AS_OF.replace(year=options.day.year, month=options.day.month, day=options.day.day)
    ours, theirs = (sessions_facts(lake, options.day, as_of + ONE_DAY) for lake in (spark, embedded))
    assert ours == theirs
    assert engine_of(spark, "sessions", options.day) == "spark"
    assert sum(count > 0 for count in ours["statuses"].values()) >= 5


def test_a_lake_on_s3_is_the_same_on_both_engines(
    tmp_path: Path, on_spark: EngineSettings, on_one_machine: EngineSettings, s3_server: S3Server
) -> None:
    """Executors read the feed and write the lake by themselves; a day is added to, and rows of its parts lose."""
    place = f"s3://{s3_server.bucket}/{uuid.uuid4().hex}"
    feed = S3Store(f"{place}/trail", s3_server.settings)
    lakes = [
        open_lake(
            Settings(
                file=tmp_path / "loglake.yaml",
                lake=f"{place}/{engine.type}",
                catalog_path=tmp_path / f"{engine.type}.db",
                feeds=(Feed("trail", "cloudtrail", feed.root),),
                quality=Quality(coverage=0.0, recount_objects=10_000),
                engine=replace(engine, part_bytes=300),
                s3=s3_server.settings,
            )
        )
        for engine in (on_spark, on_one_machine)
    ]
    for places in ([1, 3, 5, 7], [0, 2, 4]):
        deliver(tmp_path / "trail", places)
        for path in (tmp_path / "trail").rglob("*.gz"):
            feed.write(str(path.relative_to(tmp_path / "trail")), path.read_bytes())
            path.unlink()
        ours, theirs = (readready_facts(lake, SOURCE, DAY) for lake in lakes)
        assert ours == theirs
    assert any(name.endswith("-again.orc") for name in ours["files"])


def test_real_files_are_the_same_on_both_engines(
    tmp_path: Path, on_spark: EngineSettings, on_one_machine: EngineSettings
) -> None:
    feeds = deliver_real_files(tmp_path)
    spark, embedded = (real_lake(tmp_path, feeds, one.type, one) for one in (on_spark, on_one_machine))
    for day in (SAMPLE_DAY, DAY):
        for source in SOURCES:
            assert readready_facts(spark, source, day) == readready_facts(embedded, source, day)
    for day in (SAMPLE_DAY, DAY):
        assert sessions_facts(spark, day, AS_OF) == sessions_facts(embedded, day, AS_OF)


def test_a_day_that_grows_is_the_same_on_both_engines(
    tmp_path: Path, on_spark: EngineSettings, on_one_machine: EngineSettings
) -> None:
    """Copies within and across parts, winners that come after the losers, rejects, damaged objects; in the end nothing
    is new."""
    engines = [replace(one, part_bytes=300) for one in (on_spark, on_one_machine)]
    lenient = Quality(coverage=0.0, recount_objects=10_000)
    spark, embedded = (made_lake(tmp_path, one.type, engine=one, quality=lenient) for one in engines)
    for places in ([1, 3, 5, 7], [0, 2], [4, 6, 8, 9], []):
        deliver(trail_of(tmp_path), places)
        assert readready_facts(spark, SOURCE, DAY) == readready_facts(embedded, SOURCE, DAY)
    version, _entries = published(spark, DAY)
    assert any(part.name.endswith("-again.orc") for part in version.parts)
    assert version.totals.duplicate > 20
    assert len(OBJECTS) == version.totals.objects


def test_the_session_is_shared_with_dagsters_lazy_resource(on_spark):
    """A code location with Spark assets of its own needs no second session."""
    from dagster_pyspark import LazyPySparkResource

    from loglake_dagster.engines.spark_session import Spark

    assert LazyPySparkResource(spark_config={}).spark_session is Spark(on_spark).session
