"""Event rules are judged before a record is looked at as a whole: the same rows, the same account of sound records."""

from pathlib import Path

import pytest

from loglake_dagster.kernels.framing import Envelope
from loglake_dagster.kernels.records import RecordsDecoder
from loglake_dagster.lake.controls import Controls, Rule
from loglake_dagster.lake.source import Wanted
from loglake_dagster.sources import cloudtrail
from loglake_dagster_tests.engines.deliveries import event
from loglake_dagster_tests.made import LIMIT, compact, log_file, member

GOLDEN = sorted((Path(__file__).parents[1] / "golden" / "cloudtrail").glob("*.in.json"))
SAMPLE = sorted((Path(__file__).parents[2] / "examples/sample_day/landing/trail").rglob("*.json.gz"))[::6]
OBJECTS = [*GOLDEN, *SAMPLE]
RULES = {
    "some names": Controls(event_names=Rule(allow=("StartSession", "Describe*", "Get*"))),
    "not some names": Controls(event_names=Rule(deny=("StartSession", "Describe*"))),
    "one source": Controls(event_sources=Rule(allow=("ssm.amazonaws.com",))),
    "nothing": Controls(event_names=Rule(allow=("NoSuchEvent",))),
    "everything": Controls(event_names=Rule(deny=("NoSuchEvent",))),
}
# The same decoder, which looks at each record as a whole first.
WHOLE = RecordsDecoder(
    cloudtrail._FLATTENER, Envelope("Records", sign="eventVersion"), "eventTime", cloudtrail._judge, cloudtrail.DERIVED
)


def decode(decoder, data, controls):
    decoded = decoder([data], Wanted(controls), LIMIT)
    return decoded.rows, decoded.objects[0]


@pytest.mark.parametrize("controls", RULES.values(), ids=RULES)
@pytest.mark.parametrize("path", OBJECTS, ids=lambda path: path.name[:60])
def test_rows_are_those_of_a_look_at_the_whole(path, controls):
    rows, account = decode(cloudtrail.SOURCE.decode, path.read_bytes(), controls)
    whole_rows, whole = decode(WHOLE.decode, path.read_bytes(), controls)
    assert rows.equals(whole_rows)
    assert (account.found, account.damage, account.error) == (whole.found, whole.damage, whole.error)
    # What is denied by name is filtered, even if the rest of it could be no row.
    kept = {reject.ordinal for reject in account.rejects}
    assert kept <= {reject.ordinal for reject in whole.rejects}
    filtered = sum(account.filtered.values())
    assert filtered == sum(whole.filtered.values()) + len(whole.rejects) - len(account.rejects)


@pytest.mark.parametrize("odd", [{"eventTime": "soon"}, {"eventTime": None}, {"readOnly": "perhaps"}, {"newField": 1}])
@pytest.mark.parametrize("is_sound", [True, False], ids=["sound object", "object with a broken record"])
def test_what_is_denied_by_name_is_filtered_whatever_else_it_holds(odd, is_sound):
    records = [compact(event(1)), compact({**event(2), "eventName": "Denied", **odd})]
    records += [] if is_sound else [b'{"broken"']
    controls = Controls(event_names=Rule(deny=("Denied",)))
    rows, account = decode(cloudtrail.SOURCE.decode, member(log_file(*records)), controls)
    assert rows["eventid"].to_pylist() == ["event-0001"]
    assert account.filtered == {"event_names": 1}
    assert [reject.ordinal for reject in account.rejects] == ([] if is_sound else [2])


@pytest.mark.parametrize("name", ["EventName", "eventname"])
def test_a_name_in_another_case_is_seen(name):
    record = {key: value for key, value in event(1).items() if key != "eventName"} | {name: "StartSession"}
    controls = Controls(event_names=Rule(allow=("StartSession",)))
    rows, account = decode(cloudtrail.SOURCE.decode, member(log_file(record, event(2))), controls)
    assert rows["eventid"].to_pylist() == ["event-0001"]
    assert account.filtered == {"event_names": 1}
