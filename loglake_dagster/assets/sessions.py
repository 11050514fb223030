"""The sessions asset: an event day a partition, joined from published versions only."""

import datetime as dt
from collections.abc import Iterator

import dagster as dg

from loglake_dagster.assets.checks import CAPTURED, captured_result
from loglake_dagster.assets.metadata import sessions_metadata, table_metadata
from loglake_dagster.assets.partitions import neighbours, partitioned_check, run_day
from loglake_dagster.assets.raw import OWNERS
from loglake_dagster.assets.resources import LakeResource
from loglake_dagster.engines.sessions import materialize_sessions, preview_sessions
from loglake_dagster.errors import LogLakeError, quote
from loglake_dagster.lake.partition import UTC
from loglake_dagster.sessions.record import TABLE
from loglake_dagster.sources import cloudtrail, cloudwatch, ssm_s3

PREVIEW_ROWS = 10


class SessionsConfig(dg.Config):
    """What a run of the sessions table may be told: `as_of` is the ISO-8601 UTC moment that `pending` is judged by, the
    time of the run if it is not given."""

    as_of: str | None = None


def build_sessions_asset(daily: dg.PartitionsDefinition[str]) -> dg.AssetsDefinition:
    """The sessions asset."""

    @dg.asset(
        name=TABLE.name,
        group_name="sessions",
        partitions_def=daily,
        deps=[
            dg.AssetDep(cloudtrail.SOURCE.readready_name, partition_mapping=neighbours(1, 1)),
            dg.AssetDep(cloudwatch.SOURCE.readready_name, partition_mapping=neighbours(0, 1)),
            dg.AssetDep(ssm_s3.SOURCE.readready_name, partition_mapping=neighbours(0, 1)),
        ],
        kinds={"orc", "table"},
        owners=OWNERS,
        tags={"stage": "sessions"},
        metadata=table_metadata(TABLE),
        check_specs=[
            partitioned_check(
                CAPTURED,
                asset=TABLE.name,
                partitions_def=daily,
                description="Of the sessions that can be logged and are past the SLA, the share that has keystrokes.",
            )
        ],
        description=f"{TABLE.doc} A reader needs no other table. Made from the day's published versions, the day "
        "before's CloudTrail and the day after's keystrokes.",
    )
    def sessions(
        context: dg.AssetExecutionContext, config: SessionsConfig, lake: LakeResource
    ) -> Iterator[dg.MaterializeResult[None]]:
        opened, day = lake.open(context), run_day(context)
        result = materialize_sessions(opened, day, _moment(config.as_of) if config.as_of else None)
        version = opened.published(TABLE.name, day)
        assert version is not None
        check = captured_result(context.asset_key, result, opened.settings.quality.captured)
        metadata = sessions_metadata(result, preview_sessions(version, PREVIEW_ROWS))
        yield dg.MaterializeResult(metadata=metadata, check_results=[check])

    return sessions


def _moment(text: str) -> dt.datetime:
    """A moment of ISO-8601; one without a zone is UTC, wherever the machine stands."""
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise LogLakeError(
            f"as_of: expected an ISO-8601 time such as 2026-11-02T00:30:00Z, got {quote(text)}"
        ) from None
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
