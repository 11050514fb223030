"""How time and memory grow with the day, and what a part of it costs: the measurements of a whole day, of five of its
accounts and of one more hundredth of its files, on workloads of ascending size.

    python -m bench.growth          four sizes, twelve minutes once they are made; bench/GROWTH.md, docs/scale.svg
    python -m bench.growth --events 50000 100000 --no-write

Files hold as many events as ever, so a workload of ten times the events has ten times the files. Each size is measured
three times in turn with the others, and the medians count; what a part of it costs is measured in the first of these
rounds alone. Every result is held against the truth.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.compare import read_truth
from bench.peers import events_of
from bench.run import BY_BYTES, CHEAPER, Target, by_bytes, measure
from bench.workload import WorkloadOptions, make_workload

HERE = pathlib.Path(__file__).parent
TRUTH = "truth.json"
PARTS = ("five accounts", "increment")
SIZES = (250_000, 1_000_000, 2_500_000, 5_000_000)
# What ten times the events may cost, and how much more memory; and what memory may come to.
TEN_TIMES_COST, MEMORY_SHARE, MEMORY_BYTES = 11, 1.2, 2e9


@dataclass(frozen=True, slots=True)
class Point:
    """One size: events with their copies, files, bytes of gzip, median seconds, the highest peak; the time of five
    accounts, as a share of the day's, by their share of its bytes; how many times an increment goes into the day."""

    events: int
    files: int
    gzip_bytes: int
    seconds: float
    peak_bytes: int
    by_bytes: float
    times_cheaper: float


def measured(sizes: Sequence[int], rounds: int, folder: pathlib.Path) -> list[Point]:
    """A point for each size."""
    workloads: dict[int, tuple[pathlib.Path, int, int, int]] = {}
    for size in sizes:
        out = folder / str(size)
        if not (out / TRUTH).exists():
            make_workload(out, WorkloadOptions(events=size, accounts=20, bucket_minutes=60, per_file=500))
        truth = read_truth(out)
        files = [path.stat().st_size for path in (out / "trail").rglob("*.json.gz")]
        workloads[size] = out, events_of(truth), len(files), sum(files)
    found: dict[int, list[tuple[float, int]]] = {size: [] for size in sizes}
    parts: dict[int, tuple[float, float]] = {}
    for number in range(rounds):
        for size in sizes:
            whole = measure("bench.ours", "day", workloads[size][0])
            found[size].append((whole["seconds"], whole["peak_bytes"]))
            told = f"{whole['seconds']:.1f} s"
            if number == 0:
                five, more = (measure("bench.ours", name, workloads[size][0]) for name in PARTS)
                parts[size] = by_bytes(five, whole), more["times_cheaper"]
                told += f", five accounts {parts[size][0]:.2f}, 1 % new {parts[size][1]:.1f}"
            print(f"{time.strftime('%T')} {number + 1} {size}: {told}", flush=True)
    points = []
    for size in sizes:
        seconds, peaks = zip(*found[size], strict=True)
        points.append(Point(*workloads[size][1:], statistics.median(seconds), max(peaks), *parts[size]))
    return points


