"""Hostile keys and content, end to end: stored verbatim, shown safely.

Keys are chosen by whoever may write into a bucket, content by whoever types in a session or calls an API. None of it
may change what is stored, act on a terminal, be markup in a browser, or keep a day from being made.
"""

import json
import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from click.testing import CliRunner

from loglake_dagster.assets.metadata import raw_metadata, readready_metadata, sessions_metadata
from loglake_dagster.cli import cli
from loglake_dagster.config import load_settings
from loglake_dagster.engines.lake import Lake, open_lake
from loglake_dagster.engines.query import run_query
from loglake_dagster.engines.raw import materialize_raw
from loglake_dagster.engines.readready import materialize_readready
from loglake_dagster.engines.rejects import first_rejects
from loglake_dagster.engines.sessions import materialize_sessions, preview_sessions
from loglake_dagster.io.store import local_path
from loglake_dagster.sessions.record import TABLE as SESSIONS
from loglake_dagster.sources import SOURCES, cloudtrail, cloudwatch
from loglake_dagster_tests.engines.deliveries import REGION, event, put
from loglake_dagster_tests.engines.made_lake import published
from loglake_dagster_tests.made import ACCOUNT, DAY, compact, document, log_event, log_file, member

# What no text that is shown may hold: it acts on a terminal, or shows as another text than it is.
ACTING = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
ESCAPES = "\x1b]0;owned\x07\x1b[2J\x1b]8;;http://x\x1b\\click\x1b]8;;\x1b\\ \x9b31m \b\b\r\x00 \u202e\u2066 \ue000"
MARKUP = "<script>alert(1)</script> [x](javascript:alert) ![i](http://x) `a` **b** | c & &lt; <!-- --> ~~d~~ # e"
SQL = "'; DROP TABLE sessions; --\" $$ {{ x }} ${HOME} $(id) %s %41 \\"
FOUR_BYTES = "\U0001f4a9\U00010348 \u00e9e\u0301 \u4e2d"
TEXTS = {"escapes": ESCAPES, "markup": MARKUP, "sql": SQL, "unicode": FOUR_BYTES, "long": "x" * 70_000 + "the end"}
GROUPS = {name: f"/{name}/{text[:400]}" for name, text in TEXTS.items()}

FOLDERS = {
    "dots": "..%2f..%2f/...../..\u2215..\u2215etc/. ./..;",
    "newline": "two\nlines/a\r\nb",
    "control": "\x1b[31m/\x01\x7f\t/\x9b",
    "unicode": FOUR_BYTES,
    "sql": "'; DROP TABLE x; --/$(id)/`id`/%41%/a+b/a&b=c?d#e",
    "markup": "<img src=x onerror=alert(1)>/[x](y)/|",
    "bytes": os.fsdecode(b"\xff\xfe not utf-8"),
    "deep": "/".join(["d" * 99] * 8),
    "twice": f"AWSLogs/{ACCOUNT}/CloudTrail",
    "plain": "",
}
NAMES = {
    "newline": "a\nb",
    "control": "\x1b]0;x\x07\x01",
    "unicode": FOUR_BYTES,
    "long": "n" * 200,
    "dots": "..%2f..\\..",
    "sql": "'; DROP TABLE x; --",
    "markup": "<script>alert(1)<\u2215script>",
    "bytes": os.fsdecode(b"\xff\xfe"),
    "space": " ",
    "star": "*[a-z]?{b}",
}
PLACES = [*((folder, "name") for folder in FOLDERS.values()), *(("p", name) for name in NAMES.values())]


def trail_path(feed: Path, folder: str, name: str) -> Path:
    return feed / folder / "AWSLogs" / ACCOUNT / "CloudTrail" / REGION / f"{DAY:%Y/%m/%d}" / f"{name}.json.gz"


def firehose_path(feed: Path, folder: str, name: str) -> Path:
    return feed / folder / f"{DAY:%Y/%m/%d}" / "01" / name


