"""Subscription documents to rows: every log event is a row, filtered or a reject, whatever the bytes hold."""

import datetime as dt
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglake_dagster.errors import ObjectError
from loglake_dagster.kernels import arrow as arrow_module
from loglake_dagster.kernels import documents as documents_module
from loglake_dagster.kernels.documents import LogGroups, decode_documents
from loglake_dagster.lake.controls import Controls, Rule
from loglake_dagster.lake.source import Damage, Reject, Wanted
from loglake_dagster_tests.kernels.shapes import ANY_JSON
from loglake_dagster_tests.made import (
    ACCOUNT,
    LIMIT,
    TIME_MS,
    compact,
    document,
    error_line,
    log_event,
    member,
    values,
)

SESSION = "ana@example.com-t59j8gpq2ta8hniozstbnphqs8"
TIME = dt.datetime(2026, 3, 2, 1, 2, 3)
PLACE = {"owner": ACCOUNT, "loggroup": "/ssm/sessions", "logstream": SESSION}
EVENT_ID = log_event()["id"]
NOT_A_DOCUMENT = "a CloudWatch Logs document {messageType, owner, logGroup, ...}"
YEARS = "epoch milliseconds of the years 1970 to 2261"
NOT_AN_EVENT = "a log event {id, timestamp in ms, message}"
SOUND_EVENTS = st.fixed_dictionaries(
    {"id": st.just(EVENT_ID), "timestamp": st.integers(0, 2**43), "message": st.text(max_size=5)},
    optional={"extractedFields": st.dictionaries(st.text(max_size=2), st.text(max_size=2)), "new": st.integers()},
)
ANY_EVENTS = SOUND_EVENTS | ANY_JSON | st.dictionaries(
    st.sampled_from(["id", "timestamp", "message", "extractedFields", "x"]), ANY_JSON, max_size=5
)  # fmt: skip


def decode(*objects, wanted=None, limit=LIMIT):
    decoded = decode_documents(objects, wanted or Wanted(), limit)
    rows = decoded.rows.to_pylist()
    for place, account in enumerate(decoded.objects):
        landed = [row["source_ordinal"] for row in rows if row["object_place"] == place]
        rejected = [reject.ordinal for reject in account.rejects]
        assert account.found == len(landed) + sum(account.filtered.values()) + len(rejected)
        assert len({*landed, *rejected}) == len(landed) + len(rejected)
    return rows, decoded.objects


def decode_one(data, **how):
    rows, (account,) = decode(data, **how)
    return rows, account


@given(
    st.lists(st.lists(ANY_EVENTS, max_size=4), max_size=3), st.sampled_from([b"", b"\n", b",", b"\0"]), st.booleans()
)
def test_any_events_are_rows_or_verbatim_rejects(documents, between, is_packed):
    events = [event for one in documents for event in one]
    data = between.join(document(*one) for one in documents) or b" "
    rows, account = decode_one(member(data) if is_packed else data)
    assert (account.error, account.damage, account.found) == (None, None, len(events))
    for row in rows:
        event = events[row["source_ordinal"]]
        assert row["message"] == event["message"]
        assert row["eventid"] == (event.get("id") or None)
        assert row["eventtime"] == dt.datetime(1970, 1, 1) + dt.timedelta(milliseconds=int(event["timestamp"]))
        assert ("extractedFields" in event) == (row["extractedfields"] is not None)
    for reject in account.rejects:
        assert reject.record == compact(events[reject.ordinal])


@given(
    st.dictionaries(
        st.sampled_from(["messageType", "owner", "logGroup", "logStream", "logEvents", "subscriptionFilters", "new"]),
        ANY_JSON,
    )
)
def test_any_json_in_place_of_any_field_of_a_document_never_raises(fields):
    data = compact({**json.loads(document(log_event())), **fields})
    rows, account = decode_one(data + document(log_event("next")))
    assert account.error is None
    assert [row["message"] for row in rows][-1] == "next"


@given(st.binary(max_size=60))
def test_any_bytes_are_an_account_and_never_raise(data):
    decode_one(data)
    decode_one(document(log_event())[:-3] + data)
    decode_one(document(log_event(), data))


