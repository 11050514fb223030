"""Uploads at the end of a session (docs/formats.md 3.5): however they are cut, a session has one transcript."""

import os
from pathlib import Path
from typing import Any

import pytest

from loglake_dagster.engines.lake import Lake
from loglake_dagster.engines.late import stale_sessions
from loglake_dagster.engines.readready import materialize_readready
from loglake_dagster.engines.sessions import materialize_sessions, read_sessions
from loglake_dagster.lake.partition import ONE_DAY
from loglake_dagster.lake.settings import Feed
from loglake_dagster.sources import cloudwatch, ssm_s3
from loglake_dagster_tests.engines.deliveries import REGION, put
from loglake_dagster_tests.engines.made_lake import made_lake
from loglake_dagster_tests.made import ACCOUNT, DAY
from loglake_dagster_tests.sessions.made_sessions import land, logged, start, stored, streamed, utc

NOON = utc("2026-03-02T12:00:00")
ANA = "ana@example.com-t59j8gpq2ta8hniozstbnphqs8"
ECS = "ecs-execute-command-794nnsxobsg4p2hiur6gxu9a9e"
TEXT = "Script started on 2026-03-02 09:00:05+00:00\n# ls\nbin\tetc\n\nScript done on 2026-03-02 09:05:00+00:00"


# -- to CloudWatch Logs ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [ANA, ECS])
def test_a_plain_upload_cut_into_several_events_is_one_transcript(tmp_path: Path, name: str) -> None:
    """Whole lines are packed into each event, the last newline of an event is cut off: also in one millisecond, and
    where the events came in several documents."""
    lines, at = TEXT.split("\n"), "2026-03-02T09:05:01.250"
    events = [(at, "\n".join(lines[:2])), (at, "\n".join(lines[2:4])), (f"{at[:-3]}900", lines[4])]
    (row,) = joined(tmp_path, [start(name)], [logged(name, *events[:2]), logged(name, events[2])])
    assert (row["keystroke_status"], row["chunks"], row["repeated_chunks"]) == ("captured", 3, 0)
    assert (row["sessiondata"], row["lines"]) == (TEXT, 5)
    assert (row["first_output_time"], row["last_output_time"]) == (stored(at), stored(f"{at[:-3]}900"))


def test_an_upload_beside_what_was_streamed_belongs_to_another_session(tmp_path: Path) -> None:
    """Command sessions upload into the log group that shells stream to."""
    typed = [streamed(ANA, "2026-03-02T09:01:00", ["$ ls"]), logged(ECS, ("2026-03-02T09:05:01", TEXT))]
    rows = joined(tmp_path, [start(ANA), start(ECS, "2026-03-02T09:00:01")], typed)
    assert [(row["sessionowner"], row["sessiondata"]) for row in rows] == [
        ("ana@example.com", "$ ls"),
        ("ecs-execute-command", TEXT),
    ]


def joined(folder: Path, started: list[Any], typed: list[bytes]) -> list[dict[str, Any]]:
    """The sessions of the day."""
    lake = made_lake(folder)
    land(lake, folder, started, typed)
    materialize_sessions(lake, DAY, NOON)
    return read_sessions(lake, DAY)


# -- to S3 ----------------------------------------------------------------------------------------------

CRLF = TEXT.replace("\n", "\r\n") + "\r\n"


def fed_lake(folder: Path) -> Lake:
    lake = made_lake(folder)
    feed = Feed("uploads", ssm_s3.SOURCE.name, str(folder / "uploads"), account=ACCOUNT, region=REGION)
    return made_lake(folder, feeds=[*lake.settings.feeds, feed])


def upload(folder: Path, name: str, at: str, text: str = CRLF, prefix: str = "") -> None:
    path = put(folder / "uploads" / f"{prefix}{name}.log", text.encode())
    os.utime(path, (utc(at).timestamp(),) * 2)


def land_uploads(lake: Lake, *days: Any) -> None:
    for day in days:
        materialize_readready(lake, ssm_s3.SOURCE, day).raise_if_refused()


def sessions_of(lake: Lake) -> list[dict[str, Any]]:
    materialize_sessions(lake, DAY, NOON)
    return read_sessions(lake, DAY)


@pytest.mark.parametrize("at", ["2026-03-02T09:05:01.250", "2026-03-03T00:05:01.250"])
def test_an_upload_is_the_transcript_of_a_session_of_which_cloudwatch_has_nothing(tmp_path: Path, at: str) -> None:
    lake = fed_lake(tmp_path)
    upload(tmp_path, ANA, at)
    land(lake, tmp_path, [start(ANA)])
    land_uploads(lake, DAY, DAY + ONE_DAY)
    (row,) = sessions_of(lake)
    assert (row["keystroke_status"], row["chunks"], row["sessiondata"]) == ("captured", 1, CRLF)
    assert (row["first_output_time"], row["last_output_time"]) == (stored(at), stored(at))
    assert (row["loggroup"], row["logstream"], row["runasuser"]) == (None, None, None)
    assert row["transcript"] == TEXT.replace("\t", "     ")


