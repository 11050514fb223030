"""Half a million events on one machine: memory is bounded, and the tables are as true as those of a small day."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from bench.workload import WorkloadOptions, make_workload

ROOT = Path(__file__).parents[2]
LIMIT_BYTES = 1_500_000_000
STAGES = 7


def memory_of(process: psutil.Process) -> int:
    """Bytes of a process and all that it started: what they share counts once, where the system can tell."""
    total = 0
    for one in (process, *process.children(recursive=True)):
        try:
            facts = one.memory_full_info()
        except psutil.Error:
            continue  # it ended meanwhile
        total += getattr(facts, "pss", facts.rss)
    return total


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_half_a_million_events_stay_within_a_gigabyte_and_a_half(tmp_path: Path) -> None:
    options = WorkloadOptions(events=500_000, accounts=20, bucket_minutes=60, per_file=500)
    make_workload(tmp_path / "workload", options)
    command = [sys.executable, "-m", "bench.compare", str(tmp_path / "workload"), "--lake", str(tmp_path / "lake")]
    said = tmp_path / "said"
    peaks: dict[int, int] = {}
    with said.open("w") as out, subprocess.Popen(command, cwd=ROOT, stdout=out) as process:
        while process.poll() is None:
            stage = said.read_text().count("\n")
            peaks[stage] = max(peaks.get(stage, 0), memory_of(psutil.Process(process.pid)))
            time.sleep(0.1)
    lines = said.read_text().splitlines()
    for stage, line in enumerate(lines):
        print(f"{peaks.get(stage, 0) / 1e6:7,.0f} MB  {line}")
    assert (process.returncode, lines[STAGES:]) == (0, ["no difference"])
    # What comes after the last stage is the comparison's own memory.
    assert max(peak for stage, peak in peaks.items() if stage < STAGES) < LIMIT_BYTES
