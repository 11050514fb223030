"""CloudWatch Logs through Firehose: keys, folders, session messages, the audit's own count."""

import datetime as dt
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglake_dagster.engines.readready import materialize_readready
from loglake_dagster.lake.controls import Controls, Rule
from loglake_dagster.lake.partition import UTC
from loglake_dagster.lake.source import Descent, Wanted
from loglake_dagster.sources.cloudwatch import SOURCE, descend, parse_key, recount
from loglake_dagster_tests.engines.deliveries import put
from loglake_dagster_tests.engines.made_lake import accounted, firehose_of, made_lake, published
from loglake_dagster_tests.kernels.shapes import ANY_JSON
from loglake_dagster_tests.made import (
    DAY,
    ERROR_OUTPUT,
    TIME_MS,
    compact,
    decode_one,
    document,
    error_line,
    log_event,
    member,
    values,
)

OTEL = Path(__file__).parents[1] / "golden/cloudwatch/otel"
LANDING = Path(__file__).parents[2] / "examples/sample_day/landing/firehose"
UUID = "a188030a-62d2-49e6-b7c2-b11f1a7ba250"
STAMP = "2026-03-02-01-02-03"
TIME = dt.datetime(2026, 3, 2, 1, 2, 3, tzinfo=UTC)
ODD = "odd \U0001f600\n%2B=/"
NAME = f"stream-1-{STAMP}-{UUID}"
NO_ROLES = Wanted()
SESSIONS = Wanted(log_groups={"session": ("/ssm/*",)})


PREFIXES = st.text(st.characters(exclude_categories=["Cs", "Nd"], exclude_characters="/"), max_size=6)


@given(
    st.lists(PREFIXES.filter(bool), max_size=2).map(lambda parts: "".join(f"{part}/" for part in parts)),
    PREFIXES.filter(lambda one: not one.endswith("year=")),
    st.sampled_from(["{0:%Y/%m/%d}/", "{0:%Y/%m/%d/%H}/", "year={0:%Y}/month={0:%m}/day={0:%d}/"]),
    st.datetimes(dt.datetime(2000, 1, 1)).map(lambda one: one.replace(microsecond=0, tzinfo=UTC)),
)
def test_a_raw_partition_reads_back_from_the_keys_of_its_objects(folders, glued, layout, time):
    day_folder = layout.format(time)
    key = parse_key(f"{folders}{glued}{day_folder}stream-1-{time:%Y-%m-%d-%H-%M-%S}-{UUID}")
    assert key.partition == (folders + glued, time.date().isoformat())
    assert (key.delivery_day, key.delivery_time) == (time.date(), time)
    assert f"{folders}{glued}{day_folder}".startswith(key.folder)


DAYS = frozenset([dt.date(2026, 3, 2), dt.date(2026, 3, 3)])


@pytest.mark.parametrize(
    ("folder", "is_entered"),
    [
        ("2026/", True),
        ("2026/03/", True),
        ("2026/03/02/", True),
        ("2026/03/03/", True),
        ("2026/03/03/23/", True),
        ("2026/03/01/", False),
        ("2026/03/01/23/", False),
        ("2026/02/", False),
        ("2025/03/", False),
        ("logs2026/", True),
        ("logs2026/03/", True),
        ("logs2025/03/", False),
        ("year=2026/", True),
        ("year=2026/month=03/", True),
        ("year=2026/month=04/", False),
        ("year=2026/month=03/day=04/", False),
        ("team-a/", True),
        ("team-a/retail2020/", True),
        ("2020/", True),
        ("1234/", True),
        ("111122223333/", True),
        ("dt=2026-03-02/", True),
        ("dt=2020-03-02/", True),
        ("2026/03/32/", True),
    ],
)
def test_a_listing_enters_what_may_hold_the_asked_days(folder, is_entered):
    """A folder that looks like a year of long ago may be a prefix: one call tells."""
    assert descend(folder, DAYS, Controls()) == Descent((folder,) if is_entered else ())