@pytest.mark.parametrize("typed_at", ["2026-03-02T09:01:00", "2026-03-03T00:01:00"])
@pytest.mark.parametrize("uploaded_at", ["2026-03-02T09:05:01", "2026-03-03T00:05:01"])
def test_of_what_was_streamed_and_uploaded_the_stream_alone_counts(
    tmp_path: Path, typed_at: str, uploaded_at: str
) -> None:
    lake = fed_lake(tmp_path)
    upload(tmp_path, ANA, uploaded_at)
    upload(tmp_path, ECS, uploaded_at)
    land(lake, tmp_path, [start(ANA), start(ECS, "2026-03-02T09:00:01")])
    land(lake, tmp_path, [], [streamed(ANA, typed_at, ["$ ls"])], DAY if "-02T" in typed_at else DAY + ONE_DAY)
    land_uploads(lake, DAY, DAY + ONE_DAY)
    ana, ecs = sessions_of(lake)
    assert (ana["keystroke_status"], ana["chunks"], ana["sessiondata"]) == ("captured", 1, "$ ls")
    assert (ecs["keystroke_status"], ecs["sessiondata"]) == ("captured", CRLF)


def test_an_upload_without_a_startsession_is_an_orphan_of_the_day_of_its_upload(tmp_path: Path) -> None:
    lake = fed_lake(tmp_path)
    upload(tmp_path, "ghost-0aaaaaaaaaaaaaaa8", "2026-03-02T07:00:00")
    upload(tmp_path, "morrow-0aaaaaaaaaaaaaaa9", "2026-03-03T07:00:00")
    land(lake, tmp_path)
    land_uploads(lake, DAY, DAY + ONE_DAY)
    (row,) = sessions_of(lake)
    assert (row["sessionowner"], row["keystroke_status"]) == ("ghost", "orphan")
    assert (row["recipientaccountid"], row["awsregion"], row["eventtime"]) == (
        ACCOUNT,
        REGION,
        stored("2026-03-02T07:00:00"),
    )


def test_two_uploads_of_a_session_are_both_kept_and_counted(tmp_path: Path) -> None:
    lake = fed_lake(tmp_path)
    upload(tmp_path, ANA, "2026-03-02T09:05:01", "one\n", "a/")
    upload(tmp_path, ANA, "2026-03-02T09:05:02", "one\n", "b/")
    upload(tmp_path, ANA, "2026-03-02T09:05:03", "two\n", "c/")
    land(lake, tmp_path, [start(ANA)])
    land_uploads(lake, DAY)
    (row,) = sessions_of(lake)
    assert (row["chunks"], row["sessiondata"]) == (2, "one\n\ntwo\n")


def test_uploads_are_an_input_that_may_be_missing_and_makes_the_day_stale_when_it_comes(tmp_path: Path) -> None:
    lake = fed_lake(tmp_path)
    upload(tmp_path, ANA, "2026-03-02T09:05:01")
    land(lake, tmp_path, [start(ANA)])
    before = materialize_sessions(lake, DAY, NOON)
    assert before.statuses["missing"] == 1
    assert before.absent[-2:] == ("from_ssm_s3_readready 2026-03-02", "from_ssm_s3_readready 2026-03-03")
    assert stale_sessions(lake) == []
    land_uploads(lake, DAY)
    assert [version.day for version in stale_sessions(lake)] == [DAY]
    after = materialize_sessions(lake, DAY, NOON)
    assert after.statuses["captured"] == 1
    assert {*after.manifest.inputs} - {*before.manifest.inputs} == {"uploaded"}


def test_a_lake_without_that_feed_joins_as_if_there_were_no_such_source(tmp_path: Path) -> None:
    lake = made_lake(tmp_path)
    land(lake, tmp_path, [start(ANA)], [streamed(ANA, "2026-03-02T09:01:00", ["$ ls"])])
    result = materialize_sessions(lake, DAY, NOON)
    assert not any("ssm_s3" in name for name in result.absent)
    assert not {"uploaded", "uploaded_after"} & {*result.manifest.inputs}
    assert cloudwatch.TABLE.name in str(result.absent)


def test_a_text_that_was_uploaded_again_is_there_once(tmp_path: Path) -> None:
    lake = fed_lake(tmp_path)
    upload(tmp_path, ANA, "2026-03-02T09:05:01")
    upload(tmp_path, ANA, "2026-03-03T09:05:01", prefix="copied/")
    land(lake, tmp_path, [start(ANA)])
    land_uploads(lake, DAY)
    land_uploads(lake, DAY + ONE_DAY)
    materialize_sessions(lake, DAY, NOON)
    (row,) = read_sessions(lake, DAY)
    assert (row["chunks"], row["sessiondata"]) == (1, CRLF)


def test_a_log_event_without_text_does_not_hide_the_upload(tmp_path: Path) -> None:
    lake = fed_lake(tmp_path)
    upload(tmp_path, ANA, "2026-03-02T09:05:01")
    land(lake, tmp_path, [start(ANA)], [streamed(ANA, "2026-03-02T09:01:00", None)])
    land_uploads(lake, DAY)
    materialize_sessions(lake, DAY, NOON)
    (row,) = read_sessions(lake, DAY)
    assert row["keystroke_status"] == "captured"
    assert "Script started on" in row["sessiondata"]
