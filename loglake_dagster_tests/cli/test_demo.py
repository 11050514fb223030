"""`loglake demo`: one command to a lake, repeatable, and never among anybody's own files."""

import json
import shlex
import shutil
import time
from pathlib import Path

from loglake_dagster.config import load_settings
from loglake_dagster.engines.lake import open_lake
from loglake_dagster.engines.query import run_query
from loglake_dagster_tests.assets.sample import LANDING, PROJECT
from loglake_dagster_tests.cli.process import Folder, demo_folder

TABLES = ["from_cloudtrail_readready", "from_cloudwatch_readready", "sessions"]


def published(folder):
    """(table, day, version, hash of the content) of everything that readers see."""
    status = json.loads(folder.loglake("status", "--json").out)
    return [(one["table"], one["day"], one["version"], one["content_hash"]) for one in status]


def refused(folder):
    """The one line that a demo is refused with."""
    result = folder.loglake("demo")
    assert (result.code, result.out) == (2, "")
    assert result.err.count("\n") == 1
    return result.err


def test_the_demo_shows_what_it_made(demo):
    folder, result = demo
    assert result.err == ""
    assert result.lines[0] == "sample day 2023-07-10: 79 raw files delivered"
    said = {line.partition(":")[0]: line for line in result.lines if line.startswith("2023-07-1")}
    assert "2,915 rows, coverage 99.93%, 69 objects read, new version" in said["2023-07-10 from_cloudtrail_readready"]
    assert "11 rows, coverage 100.00%, 10 objects read, new version" in said["2023-07-10 from_cloudwatch_readready"]
    assert "12 rows, new version" in said["2023-07-10 sessions"]
    assert said["2023-07-11 from_cloudwatch_readready"].endswith("(keystrokes that go on after midnight)")
    assert "5 of 6 sessions that should have keystrokes have them" in said["2023-07-10 warning"]
    for words in (
        "svc-backup",
        "TargetNotConnected",
        "69 objects (0 unreadable, 0 partly read)",
        "2,919 found = 2,915 landed + 2 duplicate + 0 filtered + 0 other_day + 2 rejected",
        "$.eventTime",
        "nothing (missing)",
        f"lake      {folder.path / 'lake'}",
        f"raw       {folder.path / 'landing' / 'trail'} (cloudtrail)",
        "loglake sessions --day 2023-07-10 --session 0d9e8c7b6a5f41320",
    ):
        assert words in result.out
    names = {path.name for path in folder.path.iterdir()}
    assert names == {"loglake.yaml", "dagster.yaml", "landing", "lake", ".dagster_home"}
    assert (folder.path / ".dagster_home" / "dagster.yaml").read_text() == (PROJECT / "dagster.yaml").read_text()


def test_the_hints_of_the_demo_work(demo):
    folder, result = demo
    hints = [line.split(maxsplit=2)[2] for line in result.lines if line.startswith(("Ask it:", "A case:"))]
    assert len(hints) == 2
    for hint in hints:
        command, *arguments = shlex.split(hint)
        assert Path(command).name == "loglake"
        assert folder.loglake(*arguments).code == 0


def test_a_second_demo_changes_nothing(tmp_path):
    folder = demo_folder(tmp_path)
    started = time.monotonic()
    first = folder.loglake("demo")
    wall = time.monotonic() - started
    before = published(folder)
    assert [(table, day) for table, day, _version, _hash in before] == [
        ("from_cloudtrail_readready", "2023-07-10"),
        ("from_cloudwatch_readready", "2023-07-10"),
        ("from_cloudwatch_readready", "2023-07-11"),
        ("sessions", "2023-07-10"),
    ]
    second = folder.loglake("demo")
    assert second.code == 0
    assert second.lines[0] == "sample files are there already"
    assert second.out.count("nothing new, version") == 4
    assert second.out.count(", 0 objects read") == 3
    assert published(folder) == before
    # Its own work: on a machine that others use too, the clock on the wall says little.
    assert first.cpu_seconds < 20, wall
    assert second.cpu_seconds < 20


def test_two_demos_hold_the_same_rows(demo, tmp_path):
    """Only source_object says which folder a row came from."""
    other = demo_folder(tmp_path)
    assert other.loglake("demo").code == 0
    lakes = [open_lake(load_settings(folder.path / "loglake.yaml")) for folder in (demo[0], other)]
    for table in TABLES:
        one, two = (run_query(lake, f"select * from {table} order by all") for lake in lakes)
        kept = [name for name in one.column_names if name != "source_object"]
        assert one.select(kept).to_pylist() == two.select(kept).to_pylist()
        assert one.num_rows > 10


def test_the_demo_never_mixes_with_other_files(tmp_path):
    folder = demo_folder(tmp_path)
    for feed in ("trail", "firehose"):
        own = tmp_path / "landing" / feed / "2023" / "own.json.gz"
        own.parent.mkdir(parents=True)
        own.write_bytes(b"somebody's")
        assert refused(folder) == (
            f"Error: {tmp_path}/landing/{feed}: holds 1 files that are not the sample's, as 'own.json.gz'; run the "
            "demo in a folder of its own\n"
        )
        assert [path for path in (tmp_path / "landing").rglob("*") if path.is_file()] == [own]
        assert not (tmp_path / "lake").exists()
        own.unlink()


def test_the_demo_takes_no_feed_elsewhere(tmp_path):
    (tmp_path / "project").mkdir()
    folder = demo_folder(tmp_path / "project")
    file = folder.path / "loglake.yaml"
    text = file.read_text()
    for uri in ("../real/trail", "/real/trail", "s3://real/trail"):
        file.write_text(text.replace("./landing/trail", uri))
        assert refused(folder) == (
            f"Error: {file}: the demo puts sample files into the cloudtrail feed, so it wants one alone, in a folder "
            "beside the settings file (as the default loglake.yaml has it). Yours reads real logs: run it elsewhere\n"
        )
    file.write_text(text.replace("feeds:\n", "feeds:\n  - {source: cloudtrail, uri: ./other}\n"))
    assert "so it wants one alone" in refused(folder)
    assert not (folder.path / "landing").exists()


def test_the_demo_says_where_it_looked_for_the_sample(tmp_path):
    folder = demo_folder(tmp_path)
    result = folder.loglake("demo", "--sample", "nowhere")
    assert (result.code, result.out) == (2, "")
    assert result.err == (
        "Error: nowhere/landing: no sample there; run the demo in the project's folder, or name one with --sample DIR\n"
    )


def test_a_sample_of_ones_own_may_be_named(tmp_path):
    (tmp_path / "project").mkdir()
    folder = demo_folder(tmp_path / "project")
    shutil.copytree(LANDING, tmp_path / "small" / "landing", ignore=shutil.ignore_patterns("*_20230710T12*"))
    result = folder.loglake("demo", "--sample", "../small")
    assert result.code == 0
    assert result.lines[0] == "sample day 2023-07-10: 25 raw files delivered"


def test_a_demo_of_a_lake_elsewhere_is_told_so_by_config(tmp_path):
    demo_folder(tmp_path)
    elsewhere = tmp_path / "cwd"
    elsewhere.mkdir()
    result = Folder(elsewhere).loglake("--config", str(tmp_path / "loglake.yaml"), "demo")
    assert result.code == 0
    assert (tmp_path / "lake" / "catalog.db").is_file()
    assert list(elsewhere.iterdir()) == []
