"""A lake of the sample day, and of a day that holds every golden object: all quirks, hostile text and odd numbers that
the sources are tested with."""

from __future__ import annotations

import datetime as dt
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from loglake_dagster.engines.lake import Lake
from loglake_dagster.lake.settings import EngineSettings, Feed, Quality
from loglake_dagster_tests.engines.deliveries import REGION, firehose_file, put, trail_file
from loglake_dagster_tests.engines.made_lake import ONE_PROCESS, firehose_of, made_lake, trail_of
from loglake_dagster_tests.made import ACCOUNT, DAY, member

LANDING = Path(__file__).parents[2] / "examples" / "sample_day" / "landing"
GOLDEN = Path(__file__).parents[1] / "golden"
HOUR = "AWSLogs/111122223333/BedrockModelInvocationLogs/us-east-1/2026/03/02/01"
# Golden objects are odd on purpose: much of what they hold is rejected.
LENIENT = Quality(coverage=0.0, recount_objects=10_000)


def deliver_real_files(folder: Path) -> Sequence[Feed]:
    """Puts all files where AWS does, and gives the feeds that read them."""
    trail, firehose = trail_of(folder), firehose_of(folder)
    bedrock, uploads = folder / "bedrock", folder / "uploads"
    shutil.copytree(LANDING / "trail", trail)
    shutil.copytree(LANDING / "firehose", firehose)
    for n, path in enumerate(sorted(GOLDEN.glob("*/*.in.json*"))):
        if path.parent.name == "cloudtrail":
            trail_file(trail, path.read_bytes(), f"{DAY}T12:00", nonce=f"G{n}")
        elif path.parent.name == "cloudwatch":
            firehose_file(firehose, path.read_bytes(), f"{DAY}T12:00:00", n)
        elif path.parent.name == "bedrock":
            put(bedrock / HOUR / f"20260302T010500000Z_{n:04x}.json.gz", member(path.read_bytes()))
    noon = dt.datetime.combine(DAY, dt.time(12), dt.timezone.utc).timestamp()
    for path in GOLDEN.glob("ssm_s3/*.in.*"):
        name = path.name.partition(".in.")[0]
        os.utime(put(uploads / f"{name}.log", path.read_bytes()), (noon, noon))
    groups = {"session": ("/aws/ssm/sessionlogs", "/ssm/*")}
    return (
        Feed("trail", "cloudtrail", str(trail)),
        Feed("firehose", "cloudwatch", str(firehose), groups),
        Feed("bedrock", "bedrock", str(bedrock)),
        Feed("uploads", "ssm_s3", str(uploads), account=ACCOUNT, region=REGION),
    )


def real_lake(folder: Path, feeds: Sequence[Feed], name: str = "lake", engine: EngineSettings = ONE_PROCESS) -> Lake:
    return made_lake(folder, name, feeds=feeds, quality=LENIENT, engine=engine)
