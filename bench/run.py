"""The whole benchmark: makes the workloads, measures ours and the peers in turn, holds every result against the truth,
prints one table and writes it down.

    python -m bench.run                                  three rounds, into bench/RESULTS.md
    python -m bench.run --rounds 1 --events 100000 --only bound needle day       a quick look, printed only

Each measurement is a process of its own; a round measures each once, one after the other, so that what disturbs the
machine disturbs all alike. Only ratios within a round mean anything: the table has their medians. Processes start cold
for ours and for the peers; the files are in the page cache for all, because they are read before each of them (a
machine that is short of memory forgets them in the minutes that some peers take).
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib.metadata
import itertools
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psutil

from bench.ours import OURS
from bench.peers import PASSES, PEERS
from bench.size import PACKINGS, Hour, packed, real_files
from bench.workload import WorkloadOptions, make_workload
from loglake_dagster.sources.cloudtrail import SOURCE

HERE = pathlib.Path(__file__).parent
SEED, TINY = "seed", "tiny"
# What is measured, on which workload, in this order: what is told as a ratio to another stands near it, because the
# machine's speed drifts within minutes. `spark day` needs Java and pyspark.
PLAN = (
    (SEED, "needle decode"), (SEED, "bound"), (SEED, "day"), (SEED, "day zstd"), (SEED, "needle"),
    (SEED, "five accounts"), (SEED, "increment"), (SEED, "increment of early"), (SEED, "query"),
    (SEED, "decode"), (TINY, "decode"), (TINY, "bound"), (TINY, "plan"),
    (SEED, "json"), (SEED, "duckdb needle"), (SEED, "duckdb day"), (SEED, "spark day"),
)  # fmt: skip
# What a user would have otherwise of what is measured.
PEERS_OF = {
    (SEED, "needle decode"): ("json", "duckdb needle"),
    (SEED, "needle"): ("json", "duckdb needle"),
    (SEED, "day"): ("json", "duckdb day", "spark day"),
    (SEED, "day zstd"): ("json", "duckdb day", "spark day"),
    (SEED, "query"): ("duckdb needle",),
}
# Minutes long: in the first round alone.
ONCE = frozenset({(SEED, "spark day")})
SAMPLE_S, LOOKED_FOR_CHILDREN = 0.2, 5
LIBRARIES = ("duckdb", "isal", "msgspec", "numpy", "pyarrow", "pyspark")


@dataclass(frozen=True, slots=True)
class Target:
    """A ratio that is wanted: of the rates (or of what `of` names) of two measurements in one round; at least `wanted`,
    or with `is_most` at most."""

    name: str
    ours: tuple[str, str]
    other: tuple[str, str] | None
    wanted: float
    of: str = "rate"
    is_most: bool = False

    def ratio(self, round_: Mapping[tuple[str, str], Mapping[str, Any]]) -> float | None:
        """The ratio in a round; None where something was not measured."""
        ours = round_.get(self.ours)
        other = round_.get(self.other) if self.other else {}
        if ours is None or other is None:
            return None
        return float(ours[self.of]) / (float(other[self.of]) if other else 1.0)

    def verdict(self, found: float) -> str:
        return "met" if (found <= self.wanted if self.is_most else found >= self.wanted) else "**not met**"

    def row(self, found: float) -> str:
        """A row of the table of targets."""
        most = "at most " if self.is_most else ""
        return (
            f"| {self.name} | {most}{self.wanted:,g} | {found:,.{3 if found < 1000 else 5}g} | {self.verdict(found)} |"
        )


# What five accounts may cost beyond their share, and how much cheaper a hundredth of the files must be.
BY_BYTES, CHEAPER = 1.2, 20
TARGETS = (
    Target("needle, decode : bound", (SEED, "needle decode"), (SEED, "bound"), 0.55),
    Target("needle, decode : DuckDB's needle", (SEED, "needle decode"), (SEED, "duckdb needle"), 30),
    Target("needle, published : bound", (SEED, "needle"), (SEED, "bound"), 0.55),
    Target("needle, published : DuckDB's needle", (SEED, "needle"), (SEED, "duckdb needle"), 30),
    Target("day (zlib) : bound", (SEED, "day"), (SEED, "bound"), 0.08),
    Target("day (zlib) : DuckDB to Parquet", (SEED, "day"), (SEED, "duckdb day"), 5),
    Target("day (zlib) : Spark JSON to ORC", (SEED, "day"), (SEED, "spark day"), 20),
    Target("day (zstd) : bound", (SEED, "day zstd"), (SEED, "bound"), 0.10),
    Target("day (zstd) : DuckDB to Parquet", (SEED, "day zstd"), (SEED, "duckdb day"), 6.5),
    Target("decode of tiny files : of larger ones", (TINY, "decode"), (SEED, "decode"), 0.5),
    Target("objects listed and planned a second", (TINY, "plan"), None, 15_000, "objects_per_s"),
    Target("query of the table : of the raw files by DuckDB", (SEED, "query"), (SEED, "duckdb needle"), 100),
    Target("queries of an open table a second", (SEED, "query"), None, 20, "asked_per_s"),
    Target(
        "five accounts, time : of the whole day, by bytes read",
        (SEED, "five accounts"),
        None,
        BY_BYTES,
        "by_bytes",
        True,
    ),
    Target("whole run : run of 1 % new objects", (SEED, "increment"), None, CHEAPER, "times_cheaper"),
    Target("whole run : run of 1 % out of order", (SEED, "increment of early"), None, CHEAPER, "times_cheaper"),
    Target("peak memory of a whole day, GB", (SEED, "day"), None, 2, "peak_gb", True),
)
# Bytes an event of the real files, by packing and columns; they are no measurement of a round.
SIZES = {("zlib", "all columns"): 86, ("zstd_small", "all columns"): 79, ("zlib", "lean"): 60}


@dataclass(slots=True)
class Report:
    """Rounds of measurements by (workload, name); peers that failed in one. What is wrong with a peer is no reason to
    know nothing of ours, while a wrong result of ours ends the benchmark."""

    rounds: list[dict[tuple[str, str], dict[str, Any]]] = field(default_factory=list)
    failed: set[str] = field(default_factory=set)

    def median(self, place: tuple[str, str], fact: str) -> float | None:
        """The median of a fact over the rounds that have it."""
        found = [round_[place][fact] for round_ in self.rounds if place in round_ and fact in round_[place]]
        return statistics.median(found) if found else None

    def ratio(self, target: Target) -> float | None:
        """The median of a ratio over the rounds that have it."""
        found = [ratio for round_ in self.rounds if (ratio := target.ratio(round_)) is not None]
        return statistics.median(found) if found else None


def measure(module: str, name: str, workload: pathlib.Path) -> dict[str, Any]:
    """One measurement, with the most memory that its processes took together (RSS: what they share is counted in
    each). Ends the benchmark when the result is not right."""
    for path in workload.rglob("*.gz"):
        path.read_bytes()
    process = subprocess.Popen(
        [sys.executable, "-m", module, name, str(workload)], stdout=subprocess.PIPE, cwd=HERE.parent, text=True
    )
    peak = _Peak(process.pid)
    out, _err = process.communicate()
    peak_bytes = peak.stop()
    if process.returncode != 0:
        raise SystemExit(f"{module} {name}: failed, nothing is reported")
    done: dict[str, Any] = json.loads(out.splitlines()[-1])
    done["peak_bytes"], done["peak_gb"] = peak_bytes, peak_bytes / 1e9
    done["rate"] = done["events"] / done["seconds"]
    if "open_seconds" in done:
        done["asked_per_s"] = 1 / done["seconds"]
    if "share_of_whole" in done:
        done["times_cheaper"] = 1 / done["share_of_whole"]
    return done


def by_bytes(part: Mapping[str, Any], whole: Mapping[str, Any]) -> float:
    """The time of some accounts as a share of the whole day's, by their share of its bytes: 1 is in proportion."""
    return float(part["seconds"] / whole["seconds"] / part["share_of_bytes"])


