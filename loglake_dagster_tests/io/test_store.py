"""One behaviour suite over every store: the local file system, and S3 against a real server (marker `aws`)."""

import concurrent.futures
import dataclasses
import datetime as dt
import hashlib
import os
import pickle
import random
import subprocess
import sys
import uuid
from contextlib import contextmanager

import pytest

from loglake_dagster.errors import ObjectExists, StoreError
from loglake_dagster.io.store import LocalStore, S3Store, _moment, local_path, open_store
from loglake_dagster.lake.settings import S3Settings
from loglake_dagster_tests.servers import CREDENTIALS

NOBODY = 65534


def open_local(request):
    return LocalStore(request.getfixturevalue("tmp_path") / "store")


def open_s3(request):
    server = request.getfixturevalue("s3_server")
    return S3Store(f"s3://{server.bucket}/{uuid.uuid4().hex}/deep", server.settings)


STORES = {"local": open_local, "s3": open_s3}


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.aws)])
def store(request):
    return STORES[request.param](request)


@pytest.fixture
def local(request):
    return open_local(request)


def keys(store, folder=""):
    folders, objects = store.list_level(folder)
    return folders, [one.key for one in objects]


def test_what_is_written_is_read_back(store):
    store.write("a/b", b"some bytes")
    store.write("empty", b"")
    assert store.read("a/b") == b"some bytes"
    assert store.read("empty") == b""


def test_an_object_is_written_once(store):
    store.write("a/b", b"first")
    with pytest.raises(ObjectExists) as caught:
        store.write("a/b", b"second")
    assert str(caught.value) == f"{store.uri('a/b')}: an object is already there; nothing is overwritten"
    assert caught.value.facts["uri"] == store.uri("a/b")
    assert not caught.value.retryable
    assert store.read("a/b") == b"first"


def test_of_many_writers_of_one_object_one_wins(store):
    def write(n):
        try:
            store.write("a", str(n).encode() * 1000)
        except ObjectExists:
            return None
        return n

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        winners = [n for n in pool.map(write, range(8)) if n is not None]
    assert len(winners) == 1
    assert store.read("a") == str(winners[0]).encode() * 1000


def test_a_level_lists_its_folders_and_objects_by_name(store):
    for key in ("b", "a.txt", "z/1", "c/d/e", "c/f", "a", "B", "c0"):
        store.write(key, key.encode())
    folders, objects = store.list_level("")
    assert folders == ["c/", "z/"]
    assert [(one.key, one.size) for one in objects] == [("B", 1), ("a", 1), ("a.txt", 5), ("b", 1), ("c0", 2)]
    assert keys(store, "c/") == (["c/d/"], ["c/f"])
    assert keys(store, "c/d/") == ([], ["c/d/e"])


def test_a_folder_that_is_not_there_is_empty(store):
    assert store.list_level("") == ([], [])
    store.write("a/b", b"")
    assert store.list_level("nothing/here/") == ([], [])


def test_a_folder_is_no_prefix_of_names(store):
    store.write("day=1/x", b"")
    store.write("day=10/x", b"")
    assert keys(store, "day=1/") == ([], ["day=1/x"])


def test_many_objects_are_listed_whole(store):
    names = [f"many/{n:04d}" for n in range(1100)]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda name: store.write(name, b"x"), names))
    assert keys(store, "many/") == ([], names)


def test_the_etag_stays_while_the_object_does_and_tells_other_objects_apart(store):
    store.write("a", b"one")
    store.write("b", b"other")
    first, other = (one.etag for one in store.list_level("")[1])
    assert first
    assert first != other
    assert '"' not in first
    assert [one.etag for one in store.list_level("")[1]] == [first, other]


def test_a_listing_says_when_an_object_was_last_modified(store):
    before = dt.datetime.now(dt.timezone.utc) - dt.timedelta(seconds=2)  # S3 says whole seconds
    store.write("a", b"1")
    (one,) = store.list_level("")[1]
    assert before <= one.modified <= dt.datetime.now(dt.timezone.utc)
    assert one.modified.microsecond % 1000 == 0


def test_a_files_time_is_cut_to_the_millisecond_and_none_where_the_calendar_ends(local):
    local.write("a", b"1")
    os.utime(local.path / "a", ns=(0, 1_772_442_301_250_999_999))
    assert local.list_level("")[1][0].modified == dt.datetime(2026, 3, 2, 9, 5, 1, 250_000, dt.timezone.utc)
    assert _moment(10**18) is None


def test_an_object_that_is_not_there_is_not_found(store):
    with pytest.raises(StoreError) as caught:
        store.read("a/b")
    assert str(caught.value) == f"{store.uri('a/b')}: not found"
    assert caught.value.facts["why"] == "not found"
    assert not caught.value.retryable


def test_a_copy_has_the_same_bytes_and_outlives_nothing_it_should_not(store):
    store.write("a/b", b"bytes")
    store.copy("a/b", "c/d/e")
    assert store.read("c/d/e") == store.read("a/b") == b"bytes"
    assert keys(store) == (["a/", "c/"], [])


