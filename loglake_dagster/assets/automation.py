"""Jobs and schedules: what runs by itself, and when."""

import datetime as dt
from typing import Any

import dagster as dg

from loglake_dagster.lake.partition import ONE_DAY
from loglake_dagster.lake.settings import Settings
from loglake_dagster.sources import cloudtrail, cloudwatch, ssm_s3

DAY_JOB = "day"
SCHEDULE_CRON = "30 2 * * *"
# What the neighbouring days' sessions need of a day, besides its own run.
BEFORE = (cloudtrail.SOURCE.raw_name, cloudtrail.SOURCE.readready_name)
AFTER = (cloudwatch.SOURCE.raw_name, cloudwatch.SOURCE.readready_name)


def after_tables(settings: Settings) -> tuple[str, ...]:
    """What the sessions of a day need of the day after: its log events, and its uploads to S3 if they have a feed."""
    uploads = (ssm_s3.SOURCE.raw_name, ssm_s3.SOURCE.readready_name)
    return (*AFTER, *uploads) if settings.feeds_of(ssm_s3.SOURCE.name) else AFTER


def build_day_job() -> Any:
    """Every table of one day, in the order of the lineage. (Dagster gives the type of asset jobs no public name.)"""
    return dg.define_asset_job(
        DAY_JOB,
        selection=dg.AssetSelection.all(),
        description="All tables of one UTC day: raw, readready, sessions.",
    )


def build_schedule(settings: Settings) -> dg.ScheduleDefinition:
    """02:30 UTC: first the keystrokes that landed since midnight, for sessions that crossed it; then the day that
    ended. The lateness window (two hours by default) has passed by then."""

    @dg.schedule(
        name="daily",
        job_name=DAY_JOB,
        cron_schedule=SCHEDULE_CRON,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="02:30 UTC every night: the day that ended, and keystrokes of sessions that crossed midnight.",
    )
    def daily(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest]:
        today = context.scheduled_execution_time.astimezone(dt.timezone.utc).date()
        ended = today - ONE_DAY
        keystrokes = [dg.AssetKey(name) for name in after_tables(settings)]
        return [
            dg.RunRequest(f"{today} keystrokes", partition_key=today.isoformat(), asset_selection=keystrokes),
            dg.RunRequest(f"{ended} day", partition_key=ended.isoformat()),
        ]

    return daily
