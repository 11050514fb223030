"""What a Firehose key says, and which folders are listed for a day."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglake_dagster.kernels.firehose_key import descend, parse_key
from loglake_dagster.lake.controls import Controls
from loglake_dagster.lake.source import Descent, IgnoredKey, SourceKey
from loglake_dagster_tests.made import ERROR_OUTPUT

DAY, UTC = dt.date(2026, 3, 2), dt.timezone.utc
AT = dt.datetime(2026, 3, 2, 1, 5, 7, tzinfo=UTC)
UUID = "a188030a-62d2-49e6-b7c2-b11f1a7ba250"
NAME = f"my-stream.1-2-2026-03-02-01-05-07-{UUID}"


@pytest.mark.parametrize(
    ("key", "prefix", "folder"),
    [
        (f"2026/03/02/01/{NAME}", "", "2026/03/02/"),
        (f"logs/2026/03/02/01/{NAME}.gz", "logs/", "logs/2026/03/02/"),
        (f"logs2026/03/02/01/{NAME}", "logs", "logs2026/03/02/"),
        (f"year=2026/month=03/day=02/hour=01/{NAME}.json.parquet", "", "year=2026/month=03/day=02/"),
        (f"a/2025/01/01/b/2026/03/02/{NAME}", "a/2025/01/01/b/", "a/2025/01/01/b/2026/03/02/"),
        (f"no/date/{NAME}", "no/date/", "no/date/"),
        (NAME, "", ""),
        (f"2026/03/02/01/my-delivery-stream-2026-03-02-01-05-07-{UUID}", "", "2026/03/02/"),
    ],
)
def test_a_key_says_its_day_its_second_and_its_prefix(key, prefix, folder):
    assert parse_key(key) == SourceKey(DAY, AT, None, None, (prefix, "2026-03-02"), folder)


def test_a_name_of_another_kind_has_the_folders_day_and_no_time():
    assert parse_key("2026/03/02/01/renamed.json") == SourceKey(
        DAY, None, None, None, ("", "2026-03-02"), "2026/03/02/"
    )


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("", "folder marker"),
        ("2026/03/02/01/", "folder marker"),
        ("readme.txt", "no date in the key"),
        ("2026/13/02/01/readme.txt", "no date in the key"),
        (f"processing-failed/2026/03/02/01/{NAME}", ERROR_OUTPUT.format("processing-failed")),
        (f"logs/errors-format-conversion-failed2026/03/02/{NAME}", ERROR_OUTPUT.format("format-conversion-failed")),
    ],
)
def test_keys_of_other_kinds_are_ignored_for_a_reason(key, reason):
    assert parse_key(key) == IgnoredKey(reason)


@pytest.mark.parametrize(
    ("folder", "is_entered"),
    [
        ("any/", True), ("2026/", True), ("2025/", True), ("2026/03/", True), ("2026/04/", False),
        ("2026/03/02/", True), ("2026/03/03/", False), ("2026/03/02/01/", True), ("year=2026/month=03/", True),
        ("year=2026/month=02/", False), ("logs2026/", True), ("2026/03/02/data/", True),
    ],
)  # fmt: skip
def test_folders_of_other_dates_are_not_entered(folder, is_entered):
    assert descend(folder, frozenset({DAY}), Controls()) == Descent((folder,) if is_entered else ())


def test_error_output_is_counted_and_not_entered():
    ignored = descend("logs/splunk-failed/", frozenset({DAY}), Controls())
    assert ignored == Descent(ignored=ERROR_OUTPUT.format("splunk-failed"))


@pytest.mark.parametrize(
    ("key", "prefix", "folder"),
    [
        (f"2026/03/02/01/{NAME}", "", "2026/03/02/"),
        (f"03/02/01/{NAME}", "03/02/01/", "03/02/01/"),
        (f"061/01/{NAME}", "061/01/", "061/01/"),
    ],
)
def test_below_a_feed_that_is_an_error_folder_itself_keys_are_read_like_others(key, prefix, folder):
    """The root `.../processing-failed/`, or `.../processing-failed2026/`, below which the year is not said again."""
    assert parse_key(key) == SourceKey(DAY, AT, None, None, (prefix, "2026-03-02"), folder)
    on_the_way = [key[: n + 1] for n, letter in enumerate(key) if letter == "/"]
    assert all(descend(one, frozenset({DAY}), Controls()) == Descent((one,)) for one in on_the_way)


@given(st.text(max_size=40))
def test_any_text_is_a_key_or_is_ignored(text):
    assert isinstance(parse_key(text), SourceKey | IgnoredKey)
    assert isinstance(descend(f"{text}/", frozenset({DAY}), Controls()), Descent)
