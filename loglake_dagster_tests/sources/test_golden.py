"""Golden pairs: what each file in golden/<source>/ becomes, to be read and reviewed beside it.

`<quirk>.in.json` (or `.in.jsonl`, `.in.log`) are an object's bytes; `<quirk>.log` is its name, where rows tell it.
Where it has any, `<quirk>.rows.json` are its rows in their order, nulls left out, `<quirk>.rejects.json` its rejects,
`<quirk>.filtered.json` its filtered records by rule.
`keys.json` says of keys what they mean, or why they are ignored. A new quirk is a new pair: nothing is registered.
"""

import collections
import dataclasses
import datetime as dt
import json
import operator
from pathlib import Path

import pytest

from loglake_dagster.lake.source import IgnoredKey, UndatedKey, Wanted
from loglake_dagster.sources import SOURCES
from loglake_dagster_tests.made import ACCOUNT, DAY, decode_one, entry, member, values

GOLDEN = Path(__file__).parents[1] / "golden"
TIME = dt.datetime(2026, 3, 2, 9, 5, 1, 250_000, dt.timezone.utc)
LOG_GROUPS = {"session": ("/ssm/*",), "other": ("/aws/lambda/*", "/my/*")}
CASES = {
    f"{source.name}/{path.name.partition('.in.')[0]}": (source, path)
    for source in SOURCES
    for path in sorted((GOLDEN / source.name).glob("*.in.*"))
}
KEYS = {
    f"{source.name} {case['key']}": (source, case)
    for source in SOURCES
    for path in (GOLDEN / source.name).glob("keys.json")
    for case in json.loads(path.read_text())
}


def plain(value):
    """As it stands in a golden file: times with a Z, days, bytes as text."""
    if isinstance(value, dt.datetime):
        return f"{value.replace(tzinfo=None).isoformat()}Z"
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return str(value) if isinstance(value, dt.date) else value


def delivered(path):
    """The object's entry."""
    return entry(f"s3://sessions/{quirk_of(path)}.log", delivery_time=TIME, account=ACCOUNT, region="eu-west-1")


def quirk_of(path):
    return path.name.partition(".in.")[0]


def wanted_of(source):
    return Wanted(log_groups=LOG_GROUPS) if source.log_group_roles else Wanted()


def plain_row(row):
    return {name: plain(value) for name, value in values(row).items()}


def plain_rejects(account):
    rejects = sorted(account.rejects, key=operator.attrgetter("ordinal"))
    return [{n: plain(value) for n, value in dataclasses.asdict(one).items() if value is not None} for one in rejects]


def check(path, what, found):
    """Compares with the file beside an input; where there is none, nothing may be found. Shows what it would hold."""
    file = path.with_name(f"{quirk_of(path)}.{what}.json")
    expected = json.loads(file.read_text()) if file.exists() else type(found)()
    assert found == expected, f"{file.name}: found\n{json.dumps(found, indent=1, ensure_ascii=False)}"


@pytest.mark.parametrize("is_packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize(("source", "path"), CASES.values(), ids=CASES)
def test_an_object_becomes_its_golden_rows_and_rejects(source, path, is_packed):
    data = path.read_bytes()
    is_packed = is_packed and source.name != "ssm_s3"  # Session Manager packs nothing
    rows, account = decode_one(source, member(data) if is_packed else data, wanted_of(source), delivered(path))
    assert account.error is None
    check(path, "rows", [plain_row(row) for row in rows])
    check(path, "rejects", plain_rejects(account))
    check(path, "filtered", account.filtered)


@pytest.mark.parametrize(("source", "path"), CASES.values(), ids=CASES)
def test_the_audits_recount_agrees_with_the_rows(source, path):
    rows, account = decode_one(source, path.read_bytes(), wanted_of(source), delivered(path))
    try:
        count = source.recount(path.read_bytes(), wanted_of(source))
    except (ValueError, TypeError):  # the plain code reads sound objects only
        assert account.rejects
        return
    days = collections.Counter(row["eventtime"].date() for row in rows)
    assert count.found == account.found
    for day in {*days, *count.wanted_by_day}:
        assert days[day] <= count.wanted_of(day, DAY) <= days[day] + len(account.rejects)


@pytest.mark.parametrize(("source", "case"), KEYS.values(), ids=KEYS)
def test_a_key_means_what_the_golden_file_says(source, case):
    key = source.parse_key(case["key"])
    if isinstance(key, IgnoredKey):
        assert case == {"key": case["key"], "ignored": key.reason}
    else:
        facts = {name: list(one) if isinstance(one, tuple) else plain(one) for name, one in _facts(key).items()}
        assert case == {"key": case["key"], **facts}
        assert len(key.partition) == len(source.raw_partition) - isinstance(key, UndatedKey)
        assert case["key"].startswith(key.folder)


def _facts(key):
    return {name: value for name, value in dataclasses.asdict(key).items() if value is not None}


def test_every_expected_file_belongs_to_an_input():
    inputs = {path for _source, path in CASES.values()}
    names = {path.with_name(path.name.partition(".in.")[0]) for path in inputs}
    others = [path for path in GOLDEN.glob("*/*.json") if path not in inputs and path.name != "keys.json"]
    assert [str(path) for path in others if path.with_name(path.name.rsplit(".", 2)[0]) not in names] == []
    assert len(inputs) >= 40
