"""Runs of objects: what is written of them, however large their rows are."""

from pathlib import Path

import pytest

from loglake_dagster.engines import runs
from loglake_dagster.engines.readready import materialize_readready
from loglake_dagster.sources.cloudtrail import SOURCE
from loglake_dagster_tests.engines.deliveries import events, trail_file
from loglake_dagster_tests.engines.made_lake import made_lake, published, rows_of, trail_of
from loglake_dagster_tests.made import DAY


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
