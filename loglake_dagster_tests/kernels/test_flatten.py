"""JSON objects to flat columns and back: nothing is lost, whatever stands in a field's place."""

import datetime as dt
import json

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglake_dagster.errors import RecordError
from loglake_dagster.kernels.flatten import Flattener
from loglake_dagster.kernels.times import to_canonical
from loglake_dagster_tests.kernels.shapes import COLUMNS, RECORDS, text_of
from loglake_dagster_tests.made import compact, same_json, values

FLATTENER = Flattener(COLUMNS)
TIME = "2026-03-02T01:02:03Z"
SOUND = st.fixed_dictionaries(
    {"eventTime": st.just(TIME)},
    optional={
        "eventName": st.text(max_size=5),
        "readOnly": st.booleans(),
        "count": st.integers(-(2**63), 2**63 - 1),
        "requestParameters": st.none() | st.dictionaries(st.text(max_size=3), st.integers()) | st.text(max_size=3),
        "who": st.fixed_dictionaries(
            {}, optional={"arn": st.text(max_size=3), "session": st.fixed_dictionaries({}, optional={"id": st.text()})}
        ),
    },
)


def rows_of(*records):
    """The rows of records that are each flattened the careful way."""
    pairs = [FLATTENER.flatten_oddity(one) for one in records]
    arrays = FLATTENER.arrays([record for record, _ in pairs], {n: oddity for n, (_, oddity) in enumerate(pairs)})
    return pa.table(arrays).to_pylist()


def row_of(**fields):
    return values(rows_of(compact({"eventTime": TIME, **fields}))[0])


@given(st.lists(SOUND, max_size=5))
def test_the_typed_path_and_the_careful_path_give_equal_columns(records):
    packed = [compact(record) for record in records]
    typed = FLATTENER.arrays([FLATTENER.decode_record(one) for one in packed], {})
    pairs = [FLATTENER.flatten_oddity(one) for one in packed]
    careful = FLATTENER.arrays([record for record, _ in pairs], {n: oddity for n, (_, oddity) in enumerate(pairs)})
    assert pa.table(typed).equals(pa.table(careful))


@given(SOUND)
def test_a_sound_record_comes_back_from_the_typed_path(record):
    (row,) = pa.table(FLATTENER.arrays([FLATTENER.decode_record(compact(record))], {})).to_pylist()
    assert row["extra"] is None
    assert same_json(FLATTENER.rebuild(row), record)


@given(RECORDS)
def test_any_record_comes_back_from_its_row_or_is_a_record_error(record):
    text = text_of(record).encode()
    time = json.loads(text)["eventTime"]
    if not isinstance(time, str) or to_canonical(time) is None:
        with pytest.raises(RecordError, match=r"^\$\.eventTime: expected an ISO-8601 time, got "):
            rows_of(text)
    else:
        (row,) = rows_of(text)
        assert same_json(FLATTENER.rebuild(row), json.loads(text))


@given(st.lists(RECORDS, min_size=2, max_size=4))
def test_a_record_flattens_the_same_alone_and_beside_others(records):
    packed = []
    for text in (text_of(one).encode() for one in records):
        try:
            packed.append((text, rows_of(text)))
        except RecordError:
            continue
    if packed:
        assert rows_of(*[text for text, _ in packed]) == [row for _, rows in packed for row in rows]


T = {"time": dt.datetime(2026, 3, 2, 1, 2, 3)}


