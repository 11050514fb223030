"""Makes the raw logs of an invented organisation for one day, and the truth about them.

    python -m bench.workload OUT --events 20000
        many tiny files, as small accounts give
    python -m bench.workload OUT --events 500000 --accounts 20 --bucket-minutes 60 --per-file 500
        fewer and larger files

    OUT/trail/AWSLogs/<org>/<account>/CloudTrail/<region>/YYYY/MM/DD/*.json.gz     {"Records": [...]}
    OUT/firehose/YYYY/MM/DD/HH/<stream>-1-...                      gzip members back to back, no suffix
    OUT/truth.json                                                 what a correct lake must report

The same options give the same bytes; only the standard library is needed. Built in: tiny files, records out
of order, events near midnight that land in the next day's folder, a second trail that repeats files under
other names, StartSession events of another service, refused ones, port forwarding, sessions without a
transcript, transcripts without a session and across midnight, both shapes of session ids, control messages,
other log groups, and the oddities that made_events.py lists.
"""

import argparse
import dataclasses
import datetime as dt
import gzip
import itertools
import json
import pathlib
from collections.abc import Iterator
from typing import Any

from bench.made_events import CALLS, Draw, Event, EventMaker
from bench.made_sessions import (
    SESSION_GROUP,
    Document,
    Session,
    make_orphans,
    make_sessions,
    noise_documents,
    session_documents,
)

ORGANISATION = "o-exampleorg1"
REGIONS = ("us-east-1", "eu-west-1", "ap-southeast-2")
REGION_SHARES = (6, 3, 1)
ESCAPED_SHARE = 0.2
FIREHOSE_BUFFER_SECONDS = 300

Bucket = tuple[str, str, int]  # account, region, second of delivery: one or more files
Plan = dict[Bucket, list[tuple[int, int]]]  # second of the event, index in CALLS

_encode_raw = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_encode_escaped = json.JSONEncoder(separators=(",", ":")).encode


@dataclasses.dataclass(frozen=True, slots=True)
class WorkloadOptions:
    """How much to make, and in which shape. `events` are background events; sessions come on top of them.

    `duplicates` is the share of files that a second trail repeats, `per_file` the mean of events in a file,
    `bucket_minutes` how many minutes of an account and region a file holds at most.
    """

    events: int = 20_000
    day: dt.date = dt.date(2026, 11, 1)
    accounts: int = 150
    sessions: int = 60
    duplicates: float = 0.1
    per_file: int = 40
    bucket_minutes: int = 5
    seed: int = 7

    def __post_init__(self) -> None:
        least = {
            "events": 0,
            "accounts": 1,
            "sessions": 0,
            "duplicates": 0,
            "per_file": 1,
            "bucket_minutes": 1,
        }
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise ValueError(f"{name}: expected at least {bound}, got {getattr(self, name)!r}")
        if self.duplicates > 1:
            raise ValueError(f"duplicates: expected a share from 0 to 1, got {self.duplicates!r}")

    @property
    def midnight(self) -> int:
        """The day's first second, since the epoch."""
        return int(dt.datetime.combine(self.day, dt.time(), dt.UTC).timestamp())


