"""A decoder of the small table of shapes.py, and objects that the compiled code takes whole."""

import json

from hypothesis import strategies as st

from loglake_dagster.kernels.flatten import Flattener
from loglake_dagster.kernels.framing import Envelope
from loglake_dagster.kernels.records import RecordsDecoder
from loglake_dagster.lake.source import Wanted
from loglake_dagster_tests.kernels.both_ways import same_both_ways
from loglake_dagster_tests.kernels.shapes import COLUMNS, NUMBERS
from loglake_dagster_tests.made import LIMIT

FLATTENER = Flattener(COLUMNS)
TIME = '"eventTime":"2026-03-02T01:02:03Z"'
DROPPED = ("drop", "")


def drops(records, wanted):
    """A judge of names alone: `drop` and the empty name are dropped, where a rule is set."""
    if not wanted.log_groups:
        return None
    return [f"no {record.eventName!r}" if record.eventName in DROPPED else None for record in records]


DECODER = RecordsDecoder(FLATTENER, Envelope("Records"), "eventTime", drops, judged=("eventName",))
OPEN, JUDGED = Wanted(), Wanted(log_groups={"any": ("*",)})
WANTEDS = st.sampled_from([OPEN, JUDGED])


def log(*records):
    return b'{"Records":[' + b",".join(one.encode() if isinstance(one, str) else one for one in records) + b"]}"


def decoded(*objects, wanted=OPEN):
    return same_both_ways(lambda: DECODER.decode(list(objects), wanted, LIMIT))


def row(**members):
    return json.dumps({"eventTime": "2026-03-02T01:02:03Z", **members}, ensure_ascii=False)


NAMES = st.sampled_from(["drop", "", "keep", "dröp", 'a"\\\n\t\r\b\f/', "\x00", "\U0001f600", "\u2028", "~" * 40])
SOUND = st.fixed_dictionaries(
    {"eventTime": st.sampled_from(["2026-03-02T01:02:03Z", "1970-01-01T00:00:00Z", "2259-12-31T23:59:59Z"])},
    optional={
        "eventName": NAMES | st.text(st.characters(exclude_categories=["Cs"])),
        "readOnly": st.booleans(),
        "count": st.integers(-(2**63), 2**63 - 1) | st.integers(-(10**18), 10**18),
        "requestParameters": st.none() | NAMES | st.lists(NUMBERS) | st.just({}),
        "who": st.fixed_dictionaries(
            {}, optional={"arn": NAMES, "tags": st.none(), "session": st.fixed_dictionaries({}, optional={"id": NAMES})}
        ),
    },
)
