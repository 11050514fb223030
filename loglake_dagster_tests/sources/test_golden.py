"""Golden pairs: golden/<source>/<event-or-quirk>.in.json decodes to .rows.json, and .rejects.json where there are any.

Only columns that are not null stand in a .rows.json. To add a pair write the .in.json, then the expected files by hand.
"""

import datetime as dt
import json
from pathlib import Path

import pytest

from loglake_dagster.lake.source import Wanted
from loglake_dagster.sources import source_named
from loglake_dagster_tests.made import compact, decode_one, member, values

GOLDEN = Path(__file__).parents[1] / "golden"
PAIRS = sorted(GOLDEN.glob("*/*.in.json"))
WANTED = Wanted(log_groups={"session": ("/ssm/*",), "other": ("/aws/lambda/*", "/my/*")})


def expected(path, ending):
    file = path.with_name(path.name.replace(".in.json", ending))
    return json.loads(file.read_text()) if file.exists() else []


def readable(row):
    """The row as a .rows.json holds it."""
    return {name: str(value) if isinstance(value, dt.datetime) else value for name, value in values(row).items()}


def decoded(path, data):
    rows, account = decode_one(source_named(path.parent.name), data, WANTED)
    rejects = [
        {"ordinal": one.ordinal, "path": one.path, "expected": one.expected, "got": one.got} for one in account.rejects
    ]
    return [readable(row) for row in rows], rejects


@pytest.mark.parametrize("path", PAIRS, ids=lambda path: f"{path.parent.name}/{path.name.removesuffix('.in.json')}")
def test_a_golden_object_decodes_to_its_rows_and_rejects(path):
    rows, rejects = decoded(path, path.read_bytes())
    assert rows == expected(path, ".rows.json")
    assert rejects == expected(path, ".rejects.json")
    assert decoded(path, member(member(path.read_bytes()))) == (rows, rejects)


def test_every_expected_file_belongs_to_an_input():
    inputs = {path.name.removesuffix(".in.json") for path in PAIRS}
    others = [path.name for path in GOLDEN.glob("*/*.json") if path not in PAIRS]
    assert [name for name in others if name.rsplit(".", 2)[0] not in inputs] == []
    assert len(inputs) == len(PAIRS) >= 40
    assert compact([]) == b"[]"
