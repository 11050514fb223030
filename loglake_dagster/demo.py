"""The sample day: put its files where the settings' feeds read, and nowhere else."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

from loglake_dagster.errors import LogLakeError
from loglake_dagster.io.store import local_path
from loglake_dagster.lake.settings import Settings

SAMPLE = Path(__file__).parents[1] / "examples" / "sample_day"
DAY = dt.date(2023, 7, 10)
# Half an hour after the day: one session is still `pending` then.
AS_OF = dt.datetime(2023, 7, 11, 0, 30, tzinfo=dt.timezone.utc)
FOLDERS = {"cloudtrail": "trail", "cloudwatch": "firehose"}


def deliver_sample(settings: Settings, sample: Path = SAMPLE) -> int:
    """Copies the sample's files into the feeds' folders; returns how many were not there yet. LogLakeError if a feed
    is not a folder beside the settings file, or holds files of its own: a demo never mixes with anybody's logs."""
    landing = sample / "landing"
    if not landing.is_dir():
        raise LogLakeError(
            f"{landing}: no sample there; run the demo in the project's folder, or name one with --sample DIR"
        )
    targets = {landing / folder: _target(settings, source) for source, folder in FOLDERS.items()}
    for folder, target in targets.items():  # all are judged before the first file is copied
        if others := sorted(set(_files(target)) - set(_files(folder))):
            raise LogLakeError(
                f"{target}: holds {len(others)} files that are not the sample's, as {others[0].name!r}; run the demo "
                "in a folder of its own"
            )
    absent = [(folder / file, target / file) for folder, target in targets.items() for file in _files(folder)]
    absent = [(file, copy) for file, copy in absent if not copy.exists()]
    for file, copy in absent:
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, copy)
    return len(absent)


def _files(folder: Path) -> list[Path]:
    """Paths of the files below a folder, relative to it; none if there is no such folder."""
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def _target(settings: Settings, source: str) -> Path:
    feeds = settings.feeds_of(source)
    beside = settings.file.parent.resolve()
    if len(feeds) != 1 or feeds[0].uri.startswith("s3://") or beside not in local_path(feeds[0].uri).resolve().parents:
        raise LogLakeError(
            f"{settings.file}: the demo puts sample files into the {source} feed, so it wants one alone, in a folder "
            "beside the settings file (as the default loglake.yaml has it). Yours reads real logs: run it elsewhere"
        )
    return local_path(feeds[0].uri)
