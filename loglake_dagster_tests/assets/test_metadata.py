"""What the web UI shows of a result."""

from loglake_dagster.assets.metadata import raw_metadata
from loglake_dagster.engines.raw import RawResult
from loglake_dagster_tests.made import DAY


def test_a_warning_stands_first_on_a_raw_days_page_and_a_day_without_one_has_no_line_for_it() -> None:
    result = RawResult("from_cloudtrail_raw", DAY, (), 0, 0, {}, {}, ("feed a: nothing", "feed b: nothing"))
    assert next(iter(raw_metadata(result).items())) == ("warning", "feed a: nothing; feed b: nothing")
    assert "warning" not in raw_metadata(RawResult("from_cloudtrail_raw", DAY, (), 0, 0, {}, {}))
