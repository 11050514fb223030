"""What a cluster starts: the driver of one job that Dagster handed over (engines/handover.py), told of through Pipes.

    loglake_day.py --loglake-job s3://lake/from_cloudtrail_readready/eventday=.../v=.../_job/job.json.gz

Runs alone too (spark-submit by hand), then it says the same on standard output. Needs neither Dagster nor a settings
file nor the catalog: Dagster planned the job, audits what it wrote, and publishes it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from dagster_pipes import PipesCliArgsParamsLoader, PipesEnvVarParamsLoader, PipesS3MessageWriter, open_dagster_pipes

from loglake_dagster.engines.handover import Answer
from loglake_dagster.engines.remote import do_job
from loglake_dagster.engines.spark import SparkEngine
from loglake_dagster.errors import LogLakeError
from loglake_dagster.lake.settings import EngineSettings, S3Settings

DONE, FAILED, NOT_STARTED = 0, 1, 2
EVERY_S = 5
# Where Pipes' parameters may stand: both types lack annotations.
LOADERS: tuple[Any, ...] = (PipesCliArgsParamsLoader, PipesEnvVarParamsLoader)


class Report:
    """Tells whoever started the job how it goes: Dagster, through Pipes, and the log of the driver."""

    def __init__(self, pipes: Any = None) -> None:
        self._pipes = pipes

    def say(self, words: str) -> None:
        print(words, flush=True)
        if self._pipes is not None:
            self._pipes.log.info(words)

    def fail(self, words: str) -> None:
        print(f"Error: {words}", file=sys.stderr, flush=True)
        if self._pipes is not None:
            self._pipes.log.error(words)

    def done(self, answer: Answer) -> None:
        """The facts of what was written. No materialisation is reported: that is for the audit to say."""
        facts = facts_of(answer)
        self.say(", ".join(f"{name} {value:,}" for name, value in facts.items()))
        if self._pipes is not None:
            self._pipes.report_custom_message(facts)


def facts_of(answer: Answer) -> dict[str, int | float]:
    """What is told of a job that was done; `objects` of a readready day alone, all that its accounts name."""
    objects = {"objects": len(answer.entries)} if answer.entries else {}
    return {
        "rows": sum(part.rows for part in answer.parts),
        "parts": len(answer.parts),
        "bytes": sum(part.bytes for part in answer.parts),
        **objects,
        "seconds": round(answer.seconds, 1),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """The job's exit code: 0 done, 1 the job failed, 2 it could not be begun."""
    given = _arguments(arguments)
    s3 = S3Settings(given.s3_endpoint, given.s3_region, given.s3_allow_http, through_boto3=True)
    with _reported(s3) as report:
        try:
            answer = do_job(given.loglake_job, s3, partial(_spark, given.master), report.say)
        except LogLakeError as error:
            report.fail(str(error))
            return NOT_STARTED
        if answer.problem is not None:
            report.fail(answer.problem.message)
            return FAILED
        report.done(answer)
    return DONE


def _spark(master: str | None, settings: EngineSettings) -> SparkEngine:
    # Spark's own settings are told to the service, by Dagster; the file of a job has none to give.
    return SparkEngine(replace(settings, master=master, conf={}, launch=None, spark_above=None))


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Ours; Glue and Pipes add some of their own."""
    parser = argparse.ArgumentParser(
        prog="loglake_day.py", description="Does one job of Log Lake on Spark.", allow_abbrev=False
    )
    parser.add_argument(
        "--loglake-job", required=True, metavar="URI", help="the job's file, _job/job.json.gz of a version"
    )
    parser.add_argument("--master", help="Spark's master; spark-submit's if not given")
    parser.add_argument("--s3-endpoint", help="another S3 than AWS's")
    parser.add_argument("--s3-region")
    parser.add_argument("--s3-allow-http", action="store_true", help="for an endpoint without TLS")
    return parser.parse_known_args(arguments)[0]


@contextmanager
def _reported(s3: S3Settings) -> Iterator[Report]:
    """A report to Dagster, if it started this process. EMR Serverless hands its words over in the environment, Glue in
    the arguments."""
    loader = next((one for one in (kind() for kind in LOADERS) if one.is_dagster_pipes_process()), None)
    if loader is None:
        yield Report()
        return
    import boto3

    client = boto3.client("s3", region_name=s3.region, endpoint_url=s3.endpoint)
    with open_dagster_pipes(
        params_loader=loader, message_writer=PipesS3MessageWriter(client, interval=EVERY_S)
    ) as pipes:
        yield Report(pipes)
