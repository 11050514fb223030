"""What a session's keystrokes become: put together, counted, made readable; and what was asked for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from loglake_dagster.engines.sessions import materialize_sessions, read_sessions
from loglake_dagster.lake.partition import ONE_DAY
from loglake_dagster_tests.engines.made_lake import made_lake
from loglake_dagster_tests.made import DAY, compact
from loglake_dagster_tests.sessions.made_sessions import SHELL, TARGET, land, logged, start, streamed, utc

NOON = utc("2026-03-02T12:00:00")
Row = dict[str, Any]


def made(folder: Path, started: Sequence[Any], typed: Sequence[bytes]) -> list[Row]:
    lake = made_lake(folder)
    land(lake, folder, started, typed)
    materialize_sessions(lake, DAY, NOON)
    return read_sessions(lake, DAY)


def test_a_session_says_how_often_it_was_resumed_on_its_day_and_the_next(tmp_path: Path) -> None:
    name = "ana-0aaaaaaaaaaaaaaa1"
    lake = made_lake(tmp_path)
    resumed = [start(name, f"2026-03-02T1{n}:00:00", eventName="ResumeSession") for n in range(2)]
    land(lake, tmp_path, [start(name), start("bob-0aaaaaaaaaaaaaaa2"), *resumed], [])
    land(lake, tmp_path, [start(name, "2026-03-03T01:00:00", eventName="ResumeSession")], day=DAY + ONE_DAY)
    materialize_sessions(lake, DAY, NOON)
    assert {row["sessionowner"]: row["resumes"] for row in read_sessions(lake, DAY)} == {"ana": 3, "bob": 0}


def test_chunks_that_share_their_text_are_counted_and_all_are_kept(tmp_path: Path) -> None:
    """A failed put is retried with the same lines, a new time and a new id: nobody can tell it from typing twice."""
    name = "ana-0aaaaaaaaaaaaaaa1"
    texts = [["$ ls", "a"], ["$ ls", "a"], ["$ pwd"], ["$ ls", "a"], ["$ pwd"]]
    typed = [streamed(name, f"2026-03-02T09:0{n}:00", lines) for n, lines in enumerate(texts)]
    (row,) = made(tmp_path, [start(name)], typed)
    assert (row["chunks"], row["repeated_chunks"]) == (5, 3)
    assert row["sessiondata"] == "$ ls\na\n$ ls\na\n$ pwd\n$ ls\na\n$ pwd"


def test_the_transcript_is_what_a_reader_would_have_seen_and_sessiondata_stays(tmp_path: Path) -> None:
    name = "ana-0aaaaaaaaaaaaaaa1"
    lines = ["\x1b]0;ssm-user@ip-10-0-0-1:~\x07$ lss\b \b", "\x1b[31mred\x1b[0m", " 10%\r 99%\rdone"]
    (row,) = made(tmp_path, [start(name)], [streamed(name, "2026-03-02T09:00:00", lines)])
    assert row["sessiondata"] == "\n".join(lines)
    assert row["transcript"] == "$ ls\nred\ndone"


def test_a_plain_upload_of_several_events_is_one_transcript_in_their_order(tmp_path: Path) -> None:
    name = "ecs-execute-command-794nnsxobsg4p2hiur6gxu9a9e"
    time = "2026-03-02T09:05:00"
    upload = logged(name, (time, "Script started on Mon\n# id"), (time, "uid=0"), (time, "Script done on Mon"))
    (row,) = made(tmp_path, [start(name)], [upload])
    assert (row["keystroke_status"], row["chunks"], row["lines"]) == ("captured", 3, 4)
    assert row["sessiondata"] == "Script started on Mon\n# id\nuid=0\nScript done on Mon"


@pytest.mark.parametrize("turned", [False, True])
def test_the_order_of_deliveries_does_not_change_a_session(tmp_path: Path, turned: bool) -> None:
    name = "ana-0aaaaaaaaaaaaaaa1"
    typed = [streamed(name, f"2026-03-02T09:0{n}:00", [f"$ {n}"]) for n in range(4)]
    (row,) = made(tmp_path, [start(name)], typed[::-1] if turned else typed)
    assert row["sessiondata"] == "$ 0\n$ 1\n$ 2\n$ 3"


def test_a_number_that_no_reader_can_hold_hides_nothing(tmp_path: Path) -> None:
    asked = f'{{"target":"{TARGET}","documentName":"{SHELL}","reason":"why","parameters":{{"n":[1e400]}}}}'
    record = compact(start("ana-0aaaaaaaaaaaaaaa1", requestParameters="ASKED")).replace(b'"ASKED"', asked.encode())
    (row,) = made(tmp_path, [record], [])
    assert (row["target"], row["documentname"], row["reason"]) == (TARGET, SHELL, "why")
    assert row["parameters"] == '{"n":[1e400]}'
