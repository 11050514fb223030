"""Days on EMR Serverless and Glue, from Dagster's run to a published version and back, on this machine: real Pipes, a
real S3, boto3's own requests, the package as it is uploaded, and Spark in a process of its own (job_service.py)."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from deploy.spark.package import ENTRY as ENTRY_SCRIPT
from deploy.spark.package import Target, build_environment, build_wheel, glue_job
from loglake_dagster.config import load_settings
from loglake_dagster.demo import AS_OF
from loglake_dagster.engines.lake import Lake, open_lake
from loglake_dagster.engines.readready import materialize_readready
from loglake_dagster.engines.sessions import materialize_sessions
from loglake_dagster.io.store import open_store
from loglake_dagster.sources import SOURCES
from loglake_dagster_tests.assets.sample import CLOUDTRAIL, CLOUDWATCH, DAY, LANDING, Project, opened_project, values
from loglake_dagster_tests.servers import S3Server
from loglake_dagster_tests.spark.job_service import ENDPOINTS, JobService
from loglake_dagster_tests.spark.parity import engine_of, readready_facts, sessions_facts

pytestmark = [pytest.mark.spark, pytest.mark.timeout(240)]
ROLE = "arn:aws:iam::111122223333:role/loglake-jobs"


@dataclass
class Place:
    """Where everything is on the server: feeds, the package, lakes."""

    uri: str
    server: S3Server
    folder: Path

    def settings(self, lake: str, engine: str) -> str:
        """A settings file in which the line of the engine is one of two that tell lakes apart."""
        return f"""
lake: {self.uri}/{lake}
catalog: {{path: ./{lake}.db}}
engine: {engine}
feeds:
  - {{source: cloudtrail, uri: {self.uri}/trail}}
  - {{source: cloudwatch, uri: {self.uri}/firehose, log_groups: {{session: [/aws/ssm/sessionlogs]}}}}
s3: {{endpoint: "{self.server.settings.endpoint}", region: us-east-1, allow_http: true}}
"""

    @property
    def emr_serverless(self) -> str:
        """The line for EMR Serverless."""
        where = f"{{application_id: 00f1a2b3c4d5e6f7, role_arn: '{ROLE}', package: '{self.uri}/package'}}"
        return self._launch(f"emr_serverless: {where}")

    def glue(self, job: str = "loglake", conf: str = "") -> str:
        """The line for a job of Glue."""
        return self._launch(f"glue: {{job_name: {job}}}", conf)

    def _launch(self, service: str, conf: str = "") -> str:
        launch = f"launch: {{messages: {self.server.bucket}, {service}}}"
        return f"{{type: spark, part_bytes: 100000, conf: {{spark.ui.enabled: false{conf}}}, {launch}}}"


EMBEDDED = "{workers: 1, part_bytes: 100000}"


@pytest.fixture(scope="module")
def place(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The sample day delivered, and the package uploaded. Its environment lacks the libraries: they are this one's."""
    folder, uri = tmp_path_factory.mktemp("place"), f"s3://{s3_server.bucket}/{uuid.uuid4().hex}"
    root = open_store(uri, s3_server.settings)
    for path in (one for one in LANDING.rglob("*") if one.is_file()):
        root.write(str(path.relative_to(LANDING)), path.read_bytes())
    wheel = build_wheel(folder)
    here = Target(python=str(Path(sys.executable).resolve()), version=f"{sys.version_info[0]}.{sys.version_info[1]}")
    for path in (wheel, ENTRY_SCRIPT, build_environment(wheel, [], here, folder)):
        root.write(f"package/{path.name}", path.read_bytes())
    (folder / "glue_job.json").write_text(json.dumps(glue_job(wheel.name, f"{uri}/package", [])))
    return Place(uri, s3_server, folder)


@pytest.fixture(scope="module")
def twin(place: Place) -> Lake:
    """Another lake of the same feeds, made on this machine."""
    file = place.folder / "twin.yaml"
    file.write_text(place.settings("twin", EMBEDDED))
    lake = open_lake(load_settings(file))
    for source in SOURCES[:2]:
        materialize_readready(lake, source, DAY)
    materialize_sessions(lake, DAY, AS_OF)
    return lake


@pytest.fixture
def service(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobService]:
    job = json.loads((place.folder / "glue_job.json").read_text())
    with JobService(tmp_path / "service", place.server.settings, {job["Name"]: job}) as jobs:
        for name in ENDPOINTS:
            monkeypatch.setenv(name, jobs.url)
        yield jobs


@pytest.fixture
def project(place: Place, tmp_path: Path) -> Iterator[Project]:
    (tmp_path / "project").mkdir()
    lake = uuid.uuid4().hex
    with opened_project(tmp_path / "project", None, place.settings(lake, EMBEDDED)) as project:
        yield project


