"""Writes the made files of the sample day beside the real ones. Standard library only; always the same bytes.

    python examples/sample_day/make_sample.py [OUT]

Files go below OUT/landing, by default in this script's folder. Made CloudTrail objects have a unique part
that starts with `Made`; all Firehose objects are made. One real file is read, to be delivered a second time;
none is ever changed. What happens is told in story.py.
"""

import datetime as dt
import gzip
import hashlib
import itertools
import json
import pathlib
import sys
import uuid
from collections.abc import Iterable
from typing import Any

from story import LI_NA, MIA, ORPHAN, SESSIONS, Person, Session

ACCOUNT, REGION = "218007301253", "us-east-1"
SESSION_GROUP, OTHER_GROUP = "/aws/ssm/sessionlogs", "/aws/lambda/orders"
HERE = pathlib.Path(__file__).resolve().parent
REPEATED = "2023/07/10/218007301253_CloudTrail_us-east-1_20230710T1150Z_1vnLavRRp0ek1mP4.json.gz"
CHECKING_HEALTH = "CWL CONTROL MESSAGE: Checking health of destination Firehose."
TRAIL_LATENCY_SECONDS, LOG_LATENCY_SECONDS, BUFFER_SECONDS = 240, 75, 300

Event = dict[str, Any]


def seconds(time: str) -> int:
    return int(dt.datetime.fromisoformat(time).timestamp())


def made_id(*parts: object) -> str:
    """A UUID that depends on its label only."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "loglake/sample_day/" + "/".join(map(str, parts))))


def principal_id(prefix: str, name: str) -> str:
    return prefix + hashlib.sha256(name.encode()).hexdigest()[:17].upper()


# -- CloudTrail ---------------------------------------------------------------------------------------------


def identity(person: Person, time: str) -> Event:
    key = hashlib.sha256(person.name.encode()).hexdigest()[:12].upper()
    if person.role is None:
        return {
            "type": "IAMUser",
            "principalId": principal_id("AIDA", person.name),
            "arn": arn(person),
            "accountId": ACCOUNT,
            "accessKeyId": f"AKIAEXAMPLE{key}",
            "userName": person.name,
        }
    issuer = principal_id("AROA", person.role)
    issued = dt.datetime.fromtimestamp(seconds(time) - 1260, dt.UTC)
    return {
        "type": "AssumedRole",
        "principalId": f"{issuer}:{person.name}",
        "arn": arn(person),
        "accountId": ACCOUNT,
        "accessKeyId": f"ASIAEXAMPLE{key}",
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role",
                "principalId": issuer,
                "arn": f"arn:aws:iam::{ACCOUNT}:role/{person.role}",
                "accountId": ACCOUNT,
                "userName": person.role,
            },
            "webIdFederationData": {},
            "attributes": {"creationDate": f"{issued:%Y-%m-%dT%H:%M:%SZ}", "mfaAuthenticated": "false"},
        },
    }


def arn(person: Person) -> str:
    if person.role is None:
        return f"arn:aws:iam::{ACCOUNT}:user/{person.name}"
    return f"arn:aws:sts::{ACCOUNT}:assumed-role/{person.role}/{person.name}"


def record(person: Person, time: str, service: str, name: str, trees: Event) -> Event:
    """A management event in CloudTrail's order of fields; `trees` gives request, response and errors."""
    label = (service, name, time, person.name)
    event: Event = {
        "eventVersion": "1.09" if person.role else "1.08",
        "userIdentity": identity(person, time),
        "eventTime": time,
        "eventSource": f"{service}.amazonaws.com",
        "eventName": name,
        "awsRegion": REGION,
        "sourceIPAddress": person.address,
        "userAgent": person.user_agent,
        **{key: trees[key] for key in ("errorCode", "errorMessage") if key in trees},
        "requestParameters": trees["requestParameters"],
        "responseElements": trees.get("responseElements"),
        "requestID": made_id("request", *label),
        "eventID": made_id("event", *label),
        "readOnly": name.startswith("Describe"),
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": ACCOUNT,
        "eventCategory": "Management",
    }
    if person.from_console:
        return event | {"sessionCredentialFromConsole": "true"}
    host = f"{service}.{REGION}.amazonaws.com"
    cipher = "ECDHE-RSA-AES128-GCM-SHA256"
    tls = {"tlsVersion": "TLSv1.2", "cipherSuite": cipher, "clientProvidedHostHeader": host}
    return event | {"tlsDetails": tls}


