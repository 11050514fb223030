"""Files put where AWS delivers them, under the names that AWS gives them, in the folder of a feed."""

import datetime as dt
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loglake_dagster_tests.made import ACCOUNT, log_file, member, record

REGION = "eu-west-1"
OTHER_ACCOUNT = "444455556666"


def trail_file(
    feed: Path,
    content: bytes | Sequence[Any],
    at: str = "2026-03-02T01:05",
    *,
    account: str = ACCOUNT,
    region: str = REGION,
    nonce: str = "AAAAAAAAAAAAAAAA",
) -> Path:
    """A CloudTrail object delivered in the minute `at`: these records, or exactly these bytes."""
    minute = dt.datetime.fromisoformat(at)
    folder = feed / "AWSLogs" / account / "CloudTrail" / region / f"{minute:%Y/%m/%d}"
    path = folder / f"{account}_CloudTrail_{region}_{minute:%Y%m%dT%H%MZ}_{nonce}.json.gz"
    return put(path, content if isinstance(content, bytes) else member(log_file(*content)))


def firehose_file(
    feed: Path, content: bytes | Sequence[bytes], at: str = "2026-03-02T01:05:00", nonce: int = 0
) -> Path:
    """A Firehose object delivered in the second `at`: these documents, each a gzip member, or exactly these bytes."""
    second = dt.datetime.fromisoformat(at)
    name = f"cloudwatch-logs-1-{second:%Y-%m-%d-%H-%M-%S}-{uuid.UUID(int=nonce)}"
    data = content if isinstance(content, bytes) else b"".join(member(one) for one in content)
    return put(feed / f"{second:%Y/%m/%d/%H}" / name, data)


def put(path: Path, data: bytes) -> Path:
    """A new object, or another one under the same name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def event(number: int, time: str = "2026-03-02T01:02:03Z", **fields: Any) -> dict[str, Any]:
    """A CloudTrail record with an id of its own."""
    return record(**{"eventID": f"event-{number:04d}", "eventTime": time, "awsRegion": REGION, **fields})


def events(count: int, first: int = 0) -> list[dict[str, Any]]:
    """Records with ids of their own, a second apart."""
    start = dt.datetime(2026, 3, 2, 1, 0, tzinfo=dt.timezone.utc)
    return [event(n, f"{start + dt.timedelta(seconds=n):%Y-%m-%dT%H:%M:%SZ}") for n in range(first, first + count)]
