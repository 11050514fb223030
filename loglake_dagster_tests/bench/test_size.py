"""Bytes an event on the real hour of the sample: what docs/running.md says, and never more."""

import pytest

from bench.size import PACKINGS, column_costs, main, packed, real_files
from loglake_dagster.lake.settings import OrcSettings
from loglake_dagster.sources.cloudtrail import SOURCE

MOST = {"zlib": (84.8, 58.0), "zlib_small": (81.2, 55.0), "zstd": (82.1, 55.0), "zstd_small": (78.3, 53.0)}


@pytest.fixture(scope="module")
def hour():
    return real_files()


def test_the_hour_is_the_real_one(hour):
    assert hour.events == 2900
    assert hour.gzip_bytes / hour.events == pytest.approx(134.1, abs=0.1)


@pytest.mark.parametrize("settings", PACKINGS, ids=lambda one: one.compression)
def test_an_event_takes_no_more_bytes_than_is_said(hour, settings):
    whole, lean = (
        packed(hour, settings, SOURCE.stored_table(is_lean)).bytes / hour.events for is_lean in (False, True)
    )
    assert whole <= MOST[settings.compression][0]
    assert lean <= MOST[settings.compression][1]


def test_the_dearest_columns_are_the_random_ids(hour):
    costs = list(column_costs(hour, OrcSettings("zstd")))
    assert [name for name, _bytes in costs[:2]] == ["eventid", "requestid"]
    assert sum(cost for _name, cost in costs[:2]) == pytest.approx(38.5, abs=1)


def test_a_folder_without_files_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["bench.size", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"no CloudTrail files \(\*\.json\.gz\)"):
        main()
