"""Made Session Manager sessions, their transcripts, and the other logs that share their Firehose stream.

A session is a StartSession record and, when it is logged, a transcript: chunks of terminal lines, each one
CloudWatch log event. Where documents are filed and what is counted is workload.py's. Formats: the streamed
log event of amazon-ssm-agent, and the payload of a CloudWatch Logs subscription filter.
"""

import dataclasses
import hashlib
import json

from bench.made_events import (
    START_SESSION,
    USER_AGENTS,
    Caller,
    Draw,
    Event,
    EventMaker,
    Json,
    assumed_role,
    iam_user,
    zulu,
)

SESSION_GROUP = "/aws/ssm/sessionlogs"
OTHER_GROUPS = ("/aws/lambda/orders", "/ecs/web", "/aws/vpc/flow-logs")
KIND_WEIGHTS = {"captured": 60, "missing": 8, "not_loggable": 12, "denied": 10, "crosses_midnight": 10}
PORT_DOCUMENTS = (
    "AWS-StartPortForwardingSession",
    "AWS-StartSSHSession",
    "AWS-StartPortForwardingSessionToRemoteHost",
)
OWNERS = ("mia", "jan-willem", "li.na", "ana@example.com", "ops-federation", "kim_lee+x")
CHECKING_HEALTH = "CWL CONTROL MESSAGE: Checking health of destination Firehose."

Place = tuple[str, str]  # account, region

_compact = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


@dataclasses.dataclass(frozen=True, slots=True)
class Transcript:
    """What a terminal showed: chunks in time order, each the second of its upload and its lines."""

    chunks: tuple[tuple[int, tuple[str, ...]], ...] = ()

    @property
    def lines(self) -> list[str]:
        return [line for _, lines in self.chunks for line in lines]

    @property
    def sha256(self) -> str | None:
        """Of all lines joined by a newline, in UTF-8; None when nothing was logged."""
        return hashlib.sha256("\n".join(self.lines).encode()).hexdigest() if self.chunks else None


@dataclasses.dataclass(frozen=True, slots=True)
class Session:
    """`start` is the StartSession record, None for an orphan; `suffix` follows the owner in the id."""

    kind: str
    owner: str
    suffix: str
    account: str
    region: str
    target: str
    arn: str
    epoch: int
    start: Event | None
    transcript: Transcript

    @property
    def id(self) -> str:
        return f"{self.owner}-{self.suffix}"


@dataclasses.dataclass(frozen=True, slots=True)
class Document:
    """One Firehose record before compression, and the second of its arrival."""

    arrival: int
    payload: Event


def go_json(value: Json) -> str:
    """JSON as the agent's Go encoder writes it: raw UTF-8, but no bare `<`, `>`, `&` and line separators."""
    text = _compact(value)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def log_event(milliseconds: int, message: str, draw: Draw) -> Event:
    """CloudWatch's id is a decimal of 56 digits that grows with time: the timestamp above 144 other bits."""
    return {
        "id": str((milliseconds << 144) + draw.getrandbits(96)),
        "timestamp": milliseconds,
        "message": message,
    }


def make_sessions(count: int, midnight: int, places: list[Place], maker: EventMaker, draw: Draw) -> list[Session]:
    """Each kind once first, then by weight: a handful of sessions already holds every kind."""
    kinds = [*KIND_WEIGHTS][:count]
    kinds += draw.choices([*KIND_WEIGHTS], [*KIND_WEIGHTS.values()], k=count - len(kinds))
    return [_session(n, kind, midnight, draw.choice(places), maker, draw) for n, kind in enumerate(kinds)]


def make_orphans(count: int, midnight: int, places: list[Place], draw: Draw) -> list[Session]:
    """Keystrokes of sessions that no StartSession record tells of."""
    orphans = []
    for n in range(count):
        account, region = draw.choice(places)
        epoch = midnight + draw.randrange(3600, 80000)
        owner, arn = f"ghost-{n}", f"arn:aws:iam::{account}:user/ghost-{n}"
        suffix, target = draw.hexadecimal(17), f"i-0{draw.hexadecimal(16)}"
        transcript = _transcript(owner, epoch, 60, draw)
        orphans.append(Session("orphan", owner, suffix, account, region, target, arn, epoch, None, transcript))
    return orphans


def _session(n: int, kind: str, midnight: int, place: Place, maker: EventMaker, draw: Draw) -> Session:
    account, region = place
    owner = f"{OWNERS[n % len(OWNERS)]}{n}"
    suffix = draw.hexadecimal(17) if n % 2 else draw.base36(26)
    target = draw.choice(("i-0", "mi-0")) + draw.hexadecimal(16)
    is_late = kind == "crosses_midnight"
    epoch = midnight + draw.randrange(*((86100, 86340) if is_late else (3600, 80000)))
    if n % 3 == 2:
        identity = iam_user(account, owner, draw)
    else:
        identity = assumed_role(account, "Operators", owner, zulu(epoch - 900), draw)
    caller = Caller(identity, draw.address(), draw.choice(USER_AGENTS))
    start = maker.record(account, region, epoch, START_SESSION, caller)
    request = _request(kind, target, draw)
    if kind == "denied":
        start |= _refusal(request, target, caller.arn, draw)
    else:
        start |= {"requestParameters": request, "responseElements": _response(f"{owner}-{suffix}", region)}
    transcript = Transcript()
    if kind in ("captured", "crosses_midnight"):
        transcript = _transcript(owner, epoch, 1200 if is_late else 60, draw)
    return Session(kind, owner, suffix, account, region, target, caller.arn, epoch, start, transcript)


