"""A materialisation in a process of its own, with two workers, to be raced and killed.

    python -m loglake_dagster_tests.engines.one_run FOLDER LAKE
    python -m loglake_dagster_tests.engines.one_run FOLDER LAKE kill STEP N     kills itself before the n-th such step
                                                                (of a run in steps of OBJECTS, if they are given too)
    python -m loglake_dagster_tests.engines.one_run FOLDER LAKE meet MEETING    waits with its result for MEETING/go

Prints `done`, whether there is something new and the version; or the error's name and message.
"""

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from loglake_dagster.catalog import Catalog, PublishedVersion
from loglake_dagster.engines import ReadreadyJob, Written, embedded
from loglake_dagster.engines.lake import Lake
from loglake_dagster.engines.readready import materialize_readready
from loglake_dagster.errors import LogLakeError
from loglake_dagster.io.store import LocalStore
from loglake_dagster.lake.settings import EngineSettings
from loglake_dagster.sources.cloudtrail import SOURCE
from loglake_dagster_tests.engines.made_lake import interrupted, made_lake
from loglake_dagster_tests.made import DAY


@dataclass(slots=True)
class Death:
    """Kills this process, and it alone, before a step is taken for the n-th time. The steps, in their order: run (one
    is done), part, accounts, manifest, publish, published."""

    step: str
    count: int
    taken: Counter[str] = field(default_factory=Counter)

    def take(self, step: str) -> None:
        self.taken[step] += 1
        if step == self.step and self.taken[step] == self.count:
            os.kill(os.getpid(), signal.SIGKILL)


class MortalStore(LocalStore):
    """The lake's folder, whose writes are steps."""

    def __init__(self, path: Path, death: Death) -> None:
        super().__init__(path)
        self.death = death

    def write(self, key: str, data: bytes) -> None:
        self.death.take("manifest" if key.endswith("manifest.json") else "accounts")
        super().write(key, data)

    def write_file(self, key: str, path: Path) -> None:
        self.death.take("part")
        super().write_file(key, path)


@dataclass(frozen=True, slots=True)
class MortalCatalog:
    """A catalog whose publication is a step, and its end another."""

    catalog: Catalog
    death: Death

    def __getattr__(self, name: str) -> Any:
        return getattr(self.catalog, name)

    def publish(self, version: PublishedVersion, expected: str | None) -> None:
        self.death.take("publish")
        self.catalog.publish(version, expected)
        self.death.take("published")


def materialize(lake: Lake, death: Death) -> None:
    """Says how it ended."""
    try:
        result = materialize_readready(lake, SOURCE, DAY, lambda *_counts: death.take("run"))
    except LogLakeError as error:
        print(type(error).__name__, error)
    else:
        print("done", result.is_new, result.manifest.version)


def mortal(lake: Lake, death: Death) -> Lake:
    """The lake, in which every step is told to `death`."""
    store = MortalStore(Path(lake.settings.lake), death)
    return replace(lake, store=store, catalog=MortalCatalog(lake.catalog, death))


def meet_at(meeting: Path) -> Callable[[ReadreadyJob, Written], None]:
    """Says in the folder that all is written, and waits until it is told to go on."""

    def meet(_job: ReadreadyJob, _written: Written) -> None:
        (meeting / f"written-{os.getpid()}").touch()
        while not (meeting / "go").exists():
            time.sleep(0.01)

    return meet


def main(folder: str, name: str, role: str = "", *details: str) -> None:
    embedded.SMALL_DAY_BYTES = 0
    death = Death(details[0], int(details[1])) if role == "kill" else Death("", 0)
    # After the parts are placed there are no workers, and whether there were any makes no difference.
    workers = 2 if not role or death.step in ("run", "part") else 1
    engine = EngineSettings(workers=workers, part_bytes=2_000)
    if len(details) > 2:
        engine = replace(engine, step_objects=int(details[2]))
    lake = made_lake(Path(folder), name, engine=engine)
    if role == "meet":
        lake = interrupted(lake, meet_at(Path(details[0])))
    materialize(mortal(lake, death), death)


if __name__ == "__main__":
    # What is sent to a worker must be of a module that it can import: workers do not import this one as their main.
    from loglake_dagster_tests.engines import one_run

    one_run.main(*sys.argv[1:])
