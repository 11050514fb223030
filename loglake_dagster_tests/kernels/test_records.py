"""Objects of records to rows: every record is a row, filtered or a reject, whatever the bytes hold."""

import datetime as dt
import json
import operator
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglake_dagster.errors import ObjectError
from loglake_dagster.kernels import arrow as arrow_module
from loglake_dagster.kernels import records as records_module
from loglake_dagster.kernels.flatten import Flattener
from loglake_dagster.kernels.framing import Envelope
from loglake_dagster.kernels.records import RecordsDecoder
from loglake_dagster.lake.source import Damage, Wanted
from loglake_dagster_tests.kernels.both_ways import python_only
from loglake_dagster_tests.kernels.shapes import ANY_JSON, COLUMNS, RECORDS, text_of
from loglake_dagster_tests.made import LIMIT, compact, member, same_json

FLATTENER = Flattener(COLUMNS)
TIME = "2026-03-02T01:02:03Z"
SOUND = {"eventTime": TIME, "eventName": "x"}
BAD_TEXTS = [
    b"42", b"null", b"[]", b'"text"', b"{}", b'{"eventTime":7}', b'{"eventTime":"soon"}', b"{1:2}", b'{"a":nope}',
    b'{"a" 1}',
    b'{"eventTime":"2026-03-02T01:02:03Z","eventName":"\xff"}', b'{"eventTime":"2026-03-02T01:02:03Z","x":"\xc3"}',
    rb'{"eventTime":"2026-03-02T01:02:03Z","eventName":"\ud800"}', b'{"eventTime":"2026-03-02T01:02:03Z","x":"a\nb"}',
    b'{"eventTime":"2026-03-02T01:02:03Z","x":' + b"[" * 3000 + b"]" * 3000 + b"}",
]  # fmt: skip


def refused(batch, wanted):
    """A judge: the records named `drop` are dropped by the rule `names`; None when no rule is set."""
    if not wanted.log_groups:
        return None
    return ["names" if record.eventName == "drop" else None for record in batch]


DECODER = RecordsDecoder(FLATTENER, Envelope("Records"), "eventTime", refused)


@pytest.fixture(autouse=True)
def _in_python():
    """These are the readers in Python; test_columns.py holds the compiled columns against them."""
    with python_only():
        yield


DROPPING = Wanted(log_groups={"any": ("*",)})


def log(*texts):
    return b'{"Records":[' + b",".join(texts) + b"]}"


def decode(*objects, wanted=DROPPING, limit=LIMIT):
    decoded = DECODER.decode(objects, wanted, limit)
    rows = decoded.rows.to_pylist()
    for place, account in enumerate(decoded.objects):
        landed = [row["source_ordinal"] for row in rows if row["object_place"] == place]
        rejected = [reject.ordinal for reject in account.rejects]
        assert account.found == len(landed) + sum(account.filtered.values()) + len(rejected)
        assert sorted(landed) == landed
        assert len({*landed, *rejected}) == len(landed) + len(rejected)
    return rows, decoded.objects


def decode_one(data, **how):
    rows, (account,) = decode(data, **how)
    return rows, account


@given(st.lists(RECORDS.map(lambda one: text_of(one).encode()) | st.sampled_from(BAD_TEXTS), max_size=6), st.booleans())
def test_any_records_are_rows_that_give_them_back_filtered_or_verbatim_rejects(texts, is_packed):
    data = log(*texts)
    rows, account = decode_one(member(data) if is_packed else data)
    assert account.error is None
    assert account.damage is None
    assert account.found == len(texts)
    for row in rows:
        assert same_json(FLATTENER.rebuild(row), json.loads(texts[row["source_ordinal"]]))
    for reject in account.rejects:
        assert reject.record == texts[reject.ordinal]


@given(ANY_JSON)
def test_any_json_in_place_of_the_whole_object_is_an_account_and_never_raises(value):
    rows, account = decode_one(compact(value))
    assert account.error is not None or account.found == len(rows) + len(account.rejects)


