"""The gate: what is missing is counted against the source and named, and too much of it keeps a day unpublished."""

import gzip
import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bench.compare import workload_lake
from bench.workload import WorkloadOptions, make_workload
from loglake_dagster.engines import ReadreadyJob, Written
from loglake_dagster.engines.readready import materialize_readready
from loglake_dagster.engines.runs import without_rows
from loglake_dagster.errors import AuditError, CoverageError
from loglake_dagster.io.store import local_path
from loglake_dagster.lake.controls import Controls, Rule
from loglake_dagster.lake.manifest import ObjectEntry
from loglake_dagster.lake.settings import Quality
from loglake_dagster.sources import cloudwatch
from loglake_dagster.sources.cloudtrail import SOURCE, TABLE
from loglake_dagster_tests.engines.deliveries import (
    OTHER_ACCOUNT,
    REGION,
    event,
    events,
    firehose_file,
    put,
    trail_file,
)
from loglake_dagster_tests.engines.made_lake import (
    ONE_PROCESS,
    SESSION_GROUP,
    accounted,
    firehose_of,
    ids_of,
    interrupted,
    made_lake,
    published,
    rows_of,
    trail_of,
)
from loglake_dagster_tests.made import ACCOUNT, DAY, document, log_event, log_file, member

OPTIONS = WorkloadOptions(events=3_000, accounts=2, sessions=1, duplicates=0, per_file=25, bucket_minutes=60)
Break = Callable[[bytes], bytes]


# -- how much may be missing ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("gate") / "workload"
    make_workload(out, OPTIONS)
    return out


def break_share(workload: Path, share: float, how: Break) -> tuple[list[Path], int]:
    """Breaks objects of the day's folder that hold at most this share of all events: (the objects, their events)."""
    files = sorted((workload / "trail").rglob(f"{OPTIONS.day:%Y/%m/%d}/*.json.gz"))
    random.Random(3).shuffle(files)
    limit, broken, count = share * (OPTIONS.events + OPTIONS.sessions), [], 0
    for file in files:
        held = len(json.loads(gzip.decompress(file.read_bytes()))["Records"])
        if count + held <= limit:
            put(file, how(file.read_bytes()))
            broken.append(file)
            count += held
    return broken, count


