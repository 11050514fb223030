"""A table with a column of each kind, and rows enough for several stripes and row groups of an ORC file."""

import datetime as dt
import random

import pyarrow as pa

from loglake_dagster.kernels.arrow import arrow_schema
from loglake_dagster.lake.schema import Column, Table

KINDS = ("string", "json", "boolean", "int", "bigint", "timestamp", "date")
TABLE = Table("t", "Every kind.", tuple(Column(f"a_{kind}", kind, "A column.") for kind in KINDS), ())
EPOCH = dt.datetime(1970, 1, 1)


def many_rows(count: int, text_bytes: int = 20) -> pa.Table:
    """Rows whose a_bigint is their number. Texts never repeat (no dictionary), a_json's do; of the others some are
    null, in stretches and one by one, and a_date is null in the whole second stripe."""
    draw = random.Random(count)
    rows = [
        {
            "a_string": draw.randbytes(text_bytes // 2).hex() if draw.random() < 0.9 else None,
            "a_json": f'{{"n":{draw.randrange(9)}}}',
            "a_boolean": None if n % 700 < 300 else draw.random() < 0.5,
            "a_int": draw.choice((None, 7, n, -n, draw.randrange(-(2**31), 2**31))),
            "a_bigint": n,
            "a_timestamp": None if n % 5 == 0 else EPOCH + dt.timedelta(milliseconds=draw.randrange(2**42)),
            "a_date": None if 6000 <= n < 12_000 else dt.date(2026, 1, 1) + dt.timedelta(days=n // 50),
        }
        for n in range(count)
    ]
    return pa.Table.from_pylist(rows, arrow_schema(TABLE))