@given(ANY_JSON)
def test_any_json_in_place_of_the_records_is_an_account_and_never_raises(value):
    rows, account = decode_one(compact({"Records": value}))
    expected = len(value) if isinstance(value, list) else 0
    assert account.found == expected
    assert (account.error is None) == (isinstance(value, list) or value is None)
    assert len(rows) + len(account.rejects) == expected


@given(st.binary(max_size=60))
def test_any_bytes_are_an_account_and_never_raise(data):
    decode_one(data)
    decode_one(b'{"Records":[' + data)
    decode_one(log(compact(SOUND), data, compact(SOUND)))


@given(
    st.lists(st.sampled_from([SOUND, {**SOUND, "who": {"arn": "a"}}, {**SOUND, "count": 2**70, "new": 1}]), max_size=5)
)
def test_the_typed_and_the_careful_path_give_equal_tables(records):
    """One bad record takes the typed parse of the whole object away; the others' rows stay the same."""
    texts = [compact(record) for record in records]
    typed = DECODER.decode([log(*texts)], Wanted(), LIMIT)
    careful = DECODER.decode([log(*texts, b"42")], Wanted(), LIMIT)
    assert careful.rows.equals(typed.rows)
    assert (careful.objects[0].found, len(careful.objects[0].rejects)) == (len(texts) + 1, 1)


def test_rows_of_many_objects_stand_in_the_order_of_objects_and_records(monkeypatch):
    monkeypatch.setattr(records_module, "BATCH_RECORDS", 3)
    objects = [
        log(compact(SOUND), b"42", compact(SOUND)),
        ObjectError("not allowed"),
        log(),
        log(*[compact({**SOUND, "count": n}) for n in range(7)]),
        log(b"7", compact({**SOUND, "eventName": "drop"}), compact(SOUND)),
    ]
    rows, accounts = decode(*objects)
    places = [(row["object_place"], row["source_ordinal"]) for row in rows]
    assert places == [(0, 0), (0, 2), *((3, n) for n in range(7)), (4, 2)]
    assert [account.found for account in accounts] == [3, 0, 0, 7, 3]
    assert [account.filtered for account in accounts] == [{}, {}, {}, {}, {"names": 1}]
    assert [account.error and account.error.reason for account in accounts] == [None, "not allowed", None, None, None]


def test_large_objects_take_batches_and_give_the_same_rows(monkeypatch):
    texts = (
        [compact({**SOUND, "count": n}) for n in range(10)]
        + [b"42"]
        + [compact({**SOUND, "new": n}) for n in range(10)]
    )
    whole = DECODER.decode([log(*texts)], Wanted(), LIMIT)
    monkeypatch.setattr(records_module, "WHOLE_PARSE_BYTES", 10)
    monkeypatch.setattr(records_module, "BATCH_RECORDS", 4)
    batched = DECODER.decode([log(*texts)], Wanted(), LIMIT)
    assert batched.rows.combine_chunks().equals(whole.rows.combine_chunks())
    assert batched.objects == whole.objects


@pytest.mark.parametrize(
    ("bad", "sizes"),
    [
        pytest.param([], [4, 2, 2, 4], id="typed: the records of an object stay together"),
        pytest.param([b"42"], [3, 3, 2, 3, 1], id="careful"),
    ],
)
def test_large_records_become_tables_of_bounded_size(bad, sizes, monkeypatch):
    """An array of texts overflows at 2 GiB: what waits to become one is bounded by its bytes too."""
    counts = [("a", 4), ("b", 1), ("c", 1), ("d", 2), ("e", 4)]
    objects = [log(*[compact({**SOUND, "eventName": letter * 1000})] * count, *bad) for letter, count in counts]
    whole = DECODER.decode(objects, Wanted(), LIMIT)
    monkeypatch.setattr(arrow_module, "BATCH_BYTES", 3300)
    monkeypatch.setattr(records_module, "BATCH_BYTES", 3300)
    cut = DECODER.decode(objects, Wanted(), LIMIT)
    assert cut.rows.combine_chunks().equals(whole.rows.combine_chunks())
    assert cut.objects == whole.objects
    assert [len(chunk) for chunk in cut.rows["name"].chunks] == sizes


