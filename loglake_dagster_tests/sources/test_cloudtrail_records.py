"""CloudTrail records of any shape: rows that give them back, or verbatim rejects; columns made from others."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglake_dagster.kernels.times import to_canonical
from loglake_dagster.lake.source import Wanted
from loglake_dagster.sources.cloudtrail import COLUMNS, SOURCE, rebuild, recount
from loglake_dagster_tests.kernels.shapes import ANY_JSON, TIMES, Pairs, objects_with, text_of
from loglake_dagster_tests.made import compact, decode_one, log_file, record, same_json

FIELDS = [str(column.field).split(".") for column in COLUMNS if column.field]
TOP = sorted({path[0] for path in FIELDS} | {"accountId", "timeWindow", "eventType"})


def members_below(path):
    """JSON objects with the members that the columns know below a path."""
    names = sorted({one[len(path)] for one in FIELDS if one[: len(path)] == path and len(one) > len(path)})
    inner = ANY_JSON
    for name in names:
        if [*path, name] in [one[: len(path) + 1] for one in FIELDS if len(one) > len(path) + 1]:
            inner = inner | members_below([*path, name])
    return objects_with(names, inner)


IDENTITIES = members_below(["userIdentity"])
WINDOWS = objects_with(["windowStart"], ANY_JSON | st.sampled_from(TIMES))
# In place of what becomes a column of its own: a time's two sources, the fields that can be cut, the kinds of events.
MADE_FROM = st.one_of(
    st.tuples(st.just("eventTime"), st.sampled_from(TIMES)),
    st.tuples(st.just("timeWindow"), WINDOWS),
    st.tuples(
        st.sampled_from(["eventType", "EventType"]), st.sampled_from(["AwsCloudTrailInsight", "AwsAggregatedEvent"])
    ),
    st.tuples(st.sampled_from(["requestParameters", "RESPONSEELEMENTS"]), objects_with(["omitted"], ANY_JSON)),
    st.tuples(st.sampled_from(["eventCategory", "eventcategory"]), ANY_JSON),
)
RECORDS = st.tuples(
    st.lists(MADE_FROM, max_size=3),
    st.lists(st.tuples(st.sampled_from([*TOP, "annotation", "EVENTNAME"]), ANY_JSON | IDENTITIES), max_size=5),
    st.lists(st.tuples(st.just("userIdentity"), IDENTITIES), max_size=1),
).map(lambda one: Pairs([*one[0], *one[1], *one[2]]))


def time_of(text):
    """What says when a record happened, None if nothing does: its own time, or the start of its window."""
    members = json.loads(text)
    if any(name.lower() == "eventtime" for name in members):
        return members.get("eventTime")
    window = members.get("timeWindow")
    return window.get("windowStart") if isinstance(window, dict) else None


# Aggregated documents: no time of their own.
AGGREGATED = st.tuples(
    st.tuples(
        st.sampled_from(["timeWindow", "timeWindow", "TimeWindow"]), WINDOWS | st.just({"windowStart": TIMES[1]})
    ),
    st.tuples(st.just("accountId"), ANY_JSON),
    st.lists(MADE_FROM, max_size=1),
).map(lambda one: Pairs([one[0], one[1], *one[2]]))


@given(st.lists(RECORDS | AGGREGATED, max_size=4))
def test_any_json_in_place_of_any_field_is_a_row_that_gives_it_back_or_a_verbatim_reject(records):
    texts = [text_of(one).encode() for one in records]
    rows, account = decode_one(SOURCE, log_file(*texts))
    assert account.found == len(texts)
    for row in rows:
        assert same_json(rebuild(row), json.loads(texts[row["source_ordinal"]]))
        if isinstance(time := time_of(texts[row["source_ordinal"]]), str):
            assert f"{row['eventtime'].isoformat()}Z" == to_canonical(time)
    for reject in account.rejects:
        assert reject.record == texts[reject.ordinal]
        assert (reject.path, reject.expected) in [
            ("$.eventTime", "an ISO-8601 time"),
            ("$.timeWindow.windowStart", "an ISO-8601 time"),
        ]


@pytest.mark.parametrize("field", ["requestParameters", "responseElements", "serviceEventDetails",
                                   "additionalEventData", "edgeDeviceDetails"])  # fmt: skip
@pytest.mark.parametrize(
    ("text", "is_truncated"),
    [
        (b'{"omitted":true}', True),
        (b'{ "reason" : "too long", "omitted" : true }', True),
        (b'{"n":1e400,"omitted":true}', True),
        (b'{"omitted":false}', False),
        (b'{"omitted":"true"}', False),
        (b'{"omitted":1}', False),
        (b'{"items":[{"omitted":true}]}', False),
        (b'[{"omitted":true}]', False),
        (b'"omitted"', False),
        (b'{"omitted":true,"a":' + b"[" * 800 + b"]" * 800 + b"}", True),
        (b"{}", False),
        (b"null", False),
    ],
)
def test_a_field_whose_content_aws_left_out_flags_its_row(field, text, is_truncated):
    data = compact(record())[:-1] + b',"%s":%s}' % (field.encode(), text)
    rows, account = decode_one(SOURCE, log_file(data, record()))
    assert [row["is_truncated"] for row in rows] == [is_truncated, False]
    assert account.rejects == []


@pytest.mark.parametrize(
    ("data", "found", "notes", "error"),
    [
        (compact(record(eventVersion="1.08")), 1, (), None),
        (b"\n".join(compact(record(eventVersion="1.08")) for _ in range(2)), 2, (), None),
        (log_file(record()) + compact(record(eventVersion="1.08")), 2, (), None),
        (compact(record(eventVersion="1.08", Records=None)), 1, (), None),
        (compact(record()), 0, ("no Records array",), None),
        (b'{"awsAccountId":"111122223333","logFiles":[]}', 0, ("no Records array",), None),
        (b'{"eventVersion":"1.08","eventTime":', 0, (), "not a log of records"),
        (b'{"eventVersion":"1.08","Records":{}}', 0, (), "not a log of records"),
    ],
    ids=["alone", "one a line", "after a list", "with a null list", "no version: no record", "a digest", "cut off",
         "a list that is none"],
)  # fmt: skip
def test_a_record_without_an_envelope_is_counted(data, found, notes, error):
    rows, account = decode_one(SOURCE, data)
    assert (account.found, len(rows), account.notes) == (found, found, notes)
    assert account.damage is None
    assert error is None or account.error.reason.startswith(error)
    try:
        assert recount(data, Wanted()).found == found
    except ValueError:
        assert account.error or found == 2


SESSION_JSON = ANY_JSON | st.dictionaries(st.just("sessionId"), ANY_JSON | st.just("a-b-c"))


@given(SESSION_JSON, SESSION_JSON)
def test_any_json_in_the_place_of_a_sessions_name_never_raises(asked, answered):
    data = record(
        eventSource="ssm.amazonaws.com", eventName="StartSession", requestParameters=asked, responseElements=answered
    )
    (row,), _account = decode_one(SOURCE, log_file(data))
    names = [one["sessionId"] for one in (answered, asked) if isinstance(one, dict) and "sessionId" in one]
    texts = [name for name in names if isinstance(name, str) and name]
    expected = tuple(texts[0].rpartition("-")[::2]) if texts else (None, None)
    assert (row["sessionowner"], row["sessionid"]) == expected


@pytest.mark.parametrize(
    "asked",
    [b'{"target":"i-1","n":1e400}', b'{"a":' + b"[" * 800 + b"]" * 800 + b"}"],
    ids=["a number that fits no double", "deep nesting"],
)
def test_odd_parameters_of_a_session_cost_nothing_else(asked):
    text = b'{"eventTime":"2026-03-02T01:02:03Z","eventSource":"ssm.amazonaws.com","eventName":"StartSession",'
    text += b'"requestParameters":' + asked + b',"responseElements":{"sessionId":"ana-1"}}'
    rows, account = decode_one(SOURCE, log_file(text, record()))
    assert [(row["sessionid"], row["requestparameters"]) for row in rows] == [("1", asked.decode()), (None, None)]
    assert account.rejects == []
