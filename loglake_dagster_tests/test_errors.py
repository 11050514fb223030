"""The error tree: facts as attributes, messages that are safe to print, and all of it crosses process borders."""

import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglake_dagster import errors
from loglake_dagster.errors import (
    AuditError,
    CatalogError,
    ConfigError,
    CoverageError,
    LogLakeError,
    ObjectError,
    ObjectExists,
    PublishConflict,
    RecordError,
    StoreError,
    quote,
)

RAISED = [
    (LogLakeError("day: expected YYYY-MM-DD", value="x"), "day: expected YYYY-MM-DD", {"value": "x"}, False),
    (ConfigError("loglake.yaml:3: x", line=3), "loglake.yaml:3: x", {"line": 3}, False),
    (ObjectError("truncated gzip", limit=7), "truncated gzip", {"limit": 7}, False),
    (
        RecordError("$.eventTime", "an ISO-8601 time", "1718 (int)"),
        "$.eventTime: expected an ISO-8601 time, got 1718 (int)",
        {"path": "$.eventTime", "expected": "an ISO-8601 time", "got": "1718 (int)"},
        False,
    ),
    (
        StoreError("s3://b/k: not found", uri="s3://b/k"),
        "s3://b/k: not found",
        {"retryable": False, "uri": "s3://b/k"},
        False,
    ),
    (StoreError("slow", retryable=True), "slow", {"retryable": True}, True),
    (ObjectExists("there", uri="u"), "there", {"retryable": False, "uri": "u"}, False),
    (CatalogError("busy", retryable=True, path="p"), "busy", {"retryable": True, "path": "p"}, True),
    (PublishConflict("again", table="t"), "again", {"retryable": True, "table": "t"}, True),
    (CoverageError("coverage 0.5", ratio=0.5), "coverage 0.5", {"ratio": 0.5}, False),
    (AuditError("disagrees", uri="u"), "disagrees", {"uri": "u"}, False),
]


def kinds(root=LogLakeError):
    return [root, *[kind for below in root.__subclasses__() for kind in kinds(below)]]


def said_by(error):
    return str(error), error.facts, error.retryable, vars(error)


def raise_it(error):
    raise error


@pytest.mark.parametrize(("error", "message", "facts", "retryable"), RAISED, ids=lambda one: type(one).__name__)
def test_an_error_says_its_message_and_carries_its_facts(error, message, facts, retryable):
    assert (str(error), error.message, error.facts, error.retryable) == (message, message, facts, retryable)


@pytest.mark.parametrize("error", [error for error, *_ in RAISED], ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_an_error_pickles_with_all_that_it_says(error, protocol):
    again = pickle.loads(pickle.dumps(error, protocol))
    assert type(again) is type(error)
    assert said_by(again) == said_by(error)


def test_errors_come_out_of_worker_processes_as_they_were_raised():
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        for error, *_ in RAISED:
            caught = pool.submit(raise_it, error).exception(60)
            assert said_by(caught) == said_by(error)


def test_every_error_of_the_tree_is_raised_in_these_tests_and_drawn_in_the_modules_docstring():
    assert {type(error) for error, *_ in RAISED} == set(kinds())
    assert [kind.__name__ for kind in kinds() if kind.__name__ not in errors.__doc__] == []


def test_the_tree_tells_what_to_catch():
    assert issubclass(ObjectExists, StoreError)
    assert issubclass(PublishConflict, CatalogError)
    assert not issubclass(ObjectError, StoreError)
    assert {kind.__bases__ for kind in kinds() if kind.__bases__[0] is Exception} == {(Exception,)}


def test_the_attributes_that_manifests_and_rejects_are_made_from():
    assert ObjectError("empty object (0 bytes)").reason == "empty object (0 bytes)"
    error = RecordError("$.a", "b", "c")
    assert (error.path, error.expected, error.got) == ("$.a", "b", "c")


@pytest.mark.parametrize(
    ("value", "limit", "text"),
    [
        ("abc", 80, "'abc'"),
        (17, 80, "17"),
        ("a" * 100, 20, "'aaaaaaaaaaaaaaaa..."),
        ("\x1b[31m\n\u202e", 80, r"'\x1b[31m\n\u202e'"),
        (b"\xff", 80, r"b'\xff'"),
        ("\ud800", 80, r"'\ud800'"),
    ],
)
def test_a_quoted_value_is_cut_and_safe_to_print(value, limit, text):
    assert quote(value, limit) == text


@given(st.text() | st.binary() | st.integers(), st.integers(10, 100))
def test_a_quoted_value_is_printable_ascii_and_no_longer_than_asked(value, limit):
    text = quote(value, limit)
    assert text.isascii()
    assert text.isprintable()
    assert len(text) <= limit
