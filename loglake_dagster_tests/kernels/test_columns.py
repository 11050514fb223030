"""The compiled columns: whatever the bytes, rows and accounts are those of the readers in Python."""

import datetime as dt
import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loglake_dagster.kernels import columns, hashing
from loglake_dagster.kernels import records as records_module
from loglake_dagster.kernels.columns import ColumnBuilder
from loglake_dagster.lake.controls import Controls, Rule
from loglake_dagster.lake.source import Wanted
from loglake_dagster.sources import cloudtrail
from loglake_dagster_tests.kernels.both_ways import python_only, same_both_ways
from loglake_dagster_tests.kernels.shapes import RECORDS, text_of
from loglake_dagster_tests.kernels.small_decoder import (
    DECODER,
    FLATTENER,
    JUDGED,
    OPEN,
    SOUND,
    TIME,
    WANTEDS,
    decoded,
    log,
    row,
)
from loglake_dagster_tests.made import LIMIT

GOLDEN = Path(__file__).parents[1] / "golden"


@given(st.lists(st.lists(RECORDS, max_size=4), max_size=3), WANTEDS)
def test_objects_of_any_records_are_the_same(objects, wanted):
    decoded(*[log(*map(text_of, records)) for records in objects], wanted=wanted)


@given(st.lists(SOUND, min_size=1), st.booleans(), st.sampled_from([None, 1]), WANTEDS)
def test_sound_records_are_the_same_however_their_text_is_spelt(records, is_ascii, indent, wanted):
    text = json.dumps({"Records": records}, ensure_ascii=is_ascii, indent=indent).encode()
    result = decoded(text, text, wanted=wanted)
    assert result.objects[0].found == len(records)
    assert result.objects[0].rejects == []


@given(st.lists(SOUND, min_size=1, max_size=4), st.data(), WANTEDS)
def test_a_text_with_any_byte_put_in_out_or_over_is_the_same(records, data, wanted):
    text = json.dumps({"Records": records}, ensure_ascii=False).encode()
    start = data.draw(st.integers(0, len(text)))
    gone = data.draw(st.integers(0, 3))
    put = data.draw(
        st.sampled_from([b"", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\0", b"\xff", b"0", b"\\u"])
    )
    decoded(text[:start] + put + text[start + gone :], text, wanted=wanted)


@pytest.mark.parametrize(
    "value",
    [
        "01", "-", "+1", "1.", ".5", "1e", "1e+", "0x1", "1_0", "-0", "1E5", "1.5e-7", "9" * 18, "9" * 19,
        "-" + "9" * 18, "9223372036854775807", "9223372036854775808", "1e400", "tru", "truE", "nul", "nulll", "False",
        "NaN", "Infinity", '"\\x"', '"\\u12"', '"\\u12g4"', '"\\ud800"', '"\\ud800\\u0041"', '"\\udc00"',
        '"\\ud83d\\ude00"', '"a', '"\x7f"', '"\t"', '"\x1f"', '"\\"', "{", "[", "[1,]", '{"a":1,}', '{"a"}', "{a:1}",
        "[1 2]", '{"a":1 "b":2}', "", " 1 ", "[" * 199 + "]" * 199, "[" * 205 + "]" * 205, "[" * 3000 + "]" * 3000,
        '{"a":' * 203 + "1" + "}" * 203, '{"a":1,"a":2}', "[]", "{}", "\ufeff1",
    ],
)  # fmt: skip
def test_values_at_the_edge_of_json_are_the_same(value):
    for name in ("requestParameters", "count", "eventName", "readOnly", "who", "eventTime", "unknown"):
        decoded(log(row(), f'{{{TIME},"{name}":{value}}}', row()), wanted=JUDGED)


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{}", b"[]", b'{"Records":null}', b'{"Records":[]}', b' { "Records" : [ ] } ',
        b'{"Records":[1,"a",null]}', b'{"records":[{}]}', b'{"Rec\\u006frds":[]}', b'{"Records":[],"Records":[]}',
        b'{"Records":[],"x":1}', b'{"x":1,"Records":[]}', b'{"Records":[]}{"Records":[]}', b'{"Records":[]} x',
        b'\xef\xbb\xbf{"Records":[]}', b'{"Records":[]}\0', b'{"Records":[{}', b'{"Records":[{}]',
        b'{"Records":[{},]}', b'{"Records":[,{}]}',
    ],
)  # fmt: skip
def test_texts_at_the_edge_of_the_envelope_are_the_same(text):
    sound = log(row(eventName="a"))
    decoded(sound, text, sound, gzip.compress(text) + gzip.compress(sound))


