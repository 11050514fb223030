"""Results as Dagster metadata: what the web UI shows of a table, a day and a check."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg
import pyarrow as pa

from loglake_dagster.engines.raw import RawResult
from loglake_dagster.engines.readready import ReadreadyResult
from loglake_dagster.engines.sessions import SessionsResult
from loglake_dagster.kernels.coverage import Coverage
from loglake_dagster.kernels.safe_text import CELL, markdown_table
from loglake_dagster.lake.schema import Table

SHOWN_ROWS = 50
# More than the longest URI: an object's name is at its end, and it is there to be copied.
URI_LENGTH = 4000
PREVIEW_COLUMNS = (
    "eventtime", "keystroke_status", "sessionowner", "useridentity_arn", "recipientaccountid", "awsregion", "target",
    "reason", "lines", "errorcode",
)  # fmt: skip


def table_metadata(table: Table) -> dict[str, Any]:
    """A table's columns with types, sentences and constraints, for the asset's own page."""
    columns = [
        dg.TableColumn(
            name=column.name,
            type=column.hive_type,
            description=f"{column.doc} ({column.unit})" if column.unit else column.doc,
            constraints=dg.TableColumnConstraints(nullable=column.nullable),
        )
        for column in (*table.columns, *table.partition_columns)
    ]
    return {"dagster/column_schema": dg.TableSchema(columns=columns)}


def raw_metadata(result: RawResult) -> dict[str, Any]:
    """Files and bytes by account and region, what was passed over and why."""
    rows: list[tuple[object, ...]] = [(r.account, r.region, r.files, r.bytes) for r in result.rows]
    warned = {"warning": "; ".join(result.warnings)} if result.warnings else {}
    return {
        **warned,
        "files": result.files,
        "bytes": result.bytes,
        "partitions": result.partitions,
        "new_partitions": result.new_partitions,
        "delivered": _table(("account", "region", "files", "bytes"), rows),
        "ignored": _table(("reason", "keys"), sorted(result.ignored.items())),
        "refused_by_controls": _table(("control", "keys"), sorted(result.refused.items())),
    }


def readready_metadata(result: ReadreadyResult, rejects: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """In the order in which the UI shows it: rows and how whole they are, the account of every record and the first
    rejects, where the version lies, how fast it went."""
    manifest, totals = result.manifest, result.manifest.totals
    rate = round(sum_found(result) / result.seconds) if result.seconds else 0
    return {
        "dagster/partition_row_count": manifest.rows,
        **coverage_metadata(result.coverage, result.threshold),
        "account": account_table(result),
        "rejected": totals.rejected,
        "first_rejects": rejects_table(rejects),
        "lateness": lateness_table(result),
        "late_events": late_table(result),
        "objects": totals.objects,
        "objects_read": result.objects_read,
        "recounted_objects": result.audit.recounted,
        "not_recounted_objects": result.audit.not_recounted,
        "dagster/uri": result.location,
        "version": manifest.version,
        "is_new_version": result.is_new,
        "content_hash": manifest.content_hash,
        "bytes": manifest.bytes,
        "parts": len(manifest.parts),
        "seconds": round(result.seconds, 2),
        "events_per_second": rate,
    }


def sum_found(result: ReadreadyResult) -> int:
    """Events found by this run; 0 when there was nothing new to read."""
    return result.manifest.totals.found if result.is_new else 0


def account_table(result: ReadreadyResult) -> dg.MarkdownMetadataValue:
    """found = landed + duplicate + filtered + other_day + rejected."""
    totals = result.manifest.totals
    names = ("found", "landed", "duplicate", "filtered", "other_day", "rejected", "unreadable", "partly_read")
    return _table(names, [tuple(getattr(totals, name) for name in names)])


def lateness_table(result: ReadreadyResult) -> dg.MarkdownMetadataValue:
    """A histogram: the day's events by how long after them the object's name says it was delivered."""
    return _table(("delivered within", "events"), [(name, count) for name, count in result.lateness.items() if count])


def late_table(result: ReadreadyResult) -> dg.MarkdownMetadataValue:
    """Events of other days that came after those days' windows."""
    rows = [(day, events, "asked for again") for day, events in result.late.noted.items()]
    rows += [(day, events, "older than the horizon: in no table") for day, events in result.late.beyond.items()]
    return _table(("day", "events", "then"), sorted(rows))


def rejects_table(rejects: Sequence[Mapping[str, Any]]) -> dg.MarkdownMetadataValue:
    """Where and why, without the records: what somebody typed has no place in Dagster's own history."""
    names = ("object", "ordinal", "path", "expected", "got", "eventday")
    return _table(names, [tuple(one[name] for name in names) for one in rejects], URI_LENGTH)


def coverage_metadata(coverage: Coverage, threshold: float) -> dict[str, Any]:
    """What a person needs to act on: the gap by account and region, and the objects that are missing, by name."""
    rows: list[tuple[object, ...]] = [
        (r.account, r.region, r.landed, r.expected, r.gap, f"{r.coverage:.2%}") for r in coverage.rows[:SHOWN_ROWS]
    ]
    missing: list[tuple[object, ...]] = [
        (m.uri, m.reason, m.estimated, "estimated" if m.is_estimate else "counted", m.bytes)
        for m in coverage.missing[:SHOWN_ROWS]
    ]
    return {
        "coverage": coverage.ratio,
        "threshold": threshold,
        "landed": coverage.landed,
        "expected": coverage.expected,
        "gap": coverage.gap,
        "by_account_and_region": _table(("account", "region", "landed", "expected", "gap", "coverage"), rows),
        "missing_objects": _table(("object", "reason", "events", "how known", "bytes"), missing, URI_LENGTH),
    }


def sessions_metadata(result: SessionsResult, preview: pa.Table) -> dict[str, Any]:
    """Sessions by status, where the version lies, what it was joined from, and the first rows without transcripts."""
    manifest = result.manifest
    rows = [tuple(_shown(row[name]) for name in PREVIEW_COLUMNS) for row in preview.to_pylist()]
    return {
        "dagster/partition_row_count": manifest.rows,
        **result.statuses,
        "captured_share": result.captured_share,
        "as_of": manifest.as_of.isoformat() if manifest.as_of else "",
        "first_sessions": _table(PREVIEW_COLUMNS, rows),
        "joined_from": _table(("input", "version"), sorted(manifest.inputs.items())),
        "not_published_neighbours": ", ".join(result.absent) or "none",
        "dagster/uri": result.location,
        "version": manifest.version,
        "is_new_version": result.is_new,
        "content_hash": manifest.content_hash,
        "bytes": manifest.bytes,
    }


def _shown(value: object) -> object:
    return value.isoformat(" ") if isinstance(value, dt.datetime) else "" if value is None else value


def _table(header: tuple[str, ...], rows: Iterable[tuple[object, ...]], limit: int = CELL) -> dg.MarkdownMetadataValue:
    return dg.MetadataValue.md(markdown_table(header, list(rows), limit))
