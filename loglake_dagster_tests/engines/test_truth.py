"""A made day against its truth, through the whole path: objects in, published tables out, read with SQL."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.compare import build_lake, find_differences, read_truth, workload_lake
from bench.workload import WorkloadOptions, make_workload
from loglake_dagster.engines.lake import Lake
from loglake_dagster_tests.engines.made_lake import ONE_PROCESS

ROOT = Path(__file__).parents[2]
TINY = {"events": 600, "accounts": 10, "sessions": 20, "per_file": 6}
DENSE = {"events": 2_000, "accounts": 3, "sessions": 20, "per_file": 200, "bucket_minutes": 60}


def compared(workload: Path, lake_folder: Path) -> tuple[Lake, list[str]]:
    lake, truth = workload_lake(workload, lake_folder, ONE_PROCESS), read_truth(workload)
    assert len(list(build_lake(lake, truth))) == 7
    return lake, find_differences(lake, truth)


@pytest.mark.parametrize("seed", [1, 7, 42])
@pytest.mark.parametrize("shape", [TINY, DENSE], ids=["tiny files", "dense files"])
def test_the_lake_tells_the_truth(tmp_path: Path, shape: dict[str, int], seed: int) -> None:
    make_workload(tmp_path / "workload", WorkloadOptions(**shape, seed=seed))
    assert compared(tmp_path / "workload", tmp_path / "lake")[1] == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 110))
@pytest.mark.parametrize("shape", [TINY, DENSE], ids=["tiny files", "dense files"])
def test_the_lake_tells_the_truth_of_many_seeds(tmp_path: Path, shape: dict[str, int], seed: int) -> None:
    make_workload(tmp_path / "workload", WorkloadOptions(**{**shape, "events": 5_000, "sessions": 100}, seed=seed))
    assert compared(tmp_path / "workload", tmp_path / "lake")[1] == []


# -- the comparison can see -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, Path]:
    """(a lake that tells the truth, its workload)."""
    folder = tmp_path_factory.mktemp("truth")
    make_workload(folder / "workload", WorkloadOptions(**{**DENSE, "events": 300}))
    lake, differences = compared(folder / "workload", folder / "lake")
    assert differences == []
    return lake, folder / "workload"


def session_of(truth: dict[str, Any], kind: str) -> tuple[str, dict[str, Any]]:
    return next((key, told) for key, told in truth["sessions"].items() if told["kind"] == kind)


def test_every_count_that_is_off_is_told(built: tuple[Lake, Path]) -> None:
    lake, workload = built
    truth = dict(read_truth(workload))
    day = "2026-11-01"
    count, names = truth["events"][day], truth["names"]
    name = min(names)
    truth["events"] = {day: count + 1, "2026-11-05": 2}
    truth["names"] = {**names, name: names[name] + 1}
    for key in ("duplicate_events", "next_day_folder_events", "files", "orphan_transcripts"):
        truth[key] += 1
    truth["control_messages"] += 5
    truth["noise_log_events"] -= 3
    assert find_differences(lake, truth) == [
        f"events of {day}: expected {count + 1}, found {count}",
        "events of 2026-11-05: expected 2, found None",
        f"events named {name}: expected {names[name] + 1}, found {names[name]}",
        f"duplicates: expected {truth['duplicate_events']}, found {truth['duplicate_events'] - 1}",
        "events in the next day's folder: "
        f"expected {truth['next_day_folder_events']}, found {truth['next_day_folder_events'] - 1}",
        f"filtered by control_message: expected {truth['control_messages']}, found {truth['control_messages'] - 5}",
        f"filtered by log_groups: expected {truth['noise_log_events']}, found {truth['noise_log_events'] + 3}",
        f"files: expected {truth['files']}, found {truth['files'] - 1}",
        f"orphans: expected {truth['orphan_transcripts']}, found {truth['orphan_transcripts'] - 1}",
    ]


def test_every_session_that_is_off_is_told(built: tuple[Lake, Path]) -> None:
    lake, workload = built
    truth = dict(read_truth(workload))
    missing, told = session_of(truth, "missing")
    captured, said = session_of(truth, "captured")
    truth["sessions"][missing] = {**told, "kind": "captured"}
    truth["sessions"][captured] = {**said, "lines": 1, "owner": "somebody"}
    truth["sessions"]["unheard-of"] = said
    truth["orphans"][0] = {**truth["orphans"][0], "sha256": "0"}
    found = find_differences(lake, truth)
    assert sorted(found[:-1]) == sorted(
        [
            "session rows of unheard-of: expected 1, found None",
            f"session {missing} status: expected 'captured', found 'missing'",
            f"session {captured} lines: expected 1, found {said['lines']}",
            f"session {captured} owner: expected 'somebody', found {said['owner']!r}",
            f"session {captured} caller: expected 'somebody', found {said['owner']!r}",
        ]
    )
    assert found[-1].startswith(f"orphan {truth['orphans'][0]['sessionid']}: expected {{'sessionid': ")


def test_the_command_says_what_differs_and_fails(built: tuple[Lake, Path], tmp_path: Path) -> None:
    workload = tmp_path / "workload"
    shutil.copytree(built[1], workload)
    truth = json.loads((workload / "truth.json").read_text())
    truth["duplicate_events"] += 1
    (workload / "truth.json").write_text(json.dumps(truth))
    command = [sys.executable, "-m", "bench.compare", str(workload), "--lake", str(tmp_path / "lake"), "--workers", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr, len(lines)) == (1, "", 8)
    assert lines[1].startswith("cloudtrail 2026-11-01: ")
    assert lines[-1] == f"duplicates: expected {truth['duplicate_events']}, found {truth['duplicate_events'] - 1}"
    assert (tmp_path / "lake" / "catalog.db").exists()
