"""Objects of countless bad records: unreadable as a whole, in bounded memory, and their neighbours are untouched."""

import tracemalloc

import pytest

from loglake_dagster.kernels import framing as framing_module
from loglake_dagster.kernels import records as records_module
from loglake_dagster.kernels.documents import decode_documents
from loglake_dagster.kernels.flatten import Flattener
from loglake_dagster.kernels.framing import Documents, Envelope
from loglake_dagster.kernels.messages import StreamMessages
from loglake_dagster.kernels.records import RecordsDecoder
from loglake_dagster.lake import source as source_module
from loglake_dagster.lake.source import Wanted
from loglake_dagster_tests.kernels.shapes import COLUMNS
from loglake_dagster_tests.made import LIMIT, TIME, compact, document, log_event, log_file, member

STREAM = "aws/service/records"
SOUND = {"eventTime": TIME, "eventName": "x"}
REJECTS = 500
REASON = f"more than {REJECTS} of its records cannot be rows"
TEXT_BYTES = 200_000


@pytest.fixture(autouse=True)
def small_bounds(monkeypatch):
    """All bounds at a twentieth, so that a small flood is one."""
    monkeypatch.setattr(source_module, "MAX_REJECTS", REJECTS)
    monkeypatch.setattr(framing_module, "MAX_REJECTS", REJECTS)
    monkeypatch.setattr(records_module, "BATCH_RECORDS", 500)
    monkeypatch.setattr(records_module, "WHOLE_PARSE_RECORDS", 12_500)


def of_stream(*events):
    return document(*events, logStream=STREAM)


def keeps_all(_records, _wanted):
    """A judge."""


FLATTENER = Flattener(COLUMNS)
ENVELOPE = RecordsDecoder(FLATTENER, Envelope("Records"), "eventTime", keeps_all).decode
DOCUMENTS = RecordsDecoder(
    FLATTENER, Documents(lambda wanted: StreamMessages(STREAM, wanted)), "eventTime", keeps_all
).decode
SOUNDS = {ENVELOPE: log_file(SOUND), DOCUMENTS: compact(SOUND), decode_documents: document(log_event())}
LINE = compact(SOUND) + b"\n"


def many(text, between=b","):
    """The text over and over, so that unbounded rejects would take 30 MB."""
    return between.join([text] * max(TEXT_BYTES // len(text + between), REJECTS + 1))


def in_list(text):
    return b'{"Records":[' + compact(SOUND) + b"," + text + b"]}"


def in_document(text, make=document):
    return make(log_event(compact(SOUND).decode()), text)


FLOODS = {
    "numbers": (ENVELOPE, in_list(many(b"1"))),
    "numbers with space": (ENVELOPE, in_list(many(b" 1 "))),
    "empty objects": (ENVELOPE, in_list(many(b"{}"))),
    "objects": (ENVELOPE, in_list(many(b'{"a":1}'))),
    "null times": (ENVELOPE, in_list(many(b'{"eventTime":null,"eventName":"name"}'))),
    "no times": (ENVELOPE, in_list(many(b'{"eventTime":"","x":"0123456789012345678901234567890123456789"}'))),
    "broken objects": (ENVELOPE, in_list(many(b'{"eventName" 1}'))),
    "a list that is cut off": (ENVELOPE, in_list(many(b"1"))[:-2]),
    "lists of one": (ENVELOPE, LINE + many(b"[1]", b"")),
    "lists of none and one": (ENVELOPE, many(b"[]", b"") + in_list(many(b"1"))),
    "members": (ENVELOPE, member(in_list(b"1")) + member(in_list(many(b"1")))),
    "lines": (DOCUMENTS, LINE + many(b"1", b"\n")),
    "lines of objects": (DOCUMENTS, LINE + many(b"{}", b"\n")),
    "objects without a space": (DOCUMENTS, LINE + many(b"{}", b"")),
    "lists": (DOCUMENTS, LINE + many(b"[]", b"")),
    "broken lines": (DOCUMENTS, LINE + many(b"{", b"\n")),
    "members of lines": (DOCUMENTS, member(LINE) + member(many(b"1", b"\n"))),
    "lines of text": (DOCUMENTS, LINE + many(b"words that are no record", b"\n")),
    "log events in a record": (DOCUMENTS, in_document(many(b"1"), of_stream)),
    "messages that are no records": (
        DOCUMENTS,
        in_document(many(compact({"timestamp": 1, "message": "{}"})), of_stream),
    ),
    "log events": (decode_documents, in_document(many(b"1"))),
    "log events that are empty": (decode_documents, in_document(many(b"{}"))),
    "log events without a time": (decode_documents, in_document(many(b'{"timestamp":-1,"message":""}'))),
    "log events of a broken document": (decode_documents, in_document(many(b"1") + b",{nope}")),
    "texts": (decode_documents, document(log_event()) + many(b"1", b"\n")),
    "objects that are no documents": (decode_documents, document(log_event()) + many(b"{}", b"")),
}


def decode_measured(decode, *objects):
    """Decodes them in memory that grows by no more than a share of their text, and a bounded number of rejects."""
    tracemalloc.start()
    try:
        decoded = decode(objects, Wanted(), LIMIT)
        assert tracemalloc.get_traced_memory()[1] < 20 * TEXT_BYTES + (5 << 20)
    finally:
        tracemalloc.stop()
    return decoded


@pytest.mark.parametrize(("decode", "data"), FLOODS.values(), ids=FLOODS)
def test_a_flood_of_bad_records_makes_its_object_unreadable_in_bounded_memory(decode, data):
    """Each bad record would cost hundreds of bytes: 150 times the text of the smallest ones."""
    decoded = decode_measured(decode, SOUNDS[decode], data, SOUNDS[decode])
    before, flooded, after = decoded.objects
    assert (before.found, before.error, after.found, after.error) == (1, None, 1, None)
    assert flooded.error.reason == REASON
    assert (flooded.found, flooded.rejects, flooded.filtered) == (0, [], {})
    assert decoded.rows["object_place"].to_pylist() == [0, 2]


@pytest.mark.parametrize("data", [LINE + many(b"1", b" "), member(LINE) + member(many(b"1", b" "))])
def test_a_line_of_countless_numbers_is_one_reject(data):
    decoded = decode_measured(DOCUMENTS, data)
    (account,) = decoded.objects
    assert (account.found, account.error, len(account.rejects)) == (2, None, 1)


@pytest.mark.parametrize("decode", [ENVELOPE, DOCUMENTS, decode_documents])
def test_an_object_keeps_as_many_rejects_as_are_allowed_and_one_more_gives_it_up(decode, monkeypatch):
    monkeypatch.setattr(source_module, "MAX_REJECTS", 3)
    bad = b'{"a":"a record that is long enough"}'
    makes = {
        ENVELOPE: lambda count: log_file(SOUND, *[bad] * count, SOUND),
        DOCUMENTS: lambda count: b"\n".join([compact(SOUND), *[bad] * count, compact(SOUND)]),
        decode_documents: lambda count: document(log_event(), *[bad] * count, log_event()),
    }
    decoded = decode([makes[decode](3), makes[decode](4), makes[decode](0)], Wanted(), LIMIT)
    assert [(account.found, len(account.rejects)) for account in decoded.objects] == [(5, 3), (0, 0), (2, 0)]
    assert [account.error is None for account in decoded.objects] == [True, False, True]
    assert decoded.rows["object_place"].to_pylist() == [0, 0, 2, 2]
