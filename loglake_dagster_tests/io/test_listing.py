"""Listings: only what the asked days can hold is entered, and what was passed over is counted by why."""

import datetime as dt
import json
import re
import uuid
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglake_dagster.errors import StoreError
from loglake_dagster.io.listing import list_feed
from loglake_dagster.io.store import LocalStore, S3Store
from loglake_dagster.lake.controls import Controls, Rule
from loglake_dagster.lake.source import IgnoredKey, Listed
from loglake_dagster.sources import cloudtrail, cloudwatch
from loglake_dagster_tests.made import DAY, ERROR_OUTPUT

NEXT = DAY + dt.timedelta(days=1)
TRAIL = "AWSLogs/o-exampleorg1"
UUID = "a188030a-62d2-49e6-b7c2-b11f1a7ba250"
OPEN = Controls()
GOLDEN = Path(__file__).parents[1] / "golden"


class CountingStore(LocalStore):
    """A store that remembers which folders were listed."""

    def __init__(self, path):
        super().__init__(path)
        self.listed = []

    def list_level(self, folder):
        self.listed.append(folder)
        return super().list_level(folder)


@pytest.fixture
def store(tmp_path):
    return CountingStore(tmp_path)


def put(store, *keys):
    for key in keys:
        path = store.path / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def trail_key(account="111122223333", region="eu-west-1", day=DAY, unique="AbCdEfGhIjKlMnOp", folder="CloudTrail"):
    file = f"{account}_{folder}_{region}_{day:%Y%m%d}T0005Z_{unique}.json.gz"
    return f"{TRAIL}/{account}/{folder}/{region}/{day:%Y/%m/%d}/{file}"


def keys_of(listing):
    return [listed.key for listed, _key in listing.objects]


def test_only_the_asked_days_folders_are_entered(store):
    days = [DAY - dt.timedelta(days=n) for n in range(100)]
    put(store, *[trail_key(region=region, day=day) for region in ("eu-west-1", "us-east-1") for day in days])
    listing = list_feed(store, cloudtrail.SOURCE, frozenset([DAY, NEXT]), OPEN)
    assert keys_of(listing) == [trail_key(region="eu-west-1"), trail_key(region="us-east-1")]
    account = f"{TRAIL}/111122223333/"
    assert sorted(store.listed) == sorted(
        [
            "",
            "AWSLogs/",
            f"{TRAIL}/",
            account,
            f"{account}CloudTrail/",
            *[
                f"{account}CloudTrail/{region}/{day:%Y/%m/%d}/"
                for region in ("eu-west-1", "us-east-1")
                for day in (DAY, NEXT)
            ],
        ]
    )
    assert (listing.ignored, listing.refused) == (Counter(), Counter())


def test_denied_accounts_and_regions_are_never_listed_and_counted_as_one_each(store):
    accounts = ("111122223333", "444455556666", "444499990000")
    put(store, *[trail_key(account, region) for account in accounts for region in ("eu-west-1", "us-east-1")])
    controls = Controls(accounts=Rule(deny=("4444*",)), regions=Rule(allow=("eu-*",)))
    listing = list_feed(store, cloudtrail.SOURCE, frozenset([DAY]), controls)
    assert keys_of(listing) == [trail_key()]
    assert listing.refused == {"accounts": 2, "regions": 1}
    assert [folder for folder in store.listed if "4444" in folder or "us-east-1" in folder] == []


def test_objects_that_a_key_rule_denies_are_counted(store):
    put(store, trail_key(unique="A" * 16), trail_key(unique="B" * 16))
    listing = list_feed(store, cloudtrail.SOURCE, frozenset([DAY]), Controls(keys=Rule(deny=("*_AAAA*",))))
    assert keys_of(listing) == [trail_key(unique="B" * 16)]
    assert listing.refused == {"keys": 1}


