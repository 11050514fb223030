"""A few hundred mutants on every test run, the same ones; and a fuzzer that would notice. `make fuzz` does more."""

import base64
import time
from dataclasses import replace

import pyarrow as pa
import pytest

from loglake_dagster.kernels.rows import TableRows
from loglake_dagster.lake.source import Recount, Wanted
from loglake_dagster.sources import SOURCES, bedrock, cloudtrail, cloudwatch
from loglake_dagster_tests.fuzz import properties
from loglake_dagster_tests.fuzz.mutants import Mutant, Mutator, samples
from loglake_dagster_tests.fuzz.properties import Broken, check
from loglake_dagster_tests.fuzz.run import Failure, run_batch
from loglake_dagster_tests.made import DAY, compact, document, log_event, log_file, member, record

SEED, MUTANTS = 20260302, 300
SOURCE = cloudtrail.SOURCE
SOUND = member(log_file(record(requestParameters={"a": 1}), record(eventName="StartSession")))


def test_hundreds_of_mutants_break_no_promise():
    outcomes, failures = run_batch(SEED, range(MUTANTS))
    assert [f"{one.source} {one.recipe}: {one.words} ({one.command})" for one in failures] == []
    # Mutations that broke nothing or everything would prove little.
    assert all(outcomes[state] > MUTANTS / 20 for state in ("read", "read, with rejects", "partly_read, with rejects"))
    assert outcomes["unreadable"] < MUTANTS / 3


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_what_is_mutated_can_be_read_as_it_is(source):
    for data in samples(source):
        assert check(Mutant(source, data, Wanted(), "none")) != "unreadable"


def test_a_mutant_is_made_from_its_seed_and_number_alone():
    one, other = Mutator(), Mutator()
    backwards = {number: other.mutant(7, number) for number in reversed(range(20))}
    assert all(one.mutant(7, number) == backwards[number] for number in range(20))
    assert one.mutant(8, 3) != one.mutant(7, 3)


def test_a_source_without_samples_is_said():
    with pytest.raises(LookupError, match="other: no sample to mutate"):
        Mutator((replace(SOURCE, name="other"),))


def mangled(change):
    """The source, what it decodes changed."""

    def decode(objects, wanted, limit):
        decoded = SOURCE.decode(objects, wanted, limit)
        change(decoded)
        return decoded

    return replace(SOURCE, decode=decode)


def lose(decoded):
    decoded.kept = TableRows(decoded.rows.slice(1))


def repeat(decoded):
    decoded.kept = TableRows(pa.concat_tables([decoded.rows.slice(1), decoded.rows.slice(1)]))


def spoil(name, value):
    def change(decoded):
        rows = decoded.rows
        spoilt = pa.array([value] * rows.num_rows, rows[name].type)
        decoded.kept = TableRows(rows.set_column(rows.column_names.index(name), name, spoilt))

    return change


def spoil_utf8(decoded):
    bad = pa.StringArray.from_buffers(2, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xff"))
    rows = decoded.rows
    decoded.kept = TableRows(rows.set_column(rows.column_names.index("eventname"), "eventname", bad))


def raising(*_given):
    raise KeyError("a mistake")


def miscount(*_given):
    return Recount(3, {DAY: 2})


def idle(*_given):
    until = time.process_time() + 60
    while time.process_time() < until:
        pass


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (replace(SOURCE, decode=raising), "decode raises KeyError: 'a mistake'"),
        (replace(SOURCE, decode=idle), "takes more than 0.2 s"),
        (mangled(lose), r"2 found, 1 \+ 0 \+ 0"),
        (mangled(repeat), "two records have one place"),
        (mangled(spoil("requestparameters", "{a}")), "requestparameters is no JSON"),
        (mangled(spoil("requestparameters", "NaN")), "requestparameters is no JSON"),
        (mangled(spoil("eventtime", None)), "eventtime is null"),
        (mangled(spoil("eventname", "other")), "record 0 comes back as"),
        (mangled(spoil_utf8), "validating the rows raises ArrowInvalid"),
        (replace(SOURCE, recount=miscount), "recount finds 3, 2 of 2026-03-02; decode 2, 2"),
    ],
)
def test_a_broken_promise_is_noticed(source, words, monkeypatch):
    monkeypatch.setattr(properties, "SECONDS", 0.2 if "takes" in words else 5.0)
    with pytest.raises(Broken, match=words):
        check(Mutant(source, SOUND, Wanted(), "none"))


LIST, EVENTS = log_file(record())[1:-1], document(log_event(), log_event())


@pytest.mark.parametrize(
    ("source", "data"),
    [
        (cloudtrail.SOURCE, b"{" + LIST + b"," + LIST + b"}"),
        (cloudtrail.SOURCE, b"{" + LIST + b"," + LIST.lower() + b"}"),
        (cloudtrail.SOURCE, b"{" + LIST + b',"Records":"words"}'),
        (cloudtrail.SOURCE, b"{" + LIST + b',"Records":{"a":1,"b":2}}'),
        (cloudtrail.SOURCE, b'{"RECORDS":"words"}'),
        (cloudwatch.SOURCE, EVENTS[:-1] + b',"logEvents":[]}'),
        (cloudwatch.SOURCE, EVENTS[:-1] + b',"owner":"1"}'),
        (cloudtrail.SOURCE, b"{" + LIST + rb',"R\u0065cords":[{"a":1},{"b":2}]}'),
        (cloudwatch.SOURCE, EVENTS[:-1] + rb',"log\u0045vents":[]}'),
        (cloudwatch.SOURCE, EVENTS[:-1] + rb',"x":"\ud800"}'),
        (cloudwatch.SOURCE, compact({"rawData": base64.b64encode(EVENTS).decode()})[:-1] + rb',"x":"\ud800"}'),
        (cloudtrail.SOURCE, b"{" + LIST + b',"Records":null}'),
        (cloudwatch.SOURCE, compact({"rawData": base64.b64encode(EVENTS[:-1] + rb',"x":"\ud800"}').decode()})),
        (bedrock.SOURCE, EVENTS.replace(b"messageType", rb"message\u0054ype")),
        (bedrock.SOURCE, EVENTS[:-1] + rb',"x":"\ud800"}'),
        (bedrock.SOURCE, EVENTS[:-1] + rb',"messageType":"\ud800"}'),
        (bedrock.SOURCE, EVENTS[:-1] + b',"logEvents":[]}'),
        (bedrock.SOURCE, b'{"a":1} \0"words" \0"words"'),
    ],
)
def test_where_plain_json_reads_less_than_the_decoder_it_does_not_contradict_it(source, data):
    assert check(Mutant(source, member(data), Wanted(), "none")).startswith("read")


def test_a_failure_is_written_with_the_command_that_repeats_it(tmp_path):
    failure = Failure(7, 12, "cloudtrail", "packed:_cut", "a \x1b promise", b"bytes")
    path = failure.write(tmp_path / "fuzz")
    assert path.read_bytes() == b"bytes"
    assert path.with_suffix(".txt").read_text() == (
        "'a \\x1b promise'\npacked:_cut\npython -m loglake_dagster_tests.fuzz --seed 7 --only 12\n"
    )
