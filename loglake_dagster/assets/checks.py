"""Check results: a day's coverage, which opens or shuts the gate, and the share of sessions with keystrokes."""

import dagster as dg

from loglake_dagster.assets.metadata import coverage_metadata
from loglake_dagster.engines.readready import ReadreadyResult, refusal
from loglake_dagster.engines.sessions import SessionsResult

COVERAGE, CAPTURED = "coverage", "captured"


def coverage_result(key: dg.AssetKey, result: ReadreadyResult) -> dg.AssetCheckResult:
    """Red and blocking when less than the threshold of the source's events landed."""
    coverage = result.coverage
    said = f"landed {coverage.landed} of {coverage.expected} source events ({coverage.ratio:.2%}), "
    said += f"{len(coverage.missing)} objects missing or damaged"
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=COVERAGE,
        passed=result.is_published,
        severity=dg.AssetCheckSeverity.ERROR,
        description=said if result.is_published else refusal(result),
        metadata=coverage_metadata(coverage, result.threshold),
    )


def captured_result(key: dg.AssetKey, result: SessionsResult, threshold: float) -> dg.AssetCheckResult:
    """A warning when sessions that should have been logged have no keystrokes. It blocks nothing: the table says so."""
    statuses = result.statuses
    due = statuses["captured"] + statuses["missing"]
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=CAPTURED,
        passed=result.captured_share >= threshold,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{statuses['captured']} of {due} sessions that should have keystrokes have them, "
        f"{statuses['pending']} pending, {statuses['orphan']} orphans",
        metadata={"captured_share": result.captured_share, "threshold": threshold, **statuses},
    )