@given(st.lists(SOUND_EVENTS, min_size=1, max_size=4))
def test_the_typed_and_the_careful_path_give_equal_tables(events):
    """One bad event makes its document be read event by event; the others' rows stay the same."""
    typed = decode_documents([document(*events)], Wanted(), LIMIT)
    careful = decode_documents([document(*events, 42)], Wanted(), LIMIT)
    assert careful.rows.equals(typed.rows)
    assert len(careful.objects[0].rejects) == len(typed.objects[0].rejects) + 1


def test_a_sound_event_is_a_row_with_its_documents_owner_group_and_stream():
    rows, _account = decode_one(
        document(log_event("two\nlines", extractedFields={"a": "1"}), policyLevel="ACCOUNT_LEVEL_POLICY")
    )
    assert [values(row) for row in rows] == [
        {
            **PLACE,
            "eventid": EVENT_ID,
            "eventtime": TIME,
            "message": "two\nlines",
            "extractedfields": '{"a":"1"}',
            "source_ordinal": 0,
        }
    ]


@pytest.mark.parametrize(
    ("event", "columns"),
    [
        (log_event(id=""), {"eventid": None}),
        ({"timestamp": TIME_MS, "message": ""}, {"eventid": None, "message": ""}),
        (log_event(timestamp=str(TIME_MS)), {"eventtime": TIME}),
        (log_event(timestamp=float(TIME_MS)), {"eventtime": TIME}),
        (log_event(timestamp=str(TIME_MS), extractedFields={"a": "b"}), {"extractedfields": '{"a":"b"}'}),
        (log_event(timestamp=0), {"eventtime": dt.datetime(1970, 1, 1)}),
        (log_event(timestamp=TIME_MS + 7), {"eventtime": TIME.replace(microsecond=7000)}),
        (log_event(id="38" + "9" * 54), {"eventid": "38" + "9" * 54}),
        (log_event("\ud7ff\U0001f600\0\x1b[31m\ufffd\u2028"), {"message": "\ud7ff\U0001f600\0\x1b[31m\ufffd\u2028"}),
        (log_event(extractedFields=None), {"extractedfields": "null"}),
    ],
)
def test_forms_of_events_that_are_tolerated(event, columns):
    (row,), account = decode_one(document(event))
    assert {name: row[name] for name in columns} == columns
    assert account.rejects == []


@pytest.mark.parametrize(
    ("event", "got"),
    [
        (b"3", "Expected `object`, got `int`"),
        (b"null", "Expected `object`, got `null`"),
        (b"{}", "Object missing required field `timestamp`"),
        (compact(log_event(message=None)), "Expected `str`, got `null` - at `$.message`"),
        (compact(log_event(id=38)), "Expected `str`, got `int` - at `$.id`"),
        (compact(log_event(timestamp=True)), "Expected `int | float | str`, got `bool` - at `$.timestamp`"),
        (b'{"timestamp":NaN,"message":"[{"}', "JSON is malformed: invalid character (byte 13)"),
        (
            b'{"timestamp":1,"message":"\xff"}',
            "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
        ),
        (
            b'{"timestamp":1,"message":"m","extractedFields":{"a":"\xff"}}',
            "'utf-8' codec can't decode byte 0xff in position 6: invalid start byte",
        ),
        (
            rb'{"timestamp":1,"message":"\ud800 and more"}',
            "JSON is malformed: unexpected end of escaped utf-16 surrogate pair (byte 32)",
        ),
    ],
)
def test_a_bad_event_costs_itself_and_is_kept_verbatim(event, got):
    rows, account = decode_one(document(log_event("a"), event, log_event("c")))
    assert [(row["source_ordinal"], row["message"]) for row in rows] == [(0, "a"), (2, "c")]
    assert account.rejects == [Reject(1, "$.logEvents[1]", NOT_AN_EVENT, got, event)]


