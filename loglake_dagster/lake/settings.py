"""Settings as the rest of the program sees them: plain frozen values. config.py makes them from loglake.yaml."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from loglake_dagster.lake.controls import Controls


@dataclass(frozen=True, slots=True)
class S3Settings:
    """How s3:// is reached; credentials come from the usual AWS places. `through_boto3` is for jobs of EMR Serverless
    and Glue, whose roles boto3 alone finds everywhere; no file says it."""

    endpoint: str | None = None
    region: str | None = None
    allow_http: bool = False
    through_boto3: bool = False


@dataclass(frozen=True, slots=True)
class Feed:
    """One place that a source's objects are delivered to. `log_groups` gives log groups their roles (CloudWatch);
    `account` and `region` are those of all its objects, where neither keys nor records say them."""

    name: str
    source: str
    uri: str
    log_groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    account: str | None = None
    region: str | None = None


@dataclass(frozen=True, slots=True)
class Quality:
    """`coverage` is the gate's threshold, 0 to 1; `lateness` how long after midnight a day's deliveries are waited
    for; `horizon` how long after a day its events may still come; `captured` the share of loggable sessions that
    should have keystrokes; `sla_minutes` how long these may take; `recount_objects` how many objects an audit counts
    again."""

    coverage: float = 0.90
    lateness: dt.timedelta = dt.timedelta(hours=2)
    horizon: dt.timedelta = dt.timedelta(days=35)
    captured: float = 0.90
    sla_minutes: int = 90
    recount_objects: int = 20


@dataclass(frozen=True, slots=True)
class EmrServerless:
    """An application of EMR Serverless. `package` is the s3:// folder of what deploy/spark/package.py made; `logs` one
    that drivers and executors log to; `timeout_minutes` None is the service's own limit."""

    application_id: str
    role_arn: str
    package: str
    logs: str | None = None
    timeout_minutes: int | None = None


@dataclass(frozen=True, slots=True)
class Glue:
    """A Glue job that starts the package's entry script."""

    job_name: str


@dataclass(frozen=True, slots=True)
class Launch:
    """Where Spark's work is started, on one of the two services; `messages` is the bucket for what jobs report."""

    messages: str
    emr_serverless: EmrServerless | None = None
    glue: Glue | None = None


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """`workers` 0 means all cores; `memory_limit` in bytes bounds the joins; `max_object_bytes` what one object may
    inflate to; `part_bytes` how many source bytes make one data file; `step_objects` and `step_bytes` how much of a
    backlog the embedded engine takes at once before it keeps what it has. For Spark alone: `master`, None for the one
    that spark-submit names; `conf`, its own settings; `spark_above`, the source bytes of a day that are left to one
    machine, None for none; `launch`, the service that has the work done, None for this machine's own session."""

    type: Literal["embedded", "spark"] = "embedded"
    workers: int = 0
    memory_limit: int = 1 << 30
    max_object_bytes: int = 1 << 30
    part_bytes: int = 10 << 20
    step_objects: int = 50_000
    step_bytes: int = 512 << 20
    master: str | None = "local[*]"
    conf: Mapping[str, str] = field(default_factory=dict)
    spark_above: int | None = None
    launch: Launch | None = None


@dataclass(frozen=True, slots=True)
class OrcSettings:
    """How data files are packed. The small ones take their time: `zlib_small` 1.5 times the CPU of packing with `zlib`,
    `zstd_small` six times."""

    compression: Literal["zlib", "zlib_small", "zstd", "zstd_small"] = "zlib"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that loglake.yaml says, defaults filled in, paths absolute. `file` is where it stands; `lean` the
    sources whose parts leave out columns."""

    file: Path
    lake: str
    catalog_path: Path
    feeds: tuple[Feed, ...]
    controls: Controls = field(default_factory=Controls)
    quality: Quality = field(default_factory=Quality)
    engine: EngineSettings = field(default_factory=EngineSettings)
    orc: OrcSettings = field(default_factory=OrcSettings)
    lean: frozenset[str] = frozenset()
    s3: S3Settings = field(default_factory=S3Settings)
    start: dt.date = dt.date(2023, 1, 1)

    def feeds_of(self, source: str) -> tuple[Feed, ...]:
        """The feeds of a source, in the order of the file."""
        return tuple(feed for feed in self.feeds if feed.source == source)
