"""`loglake sessions`: a day's sessions, and transcripts of which no byte acts on the reader's terminal."""

import json

import pytest

DAY = "2023-07-10"
CASE = "0d9e8c7b6a5f41320"


def test_a_days_sessions(demo):
    result = demo[0].loglake("sessions", "--day", DAY)
    assert (result.code, result.err) == (0, "")
    assert result.lines[0] == "sessions 2023-07-10 (UTC)"
    rows = [line.split() for line in result.lines[4:16]]
    assert rows[0] == [
        "09:12:04", "captured", "mia.keller@example.com", "t59j8gpq2ta8hniozstbnphqs8", "218007301253", "us-east-1",
        "i-0a1b2c3d4e5f60718", "13",
    ]  # fmt: skip
    assert rows[2][1:2] + rows[2][-1:] == ["not_started", "AccessDenied"]
    assert [row[1] for row in rows].count("captured") == 5


def test_json_has_every_column_and_the_whole_transcript(demo):
    rows = json.loads(demo[0].loglake("sessions", "--day", DAY, "--json").out)
    assert len(rows) == 12
    assert rows[0]["eventtime"] == "2023-07-10T09:12:04Z"
    (case,) = json.loads(demo[0].loglake("sessions", "--day", DAY, "--session", CASE, "--json").out)
    assert case["sessiondata"].startswith("\x1b]0;ssm-user@web-1:~\x07sh-5.2$ id\n")
    assert case in rows


@pytest.mark.parametrize("name", [CASE, f"svc-backup-{CASE}"])
def test_a_transcript_shows_escape_sequences_and_never_sends_them(demo, name):
    arguments = ["sessions", "--day", DAY, "--session", name]
    piped, on_terminal = demo[0].loglake(*arguments), demo[0].terminal(*arguments)
    assert piped.code == on_terminal.code == 0
    assert on_terminal.out == piped.out
    assert "\x1b" not in piped.out
    assert "\x07" not in piped.out
    assert piped.lines[0] == (
        "-- arn:aws:iam::218007301253:user/svc-backup on i-0a1b2c3d4e5f60718, 2023-07-10 12:18:40 UTC, captured"
    )
    assert piped.lines[1] == r"\x1b]0;ssm-user@web-1:~\x07sh-5.2$ id"
    assert r"\x1b[0;31mexit\x1b[0m" in piped.lines
    assert len(piped.lines) == 1 + 13
    assert '<script src="https://cdn.example.net/c.js"></script>' in piped.out


def test_backspaces_are_shown_as_what_they_are(demo):
    result = demo[0].loglake("sessions", "--day", DAY, "--session", "0a7f16060613c408b")
    assert r"exti\x08\x08it" in result.out


def test_a_session_without_keystrokes_says_so(demo):
    result = demo[0].loglake("sessions", "--day", DAY, "--session", "m7kd02xqwz5t8ybn4cph1f3rva")
    assert result.lines[0].endswith("2023-07-10 15:20:44 UTC, missing")
    assert result.lines[1:] == ["(no keystrokes)"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--day", DAY, "--session", "nope"],
         "Error: sessions 2023-07-10: no session 'nope'; loglake sessions --day 2023-07-10 lists them\n"),
        (["--day", DAY, "--session", "\x1b[31m"],
         "Error: sessions 2023-07-10: no session '\\x1b[31m'; loglake sessions --day 2023-07-10 lists them\n"),
        (["--day", DAY, "--session", ""],
         "Error: sessions 2023-07-10: no session ''; loglake sessions --day 2023-07-10 lists them\n"),
        (["--day", "2023-07-12"],
         "Error: sessions 2023-07-12: nothing is published; loglake materialize --day 2023-07-12 makes it\n"),
    ],
)  # fmt: skip
def test_what_is_not_there(demo, arguments, message):
    result = demo[0].loglake("sessions", *arguments)
    assert (result.code, result.out, result.err) == (2, "", message)
