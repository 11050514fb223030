"""Where one JSON value ends and the next begins."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglake_dagster.kernels.frame import arrays_of_member, split_documents, split_elements, split_lines

NASTY_TEXT = st.text(st.sampled_from('{}[],:"\\ \nax\u20ac\U0001f600'), max_size=12)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | NASTY_TEXT
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NASTY_TEXT, inner, max_size=4), max_leaves=12
)
DOCUMENTS = st.dictionaries(NASTY_TEXT, VALUES, max_size=4) | st.lists(VALUES, max_size=4)
SEPARATORS = st.text(st.sampled_from(" \t\r\n\0,"), max_size=4).map(str.encode) | st.just(b"\xef\xbb\xbf")
STYLES = st.sampled_from(
    [{}, {"separators": (",", ":")}, {"ensure_ascii": False}, {"indent": 1}, {"indent": "\t", "ensure_ascii": False}]
)
SLOW_SECONDS = 10.0


def texts(spans, text):
    return [span.of(text) for span in spans]


@given(st.lists(DOCUMENTS, max_size=6), st.lists(SEPARATORS, min_size=7, max_size=7), STYLES)
def test_any_documents_joined_by_any_allowed_separator_split_back(documents, separators, style):
    packed = [json.dumps(one, **style).encode() for one in documents]
    text = separators[-1] + b"".join(
        one + separator for one, separator in zip(packed, separators[: len(packed)], strict=True)
    )
    spans = list(split_documents(text))
    assert texts(spans, text) == packed
    assert all(span.is_whole for span in spans)


@given(st.lists(DOCUMENTS, min_size=1, max_size=4), STYLES, st.data())
def test_a_cut_costs_only_the_document_that_it_falls_into(documents, style, data):
    packed = [json.dumps(one, **style).encode() for one in documents]
    cut = data.draw(st.integers(1, len(packed[-1]) - 1))
    text = b"".join(packed)[:-cut]
    *before, last = split_documents(text)
    assert texts(before, text) == packed[:-1]
    assert all(span.is_whole for span in before)
    assert (last.of(text), last.is_whole) == (packed[-1][:-cut], False)


@given(st.lists(DOCUMENTS, max_size=4), STYLES, st.sampled_from([b"\n", b"\r\n", b"", b", ", b"\0"]))
def test_sound_documents_split_by_line_as_they_do_without(documents, style, between):
    text = between.join(json.dumps(one, **style).encode() for one in documents)
    assert list(split_lines(text)) == list(split_documents(text))


OBJECTS = st.dictionaries(NASTY_TEXT, VALUES, max_size=4).map(lambda one: json.dumps(one).encode())


@given(st.lists(OBJECTS, max_size=3), OBJECTS, st.lists(OBJECTS, min_size=1, max_size=3), st.data())
def test_a_line_that_is_cut_off_costs_itself_and_not_the_lines_after_it(before, broken, after, data):
    cut = broken[: data.draw(st.integers(1, len(broken) - 1))]
    text = b"\n".join([*before, cut, *after])
    found = texts(split_lines(text), text)
    assert found[: len(before)] == before
    assert found[len(found) - len(after) :] == after
    assert b"".join(found[len(before) : len(found) - len(after)]).strip() == cut.strip()


@given(st.lists(VALUES, max_size=6), STYLES, st.binary(max_size=3).filter(lambda one: b"[" not in one))
def test_the_elements_of_any_array_split_back(elements, style, before):
    text = before + json.dumps(elements, **style).encode() + b" , {} ]"
    spans = list(split_elements(text, len(before)))
    assert [json.loads(one) for one in texts(spans, text)] == elements
    assert all(span.is_whole for span in spans)


@given(st.lists(VALUES, min_size=1, max_size=4), st.data())
def test_a_cut_costs_only_the_element_that_it_falls_into(elements, data):
    packed = [json.dumps(one).encode() for one in elements]
    text = b"[" + b",".join(packed)
    cut = data.draw(st.integers(0, len(packed[-1]) - 1))
    text = text[: len(text) - cut]
    *before, last = split_elements(text, 0)
    assert texts(before, text) == packed[:-1]
    assert (last.of(text), last.is_whole) == (packed[-1][: len(packed[-1]) - cut].rstrip(), False)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        (b"", []),
        (b" \n\0,", []),
        (b"{}{}", [b"{}", b"{}"]),
        (b"hello\nworld\n", [b"hello", b"world"]),
        (b'hello {"a":1} bye', [b"hello ", b'{"a":1}', b"bye"]),
        (b"[1,2] {}", [b"[1,2]", b"{}"]),
        (b"1 2\n3", [b"1 2", b"3"]),
        (b'{"a":"}"}x', [b'{"a":"}"}', b"x"]),
        (b'{"a":"\\"}"}{}', [b'{"a":"\\"}"}', b"{}"]),
        (b'{"a":"\\\\"}{}', [b'{"a":"\\\\"}', b"{}"]),
        (b"}}{}", [b"}}", b"{}"]),
    ],
)
def test_what_is_no_document_is_a_piece_of_its_own_and_its_neighbours_stay(text, pieces):
    assert texts(split_documents(text), text) == pieces


@pytest.mark.parametrize(
    ("text", "elements"),
    [
        (b"[]", []),
        (b"[ \n ]", []),
        (b"[1]", [b"1"]),
        (b'[ {"a":[1,2]} , 2 ,\n"x,y" ]', [b'{"a":[1,2]}', b"2", b'"x,y"']),
        (b"[1,,2]", [b"1", b"2"]),
        (b'[{"a":nonsense 1.2.3},{"b":2}]', [b'{"a":nonsense 1.2.3}', b'{"b":2}']),
        (b'[{"a":1}},{"b":2}]', [b'{"a":1}}', b'{"b":2}']),
        (b'[}},{"b":2}]', [b"}}", b'{"b":2}']),
    ],
)
def test_an_element_that_is_wrong_inside_costs_itself(text, elements):
    assert texts(split_elements(text, 0), text) == elements


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (b'{"Records":[1]}', 11),
        (b'{"Records" : [1]}', 13),
        (b'{"a":{"Records":[2]},"b":["Records",[3]],"Records":[1]}', 51),
        (b'{"a":"Records","Records":[1]}', 25),
        (b'{"a":"\\"Records\\":[","Records":[1]}', 31),
        (b'{"records":[1]}', 11),
        (b'{"Records":{"a":[1]}}', None),
        (b'{"Records":"[1]"}', None),
        (b'{"Other":[1]}', None),
        (b"{}", None),
        (b"", None),
        (b'"Records":[1]', None),
    ],
)
def test_the_array_of_a_member_is_found_in_the_outermost_object_only(text, place):
    assert next(arrays_of_member(text, b"Records"), None) == place


UNSOUND = {
    "quotes that open strings": b'{"a":"',
    "brackets and quotes": b'[{"',
    "escaped quotes, the last escape cut": b'"\\',
    "escaped quotes": b'\\"',
    "backslashes": b"\\",
    "bare text and documents": b"x{}",
    "bare lines": b"x\n",
    "closing brackets": b"}",
    "opening brackets": b"[",
    "NULs": b"\0",
}


@pytest.mark.parametrize("piece", UNSOUND.values(), ids=UNSOUND.keys())
@pytest.mark.parametrize("before", [b"", b'[{"a":"'], ids=["alone", "inside a string"])
def test_unsound_text_of_any_kind_takes_linear_time(before, piece):
    text = before + piece * 100_000
    start = time.perf_counter()
    assert sum(span.end - span.start for span in split_documents(text)) <= len(text)
    assert sum(span.end - span.start for span in split_elements(text, 0)) <= len(text)
    list(arrays_of_member(text, b"Records"))
    assert time.perf_counter() - start < SLOW_SECONDS


UNSOUND_LINES = {
    **UNSOUND,
    "lines that open objects": b"{\n",
    "lines that open objects and strings": b'{"\n',
    "lines that close what an earlier one opened": b'{"\n{"}}\n',
}


@pytest.mark.parametrize("piece", UNSOUND_LINES.values(), ids=UNSOUND_LINES.keys())
def test_unsound_lines_of_any_kind_take_linear_time(piece):
    text = piece * 100_000
    start = time.perf_counter()
    assert sum(span.end - span.start for span in split_lines(text)) <= len(text)
    assert time.perf_counter() - start < SLOW_SECONDS
