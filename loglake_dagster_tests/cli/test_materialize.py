"""`loglake materialize`: days brought up to date through Dagster, and failures that are one line and an exit code."""

import json

import pytest

from loglake_dagster_tests.assets.sample import FED, SETTINGS, damage
from loglake_dagster_tests.cli.process import Folder, sample_folder
from loglake_dagster_tests.engines.deliveries import event, trail_file
from loglake_dagster_tests.sessions.made_sessions import start

DAY = "2023-07-10"


def refused(result):
    """The one line of a command that was not begun."""
    assert (result.code, result.out) == (2, "")
    assert "Traceback" not in result.err
    return result.err


def test_a_day_is_brought_up_to_date_with_the_neighbours_that_its_sessions_need(sample):
    result = sample.loglake("materialize", "--day", DAY, "--as-of", "2023-07-11T00:30:00Z", "--json")
    assert (result.code, result.err) == (0, "")
    after, day = json.loads(result.out)
    assert (after["day"], after["success"]) == ("2023-07-11", True)
    assert sorted(after["materialized"]) == ["from_cloudwatch_raw", "from_cloudwatch_readready"]
    assert (day["day"], day["success"]) == (DAY, True)
    assert sorted(day["materialized"]) == sorted(FED)
    trail, sessions = day["materialized"]["from_cloudtrail_readready"], day["materialized"]["sessions"]
    assert (trail["landed"], trail["expected"], trail["objects_read"]) == (2917, 2919, 69)
    assert (sessions["captured"], sessions["pending"], sessions["as_of"]) == (5, 1, "2023-07-11T00:30:00+00:00")
    assert day["warnings"] == [
        "sessions: 5 of 6 sessions that should have keystrokes have them, 1 pending, 1 orphans",
    ]
    assert day["failures"] == []
    # What the UI renders as a table is data for nobody: `status --json` has it as such.
    assert [name for table in day["materialized"].values() for name, v in table.items() if "| --- |" in str(v)] == []
    again = json.loads(sample.loglake("materialize", "--day", DAY, "--json").out)[1]
    assert again["materialized"]["from_cloudtrail_readready"]["objects_read"] == 0
    # Asked without a moment, it is now, and nothing is pending any more.
    assert again["materialized"]["sessions"]["pending"] == 0
    assert again["materialized"]["sessions"]["missing"] == 2


def test_a_range_of_days(sample):
    result = sample.loglake("materialize", "--day", DAY, "--to", "2023-07-12")
    assert (result.code, result.err) == (0, "")
    told = [" ".join(line.split()[:2]) for line in result.lines if not line.split()[1].startswith("warning")]
    days = ["2023-07-10", "2023-07-11", "2023-07-12"]
    # Every day's parts before the first day's sessions: keystrokes go on after midnight.
    assert told == [f"{day} {table}:" for day in days for table in FED[:4]] + [f"{day} sessions:" for day in days]
    status = json.loads(sample.loglake("status", "--json").out)
    assert [one["day"] for one in status if one["table"] == "sessions"] == days


def test_single_tables(sample):
    result = sample.loglake("materialize", "--day", DAY, "--table", "from_cloudwatch_readready")
    assert (result.code, result.err) == (0, "")
    (line,) = result.lines
    assert line.startswith(f"{DAY} from_cloudwatch_readready: 11 rows, coverage 100.00%, 10 objects read, new version ")
    both = ["--table", "from_cloudtrail_raw", "--table", "from_cloudtrail_readready"]
    result = sample.loglake("materialize", "--day", DAY, *both)
    assert [line.split()[1] for line in result.lines] == ["from_cloudtrail_raw:", "from_cloudtrail_readready:"]
    status = json.loads(sample.loglake("status", "--json").out)
    assert [one["table"] for one in status] == ["from_cloudtrail_readready", "from_cloudwatch_readready"]


def test_a_shut_gate_is_exit_code_1_and_says_why(sample):
    worst = damage(sample.path / "landing" / "trail", 0.3)[0].name
    result = sample.loglake("materialize", "--day", DAY)
    assert result.code == 1
    assert "Traceback" not in result.out + result.err
    (line,) = result.err.splitlines()
    assert line.startswith(f"{DAY} FAILED: from_cloudtrail_readready {DAY}: landed ")
    assert "at least 90% are asked for; not published, readers see nothing of the day. Missing most: file://" in line
    assert worst in line
    assert f"{DAY} from_cloudwatch_readready: 11 rows" in result.out
    assert "sessions" not in result.out.replace("aws/ssm/sessionlogs", "")
    assert [one["table"] for one in json.loads(sample.loglake("status", "--json").out)] == [
        "from_cloudwatch_readready",
        "from_cloudwatch_readready",
    ]
    alone = sample.loglake("materialize", "--day", DAY, "--table", "sessions", "--json")
    assert (alone.code, alone.err) == (1, "")
    outcome = json.loads(alone.out)[-1]
    assert (outcome["success"], outcome["materialized"]) == (False, {})
    (words,) = outcome["failures"]
    assert words.startswith(f"sessions {DAY}: from_cloudtrail_readready has no published version of that day;")