def test_records_of_megabytes_take_memory_for_a_batch_of_them_at_a_time():
    """All in one draft they would be in memory thrice."""
    objects = [log(compact({**SOUND, "requestParameters": {"text": "x" * (8 << 20)}})) for _ in range(20)]
    tracemalloc.start()
    try:
        decoded = DECODER.decode(iter(objects), Wanted(), LIMIT)
        assert tracemalloc.get_traced_memory()[1] < 3 * arrow_module.BATCH_BYTES
    finally:
        tracemalloc.stop()
    assert decoded.rows.num_rows == 20
    assert max(chunk.nbytes for chunk in decoded.rows["asked"].chunks) <= arrow_module.BATCH_BYTES


def test_each_reject_says_where_and_why_and_keeps_its_record():
    texts = [
        b"42",
        compact(SOUND),
        b'{"eventName":"no time"}',
        b'{"eventTime":"2026-03-02T01:02:03Z","eventName":"\xff"}',
        b'{"eventTime":"2026-03-02T01:02:03Z", "x":nope}',
        b'{"eventTime":"2026-03-02T01:02:03Z","x":' + b"[" * 3000 + b"]" * 3000 + b"}",
    ]
    rows, account = decode_one(log(*texts))
    assert [row["source_ordinal"] for row in rows] == [1]
    assert [(r.ordinal, r.path, r.expected, r.got) for r in account.rejects] == [
        (0, "$", "a JSON object", "int '42'"),
        (2, "$.eventTime", "an ISO-8601 time", "nothing (missing)"),
        (3, "$", "UTF-8 text", "byte 0xff at byte 49"),
        (4, "$", "well-formed JSON", "JSON is malformed: invalid character (byte 42)"),
        (5, "$", "a record that a JSON parser can nest", "deeper nesting"),
    ]
    assert [reject.record for reject in account.rejects] == [texts[n] for n in (0, 2, 3, 4, 5)]
    assert [str(reject.event_day) for reject in account.rejects] == ["None", "None", "2026-03-02", "None", "None"]


@pytest.mark.parametrize(
    ("text", "day"),
    [
        (rb'{"eventName":"\ud800","eventTime":"2026-03-02T01:02:03Z"}', "2026-03-02"),
        (b'{"eventName":"\xff","eventTime":"2026-03-02T01:02:03+02:00"}', "2026-03-01"),
        (b'{"x":{"eventTime":"2026-03-02T01:02:03Z"},"eventName":"\xff"}', "None"),
        (
            b'{"x":{"eventTime":"2026-03-02T01:02:03Z"},"eventName":"\xff","eventTime":"2026-03-05T00:00:00Z"}',
            "2026-03-05",
        ),
        (b'{"eventTime":"2026-03-02T01:02:03Z","x":nope}', "None"),
        (b'{"eventTime":"2026-03-02T01:02:03Z","x":[}', "None"),
        (b'{"eventTime":"2026-03-02T01:02:03Z"', "None"),
        (b'{"eventTime":["2026-03-02T01:02:03Z"]}', "None"),
        (b'{"eventTime":"1969-03-02T01:02:03Z"}', "None"),
        (b'["eventTime","2026-03-02T01:02:03Z"]', "None"),
    ],
)
def test_a_reject_is_of_the_day_that_its_own_time_names_and_of_none_where_that_is_not_sure(text, day):
    _rows, account = decode_one(log(text))
    assert [str(reject.event_day) for reject in account.rejects] == [day]


@pytest.mark.parametrize(
    "text",
    [
        rb'{"eventTime":"2026-03-02T01:02:03Z","eventName":"\ud800"}',
        rb'{"eventTime":"2026-03-02T01:02:03Z","eventName":"x\udc00y"}',
        rb'{"eventTime":"2026-03-02T01:02:03Z","who":{"arn":"\ud800\u0041"}}',
        rb'{"eventTime":"2026-03-02T01:02:03Z","requestParameters":{"\ud800":1}}',
    ],
)
def test_a_lone_surrogate_is_called_one(text):
    """msgspec's word for it is `Input data was truncated`."""
    _rows, account = decode_one(log(text))
    (reject,) = account.rejects
    assert (reject.expected, reject.got) == ("well-formed JSON", "half of a UTF-16 pair, as in \\ud800")


