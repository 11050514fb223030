"""Runs of objects: what is written of them, however large their rows are."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglake_dagster.engines import PlannedObject, runs
from loglake_dagster.engines.readready import materialize_readready
from loglake_dagster.sources.cloudtrail import SOURCE
from loglake_dagster_tests.engines.deliveries import events, trail_file
from loglake_dagster_tests.engines.made_lake import made_lake, published, rows_of, trail_of
from loglake_dagster_tests.made import DAY, entry


def test_rows_that_take_too_much_memory_for_one_part_become_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small objects can inflate to rows without end, and no reader takes a column of 2 GiB of texts from one part."""
    trail_file(trail_of(tmp_path), events(9), nonce="A")
    trail_file(trail_of(tmp_path), events(9, 5), nonce="B")
    whole, cut = made_lake(tmp_path, "whole"), made_lake(tmp_path, "cut")
    materialize_readready(whole, SOURCE, DAY).raise_if_refused()
    monkeypatch.setattr(runs, "PART_MEMORY", 3000)
    materialize_readready(cut, SOURCE, DAY).raise_if_refused()
    first, second = published(whole, DAY)[0], published(cut, DAY)[0]
    assert (len(first.parts), second.content_hash, second.totals) == (1, first.content_hash, first.totals)
    assert len(second.parts) > 2
    assert sorted(part.name for part in second.parts)[:2] == [
        f"part-00000-{second.version}-1.orc",
        f"part-00000-{second.version}-2.orc",
    ]
    assert rows_of(cut) == rows_of(whole)
    again = materialize_readready(cut, SOURCE, DAY)
    assert (again.is_new, again.is_published) == (False, True)


OBJECTS = st.lists(
    st.builds(
        lambda number, feed, account, size: PlannedObject(
            entry(f"s3://{feed}/{number:09d}", feed=feed, account=account, size=size), f"{number}"
        ),
        st.integers(0, 10**9), st.sampled_from("ab"), st.sampled_from(["1", "2", "3", None]), st.integers(0, 40),
    ),
    unique_by=lambda one: one.entry.uri,
)  # fmt: skip


@given(OBJECTS, st.integers(1, 100))
def test_runs_have_every_object_once_in_order_and_one_feed_and_no_more_than_a_part(objects, part_bytes):
    cut = list(runs.cut_objects(objects, part_bytes))
    assert [one for batch in cut for one in batch] == sorted(objects, key=runs.key_order)
    for batch in cut:
        assert len({one.entry.feed for one in batch}) == 1
        places = {(one.entry.account, one.entry.region) for one in batch}
        most = part_bytes * (1.5 if len(places) == 1 else 1)
        assert sum(one.entry.size for one in batch) <= most or len(batch) == 1


def test_copies_of_an_event_come_into_one_run_where_that_leaves_none_small():
    def cut(*sizes):
        """The accounts by run, of accounts that have objects of 10 bytes for so many bytes."""
        objects = [
            PlannedObject(entry(f"s3://a/{account}/{number}", account=f"{account}", size=10), "")
            for account, size in enumerate(sizes)
            for number in range(size // 10)
        ]
        return [[one.entry.account for one in batch] for batch in runs.cut_objects(objects, 100)]

    assert cut(60, 60, 60) == [["0"] * 6, ["1"] * 6, ["2"] * 6]
    assert cut(30, 30, 60, 30) == [["0"] * 3 + ["1"] * 3, ["2"] * 6 + ["3"] * 3]
    assert cut(40, 80) == [["0"] * 4 + ["1"] * 6, ["1"] * 2]
    assert cut(10, 140, 10) == [["0"], ["1"] * 14, ["2"]]
    assert cut(10, 150, 10) == [["0"], ["1"] * 15, ["2"]]
    assert cut(60, 160) == [["0"] * 6, ["1"] * 10, ["1"] * 6]
    assert cut(60, 210) == [["0"] * 6, ["1"] * 10, ["1"] * 10, ["1"]]
    assert cut(60, 240) == [["0"] * 6, ["1"] * 10, ["1"] * 10, ["1"] * 4]
