"""One day of the sessions table: from the published readready versions to a published join."""

from __future__ import annotations

import datetime as dt
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from loglake_dagster.engines import BaseVersion, SessionsJob
from loglake_dagster.engines.audit import check_parts
from loglake_dagster.engines.lake import Lake
from loglake_dagster.errors import AuditError, LogLakeError
from loglake_dagster.io.orc import read_part
from loglake_dagster.lake.manifest import Manifest, recipe_of
from loglake_dagster.lake.partition import ONE_DAY, UTC
from loglake_dagster.sessions.query import SESSIONS_SQL, TYPED_SQL
from loglake_dagster.sessions.record import DOCUMENTS, STATUSES, TABLE, VERSION
from loglake_dagster.sources import cloudtrail, cloudwatch, ssm_s3


@dataclass(frozen=True, slots=True)
class SessionsResult:
    """What a materialisation came to. `statuses` counts the sessions by keystroke status; `absent` names neighbouring
    days that have no published version, which the join would have used."""

    manifest: Manifest
    location: str
    statuses: Mapping[str, int]
    absent: tuple[str, ...]
    is_new: bool

    @property
    def captured_share(self) -> float:
        """Of the sessions whose keystrokes should be there by now, the share that has them; 1.0 if there are none."""
        due = self.statuses["captured"] + self.statuses["missing"]
        return self.statuses["captured"] / due if due else 1.0


def materialize_sessions(lake: Lake, day: dt.date, as_of: dt.datetime | None = None) -> SessionsResult:
    """Joins and publishes a day's sessions. `as_of` is the moment that `pending` is judged by, now if not given.

    LogLakeError if the day has no published CloudTrail or CloudWatch version: what has not passed its gate is not
    joined. The day before's CloudTrail, the day after's keystrokes and uploads to S3 are used where they are published.
    """
    lake.catalog.register_table(TABLE)
    as_of = _to_the_millisecond(as_of or lake.now())
    _needed(lake, cloudtrail.TABLE.name, day)
    _needed(lake, cloudwatch.TABLE.name, day)
    inputs = {name: lake.published(table, on, with_accounts=False) for name, (table, on) in inputs_of(day).items()}
    versions = {name: base.manifest.version for name, base in inputs.items() if base is not None}
    recipe = _recipe(lake)
    published = lake.published(TABLE.name, day)
    absent = _absent(lake, inputs, day)
    if published is not None and _is_settled(published, recipe, versions, as_of):
        return SessionsResult(published.manifest, published.folder.location, count_statuses(published), absent, False)
    folder = lake.new_version(TABLE.name, day)
    job = SessionsJob(
        table=TABLE,
        day=day,
        target=folder,
        started=_given(inputs["started"]),
        typed=_given(inputs["typed"]),
        started_before=inputs["started_before"],
        typed_after=inputs["typed_after"],
        started_after=inputs["started_after"],
        uploaded=inputs["uploaded"],
        uploaded_after=inputs["uploaded_after"],
        as_of=as_of,
        sla_minutes=lake.settings.quality.sla_minutes,
        orc=lake.settings.orc,
    )
    written = lake.engine.write_sessions(job)
    manifest = Manifest(
        table=TABLE.name,
        day=day,
        version=folder.version,
        base=None,
        created=lake.now(),
        recipe=recipe,
        engine=written.engine,
        parts=written.parts,
        inputs=versions,
        as_of=as_of,
    )
    folder.write_manifest(manifest, [])
    statuses = _audit(BaseVersion(folder, manifest, []))
    facts = {"statuses": dict(statuses), "inputs": versions, "as_of": as_of.isoformat()}
    lake.publish(manifest, published.manifest.version if published else None, facts)
    return SessionsResult(manifest, folder.location, statuses, absent, True)


def _recipe(lake: Lake) -> str:
    """Whatever, when it changes, gives other rows for the same inputs."""
    return recipe_of(
        {
            "sql": TYPED_SQL + SESSIONS_SQL,
            "sla": lake.settings.quality.sla_minutes,
            "columns": TABLE.column_names,
            "documents": DOCUMENTS,
            "version": VERSION,
        }
    )