def test_a_copy_overwrites_nothing(store):
    store.write("a", b"one")
    store.write("b", b"other")
    with pytest.raises(ObjectExists) as caught:
        store.copy("a", "b")
    assert str(caught.value) == f"{store.uri('b')}: an object is already there; nothing is overwritten"
    assert store.read("b") == b"other"


def test_a_copy_of_what_is_not_there_is_not_found_under_the_name_that_is_missing(store):
    with pytest.raises(StoreError) as caught:
        store.copy("a", "b")
    assert str(caught.value) == f"{store.uri('a')}: not found"
    assert keys(store) == ([], [])


def test_a_file_is_put_in_place_once(store, tmp_path):
    path = tmp_path / "part"
    path.write_bytes(b"part")
    store.write_file("v/part", path)
    assert store.read("v/part") == b"part"
    with pytest.raises(ObjectExists):
        store.write_file("v/part", path)
    path.unlink(missing_ok=True)
    assert store.read("v/part") == b"part"


def test_a_file_that_is_not_there_is_a_store_error(store, tmp_path):
    with pytest.raises(StoreError, match=r": not found$"):
        store.write_file("v/part", tmp_path / "missing")
    assert keys(store)[1] == []


def test_a_big_object_comes_back_whole(store):
    data = random.Random(1).randbytes(1 << 20) * 24
    store.write("big", data)
    assert hashlib.sha256(store.read("big")).digest() == hashlib.sha256(data).digest()
    store.copy("big", "copy")
    (copy,) = [one for one in store.list_level("")[1] if one.key == "copy"]
    assert copy.size == len(data)


@pytest.mark.parametrize(
    "name", ["a b", " a", "a ", "a#b", "a%b", "a%20b", "a+b", "a&b=c", "a?b", "a~b", "a'b", "\u00e9\u20ac\U0001f600"]
)
def test_names_of_printable_text_come_back(store, name):
    store.write(f"x {name}/{name}", b"1")
    assert keys(store) == ([f"x {name}/"], [])
    assert keys(store, f"x {name}/") == ([], [f"x {name}/{name}"])
    assert store.read(f"x {name}/{name}") == b"1"
    store.copy(f"x {name}/{name}", f"copy {name}")
    assert store.read(f"copy {name}") == b"1"


def test_a_store_crosses_process_borders_after_it_was_used(store):
    store.write("a", b"1")
    again = pickle.loads(pickle.dumps(store))
    assert again.read("a") == b"1"
    assert again.root == store.root


# The local file system alone: names that it allows and S3 servers refuse, permissions, URIs.

HOSTILE = [
    b"new\nline", b"carriage\rreturn", b"tab\there", b"bell\x07", b"escape\x1b[31m", b"delete\x7f",
    b"\xff\xfe not UTF-8", b"\xc3", b"%FF", b"\xf0\x9f\x98\x80", b"back\\slash", b'quote"', b"*?[x]",
    b"-rf", b"~", b"a" * 255,
]  # fmt: skip


@pytest.mark.parametrize("raw", HOSTILE)
def test_hostile_names_of_files_and_folders_are_listed_read_and_copied(local, raw):
    name = os.fsdecode(raw)
    local.write(f"{name}/{name}", b"1")
    assert keys(local) == ([f"{name}/"], [])
    assert keys(local, f"{name}/") == ([], [f"{name}/{name}"])
    local.copy(f"{name}/{name}", "copy")
    assert local.read(f"{name}/{name}") == local.read("copy") == b"1"


@pytest.mark.parametrize("raw", HOSTILE)
def test_a_uri_is_printable_and_names_the_same_file(local, raw):
    key = f"folder/{os.fsdecode(raw)}"
    assert local.uri(key).isascii()
    assert local.uri(key).isprintable()
    assert local_path(local.uri(key)) == local.path / key
    assert local.key(local.uri(key)) == key
    assert open_store(local.root, S3Settings()).path == local.path


def test_a_folder_listing_passes_over_what_is_no_file(local, tmp_path):
    local.write("a", b"1")
    os.mkfifo(local.path / "pipe")
    (local.path / "dangling").symlink_to(tmp_path / "nowhere")
    (local.path / "link").symlink_to(local.path / "a")
    assert keys(local) == ([], ["a", "link"])


KILLED_WRITE = """
import os, pathlib, sys
from loglake_dagster.io.store import LocalStore
os.fsync = lambda _handle: os._exit(9)
LocalStore(pathlib.Path(sys.argv[1])).write("a", b"half of it")
"""


def test_a_killed_write_leaves_no_object_of_the_name(local):
    killed = subprocess.run([sys.executable, "-c", KILLED_WRITE, str(local.path)], check=False)
    assert killed.returncode == 9
    assert "a" not in keys(local)[1]
    local.write("a", b"whole")
    assert local.read("a") == b"whole"


