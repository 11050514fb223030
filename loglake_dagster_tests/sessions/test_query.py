"""What a session's row says: its status, its transcript, and where each of its values comes from."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from loglake_dagster.engines.sessions import materialize_sessions, read_sessions
from loglake_dagster.sessions.record import NOT_LOGGABLE_DOCUMENTS, STATUSES, TABLE
from loglake_dagster_tests.engines.made_lake import made_lake
from loglake_dagster_tests.made import ACCOUNT, DAY, document, log_event
from loglake_dagster_tests.sessions.made_sessions import (
    SHELL,
    TARGET,
    arn_of,
    land,
    land_around,
    logged,
    start,
    stored,
    streamed,
    utc,
)

NOON = utc("2026-03-02T12:00:00")
Row = dict[str, Any]

YESTERDAYS = start("yes.ter-0aaaaaaaaaaaaaaa1", "2026-03-01T23:59:59")
STARTED = [
    start("ana@example.com-t59j8gpq2ta8hniozstbnphqs8", requestParameters={"target": TARGET, "documentName": SHELL}),
    start("eve-federation-07a16060613c408b5", "2026-03-02T23:55:00"),
    start("silent-0aaaaaaaaaaaaaaa2", "2026-03-02T08:00:00"),
    start("quick-0aaaaaaaaaaaaaaa3", "2026-03-02T11:59:00"),
    start("tunnel-0aaaaaaaaaaaaaaa4", requestParameters={"target": TARGET, "documentName": "AWS-StartSSHSession"}),
    start(None, errorCode="AccessDenied", errorMessage="not authorized", eventID="refused"),
    start(None, eventID="no answer"),
    start(
        "athena-0aaaaaaaaaaaaaaa5",
        eventSource="athena.amazonaws.com",
        responseElements={"sessionId": "11111111-2222-3333-4444-555555555555"},
    ),
    start("resumed-0aaaaaaaaaaaaaaa6", eventName="ResumeSession"),
    start("ended-0aaaaaaaaaaaaaaa7", eventName="TerminateSession"),
]
TYPED = [
    streamed("ana@example.com-t59j8gpq2ta8hniozstbnphqs8", "2026-03-02T09:01:00.000", ["$ whoami", "ssm-user"]),
    streamed("eve-federation-07a16060613c408b5", "2026-03-02T23:59:59.999", ["$ sleep 1000"]),
    streamed("yes.ter-0aaaaaaaaaaaaaaa1", "2026-03-02T00:10:00", ["$ late"]),
    streamed("ghost-0aaaaaaaaaaaaaaa8", "2026-03-02T07:00:00", ["$ boo"], runAsUser="root"),
    streamed("ghost-0aaaaaaaaaaaaaaa8", "2026-03-02T06:00:00", ["$ hush"], runAsUser="root"),
]
TYPED_AFTER = [
    streamed("eve-federation-07a16060613c408b5", "2026-03-03T00:11:40.000", ["$ exit"]),
    streamed("ghost-0aaaaaaaaaaaaaaa8", "2026-03-03T00:00:01", ["$ and more"]),
    streamed("morrow-0aaaaaaaaaaaaaaa9", "2026-03-03T09:00:00", ["$ tomorrow's"]),
]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    folder = tmp_path_factory.mktemp("day")
    lake = made_lake(folder)
    land(lake, folder, STARTED, TYPED)
    land_around(lake, folder, [YESTERDAYS], TYPED_AFTER)
    assert materialize_sessions(lake, DAY, NOON).absent == ()
    return read_sessions(lake, DAY)


def row_of(rows: list[Row], **values: str) -> Row:
    (found,) = [row for row in rows if all(row[name] == value for name, value in values.items())]
    return found


# -- who is there, and as what --------------------------------------------------------------------------


def test_every_session_is_there_once_in_the_order_of_time(rows: list[Row]) -> None:
    assert [(row["sessionowner"], row["keystroke_status"], row["eventid"]) for row in rows] == [
        ("ghost", "orphan", None),
        ("silent", "missing", "start of silent-0aaaaaaaaaaaaaaa2 at 2026-03-02T08:00:00"),
        (None, "not_started", "no answer"),
        (None, "not_started", "refused"),
        ("ana@example.com", "captured", STARTED[0]["eventID"]),
        ("tunnel", "not_loggable", STARTED[4]["eventID"]),
        ("quick", "pending", STARTED[3]["eventID"]),
        ("eve-federation", "captured", STARTED[1]["eventID"]),
    ]
    assert {row["keystroke_status"] for row in rows} == set(STATUSES)
    assert [tuple(row) for row in rows] == [TABLE.column_names] * len(rows)


def test_a_captured_session_tells_who_where_and_what(rows: list[Row]) -> None:
    row = row_of(rows, sessionowner="ana@example.com")
    assert {name: value for name, value in row.items() if value is not None} == {
        "eventtime": stored("2026-03-02T09:00:00"),
        "sessionid": "t59j8gpq2ta8hniozstbnphqs8",
        "sessionowner": "ana@example.com",
        "keystroke_status": "captured",
        "useridentity_arn": arn_of("ana@example.com"),
        "useridentity_type": "AssumedRole",
        "useridentity_accountid": ACCOUNT,
        "recipientaccountid": ACCOUNT,
        "awsregion": "eu-west-1",
        "target": TARGET,
        "documentname": SHELL,
        "eventid": STARTED[0]["eventID"],
        "runasuser": "ssm-user",
        "first_output_time": stored("2026-03-02T09:01:00"),
        "last_output_time": stored("2026-03-02T09:01:00"),
        "resumes": 0,
        "chunks": 1,
        "repeated_chunks": 0,
        "lines": 2,
        "bytes": 17,
        "sessiondata": "$ whoami\nssm-user",
        "transcript": "$ whoami\nssm-user",
        "loggroup": "/ssm/sessions",
        "logstream": "ana@example.com-t59j8gpq2ta8hniozstbnphqs8",
    }


def test_what_was_typed_after_midnight_belongs_to_the_session(rows: list[Row]) -> None:
    row = row_of(rows, sessionowner="eve-federation")
    assert row["sessiondata"] == "$ sleep 1000\n$ exit"
    assert (row["chunks"], row["lines"]) == (2, 2)
    assert row["first_output_time"] == stored("2026-03-02T23:59:59.999")
    assert row["last_output_time"] == stored("2026-03-03T00:11:40")


def test_an_orphan_is_of_its_day_only_and_tells_what_its_log_tells(rows: list[Row]) -> None:
    row = row_of(rows, keystroke_status="orphan")
    assert {name: value for name, value in row.items() if value is not None} == {
        "eventtime": stored("2026-03-02T06:00:00"),
        "sessionid": "0aaaaaaaaaaaaaaa8",
        "sessionowner": "ghost",
        "keystroke_status": "orphan",
        "useridentity_arn": arn_of("ghost"),
        "recipientaccountid": ACCOUNT,
        "awsregion": "eu-west-1",
        "target": TARGET,
        "runasuser": "root",
        "first_output_time": stored("2026-03-02T06:00:00"),
        "last_output_time": stored("2026-03-02T07:00:00"),
        "resumes": 0,
        "chunks": 2,
        "repeated_chunks": 0,
        "lines": 2,
        "bytes": 12,
        "sessiondata": "$ hush\n$ boo",
        "transcript": "$ hush\n$ boo",
        "loggroup": "/ssm/sessions",
        "logstream": "ghost-0aaaaaaaaaaaaaaa8",
    }


def test_only_pending_says_when_it_was_judged(rows: list[Row]) -> None:
    assert {row["sessionowner"]: row["statusasof"] for row in rows if row["statusasof"]} == {
        "quick": NOON.replace(tzinfo=None)
    }


def test_a_session_without_keystrokes_has_none(rows: list[Row]) -> None:
    for owner in ("silent", "quick", "tunnel", None):
        for row in (one for one in rows if one["sessionowner"] == owner):
            assert (row["sessiondata"], row["chunks"], row["lines"], row["bytes"]) == (None, 0, 0, 0)
            assert (row["first_output_time"], row["last_output_time"], row["logstream"]) == (None, None, None)


def test_a_refused_session_says_why_and_has_no_id(rows: list[Row]) -> None:
    row = row_of(rows, eventid="refused")
    assert (row["errorcode"], row["errormessage"]) == ("AccessDenied", "not authorized")
    assert (row["sessionid"], row["sessionowner"], row["target"], row["documentname"]) == (None, None, TARGET, SHELL)


# -- statuses, one day each -----------------------------------------------------------------------------


def made_rows(
    folder: Path, started: Sequence[Any], typed: Sequence[bytes] = (), as_of: dt.datetime = NOON
) -> dict[str, Row]:
    """The sessions of a day by their owner."""
    lake = made_lake(folder)
    land(lake, folder, started, typed)
    materialize_sessions(lake, DAY, as_of)
    return {row["sessionowner"]: row for row in read_sessions(lake, DAY)}


def test_pending_turns_missing_at_the_sla_to_the_second(tmp_path: Path) -> None:
    """`sla_minutes` is 90: at noon half past ten is due, a second later is not."""
    times = {"before": "10:29:59", "sharp": "10:30:00", "after": "10:30:01"}
    rows = made_rows(tmp_path, [start(f"{owner}-1", f"2026-03-02T{time}") for owner, time in times.items()])
    assert {owner: row["keystroke_status"] for owner, row in rows.items()} == {
        "before": "missing",
        "sharp": "missing",
        "after": "pending",
    }


def test_the_clock_may_show_parts_of_a_second_and_another_zone(tmp_path: Path) -> None:
    as_of = dt.datetime(2026, 3, 2, 14, 0, 0, 1, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    rows = made_rows(tmp_path, [start("a-1", "2026-03-02T10:30:00"), start("b-1", "2026-03-02T10:30:01")], as_of=as_of)
    assert {owner: row["keystroke_status"] for owner, row in rows.items()} == {"a": "missing", "b": "pending"}


def test_documents_that_cannot_be_logged_are_known_by_name_and_by_arn(tmp_path: Path) -> None:
    arn = f"arn:aws:ssm:eu-west-1:{ACCOUNT}:document"
    cannot = [*NOT_LOGGABLE_DOCUMENTS, *(f"{arn}/{name}" for name in NOT_LOGGABLE_DOCUMENTS)]
    can = [SHELL, f"{arn}/Our-Shell", "Our-AWS-StartSSHSession", "AWS-StartSSHSession-2", "aws-startsshsession", ""]
    can.append("AWS-StartInteractiveCommand")
    started = [
        start(f"n{n}-1", requestParameters={"target": TARGET, "documentName": name})
        for n, name in enumerate([*cannot, *can])
    ]
    rows = made_rows(tmp_path, started)
    statuses = {row["documentname"]: row["keystroke_status"] for row in rows.values()}
    assert statuses == dict.fromkeys(cannot, "not_loggable") | dict.fromkeys(can, "missing")


def test_keystrokes_count_whatever_the_document_is_called(tmp_path: Path) -> None:
    tunnel = {"target": TARGET, "documentName": "AWS-StartSSHSession"}
    rows = made_rows(
        tmp_path, [start("a-1", requestParameters=tunnel)], [streamed("a-1", "2026-03-02T09:00:01", ["$ ls"])]
    )
    assert rows["a"]["keystroke_status"] == "captured"


def test_what_was_asked_is_told_and_the_default_document_stands_in(tmp_path: Path) -> None:
    asked = {
        "target": "ecs:cluster_task_runtime",
        "documentName": "Our-Shell",
        "reason": "INC-7 <prod> \u00e9",
        "parameters": {"portNumber": ["22"]},
    }
    rows = made_rows(
        tmp_path,
        [
            start("asked-1", requestParameters=asked),
            start("default-1", requestParameters={"target": TARGET}),
            start("nothing-1", requestParameters=None),
            start("text-1", requestParameters="not an object"),
        ],
        [streamed("nothing-1", "2026-03-02T09:00:01", ["$ ls"])],
    )
    told = {
        owner: (row["target"], row["documentname"], row["reason"], row["parameters"]) for owner, row in rows.items()
    }
    assert told == {
        "asked": ("ecs:cluster_task_runtime", "Our-Shell", "INC-7 <prod> \u00e9", '{"portNumber":["22"]}'),
        "default": (TARGET, SHELL, None, None),
        "nothing": (TARGET, SHELL, None, None),
        "text": (None, SHELL, None, None),
    }


def test_a_start_that_was_delivered_twice_is_one_session(tmp_path: Path) -> None:
    rows = made_rows(tmp_path, [start("a-1"), start("a-1")], [streamed("a-1", "2026-03-02T09:00:01", ["$ ls"])])
    assert [row["sessiondata"] for row in rows.values()] == ["$ ls"]


def test_owner_and_id_are_matched_together(tmp_path: Path) -> None:
    names = ["a-1", "a-2", "b-1", "a-b-1"]
    rows = made_rows(
        tmp_path,
        [start("a-1"), start("b-1"), start("a-b-1")],
        [streamed(name, "2026-03-02T09:00:01", [f"$ {name}"]) for name in names],
    )
    assert rows["b"]["sessiondata"] == "$ b-1"
    assert rows["a-b"]["sessiondata"] == "$ a-b-1"
    lake = made_lake(tmp_path)
    found = {(row["sessionid"], row["keystroke_status"], row["sessiondata"]) for row in read_sessions(lake, DAY)}
    assert found == {
        ("1", "captured", "$ a-1"),
        ("1", "captured", "$ b-1"),
        ("1", "captured", "$ a-b-1"),
        ("2", "orphan", "$ a-2"),
    }


# -- transcripts ----------------------------------------------------------------------------------------


def transcript(folder: Path, *documents: bytes) -> Row:
    """The row of session a-1 of which these documents were logged."""
    return made_rows(folder, [start("a-1")], documents)["a"]


def test_chunks_stand_in_the_order_of_their_log_events(tmp_path: Path) -> None:
    """Then in the order of the source, and of the documents inside an object: the agent's own clock is not asked."""
    row = transcript(
        tmp_path,
        streamed("a-1", "2026-03-02T09:00:09", ["4"], eventTime="2026-03-02T09:00:00Z"),
        streamed("a-1", "2026-03-02T09:00:01", ["1"], eventTime="2026-03-02T09:00:30Z"),
        logged(
            "a-1",
            ("2026-03-02T09:00:02", '{"sessionId":"a-1","sessionData":["2"]}'),
            ("2026-03-02T09:00:02", '{"sessionId":"a-1","sessionData":["3"]}'),
        ),
    )
    assert row["sessiondata"] == "1\n2\n3\n4"
    assert (row["first_output_time"], row["last_output_time"]) == (
        stored("2026-03-02T09:00:01"),
        stored("2026-03-02T09:00:09"),
    )