@pytest.mark.parametrize(
    ("event", "got"),
    [
        (b'{"message":"m","timestamp":-1, "id":"1"}', "-1"),
        (b'{"timestamp":9999999999999999,"message":"m"}', "9999999999999999"),
        (compact(log_event(timestamp="soon")), "'soon'"),
        (compact(log_event(timestamp="\uff11")), r"'\uff11'"),
        (compact(log_event(timestamp="")), "''"),
        (compact(log_event(timestamp=1.5)), "1.5"),
    ],
)
def test_an_event_whose_time_is_none_is_kept_verbatim(event, got):
    rows, account = decode_one(document(log_event("a"), event, log_event("c")))
    assert [(row["source_ordinal"], row["message"]) for row in rows] == [(0, "a"), (2, "c")]
    assert account.rejects == [Reject(1, "$.logEvents[1].timestamp", YEARS, got, event)]


@pytest.mark.parametrize(
    ("bad", "got"),
    [
        (b'{"a":1}', "Object missing required field `messageType`"),
        (compact({**json.loads(document()), "owner": None}), "Expected `str`, got `null` - at `$.owner`"),
        (compact({**json.loads(document()), "logEvents": {}}), "Expected `array`, got `object` - at `$.logEvents`"),
        (b"[1]", "3 bytes that are no JSON object"),
        (b"plain words of a session", "24 bytes that are no JSON object"),
        (b'{"messageType":1}', "Expected `str`, got `int` - at `$.messageType`"),
        (b"{nope}", "JSON is malformed: object keys must be strings (byte 1)"),
    ],
)
def test_what_is_no_document_is_one_reject_without_its_words_in_the_message(bad, got):
    """With message extraction on, a piece is what somebody typed: messages never hold it."""
    rows, account = decode_one(document(log_event("a")) + b"\n" + bad + b"\n" + document(log_event("c")))
    assert [(row["source_ordinal"], row["message"]) for row in rows] == [(0, "a"), (2, "c")]
    (reject,) = account.rejects
    assert (reject.ordinal, reject.expected, reject.got, reject.record) == (1, NOT_A_DOCUMENT, got, bad)
    assert reject.path == f"byte {len(document(log_event('a'))) + 1}"


@pytest.mark.parametrize("name", [b"logEvents", rb"log\u0045vents", rb"\u006CogEvent\u0073"])
def test_a_document_with_two_lists_of_events_is_a_reject_because_parsers_see_the_last_alone(name):
    twice = document(log_event("lost"))[:-1] + b',"%s":[' % name + compact(log_event("seen")) + b"]}"
    rows, account = decode_one(document(log_event("a")) + twice)
    assert [row["message"] for row in rows] == ["a"]
    (reject,) = account.rejects
    assert (reject.got, reject.record) == ("more than one `logEvents`", twice)


def test_the_name_of_the_list_of_events_in_a_value_is_no_list():
    rows, account = decode_one(document(log_event('"logEvents"'), log_event("b"), logGroup="logEvents"))
    assert [(row["message"], row["loggroup"]) for row in rows] == [('"logEvents"', "logEvents"), ("b", "logEvents")]
    assert account.rejects == []


def test_message_extraction_leaves_lines_that_are_no_documents():
    rows, account = decode_one(b"one\ntwo [x]\n\nthree\n")
    assert rows == []
    assert [(reject.ordinal, reject.path, reject.record) for reject in account.rejects] == [
        (0, "byte 0", b"one"),
        (1, "byte 4", b"two [x]"),
        (2, "byte 13", b"three"),
    ]
    assert account.error is None


def test_a_document_that_is_cut_off_is_a_reject_and_the_object_is_partly_read():
    rows, account = decode_one(document(log_event("a")) + document(log_event("b"))[:-30])
    assert [row["message"] for row in rows] == ["a"]
    assert [reject.record for reject in account.rejects] == [document(log_event("b"))[:-30]]
    assert account.damage == Damage("the text ends inside a document", 0.0)


def test_control_messages_are_counted_and_are_no_rows():
    control = document(
        log_event("CWL CONTROL MESSAGE: ...", id=""), messageType="CONTROL_MESSAGE", owner="CloudwatchLogs", logGroup=""
    )
    rows, account = decode_one(control + document(log_event()))
    assert len(rows) == 1
    assert (account.found, account.filtered) == (2, {"control_message": 1})


