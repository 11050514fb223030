"""What assets are given: the lake of the settings file, opened anew in each run, so that controls are read again."""

import contextvars
from collections.abc import Callable

import dagster as dg

from loglake_dagster.assets.pipes import PipesLauncher
from loglake_dagster.config import load_settings
from loglake_dagster.engines.lake import Lake, open_lake

# Told of a table's progress: its name, objects read so far, objects to read, events found.
TableProgress = Callable[[str, int, int, int], None]

# Set by a caller in this process (the CLI's progress bar); runs that Dagster starts elsewhere only log.
PROGRESS: contextvars.ContextVar[TableProgress | None] = contextvars.ContextVar("progress", default=None)


class LakeResource(dg.ConfigurableResource[None]):
    """The lake that a settings file describes; the file is LOGLAKE_CONFIG's or ./loglake.yaml when not named."""

    config_file: str | None = None

    def open(self, context: dg.AssetExecutionContext | None = None) -> Lake:
        """Reads the settings and opens the lake. ConfigError if the file is wrong. An asset gives its context: where
        the settings ask for it, a day is then written by a job elsewhere."""
        settings = load_settings(self.config_file)
        if context is None or settings.engine.launch is None:
            return open_lake(settings)
        return open_lake(settings, launcher=PipesLauncher(context, settings))