def test_chunks_of_one_moment_stand_in_the_order_of_their_objects_whichever_landed_first(tmp_path: Path) -> None:
    lake = made_lake(tmp_path)
    for nonce in (3, 1, 2):
        chunk = logged("a-1", ("2026-03-02T09:00:01", f'{{"sessionId":"a-1","sessionData":["{nonce}"]}}'))
        other = document(log_event(id=f"{nonce}"), logStream=f"b{nonce}-1")
        land(lake, tmp_path, [start("a-1")], [other, chunk.replace(b"00:01 0", b"00:01 %d" % nonce)], nonce=nonce)
    materialize_sessions(lake, DAY, NOON)
    (row,) = [row for row in read_sessions(lake, DAY) if row["sessionowner"] == "a"]
    assert (row["sessiondata"], row["chunks"]) == ("1\n2\n3", 3)


def test_a_chunk_that_firehose_delivered_twice_is_there_once(tmp_path: Path) -> None:
    chunk = streamed("a-1", "2026-03-02T09:00:01", ["$ once"])
    assert transcript(tmp_path, chunk, chunk)["sessiondata"] == "$ once"


def test_lines_that_the_agent_sent_again_are_kept(tmp_path: Path) -> None:
    """Another log event with the same lines: nobody can tell a retry from a person who typed it twice."""
    chunks = [streamed("a-1", f"2026-03-02T09:00:0{n}", ["$ date"]) for n in (1, 2)]
    assert transcript(tmp_path, *chunks)["sessiondata"] == "$ date\n$ date"