@dataclasses.dataclass(slots=True)
class Truth:
    """What was made, counted meanwhile. What the second trail repeats counts as `duplicate_events` only."""

    events: dict[str, int] = dataclasses.field(default_factory=dict)
    events_by_account_region: dict[str, dict[str, dict[str, int]]] = dataclasses.field(default_factory=dict)
    names: dict[str, int] = dataclasses.field(default_factory=dict)
    files: int = 0
    duplicate_events: int = 0
    next_day_folder_events: int = 0
    sessions: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    orphan_transcripts: int = 0
    orphans: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    control_messages: int = 0
    noise_log_events: int = 0
    log_events: dict[str, int] = dataclasses.field(default_factory=dict)

    def count_event(self, event: Event, bucket: Bucket) -> None:
        account, region, delivery = bucket
        day = event["eventTime"][:10]
        _count(self.events, day)
        _count(self.names, f"{event['eventSource']}:{event['eventName']}")
        _count(self.events_by_account_region.setdefault(day, {}).setdefault(account, {}), region)
        self.next_day_folder_events += _day(delivery) != day

    def count_session(self, session: Session) -> None:
        found = {
            "sessionid": None if session.kind == "denied" else session.suffix,
            "owner": session.owner,
            "account": session.account,
            "region": session.region,
            "lines": len(session.transcript.lines),
            "chunks": len(session.transcript.chunks),
            "sha256": session.transcript.sha256,
        }
        if session.start is None:
            self.orphan_transcripts += 1
            self.orphans.append(found)
        else:
            self.sessions[session.start["eventID"]] = {"kind": session.kind} | found

    def count_document(self, payload: Event) -> None:
        if payload["messageType"] == "CONTROL_MESSAGE":
            self.control_messages += 1
            return
        for event in payload["logEvents"]:
            _count(self.log_events, _day(event["timestamp"] // 1000))
            self.noise_log_events += payload["logGroup"] != SESSION_GROUP


def make_workload(out: pathlib.Path, options: WorkloadOptions) -> dict[str, Any]:
    """Writes the files and truth.json below `out`, and returns the truth.

    Refuses to write over an earlier workload, whose files would lie among the new ones, in no truth. Memory
    holds the plan and one bucket of events, never all events.
    """
    for name in ("trail", "firehose"):
        if (out / name).exists():
            raise FileExistsError(f"{out / name}: expected no earlier workload; remove it or choose another folder")
    draw = Draw(options.seed)
    accounts = [f"{draw.randrange(10**12):012d}" for _ in range(options.accounts)]
    places = list(itertools.product(accounts, REGIONS))
    maker = EventMaker(options.midnight, draw)
    sessions = make_sessions(options.sessions, options.midnight, places, maker, draw)
    orphans = make_orphans(max(1, options.sessions // 20), options.midnight, places, draw)
    documents = [document for session in sessions + orphans for document in session_documents(session, draw)]
    documents += noise_documents(max(1, options.events // 50), options.midnight, accounts, draw)

    landing = _Landing(out, options, draw)
    for session in sessions + orphans:
        landing.truth.count_session(session)
    landing.write_trail(_plan(options, accounts, draw), _starts(options, sessions, draw), maker)
    landing.write_firehose(documents)
    found = {field.name: getattr(landing.truth, field.name) for field in dataclasses.fields(Truth)}
    (out / "truth.json").write_text(json.dumps(found, indent=1, sort_keys=True))
    return found


def _plan(options: WorkloadOptions, accounts: list[str], draw: Draw) -> Plan:
    """Which bucket each background event goes to; its record is made when the bucket is written.

    The first event is of the call that CALLS puts first; the second is in the day's last second.
    """
    busy = list(itertools.accumulate(1 / rank for rank in range(1, len(accounts) + 1)))
    shares = list(itertools.accumulate(call.weight for call in CALLS))
    plan: Plan = {}
    for n in range(options.events):
        account = draw.choices(accounts, cum_weights=busy)[0]
        region = draw.choices(REGIONS, REGION_SHARES)[0]
        epoch = options.midnight + (86399 if n == 1 else draw.randrange(86400))
        call = 0 if n == 0 else draw.choices(range(len(CALLS)), cum_weights=shares)[0]
        plan.setdefault((account, region, _delivery(epoch, options, draw)), []).append((epoch, call))
    return plan


def _starts(options: WorkloadOptions, sessions: list[Session], draw: Draw) -> dict[Bucket, list[Event]]:
    starts: dict[Bucket, list[Event]] = {}
    for session in sessions:
        if session.start is not None:
            bucket = session.account, session.region, _delivery(session.epoch, options, draw)
            starts.setdefault(bucket, []).append(session.start)
    return starts


def _delivery(epoch: int, options: WorkloadOptions, draw: Draw) -> int:
    """One to ten minutes after the event, up to the bucket's end: no file is older than its events."""
    width = options.bucket_minutes * 60
    return -(-(epoch + draw.randrange(60, 600)) // width) * width


class _Landing:
    """The folders that a workload fills, and the truth about what it put there."""

    def __init__(self, out: pathlib.Path, options: WorkloadOptions, draw: Draw) -> None:
        self.truth = Truth()
        self._out, self._options, self._draw = out, options, draw

    def write_trail(self, plan: Plan, starts: dict[Bucket, list[Event]], maker: EventMaker) -> None:
        for bucket in sorted(plan.keys() | starts.keys()):
            account, region, _ = bucket
            events = [maker.background(account, region, epoch, CALLS[call]) for epoch, call in plan.get(bucket, [])]
            events += starts.get(bucket, [])
            self._draw.shuffle(events)
            for event in events:
                self.truth.count_event(event, bucket)
            encode = _encode_escaped if self._draw.random() < ESCAPED_SHARE else _encode_raw
            for records in self._batches([encode(event) for event in events]):
                self._write_log_file(bucket, records)

    def _batches(self, records: list[str]) -> Iterator[list[str]]:
        """Cuts a bucket into files of exponentially distributed sizes: most are small, a few are large."""
        while records:
            size = max(1, int(self._draw.expovariate(1 / self._options.per_file)))
            yield records[:size]
            records = records[size:]

    def _write_log_file(self, bucket: Bucket, records: list[str]) -> None:
        """Once, or twice when the second trail has it too: in another order, under another name."""
        share = self._options.duplicates
        is_repeated = share > 0 and (self.truth.files == 0 or self._draw.random() < share)
        self._write_records(bucket, records)
        if is_repeated:
            self._draw.shuffle(records)
            self._write_records(bucket, records)
            self.truth.duplicate_events += len(records)

    def _write_records(self, bucket: Bucket, records: list[str]) -> None:
        account, region, delivery = bucket
        stamp = dt.datetime.fromtimestamp(delivery, dt.UTC)
        day = stamp.strftime("%Y/%m/%d")
        folder = self._out / "trail" / "AWSLogs" / ORGANISATION / account / "CloudTrail" / region / day
        name = f"{account}_CloudTrail_{region}_{stamp:%Y%m%dT%H%MZ}_{self._draw.alphanumeric(16)}.json.gz"
        self._write(folder / name, [f'{{"Records":[{",".join(records)}]}}'])

    def write_firehose(self, documents: list[Document]) -> None:
        """One object for each buffer interval, named after the arrival of its oldest document."""
        documents.sort(key=lambda document: document.arrival)
        for _, group in itertools.groupby(documents, lambda each: each.arrival // FIREHOSE_BUFFER_SECONDS):
            buffered = list(group)
            stamp = dt.datetime.fromtimestamp(buffered[0].arrival, dt.UTC)
            name = f"cloudwatch-logs-1-{stamp:%Y-%m-%d-%H-%M-%S}-{self._draw.guid()}"
            path = self._out / "firehose" / stamp.strftime("%Y/%m/%d/%H") / name
            self._write(path, [_encode_raw(document.payload) for document in buffered])
            for document in buffered:
                self.truth.count_document(document.payload)

    def _write(self, path: pathlib.Path, texts: list[str]) -> None:
        """Each text becomes a gzip member without a time stamp, so the same seed gives the same bytes."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(gzip.compress(text.encode(), 6, mtime=0) for text in texts))
        self.truth.files += 1


def _count(counts: dict[str, int], key: str) -> None:
    counts[key] = counts.get(key, 0) + 1


def _day(epoch: int) -> str:
    return dt.datetime.fromtimestamp(epoch, dt.UTC).strftime("%Y-%m-%d")


def main() -> None:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m bench.workload", description=__doc__, formatter_class=form)
    options = WorkloadOptions()
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--events", type=int, default=options.events, help="background events; sessions come on top")
    parser.add_argument("--day", type=dt.date.fromisoformat, default=options.day)
    parser.add_argument("--accounts", type=int, default=options.accounts)
    parser.add_argument("--sessions", type=int, default=options.sessions)
    parser.add_argument("--duplicates", type=float, default=options.duplicates, help="share of repeated files")
    parser.add_argument("--per-file", type=int, default=options.per_file, help="mean events in a file")
    parser.add_argument("--bucket-minutes", type=int, default=options.bucket_minutes, help="most minutes in a file")
    parser.add_argument("--seed", type=int, default=options.seed)
    found = vars(parser.parse_args())
    truth = make_workload(found.pop("out"), WorkloadOptions(**found))
    shown = {"events", "log_events"}
    short = {key: len(v) if isinstance(v, dict | list) and key not in shown else v for key, v in truth.items()}
    print(json.dumps(short))


if __name__ == "__main__":
    main()
