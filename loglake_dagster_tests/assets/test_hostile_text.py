"""Log content is written by strangers: what the web UI renders of it can begin no tag, link, column or escape."""

import datetime as dt
import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglake_dagster.kernels.safe_text import markdown_cell, markdown_table, terminal_text
from loglake_dagster_tests.assets.sample import CLOUDTRAIL, CLOUDWATCH, opened_project, values
from loglake_dagster_tests.engines.deliveries import event, firehose_file, put, trail_file
from loglake_dagster_tests.made import document, log_event, member

DAY = dt.date(2026, 3, 2)
ESCAPES = "\x1b]0;pwned\x07\x9b31m\u202e"
HOSTILE = f"</td><script>alert(1)</script>|`code`\n{ESCAPES}[x](javascript:alert(2))<img src=x onerror=alert(3)>"
FOLDER = "trail|<img src=x onerror=alert(4)>`"
SETTINGS = f"""
lake: ./lake
engine: {{workers: 1}}
feeds:
  - {{source: cloudtrail, uri: "./{FOLDER}"}}
  - {{source: cloudwatch, uri: ./firehose, log_groups: {{session: [/ssm/sessions]}}}}
"""
ACTIVE = re.compile(r"[<>`]|\]\(|[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]|https?://|www\.", re.IGNORECASE)


def start_session(number, **fields):
    """An event of somebody who names himself, his reason and his error as he likes."""
    return event(
        number,
        eventSource="ssm.amazonaws.com",
        eventName="StartSession",
        userIdentity={"type": "IAMUser", "arn": f"arn:{HOSTILE}"},
        requestParameters={"target": HOSTILE, "reason": "HTTPS://evil.example/ http://e www.evil.example"},
        **fields,
    )


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """Metadata values by table."""
    folder = tmp_path_factory.mktemp("hostile")
    started = start_session(1, responseElements={"sessionId": f"{HOSTILE}-0123456789abcdef0"})
    refused = start_session(2, errorCode=HOSTILE, errorMessage=HOSTILE)
    trail_file(folder / FOLDER, [started, refused, *(event(n) for n in range(3, 40))])
    trail_file(folder / FOLDER, [{"eventTime": HOSTILE, "eventID": "bad"}], nonce="BBBBBBBBBBBBBBBB")
    firehose_file(folder / "firehose", [document(log_event(), owner=HOSTILE, logStream=f"{HOSTILE}-0123456789abcdef0")])
    name = "<img src=x onerror=alert(5)>|`-1-2026-03-02-01-06-00-00000000-0000-0000-0000-000000000001"
    put(folder / "firehose" / "2026/03/02/01" / name, member(b"not a document")[:-4] + b"????")
    with opened_project(folder, landing=None, settings=SETTINGS + "quality: {coverage: 0}\n") as project:
        result = project.run(DAY, as_of=None)
        assert result.success
        yield {table: values(result, table) for table in (CLOUDTRAIL, CLOUDWATCH, "sessions")}


def test_the_hostile_text_came_through(shown):
    """What is tested below is not tested on nothing."""
    assert shown["sessions"]["dagster/partition_row_count"] == 2
    assert shown["sessions"]["captured"] == shown["sessions"]["not_started"] == 1
    assert "alert&#40;1&#41;" in shown["sessions"]["first_sessions"]
    assert "/evil.example/" in shown["sessions"]["first_sessions"]
    assert "alert&#40;1&#41;" in shown[CLOUDWATCH]["by_account_and_region"]
    assert "alert%285%29" in shown[CLOUDWATCH]["missing_objects"]
    assert "alert%284%29" in shown[CLOUDTRAIL]["missing_objects"]


@pytest.mark.parametrize(
    ("table", "name"),
    [
        (table, name)
        for table, names in {
            CLOUDTRAIL: ("account", "by_account_and_region", "missing_objects"),
            CLOUDWATCH: ("account", "by_account_and_region", "missing_objects"),
            "sessions": ("first_sessions", "joined_from"),
        }.items()
        for name in names
    ],
)
def test_no_rendered_table_holds_anything_that_acts(shown, table, name):
    text = shown[table][name]
    assert ACTIVE.search(text) is None
    lines = text.splitlines()
    assert len(lines) >= 3
    assert {line.count("|") for line in lines} == {lines[0].count("|")}


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=100))
def test_what_is_read_in_a_cell_is_the_text(text):
    """Once an apostrophe was read as &#x27;: its escape had been escaped again."""
    assert html.unescape(markdown_cell(text)).replace("\u2060", "") == terminal_text(text)


def test_the_end_of_a_long_object_name_is_not_cut():
    uri = "s3://bucket/" + "a" * 1024 + "/name.json.gz"
    assert uri.removeprefix("s3://bucket/") in markdown_table(("object",), [(uri,)], limit=4000)