@pytest.mark.parametrize(
    "time",
    [
        "2026-02-29T00:00:00Z", "2024-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2000-02-29T23:59:59Z",
        "2026-04-31T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-01-00T00:00:00Z",
        "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-01T00:00:60Z", "1969-12-31T23:59:59Z",
        "2260-01-01T00:00:00Z", "2026-01-01t00:00:00Z", "2026-01-01T00:00:00z", "2026-01-01 00:00:00Z",
        "\uff12026-01-01T00:00:00Z", "2026-01-01T00:00:00\\u005a", "", "2026-01-01T00:00:00.123Z",
    ],
)  # fmt: skip
def test_times_are_the_same(time):
    decoded(log(f'{{"eventTime":"{time}","eventName":"a"}}', row(eventName="b")), wanted=JUDGED)


@given(st.dates(dt.date(1970, 1, 1), dt.date(2259, 12, 31)))
def test_every_day_has_its_time(day):
    result = decoded(log(f'{{"eventTime":"{day}T12:34:56Z"}}'))
    assert str(result.rows["time"][0].as_py()) == f"{day} 12:34:56"


@pytest.mark.parametrize(
    "members",
    [
        '"eventName":null', '"readOnly":null', '"count":null', '"who":null', '"who":{"arn":null}',
        '"who":{"tags":null}',
        '"who":{"session":null}', '"who":{"session":{"id":null}}', '"who":{"session":{"issuer":null}}',
        '"who":{"arn":null,"session":{}}', '"eventName":null,"count":null', '"count":null,"eventName":null',
        '"who":{"arn":null,"tags":null}', '"requestParameters":null,"eventName":null,"who":{}', '"eventName": null ',
        '"count":null,"eventName":null,"readOnly":null', '"readOnly":null,"who":null', '"who":null,"readOnly":null',
        '"who":{"arn":null,"session":null},"count":null',
        '"eventName":null,"who":{"arn":null},"requestParameters":null',
        '"who":{"arn":null,"arn":"a"}', '"who":{"arn":nul}', '"eventTime":null', '"wh\u00f6":null',
        '"\u00f6":1,"who":null',
    ],
)  # fmt: skip
def test_nulls_are_the_same_wherever_they_stand(members):
    for wanted in (OPEN, JUDGED):
        decoded(log(f"{{{TIME},{members}}}", row(eventName="a"), row(eventName="\u00e9", readOnly=True)), wanted=wanted)


def test_two_nulls_and_texts_beyond_ascii_are_taken_by_the_compiled_code():
    builder = ColumnBuilder(FLATTENER, "Records", "eventTime", (), None)
    nulls = row(readOnly=None, who={"arn": None}), row(who=None, eventName=None)
    told = builder.add(log(row(eventName=None), *nulls, row(readOnly=True, eventName="\u00e9")), 0, 0)
    assert (told.found, told.odd) == (4, [])
    labels = ["eventName=null", "who={},readOnly=null,who.arn=null", "who=null,eventName=null", None]
    assert builder.finish().table()["emptyfields"].to_pylist() == labels


@pytest.mark.parametrize("wanted", [OPEN, JUDGED], ids=["open", "judged"])
@pytest.mark.parametrize("name", [None, 7, {}, "drop", "Drop", "dr\\u006fp", "x" * 2000, "\0", "drop\0"])
def test_judged_fields_of_any_kind_are_judged_the_same(name, wanted):
    decoded(log(row(eventName=name), row(), row(eventName="drop", unknown=1), row(eventName="drop")), wanted=wanted)


