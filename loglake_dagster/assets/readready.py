"""Readready assets: one a source, an event day a partition, with the coverage check that gates what is downstream."""

import time
from collections.abc import Iterator

import dagster as dg

from loglake_dagster.assets.checks import COVERAGE, coverage_result
from loglake_dagster.assets.metadata import readready_metadata, table_metadata
from loglake_dagster.assets.partitions import neighbours, partitioned_check, run_day
from loglake_dagster.assets.raw import OWNERS
from loglake_dagster.assets.resources import PROGRESS, LakeResource
from loglake_dagster.engines import Progress
from loglake_dagster.engines.readready import materialize_readready, refusal
from loglake_dagster.engines.rejects import first_rejects
from loglake_dagster.lake.source import Source

LOG_EVERY_S = 10.0
SHOWN_REJECTS = 20


def build_readready_asset(source: Source, daily: dg.PartitionsDefinition[str]) -> dg.AssetsDefinition:
    """The readready asset of a source."""
    key = dg.AssetKey(source.readready_name)

    @dg.multi_asset(
        name=source.readready_name,
        group_name="readready",
        partitions_def=daily,
        specs=[
            dg.AssetSpec(
                key,
                deps=[dg.AssetDep(source.raw_name, partition_mapping=neighbours(int(bool(source.lead)), 1))],
                kinds={"orc", "table"},
                owners=OWNERS,
                tags={"source": source.name, "stage": "readready"},
                metadata=table_metadata(source.table),
                description=f"{source.table.doc} A partition is a UTC day of event time: that day's deliveries, and "
                "the next one's up to the lateness. Published only when at least the threshold of its events landed.",
            )
        ],
        check_specs=[
            partitioned_check(
                COVERAGE,
                asset=key,
                blocking=True,
                partitions_def=daily,
                description="At least the threshold (default 90 %) of the events that the source holds for the day.",
            )
        ],
    )
    def readready(
        context: dg.AssetExecutionContext, lake: LakeResource
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
        opened = lake.open(context)
        result = materialize_readready(opened, source, run_day(context), _progress(context, source.readready_name))
        check = coverage_result(key, result)
        metadata = readready_metadata(result, first_rejects(opened, result.manifest, SHOWN_REJECTS))
        if not result.is_published:
            yield check
            raise dg.Failure(refusal(result), metadata=metadata, allow_retries=False)
        yield dg.MaterializeResult(asset_key=key, metadata=metadata, check_results=[check])

    return readready


def _progress(context: dg.AssetExecutionContext, table: str) -> Progress:
    """Progress for whoever watches in this process, and now and then a line in the run's log."""
    listener, last = PROGRESS.get(), time.monotonic()

    def told(done: int, total: int, events: int) -> None:
        nonlocal last
        if listener is not None:
            listener(table, done, total, events)
        if time.monotonic() - last >= LOG_EVERY_S:
            last = time.monotonic()
            context.log.info(f"{done} of {total} objects read, {events} events")

    return told