def start_session(session: Session) -> Event:
    request: Event = {"target": session.target}
    for name, value in (
        ("documentName", session.document),
        ("reason", session.reason),
        ("parameters", session.parameters),
    ):
        if value is not None:
            request[name] = value
    trees: Event = {"requestParameters": request}
    if session.error:
        trees["errorCode"], trees["errorMessage"] = session.error
    else:
        channel = f"wss://ssmmessages.{REGION}.amazonaws.com/v1/data-channel/{session.id}"
        trees["responseElements"] = {
            "sessionId": session.id,
            "tokenValue": "Value hidden due to security reasons.",
            "streamUrl": f"{channel}?role=publish_subscribe",
        }
    return record(session.person, session.time, "ssm", "StartSession", trees)


def terminate_session(session: Session, time: str) -> Event:
    answer = {"sessionId": session.id}
    trees = {"requestParameters": answer, "responseElements": answer}
    return record(session.person, time, "ssm", "TerminateSession", trees)


def athena_start_session() -> Event:
    """Another service's StartSession, which starts no session in our sense."""
    request = {"workGroup": "notebooks", "engineConfiguration": {"maxConcurrentDpus": 20}}
    response = {"sessionId": made_id("athena session"), "state": "CREATING"}
    trees = {"requestParameters": request, "responseElements": response}
    return record(LI_NA, "2023-07-10T14:50:51Z", "athena", "StartSession", trees)


def records_with_rejects() -> list[Any]:
    """One good record, one that is no record, one that belongs to no day."""
    trees = {"requestParameters": {"state": "Active"}}
    good = record(MIA, "2023-07-10T16:12:05Z", "ssm", "DescribeSessions", trees)
    timeless = record(MIA, "2023-07-10T16:12:09Z", "ssm", "DescribeSessions", trees)
    del timeless["eventTime"]
    return [good, 42, timeless]


def log_file(delivery: int, label: str) -> pathlib.PurePath:
    """The path below the trail's region folder. The unique part has 16 characters, as CloudTrail's has."""
    stamp = dt.datetime.fromtimestamp(delivery, dt.UTC)
    unique = "Made" + hashlib.sha256(label.encode()).hexdigest()[:12]
    name = f"{ACCOUNT}_CloudTrail_{REGION}_{stamp:%Y%m%dT%H%MZ}_{unique}.json.gz"
    return pathlib.PurePath(stamp.strftime("%Y/%m/%d")) / name


