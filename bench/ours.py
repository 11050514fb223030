"""Log Lake on one made workload: each measurement in a process of its own, held against the truth before it counts.

    python -m bench.ours NAME WORKLOAD

prints one line of JSON. The clock runs over a whole materialisation: listing, planning, reading, decoding,
deduplication, sorting, ORC, manifest, audit with its recount, publication. Started by bench.run.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from bench.compare import Truth, event_differences, workload_lake
from bench.peers import NEEDLE, PASSES, events_of, expect, files_of, measure, pooled
from loglake_dagster.engines.lake import Lake
from loglake_dagster.engines.planning import plan_readready
from loglake_dagster.engines.pool import start_worker
from loglake_dagster.engines.published import Reads
from loglake_dagster.engines.query import answer_to, open_tables, run_query
from loglake_dagster.engines.readready import ReadreadyResult, materialize_readready
from loglake_dagster.lake.controls import Controls, Rule
from loglake_dagster.lake.partition import parse_day
from loglake_dagster.lake.settings import OrcSettings
from loglake_dagster.lake.source import Wanted
from loglake_dagster.sources.cloudtrail import SOURCE, TABLE

FIVE = 5
DECODED_AT_ONCE = 100
LATE_SHARE = 0.01
ONE_SESSION = (
    f"SELECT eventtime, eventid FROM {TABLE.name} WHERE eventname = 'StartSession' AND eventday = DATE '{{day}}'"
)
Measured = dict[str, Any]


def day_of(truth: Truth) -> dt.date:
    """The workload's day."""
    return parse_day(min(truth["events"]))


def needle(workload: pathlib.Path, truth: Truth) -> Measured:
    """Three event names are kept, and every event is counted exactly."""
    with _lake(workload, controls=Controls(event_names=Rule(allow=NEEDLE))) as lake:
        result = _materialize(lake, truth)
        names = {name: count for name, count in truth["names"].items() if name.partition(":")[2] in NEEDLE}
        found = _counts(lake, f"SELECT concat(eventsource, ':', eventname), count(*) FROM {TABLE.name} GROUP BY 1")
        expect("rows by name", names, found)
        expect("events found", events_of(truth), result.manifest.totals.found)
        return _measured(result)


def needle_decode(workload: pathlib.Path, truth: Truth) -> Measured:
    """The needle's decode stage in the shape of the bound: processes that are there already read, inflate and parse
    every file and count every event; the wanted ones become rows in memory. Nothing is written, compared or audited."""
    files = files_of(workload)
    batches = [files[first : first + DECODED_AT_ONCE] for first in range(0, len(files), DECODED_AT_ONCE)]
    seconds, counts = pooled(_decode_needle, batches, chunk=1, start=start_worker, passes=PASSES)
    expect("events found", events_of(truth), sum(found for found, _kept in counts))
    wanted = sum(count for name, count in truth["names"].items() if name.partition(":")[2] in NEEDLE)
    kept = sum(kept for _found, kept in counts)
    expect("wanted events and their copies", True, wanted <= kept <= wanted + truth["duplicate_events"])
    return {"seconds": seconds, "objects": len(files)}


def _decode_needle(files: Sequence[pathlib.Path]) -> tuple[int, int]:
    wanted = Wanted(Controls(event_names=Rule(allow=NEEDLE)))
    decoded = SOURCE.decode((path.read_bytes() for path in files), wanted, 1 << 30)
    return sum(account.found for account in decoded.objects), decoded.rows.num_rows


def day(workload: pathlib.Path, truth: Truth, compression: Literal["zlib", "zstd"] = "zlib") -> Measured:
    """Every event of the day with all its columns."""
    with _lake(workload, orc=OrcSettings(compression)) as lake:
        result = _materialize(lake, truth)
        differences = list(event_differences(lake, truth))
        expect("differences", [], differences[:5])
        expect("duplicates", truth["duplicate_events"], result.manifest.totals.duplicate)
        return {**_measured(result), "bytes": result.manifest.bytes, "rows": result.manifest.rows}


def day_zstd(workload: pathlib.Path, truth: Truth) -> Measured:
    """The same with zstd."""
    return day(workload, truth, "zstd")


def five_accounts(workload: pathlib.Path, truth: Truth) -> Measured:
    """Five of the accounts, told apart by their files' names: the others' files are never opened."""
    trail = workload / "trail"
    accounts = tuple(sorted({path.name.split("_")[0] for path in trail.rglob("*.json.gz")})[:FIVE])
    sizes = {path: path.stat().st_size for path in trail.rglob("*.json.gz")}
    share = sum(size for path, size in sizes.items() if path.name.startswith(accounts)) / sum(sizes.values())
    with _lake(workload, controls=Controls(accounts=Rule(allow=accounts))) as lake:
        result = _materialize(lake, truth)
        found = _counts(lake, f"SELECT recipientaccountid, count(*) FROM {TABLE.name} GROUP BY 1")
        expect("accounts", sorted(accounts), sorted(found))
        return {**_measured(result), "share_of_bytes": share}


def increment(workload: pathlib.Path, truth: Truth) -> Measured:
    """The last delivered hundredth of the files arrives after the others, as files do; the clock runs over the run that
    reads them."""
    return _increment(workload, truth, lambda files: sorted(files, key=_delivered)[-round(len(files) * LATE_SHARE) :])