def flip(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes(255 - one for one in data[middle : middle + 8]) + data[middle + 8 :]


BREAKS = {
    "corrupt": flip,
    "garbage": lambda data: random.Random(len(data)).randbytes(len(data)),
    "error page": lambda _data: b"<Error><Code>AccessDenied</Code></Error>",
    "empty": lambda _data: b"",
}


@pytest.mark.parametrize("how", [flip, BREAKS["garbage"], BREAKS["empty"]], ids=["corrupt", "garbage", "empty"])
def test_a_day_with_too_much_unreadable_is_not_published(made: Path, tmp_path: Path, how: Break) -> None:
    workload = tmp_path / "workload"
    shutil.copytree(made, workload)
    broken, count = break_share(workload, 0.12, how)
    lake = workload_lake(workload, tmp_path / "lake", ONE_PROCESS)
    result = materialize_readready(lake, SOURCE, OPTIONS.day)
    assert (result.is_new, result.is_published, result.manifest.totals.unreadable) == (True, False, len(broken))
    assert result.coverage.landed == OPTIONS.events + OPTIONS.sessions - count
    assert {one.uri for one in result.coverage.missing} == {file.as_uri() for file in broken}
    assert lake.catalog.published(TABLE.name, OPTIONS.day) is None
    assert ids_of(lake) == []
    with pytest.raises(CoverageError) as caught:
        result.raise_if_refused()
    worst = "; ".join(f"{one.uri} ({one.reason}, {one.estimated} events)" for one in result.coverage.missing[:3])
    assert str(caught.value) == (
        f"from_cloudtrail_readready 2026-11-01: landed {result.coverage.landed} of {result.coverage.expected} source "
        f"events ({result.coverage.ratio:.2%}), at least 90% are asked for; not published, readers see nothing of the "
        f"day. Missing most: {worst}. What was read, with its rejects: {result.location}"
    )
    assert caught.value.facts == {"table": TABLE.name, "day": "2026-11-01"}


@pytest.mark.parametrize("how", BREAKS.values(), ids=BREAKS)
def test_readers_keep_the_version_before_when_objects_break(made: Path, tmp_path: Path, how: Break) -> None:
    """Also when what they hold cannot be told from their size any more: it was counted before."""
    workload = tmp_path / "workload"
    shutil.copytree(made, workload)
    lake = workload_lake(workload, tmp_path / "lake", ONE_PROCESS)
    before = materialize_readready(lake, SOURCE, OPTIONS.day).manifest
    assert before.rows == OPTIONS.events + OPTIONS.sessions
    broken, _count = break_share(workload, 0.12, how)
    result = materialize_readready(lake, SOURCE, OPTIONS.day)
    assert (result.is_new, result.is_published, result.manifest.totals.unreadable) == (True, False, len(broken))
    assert result.coverage.ratio < 0.9
    with pytest.raises(CoverageError, match=f"not published, readers keep version {before.version}. Missing most: "):
        result.raise_if_refused()
    assert published(lake, OPTIONS.day)[0] == before
    assert len(ids_of(lake)) == before.rows


@pytest.mark.parametrize("how", BREAKS.values(), ids=BREAKS)
def test_a_day_with_little_unreadable_is_published_and_says_what_is_missing(
    made: Path, tmp_path: Path, how: Break
) -> None:
    workload = tmp_path / "workload"
    shutil.copytree(made, workload)
    broken, count = break_share(workload, 0.085, how)
    lake = workload_lake(workload, tmp_path / "lake", ONE_PROCESS)
    result = materialize_readready(lake, SOURCE, OPTIONS.day)
    result.raise_if_refused()
    assert len(ids_of(lake)) == OPTIONS.events + OPTIONS.sessions - count
    assert {one.uri for one in result.coverage.missing} == {file.as_uri() for file in broken}
    assert all(one.estimated > 0 and one.is_estimate and one.reason for one in result.coverage.missing)
    facts = lake.catalog.published_days(TABLE.name)[0].facts
    assert (facts["landed"], facts["expected"]) == (result.coverage.landed, result.coverage.expected)


def test_an_account_that_went_dark_is_the_first_row(made: Path, tmp_path: Path) -> None:
    """99 % of all events can hide it."""
    trail_file(trail_of(tmp_path), events(400))
    dark = trail_file(trail_of(tmp_path), member(log_file(*events(8)))[:9], account=OTHER_ACCOUNT)
    result = materialize_readready(made_lake(tmp_path), SOURCE, DAY)
    assert result.is_published
    worst, sound = result.coverage.rows
    assert (worst.account, worst.region, worst.landed, worst.coverage) == (OTHER_ACCOUNT, REGION, 0, 0.0)
    assert (sound.account, sound.landed, sound.coverage) == (ACCOUNT, 400, 1.0)
    assert [one.uri for one in result.coverage.missing] == [dark.as_uri()]


# -- everything that can be wrong with an object, in one day --------------------------------------------

NUL_IN_NAME = event(300, eventName="Put\u0000Item")
BAD: dict[str, tuple[bytes, str, tuple[int, ...]]] = {
    # name: (bytes, state, (found, landed, duplicate, filtered, other_day, rejected))
    "corrupt": (flip(member(log_file(*events(9, 20)))), "unreadable", (0, 0, 0, 0, 0, 0)),
    "empty": (b"", "unreadable", (0, 0, 0, 0, 0, 0)),
    "folder of a digest": (member(b'{"digestS3Bucket":"b"}'), "read", (0, 0, 0, 0, 0, 0)),
    "no records": (member(b'{"Records":[]}'), "read", (0, 0, 0, 0, 0, 0)),
    "a number": (member(log_file(event(30), 42, event(31))), "read", (3, 2, 0, 0, 0, 1)),
    "not UTF-8": (
        member(log_file(event(32), b'{"eventTime":"2026-03-02T01:02:03Z","x":"\xff"}', event(33))),
        "read",
        (3, 2, 0, 0, 0, 1),
    ),
    "lone surrogate": (
        member(log_file(event(34), b'{"eventTime":"2026-03-02T01:02:03Z","eventName":"\\ud800"}', event(35))),
        "read",
        (3, 2, 0, 0, 0, 1),
    ),
    "long number": (
        member(log_file(event(36, requestParameters={"n": 2**64 + 1}), event(37, x=2**200))),
        "read",
        (2, 2, 0, 0, 0, 0),
    ),
    "same key twice": (
        member(
            log_file(b'{"eventTime":"2026-03-02T01:02:03Z","eventID":"event-0038","awsRegion":"a","awsRegion":"b"}')
        ),
        "read",
        (1, 1, 0, 0, 0, 0),
    ),
    "id of 56 digits": (member(log_file(event(39, eventID="9" * 56))), "read", (1, 1, 0, 0, 0, 0)),
    "another day": (member(log_file(event(40, "2026-02-28T23:59:59Z"), event(41))), "read", (2, 1, 0, 0, 1, 0)),
    "denied event": (member(log_file(event(42, eventName="Decrypt"), event(43))), "read", (2, 1, 0, 1, 0, 0)),
    "nul": (member(log_file(NUL_IN_NAME)), "read", (1, 1, 0, 0, 0, 0)),
}


def test_everything_bad_is_accounted_and_the_rest_lands(tmp_path: Path) -> None:
    trail_file(trail_of(tmp_path), events(20), nonce="SOUND")
    trail_file(trail_of(tmp_path), member(log_file(*events(200, 100)))[:-60], nonce="TRUNCATED")
    files = {
        name: trail_file(trail_of(tmp_path), data, nonce=f"N{n}")
        for n, (name, (data, _s, _c)) in enumerate(BAD.items())
    }
    controls = Controls(event_names=Rule(deny=("Decrypt",)))
    lake = made_lake(tmp_path, controls=controls, quality=Quality(coverage=0.5))
    result = materialize_readready(lake, SOURCE, DAY)
    result.raise_if_refused()
    manifest, entries = published(lake, DAY)
    found = {name: (entries[file.as_uri()].state, accounted(entries[file.as_uri()])) for name, file in files.items()}
    assert found == {name: (state, counts) for name, (_data, state, counts) in BAD.items()}
    truncated = next(entry for uri, entry in entries.items() if "TRUNCATED" in uri)
    assert (truncated.state, truncated.reason) == ("partly_read", "truncated gzip")
    assert 100 < truncated.landed < 200
    assert manifest.rows == 20 + truncated.landed + sum(counts[1] for _data, _state, counts in BAD.values())
    assert manifest.totals.unreadable == 2
    rejects = lake.published(TABLE.name, DAY).folder.read_rejects(manifest.reject_files)
    assert len(rejects) == manifest.totals.rejected == 3 + truncated.rejected
    row = {one["eventid"]: one for one in rows_of(lake)}
    assert row["event-0036"]["requestparameters"] == f'{{"n":{2**64 + 1}}}'
    assert json.loads(row["event-0037"]["extra"]) == {"x": 2**200}
    assert row["event-0300"]["eventname"] == "Put\u0000Item"
    assert row["9" * 56]["source_ordinal"] == 0


def test_everything_bad_in_a_firehose_object_is_accounted(tmp_path: Path) -> None:
    sound = document(log_event(), log_event(id="38" + "9" * 54))
    control = document(log_event(id=""), messageType="CONTROL_MESSAGE", logGroup="", logStream="")
    other = document(log_event(id="a"), log_event(id="b"), logGroup="/ecs/web")
    late = document(log_event(id="c", timestamp=1_772_413_323_000 + 86_400_000))
    bad = document(b'{"id":"d","timestamp":"yesterday","message":"x"}', log_event(id="e"))
    files = [
        firehose_file(firehose_of(tmp_path), documents, f"2026-03-02T01:05:{n:02d}", n)
        for n, documents in enumerate(
            [[sound, control, other, late, bad], [sound, b"plain text"], member(sound)[:-40], b"\x1f\x8bnot gzip", b""]
        )
    ]
    lake = made_lake(tmp_path, quality=Quality(coverage=0.3))
    result = materialize_readready(lake, cloudwatch.SOURCE, DAY)
    result.raise_if_refused()
    entries = published(lake, DAY, cloudwatch.TABLE.name)[1]
    found = [(entries[file.as_uri()].state, accounted(entries[file.as_uri()])) for file in files]
    assert found == [
        ("read", (8, 3, 0, 3, 1, 1)),
        ("read", (3, 0, 2, 0, 0, 1)),
        ("partly_read", (1, 0, 0, 0, 0, 1)),
        ("unreadable", (0, 0, 0, 0, 0, 0)),
        ("unreadable", (0, 0, 0, 0, 0, 0)),
    ]
    assert entries[files[0].as_uri()].filtered_by == {"control_message": 1, "log_groups": 2}
    assert entries[files[0].as_uri()].other_days == {"2026-03-03": 1}
    assert [row["loggroup"] for row in rows_of(lake, cloudwatch.TABLE.name)] == [SESSION_GROUP] * 3


def test_a_gzip_bomb_is_unreadable_and_costs_no_memory(tmp_path: Path) -> None:
    trail_file(trail_of(tmp_path), events(4))
    bomb = trail_file(trail_of(tmp_path), gzip.compress(bytes(1 << 20)), nonce="BOMB")
    engine = replace(ONE_PROCESS, max_object_bytes=1 << 16)
    lake = made_lake(tmp_path, engine=engine, quality=Quality(coverage=0.1))
    result = materialize_readready(lake, SOURCE, DAY)
    assert (result.is_published, result.manifest.totals.unreadable, len(ids_of(lake))) == (True, 1, 4)
    entry = published(lake, DAY)[1][bomb.as_uri()]
    assert (entry.state, entry.reason) == ("unreadable", "inflates to more than the limit (max_object_bytes)")


# -- what is passed over is counted ---------------------------------------------------------------------


def test_keys_of_other_kinds_and_denied_objects_are_counted(tmp_path: Path) -> None:
    trail = trail_of(tmp_path)
    sound = trail_file(trail, [event(1), event(2, eventName="Decrypt"), event(3, eventSource="kms.amazonaws.com")])
    day = sound.parent
    trail_file(trail, events(3, 10), account=OTHER_ACCOUNT)
    trail_file(trail, events(3, 20), region="us-east-1")
    trail_file(trail, events(3, 30), nonce="SECRET")
    account = trail / "AWSLogs" / ACCOUNT
    put(account / "Config" / REGION / "2026/3/2/ConfigHistory/history.json.gz", b"")
    put(account / "CloudTrail-Digest" / REGION / "2026/03/02/digest.json.gz", b"")
    put(account / "elasticloadbalancing" / REGION / "2026/03/02/load.log.gz", b"")
    put(day / "notes.txt", b"")
    put(trail / "AWSLogs" / "README", b"")
    controls = Controls(
        accounts=Rule(deny=(OTHER_ACCOUNT,)),
        regions=Rule(allow=("eu-*",)),
        keys=Rule(deny=("*SECRET*",)),
        event_names=Rule(deny=("Decrypt",)),
        event_sources=Rule(allow=("ec2.*",)),
    )
    lake = made_lake(tmp_path, controls=controls)
    manifest = materialize_readready(lake, SOURCE, DAY).manifest
    assert manifest.refused == {"accounts": 1, "keys": 1, "regions": 1}
    assert manifest.ignored == {
        "CloudTrail-Digest file": 1,
        "Config folder": 1,
        "elasticloadbalancing folder": 1,
        "not a CloudTrail key": 1,
        "not a log file": 1,
    }
    (entry,) = published(lake, DAY)[1].values()
    assert entry.filtered_by == {"event_names": 1, "event_sources": 1}
    assert (accounted(entry), ids_of(lake)) == ((3, 1, 0, 2, 0, 0), ["event-0001"])
    assert materialize_readready(lake, SOURCE, DAY).coverage.ratio == 1.0


# -- the source moves on --------------------------------------------------------------------------------


def test_objects_that_arrive_after_the_plan_are_expected(tmp_path: Path) -> None:
    trail_file(trail_of(tmp_path), events(95))
    late: list[Path] = []

    def arrive(_job: ReadreadyJob, _written: Written) -> None:
        late.append(
            trail_file(
                trail_of(tmp_path), [*events(5, 100), event(0), event(200, "2026-03-01T12:00:00Z")], nonce="LATE"
            )
        )

    lake = made_lake(tmp_path)
    result = materialize_readready(interrupted(lake, arrive), SOURCE, DAY)
    assert (result.is_published, result.coverage.landed, result.coverage.expected) == (True, 95, 101)
    (missing,) = result.coverage.missing
    assert (missing.uri, missing.reason, missing.estimated, missing.is_estimate) == (
        late[0].as_uri(),
        "arrived after the run was planned",
        6,
        False,
    )
    again = materialize_readready(lake, SOURCE, DAY)
    assert (again.objects_read, again.coverage.ratio, len(ids_of(lake))) == (1, 1.0, 100)


def test_too_many_late_objects_shut_the_gate(tmp_path: Path) -> None:
    trail_file(trail_of(tmp_path), events(20))

    def arrive(_job: ReadreadyJob, _written: Written) -> None:
        trail_file(trail_of(tmp_path), events(5, 100), nonce="LATE")

    lake = made_lake(tmp_path)
    result = materialize_readready(interrupted(lake, arrive), SOURCE, DAY)
    assert (result.is_published, result.coverage.landed, result.coverage.expected) == (False, 20, 25)
    assert ids_of(lake) == []


# -- what was written is read back ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            lambda part: part.write_bytes(part.read_bytes()[:-20]),
            "written, but cannot be read back: not a readable ORC",
        ),
        (lambda part: part.unlink(), "written, but cannot be read back: .*: not found"),
        (lambda part: part.write_bytes(b""), "written, but cannot be read back: not a readable ORC"),
    ],
    ids=["truncated", "gone", "empty"],
)
def test_a_part_that_cannot_be_read_back_is_never_published(
    tmp_path: Path, damage: Callable[[Path], object], words: str
) -> None:
    trail_file(trail_of(tmp_path), events(20))

    def tamper(job: ReadreadyJob, written: Written) -> None:
        damage(local_path(job.target.location) / written.parts[0].name)

    lake = made_lake(tmp_path)
    with pytest.raises(AuditError, match=words):
        materialize_readready(interrupted(lake, tamper), SOURCE, DAY)
    assert lake.catalog.published(TABLE.name, DAY) is None


