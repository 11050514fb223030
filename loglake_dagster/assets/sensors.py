"""Sensors: days that must be asked for again, because events came late or because what they were made from changed."""

from collections.abc import Iterator

import dagster as dg

from loglake_dagster.assets.automation import DAY_JOB
from loglake_dagster.assets.resources import LakeResource
from loglake_dagster.engines.lake import Lake
from loglake_dagster.engines.late import due_again

EVERY_S = 600


def build_late_events_sensor() -> dg.SensorDefinition:
    """Asks for days whose late events lie in objects that another day's run wrote down, and for sessions whose inputs
    have another version by now. A run key names what is new, so that a day is asked for once for each change."""

    @dg.sensor(
        name="late_events",
        job_name=DAY_JOB,
        minimum_interval_seconds=EVERY_S,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Asks for days again whose events came late, and for sessions whose inputs have changed.",
    )
    def late_events(lake: LakeResource) -> list[dg.RunRequest]:
        return list(requests(lake.open()))

    return late_events


def requests(lake: Lake) -> Iterator[dg.RunRequest]:
    """What is due again. A run that fails is asked for once more on the next day."""
    today = lake.now().date()
    for due in due_again(lake):
        tables = [dg.AssetKey(due.table)]
        yield dg.RunRequest(f"{due.key} {today}", partition_key=due.day.isoformat(), asset_selection=tables)
