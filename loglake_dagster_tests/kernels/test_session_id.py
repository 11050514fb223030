"""Session names: the id is the text after the last hyphen (docs/formats.md 3.2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglake_dagster.kernels.session_id import split_session_id


@pytest.mark.parametrize(
    ("name", "owner", "session"),
    [
        ("Mary-Major-07a16060613c408b5", "Mary-Major", "07a16060613c408b5"),
        ("soclabs-test-t59j8gpq2ta8hniozstbnphqs8", "soclabs-test", "t59j8gpq2ta8hniozstbnphqs8"),
        ("ana.b@example.com-t59j8gpq2ta8hniozstbnphqs8", "ana.b@example.com", "t59j8gpq2ta8hniozstbnphqs8"),
        ("ecs-execute-command-794nnsxobsg4p2hiur6gxu9a9e", "ecs-execute-command", "794nnsxobsg4p2hiur6gxu9a9e"),
        ("a=b,c+d_e-0a7f16060613c408b", "a=b,c+d_e", "0a7f16060613c408b"),
        ("session-I-0123456789abcdef0", "session-I", "0123456789abcdef0"),
        ("nohyphen", "", "nohyphen"),
        ("-x", "", "x"),
        ("x-", "x", ""),
        ("", "", ""),
    ],
)
def test_a_name_is_split_at_its_last_hyphen(name, owner, session):
    assert split_session_id(name) == (owner, session)


@given(st.text(), st.text(st.characters(exclude_characters="-")))
def test_any_owner_and_any_id_without_a_hyphen_come_back(owner, session):
    assert split_session_id(f"{owner}-{session}") == (owner, session)
