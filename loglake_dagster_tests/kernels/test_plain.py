"""The audit's own reading agrees with what was written, by other code than the decoders'."""

import pytest

from loglake_dagster.kernels.plain import plain_documents, plain_member
from loglake_dagster_tests.made import member


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1}\n{"b":2}\n',
        b'{"a":1}{"b":2}',
        b'{\n "a": 1\n}\n{\n "b": 2\n}',
        b'{"a":1},\0{"b":2}',
        member(b'{"a":1}') + member(b'{"b":2}'),
        member(b'{"a":1}') + b"\n" + member(b'{"b":2}'),
        member(member(b'{"a":1}{"b":2}')),
    ],
)
def test_values_back_to_back_in_every_form(data):
    assert list(plain_documents(data)) == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize(
    "data",
    [
        b"words",
        b'{"a":',
        member(b"{}")[:-3],
        b"\xff",
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":1}"words"',
        b'[{"a":1}]',
        b'{"a":1,"b":2,"a":1}',
    ],
)
def test_what_is_not_sound_raises(data):
    with pytest.raises((ValueError, EOFError)):
        list(plain_documents(data))


def test_a_member_may_stand_twice_in_what_is_inside():
    assert list(plain_documents(b'{"a":{"b":1,"b":2},"c":[{"b":1,"b":2}]}')) == [{"a": {"b": 2}, "c": [{"b": 2}]}]


def test_a_member_of_the_name_goes_before_one_that_differs_in_case():
    assert plain_member({"Time": 1, "time": None}, "time") is None
    assert plain_member({"Time": 1, "TIME": 2}, "time") == 2
    assert plain_member({"other": 1}, "time") is None
