"""A small table of every kind of column, and JSON of every kind to put in its place."""

import json

from hypothesis import strategies as st

from loglake_dagster.lake.schema import Column

COLUMNS = (
    Column("time", "timestamp", "When.", "eventTime", "UTC", False),
    Column("name", "string", "What.", "eventName"),
    Column("flag", "boolean", "Whether.", "readOnly"),
    Column("count", "bigint", "How often.", "count"),
    Column("asked", "json", "Any JSON.", "requestParameters"),
    Column("who_arn", "string", "Who.", "who.arn"),
    Column("who_tags", "json", "Any JSON.", "who.tags"),
    Column("who_session_id", "string", "Deeper.", "who.session.id"),
    Column("who_session_issuer_arn", "string", "Deepest.", "who.session.issuer.arn"),
    Column("place", "string", "Made, not read."),
)
TIMES = ("2026-03-02T01:02:03Z", "2026-03-02T01:02:03.5Z", "2026-03-02T03:02:03+02:00", "20260302T010203Z", "no time")

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
NUMBERS = st.integers() | st.integers(2**63 - 2, 2**64 + 2) | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS | st.sampled_from(["true", "", "null", "{}", "a,b=null", *TIMES])
ANY_JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=6
)


class Pairs(list):
    """A JSON object as (name, value) pairs, so that a name can come twice."""


def text_of(value):
    """JSON text of a value that may hold Pairs."""
    if isinstance(value, Pairs):
        return "{" + ",".join(f"{json.dumps(name)}:{text_of(one)}" for name, one in value) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(text_of, value)) + "]"
    return json.dumps(value)


def objects_with(names, inner):
    """JSON objects whose members are often of the given names, sometimes in another case, sometimes twice."""
    known = st.sampled_from(names)
    name = known | known | known.map(str.upper) | known.map(str.lower) | TEXTS | st.just("a.b")
    return st.lists(st.tuples(name, inner), max_size=5).map(Pairs)


ISSUERS = objects_with(["arn"], ANY_JSON)
SESSIONS = objects_with(["id", "issuer"], ANY_JSON | ISSUERS)
WHOS = objects_with(["arn", "tags", "session"], ANY_JSON | SESSIONS)
_MEMBERS = objects_with(
    ["eventTime", "eventName", "readOnly", "count", "requestParameters", "who", "who"], ANY_JSON | WHOS
)
RECORDS = st.tuples(st.sampled_from(TIMES), _MEMBERS).map(lambda one: Pairs([("eventTime", one[0]), *one[1]]))
