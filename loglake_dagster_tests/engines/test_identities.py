"""Identities in a file say what they say in memory; and which copies lose."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglake_dagster.engines.identities import Identities, lost_copies, repeated_values, store_identities
from loglake_dagster.engines.lookup import find_lost
from loglake_dagster.lake.manifest import ObjectEntry
from loglake_dagster.lake.partition import ONE_DAY, day_start
from loglake_dagster_tests.made import DAY


def made(count: int) -> Identities:
    random = np.random.default_rng(7)
    return Identities(
        hashes=random.integers(0, 2**64, (count, 2), dtype=np.uint64),
        rows=np.sort(random.permutation(3 * count)[:count]).astype(np.int32),
        objects=random.integers(0, 3, count).astype(np.int32),
        ordinals=random.integers(0, 2**40, count),
        uris=["file:///a%20b", "s3://bucket/ä", "c"],
    )


@pytest.mark.parametrize("count", [0, 1, 5_000])
def test_stored_identities_are_the_same(tmp_path: Path, count: int) -> None:
    found = made(count)
    stored = store_identities(tmp_path / "some.rows", found)
    assert stored.firsts().tolist() == found.firsts().tolist()
    for places in (np.arange(count), np.arange(count)[::7], np.zeros(0, np.int64)):
        one, other = stored.chosen(places), found.chosen(places)
        assert [one.uris[place] for place in one.objects] == [other.uris[place] for place in other.objects]
        for name in ("hashes", "rows", "ordinals"):
            assert getattr(one, name).tolist() == getattr(other, name).tolist()
            assert getattr(one, name).dtype == getattr(found, name).dtype


def test_a_row_waits_in_32_bytes(tmp_path: Path) -> None:
    stored = store_identities(tmp_path / "some.rows", made(50_000))
    assert stored.path.stat().st_size < 50_000 * 32.1


@given(st.lists(st.integers(0, 9)))
def test_repeated_values_are_those_that_occur_twice(values: list[int]) -> None:
    expected = sorted(value for value, count in Counter(values).items() if count > 1)
    assert repeated_values(np.array(values, np.uint64)).tolist() == expected


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2), st.integers(0, 3)), unique=True))
def test_of_copies_the_first_delivered_stays(rows: list[tuple[int, int, int, int]]) -> None:
    """Whatever the order that they are given in."""
    best: dict[tuple[int, int], tuple[int, int]] = {}
    for high, low, rank, ordinal in rows:
        best[high, low] = min(best.get((high, low), (9, 9)), (rank, ordinal))
    columns = np.array(rows, np.int64).reshape(-1, 4)
    lost = lost_copies(columns[:, :2].astype(np.uint64), columns[:, 2], columns[:, 3]).tolist()
    assert len(set(lost)) == len(lost)
    assert sorted(rows[n] for n in range(len(rows)) if n not in lost) == sorted((*key, *best[key]) for key in best)


def test_stored_identities_and_those_in_memory_are_compared_alike(tmp_path: Path) -> None:
    """A base part's are in memory, a new part's in a file; pieces without any are passed over."""
    entries = [
        ObjectEntry(uri=uri, feed="f", size=1, etag="", delivery_day=DAY, delivery_time=time)
        for uri, time in (("early", day_start(DAY)), ("late", day_start(DAY) + ONE_DAY))
    ]
    hashes = np.random.default_rng(1).integers(0, 2**64, (6, 2), dtype=np.uint64)

    def piece(uri: str, places: list[int]) -> Identities:
        count = len(places)
        rows = np.arange(10, 10 + count, dtype=np.int32)
        return Identities(hashes[places], rows, np.zeros(count, np.int32), np.arange(count), [uri])

    late, early = piece("late", [0, 1, 2, 3]), piece("early", [2, 4, 0])
    for one, name in ((late, "late"), (early, "early")):
        other = early if name == "late" else late
        stored = store_identities(tmp_path / f"{name}.rows", one)
        lost = find_lost([None, stored, piece("late", []), other], entries)
        assert {place: sorted(rows) for place, rows in lost.items()} == {1 if name == "late" else 3: [10, 12]}
    assert find_lost([None, late], entries) == {}
    assert find_lost([None], entries) == {}
