"""The entry script of Log Lake's jobs on EMR Serverless and Glue, which want a file of their own. The work is in
loglake_dagster/spark_job.py, which the package brings."""

import sys

from loglake_dagster.spark_job import main

if __name__ == "__main__" and (code := main()):  # Glue takes any SystemExit for a failure
    sys.exit(code)
