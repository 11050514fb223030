"""Coverage: what landed over what the source holds."""

import datetime as dt
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.workload import WorkloadOptions, make_workload
from loglake_dagster.kernels.accounting import rows_of_day
from loglake_dagster.kernels.coverage import UNKNOWN, CoverageRow, Missing, SizeModel, fit_size_model, measure_coverage
from loglake_dagster.lake.source import Wanted
from loglake_dagster.sources import cloudtrail
from loglake_dagster_tests.made import ACCOUNT, DAY, LIMIT, entry

NEXT = DAY + dt.timedelta(days=1)


def read(uri, events, size=1000, **facts):
    """An object of one account that was read whole."""
    return entry(
        uri, **{"size": size, "account": ACCOUNT, "region": "eu-west-1", "found": events, "landed": events, **facts}
    )


def unreadable(uri, size=1000, **facts):
    return read(uri, 0, size, **{"state": "unreadable", "reason": "truncated gzip", "lost_share": 1.0, **facts})


def test_a_day_of_which_the_source_holds_nothing_is_covered():
    coverage = measure_coverage([], [])
    assert (coverage.landed, coverage.expected, coverage.ratio, coverage.gap) == (0, 0, 1.0, 0)
    assert (coverage.rows, coverage.missing) == ((), ())


def test_what_landed_and_its_duplicates_cover_and_other_days_and_filtered_records_do_not_matter():
    objects = [
        read("a", 8, landed=5, duplicate=3),
        read("b", 6, landed=2, other_day=3, other_days={"2026-03-01": 3}, filtered=1, filtered_by={"accounts": 1}),
    ]
    coverage = measure_coverage(objects, [])
    assert (coverage.landed, coverage.expected, coverage.ratio) == (10, 10, 1.0)
    assert coverage.missing == ()


def test_rejects_count_against_the_day_and_are_named():
    coverage = measure_coverage([read("a", 10, landed=8, rejected=2)], [])
    assert (coverage.landed, coverage.expected, coverage.ratio) == (8, 10, 0.8)
    assert coverage.missing == (Missing("a", ACCOUNT, "eu-west-1", 1000, "2 rejected", 2, False),)


def test_an_object_that_arrived_since_counts_what_it_holds():
    coverage = measure_coverage([read("a", 10)], [read("b", 4, landed=3, duplicate=1), read("c", 0)])
    assert (coverage.landed, coverage.expected) == (10, 14)
    assert coverage.missing == (
        Missing("b", ACCOUNT, "eu-west-1", 1000, "arrived after the run was planned", 4, False),
    )


def test_an_object_that_arrived_since_and_cannot_be_read_is_estimated():
    objects = [read(str(n), 10 * n, 1000 * n) for n in range(1, 4)]
    coverage = measure_coverage(objects, [unreadable("b", 5000)])
    assert coverage.missing == (
        Missing("b", ACCOUNT, "eu-west-1", 5000, "arrived after the run was planned", 50, True),
    )
    assert coverage.expected == 60 + 50


def test_a_damaged_object_is_estimated_from_the_share_that_is_lost():
    objects = [
        read("a", 30, state="partly_read", reason="corrupt gzip (x)", lost_share=0.25),
        read("b", 30, state="partly_read", reason="truncated gzip", lost_share=0.0),
        read("c", 4, landed=3, rejected=1, state="partly_read", reason="truncated gzip", lost_share=0.001),
    ]
    coverage = measure_coverage(objects, [])
    assert coverage.missing == (
        Missing("a", ACCOUNT, "eu-west-1", 1000, "corrupt gzip (x)", 10, True),
        Missing("c", ACCOUNT, "eu-west-1", 1000, "truncated gzip; 1 rejected", 2, True),
    )
    assert (coverage.landed, coverage.expected) == (63, 75)


def test_a_day_whose_objects_are_all_unreadable_is_not_covered():
    coverage = measure_coverage([unreadable("a", 10_240), unreadable("b", 0), unreadable("c", 10)], [])
    assert (coverage.landed, coverage.expected, coverage.ratio) == (0, 12, 0.0)
    assert [(one.uri, one.estimated, one.is_estimate) for one in coverage.missing] == [
        ("a", 10, True),
        ("b", 1, True),
        ("c", 1, True),
    ]


def test_an_emptied_object_counts_as_a_typical_one():
    coverage = measure_coverage([read("a", 30), read("b", 10), unreadable("c", 0, reason="empty object (0 bytes)")], [])
    assert [(one.uri, one.estimated) for one in coverage.missing] == [("c", 20)]


def test_an_object_that_a_version_before_could_read_is_missing_no_less_than_what_that_found():
    objects = [read("a", 10), unreadable("b", 1000)]
    assert measure_coverage(objects, [], {"b": 70, "a": 99}).expected == 80
    assert measure_coverage(objects, [], {"b": 7}).expected == 20


def test_an_object_of_the_next_days_folder_is_estimated_by_its_neighbours_there():
    day = [read(f"d{n}", 100, 10_000 + n) for n in range(5)]
    after = [read(f"n{n}", 100, 10_000 + n, landed=1, other_day=99, delivery_day=NEXT) for n in range(5)]
    coverage = measure_coverage([*day, *after, unreadable("x", 10_000, delivery_day=NEXT)], [])
    (missing,) = coverage.missing
    assert missing.estimated == 1
    assert coverage.landed == 505