def test_one_failed_day_of_a_range_keeps_no_other_from_being_made(sample):
    damage(sample.path / "landing" / "trail", 0.3)
    result = sample.loglake("materialize", "--day", DAY, "--to", "2023-07-11")
    assert result.code == 1
    # The day after is made from what is published: a session of the failed day goes on there, as an orphan.
    assert "2023-07-11 sessions: 1 rows, new version" in result.out
    assert f"{DAY} FAILED: from_cloudtrail_readready" in result.err
    assert f"{DAY} FAILED: sessions {DAY}: from_cloudtrail_readready has no published version" in result.err


def test_our_errors_words_are_told_not_those_of_what_caused_it(sample):
    (sample.path / "lake").mkdir()
    (sample.path / "lake" / "from_cloudwatch_readready").write_text("a file where a folder belongs")
    result = sample.loglake("materialize", "--day", DAY, "--table", "from_cloudwatch_readready")
    assert result.code == 1
    assert result.err == (
        f"{DAY} FAILED: file://{sample.path}/lake/from_cloudwatch_readready/eventday%3D{DAY}/"
        + result.err.partition(f"eventday%3D{DAY}/")[2]
    )
    assert "cannot write: " in result.err
    assert result.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--day", "2022-12-31"], "Error: --day 2022-12-31 --to 2022-12-31: expected days in order, from 2023-01-01 "),
        (["--day", "2999-01-01"], "Error: --day 2999-01-01 --to 2999-01-01: expected days in order, from 2023-01-01 "),
        (["--day", DAY, "--to", "2023-07-09"], "Error: --day 2023-07-10 --to 2023-07-09: expected days in order, "),
        (["--day", DAY, "--table", "nope"], "Error: --table: expected one of from_cloudtrail_raw, "),
        (["--day", "10.7.2023"], "Error: Invalid value for '--day': day: expected YYYY-MM-DD (UTC), got '10.7.2023'"),
        (["--day", DAY, "--as-of", "noon"], "Error: Invalid value for '--as-of': expected an ISO-8601 time such as "),
        ([], "Error: expected --day D, with or without --to and --table; or --late alone"),
        (["--late", "--day", DAY], "Error: expected --day D, with"),
        (["--late", "--table", "sessions"], "Error: expected --day D, with"),
    ],
)
def test_what_cannot_be_asked_for(demo, arguments, message):
    said = refused(demo[0].loglake("materialize", *arguments))
    assert said.splitlines()[-1].startswith(message)


def test_wrong_settings_are_one_line_and_exit_code_2(tmp_path):
    folder = sample_folder(tmp_path, "quality: {coverage: 90}\n")
    for command in (["materialize", "--day", DAY], ["query", "select 1"]):
        line = f"Error: {tmp_path}/loglake.yaml:7: quality.coverage: expected at most 1, got 90\n"
        assert refused(folder.loglake(*command)) == line
    absent = refused(folder.loglake("--config", "absent.yaml", "status"))
    assert absent.startswith(f"Error: {tmp_path}/absent.yaml: no such settings file; write one ")
    assert refused(folder.loglake("status", LOGLAKE_CONFIG="other.yaml")).startswith(
        f"Error: {tmp_path}/other.yaml: no "
    )
    assert not (tmp_path / "lake").exists()


def test_a_feed_that_is_not_there_is_an_error_and_no_empty_day(tmp_path):
    (tmp_path / "loglake.yaml").write_text(SETTINGS)
    said = refused(Folder(tmp_path).loglake("materialize", "--day", DAY))
    assert said == f"Error: {tmp_path}/landing/trail: the feed's folder is not there; mend its uri in the settings\n"


def test_dagsters_folder_may_be_named_relatively(sample):
    result = sample.loglake("materialize", "--day", DAY, "--table", "from_cloudwatch_raw", DAGSTER_HOME="home")
    assert (result.code, result.err) == (0, "")
    assert (sample.path / "home" / "history").is_dir()


def test_a_folder_that_cannot_be_dagsters_is_an_error(sample):
    (sample.path / "home").write_text("a file")
    result = sample.loglake("materialize", "--day", DAY, DAGSTER_HOME="home")
    assert refused(result).startswith(f"Error: {sample.path}/home: cannot be used as DAGSTER_HOME: ")


def test_days_with_late_events_are_brought_up_to_date_by_one_option(sample):
    assert sample.loglake("materialize", "--day", DAY, "--as-of", "2023-07-11T00:30:00Z").code == 0
    late = [event(1, f"{DAY}T09:00:00Z"), start("late-0123456789abcdef0", f"{DAY}T09:01:00")]
    trail_file(sample.path / "landing" / "trail", late, "2023-07-14T09:00")
    assert sample.loglake("materialize", "--day", "2023-07-14", "--table", "from_cloudtrail_readready").code == 0
    assert "1 late object to read" in sample.loglake("status").out
    result = sample.loglake("materialize", "--late")
    assert (result.code, result.err) == (0, "")
    trail, sessions = (line for line in result.lines if "warning" not in line)
    assert trail.startswith(
        f"{DAY} from_cloudtrail_readready: 2,917 rows, coverage 99.93%, 1 objects read, new version"
    )
    assert sessions.startswith(f"{DAY} sessions: 13 rows, new version ")
    again = sample.loglake("materialize", "--late")
    assert (again.code, again.out) == (0, "no late events wait, no sessions have other inputs\n")
    assert "34 later days not run" in sample.loglake("status").out