def count_statuses(version: BaseVersion) -> Counter[str]:
    """Sessions of a version by keystroke status, in the order of STATUSES, 0 where none."""
    counts = Counter(dict.fromkeys(STATUSES, 0))
    for part in version.manifest.parts:
        rows = read_part(version.folder.store.read(version.folder.key(part.name)), TABLE, ("keystroke_status",))
        for one in rows["keystroke_status"].value_counts().to_pylist():
            counts[one["values"]] += one["counts"]
    return counts


def preview_sessions(version: BaseVersion, limit: int) -> pa.Table:
    """The first sessions of a version, in the table's order."""
    tables = _parts_until(version, limit)
    return pa.concat_tables(tables).slice(0, limit) if tables else pa.table({name: [] for name in TABLE.column_names})


def read_sessions(lake: Lake, day: dt.date) -> list[dict[str, Any]]:
    """The published sessions of a day as plain rows, in the table's order; LogLakeError if none are published."""
    version = lake.published(TABLE.name, day)
    if version is None:
        raise LogLakeError(f"sessions {day}: nothing is published; loglake materialize --day {day} makes it")
    return [row for table in _parts_until(version, sys.maxsize) for row in table.to_pylist()]


def _parts_until(version: BaseVersion, limit: int) -> list[pa.Table]:
    tables: list[pa.Table] = []
    for part in version.manifest.parts:
        if sum(table.num_rows for table in tables) >= limit:
            break
        tables.append(read_part(version.folder.store.read(version.folder.key(part.name)), TABLE))
    return tables


def _to_the_millisecond(moment: dt.datetime) -> dt.datetime:
    """In UTC and as exact as a column can hold it: the manifest, `statusasof` and the rule all mean one moment."""
    moment = moment.astimezone(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def inputs_of(day: dt.date) -> dict[str, tuple[str, dt.date]]:
    """What a day's sessions are joined from: table and day by the input's name."""
    return {
        "started": (cloudtrail.TABLE.name, day),
        "typed": (cloudwatch.TABLE.name, day),
        "started_before": (cloudtrail.TABLE.name, day - ONE_DAY),
        "typed_after": (cloudwatch.TABLE.name, day + ONE_DAY),
        "started_after": (cloudtrail.TABLE.name, day + ONE_DAY),
        "uploaded": (ssm_s3.TABLE.name, day),
        "uploaded_after": (ssm_s3.TABLE.name, day + ONE_DAY),
    }


def _needed(lake: Lake, table: str, day: dt.date) -> None:
    """LogLakeError if the day has no published version of the table."""
    if lake.catalog.published(table, day) is None:
        raise LogLakeError(
            f"sessions {day}: {table} has no published version of that day; materialise it first, or see why its gate "
            "is shut (loglake status)",
            table=table,
            day=day.isoformat(),
        )


def _given(version: BaseVersion | None) -> BaseVersion:
    assert version is not None
    return version


def _absent(lake: Lake, inputs: Mapping[str, BaseVersion | None], day: dt.date) -> tuple[str, ...]:
    names = {
        "started_before": f"{cloudtrail.TABLE.name} {day - ONE_DAY}",
        "typed_after": f"{cloudwatch.TABLE.name} {day + ONE_DAY}",
    }
    if lake.settings.feeds_of(ssm_s3.SOURCE.name):
        names["uploaded"] = f"{ssm_s3.TABLE.name} {day}"
        names["uploaded_after"] = f"{ssm_s3.TABLE.name} {day + ONE_DAY}"
    return tuple(words for name, words in names.items() if inputs[name] is None)


def _is_settled(published: BaseVersion, recipe: str, versions: Mapping[str, str], as_of: dt.datetime) -> bool:
    """Whether joining again would give the same rows: as time goes on, only `pending` can become something else."""
    manifest = published.manifest
    if manifest.recipe != recipe or dict(manifest.inputs) != dict(versions):
        return False
    if manifest.as_of is None or as_of < manifest.as_of:
        return False
    return as_of == manifest.as_of or count_statuses(published)["pending"] == 0


def _audit(version: BaseVersion) -> Counter[str]:
    """Reads the version back; AuditError if rows are missing or a session has no status."""
    check_parts(version.folder, version.manifest)
    statuses = count_statuses(version)
    unknown = set(statuses) - set(STATUSES)
    if unknown or sum(statuses.values()) != version.manifest.rows:
        raise AuditError(f"{version.folder.location}: {version.manifest.rows} rows, statuses {dict(statuses)}")
    return statuses
