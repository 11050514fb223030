"""Uploads at the end of a session (docs/formats.md 3.5): however they are cut, a session has one transcript."""

from pathlib import Path
from typing import Any

import pytest

from loglake_dagster.engines.sessions import materialize_sessions, read_sessions
from loglake_dagster_tests.engines.made_lake import made_lake
from loglake_dagster_tests.made import DAY
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