@pytest.mark.parametrize(
    ("chunks", "text", "lines"),
    [
        ([[]], "", 0),
        ([None], "", 0),
        ([["$ a"], [], None, ["$ b"]], "$ a\n$ b", 2),
        ([["", "$ a", ""], ["", "$ b"]], "\n$ a\n\n\n$ b", 5),
        (
            [["\u00fc \u65e5 \U0001f680\ufffd", "\b\b \u001b[31m\u0007\u2028"]],
            "\u00fc \u65e5 \U0001f680\ufffd\n\b\b \u001b[31m\u0007\u2028",
            2,
        ),
    ],
    ids=["no lines", "null", "some without", "empty lines", "terminal"],
)
def test_a_transcript_is_the_lines_and_nothing_else(
    tmp_path: Path, chunks: list[list[str] | None], text: str, lines: int
) -> None:
    documents = [streamed("a-1", f"2026-03-02T09:00:0{n}", lines) for n, lines in enumerate(chunks)]
    row = transcript(tmp_path, *documents)
    assert (row["keystroke_status"], row["sessiondata"]) == ("captured", text)
    assert (row["chunks"], row["lines"], row["bytes"]) == (len(chunks), lines, len(text.encode()))


def test_plain_uploads_stand_beside_streamed_ones(tmp_path: Path) -> None:
    """A command's session uploads text at its end, into the same log group (docs/formats.md 3.5). The agent leaves out
    the last newline of each event: one that ends in a newline ends in an empty line."""
    text = "\nScript started on Mon\n$ ls\n"
    row = transcript(
        tmp_path,
        streamed("a-1", "2026-03-02T09:00:01", ["$ streamed"]),
        logged("a-1", ("2026-03-02T09:00:02", text), ("2026-03-02T09:00:03", "file\nScript done on Mon")),
        streamed("a-1", "2026-03-02T09:00:04", ["$ again"]),
    )
    assert row["sessiondata"] == f"$ streamed\n{text}\nfile\nScript done on Mon\n$ again"
    assert (row["chunks"], row["lines"]) == (4, 8)


def test_a_plain_session_has_what_its_envelope_tells(tmp_path: Path) -> None:
    row = transcript(tmp_path, logged("a-1", ("2026-03-02T09:00:02", "$ ls\nfile")))
    assert (row["sessiondata"], row["runasuser"], row["loggroup"]) == ("$ ls\nfile", None, "/ssm/sessions")
    assert (row["awsregion"], row["target"]) == ("eu-west-1", TARGET)


def test_an_empty_run_as_user_is_none(tmp_path: Path) -> None:
    assert transcript(tmp_path, streamed("a-1", "2026-03-02T09:00:01", ["$"], runAsUser=""))["runasuser"] is None


def test_what_other_log_groups_hold_is_no_keystroke(tmp_path: Path) -> None:
    other = document(log_event("typed elsewhere"), logGroup="/ecs/web", logStream="a-1")
    assert transcript(tmp_path, other)["keystroke_status"] == "missing"
