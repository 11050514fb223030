"""Version folders: manifest, accounts and rejects come back as they were written."""

import base64
import datetime as dt
import json

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglake_dagster.errors import ObjectExists, StoreError
from loglake_dagster.io.store import LocalStore
from loglake_dagster.io.versions import MANIFEST, OBJECTS, VersionFolder, _pack_objects, version_folders
from loglake_dagster.kernels.coverage import Audit, Coverage, CoverageRow, Missing
from loglake_dagster.lake.manifest import Manifest, ObjectEntry, Part, Totals
from loglake_dagster.lake.partition import UTC
from loglake_dagster.lake.source import Reject
from loglake_dagster_tests.made import DAY, entry

MANIFEST_OF_ALL = Manifest(
    table="from_cloudtrail_readready",
    day=DAY,
    version="20260303T000000000000Z-ab",
    base="20260302T120000000000Z-cd",
    created=dt.datetime(2026, 3, 3, 0, 0, 1, 500, tzinfo=UTC),
    recipe="0123456789abcdef",
    engine="embedded",
    parts=(
        Part(name="part-0.orc", rows=2, bytes=10, content_hash="f" * 32, bounds={"eventname": ("A", "\u20ac\x1b")}),
        Part(name="part-1.orc", rows=0, bytes=9, content_hash="0" * 32),
    ),
    reject_files=("_rejects/rejects-1.jsonl",),
    totals=Totals(objects=3, found=2**40, landed=2),
    refused={"accounts": 2},
    ignored={"CloudTrail-Digest folder": 1},
    objects_read=3,
    inputs={"from_cloudwatch_readready": "v1"},
    as_of=dt.datetime(2026, 3, 3, tzinfo=UTC),
)
MANIFEST_OF_LEAST = Manifest(
    table="sessions",
    day=DAY,
    version="v",
    base=None,
    created=dt.datetime(2026, 3, 3, tzinfo=UTC),
    recipe="",
    engine="embedded",
    parts=(),
)


@pytest.fixture
def folder(tmp_path):
    return VersionFolder(LocalStore(tmp_path / "the lake"), "sessions", DAY, "v1")


def test_a_folder_knows_its_place(folder, tmp_path):
    assert folder.folder == "sessions/eventday=2026-03-02/v=v1"
    assert folder.key("part-0.orc") == "sessions/eventday=2026-03-02/v=v1/part-0.orc"
    assert folder.location == f"file://{tmp_path}/the%20lake/sessions/eventday%3D2026-03-02/v%3Dv1/"


@pytest.mark.parametrize("manifest", [MANIFEST_OF_ALL, MANIFEST_OF_LEAST], ids=["all", "least"])
def test_a_manifest_reads_back(folder, manifest):
    folder.write_manifest(manifest, [])
    assert folder.read_manifest() == manifest
    assert folder.read_objects() == []


def test_a_manifest_is_readable_json_without_log_lake(folder):
    folder.write_manifest(MANIFEST_OF_ALL, [])
    text = folder.store.read(folder.key(MANIFEST)).decode()
    assert text.startswith('{\n "table": "from_cloudtrail_readready",\n')
    assert json.loads(text)["totals"]["found"] == 2**40


TIMES = st.none() | st.integers(0, 9 * 10**12).map(
    lambda ms: dt.datetime(1970, 1, 1, tzinfo=UTC) + dt.timedelta(milliseconds=ms)
)
COUNTS = st.dictionaries(st.text(max_size=5), st.integers(0, 2**40), max_size=3)
TEXTS = st.text(max_size=8)
ENTRIES = st.builds(
    ObjectEntry,
    uri=TEXTS,
    feed=TEXTS,
    size=st.integers(0, 2**50),
    etag=TEXTS,
    object_version=st.none() | TEXTS,
    delivery_day=st.dates(dt.date(1970, 1, 1)),
    delivery_time=TIMES,
    account=st.none() | TEXTS,
    region=st.none() | TEXTS,
    state=st.sampled_from(["read", "partly_read", "unreadable"]),
    reason=TEXTS,
    lost_share=st.floats(0, 1),
    found=st.integers(0, 2**50),
    landed=st.integers(0, 2**50),
    first_event_time=TIMES,
    last_event_time=TIMES,
    filtered_by=COUNTS,
    other_days=COUNTS,
    accounts=COUNTS,
)


@given(st.lists(ENTRIES, max_size=6))
def test_any_accounts_read_back_in_their_order(entries):
    class Held:
        """A store of one object."""

        def read(self, _key):
            return _pack_objects(entries)

    assert VersionFolder(Held(), "t", DAY, "v").read_objects() == entries


def test_accounts_can_be_read_without_log_lake(folder):
    counted = entry(found=3, landed=1, other_day=2, other_days={"2026-03-01": 2})
    folder.write_manifest(MANIFEST_OF_LEAST, [counted])
    (row,) = pq.read_table(folder.store.path / folder.key(OBJECTS)).to_pylist()
    assert (row["uri"], row["found"], row["other_days"]) == (counted.uri, 3, '{"2026-03-01":2}')
    assert folder.read_objects() == [counted]


