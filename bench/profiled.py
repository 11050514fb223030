"""Where a whole day's time goes: one process under cProfile, its functions' own processor time summed up by stage.

    python -m bench.profiled WORKLOAD                  every event of the day
    python -m bench.profiled WORKLOAD --needle         three event names
    python -m bench.profiled WORKLOAD --python         without the compiled code
    python -m bench.profiled WORKLOAD --undeclared     every record with a field that no column is of, as AWS adds them

The profiler itself costs time, most where many small functions of Python are called: shares mean something, seconds
little. CPU seconds are those of a second run without it.
"""

from __future__ import annotations

import argparse
import cProfile
import gzip
import pathlib
import pstats
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from bench.compare import Truth, read_truth, workload_lake
from bench.ours import day_of
from bench.peers import NEEDLE
from loglake_dagster.engines.readready import materialize_readready
from loglake_dagster.kernels import columns
from loglake_dagster.lake.controls import Controls, Rule
from loglake_dagster.lake.settings import EngineSettings
from loglake_dagster.sources.cloudtrail import SOURCE

# A function belongs to the first stage whose pattern is found in `file:line(name)`.
STAGES = (
    ("ORC", r"pyarrow/orc\.py|io/orc|deflate_compress|Zstd|google"),
    ("order", r"pyarrow/compute\.py|kernels/(accounting|rows|arrow)\.py"),
    ("hashing", r"join_rows|kernels/hashing\.py|xxh|engines/runs\.py|identity_files|numpy"),
    ("inflating, reading", r"isal|igzip|kernels/inflate\.py|\bio\.open|FileIO|BufferedReader|pathlib|io/store\.py"),
    ("records to columns", r"_columns\.|msgspec|kernels/"),
    ("the rest", ""),
)


def profiled(workload: pathlib.Path, truth: Truth, controls: Controls) -> dict[str, float]:
    """Seconds by stage."""
    profile = cProfile.Profile(time.process_time)
    _materialized(workload, truth, controls, profile.runcall)
    stages = {name: 0.0 for name, _pattern in STAGES}
    facts: dict[tuple[str, int, str], tuple[Any, ...]] = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    for (file, line, function), (_calls, _all_calls, own, *_rest) in facts.items():
        called = f"{file}:{line}({function})"
        stages[next(name for name, pattern in STAGES if re.search(pattern, called))] += own
    return stages


def cpu_seconds(workload: pathlib.Path, truth: Truth, controls: Controls) -> float:
    """Processor seconds of the same without a profiler."""
    started = time.process_time()
    _materialized(workload, truth, controls, lambda function, *given: function(*given))
    return time.process_time() - started


def _materialized(workload: pathlib.Path, truth: Truth, controls: Controls, run: Callable[..., Any]) -> None:
    with tempfile.TemporaryDirectory(dir=workload.parent, prefix="loglake-bench-") as folder:
        lake = workload_lake(workload, pathlib.Path(folder), EngineSettings(workers=1), controls=controls)
        run(materialize_readready, lake, SOURCE, day_of(truth)).raise_if_refused()


@contextmanager
def with_undeclared(workload: pathlib.Path) -> Iterator[pathlib.Path]:
    """A copy of the workload whose CloudTrail records have a field more."""
    with tempfile.TemporaryDirectory(dir=workload.parent, prefix="loglake-bench-") as folder:
        copy = shutil.copytree(workload, pathlib.Path(folder) / "workload")
        for file in (copy / "trail").rglob("*.json.gz"):
            text = gzip.decompress(file.read_bytes())
            text = text.replace(b'"eventVersion":', b'"addedField":{"by":"AWS"},"eventVersion":')
            file.write_bytes(gzip.compress(text, 1))
        yield copy


def main(arguments: Sequence[str] | None = None) -> None:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m bench.profiled", description=__doc__, formatter_class=form)
    parser.add_argument("workload", type=pathlib.Path, help="a folder that bench.workload made")
    parser.add_argument("--needle", action="store_true")
    parser.add_argument("--python", action="store_true")
    parser.add_argument("--undeclared", action="store_true")
    given = parser.parse_args(arguments)
    if given.python:
        columns._columns = None  # type: ignore[attr-defined, assignment]
    truth = read_truth(given.workload)
    controls = Controls(event_names=Rule(allow=NEEDLE)) if given.needle else Controls()
    with with_undeclared(given.workload) if given.undeclared else nullcontext(given.workload) as workload:
        stages = profiled(workload, truth, controls)
        seconds = cpu_seconds(workload, truth, controls)
    print(f"{seconds:.1f} CPU seconds; of the profile's:")
    for name, seconds in stages.items():
        print(f"{seconds / sum(stages.values()):6.1%}  {name}")


if __name__ == "__main__":
    main()