def test_what_controls_drop_is_counted_under_their_name_bad_events_too():
    wanted = Wanted(Controls(log_groups=Rule(deny=("/noisy*",)), accounts=Rule(deny=("9999*",))))
    rows, account = decode_one(
        document(log_event("kept"))
        + document(log_event(), log_event(), logGroup="/noisy/one")
        + document(log_event(), 42, log_event(timestamp=-1), logGroup="/noisy/two")
        + document(log_event(), owner="999900000000"),
        wanted=wanted,
    )
    assert [row["message"] for row in rows] == ["kept"]
    assert (account.found, account.filtered, account.rejects) == (7, {"log_groups": 5, "accounts": 1}, [])


@pytest.mark.parametrize(
    ("roles", "allow", "deny", "verdicts"),
    [
        ({}, (), (), {"/ssm/a": (None, None), "/app/b": (None, None)}),
        ({}, ("/app/*",), (), {"/ssm/a": ("log_groups", None), "/app/b": (None, None)}),
        ({}, (), ("/app/*",), {"/ssm/a": (None, None), "/app/b": ("log_groups", None)}),
        ({"session": ("/ssm/*",)}, (), (), {"/ssm/a": (None, "session"), "/app/b": ("log_groups", None)}),
        ({"session": ("/ssm/*",)}, ("/app/*",), (), {"/ssm/a": (None, "session"), "/app/b": (None, None)}),
        ({"session": ("/ssm/*",)}, ("*",), ("/ssm/*",), {"/ssm/a": ("log_groups", "session"), "/app/b": (None, None)}),
        ({"session": ()}, (), (), {"/ssm/a": (None, None), "/app/b": (None, None)}),
        (
            {"session": ("/ssm/*",), "other": ("/ssm/*", "/app/*")},
            (),
            (),
            {"/ssm/a": (None, "session"), "/app/b": (None, "other"), "/x": ("log_groups", None)},
        ),
    ],
)
def test_a_feed_that_names_roles_keeps_their_groups_alone_and_deny_always_wins(roles, allow, deny, verdicts):
    groups = LogGroups(Wanted(Controls(log_groups=Rule(allow, deny)), roles))
    assert {group: groups.judge(ACCOUNT, group) for group in verdicts} == verdicts


def test_a_denied_account_is_refused_before_its_groups():
    groups = LogGroups(Wanted(Controls(accounts=Rule(allow=("1111*",)), log_groups=Rule(deny=("*",)))))
    assert groups.judge("999900000000", "/x") == ("accounts", None)
    assert groups.judge(ACCOUNT, "/x") == ("log_groups", None)


def test_rows_of_many_objects_stand_in_the_order_of_objects_and_events(monkeypatch):
    monkeypatch.setattr(documents_module, "BATCH_EVENTS", 2)
    objects = [
        member(document(log_event(), log_event())) + member(document(log_event())),
        ObjectError("not allowed"),
        b"",
        document(log_event(), 42, log_event()),
    ]
    rows, accounts = decode(*objects)
    assert [(row["object_place"], row["source_ordinal"]) for row in rows] == [(0, 0), (0, 1), (0, 2), (3, 0), (3, 2)]
    assert [account.error and account.error.reason for account in accounts] == [
        None,
        "not allowed",
        "empty object (0 bytes)",
        None,
    ]


def test_large_events_become_tables_of_bounded_size(monkeypatch):
    """An array of texts overflows at 2 GiB: what waits to become one is bounded by its bytes too."""
    objects = [document(*[log_event(str(n) * 1000) for n in range(9)]), document(log_event("x" * 5000)), document()]
    whole = decode_documents(objects, Wanted(), LIMIT)
    monkeypatch.setattr(arrow_module, "BATCH_BYTES", 3000)
    monkeypatch.setattr(documents_module, "BATCH_BYTES", 3000)
    cut = decode_documents(objects, Wanted(), LIMIT)
    assert cut.rows.combine_chunks().equals(whole.rows.combine_chunks())
    assert cut.objects == whole.objects
    assert [sum(map(len, chunk.to_pylist())) for chunk in cut.rows["message"].chunks] == [*[2000] * 4, 1000, 5000]


