"""Jobs on EMR Serverless and Glue, started through Dagster Pipes: the run shows their log lines and facts.

Belongs here: the calls' arguments, and what is told of a job. Stays out: what a job does (spark_job.py, there) and what
becomes of its answer (engines/remote.py). The extra that it needs is imported with the first job.
"""

import importlib.util
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import dagster as dg

from loglake_dagster.errors import LogLakeError, quote
from loglake_dagster.lake.settings import EmrServerless, Launch, S3Settings, Settings

NEEDED = ("boto3", "dagster_aws")
ENTRY, ENVIRONMENT = "loglake_day.py", "environment.tar.gz"
# How often messages are looked for, in seconds: a line is a few of them old.
EVERY_S = 5.0


class PipesLauncher:
    """See engines/remote.py, Launcher. The jobs' facts are added to the asset's materialisation."""

    def __init__(self, context: dg.AssetExecutionContext, settings: Settings) -> None:
        assert settings.engine.launch is not None
        self._context, self._launch = context, settings.engine.launch
        self._conf, self._s3 = settings.engine.conf, settings.s3
        self._clients = ExitStack()

    def run(self, job_uri: str) -> None:
        """LogLakeError if the service refused, or the job did not end well."""
        missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
        if missing:
            raise LogLakeError(
                f"engine.launch: {' and '.join(missing)} not installed; run pip install 'loglake-dagster[aws]', or "
                "leave engine.launch out"
            )
        with plain_errors(self._launch), self._clients:
            done = self._run_emr_serverless(job_uri) if self._launch.emr_serverless else self._run_glue(job_uri)
        facts = {f"job_{name}": value for told in done.get_custom_messages() for name, value in told.items()}
        (key,) = self._context.selected_asset_keys
        self._context.add_asset_metadata({**done.metadata, **facts}, asset_key=key)

    def _run_emr_serverless(self, job_uri: str) -> Any:
        from dagster_aws.pipes import PipesEMRServerlessClient

        assert self._launch.emr_serverless is not None
        client = PipesEMRServerlessClient(client=self._client("emr-serverless"), message_reader=self._reader())
        request = emr_serverless_request(self._launch.emr_serverless, self._conf, job_uri, self._s3)
        return client.run(context=self._context.op_execution_context, start_job_run_params=request)

    def _run_glue(self, job_uri: str) -> Any:
        from dagster_aws.pipes import PipesGlueClient

        assert self._launch.glue is not None
        injector = dg.PipesEnvContextInjector()
        client = PipesGlueClient(injector, self._reader(), self._client("glue"))
        request = glue_request(self._launch.glue.job_name, self._conf, job_uri, self._s3)
        return client.run(context=self._context.op_execution_context, start_job_run_params=request)

    def _reader(self) -> Any:
        from dagster_aws.pipes import PipesS3MessageReader

        return PipesS3MessageReader(interval=EVERY_S, bucket=self._launch.messages, client=self._client("s3"))

    def _client(self, service: str) -> Any:
        import boto3

        endpoint = self._s3.endpoint if service == "s3" else None
        client = boto3.client(service, region_name=self._s3.region, endpoint_url=endpoint)
        return self._clients.enter_context(closing(client))


def job_arguments(job_uri: str, s3: S3Settings) -> list[str]:
    """The entry script's arguments."""
    given = ["--loglake-job", job_uri]
    if s3.endpoint:
        given += ["--s3-endpoint", s3.endpoint]
    if s3.region:
        given += ["--s3-region", s3.region]
    return [*given, "--s3-allow-http"] if s3.allow_http else given


def emr_serverless_request(emr: EmrServerless, conf: Mapping[str, str], job_uri: str, s3: S3Settings) -> dict[str, Any]:
    """StartJobRun of EMR Serverless. Settings go as properties: a text of parameters would have to be quoted."""
    python = "./environment/bin/python"
    properties = {
        "spark.archives": f"{emr.package}/{ENVIRONMENT}#environment",
        "spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON": python,
        "spark.emr-serverless.driverEnv.PYSPARK_PYTHON": python,
        "spark.executorEnv.PYSPARK_PYTHON": python,
        **conf,
    }
    overrides: dict[str, Any] = {
        "applicationConfiguration": [{"classification": "spark-defaults", "properties": properties}]
    }
    if emr.logs:
        overrides["monitoringConfiguration"] = {"s3MonitoringConfiguration": {"logUri": f"{emr.logs}/"}}
    request: dict[str, Any] = {
        "applicationId": emr.application_id,
        "executionRoleArn": emr.role_arn,
        "name": job_name(job_uri),
        "jobDriver": {
            "sparkSubmit": {
                "entryPoint": f"{emr.package}/{ENTRY}",
                "entryPointArguments": job_arguments(job_uri, s3),
            }
        },
        "configurationOverrides": overrides,
    }
    return {**request, "executionTimeoutMinutes": emr.timeout_minutes} if emr.timeout_minutes else request


def glue_request(name: str, conf: Mapping[str, str], job_uri: str, s3: S3Settings) -> dict[str, Any]:
    """StartJobRun of Glue. An argument is a name with a value, and Glue has one `--conf` for all settings of Spark."""
    given = job_arguments(job_uri, s3)
    flags = {"--s3-allow-http": "true"} if given[-1] == "--s3-allow-http" else {}
    arguments = dict(zip(given[::2], given[1::2], strict=False)) | flags
    if conf:
        arguments["--conf"] = " --conf ".join(f"{key}={value}" for key, value in conf.items())
    return {"JobName": name, "Arguments": arguments}


def job_name(job_uri: str) -> str:
    """What the service's console shows: table, day and version."""
    table, day, version = job_uri.split("/")[-5:-2]
    return f"{table} {day.removeprefix('eventday=')} {version.removeprefix('v=')}"


@contextmanager
def plain_errors(launch: Launch) -> Iterator[None]:
    """What AWS or Pipes raises, in a sentence."""
    from botocore.exceptions import BotoCoreError, ClientError

    where = f"EMR Serverless application {launch.emr_serverless.application_id}" if launch.emr_serverless else "Glue"
    if launch.glue:
        where = f"Glue job {launch.glue.job_name}"
    try:
        with warnings.catch_warnings():
            # Dagster 1.13 warns of a part of Pipes that it calls itself.
            warnings.simplefilter("ignore", category=dg.PreviewWarning)
            yield
    except ClientError as error:
        told = error.response.get("Error", {})
        why = f"{told.get('Code')}: {quote(told.get('Message'), 300)}"
        raise LogLakeError(f"engine.launch: {where} refused {error.operation_name}: {why}") from error
    except BotoCoreError as error:
        raise LogLakeError(f"engine.launch: {where} could not be asked: {quote(str(error), 300)}") from error
    except RuntimeError as error:
        why = re.sub(r"\s+", " ", str(error)).strip()
        raise LogLakeError(f"engine.launch: {where}: {why}; the driver's log says more") from error
