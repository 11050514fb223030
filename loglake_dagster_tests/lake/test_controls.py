"""Controls: allow and deny, deny wins, and every refusal has the name of its rule."""

import pickle

import pytest

from loglake_dagster.lake.controls import Controls, Rule


@pytest.mark.parametrize(
    ("allow", "deny", "value", "is_admitted"),
    [
        ((), (), "anything", True),
        ((), (), "", True),
        (("111122223333",), (), "111122223333", True),
        (("111122223333",), (), "444455556666", False),
        (("1111*", "4444*"), (), "444455556666", True),
        ((), ("4444*",), "444455556666", False),
        ((), ("4444*",), "111122223333", True),
        (("*",), ("4444*",), "444455556666", False),
        (("444455556666",), ("444455556666",), "444455556666", False),
        (("us-*",), (), "us-gov-west-1", True),
        (("us-*",), (), "US-EAST-1", False),
        (("eu-west-?",), (), "eu-west-10", False),
        (("eu-west-[12]",), (), "eu-west-2", True),
        (("eu-west-[!1]",), (), "eu-west-1", False),
        (("eu",), (), "eu-west-1", False),
        (("a.b",), (), "axb", False),
        (("a*",), (), "a/b\nc", True),
        (("a|b",), (), "a", False),
    ],
)
def test_a_rule_admits_what_some_allow_matches_and_no_deny(allow, deny, value, is_admitted):
    assert Rule(allow, deny).admits(value) is is_admitted


def test_only_a_rule_without_patterns_is_open():
    assert Rule().is_open
    assert not Rule(allow=("*",)).is_open
    assert not Rule(deny=("x",)).is_open


CONTROLS = Controls(
    accounts=Rule(deny=("4444*",)),
    regions=Rule(allow=("eu-*",)),
    keys=Rule(deny=("*/sandbox/*",)),
)


@pytest.mark.parametrize(
    ("key", "account", "region", "refusal"),
    [
        ("a/b.json.gz", "111122223333", "eu-west-1", None),
        ("a/b.json.gz", "444455556666", "eu-west-1", "accounts"),
        ("a/b.json.gz", "111122223333", "us-east-1", "regions"),
        ("a/sandbox/b.json.gz", "111122223333", "eu-west-1", "keys"),
        ("a/sandbox/b.json.gz", "444455556666", "us-east-1", "accounts"),
        ("a/b.json.gz", None, None, None),
        ("a/sandbox/b.json.gz", None, None, "keys"),
    ],
)
def test_an_object_is_refused_under_the_name_of_the_first_rule_that_refuses_it(key, account, region, refusal):
    assert CONTROLS.refusal_of_object(key, account, region) == refusal


def test_facts_name_the_rules_that_are_not_open_and_do_not_depend_on_the_order_of_patterns():
    one = Controls(accounts=Rule(allow=("2", "1"), deny=("3",)))
    other = Controls(accounts=Rule(allow=("1", "2"), deny=("3",)))
    assert one.as_facts() == other.as_facts() == {"accounts": {"allow": ["1", "2"], "deny": ["3"]}}
    assert Controls().as_facts() == {}


def test_controls_cross_process_borders_after_they_were_used():
    CONTROLS.refusal_of_object("a", "444455556666", "eu-west-1")
    again = pickle.loads(pickle.dumps(CONTROLS))
    assert again == CONTROLS
    assert again.refusal_of_object("a", "444455556666", "eu-west-1") == "accounts"