def start_session(number: int, text: str) -> dict[str, Any]:
    """A StartSession in which every value that a caller chooses is the text."""
    return event(
        500 + number,
        eventSource="ssm.amazonaws.com",
        eventName="StartSession",
        userAgent=text,
        errorMessage=text,
        userIdentity={"type": "IAMUser", "arn": f"arn:aws:iam::{ACCOUNT}:user/{text[:100]}", "userName": text},
        requestParameters={"target": text[:100], "reason": text, text[:50]: {text[:50]: text}},
        responseElements={"sessionId": session_name(number, text)},
    )


def session_name(number: int, text: str) -> str:
    return f"{text[:300]}-{number:017x}"


def keystrokes(number: int, name: str, text: str) -> bytes:
    """A session's log: a streamed chunk and a plain upload, both of the text."""
    streamed = compact({"sessionId": session_name(number, text), "sessionData": [text, text], "runAsUser": text[:100]})
    return document(
        log_event(streamed.decode(), id=f"{number}1"),
        log_event(text, id=f"{number}2", timestamp=1_772_413_324_000),
        logGroup=GROUPS[name],
        logStream=session_name(number, text),
    )


@dataclass(frozen=True)
class HostileLake:
    """The lake that was made of all of it, its settings file, and what the web UI is given."""

    lake: Lake
    file: Path
    trail: dict[str, Path]
    firehose: dict[str, Path]
    metadata: dict[str, dict[str, Any]]

    def run(self, *arguments: str) -> str:
        done = CliRunner().invoke(cli, ["--config", str(self.file), *arguments])
        assert done.exit_code == 0, done.output
        return done.stdout

    def rows(self, sql: str) -> list[dict[str, Any]]:
        return run_query(self.lake, sql).to_pylist()


def settings_of(folder: Path) -> Path:
    """A settings file whose own paths are odd too."""
    groups = [glob_of(group) for group in GROUPS.values()]
    feeds = [
        {"source": "cloudtrail", "uri": str(folder / "it's # a trail")},
        {"source": "cloudwatch", "uri": str(folder / "fire % hose"), "log_groups": {"session": groups}},
    ]
    file = folder / "loglake.yaml"
    lake = str(folder / "the 'lake'; -- %41 \u00e9")
    document = {"lake": lake, "feeds": feeds, "engine": {"workers": 1}, "quality": {"coverage": 0.5}}
    file.write_text(yaml.safe_dump(document))
    return file


