"""A real standalone cluster on 127.0.0.1: a master and workers of one core each, ended by their own process ids.

Executors run the Python of the driver, find the tests' modules beside the package's, and may be killed from inside
(Deadly): a task that meets its hour kills the executor that it runs on and the worker above it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil

from loglake_dagster_tests.servers import free_ports

PROJECT = Path(__file__).parents[2]
READY_SECONDS = 60
WORKER = "org.apache.spark.deploy.worker.Worker"


def spark_home() -> Path:
    """Where pip put Spark. Looked for late: other suites collect these tests where it is not installed."""
    import pyspark

    return Path(pyspark.__file__).parent


class Cluster:
    """A master, and the workers that are added."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port, self._web = free_ports(2)
        self.master = f"spark://127.0.0.1:{self._port}"
        self._processes: list[subprocess.Popen[bytes]] = []
        where = ["--host", "127.0.0.1", "--port", str(self._port), "--webui-port", str(self._web)]
        self._start("master", "org.apache.spark.deploy.master.Master", *where)

    def _start(self, name: str, *command: str) -> None:
        path = f"{PROJECT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
        environment = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_DAEMON_MEMORY": "256m", "PYTHONPATH": path}
        with open(self._folder / f"{name}.log", "wb") as log:
            self._processes.append(
                subprocess.Popen(
                    [spark_home() / "bin" / "spark-class", *command],
                    stdout=log,
                    stderr=log,
                    env=environment,
                    start_new_session=True,
                )
            )

    def add_workers(self, count: int) -> None:
        """Starts workers, and waits until the master has them."""
        wanted = self.alive() + count
        for _ in range(count):
            name = f"worker-{len(self._processes)}"
            (port,) = free_ports(1)
            where = ["--host", "127.0.0.1", "--webui-port", str(port), "--work-dir", str(self._folder / name)]
            self._start(name, WORKER, *where, "--cores", "1", "--memory", "1g", self.master)
        self.wait_for(wanted)

    def wait_for(self, count: int) -> None:
        """Waits until the master knows so many workers to be alive."""
        deadline = time.monotonic() + READY_SECONDS
        while self.alive() != count:
            assert time.monotonic() < deadline, (self._folder / "master.log").read_text()[-2000:]
            time.sleep(0.2)

    def alive(self) -> int:
        """The workers that the master has."""
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                return int(read_json(f"http://127.0.0.1:{self._web}/json/")["aliveworkers"])
            except OSError:
                assert time.monotonic() < deadline, (self._folder / "master.log").read_text()[-2000:]
                time.sleep(0.2)

    def stop(self) -> None:
        """Ends every process, workers first: they end their executors."""
        for process in reversed(self._processes):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def read_json(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


class Deadly:
    """Kills the worker that a task runs on, once: whoever makes the marker first."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def strike(self) -> None:
        """Nothing outside a cluster's executor, or when it was done before."""
        above = psutil.Process().parents()
        worker = next((one for one in above if WORKER in " ".join(one.cmdline())), None)
        if worker is None:
            return
        try:
            self.marker.touch(exist_ok=False)
        except FileExistsError:
            return
        executors = above[: above.index(worker)]
        os.kill(worker.pid, signal.SIGKILL)
        for one in reversed(executors):
            os.kill(one.pid, signal.SIGKILL)
        time.sleep(60)  # until the end comes from above