class _Peak(threading.Thread):
    """Samples the memory of a process and its children; seldom enough to leave the cores to what is measured."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid, self._peak, self._is_over = pid, 0, threading.Event()
        self.start()

    def run(self) -> None:
        family: list[psutil.Process] = []
        for number in itertools.count():
            if self._is_over.wait(SAMPLE_S):
                return
            try:
                if number % LOOKED_FOR_CHILDREN == 0:
                    root = psutil.Process(self._pid)
                    family = [root, *root.children(recursive=True)]
                self._peak = max(self._peak, sum(one.memory_info().rss for one in family))
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                family = []

    def stop(self) -> int:
        """The peak in bytes."""
        self._is_over.set()
        self.join()
        return self._peak


def tables(report: Report, workloads: Mapping[str, Mapping[str, Any]], sizes: Mapping[tuple[str, str], float]) -> str:
    """The report as Markdown."""
    lines = [
        "| workload | what | seconds | events/s | of the bound | times each peer | peak MB | bytes an event |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for place in PLAN:
        seconds = report.median(place, "seconds")
        if seconds is None:
            continue
        rate, peak, size = (report.median(place, fact) for fact in ("rate", "peak_bytes", "bytes"))
        share = report.ratio(Target("", place, (SEED, "bound"), 0)) if place[0] == SEED else None
        peers = {peer: report.ratio(Target("", place, (SEED, peer), 0)) for peer in PEERS_OF.get(place, ())}
        told = [
            *place, f"{seconds:.2f}", f"{rate or 0:,.0f}", f"{share:.3f}" if share else "",
            ", ".join(f"{peer} {ratio:,.3g}" for peer, ratio in peers.items() if ratio), f"{(peak or 0) / 1e6:,.0f}",
            f"{size / workloads[place[0]]['events']:.1f}" if size else "",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(told)} |")
    lines += ["", "| ratio | wanted | measured | |", "|---|---|---|---|"]
    lines += [target.row(ratio) for target in TARGETS if (ratio := report.ratio(target)) is not None]
    for (packing, columns), wanted in SIZES.items():
        target = Target(f"bytes an event, {packing}, {columns}", (SEED, ""), None, wanted, "", True)
        lines.append(target.row(sizes[packing, columns]))
    return "\n".join(lines)


def _failed(report: Report) -> str:
    return f"\nFailed, and left out: {', '.join(sorted(report.failed))}.\n" if report.failed else ""


def _five_accounts(report: Report) -> str:
    place, whole = (SEED, "five accounts"), (SEED, "day")
    share, ours, day = (
        report.median(place, "share_of_bytes"), report.median(place, "seconds"), report.median(whole, "seconds"),
    )  # fmt: skip
    if share is None or ours is None or day is None:
        return ""
    return (
        f"\nFile-name controls: the five accounts have {share:.1%} of the bytes and take {ours / day:.1%} of the time"
        " of the whole day.\n"
    )


def _query(report: Report) -> str:
    raw = report.median((SEED, "duckdb needle"), "seconds")
    names = ("seconds", "open_seconds", "stripes", "read_rows", "all_rows")
    asked, opened, stripes, read, all_rows = (report.median((SEED, "query"), name) for name in names)
    if asked is None or opened is None or raw is None:
        return ""
    return (
        f"\nThe needle asked of the open table by a process that has asked nothing yet: {asked:.3f} s, and {opened:.3f}"
        f" s to open the tables. It reads {stripes or 0:,.0f} stripes, {read or 0:,.0f} of {all_rows or 0:,.0f} rows."
        " Of the raw files, in the fastest way that DuckDB has, it is the measurement `duckdb needle`.\n"
    )


def _real_sizes(hour: Hour) -> dict[tuple[str, str], float]:
    """Bytes an event of real files, by packing and columns."""
    return {
        (settings.compression, name): packed(hour, settings, SOURCE.stored_table(name == "lean")).bytes / hour.events
        for settings in PACKINGS
        for name in ("all columns", "lean")
    }


def _sizes(hour: Hour, sizes: Mapping[tuple[str, str], float]) -> str:
    lines = [
        f"\nBytes an event of {hour.events:,} real ones ({hour.gzip_bytes / hour.events:.1f} in gzip; two random ids"
        " alone take 37), everything in a part counted (`python -m bench.size`):\n",
        "| packing | all columns | lean |",
        "|---|---|---|",
    ]
    for settings in PACKINGS:
        whole, lean = (sizes[settings.compression, name] for name in ("all columns", "lean"))
        lines.append(f"| {settings.compression} | {whole:.1f} | {lean:.1f} |")
    return "\n".join(lines) + "\n"


def header(rounds: int, workloads: Mapping[str, Mapping[str, Any]]) -> str:
    """What was measured, where and when."""
    found = {one.metadata["Name"].lower(): one.version for one in importlib.metadata.distributions()}
    versions = ", ".join(f"{name} {found[name]}" for name in LIBRARIES if name in found)
    made = "\n".join(
        f"* `{name}`: {facts['events']:,} events with copies in {facts['files']:,} files, {facts['bytes'] / 1e6:,.1f}"
        f" MB of gzip (`python -m bench.workload OUT {facts['options']}`)"
        for name, facts in workloads.items()
    )
    return (
        f"# Benchmark\n\nMade by `make bench` on {dt.datetime.now(dt.timezone.utc):%F}: {os.cpu_count()} cores, "
        f"{psutil.virtual_memory().total / 2**30:.0f} GiB, Python {platform.python_version()}, {versions}. "
        f"Medians of {rounds} rounds (`spark day`: one; `bound` and `needle decode`, of half a second, the median of "
        f"{PASSES} passes in each); every result was held against the truth. Ratios are of one "
        f"round and mean something on any machine, seconds do not.\n\n{made}\n\n"
    )


def _make(folder: pathlib.Path, name: str, events: int) -> tuple[pathlib.Path, dict[str, Any]]:
    options = WorkloadOptions(events=events)
    told = f"--events {events}"
    if name == SEED:
        options = WorkloadOptions(events=events, accounts=20, bucket_minutes=60, per_file=500)
        told += " --accounts 20 --bucket-minutes 60 --per-file 500"
    out = folder / name
    truth = make_workload(out, options)
    files = list((out / "trail").rglob("*.json.gz"))
    total = sum(truth["events"].values()) + truth["duplicate_events"]
    facts = {"events": total, "files": len(files), "bytes": sum(p.stat().st_size for p in files), "options": told}
    return out, facts


def _spark_is_there() -> bool:
    try:
        importlib.metadata.version("pyspark")
    except importlib.metadata.PackageNotFoundError:
        return False
    return shutil.which("java") is not None


def main(arguments: Sequence[str] | None = None) -> None:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__, formatter_class=form)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--events", type=int, default=500_000, help="of the seed workload")
    parser.add_argument("--tiny-events", type=int, default=100_000)
    parser.add_argument("--only", nargs="*", help="names of measurements; printed, not written down")
    given = parser.parse_args(arguments)
    wanted = [place for place in PLAN if not given.only or place[1] in given.only]
    if not _spark_is_there():
        wanted = [place for place in wanted if place[1] != "spark day"]
        print("spark day: left out, there is no pyspark or no Java here", file=sys.stderr)
    report = Report()
    with tempfile.TemporaryDirectory(prefix="loglake-bench-") as folder:
        sizes = {SEED: given.events, TINY: given.tiny_events}
        made = {
            name: _make(pathlib.Path(folder), name, sizes[name]) for name in dict.fromkeys(place[0] for place in wanted)
        }
        for number in range(given.rounds):
            report.rounds.append({})
            for workload, name in wanted if number == 0 else [place for place in wanted if place not in ONCE]:
                assert name in PEERS or name in OURS
                try:
                    done = measure("bench.peers" if name in PEERS else "bench.ours", name, made[workload][0])
                except SystemExit as error:
                    if name not in PEERS:
                        raise
                    report.failed.add(name)
                    print(error, file=sys.stderr)
                    continue
                report.rounds[-1][workload, name] = done
                if name == "five accounts" and (whole := report.rounds[-1].get((SEED, "day"))):
                    done["by_bytes"] = by_bytes(done, whole)
                words = f"{done['seconds']:.2f} s, {done['rate']:,.0f} events/s"
                print(f"{time.strftime('%T')} {number + 1} {workload} {name}: {words}", flush=True)
        facts = {name: one for name, (_path, one) in made.items()}
        hour = real_files()
        packings = _real_sizes(hour)
        text = tables(report, facts, packings) + "\n" + _failed(report) + _five_accounts(report) + _query(report)
        text += _sizes(hour, packings)
        print(f"\n{text}")
        if not given.only:
            (HERE / "RESULTS.md").write_text(header(given.rounds, facts) + text, encoding="utf-8")


if __name__ == "__main__":
    main()
