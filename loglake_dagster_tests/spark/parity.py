"""What two engines made of the same day, in a form that is equal when the days are."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from typing import Any

import msgspec

from loglake_dagster.engines.lake import Lake
from loglake_dagster.engines.query import run_query
from loglake_dagster.engines.readready import ReadreadyResult, materialize_readready
from loglake_dagster.engines.sessions import SessionsResult, materialize_sessions
from loglake_dagster.lake.source import Source
from loglake_dagster.sessions.record import TABLE as SESSIONS

_VERSION = re.compile(r"\d{8}T\d+Z-[0-9a-f]{8}")


def readready_facts(lake: Lake, source: Source, day: dt.date) -> dict[str, Any]:
    """A day after a run: manifest, accounts, rejects, check results, and every byte of every part."""
    result = materialize_readready(lake, source, day)
    told = {"objects_read": result.objects_read, "is_new": result.is_new, "is_published": result.is_published}
    told |= {"audit": result.audit, "lateness": result.lateness, "late": result.late}
    return told | _version_facts(lake, result, source.readready_name, day)


def sessions_facts(lake: Lake, day: dt.date, as_of: dt.datetime) -> dict[str, Any]:
    """The same of a day's sessions."""
    result = materialize_sessions(lake, day, as_of)
    told = {"statuses": dict(result.statuses), "absent": result.absent, "is_new": result.is_new}
    return told | _version_facts(lake, result, SESSIONS.name, day)


def _version_facts(lake: Lake, result: ReadreadyResult | SessionsResult, table: str, day: dt.date) -> dict[str, Any]:
    version = lake.published(table, day)
    assert version is not None
    assert version.manifest == result.manifest
    folder, manifest = version.folder, msgspec.to_builtins(version.manifest)
    del manifest["created"], manifest["engine"]
    _folders, found = folder.store.list_level(f"{folder.folder}/")
    data = {one.key: hashlib.sha256(folder.store.read(one.key)).hexdigest() for one in found}
    told = {
        "manifest": manifest,
        "entries": msgspec.to_builtins(version.entries),
        "rejects": folder.read_rejects(version.manifest.reject_files),
        "files": {key.rpartition("/")[2]: digest for key, digest in data.items()},
    }
    plain: dict[str, Any] = msgspec.json.decode(_VERSION.sub("V", msgspec.json.encode(told, enc_hook=str).decode()))
    rows = run_query(lake, f"SELECT * FROM {table} WHERE eventday = '{day}'").to_pylist()
    return {**plain, "rows": sorted(rows, key=str)}


def engine_of(lake: Lake, table: str, day: dt.date) -> str:
    """The engine that wrote the published version."""
    version = lake.published(table, day)
    assert version is not None
    return version.manifest.engine