@pytest.mark.parametrize(
    ("data", "found", "notes"),
    [
        pytest.param(b'{"Records":[]}', 0, (), id="empty"),
        pytest.param(b"{}", 0, ("no Records array",), id="missing"),
        pytest.param(b'{"Records":null}', 0, ("no Records array",), id="null"),
        pytest.param(b'{"other":1}', 0, ("no Records array",), id="another document"),
        pytest.param(b"[]", 0, (), id="an empty array"),
        pytest.param(member(b""), 0, (), id="nothing at all in gzip"),
        pytest.param(b" \n", 0, ("no Records array",), id="space alone"),
        pytest.param(compact([SOUND, SOUND]), 2, (), id="a bare array"),
        pytest.param(b"\xef\xbb\xbf" + log(compact(SOUND)), 1, (), id="byte order mark"),
        pytest.param(b"\xef\xbb\xbf " + compact([SOUND, 3]), 2, (), id="byte order mark, array, bad record"),
        pytest.param(b" \n" + log(compact(SOUND)) + b"\n\n", 1, (), id="space around"),
        pytest.param(b'{"a":[1],"Records":[%s],"z":{}}' % compact(SOUND), 1, (), id="other members"),
        pytest.param(b'{"records":[%s]}' % compact(SOUND), 1, (), id="another case"),
        pytest.param(member(log(compact(SOUND))) * 2, 2, ("2 gzip members",), id="two members"),
        pytest.param(member(member(log(compact(SOUND)))), 1, (), id="gzip in gzip"),
    ],
)
def test_envelopes_that_are_whole(data, found, notes):
    _rows, account = decode_one(data)
    assert (account.found, account.notes, account.damage, account.error) == (found, notes, None, None)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty object (0 bytes)"),
        (b"hello", "not a log of records: expected {\"Records\": [...]}, got b'hello'"),
        (b'{"Records":{}}', 'not a log of records: expected {"Records": [...]}, got b\'{"Records":{}}\''),
        (b'{"Records":7}', 'not a log of records: expected {"Records": [...]}, got b\'{"Records":7}\''),
        (b'{"a":', 'not a log of records: expected {"Records": [...]}, got b\'{"a":\''),
        (b"42", "not a log of records: expected {\"Records\": [...]}, got b'42'"),
        (b"\x1f\x8b\x08", "truncated gzip"),
    ],
)
def test_objects_that_hold_no_list_of_records_are_errors(data, reason):
    _rows, account = decode_one(data)
    assert account.error.reason == reason
    assert account.found == 0


CUT = "the text ends before the list of records does"
STRAY = "text that is no list of records"


@pytest.mark.parametrize(
    ("data", "ordinals", "rejected", "reason"),
    [
        pytest.param(log(compact(SOUND), compact(SOUND))[:-20], [0], 1, CUT, id="cut in a record"),
        pytest.param(log(compact(SOUND), compact(SOUND))[:-2], [0, 1], 0, CUT, id="cut after a record"),
        pytest.param(log(compact(SOUND))[:-1], [0], 0, CUT, id="cut after the list"),
        pytest.param(b'{"Records":[', [], 0, CUT, id="cut before the first record"),
        pytest.param(log(compact(SOUND)) + b"junk", [0], 0, STRAY, id="junk after"),
        pytest.param(b"junk\n" + log(compact(SOUND)), [0], 0, STRAY, id="junk before"),
        pytest.param(log(compact(SOUND)) + b'{"a":1}', [0], 0, STRAY, id="another document after"),
    ],
)
def test_damage_is_said_and_what_is_sound_is_kept(data, ordinals, rejected, reason):
    rows, account = decode_one(data)
    assert [row["source_ordinal"] for row in rows] == ordinals
    assert len(account.rejects) == rejected
    assert account.damage.reason == reason
    assert account.error is None


def test_stray_text_is_sized_as_a_share_of_the_text():
    data = log(compact(SOUND))
    _rows, account = decode_one(data + b"x" * len(data))
    assert account.damage == Damage(STRAY, 0.5)