def _request(kind: str, target: str, draw: Draw) -> Event:
    """Without a document the account's default one is meant, a shell."""
    if kind == "not_loggable":
        parameters = {"portNumber": [str(draw.randrange(1, 65536))]}
        return {"target": target, "documentName": draw.choice(PORT_DOCUMENTS), "parameters": parameters}
    if draw.random() < 0.3:
        return {"target": target}
    reason = f"INC-{draw.randrange(10**4)} <prod> & caf\u00e9"
    return {"target": target, "documentName": "SSM-SessionManagerRunShell", "reason": reason}


def _response(session_id: str, region: str) -> Event:
    url = f"wss://ssmmessages.{region}.amazonaws.com/v1/data-channel/{session_id}?role=publish_subscribe"
    return {"sessionId": session_id, "tokenValue": "Value hidden due to security reasons.", "streamUrl": url}


def _refusal(request: Event, target: str, arn: str, draw: Draw) -> Event:
    """A refused start has no response, thus no session id; some records lose even what was asked for."""
    action = f"ssm:StartSession on resource: {target}"
    errors = (
        ("AccessDenied", f"User: {arn} is not authorized to perform: {action}"),
        ("TargetNotConnected", f"{target} is not connected."),
    )
    code, message = draw.choice(errors)
    return {
        "requestParameters": request if draw.random() < 0.5 else None,
        "errorCode": code,
        "errorMessage": message,
    }


def _transcript(owner: str, epoch: int, seconds: int, draw: Draw) -> Transcript:
    """Two to eight chunks spread over so many seconds, each later than the one before."""
    count = draw.randrange(2, 9)
    times = [epoch + 5 + n * seconds // count for n in range(count)]
    return Transcript(tuple((time, _terminal_lines(owner, n, draw)) for n, time in enumerate(times)))


def _terminal_lines(owner: str, n: int, draw: Draw) -> tuple[str, ...]:
    """Terminal output with what agents leave in: colours, a title with BEL, backspaces, damaged letters."""
    head = (
        f"\u001b]0;ssm-user@ip-10-0-0-{n}:~\u0007sh-5.2$ sudo systemctl status app{n}",
        f"\u25cf app{n}.service - \u00dcberweisung",
        "   Active: \u001b[0;1;32mactive (running)\u001b[0m since <date> & time",
        "",
        'sh-5.2$ cta\b\b\bcat /etc/motd | grep "wel\\come" \ufffd',
    )
    ids = [draw.hexadecimal(6) for _ in range(draw.randrange(1, 36))]
    return (*head, *(f"{request} {owner} GET /orders/{draw.randrange(10**6)} 200" for request in ids))


def session_documents(session: Session, draw: Draw) -> list[Document]:
    """A transcript as delivered: one log event a chunk, one or two of them in a document."""
    events = []
    for epoch, lines in session.transcript.chunks:
        message = {
            "eventVersion": "1.0",
            "eventTime": zulu(epoch),
            "awsRegion": session.region,
            "target": {"id": session.target},
            "userIdentity": {"arn": session.arn},
            "runAsUser": "ssm-user",
            "sessionId": session.id,
            "sessionData": list(lines),
        }
        events.append(log_event(epoch * 1000 + draw.randrange(1000), go_json(message), draw))
    documents = []
    while events:
        count = draw.randrange(1, 3)
        part, events = events[:count], events[count:]
        arrival = part[-1]["timestamp"] // 1000 + draw.randrange(60, 300)
        documents.append(Document(arrival, _payload(session.account, SESSION_GROUP, session.id, part)))
    return documents


def noise_documents(count: int, midnight: int, accounts: list[str], draw: Draw) -> list[Document]:
    """Log events of other groups, three in a document, and now and then Firehose's health check."""
    documents = []
    for n in range(count):
        epoch = midnight + draw.randrange(86400)
        arrival = epoch + draw.randrange(60, 300)
        lines = [f"GET /orders/{draw.hexadecimal(6)} 200 {draw.randrange(900)}ms" for _ in range(3)]
        events = [log_event(epoch * 1000 + i, line, draw) for i, line in enumerate(lines)]
        owner, group = draw.choice(accounts), draw.choice(OTHER_GROUPS)
        documents.append(Document(arrival, _payload(owner, group, f"app/{n % 89}", events)))
        if n % 40 == 0:
            documents.append(Document(arrival, _control_message(epoch * 1000)))
    return documents


def _payload(owner: str, group: str, stream: str, events: list[Event]) -> Event:
    return {
        "messageType": "DATA_MESSAGE",
        "owner": owner,
        "logGroup": group,
        "logStream": stream,
        "subscriptionFilters": ["to-firehose"],
        "logEvents": events,
    }


def _control_message(milliseconds: int) -> Event:
    event = {"id": "", "timestamp": milliseconds, "message": CHECKING_HEALTH}
    return {
        "messageType": "CONTROL_MESSAGE",
        "owner": "CloudwatchLogs",
        "logGroup": "",
        "logStream": "",
        "subscriptionFilters": [],
        "logEvents": [event],
    }
