"""Records that are documents of their own: one alone, one a line, concatenated, pretty-printed, and broken ones."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglake_dagster.errors import ObjectError, RecordError
from loglake_dagster.kernels.flatten import Flattener
from loglake_dagster.kernels.framing import Documents, Envelope, Pieces
from loglake_dagster.kernels.records import RecordsDecoder
from loglake_dagster.lake.source import Damage, ObjectAccount, Wanted
from loglake_dagster_tests.kernels.shapes import ANY_JSON, COLUMNS, RECORDS, text_of
from loglake_dagster_tests.made import LIMIT, TIME, compact, member, same_json

FLATTENER = Flattener(COLUMNS)
SOUND = {"eventTime": TIME, "eventName": "x"}
REFUSED = RecordError("$.eventName", "another name", "'refuse'")


def judge(records, _wanted):
    return [{"drop": "names", "refuse": REFUSED}.get(record.eventName) for record in records]


def numbered(count):
    return [compact({**SOUND, "count": n}) for n in range(count)]


def decode_one(data, framing=None, limit=LIMIT):
    decoded = RecordsDecoder(FLATTENER, framing or Documents(), "eventTime", judge).decode([data], Wanted(), limit)
    rows, (account,) = decoded.rows.to_pylist(), decoded.objects
    rejected = [reject.ordinal for reject in account.rejects]
    assert account.found == len(rows) + sum(account.filtered.values()) + len(rejected)
    assert len({*rejected, *(row["source_ordinal"] for row in rows)}) == len(rejected) + len(rows)
    return rows, account


FORMS = {
    "one a line": b"\n".join(numbered(3)) + b"\n",
    "lines with a carriage return": b"\r\n".join(numbered(3)) + b"\r\n",
    "empty lines between": b"\n\n".join(numbered(3)),
    "concatenated": b"".join(numbered(3)),
    "commas between": b",\n".join(numbered(3)),
    "NULs between": b"\0".join(numbered(3)),
    "byte order mark": b"\xef\xbb\xbf" + b"\n".join(numbered(3)),
    "pretty-printed": b"\n".join(json.dumps(json.loads(one), indent=2).encode() for one in numbered(3)),
    "pretty-printed, concatenated": b"".join(json.dumps(json.loads(one), indent=2).encode() for one in numbered(3)),
    "gzip": member(b"\n".join(numbered(3))),
    "a member a record": b"".join(map(member, numbered(3))),
}


@pytest.mark.parametrize("data", FORMS.values(), ids=FORMS)
def test_every_form_gives_the_same_rows(data):
    rows, account = decode_one(data)
    assert [(row["source_ordinal"], row["count"]) for row in rows] == [(0, 0), (1, 1), (2, 2)]
    assert (account.damage, account.error, account.rejects, account.notes) == (None, None, [], ())


def test_one_object_alone_is_one_record():
    assert [row["count"] for row in decode_one(json.dumps({**SOUND, "count": 7}, indent=1).encode())[0]] == [7]


TEXTS = RECORDS.map(lambda one: text_of(one).encode())


@given(st.lists(TEXTS, max_size=5), st.sampled_from([b"\n", b"", b" ", b"\n,"]), st.booleans())
def test_any_records_are_rows_that_give_them_back_or_verbatim_rejects(texts, between, is_packed):
    data = between.join(texts) or b" "
    rows, account = decode_one(member(data) if is_packed else data)
    assert (account.error, account.damage, account.found) == (None, None, len(texts))
    for row in rows:
        assert same_json(FLATTENER.rebuild(row), json.loads(texts[row["source_ordinal"]]))
    for reject in account.rejects:
        assert reject.record == texts[reject.ordinal]


@given(st.binary(max_size=60))
def test_any_bytes_are_an_account_and_never_raise(data):
    decode_one(data)
    decode_one(compact(SOUND) + data)
    rows, _account = decode_one(compact(SOUND) + b"\n" + data.replace(b"\n", b"") + b"\n" + compact(SOUND))
    assert rows[0]["name"] == "x"


@given(st.lists(ANY_JSON, min_size=1, max_size=4))
def test_any_json_in_place_of_a_record_is_an_account(values):
    rows, account = decode_one(b"\n".join([compact(SOUND), *map(compact, values)]))
    assert account.found == 1 + len(values)
    assert rows[0]["name"] == "x"


BROKEN = {
    "no JSON": b'{"a":nope}',
    "a bracket too few": b'{"a":{"b":1}',
    "a quote too few": b'{"a":"b}',
    "a quote and brackets too few": b'{"a":[{"b":"',
    "not UTF-8": compact(SOUND)[:-2] + b'\xff"}',
    "a number": b"42",
    "an array": b'[{"eventTime":1}]',
    "words": b"words and no JSON",
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_a_broken_line_costs_itself_and_is_kept_verbatim(broken, line_end):
    first, last = numbered(2)
    rows, account = decode_one(line_end.join([first, broken, last, b""]))
    assert [(row["source_ordinal"], row["count"]) for row in rows] == [(0, 0), (2, 1)]
    assert [(reject.ordinal, reject.record) for reject in account.rejects] == [(1, broken)]
    assert account.damage is None


def test_a_broken_line_between_pretty_printed_ones_costs_itself():
    first, last = (json.dumps(json.loads(one), indent=2).encode() for one in numbered(2))
    rows, account = decode_one(b"\n".join([first, b'{"a":"', last]))
    assert [row["count"] for row in rows] == [0, 1]
    assert [reject.record for reject in account.rejects] == [b'{"a":"']


def test_a_truncated_last_record_is_a_reject_and_damage():
    first, last = numbered(2)
    for data in (first + b"\n" + last[:-3], first + last[:-3], member(first) + member(last[:-3])):
        rows, account = decode_one(data)
        assert [row["count"] for row in rows] == [0]
        assert [(reject.ordinal, reject.record) for reject in account.rejects] == [(1, last[:-3])]
        assert account.damage == Damage("the text ends inside a document", 0.0)


@pytest.mark.parametrize(
    ("data", "got"),
    [
        (b"<Error><Code>AccessDenied</Code></Error>", "40 bytes that begin with b'<'"),
        (b'"what somebody typed"', "21 bytes that begin with b'\"'"),
        (b"[1, 2]", "6 bytes that begin with b'['"),
        (member(b"a\nb"), "2 bytes that begin with b'a'"),
    ],
)
def test_an_object_without_any_json_object_is_an_error_that_quotes_nothing(data, got):
    rows, account = decode_one(data)
    assert (rows, account.found) == ([], 0)
    assert account.error.reason == f"not a log of records: expected JSON objects, got {got}"


@pytest.mark.parametrize("stray", [b"\x0b", b"\x0c"])
def test_a_reject_has_its_bytes_even_if_python_calls_them_space(stray):
    _rows, account = decode_one(compact(SOUND) + b"\n" + stray)
    assert [(reject.record, reject.got) for reject in account.rejects] == [(stray, "1 bytes that are none")]


def test_what_is_no_json_object_is_a_reject_without_its_words_in_the_message():
    _rows, account = decode_one(compact(SOUND) + b'\n"what somebody typed"\n')
    (reject,) = account.rejects
    assert (reject.path, reject.expected, reject.got) == ("$", "a JSON object", "21 bytes that are none")
    assert reject.record == b'"what somebody typed"'


def test_a_judge_drops_or_refuses_records_and_each_is_accounted():
    texts = [compact({**SOUND, "eventName": name}) for name in ("x", "drop", "refuse", "drop")]
    (row,), account = decode_one(b"\n".join([*texts, compact({**SOUND, "eventName": "refuse", "new": 1})]))
    assert row["source_ordinal"] == 0
    assert account.filtered == {"names": 2}
    assert [(reject.ordinal, reject.path, reject.got) for reject in account.rejects] == [
        (2, "$.eventName", "'refuse'"),
        (4, "$.eventName", "'refuse'"),
    ]
    assert account.rejects[0].record == texts[2]
    assert str(account.rejects[0].event_day) == TIME[:10]


def unwrapper(wanted):
    """Looks into `{"wrapped": [...]}`: what is `null` there is filtered, the rest are records."""

    def unwrap(piece, account):
        if not piece.startswith(b'{"wrapped"'):
            return None
        found = Pieces([], [])
        for one in json.loads(piece)["wrapped"]:
            if one is None:
                account.filtered["nulls"] = account.filtered.get("nulls", 0) + 1
            else:
                found.texts.append(compact(one))
                found.ordinals.append(account.found)
            account.found += 1
        return found

    assert wanted == Wanted()
    return unwrap


def test_records_in_a_wrapper_keep_their_places_over_everything_that_was_found():
    data = b"\n".join([*numbered(1), compact({"wrapped": [None, SOUND, 7, None, SOUND]}), compact(SOUND)])
    rows, account = decode_one(data, Documents(unwrapper))
    assert [row["source_ordinal"] for row in rows] == [0, 2, 5, 6]
    assert (account.found, account.filtered) == (7, {"nulls": 2})
    assert [(reject.ordinal, reject.record) for reject in account.rejects] == [(3, b"7")]


@pytest.mark.parametrize("framing", [Envelope("Records"), Documents()])
def test_every_framing_counts_what_it_cuts(framing):
    texts = numbered(3)
    data = b"\n".join(texts) if isinstance(framing, Documents) else b'{"Records":[' + b",".join(texts) + b"]}"
    account = ObjectAccount(found=4)
    pieces = framing.splitter(Wanted())(data, account)
    assert (list(pieces.texts), list(pieces.ordinals), account.found) == (texts, [4, 5, 6], 7)
    assert framing.parser(dict)(data) == [json.loads(text) for text in texts]


def test_both_framings_say_that_a_foreign_object_is_none():
    for framing in (Envelope("Records"), Documents()):
        with pytest.raises(ObjectError, match="not a log of records: expected"):
            framing.splitter(Wanted())(b"<html>", ObjectAccount())