def test_nothing_of_a_version_is_written_twice(folder):
    folder.write_manifest(MANIFEST_OF_LEAST, [])
    with pytest.raises(ObjectExists):
        folder.write_manifest(MANIFEST_OF_ALL, [])
    assert folder.read_manifest() == MANIFEST_OF_LEAST


def test_the_manifest_is_written_last_so_that_a_folder_with_one_is_complete(folder):
    written = []

    class Watched(LocalStore):
        """A store that remembers the order of its writes."""

        def write(self, key, data):
            written.append(key)
            super().write(key, data)

    VersionFolder(Watched(folder.store.path), "t", DAY, "v").write_manifest(MANIFEST_OF_LEAST, [])
    assert [key.partition("/v=v/")[2] for key in written] == [OBJECTS, MANIFEST]


RECORDS = [
    b"42",
    b"",
    b'{"a":"\xff\xfe"}',
    '{"a":"\u2028\u20ac\\n\r\n\x00\x1b"}'.encode(),
    b"line\nline\r\nline\x85\x0b",
    b"\xed\xa0\x80",
]


def test_rejects_are_kept_verbatim_whatever_their_bytes(folder):
    given = [
        (f"s3://b/{n}", Reject(n, "$.eventTime", "an ISO-8601 time", "'\\x1b'", record, DAY if n else None))
        for n, record in enumerate(RECORDS)
    ]
    folder.write_rejects("_rejects/a.jsonl", given[:2])
    folder.write_rejects("_rejects/b.jsonl", given[2:])
    read = folder.read_rejects(["_rejects/a.jsonl", "_rejects/b.jsonl"])
    kept = [
        base64.b64decode(line["record_base64"]) if "record_base64" in line else line["record"].encode() for line in read
    ]
    assert kept == RECORDS
    assert read[0] == {
        "object": "s3://b/0",
        "ordinal": 0,
        "path": "$.eventTime",
        "expected": "an ISO-8601 time",
        "got": "'\\x1b'",
        "eventday": None,
        "record": "42",
    }
    assert [line["eventday"] for line in read[1:]] == ["2026-03-02"] * 5
    assert [line["ordinal"] for line in read] == list(range(6))
    assert ["record_base64" in line for line in read] == [False, False, True, False, True, True]


@given(st.binary(max_size=40), st.text(max_size=20))
def test_any_record_in_any_reject_comes_back(record, words):
    held = {}

    class Held:
        """A store in memory."""

        def write(self, key, data):
            held[key] = data

        def read(self, key):
            return held[key]

    folder = VersionFolder(Held(), "t", DAY, "v")
    folder.write_rejects("r", [(words, Reject(1, words, words, words, record))])
    (line,) = folder.read_rejects(["r"])
    kept = base64.b64decode(line["record_base64"]) if "record_base64" in line else line["record"].encode()
    assert (kept, line["object"], line["got"]) == (record, words, words)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"table":1}', b"\xff"])
def test_a_damaged_manifest_is_a_store_error_that_names_it(folder, data):
    folder.store.write(folder.key(MANIFEST), data)
    with pytest.raises(StoreError) as caught:
        folder.read_manifest()
    assert str(caught.value).startswith(f"{folder.store.uri(folder.key(MANIFEST))}: not a readable manifest: ")
    assert not caught.value.retryable


@pytest.mark.parametrize("cut", [0, 10, -1])
def test_damaged_accounts_are_a_store_error_that_names_them(folder, cut):
    folder.store.write(folder.key(OBJECTS), _pack_objects([entry()])[:cut])
    with pytest.raises(StoreError) as caught:
        folder.read_objects()
    assert str(caught.value).startswith(f"{folder.store.uri(folder.key(OBJECTS))}: not readable accounts: ")


def test_a_version_that_is_not_there_is_not_found(folder):
    with pytest.raises(StoreError, match=r": not found$"):
        folder.read_manifest()


def test_an_audit_reads_back_and_a_version_without_one_has_none(folder):
    missing = Missing("s3://trail/a", "1", "unknown", 7, "not allowed", 3, True)
    rows = (CoverageRow("1", "unknown", 5, 8), CoverageRow("2", "eu-west-1", 1, 1))
    audit = Audit(Coverage(6, 9, rows, (missing,)), 20, 1, 0.9)
    assert folder.read_audit() is None
    folder.write_audit(audit)
    assert folder.read_audit() == audit
    with pytest.raises(ObjectExists):
        folder.write_audit(audit)


def test_a_damaged_audit_is_a_store_error_that_names_it(folder):
    folder.store.write(folder.key("_manifest/audit.json"), b'{"coverage":7}')
    with pytest.raises(StoreError, match=r"/_manifest/audit\.json: not a readable audit: Expected `object`"):
        folder.read_audit()


def test_every_folder_of_a_day_is_told_oldest_first(folder):
    other = VersionFolder(folder.store, folder.table, folder.day, "v0")
    for one in folder, other:
        one.write_manifest(MANIFEST_OF_LEAST, [])
    folder.store.write(f"{folder.table}/eventday={folder.day}/note.txt", b"")
    assert version_folders(folder.store, folder.table, folder.day) == sorted(
        [folder, other], key=lambda one: one.version
    )
    assert version_folders(folder.store, "another", folder.day) == []