@pytest.mark.parametrize(
    ("fields", "columns"),
    [
        ({}, {}),
        ({"eventName": "x"}, {"name": "x"}),
        ({"eventName": ""}, {"name": ""}),
        ({"eventName": None}, {"emptyfields": "eventName=null"}),
        ({"eventName": 7}, {"name": "7", "extra": '{"eventName":7}'}),
        ({"eventName": 1.50}, {"name": "1.5", "extra": '{"eventName":1.5}'}),
        ({"eventName": {"a": [1]}}, {"name": '{"a":[1]}', "extra": '{"eventName":{"a":[1]}}'}),
        ({"eventName": True}, {"name": "true", "extra": '{"eventName":true}'}),
        ({"EventName": "x"}, {"name": "x", "extra": '{"EventName":"x"}', "emptyfields": "eventName=absent"}),
        ({"eventName": "x", "EVENTNAME": "y"}, {"name": "x", "extra": '{"EVENTNAME":"y"}'}),
        ({"readOnly": "true"}, {"flag": True, "extra": '{"readOnly":"true"}'}),
        ({"readOnly": "False"}, {"flag": False, "extra": '{"readOnly":"False"}'}),
        ({"readOnly": 1}, {"extra": '{"readOnly":1}'}),
        ({"readOnly": None}, {"emptyfields": "readOnly=null"}),
        ({"count": 2**63 - 1}, {"count": 2**63 - 1}),
        ({"count": 2**63}, {"extra": '{"count":9223372036854775808}'}),
        ({"count": 2**64 + 1}, {"extra": '{"count":18446744073709551617}'}),
        ({"count": True}, {"extra": '{"count":true}'}),
        ({"count": "1"}, {"extra": '{"count":"1"}'}),
        ({"requestParameters": None}, {"emptyfields": "requestParameters=null"}),
        ({"requestParameters": {}}, {"asked": "{}"}),
        ({"requestParameters": {"n": 2**64 + 1}}, {"asked": '{"n":18446744073709551617}'}),
        ({"requestParameters": [1, "a"]}, {"asked": '[1,"a"]'}),
        ({"requestParameters": "null"}, {"asked": '"null"'}),
        ({"requestParameters": 0}, {"asked": "0"}),
        ({"requestParameters": False}, {"asked": "false"}),
        ({"unknown": None}, {"extra": '{"unknown":null}'}),
        ({"": {"b": 1}, "a.b": 2}, {"extra": '{"":{"b":1},"a.b":2}'}),
        ({"who": None}, {"emptyfields": "who=null"}),
        ({"who": {}}, {"emptyfields": "who={}"}),
        ({"who": "me"}, {"extra": '{"who":"me"}'}),
        ({"who": []}, {"extra": '{"who":[]}'}),
        ({"who": {"arn": None}}, {"emptyfields": "who={},who.arn=null"}),
        ({"who": {"tags": {}}}, {"who_tags": "{}"}),
        ({"who": {"tags": None}}, {"emptyfields": "who.tags=null"}),
        ({"who": {"session": {}}}, {"emptyfields": "who.session={}"}),
        ({"who": {"session": {"issuer": {"arn": "i"}}}}, {"who_session_issuer_arn": "i"}),
        ({"who": {"new": 1}}, {"extra": '{"who":{"new":1}}', "emptyfields": "who={}"}),
        ({"WHO": {"arn": "x"}}, {"who_arn": "x", "extra": '{"WHO":{"arn":"x"}}', "emptyfields": "who=absent"}),
        (
            {"WHO": {"arn": None, "new": 1}},
            {"extra": '{"WHO":{"arn":null,"new":1}}', "emptyfields": "who={},who=absent"},
        ),
        ({"WHO": None}, {"extra": '{"WHO":null}', "emptyfields": "who=absent"}),
        ({"who": {"SESSION": "x"}}, {"extra": '{"who":{"SESSION":"x"}}', "emptyfields": "who={},who.session=absent"}),
    ],
)
def test_what_stands_in_a_fields_place_shows_in_the_columns_and_comes_back(fields, columns):
    assert row_of(**fields) == {**T, **columns}
    assert same_json(FLATTENER.rebuild(row_of(**fields)), {"eventTime": TIME, **fields})


def test_json_text_is_kept_exactly_as_it_came():
    text = (
        rb'{"eventTime":"2026-03-02T01:02:03Z","requestParameters":{ "a" : 1.0, "b":"\u003c\/", "a":1e2 },"x":  1.10}'
    )
    (row,) = rows_of(text)
    assert row["asked"] == r'{ "a" : 1.0, "b":"\u003c\/", "a":1e2 }'
    assert row["extra"] == '{"x":1.10}'


