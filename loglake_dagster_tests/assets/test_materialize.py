"""Materialising through Dagster: what is recorded for a day, and a gate that holds inside a run and across runs."""

import time

import dagster as dg
import pytest

from loglake_dagster_tests.assets.sample import (
    ASSETS,
    CLOUDTRAIL,
    CLOUDWATCH,
    DAY,
    LANDING,
    NEXT_DAY,
    RAW,
    READREADY,
    damage,
    values,
)

ACCOUNT = "218007301253"
STATUSES = {"captured": 5, "pending": 1, "missing": 1, "not_loggable": 2, "not_started": 2, "orphan": 1}
# Shares of the sample's bytes. The gate shuts when less than 90 % of the events land.
A_LITTLE, A_LOT = 0.07, 0.30


def failure_of(result, step):
    """(the words of a step's failure, whether it is one of ours raised on purpose)."""
    (event,) = [event for event in result.all_events if event.is_step_failure and event.step_key == step]
    data = event.step_failure_data
    if data.user_failure_data is not None:
        return data.user_failure_data.description
    return data.error.cause.message.strip()


def nonce(file):
    """The part of a file's name that is its own, and that no escaping changes."""
    return file.name.removesuffix(".json.gz").rpartition("_")[2]


def ran(result):
    """The steps that were started."""
    return {event.step_key for event in result.all_events if event.is_step_start}


def test_a_day_is_recorded_with_what_the_ui_shows(whole):
    project, result = whole
    for table in ASSETS:
        assert str(DAY) in project.materialized_days(table)
    trail, keystrokes, sessions = (values(result, table) for table in (CLOUDTRAIL, CLOUDWATCH, "sessions"))
    assert (trail["dagster/partition_row_count"], keystrokes["dagster/partition_row_count"]) == (2915, 11)
    assert (trail["landed"], trail["expected"], trail["gap"]) == (2917, 2919, 2)
    assert trail["coverage"] == 2917 / 2919
    assert trail["threshold"] == 0.9
    assert trail["objects"] == trail["objects_read"] == 69
    assert trail["recounted_objects"] == 20
    assert trail["is_new_version"] is True
    assert (trail["parts"], trail["bytes"] > 100_000) == (1, True)
    assert trail["events_per_second"] > 0
    assert trail["by_account_and_region"] == (
        "| account | region | landed | expected | gap | coverage |\n| --- | --- | --- | --- | --- | --- |\n"
        f"| {ACCOUNT} | us-east-1 | 2917 | 2919 | 2 | 99.93% |"
    )
    assert trail["account"].endswith("| 2919 | 2915 | 2 | 0 | 0 | 2 | 0 | 0 |")
    assert "Made22f56333ffdc.json.gz | 2 rejected | 2 | counted | 837 |" in trail["missing_objects"]
    assert {name: sessions[name] for name in STATUSES} == STATUSES
    assert sessions["captured_share"] == 5 / 6
    assert sessions["as_of"] == "2023-07-11T00:30:00+00:00"
    assert sessions["not_published_neighbours"] == f"{CLOUDTRAIL} 2023-07-09"
    assert len(sessions["first_sessions"].splitlines()) == 2 + 10
    assert "| mia.keller@example.com | arn:aws:sts::218007301253:assumed-role/" in sessions["first_sessions"]


def test_where_a_version_lies_is_where_the_catalog_points(whole):
    project, result = whole
    for table in (CLOUDTRAIL, CLOUDWATCH, "sessions"):
        shown, published = values(result, table), project.lake.catalog.published(table, DAY)
        assert (shown["dagster/uri"], shown["version"]) == (published.location, published.version)
        assert shown["content_hash"] == published.facts["content_hash"]


def test_raw_registers_each_folder_once_and_counts_files(project):
    raw = values(project.run(DAY, "from_cloudtrail_raw"), "from_cloudtrail_raw")
    assert (raw["files"], raw["partitions"], raw["new_partitions"]) == (68, 1, 1)
    assert raw["delivered"].endswith(f"| {ACCOUNT} | us-east-1 | 68 | {raw['bytes']} |")
    assert (raw["ignored"], raw["refused_by_controls"]) == ("none", "none")
    again = values(project.run(DAY, "from_cloudtrail_raw"), "from_cloudtrail_raw")
    assert (again["partitions"], again["new_partitions"]) == (1, 0)


def test_checks_are_of_their_day_and_of_their_materialization(whole):
    project, result = whole
    assert project.checks(CLOUDTRAIL) == [("2023-07-10", "SUCCEEDED")]
    assert project.checks(CLOUDWATCH) == [("2023-07-11", "SUCCEEDED"), ("2023-07-10", "SUCCEEDED")]
    evaluations = {one.asset_key.to_user_string(): one for one in result.get_asset_check_evaluations()}
    trail = evaluations[CLOUDTRAIL]
    assert trail.severity == dg.AssetCheckSeverity.ERROR
    assert trail.description == "landed 2917 of 2919 source events (99.93%), 1 objects missing or damaged"
    assert trail.metadata["coverage"].value == 2917 / 2919
    assert trail.target_materialization_data.run_id == result.run_id