@pytest.mark.parametrize(
    "members",
    [
        '"eventName":"drop","eventName":"keep"', '"eventName":"keep","eventName":"drop"',
        '"eventName":"drop","event\\u004eame":"keep"', '"eventName":"keep","event\\u004eame":"drop"',
        '"eventName":"drop","eventName":null', '"eventName":"drop","who":{"arn":"\\ud800"}',
        '"eventName":"drop","requestParameters":["\\ud800"]', '"eventName":"drop","unknown":"\\udc00"',
        '"eventName":"drop","readOnly":"\\ud800"', '"\\ud800":1,"eventName":"drop"',
        '"eventName":"drop","requestParameters":1,"requestParameters":2', '"eventName":"drop","n\\u0061me":1',
    ],
)  # fmt: skip
def test_what_may_be_judged_in_two_ways_is_judged_by_the_readers(members):
    decoded(log(f"{{{TIME},{members}}}", row(eventName="a")), wanted=JUDGED)


@given(st.binary(max_size=6) | st.text(max_size=3).map(lambda text: text.encode("utf-8", "surrogatepass")))
@example("\u07ff\u0800\uffff\U00010000\U0010ffff".encode())
@example(b"\xf4\x90\x80\x80")
@example(b"\xf0\x8f\xbf\xbf")
@example(b"\xe0\x9f\xbf")
def test_bytes_beyond_ascii_are_the_same(data):
    for room in (b"", b"a" * 9):
        decoded(log(row(eventName="?").encode().replace(b"?", room + data + room)))


