"""The sensor that asks again: for days with late events, and for sessions whose inputs have changed."""

import datetime as dt

import dagster as dg
import pytest

from loglake_dagster.assets.sensors import requests
from loglake_dagster.lake.partition import ONE_DAY
from loglake_dagster_tests.assets.sample import CLOUDTRAIL, opened_project
from loglake_dagster_tests.engines.deliveries import event, trail_file
from loglake_dagster_tests.sessions.made_sessions import start

# Two days ago, so that it is inside the horizon whenever this runs.
DAY = dt.datetime.now(dt.timezone.utc).date() - 2 * ONE_DAY
NEXT = DAY + ONE_DAY


@pytest.fixture
def project(tmp_path):
    (tmp_path / "landing" / "trail").mkdir(parents=True)
    (tmp_path / "landing" / "firehose").mkdir()
    with opened_project(tmp_path, landing=None) as project:
        trail_file(project.trail, [event(1, f"{DAY}T11:00:00Z")], f"{DAY}T12:00", nonce="A")
        assert project.run(DAY, as_of=None).success
        yield project


def tick(project):
    """(table, day) that a tick of the sensor asks for, and runs them as the daemon would."""
    (sensor,) = project.definitions.sensors
    context = dg.build_sensor_context(
        instance=project.instance, resources=project.definitions.resources, definitions=project.definitions
    )
    asked = sensor.evaluate_tick(context).run_requests
    done = []
    for request in asked:
        (key,) = request.asset_selection
        table = key.to_user_string()
        assert project.run(request.partition_key, table, as_of=None).success
        done.append((table, request.partition_key))
    return done


def test_nothing_new_asks_for_nothing(project):
    assert tick(project) == []


def test_late_events_ask_for_their_day_and_then_for_its_sessions(project):
    late = [event(2, f"{DAY}T11:30:00Z"), start("ana-1", f"{DAY}T11:31:00")]
    trail_file(project.trail, late, f"{NEXT}T09:00", nonce="B")
    assert project.run(NEXT, "from_cloudtrail_raw", CLOUDTRAIL).success
    # The sessions of the day before use what was started on the next one.
    assert tick(project) == [(CLOUDTRAIL, str(DAY)), ("sessions", str(DAY))]
    assert project.lake.catalog.published("sessions", DAY).facts["statuses"]["missing"] == 1
    assert tick(project) == []


def test_a_run_key_names_what_is_new(project):
    keys = set()
    for n, moment in enumerate(("09:00", "10:00")):
        trail_file(project.trail, [event(5 + n, f"{DAY}T11:30:00Z")], f"{NEXT}T{moment}", nonce=f"C{n}")
        assert project.run(NEXT, CLOUDTRAIL).success
        keys |= {request.run_key for request in requests(project.lake)}
        keys |= {request.run_key for request in requests(project.lake)}
        tick(project)
    assert len([key for key in keys if key.startswith(f"{CLOUDTRAIL} {DAY} ")]) == 2


def test_the_sensor_is_off_until_somebody_turns_it_on(project):
    (sensor,) = project.definitions.sensors
    assert (sensor.name, sensor.job_name) == ("late_events", "day")
    assert sensor.default_status == dg.DefaultSensorStatus.STOPPED
