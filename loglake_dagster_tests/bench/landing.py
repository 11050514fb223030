"""Reads a landing zone with gzip and json alone: no code shared with what makes or reads the files."""

import gzip
import json
import pathlib
import re
from typing import Any

Record = dict[str, Any]

TRAIL_NAME = re.compile(r"(\d{12})_CloudTrail_([a-z0-9-]+)_\d{8}T\d{4}Z_[A-Za-z0-9]{16}\.json\.gz")
FIREHOSE_NAME = re.compile(r".+-1-\d{4}(-\d\d){5}-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def trail_records(landing: pathlib.Path) -> list[tuple[pathlib.Path, Any]]:
    """Every record with its file, as often as it was delivered."""
    files = sorted((landing / "trail").rglob("*.json.gz"))
    return [(file, record) for file in files for record in json.loads(gzip.decompress(file.read_bytes()))["Records"]]


def firehose_documents(landing: pathlib.Path) -> list[tuple[pathlib.Path, Record]]:
    """Every subscription document with its object, in the order of bytes."""
    files = sorted(file for file in (landing / "firehose").rglob("*") if file.is_file())
    return [
        (file, document) for file in files for document in _concatenated(gzip.decompress(file.read_bytes()).decode())
    ]


def log_events(landing: pathlib.Path, group: str) -> list[tuple[Record, Record]]:
    """(document, log event) of one log group, in the order of their times."""
    documents = [document for _, document in firehose_documents(landing) if document["logGroup"] == group]
    pairs = [(document, event) for document in documents for event in document["logEvents"]]
    return sorted(pairs, key=lambda pair: pair[1]["timestamp"])


def folder_day(file: pathlib.Path) -> str:
    """2026-11-01 for .../2026/11/01/name."""
    return "-".join(file.parts[-4:-1])


def inflated(root: pathlib.Path) -> dict[str, bytes]:
    """Content of every file, without what a compressor may do differently."""
    files = sorted(file for file in root.rglob("*") if file.is_file())
    return {str(file.relative_to(root)): gzip.decompress(file.read_bytes()) for file in files}


def _concatenated(text: str) -> list[Record]:
    decoder, found, position = json.JSONDecoder(), [], 0
    while position < len(text):
        document, position = decoder.raw_decode(text, position)
        found.append(document)
    return found