def test_what_is_of_another_kind_is_counted_by_why_and_its_folders_as_one(store):
    put(
        store,
        trail_key(),
        trail_key(folder="CloudTrail-Digest", unique="A" * 16),
        trail_key(folder="CloudTrail-Digest", unique="B" * 16),
        trail_key(folder="CloudTrail-Digest", day=NEXT),
        f"{TRAIL}/111122223333/Config/ConfigWritabilityCheckFile",
        f"{TRAIL}/111122223333/CloudTrail/eu-west-1/{DAY:%Y/%m/%d}/manifest.csv",
        "readme.txt",
        "other/readme.txt",
    )
    listing = list_feed(store, cloudtrail.SOURCE, frozenset([DAY]), OPEN)
    assert keys_of(listing) == [trail_key()]
    assert listing.ignored == {
        "CloudTrail-Digest file": 2,
        "Config folder": 1,
        "not a log file": 1,
        "not a CloudTrail key": 2,
    }
    account = f"{TRAIL}/111122223333/"
    assert sorted(folder for folder in store.listed if "Digest" in folder or "Config" in folder) == [
        f"{account}CloudTrail-Digest/",
        f"{account}CloudTrail-Digest/eu-west-1/{DAY:%Y/%m/%d}/",
    ]


def test_objects_come_in_the_order_of_their_keys_with_what_their_keys_say(store):
    put(store, *[trail_key(day=day, unique=letter * 16) for day in (NEXT, DAY) for letter in "zAm"])
    listing = list_feed(store, cloudtrail.SOURCE, frozenset([DAY, NEXT]), OPEN)
    assert keys_of(listing) == sorted(keys_of(listing))
    assert len(listing.objects) == 6
    for listed, key in listing.objects:
        assert key == cloudtrail.parse_key(listed.key)
        assert listed.size == 1


def firehose_key(day=DAY, prefix="", hour=1, ending=""):
    return f"{prefix}{day:%Y/%m/%d}/{hour:02}/stream-1-{day:%Y-%m-%d}-{hour:02}-00-00-{UUID}{ending}"


def test_of_firehose_only_the_asked_months_and_days_are_entered(store):
    days = [DAY, NEXT, dt.date(2026, 3, 9), dt.date(2026, 1, 2), dt.date(2025, 3, 2)]
    put(store, *[firehose_key(day, hour=hour) for day in days for hour in (1, 23)])
    listing = list_feed(store, cloudwatch.SOURCE, frozenset([DAY]), OPEN)
    assert keys_of(listing) == [firehose_key(hour=1), firehose_key(hour=23)]
    assert sorted(store.listed) == [
        "",
        "2025/",
        "2026/",
        "2026/03/",
        "2026/03/02/",
        "2026/03/02/01/",
        "2026/03/02/23/",
    ]


@pytest.mark.parametrize("prefix", ["", "logs", "retail2020/", "2020/", "a/b/", "111122223333/", "x=1/year"])
def test_firehose_objects_are_found_under_any_prefix(store, prefix):
    put(store, firehose_key(prefix=prefix), firehose_key(dt.date(2025, 1, 1), prefix))
    listing = list_feed(store, cloudwatch.SOURCE, frozenset([DAY]), OPEN)
    assert keys_of(listing) == [firehose_key(prefix=prefix)]


def test_firehoses_error_output_is_counted_and_not_entered(store):
    put(store, firehose_key(), firehose_key(prefix="processing-failed"), firehose_key(prefix="e/splunk-failed/"))
    listing = list_feed(store, cloudwatch.SOURCE, frozenset([DAY]), OPEN)
    assert keys_of(listing) == [firehose_key()]
    assert listing.ignored == {
        ERROR_OUTPUT.format("processing-failed"): 1,
        ERROR_OUTPUT.format("splunk-failed"): 1,
    }


def test_an_empty_feed_holds_nothing(store):
    listing = list_feed(store, cloudtrail.SOURCE, frozenset([DAY]), OPEN)
    assert (listing.objects, listing.ignored, listing.refused, store.listed) == ([], Counter(), Counter(), [""])


def test_a_feed_whose_folder_is_not_there_is_a_mistake_and_not_an_empty_day(tmp_path):
    with pytest.raises(StoreError) as caught:
        list_feed(LocalStore(tmp_path / "typo"), cloudtrail.SOURCE, frozenset([DAY]), OPEN)
    assert str(caught.value).startswith(f"{tmp_path}/typo: the feed's folder is not there")


class Held:
    """A store in memory, and not the local one, so that its levels are listed side by side."""

    root = "held://"

    def __init__(self, keys):
        self.keys = keys

    def list_level(self, folder):
        below = [key.removeprefix(folder) for key in self.keys if key.startswith(folder)]
        folders = sorted({folder + key.partition("/")[0] + "/" for key in below if "/" in key})
        return folders, [Listed(folder + key, 1, "e") for key in sorted(below) if "/" not in key]