def test_a_listing_does_not_enter_firehoses_error_output():
    expected = Descent(ignored=ERROR_OUTPUT.format("processing-failed"))
    assert descend("errors/processing-failed2026/", DAYS, Controls()) == expected


@given(
    st.lists(st.from_regex(r"[a-z0-9=-]{1,6}", fullmatch=True), max_size=2),
    st.sampled_from(["", "logs", "retail2020", "x="]),
    st.dates(dt.date(2026, 3, 1), dt.date(2026, 3, 4)),
)
def test_every_folder_on_the_way_to_a_days_objects_is_entered(folders, glued, day):
    key = f"{''.join(f'{one}/' for one in folders)}{glued}{day:%Y/%m/%d}/01/stream-1-{day:%Y-%m-%d}-01-00-00-{UUID}"
    on_the_way = [key[: n + 1] for n, letter in enumerate(key) if letter == "/"]
    says = parse_key(key)
    if says.delivery_day == day:
        assert [one for one in on_the_way if not descend(one, frozenset([day]), Controls()).folders] == []


@pytest.mark.parametrize(
    ("file", "found", "rows", "filtered"),
    [
        ("cloudtrail_log_cw", 1, ["/aws/cloudtrail/logs"], {}),
        ("extracted_fields_both", 1, ["test-log-group"], {}),
        ("multiple_json_objects", 2, ["/my/first/log/group", "/my/second/log/group"], {}),
        ("valid_cloudwatch_log_control", 1, [], {"control_message": 1}),
    ],
)
def test_public_documents_are_read_whole(file, found, rows, filtered):
    data = (OTEL / f"{file}.json").read_bytes()
    decoded, account = decode_one(SOURCE, data)
    assert [row["loggroup"] for row in decoded] == rows
    assert (account.found, account.filtered, account.rejects, account.damage) == (found, filtered, [], None)
    assert recount(data, NO_ROLES).found == found


def test_extracted_fields_are_kept_as_json():
    (row,), _account = decode_one(SOURCE, (OTEL / "extracted_fields_both.json").read_bytes())
    assert json.loads(row["extractedfields"]) == {"@aws.account": "999888777666", "@aws.region": "us-west-2"}
    assert row["eventid"] == "38480917865042697267627490045603633139480491071049695232"
    assert row["eventtime"] == dt.datetime(2024, 9, 5, 13, 47, 15, 523000)


AGENT = {
    "eventVersion": "1.0",
    "eventTime": "2026-03-02T01:02:03Z",
    "awsRegion": "eu-west-1",
    "target": {"id": "i-0123456789abcdef0"},
    "userIdentity": {"arn": "arn:aws:sts::111122223333:assumed-role/Ops/ana@example.com"},
    "runAsUser": "ssm-user",
    "sessionId": "ana@example.com-t59j8gpq2ta8hniozstbnphqs8",
    "sessionData": ["a", "b"],
}
SESSION_COLUMNS = (
    "sessionid",
    "sessionowner",
    "awsregion",
    "target",
    "useridentity_arn",
    "runasuser",
    "sessiondata",
    "form",
)


def session_row(message, stream="ana-07a16060613c408b5", wanted=SESSIONS, **fields):
    (row,), _account = decode_one(SOURCE, document(log_event(message), logStream=stream, **fields), wanted)
    assert row["message"] == message
    return row


@given(st.dictionaries(st.sampled_from(list(AGENT)), ANY_JSON))
def test_any_json_in_place_of_any_field_of_the_agents_message_is_a_row(fields):
    message = json.dumps({**AGENT, **fields})
    row = session_row(message)
    assert (row["sessionowner"], row["sessionid"]) == ("ana", "07a16060613c408b5")
    assert row["form"] in ("streamed", "plain")
    if row["form"] == "plain":
        assert row["sessiondata"] == message