def trail_files() -> dict[pathlib.PurePath, bytes]:
    events = [start_session(session) for session in SESSIONS] + [athena_start_session()]
    events += [terminate_session(session, session.end_time) for session in SESSIONS if session.end_time]
    deliveries: dict[int, list[Event]] = {}
    for event in events:
        ready = seconds(event["eventTime"]) + TRAIL_LATENCY_SECONDS
        deliveries.setdefault(-(-ready // 300) * 300, []).append(event)
    files = {
        log_file(delivery, f"sessions {delivery}"): member({"Records": found}) for delivery, found in deliveries.items()
    }
    rejects = log_file(seconds("2023-07-10T16:20:00Z"), "rejects")
    copy = log_file(seconds("2023-07-10T11:50:00Z"), "second trail")
    root = HERE / "landing" / trail_folder()
    return files | {
        rejects: member({"Records": records_with_rejects()}),
        copy: (root / REPEATED).read_bytes(),
    }


def trail_folder() -> pathlib.PurePath:
    return pathlib.PurePath("trail", "AWSLogs", ACCOUNT, "CloudTrail", REGION)


# -- CloudWatch Logs through Firehose -----------------------------------------------------------------------


def go_json(value: object) -> str:
    """As the agent writes it: no bare `<`, `>` and `&`."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def log_event(time: str, message: str) -> Event:
    """The id has 56 digits and grows with time: milliseconds above 144 bits of CloudWatch's own."""
    low = int.from_bytes(hashlib.sha256(message.encode()).digest()[:12])
    milliseconds = seconds(time) * 1000 + low % 1000
    return {"id": str((milliseconds << 144) + low), "timestamp": milliseconds, "message": message}


def document(group: str, stream: str, events: list[Event]) -> Event:
    return {
        "messageType": "DATA_MESSAGE",
        "owner": ACCOUNT,
        "logGroup": group,
        "logStream": stream,
        "subscriptionFilters": ["to-firehose"],
        "logEvents": events,
    }


def control_message(time: str) -> Event:
    event = {"id": "", "timestamp": seconds(time) * 1000, "message": CHECKING_HEALTH}
    return {
        "messageType": "CONTROL_MESSAGE",
        "owner": "CloudwatchLogs",
        "logGroup": "",
        "logStream": "",
        "subscriptionFilters": [],
        "logEvents": [event],
    }


def session_documents(session: Session) -> Iterable[tuple[str, Event]]:
    for time, lines in session.output:
        message = {
            "eventVersion": "1.0",
            "eventTime": time,
            "awsRegion": REGION,
            "target": {"id": session.target},
            "userIdentity": {"arn": arn(session.person)},
            "runAsUser": "ssm-user",
            "sessionId": session.id,
            "sessionData": list(lines),
        }
        yield time, document(SESSION_GROUP, str(session.id), [log_event(time, go_json(message))])
    if session.upload:
        time, text = session.upload
        yield time, document(SESSION_GROUP, str(session.id), [log_event(time, text)])


def other_documents() -> Iterable[tuple[str, Event]]:
    """The same Firehose stream carries an application's log, and its own health check."""
    yield "2023-07-10T09:11:00Z", control_message("2023-07-10T09:11:00Z")
    for time, order in (
        ("2023-07-10T09:12:50Z", 8123),
        ("2023-07-10T12:21:30Z", 8491),
        ("2023-07-11T00:07:30Z", 9002),
    ):
        lines = (f"START order {order}", f"order {order} stored", f"END order {order}")
        events = [log_event(time, line) for line in lines]
        yield time, document(OTHER_GROUP, f"2023/07/10/[$LATEST]{made_id(order)[:8]}", events)


def firehose_files() -> dict[pathlib.PurePath, bytes]:
    """Members back to back, no suffix; folder and name tell when the oldest of them arrived."""
    documents = [pair for session in (*SESSIONS, ORPHAN) for pair in session_documents(session)]
    arrived = sorted(
        ((seconds(time) + LOG_LATENCY_SECONDS, found) for time, found in [*documents, *other_documents()]),
        key=lambda pair: pair[0],
    )
    files = {}
    for interval, group in itertools.groupby(arrived, lambda pair: pair[0] // BUFFER_SECONDS):
        buffered = list(group)
        stamp = dt.datetime.fromtimestamp(buffered[0][0], dt.UTC)
        name = f"loglake-sessionlogs-1-{stamp:%Y-%m-%d-%H-%M-%S}-{made_id('firehose', interval)}"
        path = pathlib.PurePath("firehose", stamp.strftime("%Y/%m/%d/%H"), name)
        files[path] = b"".join(member(found) for _, found in buffered)
    return files


# -- files --------------------------------------------------------------------------------------------------


def member(content: object) -> bytes:
    """One gzip member without a time stamp, so that only a change of content changes the file."""
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    return gzip.compress(text.encode(), mtime=0)


def main() -> None:
    landing = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else HERE) / "landing"
    files = {trail_folder() / path: content for path, content in trail_files().items()} | firehose_files()
    for path, content in files.items():
        (landing / path).parent.mkdir(parents=True, exist_ok=True)
        (landing / path).write_bytes(content)
    print(f"{len(files)} files below {landing}")


if __name__ == "__main__":
    main()