def test_rows_show_a_dark_account_that_the_whole_hides():
    objects = [read("a", 1000), unreadable("b", 900, account="444455556666", region="us-east-1")]
    coverage = measure_coverage(objects, [])
    assert [(row.account, row.region, row.coverage) for row in coverage.rows] == [
        ("444455556666", "us-east-1", 0.0),
        (ACCOUNT, "eu-west-1", 1.0),
    ]
    assert sum(row.expected for row in coverage.rows) == coverage.expected
    assert coverage.rows[0].gap == coverage.gap


def test_objects_whose_key_names_no_account_show_the_accounts_of_their_events():
    objects = [
        entry("a", found=5, landed=4, duplicate=1, accounts={"111122223333": 3, "": 2}),
        unreadable("b", account=None, region=None),
    ]
    coverage = measure_coverage(objects, [])
    assert coverage.rows == (
        CoverageRow(UNKNOWN, UNKNOWN, 2, 2 + coverage.gap),
        CoverageRow("111122223333", UNKNOWN, 3, 3),
    )


def test_the_size_model_takes_the_fixed_cost_of_an_object_into_account():
    model = fit_size_model([(300 + 100 * n, n) for n in range(1, 20)])
    assert model.slope == pytest.approx(0.01)
    assert model.intercept == pytest.approx(-3)
    assert model.events(300 + 100 * 7) == pytest.approx(7)
    assert model.events(10) == 1.0
    assert model.events(0) == model.typical == 10


@pytest.mark.parametrize(
    ("pairs", "model"),
    [
        ([], SizeModel(1 / 1024, 0.0)),
        ([(0, 0)], SizeModel(1 / 1024, 0.0)),
        ([(1000, 10)], SizeModel(0.01, 0.0, 10)),
        ([(1000, 10), (3000, 10)], SizeModel(0.005, 0.0, 10)),
        ([(1000, 10), (1000, 20), (1000, 30)], SizeModel(0.02, 0.0, 20)),
        ([(1000, 30), (2000, 20), (3000, 10)], SizeModel(0.01, 0.0, 20)),
    ],
)
def test_the_size_model_falls_back_to_a_ratio_where_no_line_can_be_fitted(pairs, model):
    assert fit_size_model(pairs) == model


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**6)), max_size=10), st.integers(0, 10**9))
def test_an_estimate_is_never_less_than_one_event(pairs, size):
    assert fit_size_model(pairs).events(size) >= 1


@pytest.fixture(scope="module")
def workload_entries(tmp_path_factory):
    """Every trail object of a made organisation's day, decoded: 20 accounts, many tiny files and some larger."""
    landing = tmp_path_factory.mktemp("workload")
    options = WorkloadOptions(events=4000, accounts=10, sessions=2, per_file=25, bucket_minutes=30, duplicates=0.0)
    make_workload(landing, options)
    objects = sorted((landing / "trail").rglob("*.json.gz"))
    keys = [cloudtrail.parse_key(str(path.relative_to(landing / "trail"))) for path in objects]
    entries = [
        entry(
            str(path), size=path.stat().st_size, delivery_day=key.delivery_day, account=key.account, region=key.region
        )
        for path, key in zip(objects, keys, strict=True)
    ]
    decoded = cloudtrail.SOURCE.decode([path.read_bytes() for path in objects], Wanted(), LIMIT)
    return rows_of_day(cloudtrail.SOURCE, cloudtrail.TABLE, decoded, entries, options.day)[1]


@pytest.mark.parametrize("seed", range(5))
def test_eleven_percent_of_a_days_events_in_unreadable_objects_are_estimated_within_two_percent(workload_entries, seed):
    total = sum(one.landed + one.duplicate for one in workload_entries)
    broken, lost = set(), 0
    for one in random.Random(seed).sample(workload_entries, len(workload_entries)):
        if lost < 0.11 * total:
            broken.add(one.uri)
            lost += one.landed + one.duplicate
    entries = [
        unreadable(one.uri, one.size, delivery_day=one.delivery_day, account=one.account) if one.uri in broken else one
        for one in workload_entries
    ]
    coverage = measure_coverage(entries, [])
    assert coverage.landed == total - lost
    assert coverage.ratio == pytest.approx(1 - lost / total, abs=0.02)


def test_an_object_that_was_cut_off_is_missing_what_others_of_its_folder_hold_more():
    """Where a text was cut nobody can tell: a day of cut objects must not look whole."""
    whole = [read(name, 100) for name in "abc"]
    cut = replace(read("d", 30), state="partly_read", reason="truncated gzip", lost_share=0.0)
    coverage = measure_coverage([*whole, cut], [])
    assert (coverage.landed, coverage.expected) == (330, 400)
    assert [(one.uri, one.estimated, one.is_estimate) for one in coverage.missing] == [("d", 70, True)]
    assert measure_coverage([*whole, cut], [], {"d": 250}).expected == 550