def glob_of(text: str) -> str:
    """A glob that only the text itself matches."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in text)


def deliver(folder: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """(CloudTrail objects by event id, Firehose objects by log event id): one with each key, and one with the texts."""
    trail, firehose = {}, {}
    for number, (prefix, name) in enumerate(PLACES):
        path = trail_path(folder / "it's # a trail", prefix, name)
        trail[f"event-{number:04d}"] = put(path, member(log_file(event(number))))
        path = firehose_path(folder / "fire % hose", prefix, name)
        documents = document(log_event("a line", id=f"place-{number}"), logGroup=GROUPS["sql"], logStream=f"s-{number}")
        firehose[f"place-{number}"] = put(path, member(documents))
    sessions = [start_session(number, text) for number, text in enumerate(TEXTS.values())]
    odd = [{"eventTime": text, "eventName": text} for text in TEXTS.values()]
    put(trail_path(folder / "it's # a trail", "content", "all"), member(log_file(*sessions, *odd)))
    typed = b"".join(keystrokes(number, name, TEXTS[name]) for number, name in list(enumerate(TEXTS)))
    put(firehose_path(folder / "fire % hose", "content", "all"), member(typed))
    return trail, firehose


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> HostileLake:
    folder = tmp_path_factory.mktemp("hostile")
    trail, firehose = deliver(folder)
    file = settings_of(folder)
    lake = open_lake(load_settings(file))
    metadata = {}
    for source in SOURCES:
        metadata[source.raw_name] = raw_metadata(materialize_raw(lake, source, DAY))
        result = materialize_readready(lake, source, DAY)
        result.raise_if_refused()
        rejects = first_rejects(lake, result.manifest, 20)
        metadata[source.readready_name] = readready_metadata(result, rejects)
    done = materialize_sessions(lake, DAY)
    version = lake.published(SESSIONS.name, DAY)
    assert version is not None
    metadata[SESSIONS.name] = sessions_metadata(done, preview_sessions(version, 10))
    return HostileLake(lake, file, trail, firehose, metadata)


def acting(text: str) -> set[str]:
    """Characters of the text, line ends aside, that must not be shown as they are."""
    return {c for c in text if unicodedata.category(c) in ACTING} - {"\n"}


# -- stored verbatim ------------------------------------------------------------------------------------


def test_an_object_of_any_key_is_read_and_its_rows_name_it(hostile: HostileLake) -> None:
    for table, paths in ((cloudtrail.TABLE.name, hostile.trail), (cloudwatch.TABLE.name, hostile.firehose)):
        found = {
            row["eventid"]: row["source_object"] for row in hostile.rows(f"select eventid, source_object from {table}")
        }
        for event_id, path in paths.items():
            assert local_path(found[event_id]) == path
        _manifest, entries = published(hostile.lake, DAY, table)
        assert {local_path(uri) for uri in entries} >= set(paths.values())
        assert {entry.state for entry in entries.values()} == {"read"}


def test_the_folders_of_any_key_are_registered_as_they_are(hostile: HostileLake) -> None:
    partitions = hostile.lake.catalog.raw_partitions(cloudtrail.SOURCE.raw_name, DAY)
    trails = {partition.values[1] for partition in partitions}
    assert {f"{folder}/AWSLogs".removeprefix("/") for folder in FOLDERS.values()} <= trails
    assert {local_path(partition.location) for partition in partitions} >= {
        path.parent for path in hostile.trail.values()
    }
    prefixes = {one.values[1] for one in hostile.lake.catalog.raw_partitions(cloudwatch.SOURCE.raw_name, DAY)}
    assert {f"{folder}/".removeprefix("/") for folder in FOLDERS.values()} <= prefixes


@pytest.mark.parametrize(("number", "name"), list(enumerate(TEXTS)))
def test_content_is_stored_as_it_came(hostile: HostileLake, number: int, name: str) -> None:
    text = TEXTS[name]
    (row,) = hostile.rows(f"select * from {cloudtrail.TABLE.name} where eventid = 'event-{500 + number:04d}'")
    assert (row["useragent"], row["errormessage"], row["useridentity_username"]) == (text, text, text)
    assert json.loads(row["requestparameters"])[text[:50]] == {text[:50]: text}
    owner, _hyphen, session = session_name(number, text).rpartition("-")
    streamed, plain = hostile.rows(
        f"select * from {cloudwatch.TABLE.name} where sessionid = '{session}' order by eventtime"
    )
    assert (streamed["form"], plain["form"]) == ("streamed", "plain")
    assert (streamed["sessiondata"], plain["sessiondata"], plain["message"]) == (f"{text}\n{text}", text, text)
    assert {streamed["loggroup"], plain["loggroup"]} == {GROUPS[name]}
    assert streamed["runasuser"] == text[:100]
    (found,) = hostile.rows(f"select * from sessions where sessionid = '{session}'")
    assert (found["keystroke_status"], found["sessionowner"], found["reason"]) == ("captured", owner, text)
    assert found["sessiondata"] == f"{text}\n{text}\n{text}"
    assert (found["useragent"], found["loggroup"]) == (text, GROUPS[name])


def test_rejects_are_kept_as_they_came(hostile: HostileLake) -> None:
    manifest, _entries = published(hostile.lake, DAY)
    rejects = first_rejects(hostile.lake, manifest, 99)
    assert [json.loads(one["record"])["eventName"] for one in rejects] == list(TEXTS.values())


def test_nothing_of_it_is_missing(hostile: HostileLake) -> None:
    for table, count in (
        (cloudtrail.TABLE.name, len(PLACES) + len(TEXTS)),
        (cloudwatch.TABLE.name, len(PLACES) + 2 * len(TEXTS)),
    ):
        manifest, _entries = published(hostile.lake, DAY, table)
        assert (manifest.totals.landed, manifest.totals.duplicate, manifest.totals.filtered) == (count, 0, 0)
        assert (manifest.totals.unreadable, manifest.totals.partly_read) == (0, 0)


# -- shown safely ---------------------------------------------------------------------------------------

COMMANDS = [
    ("status", "--day", str(DAY)),
    ("sessions", "--day", str(DAY)),
    *(("sessions", "--day", str(DAY), "--session", f"{number:017x}") for number in range(len(TEXTS))),
    ("rejects", "--day", str(DAY)),
    ("rejects", "--day", str(DAY), "--full"),
    ("query", "select * from from_cloudtrail_readready"),
    ("query", "select * from from_cloudwatch_readready"),
    ("query", "select * from sessions"),
    ("query", f'select 1 as "{ESCAPES.replace(chr(0), "")}"'),
]


@pytest.mark.parametrize(
    "command", COMMANDS, ids=lambda command: " ".join(command)[:40].encode("unicode_escape").decode()
)
def test_no_command_prints_what_acts(hostile: HostileLake, command: tuple[str, ...]) -> None:
    printed = hostile.run(*command)
    assert acting(printed) == set()
    assert len(printed) > 50


@pytest.mark.parametrize("command", COMMANDS[:-1], ids=lambda command: " ".join(command)[:40])
def test_json_is_ascii_and_says_what_is_stored(hostile: HostileLake, command: tuple[str, ...]) -> None:
    as_json = ["--format", "json"] if command[0] == "query" else ["--json"]
    printed = hostile.run(*[word for word in command if word != "--full"], *as_json)
    assert printed.isascii()
    assert acting(printed) == set()
    json.loads(printed)


def test_a_transcript_shows_every_character_of_it(hostile: HostileLake) -> None:
    printed = hostile.run("sessions", "--day", str(DAY), "--session", f"{0:017x}")
    assert printed.count(r"\x1b]0;owned\x07\x1b[2J") >= 3
    assert r"\x08\x08\r\x00 \u202e\u2066 \ue000" in printed


def test_no_error_prints_what_acts(hostile: HostileLake) -> None:
    done = CliRunner().invoke(cli, ["--config", str(hostile.file), "sessions", "--day", str(DAY), "--session", ESCAPES])
    assert acting(str(done.exception)) == set()


def test_the_web_ui_gets_tables_without_markup_in_them(hostile: HostileLake) -> None:
    shown = [
        value.value
        for one in hostile.metadata.values()
        for value in one.values()
        if isinstance(value, dg.MarkdownMetadataValue)
    ]
    assert len(shown) > 12
    for text in shown:
        assert acting(text) == set()
        assert not set("<>`*[]()~") & set(text)
        columns = {line.count("|") for line in text.splitlines()}
        assert len(columns) == 1
    assert any("&#60;script&#62;" in text for text in shown)


def test_the_web_ui_gets_plain_values_without_what_acts(hostile: HostileLake) -> None:
    for one in hostile.metadata.values():
        for value in one.values():
            if isinstance(value, str):
                assert acting(value) == set()


def test_an_object_that_cannot_be_read_is_named_safely(tmp_path: Path) -> None:
    """Its key and its first bytes are shown where a person looks for what is missing."""
    feed = tmp_path / "trail"
    put(trail_path(feed, FOLDERS["control"], NAMES["control"]), ESCAPES.encode())
    put(trail_path(feed, FOLDERS["markup"], NAMES["newline"]), MARKUP.encode())
    put(trail_path(feed, "", "sound"), member(log_file(*(event(n) for n in range(400)))))
    file = tmp_path / "loglake.yaml"
    file.write_text("lake: ./lake\nfeeds: [{source: cloudtrail, uri: ./trail}]\nquality: {coverage: 0.5}\n")
    result = materialize_readready(open_lake(load_settings(file)), cloudtrail.SOURCE, DAY)
    result.raise_if_refused()
    assert result.manifest.totals.unreadable == 2
    done = CliRunner().invoke(cli, ["--config", str(file), "status", "--day", str(DAY)])
    assert done.exit_code == 0
    assert "missing or damaged" in done.stdout
    assert acting(done.stdout) == set()
    text = readready_metadata(result)["missing_objects"].value
    assert acting(text) == set()
    assert not set("<>`*[]()~") & set(text)
