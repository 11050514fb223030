"""The logs that Log Lake reads, in order. Adding one is a module here and its name in the tuple."""

from __future__ import annotations

from loglake_dagster.lake.source import Source
from loglake_dagster.sources import bedrock, cloudtrail, cloudwatch, ssm_s3

SOURCES: tuple[Source, ...] = (cloudtrail.SOURCE, cloudwatch.SOURCE, bedrock.SOURCE, ssm_s3.SOURCE)


def source_named(name: str) -> Source:
    """The source of that name; KeyError if there is none."""
    return {source.name: source for source in SOURCES}[name]
