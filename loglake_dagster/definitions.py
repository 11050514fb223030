"""The code location: wires sources to assets, jobs and the schedule. No logic; reads the settings file only."""

import dagster as dg

from loglake_dagster.assets.automation import build_day_job, build_schedule
from loglake_dagster.assets.partitions import daily_partitions
from loglake_dagster.assets.raw import build_raw_asset
from loglake_dagster.assets.readready import build_readready_asset
from loglake_dagster.assets.resources import LakeResource
from loglake_dagster.assets.sensors import build_late_events_sensor
from loglake_dagster.assets.sessions import build_sessions_asset
from loglake_dagster.config import load_settings
from loglake_dagster.lake.settings import Settings
from loglake_dagster.sources import SOURCES


def build_definitions(settings: Settings) -> dg.Definitions:
    """Everything that Dagster shows and runs, for the lake of these settings."""
    daily = daily_partitions(settings.start)
    return dg.Definitions(
        assets=[
            *(build_raw_asset(source, daily) for source in SOURCES),
            *(build_readready_asset(source, daily) for source in SOURCES),
            build_sessions_asset(daily),
        ],
        jobs=[build_day_job()],
        schedules=[build_schedule(settings)],
        sensors=[build_late_events_sensor()],
        resources={"lake": LakeResource(config_file=str(settings.file))},
        # Steps of a day run in one process: the engine itself uses every core, and a process a step costs seconds.
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What `dagster -m loglake_dagster.definitions` loads."""
    return build_definitions(load_settings())
