"""`loglake rejects`: every fact of a reject, safe on a terminal, cut unless asked for whole, verbatim as JSON."""

import json

import pytest
from click.testing import CliRunner

from loglake_dagster.cli import cli
from loglake_dagster.config import load_settings
from loglake_dagster.engines.lake import open_lake
from loglake_dagster.engines.readready import materialize_readready
from loglake_dagster.sources import cloudtrail
from loglake_dagster.terminal import RECORD_CELL, SHOWN_OBJECTS
from loglake_dagster_tests.engines.deliveries import events, trail_file
from loglake_dagster_tests.made import DAY, compact

ESCAPE = "\x1b]0;owned\x07\u202e<script>"
HOSTILE = {"eventTime": ESCAPE, "eventName": ESCAPE, "note": "z" * 900 + "the end"}
NOT_UTF8 = b'{"eventTime":"\xff\xfe"}'
SETTINGS = "lake: ./lake\nfeeds: [{source: cloudtrail, uri: ./trail}]\nengine: {workers: 1}\nquality: {coverage: 0.0}\n"


@pytest.fixture
def rejects(tmp_path):
    """A command on a lake with the given records of one object."""

    def run(*records, arguments=()):
        path = trail_file(tmp_path / "trail", [*events(2), *records])
        file = tmp_path / "loglake.yaml"
        file.write_text(SETTINGS)
        materialize_readready(open_lake(load_settings(file)), cloudtrail.SOURCE, DAY).raise_if_refused()
        done = CliRunner().invoke(cli, ["--config", str(file), "rejects", "--day", str(DAY), *arguments])
        assert done.exit_code == 0, done.output
        return path, done.output

    return run


def test_a_reject_is_shown_with_all_its_facts_and_without_its_escapes(rejects):
    path, printed = rejects(HOSTILE, NOT_UTF8)
    lines = printed.splitlines()
    assert lines[0].startswith(f"from_cloudtrail_readready {DAY}: 2 rejected (version ")
    assert lines[1:8] == [
        "-- 1 of 2",
        f" object    {path.as_uri()}",
        " ordinal   2",
        " path      $.eventTime",
        " expected  an ISO-8601 time",
        r" got       '\x1b]0;owned\x07\u202e<script>' (str)",
        " eventday  ",
    ]
    assert lines[8].startswith(r' record    {"eventTime":"\u001b]0;owned\u0007\u202e<script>",')
    assert " path      $" in lines
    assert r' record    {"eventTime":"\xff\xfe"}' in lines
    assert all(line.isprintable() for line in lines)


def test_a_long_record_is_cut_and_the_cut_is_counted(rejects):
    _path, printed = rejects(HOSTILE)
    (line,) = [line for line in printed.splitlines() if line.startswith(" record")]
    assert "the end" not in line
    assert len(line.partition("... +")[0]) == RECORD_CELL + len(" record    ")


def test_full_cuts_nothing(rejects):
    _path, printed = rejects(HOSTILE, arguments=["--full"])
    assert "zthe end" in printed


def test_of_many_the_first_are_shown_and_the_rest_is_counted(rejects):
    _path, printed = rejects(*[42] * (SHOWN_OBJECTS + 5))
    assert printed.count(" record    42") == SHOWN_OBJECTS
    assert " and 5 more, which --full and --json give" in printed


def test_json_is_ascii_and_verbatim(rejects):
    path, printed = rejects(HOSTILE, NOT_UTF8, arguments=["--json", "--table", "from_cloudtrail_readready"])
    assert printed.isascii()
    first, second = json.loads(printed)
    assert first["record"] == compact(HOSTILE).decode()
    assert (first["object"], first["ordinal"], first["day"]) == (path.as_uri(), 2, str(DAY))
    assert (second["record_base64"], "record" in second) == ("eyJldmVudFRpbWUiOiL//iJ9", False)


def test_none_is_said(rejects):
    _path, printed = rejects()
    assert printed.startswith(f"from_cloudtrail_readready {DAY}: 0 rejected (version ")


def test_an_unknown_table_is_an_error(tmp_path):
    file = tmp_path / "loglake.yaml"
    file.write_text(SETTINGS)
    done = CliRunner().invoke(cli, ["--config", str(file), "rejects", "--day", str(DAY), "--table", "sessions"])
    assert "--table: expected one of from_cloudtrail_readready, " in str(done.exception)