@given(
    st.sets(
        st.tuples(
            st.sampled_from(["111122223333", "444455556666"]),
            st.sampled_from(["eu-west-1", "us-east-1"]),
            st.dates(dt.date(2026, 2, 27), dt.date(2026, 3, 4)),
            st.just("AbCdEfGhIjKlMnOp"),
            st.sampled_from(cloudtrail.FOLDERS),
        ),
        max_size=12,
    ),
    st.sampled_from([OPEN, Controls(accounts=Rule(deny=("4444*",))), Controls(regions=Rule(allow=("eu-*",)))]),
)
def test_a_listing_finds_just_what_judging_every_key_would_find(places, controls):
    days = frozenset([DAY, NEXT])
    keys = [trail_key(*place) for place in places]
    listing = list_feed(Held(keys), cloudtrail.SOURCE, days, controls)
    expected = [
        key
        for key, (account, region, day, _unique, _folder) in zip(keys, places, strict=True)
        if day in days and controls.refusal_of_object(key, account, region) is None
    ]
    assert keys_of(listing) == sorted(expected)


# Folders of other days are not entered: a prefix that is such a folder is not found.
OTHER_DAYS = ("/2020/01/01/AWSLogs/", "2025/12/31/2026/")
GOLDEN_KEYS = {
    (source.name, case["key"]): source
    for source in (cloudtrail.SOURCE, cloudwatch.SOURCE)
    for case in json.loads((GOLDEN / source.name / "keys.json").read_text())
    if not case["key"].endswith("/") and not any(day in case["key"] for day in OTHER_DAYS)
}


@pytest.mark.parametrize(("name", "key"), GOLDEN_KEYS)
def test_a_golden_key_is_found_by_the_listing_of_its_delivery_day_alone_or_counted(name, key):
    source = GOLDEN_KEYS[name, key]
    said = source.parse_key(key)
    day = DAY if isinstance(said, IgnoredKey) else said.delivery_day
    listing = list_feed(Held([key]), source, frozenset([day]), OPEN)
    if isinstance(said, IgnoredKey):
        assert (listing.objects, sum(listing.ignored.values())) == ([], 1 if day_may_hold(key) else 0)
    else:
        assert (keys_of(listing), listing.ignored) == ([key], Counter())
        other = list_feed(Held([key]), source, frozenset([day + dt.timedelta(days=1)]), OPEN)
        assert (other.objects, other.ignored) == ([], Counter())


def day_may_hold(key):
    """Whether a listing of DAY comes to the key's folder or to one above it that it counts: what lies below a region,
    and is in no day's folder, it never meets."""
    below_region = re.search(r"/CloudTrail[^/]*/eu-west-1/(.*)", key)
    return below_region is None or re.fullmatch(r"2026/03/02/[^/]*", below_region[1]) is not None


def test_an_error_of_one_level_is_the_listings():
    class Broken(Held):
        """A store one of whose folders cannot be listed."""

        def list_level(self, folder):
            if folder.endswith("us-east-1/2026/03/02/"):
                raise StoreError("not allowed to list")
            return super().list_level(folder)

    store = Broken([trail_key(), trail_key(region="us-east-1")])
    with pytest.raises(StoreError, match=r"^not allowed to list$"):
        list_feed(store, cloudtrail.SOURCE, frozenset([DAY]), OPEN)


@pytest.mark.aws
def test_a_listing_of_s3_is_that_of_the_same_keys_on_a_file_system(store, s3_server):
    keys = [trail_key(account, region, day) for account in ("111122223333", "444455556666")
            for region in ("eu-west-1", "us-east-1") for day in (DAY, NEXT, DAY - dt.timedelta(days=1))]  # fmt: skip
    keys += [trail_key(folder="CloudTrail-Digest"), "readme.txt"]
    s3 = S3Store(f"s3://{s3_server.bucket}/{uuid.uuid4().hex}", s3_server.settings)
    put(store, *keys)
    for key in keys:
        s3.write(key, b"x")
    controls = Controls(accounts=Rule(deny=("4444*",)))
    local, remote = (list_feed(one, cloudtrail.SOURCE, frozenset([DAY, NEXT]), controls) for one in (store, s3))
    assert keys_of(remote) == keys_of(local)
    assert len(keys_of(remote)) == 4
    assert (remote.ignored, remote.refused) == (local.ignored, local.refused)
