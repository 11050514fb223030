"""What EMR Serverless and Glue are asked for, judged by the services' own models; the whole way is in
spark/test_launch.py."""

import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from loglake_dagster.assets import pipes
from loglake_dagster.assets.pipes import emr_serverless_request, glue_request, job_arguments, job_name
from loglake_dagster.config import load_settings
from loglake_dagster.errors import LogLakeError
from loglake_dagster.lake.settings import EmrServerless, Glue, Launch, S3Settings
from loglake_dagster_tests.assets.sample import CLOUDTRAIL, DAY
from loglake_dagster_tests.deploy.test_package import problems

JOB = "s3://lake/prod/from_cloudtrail_readready/eventday=2026-11-01/v=20261102T023001Z-0a1b2c3d/_job/job.json.gz"
EMR = EmrServerless("00f1a2b3c4d5e6f7", "arn:aws:iam::111122223333:role/loglake-jobs", "s3://tools/loglake")
AWS, OTHER = S3Settings(), S3Settings("http://127.0.0.1:8333", "us-east-1", True)
LAUNCH = """
lake: s3://lake/prod
catalog: {path: ./catalog.db}
engine: {type: spark, launch: {messages: messages, glue: {job_name: loglake}}}
feeds: [{source: cloudtrail, uri: s3://logs/trail}]
"""


def test_emr_serverless_is_asked_for_what_its_model_takes():
    request = emr_serverless_request(EMR, {"spark.executor.memory": "4g"}, JOB, AWS)
    assert problems("emr-serverless", "StartJobRun", {**request, "clientToken": "given by boto3"}) == ""
    submit = request["jobDriver"]["sparkSubmit"]
    assert submit["entryPoint"] == "s3://tools/loglake/loglake_day.py"
    assert submit["entryPointArguments"] == ["--loglake-job", JOB]
    (defaults,) = request["configurationOverrides"]["applicationConfiguration"]
    assert defaults["properties"]["spark.archives"] == "s3://tools/loglake/environment.tar.gz#environment"
    assert defaults["properties"]["spark.executorEnv.PYSPARK_PYTHON"] == "./environment/bin/python"
    assert defaults["properties"]["spark.executor.memory"] == "4g"
    assert "executionTimeoutMinutes" not in request
    assert "monitoringConfiguration" not in request["configurationOverrides"]


def test_emr_serverless_may_be_told_of_logs_and_a_limit():
    emr = EmrServerless(EMR.application_id, EMR.role_arn, EMR.package, "s3://logs/emr", 90)
    request = emr_serverless_request(emr, {}, JOB, OTHER)
    assert problems("emr-serverless", "StartJobRun", {**request, "clientToken": "given by boto3"}) == ""
    assert request["executionTimeoutMinutes"] == 90
    monitoring = request["configurationOverrides"]["monitoringConfiguration"]
    assert monitoring == {"s3MonitoringConfiguration": {"logUri": "s3://logs/emr/"}}


def test_glue_is_asked_for_what_its_model_takes():
    request = glue_request("loglake", {"spark.executor.memory": "4g", "spark.ui.enabled": "false"}, JOB, OTHER)
    assert problems("glue", "StartJobRun", request) == ""
    assert request == {
        "JobName": "loglake",
        "Arguments": {
            "--loglake-job": JOB,
            "--s3-endpoint": "http://127.0.0.1:8333",
            "--s3-region": "us-east-1",
            "--s3-allow-http": "true",
            "--conf": "spark.executor.memory=4g --conf spark.ui.enabled=false",
        },
    }
    assert glue_request("loglake", {}, JOB, AWS)["Arguments"] == {"--loglake-job": JOB}


def test_a_job_is_told_how_s3_is_reached_and_is_named_after_its_version():
    assert job_arguments(JOB, S3Settings(region="eu-west-1")) == ["--loglake-job", JOB, "--s3-region", "eu-west-1"]
    assert job_arguments(JOB, OTHER)[-1] == "--s3-allow-http"
    assert job_name(JOB) == "from_cloudtrail_readready 2026-11-01 20261102T023001Z-0a1b2c3d"


@pytest.mark.parametrize(
    ("launch", "raised", "words"),
    [
        (
            Launch("m", emr_serverless=EMR),
            ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no\nway"}}, "StartJobRun"),
            "engine.launch: EMR Serverless application 00f1a2b3c4d5e6f7 refused StartJobRun: "
            "AccessDeniedException: 'no\\nway'",
        ),
        (
            Launch("m", glue=Glue("loglake")),
            NoCredentialsError(),
            "engine.launch: Glue job loglake could not be asked: 'Unable to locate credentials'",
        ),
        (
            Launch("m", glue=Glue("loglake")),
            RuntimeError("run jr_1 completed with status TIMEOUT :\nNone"),
            "engine.launch: Glue job loglake: run jr_1 completed with status TIMEOUT : None; the driver's log says "
            "more",
        ),
    ],
    ids=["refused", "no credentials", "failed"],
)
def test_what_a_service_raises_is_a_sentence(launch, raised, words):
    with pytest.raises(LogLakeError) as caught, pipes.plain_errors(launch):
        raise raised
    assert str(caught.value) == words


def test_without_its_extra_a_launch_says_what_to_install(project, monkeypatch):
    """Before anything is asked of AWS, and with the table's run as the place that says it."""
    monkeypatch.setattr(pipes, "NEEDED", ("boto3", "no_such_library"))
    with pytest.raises(LogLakeError) as caught:
        pipes.PipesLauncher(None, _settings(project)).run(JOB)
    assert str(caught.value) == (
        "engine.launch: no_such_library not installed; run pip install 'loglake-dagster[aws]', or leave "
        "engine.launch out"
    )
    assert project.published(CLOUDTRAIL, DAY) is None


def _settings(project):
    file = project.folder / "launch.yaml"
    file.write_text(LAUNCH)
    return load_settings(file)
