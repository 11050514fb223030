"""Days as Dagster sees them: the partitions, and which days of its inputs a table's day is made from."""

import datetime as dt
import warnings
from typing import Any

import dagster as dg

from loglake_dagster.lake.partition import parse_day


def daily_partitions(start: dt.date) -> dg.DailyPartitionsDefinition:
    """UTC days from `start` on, today included: the current day is materialised again and again as files land."""
    return dg.DailyPartitionsDefinition(start_date=start.isoformat(), timezone="UTC", end_offset=1)


def neighbours(before: int, after: int) -> dg.TimeWindowPartitionMapping:
    """A day made from the days around it; days outside the partitions are left out (in beta in Dagster 1.13)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=dg.BetaWarning)
        return dg.TimeWindowPartitionMapping(
            start_offset=-before, end_offset=after, allow_nonexistent_upstream_partitions=True
        )


def run_day(context: dg.AssetExecutionContext) -> dt.date:
    """The day that a run is for. One run, one day: a run over a range would record its checks without a partition."""
    return parse_day(context.partition_key)


def partitioned_check(name: str, **given: Any) -> dg.AssetCheckSpec:
    """A check with a result a day. `partitions_def` on checks is in preview in Dagster 1.13, hence this one place."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=dg.PreviewWarning)
        return dg.AssetCheckSpec(name, **given)
