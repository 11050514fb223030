"""What a StartSession asked for, in every shape that requestParameters has come in."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglake_dagster.sessions.request import Request, read_request


@pytest.mark.parametrize(
    ("text", "request_"),
    [
        (None, Request()),
        ("null", Request()),
        ("{}", Request()),
        ("[1]", Request()),
        ('"words"', Request()),
        ("{broken", Request()),
        ('{"target":"i-1","documentName":"Doc","reason":"why","parameters":{"portNumber":["22"]}}',
         Request("i-1", "Doc", "why", '{"portNumber":["22"]}')),
        ('{"target":null,"reason":""}', Request(None, None, "", None)),
        ('{"target":5,"reason":["a", 1]}', Request("5", None, '["a", 1]', None)),
        ('{"reason":"a\\nb \\u00e4"}', Request(None, None, "a\nb \u00e4", None)),
        ('{"parameters":{"n":[1e400,12345678901234567890]}}',
         Request(parameters='{"n":[1e400,12345678901234567890]}')),
    ],
)  # fmt: skip
def test_fields_are_found_in_every_shape(text, request_):
    assert read_request(text) == request_


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda one: st.lists(one, max_size=3)))
def test_any_value_is_text_and_never_an_error(value):
    text = json.dumps({"target": value, "reason": value, "parameters": value})
    for one in read_request(text):
        assert one is None or one.encode().decode() == one
