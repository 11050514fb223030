"""Members that no column is of: the compiled code keeps them as the readers in Python do, or leaves them to these."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglake_dagster.kernels.columns import ColumnBuilder, can_build
from loglake_dagster.kernels.flatten import Flattener
from loglake_dagster.kernels.framing import Envelope
from loglake_dagster.kernels.records import RecordsDecoder
from loglake_dagster_tests.kernels.both_ways import same_both_ways
from loglake_dagster_tests.kernels.shapes import ANY_JSON, COLUMNS
from loglake_dagster_tests.kernels.small_decoder import (
    FLATTENER,
    JUDGED,
    OPEN,
    SOUND,
    TIME,
    WANTEDS,
    decoded,
    drops,
    log,
    row,
)
from loglake_dagster_tests.made import LIMIT


def taken(*records):
    """`extra` and `emptyfields` of records that the compiled code takes, all of them."""
    builder = ColumnBuilder(FLATTENER, "Records", "eventTime", (), None)
    assert builder.add(log(*records), 0, 0).odd == []
    decoded(log(*records))
    table = builder.finish().table(["extra", "emptyfields"])
    return [*zip(*(table[name].to_pylist() for name in table.column_names), strict=True)]


@pytest.mark.parametrize(
    ("members", "extra", "empties"),
    [
        ('"new" : [ 1, "\\u00e9" ] ', '{"new":[ 1, "\\u00e9" ]}', None),
        ('"new":null,"neu":1e400', '{"new":null,"neu":1e400}', None),
        ('"":"","a.b":{"c":{}}', '{"":"","a.b":{"c":{}}}', None),
        ('"who":{"x":1}', '{"who":{"x":1}}', "who={}"),
        ('"who":{"x":1,"arn":"a","y":2},"z":3', '{"who":{"x":1,"y":2},"z":3}', None),
        ('"who":{"session":{"issuer":{"x":1},"y":2},"z":3}', '{"who":{"session":{"issuer":{"x":1},"y":2},"z":3}}',
         "who.session.issuer={}"),
        ('"x":1,"who":{"session":{"x":1}},"y":2', '{"x":1,"who":{"session":{"x":1}},"y":2}', "who.session={}"),
        ('"id":1,"who":{"eventName":2,"session":{"who":3}}', '{"id":1,"who":{"eventName":2,"session":{"who":3}}}',
         "who.session={}"),
        ('"who":null,"arn":null,"count":null', '{"arn":null}', "who=null,count=null"),
        ('"count ":1,"coun":2,"Count2":3', '{"count ":1,"coun":2,"Count2":3}', None),
        (",".join(f'"x{n}":{n}' for n in range(16)), "{" + ",".join(f'"x{n}":{n}' for n in range(16)) + "}", None),
    ],
)  # fmt: skip
def test_undeclared_members_are_kept_as_they_came(members, extra, empties):
    plain = row(eventName="a")
    assert taken(plain, f"{{{members},{TIME}}}", plain) == [(None, None), (extra, empties), (None, None)]


@pytest.mark.parametrize(
    "members",
    [
        '"Count":1', '"COUNT":1,"count":2', '"who":{"ARN":"a"}',
        '"who":{"x":1,"x":2}', '"x":1,"x":2', '"x":1,"\\u0078":2',
        '"n\u00e9w":1', '"\u212aount":1', '"x":"\\ud800"', '"who":{"x":1},"who":{"y":2}', '"x":1,"count":"7"',
        '"count":"7","x":1', '"x":1,"readOnly":null,"count":null,"eventName":null', '"who":{"x":1,"arn":{"y":2}}',
        ",".join(f'"x{n}":{n}' for n in range(17)),
    ],
)  # fmt: skip
def test_undeclared_members_that_may_be_read_in_two_ways_are_left_to_the_readers(members):
    builder = ColumnBuilder(FLATTENER, "Records", "eventTime", (), None)
    text = log(row(new=1), f"{{{TIME},{members}}}", row(new=2))
    assert [ordinal for ordinal, _start, _end in builder.add(text, 0, 0).odd] == [1]
    assert builder.finish().table()["extra"].to_pylist() == ['{"new":1}', '{"new":2}']
    for wanted in (OPEN, JUDGED):
        decoded(text, log(f"{{{members},{TIME}}}"), wanted=wanted)


SPELLINGS = st.sampled_from(
    ["new", "New", "x", "count", "Count", "arn", "id", "issuer", "session", "who", "", "n\u00e9w", "\u212a", 'a"b',
     "a\\b"]
)  # fmt: skip
UNDECLARED = st.dictionaries(SPELLINGS, ANY_JSON, max_size=4)


@given(st.lists(st.tuples(SOUND, UNDECLARED, UNDECLARED, UNDECLARED), min_size=1, max_size=4), st.booleans(), WANTEDS)
def test_undeclared_members_are_the_same_at_every_depth(records, is_ascii, wanted):
    made = [
        {**above, **sound, "who": {**beside, **sound.get("who", {}), "session": {**deeper, "issuer": dict(beside)}}}
        for sound, above, beside, deeper in records
    ]
    text = json.dumps({"Records": made}, ensure_ascii=is_ascii).encode()
    decoded(text, text, wanted=wanted)


@pytest.mark.parametrize(("stand_in", "is_compiled"), [("kind.name", True), ("who.name", False)])
def test_what_may_stand_in_for_a_declared_field_is_for_the_readers(stand_in, is_compiled):
    flattener = Flattener(COLUMNS, {"eventName": stand_in})
    assert can_build(flattener, ["eventName"]) == is_compiled
    decoder = RecordsDecoder(flattener, Envelope("Records"), "eventTime", drops, judged=("eventName",))
    outer = stand_in.partition(".")[0]
    members = [{outer: {"name": "k"}}, {"eventName": "a", outer: 1}, {outer.title(): {"name": "k"}}, {"new": 1}]
    texts = [log(*(row(**one) for one in members))] * 2
    result = same_both_ways(lambda: decoder.decode(texts, OPEN, LIMIT))
    assert sorted(map(str, result.rows["name"].to_pylist())) == ["None"] * 4 + ["a"] * 2 + ["k"] * 2