@pytest.mark.parametrize("byte", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\x80", "\u00fc".encode()])
def test_what_is_not_utf_8_is_left_wherever_it_stands(byte):
    for text in (row(eventName="?"), row(who={"arn": "a?"}), row(requestParameters={"?": 1}), row(**{"ne?w": 1}), "?"):
        decoded(log(row(eventName="drop"), text.encode().replace(b"?", byte), row(eventName="a")), wanted=JUDGED)


def test_what_a_rule_drops_is_counted_under_its_name():
    (account,) = decoded(log(*[row(eventName=name) for name in ("drop", "", "a", "drop")]), wanted=JUDGED).objects
    assert (account.found, account.filtered) == (4, {"no 'drop'": 2, "no ''": 1})


def test_sound_records_are_taken_by_the_compiled_code_and_others_left():
    builder = ColumnBuilder(FLATTENER, "Records", "eventTime", (), None)
    told = builder.add(log(row(eventName="a"), row(COUNT=1), row(who={}), "7"), 0, 10)
    assert (told.found, [ordinal for ordinal, _start, _end in told.odd]) == (4, [11, 13])
    assert builder.add(b'{"Records":[', 1, 14) is None
    assert builder.add(log(row(eventName="b")) + b"}", 1, 14) is None
    assert builder.add(log(row(eventName="c")), 2, 0).found == 1
    arrays = builder.finish().table()
    assert arrays["name"].to_pylist() == ["a", None, "c"]
    assert arrays["source_ordinal"].to_pylist() == [10, 12, 0]
    assert arrays["object_place"].to_pylist() == [0, 0, 2]
    assert arrays["emptyfields"].to_pylist() == [None, "who={}", None]
    assert builder.finish().table()["name"].to_pylist() == []


@given(st.lists(st.tuples(st.booleans(), st.lists(SOUND, max_size=20)), max_size=6))
def test_texts_that_break_late_take_nothing_back_of_their_neighbours(texts):
    objects = [json.dumps({"Records": records}).encode()[: None if is_whole else -2] for is_whole, records in texts]
    builder = ColumnBuilder(FLATTENER, "Records", "eventTime", (), None)
    taken = [records for (is_whole, records), text in zip(texts, objects, strict=True) if builder.add(text, 0, 0)]
    assert len(taken) == sum(is_whole for is_whole, _records in texts)
    arrays = builder.finish().table()
    arrays.validate(full=True)
    odd = [abs(record.get("count", 0)) >= 10**18 for records in taken for record in records]
    names = [record.get("eventName") for records in taken for record in records]
    assert arrays["name"].to_pylist() == [name for name, is_odd in zip(names, odd, strict=True) if not is_odd]


@given(st.lists(st.lists(RECORDS | SOUND.map(json.dumps), max_size=5), max_size=4), st.booleans(), WANTEDS, st.data())
def test_some_columns_of_some_rows_in_any_order_are_those_of_the_whole_table(objects, is_cut, wanted, data):
    """Of one maker and of several: some records are odd, and text by text a new builder may begin. Of some texts most
    is dropped, of others nothing."""
    texts = [log(*[one if isinstance(one, str) else text_of(one) for one in records]) for records in objects]
    with pytest.MonkeyPatch.context() as patch:
        if is_cut:
            patch.setattr(records_module, "COMPILED_BYTES", max([1, *map(len, texts)]))
        kept = decoded(*texts, wanted=wanted).kept
    whole = kept.table()
    assert whole.column_names == sorted(kept.column_names)
    assert whole.num_rows == kept.num_rows
    names = data.draw(st.lists(st.sampled_from(kept.column_names), min_size=1, unique=True))
    places = data.draw(st.permutations(range(kept.num_rows)))[: data.draw(st.integers(0, kept.num_rows))]
    found = kept.table(names, np.array(places, np.int64))
    assert found.equals(whole.select(names).take(pa.array(places, pa.int64())))
    found.validate(full=True)


@pytest.mark.parametrize(
    ("wanted", "order"),
    [([0], [0, 0]), ([0], [2]), ([0], [-1]), ([0], [0, 1, 0]), ([3], [0]), ([-1], [0]), ([0, 0], [0]), (0, [0])],
)
def test_rows_and_columns_that_are_not_there_or_twice_are_refused(wanted, order):
    builder = columns._columns.Builder(3, 0, 2, [member("eventTime", "time"), member("eventName", "text", 1)])
    assert builder.add(log(row(eventName="a"), row(eventName="b")), "Records", 0, 0, 10, None, None)[0] == 2
    rows = builder.finish()[0]
    with pytest.raises(ValueError, match=r"there|twice|expected"):
        rows.columns(wanted, np.array(order, np.int64))
    assert [one[0] for one in rows.columns([0, 1], np.array([1], np.int64))] == [0, 0]


def test_many_odd_records_make_an_object_the_readers_own(monkeypatch):
    monkeypatch.setattr(columns, "MAX_REJECTS", 3)
    texts = [row(COUNT=n) for n in range(5)]
    builder = ColumnBuilder(FLATTENER, "Records", "eventTime", (), None)
    assert builder.add(log(*texts[:3]), 0, 0).found == 3
    assert builder.add(log(*texts), 0, 0) is None
    decoded(log(*texts), log(row()))


def test_columns_of_texts_are_cut_before_they_are_too_large(monkeypatch):
    objects = [log(*[row(eventName=letter * 1000)] * 3, row(COUNT=1), row(new=[letter])) for letter in "abcde"]
    whole = decoded(*objects)
    monkeypatch.setattr(records_module, "COMPILED_BYTES", 9_000)
    cut = decoded(*objects, b'{"Records":[' + b" " * 9_000 + b"]}")
    assert cut.rows.select(whole.rows.column_names).equals(whole.rows)


@pytest.mark.parametrize("path", sorted((GOLDEN / "cloudtrail").glob("*.in.json")), ids=lambda path: path.name)
@pytest.mark.parametrize("controls", [Controls(), Controls(event_names=Rule(deny=("StartSession", "GetObject")))])
def test_golden_records_are_the_same(path, controls):
    data = path.read_bytes()
    same_both_ways(lambda: cloudtrail.SOURCE.decode([data, gzip.compress(data)], Wanted(controls), LIMIT))


def test_without_the_compiled_code_nothing_is_missing():
    with python_only():
        assert not columns.is_built()
        assert DECODER.decode([log(row(eventName="a"))], OPEN, LIMIT).rows["name"].to_pylist() == ["a"]


TEXTS = st.none() | st.text(max_size=4)
WHOLE = st.none() | st.integers(-(2**63) + 1, 2**63 - 1)


@given(
    st.lists(st.tuples(TEXTS, WHOLE, st.none() | st.booleans(), TEXTS), min_size=1),
    st.integers(0, 5),
    st.integers(1, 9),
)
@example([(None, None, None, None)], 0, 1)
def test_rows_are_joined_as_arrow_joins_them(rows, start, at_once):
    types = (pa.string(), pa.int64(), pa.bool_(), pa.large_string())
    arrays = [
        pa.chunked_array([pa.array(values, kind)]).slice(min(start, len(rows) - 1))
        for values, kind in zip(zip(*rows, strict=True), types, strict=True)
    ]
    joined = list(columns.joined_rows(arrays, at_once))
    assert joined == list(hashing.joined_by_arrow(arrays, at_once))
    assert sum(map(len, joined)) == len(arrays[0])


NUMBERS_GIVEN, TEXTS_GIVEN = (False, False), (False, True)


@pytest.mark.parametrize(
    "given_column",
    [
        (*NUMBERS_GIVEN, 0, False, None, bytes(8), b""), (*NUMBERS_GIVEN, 0, False, bytes(0), bytes(16), b""),
        (*NUMBERS_GIVEN, -1, False, None, bytes(16), b""), (*NUMBERS_GIVEN, 1, False, None, bytes(16), b""),
        (*TEXTS_GIVEN, 0, False, None, bytes(8), b"abc"), (*TEXTS_GIVEN, 0, True, None, bytes(12), b"abc"),
        (*TEXTS_GIVEN, 0, False, None, b"\0\0\0\0\x02\0\0\0\x04\0\0\0", b"abc"),
        (*TEXTS_GIVEN, 0, False, None, b"\x03\0\0\0\0\0\0\0\x03\0\0\0", b"abc"),
    ],
)  # fmt: skip
def test_buffers_that_do_not_hold_their_rows_are_refused(given_column):
    with pytest.raises(ValueError, match="a column's"):
        columns._columns.join_rows(0, 2, [given_column])


def member(name="a", kind="text", column=0, label=-1, judged=-1, inside=None):
    return name, kind, column, label, -1, judged, inside


@pytest.mark.parametrize(
    "shape",
    [
        (0, 0, 0, []), (300, 0, 0, []), (1, 0, 1, []), (1, 0, -1, []), (2, 0, 1, None),
        (2, 0, 1, [member(kind="none")]), (2, 0, 1, [member("")]), (2, 0, 1, [member(column=2)]),
        (2, 0, 1, [member(column=1)]), (2, 0, 1, [member(kind="json")]), (2, 0, 1, [member(judged=9)]),
        (2, 0, 1, [member(kind="node", column=-1)]), (2, 0, 1, [member(kind="json", label=64)]),
    ],
)  # fmt: skip
def test_a_shape_that_columns_cannot_have_is_refused(shape):
    with pytest.raises(ValueError, match=r"expected|not a shape"):
        columns._columns.Builder(*shape)
    assert columns._columns.Builder(2, 0, 1, [member()])


@pytest.mark.parametrize(("verdict", "error"), [(99, ValueError), (-1, ValueError), ("no", TypeError)])
def test_a_verdict_that_is_none_is_the_callers_error(verdict, error):
    builder = columns._columns.Builder(3, 0, 2, [member("eventTime", "time"), member("eventName", "text", 1, -1, 0)])
    with pytest.raises(error):
        builder.add(log(row(eventName="a")), "Records", 0, 0, 10, {}, lambda key: verdict)
