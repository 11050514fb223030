"""The manifest: the accounting identity, ranks, hashes, recipes."""

import datetime as dt
import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglake_dagster.errors import AuditError
from loglake_dagster.lake.manifest import Manifest, Part, Totals, combine_hashes, recipe_of
from loglake_dagster.lake.partition import UTC
from loglake_dagster_tests.made import DAY, entry

WHOLE = {
    "found": 15,
    "landed": 5,
    "duplicate": 4,
    "filtered": 3,
    "other_day": 2,
    "rejected": 1,
    "filtered_by": {"event_names": 2, "event_sources": 1},
    "other_days": {"2026-03-01": 2},
}
HASHES = st.integers(0, 2**128 - 1).map("{:032x}".format)


def test_an_entry_balances_when_every_record_has_one_fate():
    assert entry(**WHOLE).is_balanced
    assert entry().is_balanced


@pytest.mark.parametrize("count", ["found", "landed", "duplicate", "filtered", "other_day", "rejected"])
def test_one_record_more_or_less_anywhere_is_out_of_balance(count):
    for step in (-1, 1):
        assert not entry(**{**WHOLE, count: WHOLE[count] + step}).is_balanced


@pytest.mark.parametrize("detail", [{"filtered_by": {"event_names": 2}}, {"other_days": {}}])
def test_counts_by_name_must_add_up_too(detail):
    assert not entry(**{**WHOLE, **detail}).is_balanced


def test_totals_add_up_over_objects():
    objects = [
        entry(**WHOLE),
        entry(size=0, state="unreadable", reason="empty object (0 bytes)"),
        entry(size=7, state="partly_read", found=1, landed=1),
    ]
    assert Totals.of(objects) == Totals(
        objects=3,
        unreadable=1,
        partly_read=1,
        bytes=1007,
        found=16,
        landed=6,
        duplicate=4,
        filtered=3,
        other_day=2,
        rejected=1,
    )
    assert Totals.of([]) == Totals()


def test_totals_refuse_an_object_whose_accounting_does_not_hold():
    with pytest.raises(AuditError) as caught:
        Totals.of([entry(**WHOLE), entry("s3://trail/b.json.gz", found=3, landed=2)])
    assert str(caught.value) == (
        "s3://trail/b.json.gz: accounting does not hold: "
        "found 3, landed 2, duplicate 0, filtered 0, other_day 0, rejected 0"
    )
    assert caught.value.facts == {"uri": "s3://trail/b.json.gz"}


def test_rank_is_delivery_time_then_uri_and_the_days_start_where_the_key_names_no_time():
    early = dt.datetime(2026, 3, 2, 0, 5, tzinfo=UTC)
    late = dt.datetime(2026, 3, 2, 0, 10, tzinfo=UTC)
    objects = [
        entry("z", delivery_time=early),
        entry("a", delivery_time=late),
        entry("b", delivery_time=late),
        entry("y"),
    ]
    assert [one.uri for one in sorted(objects, key=lambda one: one.rank)] == ["y", "z", "a", "b"]


def test_a_fingerprint_is_size_etag_and_delivery_time():
    assert entry(size=3, etag="x").fingerprint == (3, "x", entry().delivery_time)


@given(st.lists(HASHES), st.randoms(use_true_random=False))
def test_combined_hashes_depend_on_neither_order_nor_grouping(hashes, random):
    shuffled = random.sample(hashes, len(hashes))
    by_steps = functools.reduce(lambda total, one: combine_hashes([total, one]), shuffled, combine_hashes([]))
    assert combine_hashes(hashes) == combine_hashes(shuffled) == by_steps


def test_the_hash_of_nothing_is_zero_and_sums_wrap_at_128_bits():
    assert combine_hashes([]) == "0" * 32
    assert combine_hashes(["f" * 32, "0" * 31 + "2"]) == "0" * 31 + "1"


def test_a_recipe_names_its_facts_whatever_their_order():
    facts = {"transform": 1, "columns": ["a", "b"], "controls": {}}
    assert recipe_of(facts) == recipe_of(dict(reversed(facts.items())))
    assert len(recipe_of(facts)) == 16
    assert (
        len({recipe_of(facts), recipe_of({**facts, "transform": 2}), recipe_of({**facts, "columns": ["b", "a"]})}) == 3
    )


def test_a_manifest_adds_up_its_parts():
    parts = (
        Part(name="part-0.orc", rows=3, bytes=10, content_hash="0" * 31 + "1"),
        Part(name="part-1.orc", rows=4, bytes=20, content_hash="0" * 31 + "2"),
    )
    manifest = Manifest(
        table="sessions",
        day=DAY,
        version="v1",
        base=None,
        created=dt.datetime(2026, 3, 3, tzinfo=UTC),
        recipe="r",
        engine="embedded",
        parts=parts,
    )
    assert (manifest.rows, manifest.bytes, manifest.content_hash) == (7, 30, "0" * 31 + "3")