def test_a_part_with_other_rows_than_it_should_have_is_never_published(tmp_path: Path) -> None:
    trail_file(trail_of(tmp_path), events(20))

    def miscount(_job: ReadreadyJob, written: Written) -> Written:
        return replace(written, parts=(replace(written.parts[0], rows=19),))

    with pytest.raises(AuditError, match=r"part-00000-.*\.orc: expected 19 rows, its footer says 20"):
        materialize_readready(interrupted(made_lake(tmp_path), miscount), SOURCE, DAY)


def test_a_part_that_was_forgotten_is_noticed(tmp_path: Path) -> None:
    trail_file(trail_of(tmp_path), events(20))

    def forget(_job: ReadreadyJob, written: Written) -> Written:
        return replace(written, parts=())

    with pytest.raises(AuditError, match="parts hold 0 rows, 20 events landed"):
        materialize_readready(interrupted(made_lake(tmp_path), forget), SOURCE, DAY)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"found": 21, "filtered": 1, "filtered_by": {"event_names": 1}}, "21 and 20"),
        ({"landed": 19, "other_day": 1, "other_days": {"2026-03-01": 1}}, "20 and 19"),
    ],
    ids=["records", "events of the day"],
)
def test_a_recount_that_disagrees_is_an_error(tmp_path: Path, change: dict[str, object], said: str) -> None:
    """As a decoder would that invents a record, or files an event under another day."""
    file = trail_file(trail_of(tmp_path), events(20))

    def miscount(job: ReadreadyJob, written: Written) -> Written:
        (entry,) = written.entries
        miscounted = replace(entry, **change)
        (whole,), name = written.parts, "part-of-a-bad-decoder.orc"
        data, lost = job.target.store.read(job.target.key(whole.name)), range(entry.landed - miscounted.landed)
        left, _by_object = without_rows(data, whole, lost, name, job.table, job.orc)
        assert left is not None
        part, packed = left
        job.target.store.write(job.target.key(name), packed)
        return replace(written, parts=(part,), entries=[miscounted])

    with pytest.raises(AuditError) as caught:
        materialize_readready(interrupted(made_lake(tmp_path), miscount), SOURCE, DAY)
    assert str(caught.value) == (
        f"{file.as_uri()}: a recount with plain gzip and json finds 20 records, 20 of {DAY}; the manifest says {said}"
    )


def test_an_object_without_balance_is_an_error(tmp_path: Path) -> None:
    trail_file(trail_of(tmp_path), events(20))

    def lose(_job: ReadreadyJob, written: Written) -> Written:
        entries: list[ObjectEntry] = [replace(entry, found=21) for entry in written.entries]
        return replace(written, entries=entries)

    with pytest.raises(AuditError, match="accounting does not hold: found 21, landed 20, duplicate 0"):
        materialize_readready(interrupted(made_lake(tmp_path), lose), SOURCE, DAY)
