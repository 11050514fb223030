"""Reads ORC parts with Spark and prints every row as a line of JSON; run in a process of its own.

    python -m loglake_dagster_tests.spark.read_orc '{"<name>": ["<Spark schema>", ["<part>", ...], "<condition>"], ...}'

prints `row <name> <row>`. Timestamps are epoch microseconds, so that no time zone of the printing process can hide a
shift. The JVM's zone is UTC, as docs say that readers on Spark must have it; the process's own zone is the caller's.
"""

from __future__ import annotations

import json
import sys


def main() -> None:
    """Prints the rows of each named table, sorted by nothing."""
    from pyspark.sql import SparkSession
    from pyspark.sql import functions as f

    session = (
        SparkSession.builder.master("local[1]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.extraJavaOptions", "-Duser.timezone=UTC")
        .config("spark.sql.session.timeZone", "UTC")
        .getOrCreate()
    )
    for name, (schema, paths, which) in json.loads(sys.argv[1]).items():
        rows = session.read.schema(schema).orc(paths).where(which)
        times = {column for column, kind in rows.dtypes if kind == "timestamp"}
        plain = rows.select([f.unix_micros(c).alias(c) if c in times else f.col(c) for c in rows.columns])
        for row in plain.collect():
            print("row", name, json.dumps(row.asDict(), default=str))
    session.stop()


if __name__ == "__main__":
    main()