@given(st.text())
def test_any_text_is_a_session_row_with_the_text_kept(message):
    row = session_row(message)
    assert (row["form"], row["sessiondata"]) == ("plain", message)


@pytest.mark.parametrize(
    ("stream", "owner", "session"),
    [
        ("ana@example.com-t59j8gpq2ta8hniozstbnphqs8", "ana@example.com", "t59j8gpq2ta8hniozstbnphqs8"),
        ("ecs-execute-command-794nnsxobsg4p2hiur6gxu9a9e", "ecs-execute-command", "794nnsxobsg4p2hiur6gxu9a9e"),
        ("other", "", "other"),
        ("", "ana@example.com", "t59j8gpq2ta8hniozstbnphqs8"),
    ],
)
def test_the_stream_names_the_session_and_the_message_does_where_the_stream_has_no_name(stream, owner, session):
    row = session_row(json.dumps(AGENT), stream)
    assert (row["sessionowner"], row["sessionid"]) == (owner, session)


@pytest.mark.parametrize("lines", [[], [""], ["", ""], ["a"], ["a", "", "b\tc", "\u001b[0m\b\u0007\ufffd<&>"]])
def test_lines_are_joined_by_newlines(lines):
    row = session_row(json.dumps({**AGENT, "sessionData": lines}).replace("<", "\\u003c"))
    assert row["sessiondata"] == ("\n".join(lines) if lines else None)
    assert row["form"] == "streamed"


def test_groups_of_another_role_or_none_have_no_session_columns():
    wanted = Wanted(log_groups={"session": ("/ssm/*",), "audit": ("/var/*",)})
    for group in ("/var/log", "/ssm/x"):
        row = session_row(json.dumps(AGENT), logGroup=group, wanted=wanted)
        is_session = group == "/ssm/x"
        assert [name for name in SESSION_COLUMNS if (row[name] is None) == is_session] == []
    row = session_row(json.dumps(AGENT), wanted=NO_ROLES)
    assert {row[name] for name in SESSION_COLUMNS} == {None}


DENYING = Wanted(Controls(log_groups=Rule(deny=("/noisy/*",)), accounts=Rule(deny=("9999*",))))
ROLES = Wanted(Controls(log_groups=Rule(allow=("/app/*",))), {"session": ("/ssm/*",)})
DOCUMENTS = st.builds(
    lambda group, owner, kind, times: document(
        *[log_event(timestamp=time) for time in times], logGroup=group, owner=owner, messageType=kind
    ),
    st.sampled_from(["/ssm/a", "/noisy/b", "/app/c"]),
    st.sampled_from(["111122223333", "999900000000"]),
    st.sampled_from(["DATA_MESSAGE", "DATA_MESSAGE", "CONTROL_MESSAGE"]),
    st.lists(st.sampled_from([TIME_MS, TIME_MS + 86_400_000, str(TIME_MS)]), max_size=3),
)


def counts_of(rows):
    days = [row["eventtime"].date() for row in rows]
    return {day: days.count(day) for day in set(days)}


PACKINGS = {
    "documents": b"".join,
    "lines": b"\n".join,
    "members": lambda documents: b"".join(map(member, documents)),
    "members and newlines": lambda documents: b"\n".join(map(member, documents)),
    "members in a member": lambda documents: member(b"".join(map(member, documents))),
    "error output": lambda documents: b"".join(error_line(member(one)) for one in documents),
    "error output in a member": lambda documents: member(b"".join(map(error_line, documents))),
}


@given(
    st.lists(DOCUMENTS, min_size=1, max_size=4),
    st.sampled_from([*PACKINGS]),
    st.sampled_from([NO_ROLES, DENYING, ROLES]),
)
def test_the_audits_own_count_agrees_with_the_decode_on_sound_objects(documents, packing, wanted):
    pack = PACKINGS[packing]
    rows, account = decode_one(SOURCE, pack(documents), wanted)
    counted = recount(pack(documents), wanted)
    assert (counted.found, account.rejects, account.error) == (account.found, [], None)
    assert counted.wanted_by_day == counts_of(rows)