@pytest.mark.parametrize("between", [b"", b"\n", b"\r\n", b",", b"\0"])
def test_documents_back_to_back_in_one_text_are_all_read(between):
    texts = [log(compact(SOUND)), log(), log(compact({**SOUND, "eventName": "b"}), b"42"), compact([SOUND])]
    rows, account = decode_one(between.join(texts))
    assert [(row["source_ordinal"], row["name"]) for row in rows] == [(0, "x"), (1, "b"), (3, "x")]
    assert (account.found, account.damage, account.error) == (4, None, None)


ONE, TWO = log(compact({**SOUND, "eventName": "a"})), log(compact({**SOUND, "eventName": "b"}), compact(SOUND))


@pytest.mark.parametrize(
    "data",
    [
        ONE[:-1] + b"," + TWO[1:],
        ONE[:-1] + b" ,\n " + TWO[1:],
        ONE[:-1] + b"," + TWO[1:].replace(b"Records", b"records"),
        ONE[:-1].replace(b"Records", b"RECORDS") + b"," + TWO[1:],
        ONE[:-1] + b"," + TWO[1:].replace(b"Records", rb"R\u0065cord\u0073"),
        ONE[:-1].replace(b"Records", rb"\u0052ec\u006Frds") + b"," + TWO[1:],
        ONE[:-1].replace(b"Records", rb"\u0072ecords") + b"," + TWO[1:].replace(b"Records", rb"RECORD\u0053"),
        b'{"Records":[],' + ONE[1:-1] + b',"Records":null,"Records":[],' + TWO[1:],
        ONE[:-1] + b',"x":[],' + TWO[1:-1] + b',"y":[0]}',
        member(ONE[:-1] + b"," + TWO[1:]),
    ],
)
def test_of_several_lists_of_records_in_one_object_all_are_read_and_it_is_noted(data):
    """JSON parsers take the last of two equal names: the records of the first were not even counted."""
    rows, account = decode_one(data)
    assert [(row["source_ordinal"], row["name"]) for row in rows] == [(0, "a"), (1, "b"), (2, "x")]
    assert (account.found, account.damage, account.error) == (3, None, None)
    assert account.notes == ("more than one list of records",)


@pytest.mark.parametrize("name", [b"Records", b"records", rb"R\u0065cords"])
@pytest.mark.parametrize("bad", [[], [b"42"]])
def test_the_name_of_the_list_inside_a_record_is_no_list(name, bad):
    asked = b'{"eventTime":"2026-03-02T01:02:03Z","requestParameters":{"%s":[{"a":"%s"}]},"eventName":"%s"}' % (
        (name,) * 3
    )
    rows, account = decode_one(log(asked, compact(SOUND), *bad))
    assert [row["name"] for row in rows] == [json.loads(b'"%s"' % name), "x"]
    assert (account.found, account.notes, account.damage) == (2 + len(bad), (), None)


@pytest.mark.parametrize(
    ("bad", "rejects"),
    [(compact(SOUND) + b"}", 1), (b"}", 1), (compact(SOUND)[:-1] + b"]}", 1), (b'{"a":"\\"}"}}}}', 1)],
)
def test_a_bracket_too_many_costs_its_record_and_not_its_neighbours(bad, rejects):
    rows, account = decode_one(log(compact(SOUND), bad, compact(SOUND), compact(SOUND)))
    assert [row["source_ordinal"] for row in rows] == [0, 2, 3]
    assert [reject.record for reject in account.rejects] == [bad]
    assert account.found == 4


@pytest.mark.parametrize("bad", [b'{"a":1', b'{"a":"x}', b"[{"])
def test_a_bracket_too_few_costs_what_follows_which_is_kept_as_one_reject_and_said(bad):
    """No reader can tell where such a record ends: what follows may be inside it."""
    data = log(compact(SOUND), bad, compact(SOUND))
    rows, account = decode_one(data)
    assert [row["source_ordinal"] for row in rows] == [0]
    (reject,) = account.rejects
    assert reject.record.startswith(bad + b"," + compact(SOUND))


