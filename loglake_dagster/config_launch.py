"""`engine.launch` of loglake.yaml: which AWS service does the work of Spark. A part of config.py in its own file."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from loglake_dagster.config_values import Section, Text
from loglake_dagster.lake.settings import EmrServerless, Glue, Launch


def _folder_on_s3(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"s3://[^/]+(/.*)?", value):
        raise ValueError("expected s3://bucket/prefix")
    return value.rstrip("/")


def _bucket(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[a-z0-9][a-z0-9.-]+", value):
        raise ValueError("expected the name of a bucket, without s3://")
    return value


FolderOnS3 = Annotated[str, BeforeValidator(_folder_on_s3)]


class EmrServerlessSection(Section):
    """See EmrServerless."""

    application_id: Text
    role_arn: Text
    package: FolderOnS3
    logs: FolderOnS3 | None = None
    timeout_minutes: Annotated[int, Field(ge=1, le=1_000_000)] | None = None


class GlueSection(Section):
    """See Glue."""

    job_name: Text


class LaunchSection(Section):
    """See Launch."""

    messages: Annotated[str, BeforeValidator(_bucket)]
    emr_serverless: EmrServerlessSection | None = None
    glue: GlueSection | None = None


# Raises the ConfigError for a key, in words.
Refuse = Callable[[tuple[Any, ...], str], Exception]


def launch_settings(
    launch: LaunchSection, is_local_session: bool, lake: str, feeds: Sequence[str], conf: dict[str, str], refuse: Refuse
) -> Launch:
    """The setting, if it goes with the rest: `is_local_session` says that a master is named, too."""
    here = ("engine", "launch")
    if (launch.emr_serverless is None) == (launch.glue is None):
        raise refuse(here, "expected one of emr_serverless and glue")
    if is_local_session:
        raise refuse(("engine", "master"), "not with engine.launch, whose service names the master")
    if not lake.startswith("s3://"):
        raise refuse(("lake",), f"expected s3://bucket/prefix, which engine.launch can reach, got {lake}")
    for place, uri in enumerate(feeds):
        if not uri.startswith("s3://"):
            words = f"expected s3://bucket/prefix, which engine.launch can reach, got {uri}"
            raise refuse(("feeds", place, "uri"), words)
    for name, value in conf.items():
        if launch.glue and re.search(r"\s", name + value):
            raise refuse(("engine", "conf"), f"expected values without blanks for Glue, got {name}: {value!r}")
    return Launch(
        messages=launch.messages,
        emr_serverless=EmrServerless(**launch.emr_serverless.model_dump()) if launch.emr_serverless else None,
        glue=Glue(**launch.glue.model_dump()) if launch.glue else None,
    )
