"""Raw assets: one a source, a delivery day a partition. Materialising one registers folders and copies nothing."""

import dagster as dg

from loglake_dagster.assets.metadata import raw_metadata, table_metadata
from loglake_dagster.assets.partitions import run_day
from loglake_dagster.assets.resources import LakeResource
from loglake_dagster.engines.raw import materialize_raw, raw_table
from loglake_dagster.lake.source import Source

OWNERS = ["team:log-lake"]


def build_raw_asset(source: Source, daily: dg.PartitionsDefinition[str]) -> dg.AssetsDefinition:
    """The raw asset of a source."""

    @dg.asset(
        name=source.raw_name,
        group_name="raw",
        partitions_def=daily,
        kinds={"s3", "json"},
        owners=OWNERS,
        tags={"source": source.name, "stage": "raw"},
        metadata=table_metadata(raw_table(source)),
        description=f"{source.doc} Files stay where they were delivered; a partition is a UTC day of delivery, and "
        "materialising it registers that day's folders by account and region.",
    )
    def raw(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult[None]:
        result = materialize_raw(lake.open(), source, run_day(context))
        for warning in result.warnings:
            context.log.warning(warning)
        return dg.MaterializeResult(metadata=raw_metadata(result))

    return raw
