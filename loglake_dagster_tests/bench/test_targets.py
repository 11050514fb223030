"""What is wanted of the benchmark's figures, and how that is told."""

from bench.growth import Point, table
from bench.run import SEED, Target


def test_a_target_is_a_least_or_a_most():
    least, most = Target("a", (SEED, "day"), None, 2, "x"), Target("b", (SEED, "day"), None, 2, "x", is_most=True)
    assert [least.verdict(found) for found in (1.9, 2, 2.1)] == ["**not met**", "met", "met"]
    assert [most.verdict(found) for found in (1.9, 2, 2.1)] == ["met", "met", "**not met**"]
    assert least.row(1.5) == "| a | 2 | 1.5 | **not met** |"
    assert most.row(14_812.3) == "| b | at most 2 | 14,812 | **not met** |"


def test_a_ratio_is_of_one_round_and_none_where_something_is_missing():
    target = Target("a", (SEED, "day"), (SEED, "bound"), 0.1)
    assert target.ratio({(SEED, "day"): {"rate": 5}, (SEED, "bound"): {"rate": 50}}) == 0.1
    assert target.ratio({(SEED, "day"): {"rate": 5}}) is None
    assert Target("a", (SEED, "day"), None, 0.1).ratio({(SEED, "day"): {"rate": 5}}) == 5


def test_growth_is_judged_between_sizes_ten_times_apart():
    points = [Point(100, 1, 1, 1.0, 10**9), Point(500, 5, 5, 5.0, 10**9), Point(1000, 10, 10, 12.0, 10**9)]
    told = table(points)
    assert "| 100 to 1,000 events: times the time | 11 | 12 | **not met** |" in told
    assert "| 100 to 1,000 events: times the peak memory | 1.2 | 1 | met |" in told
    assert "100 to 500" not in told
    assert "| peak memory of 1,000 events, GB | 2 | 1 | met |" in told
