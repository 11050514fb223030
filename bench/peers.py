"""What a user would pick instead, and the physical limit, on one made workload. Each is one measurement in a process
of its own; what it found is checked against the truth.

    python -m bench.peers NAME WORKLOAD

prints one line of JSON: what, seconds, events, output bytes, and what it leaves out. Started by bench.run.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from isal import igzip

from bench.compare import Truth, read_truth

T = TypeVar("T")
R = TypeVar("R")
CORES = os.cpu_count() or 1
PASSES = 5
NEEDLE = ("StartSession", "AssumeRole", "AssumeRoleWithSAML")
TEXTS = (
    "eventVersion", "eventTime", "eventSource", "eventName", "awsRegion", "sourceIPAddress", "userAgent", "errorCode",
    "errorMessage", "requestID", "eventID", "eventType", "recipientAccountId", "eventCategory", "sharedEventID",
    "vpcEndpointId", "apiVersion",
)  # fmt: skip
TREES = (
    "userIdentity", "requestParameters", "responseElements", "resources", "tlsDetails", "additionalEventData",
    "serviceEventDetails",
)  # fmt: skip
FLAGS = ("readOnly", "managementEvent")


def events_of(truth: Truth) -> int:
    """CloudTrail records in the workload's files, copies included."""
    return int(sum(truth["events"].values()) + truth["duplicate_events"])


def bound(workload: pathlib.Path, truth: Truth) -> dict[str, Any]:
    """Inflates every object and does nothing else, a process a core: no reader of gzip can be faster."""
    seconds, _sizes = pooled(_inflate, files_of(workload), passes=PASSES)
    return {"seconds": seconds}


def json_module(workload: pathlib.Path, truth: Truth) -> dict[str, Any]:
    """gzip and json.loads, a process a core: the plainest Python."""
    seconds, counts = pooled(_parse, files_of(workload))
    expect("records", events_of(truth), sum(counts))
    return {"seconds": seconds}


def files_of(workload: pathlib.Path) -> list[pathlib.Path]:
    """CloudTrail's files, in the order of their names."""
    return sorted((workload / "trail").rglob("*.json.gz"))


def pooled(
    function: Callable[[T], R],
    items: Sequence[T],
    chunk: int = 32,
    start: Callable[[], None] | None = None,
    passes: int = 1,
) -> tuple[float, list[R]]:
    """(seconds, results) of a function on every item, a process a core, each begun with `start`. Of several `passes`,
    which are for what takes less than a second, the median."""
    with multiprocessing.get_context("fork").Pool(CORES, start) as pool:
        pool.map(len, [b""] * CORES)  # the processes are there before the clock starts
        seconds = []
        for _ in range(passes):
            started = time.perf_counter()
            results = pool.map(function, items, chunksize=chunk)
            seconds.append(time.perf_counter() - started)
        return statistics.median(seconds), results


def _inflate(path: pathlib.Path) -> int:
    return len(igzip.decompress(path.read_bytes()))  # type: ignore[no-untyped-call]


def _parse(path: pathlib.Path) -> int:
    import gzip

    return len(json.loads(gzip.decompress(path.read_bytes()))["Records"])


def duckdb_needle(workload: pathlib.Path, truth: Truth) -> dict[str, Any]:
    """read_json over the files, counting the events of three names; two fields are read."""
    import duckdb

    names = ", ".join(f"'{name}'" for name in NEEDLE)
    records = _records(workload, "eventName VARCHAR, eventSource VARCHAR")
    started = time.perf_counter()
    (found,) = duckdb.connect().execute(f"SELECT count(*) {records} WHERE r.eventName IN ({names})").fetchone() or (0,)
    seconds = time.perf_counter() - started
    wanted = sum(count for name, count in truth["names"].items() if name.partition(":")[2] in NEEDLE)
    if not wanted <= found <= wanted + truth["duplicate_events"]:
        raise SystemExit(f"duckdb_needle: expected {wanted} events and their copies, found {found}")
    return {"seconds": seconds, "leaves_out": "duplicates, accounting, output"}


def duckdb_day(workload: pathlib.Path, truth: Truth) -> dict[str, Any]:
    """read_json over the files to one zstd Parquet file, trees as JSON text; the fields that every event has."""
    import duckdb

    columns = [f"{name} VARCHAR" for name in TEXTS] + [f"{name} JSON" for name in TREES]
    records = _records(workload, ", ".join(columns + [f"{name} BOOLEAN" for name in FLAGS]))
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder, "day.parquet")
        started = time.perf_counter()
        connection = duckdb.connect()
        connection.execute(f"COPY (SELECT unnest(r) {records}) TO '{out}' (COMPRESSION zstd)")
        seconds, size = time.perf_counter() - started, out.stat().st_size
        (rows,) = connection.execute(f"SELECT count(*) FROM '{out}'").fetchone() or (0,)
    expect("rows", events_of(truth), rows)
    return {"seconds": seconds, "bytes": size, "leaves_out": "duplicates, order, accounting, unknown fields"}


def _records(workload: pathlib.Path, columns: str) -> str:
    place = str(workload / "trail").replace("'", "''")
    source = (
        f"read_json('{place}/**/*.json.gz', maximum_object_size=67108864, columns={{'Records': 'STRUCT({columns})[]'}})"
    )
    return f"FROM (SELECT unnest(Records) AS r FROM {source})"


def spark_day(workload: pathlib.Path, truth: Truth) -> dict[str, Any]:
    """Spark's own JSON reader to zlib ORC, as the published Glue job has it: schema inferred, Records exploded."""
    from pyspark.sql import SparkSession
    from pyspark.sql import functions as f

    session = (
        SparkSession.builder.master(f"local[{CORES}]")
        .config("spark.ui.enabled", "false")
        # Names that differ in case alone are in every log; Spark takes them for one column twice, and fails.
        .config("spark.sql.caseSensitive", "true")
        .config("spark.driver.memory", "6g")
        .getOrCreate()
    )
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder, "day")
        started = time.perf_counter()
        read = session.read.option("multiLine", True).option("recursiveFileLookup", True).json(str(workload / "trail"))
        read.select(f.explode("Records").alias("r")).select("r.*").write.option("compression", "zlib").orc(str(out))
        seconds = time.perf_counter() - started
        size = sum(path.stat().st_size for path in out.rglob("*.orc"))
        rows = session.read.orc(str(out)).count()
    session.stop()
    expect("rows", events_of(truth), rows)
    return {"seconds": seconds, "bytes": size, "leaves_out": "duplicates, order, accounting"}


def expect(what: str, expected: object, found: object) -> None:
    """Ends the benchmark when a result is not right."""
    if expected != found:
        raise SystemExit(f"{what}: expected {expected}, found {found}")


PEERS: dict[str, Callable[[pathlib.Path, Truth], dict[str, Any]]] = {
    "bound": bound,
    "json": json_module,
    "duckdb needle": duckdb_needle,
    "duckdb day": duckdb_day,
    "spark day": spark_day,
}


def measure(measurements: Mapping[str, Callable[..., dict[str, Any]]]) -> None:
    """Makes the measurement that the command line names and prints it."""
    name, workload = sys.argv[1], pathlib.Path(sys.argv[2])
    truth = read_truth(workload)
    done = measurements[name](workload, truth, *sys.argv[3:])
    print(json.dumps({"what": name, "events": events_of(truth), **done}))


if __name__ == "__main__":
    measure(PEERS)