def table(points: Sequence[Point]) -> str:
    """The points as Markdown, each beside the first."""
    first = points[0]
    lines = [
        "| events | files | MB of gzip | seconds | events/s | times the events | times the seconds | peak MB"
        " | five accounts | 1 % new |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in points:
        told = (
            f"{one.events:,}", f"{one.files:,}", f"{one.gzip_bytes / 1e6:,.0f}", f"{one.seconds:,.1f}",
            f"{one.events / one.seconds:,.0f}", f"{one.events / first.events:.2f}",
            f"{one.seconds / first.seconds:.2f}",
            f"{one.peak_bytes / 1e6:,.0f}", f"{one.by_bytes:.2f}", f"{one.times_cheaper:.1f}",
        )  # fmt: skip
        lines.append(f"| {' | '.join(told)} |")
    return "\n".join([*lines, "", *verdicts(points)]) + "\n"


def verdicts(points: Sequence[Point]) -> list[str]:
    """What is wanted, as Markdown: of each pair of sizes that are ten times apart, of the largest, and of each."""
    lines = ["| | wanted | measured | |", "|---|---|---|---|"]

    def add(what: str, wanted: float, found: float, is_most: bool = True) -> None:
        lines.append(Target(what, ("", ""), None, wanted, "", is_most).row(found))

    for first in points:
        for last in points:
            if 9 <= last.events / first.events <= 11:
                sizes = f"{first.events:,} to {last.events:,} events"
                add(f"{sizes}: times the time", TEN_TIMES_COST, last.seconds / first.seconds)
                add(f"{sizes}: times the peak memory", MEMORY_SHARE, last.peak_bytes / first.peak_bytes)
    add(f"peak memory of {points[-1].events:,} events, GB", MEMORY_BYTES / 1e9, points[-1].peak_bytes / 1e9)
    for one in points:
        add(f"{one.events:,} events: five accounts, time : of the whole day, by bytes read", BY_BYTES, one.by_bytes)
    for one in points:
        add(f"{one.events:,} events: whole run : run of 1 % new objects", CHEAPER, one.times_cheaper, is_most=False)
    return lines


WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 360, 70, 70, 30, 50
TIME_INK, MEMORY_INK, GREY = "#1f6feb", "#bf5b04", "#8b949e"


def plot(points: Sequence[Point]) -> str:
    """Seconds (left) and peak memory (right) over events, both from zero, as SVG; straight is linear."""
    most = points[-1].events
    proportional = points[0].seconds / points[0].events * most
    slowest = max(proportional, *(one.seconds for one in points)) * 1.1
    largest = max(MEMORY_BYTES, *(one.peak_bytes for one in points)) * 1.1

    def x(events: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * events / most

    def y(share: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    times = [(x(one.events), y(one.seconds / slowest)) for one in points]
    peaks = [(x(one.events), y(one.peak_bytes / largest)) for one in points]
    linear = [(x(0), y(0)), (x(most), y(proportional / slowest))]
    lines = [_line(linear, GREY, "4 4"), _line(times, TIME_INK), _line(peaks, MEMORY_INK)]
    words = [_word(x(one.events), HEIGHT - 28, f"{one.events / 1e6:.2f} M", GREY, "middle") for one in points]
    words += [
        _word(px, py - 8, f"{one.seconds:,.0f} s", TIME_INK, "end") for one, (px, py) in zip(points, times, strict=True)
    ]
    words += [
        _word(px, py - 8, f"{one.peak_bytes / 1e9:.2f} GB", MEMORY_INK, "end")
        for one, (px, py) in zip(points, peaks, strict=True)
    ]
    words += [
        _word(LEFT, 18, "seconds of a whole day", TIME_INK, "start"),
        _word(WIDTH - RIGHT, 18, "peak memory", MEMORY_INK, "end"),
        _word(WIDTH / 2, HEIGHT - 8, "events (dashed: in proportion to the first)", GREY, "middle"),
    ]
    axes = f'<path d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}" fill="none" stroke="{GREY}"/>'
    inside = "\n".join([axes, *lines, *words])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="13">\n<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>\n{inside}\n</svg>\n'
    )


def _line(points: Sequence[tuple[float, float]], ink: str, dashes: str = "none") -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{ink}" stroke-width="2" stroke-dasharray="{dashes}"/>'


def _word(x: float, y: float, text: str, ink: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{ink}" text-anchor="{anchor}">{text}</text>'


def main(arguments: Sequence[str] | None = None) -> None:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__, formatter_class=form)
    parser.add_argument("--events", type=int, nargs="+", default=SIZES)
    parser.add_argument("--workloads", type=pathlib.Path, help="a folder where they are kept, and taken from")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-write", action="store_true", help="only print")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="loglake-growth-") as folder:
        points = measured(sorted(given.events), given.rounds, given.workloads or pathlib.Path(folder))
    text = table(points)
    print(f"\n{text}")
    if not given.no_write:
        head = (
            f"# Growth\n\nMade by `python -m bench.growth` on {time.strftime('%F', time.gmtime())}, {os.cpu_count()} "
        )
        (HERE / "GROWTH.md").write_text(
            f"{head}cores; medians of {given.rounds} runs each, memory the most of any. `five accounts`: the time of"
            " the files of five accounts as a share of the whole day's, divided by their share of its bytes (1: in"
            " proportion). `1 % new`: how many times the run that adds a hundredth of the files goes into the whole"
            f" one. Both of one run.\n\n{text}",
            "utf-8",
        )
        (HERE.parent / "docs" / "scale.svg").write_text(plot(points), "utf-8")


if __name__ == "__main__":
    main()
