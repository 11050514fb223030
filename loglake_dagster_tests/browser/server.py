"""The web UI as `make up` starts it, over a lake of three days: one sound, one behind a shut gate, one hostile."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from loglake_dagster_tests.assets.sample import PROJECT
from loglake_dagster_tests.cli.process import Folder, clean_environment, demo_folder
from loglake_dagster_tests.engines.deliveries import event, firehose_file, put, trail_file
from loglake_dagster_tests.made import document, log_event
from loglake_dagster_tests.servers import free_ports

SOUND, RED, HOSTILE = "2023-07-10", "2023-07-09", "2023-07-12"
READY_S, END_S = 180, 20
ATTACK = "</td><script>alert(1)</script><img src=x onerror=alert(2)>|[x](javascript:alert(3))`\x1b[31m"


def make_lake(path: Path) -> Folder:
    """The demo's lake, and two days more: one whose files are all damaged, one whose people write HTML."""
    folder = demo_folder(path)
    assert folder.loglake("demo").code == 0
    trail, firehose = path / "landing" / "trail", path / "landing" / "firehose"
    for n in range(3):
        trail_file(trail, b"\0" * 4096, f"{RED}T10:0{n}", nonce=f"DAMAGED{n:09d}")
    assert folder.loglake("materialize", "--day", RED).code == 1
    start = event(
        1,
        f"{HOSTILE}T10:00:00Z",
        eventSource="ssm.amazonaws.com",
        eventName="StartSession",
        userIdentity={"type": "IAMUser", "arn": f"arn:{ATTACK}"},
        requestParameters={"target": "i-0123456789abcdef0", "reason": f"{ATTACK} https://evil.example/"},
        responseElements={"sessionId": f"{ATTACK}-0123456789abcdef0"},
    )
    trail_file(trail, [start], f"{HOSTILE}T10:05")
    typed = log_event(timestamp=1_689_156_300_000)  # 10:05 of that day
    streams = {"owner": ATTACK, "logGroup": "/aws/ssm/sessionlogs", "logStream": f"{ATTACK}-0123456789abcdef0"}
    firehose_file(firehose, [document(typed, **streams)], f"{HOSTILE}T10:05:00")
    name = f"<img src=x onerror=alert(4)>-1-{HOSTILE}-10-06-00-00000000-0000-0000-0000-000000000001"
    put(firehose / HOSTILE.replace("-", "/") / "10" / name, b"no gzip")
    settings = path / "loglake.yaml"
    settings.write_text(settings.read_text().replace("coverage: 0.90 ", "coverage: 0.00 "))
    assert folder.loglake("materialize", "--day", HOSTILE).code == 0
    settings.write_text(settings.read_text().replace("coverage: 0.00 ", "coverage: 0.90 "))
    return folder


@contextmanager
def serve(folder: Folder) -> Iterator[str]:
    """`dagster dev` over a folder; gives the UI's address. All of its processes are ended, by their group."""
    (port,) = free_ports(1)
    home = folder.path / ".dagster_home"
    command = [Path(sys.executable).with_name("dagster"), "dev", "-w", PROJECT / "workspace.yaml"]
    with open(folder.path / "dev.log", "wb") as log:
        process = subprocess.Popen(
            [*command, "-h", "127.0.0.1", "-p", str(port)],
            cwd=folder.path,
            env=clean_environment() | {"DAGSTER_HOME": str(home), "LOGLAKE_CONFIG": str(folder.path / "loglake.yaml")},
            stdout=log,
            stderr=log,
            process_group=0,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_until_loaded(address, process, folder.path / "dev.log")
        yield address
    finally:
        _end(process)


def ask(address: str, query: str) -> dict[str, Any]:
    """The data of a GraphQL answer."""
    request = urllib.request.Request(
        f"{address}/graphql", json.dumps({"query": query}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        data: dict[str, Any] = json.load(answer)["data"]
    return data


def _wait_until_loaded(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + READY_S
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError):
            if ask(address, "{assetNodes {id}}")["assetNodes"]:
                return
        time.sleep(0.5)
    raise AssertionError(f"dagster dev does not answer; it says:\n{log.read_text()}")


def _end(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(END_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
