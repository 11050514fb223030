"""Identity files: small, exact about what is in them, and never a wrong answer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loglake_dagster.errors import StoreError
from loglake_dagster.io.identity_files import PREFIX_BITS, has_prefix, pack_prefixes, prefixes_of, read_prefixes
from loglake_dagster.lake.manifest import Part

PART = Part(name="part-00000-v.orc", rows=50_000, bytes=1, content_hash="ab")


def firsts(count: int, seed: int = 1) -> np.ndarray:
    """First halves of hashes."""
    return np.random.default_rng(seed).integers(0, 2**64, count, dtype=np.uint64)


@given(st.lists(st.integers(0, 2**64 - 1), max_size=40))
def test_any_prefixes_read_back_and_know_their_hashes(halves):
    some = np.array(halves, np.uint64)
    prefixes = read_prefixes(pack_prefixes(prefixes_of(some), PART), PART)
    assert prefixes.tolist() == sorted({half >> (64 - PREFIX_BITS) for half in halves})
    assert has_prefix(some, prefixes).all()


def test_what_shares_no_prefix_is_told_apart():
    one, other = firsts(5_000), firsts(5_000, seed=2)
    assert not has_prefix(other, prefixes_of(one)).any()
    assert has_prefix(np.concatenate([other[:3], one[:2]]), prefixes_of(one)).tolist() == [False] * 3 + [True] * 2
    assert not has_prefix(one, prefixes_of(firsts(0))).any()


def test_a_row_takes_less_than_four_bytes():
    assert len(pack_prefixes(prefixes_of(firsts(50_000)), PART)) < 50_000 * 3.5


SOUND = pack_prefixes(prefixes_of(firsts(300)), PART)


@settings(max_examples=300, deadline=None)
@given(place=st.integers(0, len(SOUND) - 1), value=st.integers(0, 255), is_cut=st.booleans())
def test_a_damaged_file_is_an_error_and_never_another_answer(place, value, is_cut):
    data = SOUND[:place] if is_cut else SOUND[:place] + bytes([value]) + SOUND[place + 1 :]
    try:
        found = read_prefixes(data, PART)
    except StoreError:
        return
    assert found.tolist() == prefixes_of(firsts(300)).tolist()


def test_a_file_that_is_cut_off_says_so():
    with pytest.raises(StoreError, match=r"^_identities/part-00000-v\.parquet: not a readable identity file: "):
        read_prefixes(SOUND[:-9], PART)


def test_another_parts_file_is_an_error():
    other = Part(name=PART.name, rows=PART.rows, bytes=1, content_hash="cd")
    with pytest.raises(StoreError) as caught:
        read_prefixes(SOUND, other)
    assert str(caught.value) == ("_identities/part-00000-v.parquet: damaged, or not of a part with the content hash cd")