def test_a_local_copy_is_a_second_name_and_no_second_file(local):
    local.write("a", b"1")
    local.copy("a", "b")
    assert (local.path / "a").samefile(local.path / "b")


@contextmanager
def without_rights(path):
    """Takes every right to a file or folder away, and root's privilege of needing none."""
    mode, user = path.stat().st_mode, os.geteuid()
    path.chmod(0)
    try:
        if user == 0:
            os.seteuid(NOBODY)
        yield
    finally:
        os.seteuid(user)
        path.chmod(mode)


def test_what_one_may_not_do_is_said_with_the_verb_and_the_remedy(local):
    local.write("folder/a", b"1")
    with without_rights(local.path):
        for verb, key, call in (
            ("list", "folder/", lambda: local.list_level("folder/")),
            ("read", "folder/a", lambda: local.read("folder/a")),
            ("write", "folder/b", lambda: local.write("folder/b", b"")),
            ("read", "folder/a", lambda: local.copy("folder/a", "folder/c")),
        ):
            with pytest.raises(StoreError) as caught:
                call()
            assert str(caught.value) == f"{local.uri(key)}: not allowed to {verb}; grant it and run again"
            assert caught.value.facts["why"] == "not allowed"
            assert not caught.value.retryable


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda store: store.read("folder"), r"folder: cannot read: .*Is a directory"),
        (lambda store: store.list_level("folder/a/"), r"folder/a/: cannot list: .*Not a directory"),
        (lambda store: store.write("b" * 300, b""), r"b: cannot write: .*File name too long"),
    ],
)
def test_other_failures_say_what_the_system_said(local, call, message):
    local.write("folder/a", b"1")
    with pytest.raises(StoreError, match=message):
        call(local)


# S3 alone.


@pytest.fixture
def s3(request):
    return open_s3(request)


@pytest.mark.aws
def test_an_s3_prefix_sees_nothing_beside_itself(s3, s3_server):
    s3.write("a", b"1")
    parent = s3.root.rpartition("/")[0]
    beside = S3Store(parent + "/deeper", s3_server.settings)
    beside.write("b", b"2")
    assert keys(s3) == ([], ["a"])
    assert keys(S3Store(parent, s3_server.settings)) == (["deep/", "deeper/"], [])
    assert s3.uri("a") == f"{s3.root}/a"


@pytest.mark.aws
def test_wrong_credentials_are_said_as_not_allowed(s3_server, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    store = S3Store(f"s3://{s3_server.bucket}/x", s3_server.settings)
    for verb, key, call in (
        ("list", "", lambda: store.list_level("")),
        ("read", "a", lambda: store.read("a")),
        ("write", "a", lambda: store.write("a", b"")),
    ):
        with pytest.raises(StoreError) as caught:
            call()
        assert str(caught.value) == f"{store.uri(key)}: not allowed to {verb}; grant it and run again"
        assert not caught.value.retryable


@pytest.mark.aws
def test_a_bucket_that_is_not_there_is_not_found(s3_server):
    store = S3Store("s3://no-such-bucket/x", s3_server.settings)
    for key, call in (("", lambda: store.list_level("")), ("a", lambda: store.read("a"))):
        with pytest.raises(StoreError) as caught:
            call()
        assert str(caught.value) == f"{store.uri(key)}: not found"


@pytest.mark.aws
@pytest.mark.parametrize("key", ["a//b", "/a", "a/../b", "a\nb", "a\x7fb"])
def test_a_key_that_the_client_cannot_name_is_a_store_error(s3, key):
    for call in (lambda: s3.read(key), lambda: s3.write(key, b"")):
        with pytest.raises(StoreError) as caught:
            call()
        assert not caught.value.retryable


@pytest.mark.aws
def test_a_folder_marker_is_listed_as_the_folder_itself(s3, s3_server):
    """Zero-byte keys that end in `/` (docs/formats.md 1.1): the client drops the slash; they would look like files."""
    s3.write("a/b", b"1")
    s3_server.put_raw(f"{s3.root}/a/", b"")
    assert keys(s3) == (["a/"], [])
    assert keys(s3, "a/") == ([], ["a/", "a/b"])


@pytest.mark.aws
def test_credentials_that_boto3_alone_knows(s3_server, tmp_path, monkeypatch):
    """A role of Glue's is known to boto3 and not to obstore; here a profile stands for it. Also after a pickle, as an
    executor of Spark gets the store."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    keys = "aws_access_key_id = {AWS_ACCESS_KEY_ID}\naws_secret_access_key = {AWS_SECRET_ACCESS_KEY}\n"
    (tmp_path / "credentials").write_text("[default]\n" + keys.format(**CREDENTIALS))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    root = f"s3://{s3_server.bucket}/{uuid.uuid4().hex}"
    store = S3Store(root, dataclasses.replace(s3_server.settings, through_boto3=True))
    store.write("key", b"data")
    assert pickle.loads(pickle.dumps(store)).read("key") == b"data"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(StoreError, match=r"key: cannot read: .*get_credentials"):
        S3Store(root, store._settings).read("key")
