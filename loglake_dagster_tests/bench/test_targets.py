"""What is wanted of the benchmark's figures, and how that is told."""

from bench.growth import Point, table
from bench.run import SEED, SIZES, Report, Target, tables


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
    sizes = [(100, 1.0, 1.4, 11.0), (500, 5.0, 1.2, 20.0), (1000, 12.0, 1.1, 25.0)]
    told = table([Point(events, 1, 1, seconds, 10**9, *shares) for events, seconds, *shares in sizes])
    assert "| 100 to 1,000 events: times the time | at most 11 | 12 | **not met** |" in told
    assert "| 100 to 1,000 events: times the peak memory | at most 1.2 | 1 | met |" in told
    assert "100 to 500" not in told
    assert "| peak memory of 1,000 events, GB | at most 2 | 1 | met |" in told
    assert (
        "| 100 events: five accounts, time : of the whole day, by bytes read | at most 1.2 | 1.4 | **not met** |"
        in told
    )
    assert "| 100 events: whole run : run of 1 % new objects | 20 | 11 | **not met** |" in told
    assert "| 500 events: whole run : run of 1 % new objects | 20 | 20 | met |" in told


def test_each_measurement_stands_beside_its_bound_and_its_peers():
    def told(rate: float, **more: float) -> dict[str, float]:
        return {"seconds": 100 / rate, "rate": rate, "peak_bytes": 5e8, "peak_gb": 0.5, **more}

    measured = {"bound": told(100), "day": told(10, bytes=640), "duckdb day": told(2), "json": told(12)}
    report = Report([{(SEED, name): facts for name, facts in measured.items()}])
    text = tables(report, {SEED: {"events": 10}}, dict.fromkeys(SIZES, 1.0))
    assert "| seed | day | 10.00 | 10 | 0.100 | json 0.833, duckdb day 5 | 500 | 64.0 |" in text
    assert "| day (zlib) : DuckDB to Parquet | 5 | 5 | met |" in text
    assert "Spark" not in text