def test_too_few_keystrokes_are_a_warning_that_blocks_nothing(whole):
    project, result = whole
    (captured,) = [one for one in result.get_asset_check_evaluations() if one.check_name == "captured"]
    assert (captured.passed, captured.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert captured.description == "5 of 6 sessions that should have keystrokes have them, 1 pending, 1 orphans"
    assert project.checks("sessions", "captured") == [("2023-07-10", "FAILED")]
    assert captured.metadata["captured_share"].value == 5 / 6


def test_a_second_run_reads_nothing_and_publishes_nothing(project):
    first, second = project.run(DAY), project.run(DAY)
    for table in (CLOUDTRAIL, CLOUDWATCH):
        before, after = values(first, table), values(second, table)
        assert (after["objects_read"], after["is_new_version"], after["events_per_second"]) == (0, False, 0)
        assert after["version"] == before["version"]
        assert after["content_hash"] == before["content_hash"]
    assert values(second, "sessions")["version"] == values(first, "sessions")["version"]
    assert project.checks(CLOUDTRAIL) == [("2023-07-10", "SUCCEEDED")] * 2


def test_several_days_are_recorded_each_for_itself(project):
    for day in (DAY, NEXT_DAY):
        assert project.run(day, *RAW, *READREADY).success
    for day in (DAY, NEXT_DAY):
        assert project.run(day, "sessions").success
    assert project.materialized_days("sessions") == {"2023-07-10", "2023-07-11"}
    assert project.checks(CLOUDTRAIL) == [("2023-07-10", "SUCCEEDED"), ("2023-07-11", "SUCCEEDED")]
    assert project.lake.published("sessions", NEXT_DAY).manifest.rows == 0
    inputs = project.lake.published("sessions", NEXT_DAY).manifest.inputs
    assert inputs["started_before"] == project.published(CLOUDTRAIL, DAY)


def test_a_day_of_which_the_source_holds_nothing_is_a_day_with_no_rows(project):
    result = project.run("2023-06-01")
    assert result.success
    assert values(result, CLOUDTRAIL)["dagster/partition_row_count"] == 0
    assert values(result, "sessions")["dagster/partition_row_count"] == 0
    assert project.checks(CLOUDTRAIL) == [("2023-06-01", "SUCCEEDED")]


def test_files_under_the_threshold_shut_the_gate(project):
    damaged = damage(project.trail, A_LOT)
    result = project.run(DAY)
    assert not result.success
    words = failure_of(result, CLOUDTRAIL)
    assert words.startswith(f"{CLOUDTRAIL} 2023-07-10: landed ")
    assert "at least 90% are asked for; not published, readers see nothing of the day. Missing most: file://" in words
    assert damaged[0].name in words
    # Red for its own day, seen by everything that asks Dagster and by the audit's own words.
    assert project.checks(CLOUDTRAIL) == [("2023-07-10", "FAILED")]
    (check,) = [one for one in result.get_asset_check_evaluations() if one.asset_key == dg.AssetKey(CLOUDTRAIL)]
    assert (check.passed, check.severity, check.description) == (False, dg.AssetCheckSeverity.ERROR, words)
    assert nonce(damaged[0]) in check.metadata["missing_objects"].value
    # Nothing of it is published, and nothing is made from it.
    assert project.materialized_days(CLOUDTRAIL) == set()
    assert project.published(CLOUDTRAIL) is None
    assert "sessions" not in ran(result)
    assert project.published("sessions") is None
    # What does not hang on it goes on.
    assert project.materialized_days(CLOUDWATCH) == {"2023-07-10"}
    assert project.checks(CLOUDWATCH) == [("2023-07-10", "SUCCEEDED")]


def test_a_run_of_its_own_does_not_get_past_a_shut_gate(project):
    damage(project.trail, A_LOT)
    project.run(DAY)
    result = project.run(DAY, "sessions")
    assert not result.success
    assert f"sessions 2023-07-10: {CLOUDTRAIL} has no published version of that day" in failure_of(result, "sessions")
    assert project.materialized_days("sessions") == set()
    assert project.published("sessions") is None


def test_readers_keep_the_version_before_when_the_gate_shuts(project):
    assert project.run(DAY).success
    before = {table: project.published(table) for table in (CLOUDTRAIL, CLOUDWATCH, "sessions")}
    rows = project.lake.published(CLOUDTRAIL, DAY).manifest.rows
    # Many files arrive that cannot be read.
    for file in sorted(project.trail.rglob("*.json.gz")):
        file.with_name(file.name.replace(".json.gz", "")[:-4] + "late.json.gz").write_bytes(b"\0" * file.stat().st_size)
    result = project.run(DAY)
    assert not result.success
    assert f"not published, readers keep version {before[CLOUDTRAIL]}. Missing most: " in failure_of(result, CLOUDTRAIL)
    assert {table: project.published(table) for table in before} == before
    assert project.lake.published(CLOUDTRAIL, DAY).manifest.rows == rows
    assert project.checks(CLOUDTRAIL) == [("2023-07-10", "SUCCEEDED"), ("2023-07-10", "FAILED")]
    # The sessions of the version that readers see can still be joined by a run of their own.
    assert project.run(DAY, "sessions").success


def test_a_gap_above_the_threshold_passes_and_is_named(project):
    damaged = damage(project.trail, A_LITTLE)
    result = project.run(DAY)
    assert result.success
    shown = values(result, CLOUDTRAIL)
    assert 0.90 <= shown["coverage"] < 0.95
    assert shown["gap"] == shown["expected"] - shown["landed"] > 100
    for file in damaged[:40]:
        assert nonce(file) in shown["missing_objects"]
    assert (
        f"| {ACCOUNT} | us-east-1 | {shown['landed']} | {shown['expected']} | {shown['gap']} |"
        in shown["by_account_and_region"]
    )
    assert project.checks(CLOUDTRAIL) == [("2023-07-10", "SUCCEEDED")]


def test_mended_files_open_the_gate_again(project):
    damaged = damage(project.trail, A_LOT)
    assert not project.run(DAY).success
    for file in damaged:
        file.write_bytes((LANDING / "trail" / file.relative_to(project.trail)).read_bytes())
    result = project.run(DAY)
    assert result.success
    assert values(result, CLOUDTRAIL)["dagster/partition_row_count"] == 2915
    assert project.checks(CLOUDTRAIL) == [("2023-07-10", "FAILED"), ("2023-07-10", "SUCCEEDED")]


def test_the_threshold_is_read_anew_in_every_run(project):
    damage(project.trail, A_LOT)
    assert not project.run(DAY).success
    file = project.folder / "loglake.yaml"
    file.write_text(file.read_text() + "quality: {coverage: 0.5}\n")
    result = project.run(DAY)
    assert result.success
    assert values(result, CLOUDTRAIL)["threshold"] == 0.5


def test_a_wrong_settings_file_fails_the_run_with_its_one_line(project):
    file = project.folder / "loglake.yaml"
    file.write_text(file.read_text() + "quality: {coverage: 90}\n")
    words = failure_of(project.run(DAY, "from_cloudtrail_raw"), "from_cloudtrail_raw")
    assert words.endswith(f"{file}:7: quality.coverage: expected at most 1, got 90")


@pytest.mark.parametrize(
    ("as_of", "pending", "missing"),
    [
        ("2023-07-11T00:30:00Z", 1, 1),
        ("2023-07-11T02:30:00+02:00", 1, 1),
        ("2023-07-11T00:30:00", 1, 1),  # without a zone it is UTC, wherever the machine stands
        ("2023-07-12T00:00:00Z", 0, 2),
    ],
)
def test_pending_is_judged_by_the_moment_that_the_run_is_given(project, monkeypatch, as_of, pending, missing):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert project.run(DAY, *READREADY).success
        shown = values(project.run(DAY, "sessions", as_of=as_of), "sessions")
    finally:
        monkeypatch.undo()
        time.tzset()
    assert (shown["pending"], shown["missing"]) == (pending, missing)


def test_a_moment_that_is_none_is_an_error_that_says_what_one_is(project):
    project.run(DAY, *READREADY)
    words = failure_of(project.run(DAY, "sessions", as_of="yesterday"), "sessions")
    assert words.endswith("as_of: expected an ISO-8601 time such as 2026-11-02T00:30:00Z, got 'yesterday'")


def test_a_controls_emergency_deny_needs_no_deploy(project):
    assert project.run(DAY, CLOUDTRAIL).success
    file = project.folder / "loglake.yaml"
    file.write_text(file.read_text() + f'controls: {{accounts: {{deny: ["{ACCOUNT}"]}}}}\n')
    result = project.run(DAY, "from_cloudtrail_raw", CLOUDTRAIL)
    assert result.success
    assert values(result, CLOUDTRAIL)["dagster/partition_row_count"] == 0
    assert values(result, "from_cloudtrail_raw")["refused_by_controls"].endswith("| accounts | 1 |")


def test_rejects_are_counted_and_the_first_are_shown_without_their_records(whole):
    _project, result = whole
    trail, keystrokes = values(result, CLOUDTRAIL), values(result, CLOUDWATCH)
    assert (trail["rejected"], keystrokes["rejected"]) == (2, 0)
    assert keystrokes["first_rejects"] == "none"
    header, _line, first, second = trail["first_rejects"].splitlines()
    assert header == "| object | ordinal | path | expected | got | eventday |"
    assert first.endswith("Made22f56333ffdc.json.gz | 1 | $ | a JSON object | int &#39;42&#39; |  |")
    assert second.endswith(".json.gz | 2 | $.eventTime | an ISO-8601 time | nothing &#40;missing&#41; |  |")


def test_rejects_are_shown_where_the_gate_is_shut(project):
    damage(project.trail, 0.3)
    result = project.run(DAY, CLOUDTRAIL)
    (event,) = [event for event in result.all_events if event.is_step_failure]
    shown = event.step_failure_data.user_failure_data.metadata
    assert shown["rejected"].value == len(shown["first_rejects"].value.splitlines()[2:])