def with_engine(project: Project, engine: str) -> None:
    """Changes the one line of the settings file."""
    file = project.folder / "loglake.yaml"
    lines = [f"engine: {engine}" if line.startswith("engine:") else line for line in file.read_text().splitlines()]
    file.write_text("\n".join(lines))


def logged(result: dg.ExecuteInProcessResult, project: Project) -> str:
    """All that the run's log says."""
    entries = project.instance.all_logs(result.run_id)
    return "\n".join(entry.user_message for entry in entries)


def failure_of(result: dg.ExecuteInProcessResult, step: str) -> str:
    (event,) = [event for event in result.all_events if event.is_step_failure and event.step_key == step]
    error: Any = event.step_failure_data.error
    return str((error.cause or error).message)


def test_a_day_on_emr_serverless(place: Place, twin: Lake, project: Project, service: JobService) -> None:
    """The same settings, one line changed: rows, manifest, accounts and check are those of this machine."""
    with_engine(project, place.emr_serverless)
    result = project.run(DAY, "from_cloudtrail_raw", CLOUDTRAIL)
    assert result.success, [run.output[-3000:] for run in service.runs]
    (run,) = service.runs
    assert readready_facts(project.lake, SOURCES[0], DAY) == readready_facts(twin, SOURCES[0], DAY)
    assert engine_of(project.lake, CLOUDTRAIL, DAY) == "spark"
    assert project.checks(CLOUDTRAIL) == [("2023-07-10", "SUCCEEDED")]
    shown = values(result, CLOUDTRAIL)
    assert (shown["dagster/partition_row_count"], shown["landed"], shown["expected"]) == (2915, 2917, 2919)
    assert (shown["job_rows"], shown["job_objects"]) == (2915, 69)
    assert shown["AWS EMR Serverless Job Run ID"] == "0"
    said = logged(result, project)
    assert f"{CLOUDTRAIL} 2023-07-10: 69 objects to read" in said
    assert f"{CLOUDTRAIL} 2023-07-10: 69 of 69 objects read, 2919 events" in said
    # The wheel of the package did it, not the checkout; and what was asked is what the service was sent.
    assert run.request["name"].startswith(f"{CLOUDTRAIL} 2023-07-10 ")
    assert (run.folder / "environment/lib").exists()
    # Nothing is new: no job is started for that.
    assert project.run(DAY, CLOUDTRAIL).success
    assert len(service.runs) == 1


def test_sessions_on_glue(place: Place, twin: Lake, project: Project, service: JobService) -> None:
    """Tables that this machine made, joined by a job of Glue: the lake is one."""
    assert project.run(DAY, CLOUDTRAIL, CLOUDWATCH).success
    with_engine(project, place.glue())
    result = project.run(DAY, "sessions")
    assert result.success, [run.output[-3000:] for run in service.runs]
    assert sessions_facts(project.lake, DAY, AS_OF) == sessions_facts(twin, DAY, AS_OF)
    assert engine_of(project.lake, "sessions", DAY) == "spark"
    shown = values(result, "sessions")
    assert shown["job_rows"] == shown["dagster/partition_row_count"] == 12
    assert shown["AWS Glue Job Name"] == "loglake"
    assert project.checks("sessions", "captured") == [("2023-07-10", "FAILED")]
    assert "sessions 2023-07-10: joining 2 versions" in logged(result, project)


def test_what_goes_wrong_in_a_job_is_said_in_the_run(place: Place, project: Project, service: JobService) -> None:
    """In the words of the job itself, where it came so far; else in the service's."""
    with_engine(project, place.glue(conf=", spark.driver.bindAddress: 203.0.113.1"))
    words = failure_of(project.run(DAY, CLOUDTRAIL), CLOUDTRAIL)
    assert 'engine.type spark: no session on the master of spark-submit: "java.net.BindException' in words
    assert service.runs[0].process.wait(60) == 1
    with_engine(project, place.glue("not-there"))
    words = failure_of(project.run(DAY, CLOUDTRAIL), CLOUDTRAIL)
    assert "refused StartJobRun: EntityNotFoundException: 'Failed to start not-there'" in words
    assert project.published(CLOUDTRAIL) is None


def test_a_run_that_is_terminated_takes_its_job_with_it(place: Place, project: Project, service: JobService) -> None:
    """Dagster ends a run by an interrupt; nobody pays for a job that nobody waits for."""
    with_engine(project, place.emr_serverless)
    watch = threading.Thread(target=interrupt_when, args=(service,))
    watch.start()
    assert not project.run(DAY, CLOUDTRAIL).success
    watch.join()
    (run,) = service.runs
    assert run.is_cancelled
    assert project.published(CLOUDTRAIL) is None


def interrupt_when(service: JobService) -> None:
    """Interrupts this process once a job was asked for its state."""
    deadline = time.monotonic() + 60
    while not service.runs or not service.runs[0].asked:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGINT)
