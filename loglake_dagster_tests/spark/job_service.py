"""EMR Serverless and Glue on 127.0.0.1: their APIs for job runs, as far as boto3 is asked for them, and what is behind.

A job that is started is a process of this machine: `spark-submit` with the request's own properties, parameters and
arguments, in a folder of its own where the package's environment was unpacked. boto3 checks each request against the
service's model before it sends it.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

from loglake_dagster.io.store import open_store
from loglake_dagster.lake.settings import S3Settings
from loglake_dagster_tests.spark.cluster import spark_home

DRIVER = "spark.emr-serverless.driverEnv."
ENDPOINTS = ("AWS_ENDPOINT_URL_EMR_SERVERLESS", "AWS_ENDPOINT_URL_GLUE")


@dataclass
class JobRun:
    """A job that was started: the request, its process, where it runs, how often its state was asked for."""

    request: dict[str, Any]
    process: subprocess.Popen[bytes]
    folder: Path
    asked: int = 0
    is_cancelled: bool = False

    @property
    def output(self) -> str:
        return (self.folder / "output.log").read_text()

    def state(self, good: str, bad: str) -> str:
        self.asked += 1
        code = self.process.poll()
        return "RUNNING" if code is None else good if code == 0 else bad


@dataclass
class JobService:
    """Both services. `glue_jobs` are the jobs that Glue knows, by name, as CreateJob was given them."""

    folder: Path
    s3: S3Settings
    glue_jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    runs: list[JobRun] = field(default_factory=list)

    def __enter__(self) -> JobService:
        service = self

        class Handler(_Handler):
            jobs = service

        self.folder.mkdir(parents=True)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        for run in self.runs:
            if run.process.poll() is None:
                run.process.kill()
            run.process.wait()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def start(
        self, request: dict[str, Any], entry: str, arguments: list[str], conf: Mapping[str, str], libraries: list[str]
    ) -> int:
        """Starts `spark-submit` for an entry script on S3; the number of the run."""
        folder = self.folder / f"run-{len(self.runs)}"
        folder.mkdir()
        script = folder / entry.rpartition("/")[2]
        script.write_bytes(self.fetch(entry))
        archive, _hash, name = conf.get("spark.archives", "").partition("#")
        if archive:
            with tarfile.open(fileobj=BytesIO(self.fetch(archive))) as packed:
                packed.extractall(folder / name, filter="fully_trusted")
        own = {key.removeprefix(DRIVER): value for key, value in conf.items() if key.startswith(DRIVER)}
        installed = [path for path in sys.path if path.endswith("site-packages")]
        told = {"PYTHONPATH": os.pathsep.join([*libraries, *installed]), "SPARK_LOCAL_IP": "127.0.0.1"}
        if not archive:
            told |= {"PYSPARK_PYTHON": sys.executable}
        given = {key: value for key, value in conf.items() if not key.startswith(DRIVER) and key != "spark.archives"}
        options = [part for item in given.items() for part in ("--conf", "=".join(item))]
        command = [
            str(spark_home() / "bin" / "spark-submit"),
            "--master",
            "local[2]",
            *options,
            str(script),
            *arguments,
        ]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("DAGSTER")}
        with open(folder / "output.log", "wb") as log:
            process = subprocess.Popen(
                command, cwd=folder, stdout=log, stderr=log, env={**environment, **told, **own}, start_new_session=True
            )
        self.runs.append(JobRun(request, process, folder))
        return len(self.runs) - 1

    def fetch(self, uri: str) -> bytes:
        root, _slash, key = uri.rpartition("/")
        return open_store(root, self.s3).read(key)

    # -- EMR Serverless ---------------------------------------------------------------------------------

    def emr_post(self, application: str, request: dict[str, Any]) -> dict[str, Any]:
        submit = request["jobDriver"]["sparkSubmit"]
        (defaults,) = request["configurationOverrides"]["applicationConfiguration"]
        parameters = shlex.split(submit["sparkSubmitParameters"])
        conf = dict(defaults["properties"])
        for flag, value in zip(parameters[::2], parameters[1::2], strict=True):
            assert flag == "--conf"
            name, _equals, text = value.partition("=")
            conf[name] = text
        number = self.start(request, submit["entryPoint"], submit["entryPointArguments"], conf, [])
        return {"applicationId": application, "jobRunId": str(number), "arn": f"arn:aws:emr-serverless:::run/{number}"}

    def emr_get(self, application: str, number: str) -> dict[str, Any]:
        run, now = self.runs[int(number)], time.time()
        told = {
            "applicationId": application,
            "jobRunId": number,
            "arn": "arn:aws:emr-serverless:::run",
            "createdBy": "arn:aws:iam::111122223333:role/dagster",
            "createdAt": now,
            "updatedAt": now,
            "executionRole": run.request["executionRoleArn"],
            "state": run.state("SUCCESS", "FAILED"),
            "stateDetails": "as its process ended",
            "releaseLabel": "emr-7.13.0",
            "jobDriver": run.request["jobDriver"],
        }
        return {"jobRun": told}

    # -- Glue -------------------------------------------------------------------------------------------

    def glue_post(self, action: str, request: dict[str, Any]) -> dict[str, Any]:
        if action == "GetJobRun":
            run = self.runs[int(request["RunId"])]
            state = run.state("SUCCEEDED", "FAILED")
            return {"JobRun": {"Id": request["RunId"], "JobName": request["JobName"], "JobRunState": state}}
        assert action == "StartJobRun"
        job = self.glue_jobs[request["JobName"]]
        given = {**job["DefaultArguments"], **request["Arguments"]}
        # Glue hands all of them to the script, its own among them.
        arguments = [part for item in {"--JOB_NAME": request["JobName"], **given}.items() for part in item]
        conf = dict(one.split("=", 1) for one in given.get("--conf", "").split(" --conf ") if one)
        (wheel,) = [one for one in given["--additional-python-modules"].split(",") if one.endswith(".whl")]
        libraries = self.folder / f"modules-{len(self.runs)}"
        local = self.folder / wheel.rpartition("/")[2]
        local.write_bytes(self.fetch(wheel))
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
        option = given["--python-modules-installer-option"]
        subprocess.run([*install, option, "--target", str(libraries), str(local)], check=True)
        number = self.start(request, job["Command"]["ScriptLocation"], arguments, conf, [str(libraries)])
        return {"JobRunId": str(number)}


class _Handler(BaseHTTPRequestHandler):
    """The wire of the two services: REST for one, an action in a header for the other."""

    jobs: JobService

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        parts = self.path.strip("/").split("/")
        target = self.headers.get("X-Amz-Target")
        if target is not None and target.endswith(".StartJobRun") and body["JobName"] not in self.jobs.glue_jobs:
            self.answer({"__type": "EntityNotFoundException", "Message": f"Failed to start {body['JobName']}"}, 400)
        elif target is not None:
            self.answer(self.jobs.glue_post(target.rpartition(".")[2], body))
        else:
            self.answer(self.jobs.emr_post(parts[1], body))

    def do_GET(self) -> None:
        parts = self.path.strip("/").split("/")
        if len(parts) == 2:
            now = time.time()
            told = {"applicationId": parts[1], "arn": "arn", "releaseLabel": "emr-7.13.0", "type": "Spark"}
            self.answer({"application": {**told, "state": "STARTED", "createdAt": now, "updatedAt": now}})
        elif parts[-1] == "dashboard":
            self.answer({"url": f"{self.jobs.url}/dashboard"})
        else:
            self.answer(self.jobs.emr_get(parts[1], parts[3]))

    def do_DELETE(self) -> None:
        parts = self.path.strip("/").split("/")
        run = self.jobs.runs[int(parts[3])]
        run.is_cancelled = True
        run.process.terminate()
        self.answer({"applicationId": parts[1], "jobRunId": parts[3]})

    def answer(self, told: dict[str, Any], status: int = 200) -> None:
        data = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_told: Any) -> None:
        """Nothing: what matters is in the runs."""
