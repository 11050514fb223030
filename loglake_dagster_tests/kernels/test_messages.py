"""Records that are messages of log events: which events are records, and that none goes uncounted."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglake_dagster.kernels.messages import StreamMessages
from loglake_dagster.lake.controls import Controls, Rule
from loglake_dagster.lake.source import ObjectAccount, Wanted
from loglake_dagster_tests.kernels.shapes import ANY_JSON
from loglake_dagster_tests.made import ACCOUNT, compact, document, log_event

STREAM, GROUP = "aws/service/records", "/aws/service"


def read(text, controls=None):
    account = ObjectAccount(found=3)
    return StreamMessages(STREAM, Wanted(controls or Controls()))(text, account), account


def of_stream(*events, **fields):
    return document(*events, **{"logGroup": GROUP, "logStream": STREAM, **fields})


def test_messages_of_the_stream_are_records_with_their_places():
    pieces, account = read(of_stream(log_event('{"a":1}'), log_event("caf\u00e9 \U0001f600")))
    assert (pieces.texts, list(pieces.ordinals)) == ([b'{"a":1}', "caf\u00e9 \U0001f600".encode()], [3, 4])
    assert (account.found, account.filtered, account.rejects) == (5, {}, [])


@pytest.mark.parametrize(
    ("text", "controls", "filtered"),
    [
        (of_stream(log_event(), log_event(), logStream="another"), None, {"log_streams": 2}),
        (of_stream(log_event(), messageType="CONTROL_MESSAGE"), None, {"control_message": 1}),
        (of_stream(log_event()), Controls(log_groups=Rule(deny=("/aws/*",))), {"log_groups": 1}),
        (of_stream(log_event()), Controls(accounts=Rule(deny=(ACCOUNT,))), {"accounts": 1}),
        (of_stream(log_event(), 42, logStream="another"), None, {"log_streams": 2}),
        (of_stream(), None, {}),
    ],
)
def test_every_other_log_event_is_counted_and_filtered(text, controls, filtered):
    pieces, account = read(text, controls)
    assert (list(pieces.texts), account.filtered, account.rejects) == ([], filtered, [])
    assert account.found == 3 + sum(filtered.values())


def test_log_groups_that_are_allowed_for_another_source_do_not_take_the_streams_away():
    pieces, _account = read(of_stream(log_event("{}")), Controls(log_groups=Rule(allow=("/ssm/*",))))
    assert pieces.texts == [b"{}"]


def test_a_bad_log_event_is_a_reject_in_its_place():
    pieces, account = read(of_stream(log_event("{}"), 42, log_event("{}")))
    assert (pieces.texts, list(pieces.ordinals), account.found) == ([b"{}", b"{}"], [3, 5], 6)
    assert [(reject.ordinal, reject.path, reject.record) for reject in account.rejects] == [
        (4, "$.logEvents[1]", b"42")
    ]


@pytest.mark.parametrize(
    "text",
    [
        b"{}",
        b"[]",
        b"",
        b'{"a":{"messageType":"DATA_MESSAGE"}}',
        b'{"messageType":7}',
        b'{"messageType":"DATA_MESSAGE","other":1}',
        b'{"messageType":"DATA_MESSAGE","LOGEVENTS":[]}',
        of_stream(log_event("{}"))[:-3],
        compact({"body": json.loads(of_stream(log_event()))}),
    ],
)
def test_what_is_no_whole_document_is_left_alone_and_uncounted(text):
    assert read(text) == (None, ObjectAccount(found=3))


@given(st.lists(ANY_JSON, max_size=4), st.dictionaries(st.sampled_from(["owner", "logGroup", "logStream"]), ANY_JSON))
def test_any_json_anywhere_is_counted_and_never_raises(events, fields):
    pieces, account = read(of_stream(*events, **fields))
    if pieces is not None:
        counted = len(pieces.texts) + len(account.rejects) + sum(account.filtered.values())
        assert account.found == 3 + len(events) == 3 + counted
