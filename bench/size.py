"""How many bytes an event takes, on real files, and which columns take them.

    python -m bench.size                   the real hour in examples/sample_day (README.md there says whose it is)
    python -m bench.size FOLDER            the CloudTrail files (*.json.gz) below a folder
    python -m bench.size FOLDER --columns  and what each column costs: the bytes that a part without it is smaller

Everything that a part holds is counted: ids, bloom filters, indexes, statistics, footer. One part is made of each
day's events; CPU seconds are those of packing it.
"""

from __future__ import annotations

import argparse
import pathlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from loglake_dagster.io.orc import pack_part, read_part
from loglake_dagster.kernels.accounting import rows_of_day
from loglake_dagster.lake.manifest import ObjectEntry
from loglake_dagster.lake.partition import parse_day
from loglake_dagster.lake.schema import Table
from loglake_dagster.lake.settings import OrcSettings
from loglake_dagster.lake.source import Wanted
from loglake_dagster.sources.cloudtrail import SOURCE

SAMPLE = pathlib.Path(__file__).parents[1] / "examples" / "sample_day" / "landing" / "trail"
# Files that make_sample.py added to the real ones of the sample.
MADE = "_Made"
PACKINGS = (OrcSettings("zlib"), OrcSettings("zlib_small"), OrcSettings("zstd"), OrcSettings("zstd_small"))


@dataclass(frozen=True, slots=True)
class Packed:
    """A day's rows packed one way."""

    bytes: int
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Hour:
    """Real files: their size in gzip, and the rows of their events by day."""

    gzip_bytes: int
    days: tuple[pa.Table, ...]

    @property
    def events(self) -> int:
        return sum(rows.num_rows for rows in self.days)


def real_files(folder: pathlib.Path = SAMPLE) -> Hour:
    """The events of a folder's CloudTrail files, each day's in the table's order, its duplicates left out."""
    files = sorted(path for path in folder.rglob("*.json.gz") if MADE not in path.name)
    if not files:
        raise SystemExit(f"{folder}: no CloudTrail files (*.json.gz)")
    decoded = SOURCE.decode([path.read_bytes() for path in files], Wanted(), 1 << 30)
    times = decoded.rows["eventtime"].cast(pa.date32())
    entries = [
        ObjectEntry(
            uri=f"s3://landing/{path.relative_to(folder)}", feed="trail", size=path.stat().st_size, etag="",
            delivery_day=parse_day("2023-07-10"),
        )
        for path in files
    ]  # fmt: skip
    days = tuple(
        rows_of_day(SOURCE, SOURCE.table, decoded, [entry.as_listed() for entry in entries], day)[0]
        for day in sorted(pc.unique(times).to_pylist())
    )
    return Hour(sum(path.stat().st_size for path in files), days)


def packed(hour: Hour, settings: OrcSettings, table: Table = SOURCE.table) -> Packed:
    """The hour's parts with the table's columns; SystemExit if they do not read back as they were."""
    size, started = 0, time.process_time()
    parts = [pack_part(rows.select(table.column_names), table, settings) for rows in hour.days]
    spent = time.process_time() - started
    for rows, part in zip(hour.days, parts, strict=True):
        size += len(part)
        if not read_part(part, table).equals(rows.select(table.column_names)):
            raise SystemExit(f"{settings.compression}: a part does not read back as it was written")
    return Packed(size, spent)


def column_costs(hour: Hour, settings: OrcSettings) -> Iterator[tuple[str, float]]:
    """Bytes an event that each column adds, the dearest first."""
    table = SOURCE.table
    whole = packed(hour, settings).bytes
    without = {
        name: packed(hour, settings, table.with_columns(frozenset(table.column_names) - {name})).bytes
        for name in table.column_names
    }
    costs = {name: (whole - size) / hour.events for name, size in without.items()}
    yield from sorted(costs.items(), key=lambda one: -one[1])


def main() -> None:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m bench.size", description=__doc__, formatter_class=form)
    parser.add_argument(
        "folder", type=pathlib.Path, nargs="?", default=SAMPLE, help="CloudTrail files; default: the sample's"
    )
    parser.add_argument("--columns", action="store_true", help="what each column costs")
    given = parser.parse_args()
    hour = real_files(given.folder)
    print(f"{hour.events:,} events, {hour.gzip_bytes / hour.events:.1f} bytes each in gzip")
    packed(hour, PACKINGS[0])  # the first one in a process also pays for what is made once
    for settings in PACKINGS:
        for name, table in (("all columns", SOURCE.table), ("lean", SOURCE.stored_table(is_lean=True))):
            done = packed(hour, settings, table)
            print(f"{settings.compression:10} {name:11} {done.bytes / hour.events:6.1f}   {done.cpu_seconds:.3f} s CPU")
    if given.columns:
        costs = [dict(column_costs(hour, settings)) for settings in PACKINGS]
        print(f"{'column':55}" + "".join(f"{settings.compression:>12}" for settings in PACKINGS))
        for name in costs[0]:
            print(f"{name:55}" + "".join(f"{one[name]:12.2f}" for one in costs))


if __name__ == "__main__":
    main()