def test_a_truncated_last_member_keeps_the_documents_before_the_cut():
    text = b"".join(document(log_event(str(n))) for n in range(200))
    data = member(document(log_event("first"))) + member(text)[:-40]
    rows, account = decode_one(data)
    assert [row["message"] for row in rows][:3] == ["first", "0", "1"]
    assert account.damage == Damage("truncated gzip", 0.0)
    assert len(account.rejects) == 1


# -- error output -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pack",
    [
        member,
        bytes,
        lambda text: member(member(text)),
        lambda text: member(text)[:-8] + member(text)[-8:] + b"\0\n",
        lambda text: text + b"\n",
    ],
    ids=["gzip", "plain", "gzip twice", "padded", "line"],
)
def test_a_line_of_error_output_stands_for_the_documents_of_its_original_record(pack):
    lines = [error_line(pack(document(log_event("a")) + document(log_event("b")))), error_line(pack(document()))]
    rows, account = decode_one(b"".join(lines) + document(log_event("c")))
    assert [(row["source_ordinal"], row["message"]) for row in rows] == [(0, "a"), (1, "b"), (2, "c")]
    assert (account.rejects, account.damage, account.error) == ([], None, None)


@pytest.mark.parametrize(
    ("line", "got"),
    [
        (error_line(b"", rawData="no base64"), "text that is no base64"),
        (error_line(b"", rawData="caf\u00e9"), "text that is no base64"),
        (error_line(b"", rawData=None), "another JSON value"),
        (error_line(b"", rawData=["H4sI"]), "another JSON value"),
        (error_line(b""), "empty object (0 bytes)"),
        (error_line(member(document(log_event()))[:-9]), "truncated gzip"),
        (error_line(b"\x1f\x8b\x08 and no more of it"), "corrupt gzip (invalid deflate block found)"),
        (error_line(member(b"a" * (LIMIT + 1))), "inflates to more than the limit (max_object_bytes)"),
        (error_line(member(b"")), "nothing"),
        (error_line(b" \n "), "nothing"),
    ],
)
def test_a_line_without_a_sound_original_record_is_a_reject_as_it_stands(line, got):
    rows, account = decode_one(error_line(document(log_event("a"))) + line + error_line(document(log_event("c"))))
    assert [(row["source_ordinal"], row["message"]) for row in rows] == [(0, "a"), (2, "c")]
    (reject,) = account.rejects
    assert (reject.ordinal, reject.path, reject.got) == (1, "$.rawData", got)
    assert reject.record == line.rstrip()


def test_an_original_record_that_is_no_document_is_a_reject_and_is_not_looked_into_again():
    nested = error_line(member(document(log_event("inner")))).rstrip()
    rows, account = decode_one(error_line(b"words that somebody put") + error_line(member(nested)))
    assert rows == []
    assert [(one.ordinal, one.expected, one.record) for one in account.rejects] == [
        (0, NOT_A_DOCUMENT, b"words that somebody put"),
        (1, NOT_A_DOCUMENT, nested),
    ]


def test_a_broken_line_of_error_output_costs_itself():
    lines = [error_line(member(document(log_event(name)))) for name in "abc"]
    rows, account = decode_one(lines[0] + lines[1][:-20] + b"\n" + lines[2])
    assert [row["message"] for row in rows] == ["a", "c"]
    assert [reject.record for reject in account.rejects] == [lines[1][:-20] + b"\n"]


@given(st.dictionaries(st.sampled_from(["rawData", "messageType", "logEvents", "errorCode"]), ANY_JSON))
def test_any_json_in_place_of_any_field_of_a_line_never_raises(fields):
    rows, account = decode_one(error_line(document(log_event("a")), **fields) + document(log_event("next")))
    assert account.error is None
    assert [row["message"] for row in rows][-1] == "next"