def test_a_number_that_fits_no_double_is_kept_as_text():
    text = b'{"eventTime":"2026-03-02T01:02:03Z","eventName":1e400,"count":-1e400,"readOnly":1e400,"who":{"arn":2e999}}'
    (row,) = rows_of(text)
    extra = '{"eventName":1e400,"count":-1e400,"readOnly":1e400,"who":{"arn":2e999}}'
    assert values(row) == {**T, "name": "1e400", "who_arn": "2e999", "extra": extra}
    assert same_json(FLATTENER.rebuild(row), json.loads(text))


def test_of_two_members_of_one_name_the_last_one_counts_as_every_json_reader_does():
    typed = b'{"eventName":"a","eventTime":"2026-03-02T01:02:03Z","who":{"arn":"x"},"who":{"tags":1},"eventName":"b"}'
    (row,) = rows_of(typed[:-1] + b',"z":1,"z":2}')
    assert values(row) == {**T, "name": "b", "who_tags": "1", "extra": '{"z":2}'}
    (row,) = pa.table(FLATTENER.arrays([FLATTENER.decode_record(typed)], {})).to_pylist()
    assert values(row) == {**T, "name": "b", "who_tags": "1"}


@pytest.mark.parametrize(
    ("text", "path", "expected", "got"),
    [
        (b"42", "$", "a JSON object", "int '42'"),
        (b"null", "$", "a JSON object", "null 'null'"),
        (b'"text"', "$", "a JSON object", "str '\"text\"'"),
        (b"[1]", "$", "a JSON object", "array '[1]'"),
        (b'{"a":1', "$", "well-formed JSON", "Input data was truncated"),
        (b'{"a":nope}', "$", "well-formed JSON", "JSON is malformed: invalid character (byte 6)"),
        (b'{"a":"\xff"}', "$", "UTF-8 text", "byte 0xff at byte 6"),
        (b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", "$", "a record that a JSON parser can nest", "deeper nesting"),
        (b'{"eventTime":null}', "$.eventTime", "an ISO-8601 time", "null"),
        (b'{"eventTime":1718}', "$.eventTime", "an ISO-8601 time", "1718 (int)"),
        (b'{"eventTime":"yesterday"}', "$.eventTime", "an ISO-8601 time", "'yesterday' (str)"),
        (b'{"eventTime":"1969-12-31T23:59:59Z"}', "$.eventTime", "an ISO-8601 time", "'1969-12-31T23:59:59Z' (str)"),
        (b'{"eventTime":1e400}', "$.eventTime", "an ISO-8601 time", "inf (float)"),
    ],
)
def test_a_record_that_cannot_be_a_row_says_where_and_why(text, path, expected, got):
    with pytest.raises(RecordError) as caught:
        FLATTENER.flatten_oddity(text)
    assert (caught.value.path, caught.value.expected, caught.value.got) == (path, expected, got)


@pytest.mark.parametrize("text", [rb'"\ud800"', rb'"a\ud800b"', rb'"\udc00\ud800"', rb'{"\ud800":1}'])
def test_half_of_a_surrogate_pair_is_no_text_that_any_reader_could_show(text):
    with pytest.raises(RecordError) as caught:
        FLATTENER.flatten_oddity(b'{"requestParameters":' + text + b',"eventTime":"2026-03-02T01:02:03Z"}')
    assert (caught.value.path, caught.value.expected) == ("$", "well-formed JSON")


def test_an_unforeseen_record_is_an_error_of_the_typed_path():
    with pytest.raises(msgspec.DecodeError):
        FLATTENER.decode_record(b'{"unknown":1}')


def test_no_rows_are_columns_of_the_right_types():
    arrays = FLATTENER.arrays([], {})
    assert {name: str(array.type) for name, array in arrays.items()} == {
        "time": "timestamp[ms]",
        "name": "string",
        "flag": "bool",
        "count": "int64",
        "asked": "string",
        "who_arn": "string",
        "who_tags": "string",
        "who_session_id": "string",
        "who_session_issuer_arn": "string",
        "extra": "string",
        "emptyfields": "string",
    }
