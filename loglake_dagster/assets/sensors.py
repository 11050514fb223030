"""Sensors: days that must be asked for again, because their events came late or their inputs changed."""

import dagster as dg

from loglake_dagster.assets.automation import DAY_JOB
from loglake_dagster.assets.resources import LakeResource
from loglake_dagster.engines.late import days_to_ask_again, stale_sessions
from loglake_dagster.sessions.record import TABLE
from loglake_dagster.sources import SOURCES

EVERY_S = 600


def build_late_events_sensor() -> dg.SensorDefinition:
    """Asks for days whose late events lie in objects that another day's run wrote down, and for sessions whose inputs
    have another version by now. The run key names what is new, so that a day is asked for once for each change."""

    @dg.sensor(
        name="late_events",
        job_name=DAY_JOB,
        minimum_interval_seconds=EVERY_S,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Days that hold late events, and sessions whose inputs changed, are materialised again.",
    )
    def late_events(context: dg.SensorEvaluationContext, lake: LakeResource) -> dg.SensorResult:
        opened = lake.open()
        requests = []
        for source in SOURCES:
            for day in days_to_ask_again(opened, source):
                late = opened.catalog.late_objects(source.readready_name, day)
                keys = [dg.AssetKey(name) for name in (source.readready_name, TABLE.name)]
                requests.append(
                    dg.RunRequest(f"{source.name} {day} {len(late)} late", partition_key=str(day), asset_selection=keys)
                )
        asked = {request.partition_key for request in requests}
        for day in stale_sessions(opened, opened.now().date()):
            if str(day) not in asked:
                version = opened.catalog.published(TABLE.name, day)
                name = version.version if version else ""
                requests.append(
                    dg.RunRequest(
                        f"sessions {day} after {name}",
                        partition_key=str(day),
                        asset_selection=[dg.AssetKey(TABLE.name)],
                    )
                )
        return dg.SensorResult(run_requests=requests)

    return late_events