def increment_of_early(workload: pathlib.Path, truth: Truth) -> Measured:
    """Every hundredth file arrives after the others, whatever its delivery time: some hold the earlier copies of events
    that are there already, so that parts with the later ones must be packed again."""
    return _increment(workload, truth, lambda files: files[:: round(1 / LATE_SHARE)])


def _delivered(path: pathlib.Path) -> str:
    """The delivery time in a file's name."""
    return path.name.split("_")[3]


def _increment(
    workload: pathlib.Path, truth: Truth, choose: Callable[[list[pathlib.Path]], list[pathlib.Path]]
) -> Measured:
    with tempfile.TemporaryDirectory(dir=workload.parent, prefix="loglake-bench-") as folder:
        copy = pathlib.Path(folder, "workload")
        shutil.copytree(workload / "trail", copy / "trail", copy_function=os.link)
        (copy / "firehose").mkdir()
        late = choose(files_of(copy))
        for path in late:
            path.rename(pathlib.Path(folder, path.name))
        lake = workload_lake(copy, pathlib.Path(folder, "lake"))
        whole = _materialize(lake, truth)
        for path in late:
            pathlib.Path(folder, path.name).rename(path)
        result = _materialize(lake, truth)
        expect("objects read", len(late), result.objects_read)
        expect("differences", [], list(event_differences(lake, truth))[:5])
        return {**_measured(result), "whole_seconds": whole.seconds, "share_of_whole": result.seconds / whole.seconds}


def plan(workload: pathlib.Path, truth: Truth) -> Measured:
    """Listing and planning alone: objects a second."""
    with _lake(workload) as lake:
        started = time.perf_counter()
        planned = plan_readready(lake, SOURCE, day_of(truth))
        seconds = time.perf_counter() - started
    return {"seconds": seconds, "objects": len(planned.unread), "objects_per_s": len(planned.unread) / seconds}


def decode(workload: pathlib.Path, truth: Truth) -> Measured:
    """Decoding alone, one process, bytes already in memory: inflate, parse, columns."""
    files = sorted((workload / "trail").rglob("*.json.gz"))
    data = [path.read_bytes() for path in files]
    started = time.perf_counter()
    found = 0
    for first in range(0, len(data), 500):
        decoded = SOURCE.decode(data[first : first + 500], Wanted(), 1 << 30)
        assert decoded.rows.num_rows  # the columns are made here
        found += sum(account.found for account in decoded.objects)
    seconds = time.perf_counter() - started
    expect("events found", events_of(truth), found)
    return {"seconds": seconds, "objects": len(files)}


def query(workload: pathlib.Path, truth: Truth) -> Measured:
    """The needle asked of the finished table, in a process that has read nothing of it yet."""
    with _lake(workload) as lake:
        _materialize(lake, truth)
        told = subprocess.run(
            [sys.executable, "-m", "bench.ours", "ask", str(workload), lake.settings.lake],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    asked: Measured = json.loads(told.stdout)
    wanted = truth["names"].get("ssm.amazonaws.com:StartSession", 0) + truth["names"].get(
        "athena.amazonaws.com:StartSession", 0
    )
    expect("StartSession rows", wanted, asked["rows"])
    return asked


def ask(workload: pathlib.Path, truth: Truth, folder: str) -> Measured:
    """The question alone, of a lake that is there: `open_seconds` until the tables are open (DuckDB starts),
    `seconds` from then on. Nothing has been asked before in the process. `stripes` and `read_rows` were read for it,
    `all_rows` is what the day has."""
    lake = workload_lake(workload, pathlib.Path(folder))
    reads, sql = Reads(), ONE_SESSION.format(day=day_of(truth))
    started = time.perf_counter()
    with open_tables(lake, reads) as connection:
        opened = time.perf_counter()
        rows = answer_to(connection, sql).num_rows
        done = time.perf_counter()
    facts = {"rows": rows, "stripes": reads.stripes, "read_rows": reads.rows, "all_rows": events_in_lake(lake, truth)}
    return {"seconds": done - opened, "open_seconds": opened - started, **facts}


def events_in_lake(lake: Lake, truth: Truth) -> int:
    """Rows of the published day."""
    published = lake.published(TABLE.name, day_of(truth), with_accounts=False)
    return published.manifest.rows if published else 0


@contextmanager
def _lake(workload: pathlib.Path, **settings: Any) -> Iterator[Lake]:
    """A lake in a folder beside the workload, on the same disk, gone afterwards."""
    with tempfile.TemporaryDirectory(dir=workload.parent, prefix="loglake-bench-") as folder:
        yield workload_lake(workload, pathlib.Path(folder), **settings)


def _materialize(lake: Lake, truth: Truth) -> ReadreadyResult:
    result = materialize_readready(lake, SOURCE, day_of(truth))
    result.raise_if_refused()
    return result


def _measured(result: ReadreadyResult) -> Measured:
    return {"seconds": result.seconds, "objects": result.objects_read}


def _counts(lake: Lake, sql: str) -> dict[str, int]:
    return dict(tuple(row.values()) for row in run_query(lake, sql).to_pylist())


OURS: dict[str, Callable[..., Measured]] = {
    "needle": needle,
    "needle decode": needle_decode,
    "day": day,
    "day zstd": day_zstd,
    "five accounts": five_accounts,
    "increment": increment,
    "increment of early": increment_of_early,
    "plan": plan,
    "decode": decode,
    "query": query,
    "ask": ask,
}


if __name__ == "__main__":
    measure(OURS)