def test_the_audits_own_count_agrees_with_the_decode_on_the_sample_day():
    files = sorted(path for path in LANDING.rglob("*") if path.is_file())
    assert len(files) == 10
    for path in files:
        rows, account = decode_one(SOURCE, path.read_bytes())
        assert recount(path.read_bytes(), NO_ROLES).found == account.found
        assert recount(path.read_bytes(), NO_ROLES).wanted_by_day == counts_of(rows)


EVENTS = ANY_JSON | st.fixed_dictionaries(
    {"timestamp": ANY_JSON | st.just(TIME_MS), "message": ANY_JSON | st.just("m")}
)
ANY_DOCUMENTS = st.dictionaries(
    st.sampled_from(["messageType", "owner", "logGroup", "logStream"]), ANY_JSON, max_size=2
).flatmap(
    lambda fields: st.one_of(ANY_JSON, st.lists(EVENTS, max_size=3)).map(
        lambda events: compact({**json.loads(document()), **fields, "logEvents": events})
    )
)


@given(st.lists(ANY_DOCUMENTS | ANY_JSON.map(compact), max_size=3), st.sampled_from([NO_ROLES, DENYING, ROLES]))
def test_the_audits_own_count_never_contradicts_a_right_decode(documents, wanted):
    """A contradiction stops the day from being published (engines/audit.py): it may refuse to count, but not differ."""
    data = b"\n".join(documents) or b" "
    rows, account = decode_one(SOURCE, data, wanted)
    try:
        counted = recount(data, wanted)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, OSError):
        return
    assert counted.found == account.found
    landed = counts_of(rows)
    for day in {*landed, *counted.wanted_by_day}:
        assert landed.get(day, 0) <= counted.wanted_by_day.get(day, 0) <= landed.get(day, 0) + len(account.rejects)


@pytest.mark.parametrize("member", ['"x":"\\ud800"', '"\\ud800":1', '"x":[{"\\udc00":1}]', '"logEvent\\ud800s":[]'])
def test_a_document_with_half_a_surrogate_pair_is_one_reject_and_the_day_is_published(tmp_path, member):
    odd = document(log_event("a", id="x"), log_event("b", id="y"))[:-1] + b"," + member.encode() + b"}"
    sound = document(*(log_event("c", id=str(number)) for number in range(10)))
    put(firehose_of(tmp_path) / f"2026/03/02/01/{NAME}", odd + sound)
    result = materialize_readready(made_lake(tmp_path), SOURCE, DAY)
    assert (result.is_published, result.audit.recounted, result.audit.not_recounted) == (True, 0, 1)
    assert (result.manifest.rows, result.manifest.totals.rejected) == (10, 1)


@pytest.mark.parametrize("suffix", ["", ".gz", ".parquet", ".zip", ".json.snappy", ".log.old"])
@pytest.mark.parametrize("packing", PACKINGS)
def test_a_suffix_says_nothing_of_the_bytes(tmp_path, packing, suffix):
    texts = [document(log_event("a", id="1")), document(log_event("b", id="2"), logGroup="/ssm/other")]
    put(firehose_of(tmp_path) / f"2026/03/02/01/{NAME}{suffix}", PACKINGS[packing](texts))
    lake = made_lake(tmp_path)
    result = materialize_readready(lake, SOURCE, DAY)
    assert (result.is_published, result.audit.recounted, result.audit.not_recounted) == (True, 1, 0)
    assert accounted(*published(lake, DAY, SOURCE.readready_name)[1].values()) == (2, 1, 0, 1, 0, 0)


def test_a_row_keeps_the_message_beside_what_was_taken_from_it():
    message = json.dumps(AGENT)
    assert values(session_row(message, AGENT["sessionId"]))["message"] == message