def test_invalid_utf_8_costs_one_record():
    bad = b'{"eventTime":"2026-03-02T01:02:03Z","eventName":"\xff"}'
    rows, account = decode_one(log(compact(SOUND), bad, compact({**SOUND, "eventName": "\u20ac"})))
    assert [row["name"] for row in rows] == ["x", "\u20ac"]
    assert [reject.record for reject in account.rejects] == [bad]


def test_an_object_over_the_limit_is_an_error_and_the_next_one_is_read():
    rows, accounts = decode(member(log(*[compact(SOUND)] * 100)), member(log(compact(SOUND))), limit=200)
    assert [account.found for account in accounts] == [0, 1]
    assert accounts[0].error.reason == "inflates to more than the limit (max_object_bytes)"
    assert [row["object_place"] for row in rows] == [1]


def test_a_corrupt_member_costs_its_records_and_is_sized():
    packed = [member(log(compact({**SOUND, "eventName": name * 50}))) for name in "abc"]
    broken = packed[1][:-8] + b"\0" * 8
    rows, account = decode_one(packed[0] + broken + packed[2])
    assert [row["name"][0] for row in rows] == ["a", "c"]
    assert account.damage.reason == "corrupt gzip (incorrect checksum found)"
    assert account.damage.lost_share == pytest.approx(len(broken) / sum(map(len, packed)))
    assert account.notes == ("3 gzip members",)


FOREIGN = "not a log of records: expected {\"Records\": [...]}, got b'hello'"


@pytest.mark.parametrize("texts", [(log(compact(SOUND)), b"hello"), (b"hello", log(compact(SOUND)))])
def test_a_member_that_is_no_log_costs_itself_and_not_the_records_of_another(texts):
    """Found by the fuzz run: the object was unreadable, and yet its rows landed; no day with it could be published."""
    rows, account = decode_one(b"".join(map(member, texts)))
    assert [row["name"] for row in rows] == ["x"]
    assert (account.found, account.error) == (1, None)
    assert account.damage == Damage(STRAY, 5 / len(b"".join(texts)))


def test_a_member_that_is_no_log_beside_a_corrupt_one_costs_itself():
    corrupt = member(log(compact(SOUND)))[:-8] + b"\0" * 8
    for data in (b"hello", log(compact(SOUND))), (log(compact(SOUND)), b"hello"):
        rows, account = decode_one(b"".join(map(member, data)) + corrupt)
        assert [row["name"] for row in rows] == ["x"]
        assert (account.found, account.error) == (1, None)
        assert account.damage.reason == "corrupt gzip (incorrect checksum found)"


def test_members_without_any_log_are_an_error():
    _rows, account = decode_one(member(b"hello") + member(b" world") + b"junk")
    assert (account.error.reason, account.found) == (FOREIGN, 0)


@pytest.mark.parametrize("place", [5, 30, 80, -1])
def test_a_text_may_go_on_in_the_next_gzip_member(place):
    """That is what several members mean to gzip; a tool that packs in blocks cuts anywhere."""
    text = log(compact(SOUND), compact({**SOUND, "eventName": "b"}))
    rows, account = decode_one(member(text[:place]) + member(text[place:]))
    assert [row["name"] for row in rows] == ["x", "b"]
    assert (account.damage, account.error, account.notes) == (None, None, ("2 gzip members",))


def test_a_time_with_a_fraction_or_an_offset_is_a_row_and_comes_back():
    record = {**SOUND, "eventTime": "2026-03-02T01:02:03.987+00:30"}
    (row,), account = decode_one(log(compact(record)))
    assert row["time"] == dt.datetime(2026, 3, 2, 0, 32, 3)
    assert FLATTENER.rebuild(row) == record
    assert account.rejects == []


def test_the_same_objects_give_the_same_rows_however_they_are_grouped():
    objects = [log(*[compact({**SOUND, "count": n, "new": n % 2})] * 2, b"1") for n in range(6)]
    together = DECODER.decode(objects, Wanted(), LIMIT).rows.drop_columns("object_place").to_pylist()
    apart = [
        row
        for one in objects
        for row in DECODER.decode([one], Wanted(), LIMIT).rows.drop_columns("object_place").to_pylist()
    ]
    key = operator.itemgetter("count")
    assert sorted(together, key=key) == sorted(apart, key=key)
