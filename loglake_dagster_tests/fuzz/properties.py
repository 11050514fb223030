"""What must hold for every object, whatever its bytes: nothing is raised, nothing is lost, nothing takes long.

Each broken promise is a `Broken` that says which; it is raised here and nowhere else, so that whoever fuzzes can tell
it from a mistake of the fuzzer's own.
"""

from __future__ import annotations

import datetime as dt
import gzip
import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from loglake_dagster.io.orc import pack_part, read_part
from loglake_dagster.kernels.accounting import rows_of_day
from loglake_dagster.kernels.framing import MANY_LISTS
from loglake_dagster.lake.manifest import ObjectEntry, Totals
from loglake_dagster.lake.settings import OrcSettings
from loglake_dagster.lake.source import Decoded, ObjectAccount, Source
from loglake_dagster_tests.fuzz.mutants import Mutant
from loglake_dagster_tests.kernels.both_ways import python_only
from loglake_dagster_tests.made import LIMIT, entry, same_json

SECONDS = 5.0
NO_DAY = dt.date(1970, 1, 1)
UTC = dt.timezone.utc


class Broken(AssertionError):
    """A promise that a mutant broke."""


def check(mutant: Mutant, with_orc: bool = False) -> str:
    """Decodes a mutant and checks all promises; what became of it, in a word. Broken if one does not hold."""
    with _in_time():
        decoded = _decoded(mutant)
        _check_python(mutant, decoded)
        (account,) = decoded.objects
        _check_account(decoded, account)
        _check_texts(mutant.source, decoded.rows)
        day = _day_of(decoded.rows)
        rows, entries = _day_rows(mutant, decoded, day)
        _check_recount(mutant, account, entries[0], day)
        _check_lossless(mutant, decoded.rows)
        if with_orc:
            _check_orc(mutant.source, rows)
    return entries[0].state if not account.rejects else f"{entries[0].state}, with rejects"


@contextmanager
def _in_time() -> Iterator[None]:
    """Ends what takes longer, measured in this process's own time: a busy machine is nobody's fault."""

    def late(_signal: int, _frame: object) -> NoReturn:
        raise Broken(f"takes more than {SECONDS:g} s")

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    started = time.process_time()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    if time.process_time() - started > SECONDS:
        raise Broken(f"takes more than {SECONDS:g} s")


@contextmanager
def _never_raises(what: str) -> Iterator[None]:
    try:
        yield
    except Broken:
        raise
    except Exception as error:
        raise Broken(f"{what} raises {type(error).__name__}: {error!s:.300}") from error


def _decoded(mutant: Mutant) -> Decoded:
    with _never_raises("decode"):
        return mutant.source.decode_delivered([mutant.data], [entry()], mutant.wanted, LIMIT)


def _check_python(mutant: Mutant, decoded: Decoded) -> None:
    """The compiled columns change nothing."""
    with python_only():
        plain = _decoded(mutant)
    names = plain.rows.column_names
    _hold(decoded.rows.select(names).equals(plain.rows), "the readers in Python make other rows")
    (one,), (other,) = decoded.objects, plain.objects
    said = [
        (each.found, each.filtered, each.rejects, each.damage, each.notes, str(each.error)) for each in (one, other)
    ]
    _hold(said[0] == said[1], "the readers in Python give another account")


def _check_account(decoded: Decoded, account: ObjectAccount) -> None:
    rows, rejects = decoded.rows.num_rows, account.rejects
    filtered = sum(account.filtered.values())
    said = f"{account.found} found, {rows} + {filtered} + {len(rejects)}"
    _hold(account.found == rows + filtered + len(rejects), said)
    places = [*decoded.rows["source_ordinal"].to_pylist(), *(reject.ordinal for reject in rejects)]
    _hold(len(set(places)) == len(places), "two records have one place")
    _hold(all(0 <= place < account.found for place in places), "a place is outside the object")
    _hold(account.error is None or account.found == 0, "an unreadable object has records")
    for reject in rejects:
        _hold(bool(reject.record) and bool(reject.path), "a reject has no record or path")
        said = f"{reject.path}{reject.expected}{reject.got}"
        _hold(said.isprintable() and len(reject.got) < 400, f"a reject's words are not printable: {said!a:.200}")
    reason = account.error.reason if account.error else ""
    _hold(reason.isprintable(), f"a reason is not printable: {reason!a:.200}")


def _check_texts(source: Source, rows: pa.Table) -> None:
    with _never_raises("validating the rows"):
        rows.validate(full=True)
    kinds = {column.name: column for column in source.table.columns}
    for name in rows.column_names:
        column = kinds.get(name)
        if column is not None and not column.nullable:
            _hold(rows[name].null_count == 0, f"{name} is null")
        if column is not None and column.kind == "json":
            for text in pc.drop_null(rows[name]).to_pylist():
                _hold(_is_json(text), f"{name} is no JSON: {text!a:.200}")


def _is_json(text: str) -> bool:
    try:
        json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        return _is_json_of_msgspec(text)
    except ValueError:
        return False
    return True


def _is_json_of_msgspec(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _day_of(rows: pa.Table) -> dt.date:
    """The day of the first row."""
    found: Any = rows["eventtime"][0].as_py() if rows.num_rows else None
    return found.date() if found is not None else NO_DAY


def _day_rows(mutant: Mutant, decoded: Decoded, day: dt.date) -> tuple[pa.Table, list[ObjectEntry]]:
    with _never_raises("rows_of_day"):
        rows, entries = rows_of_day(mutant.source, mutant.source.table, decoded, [entry()], day)
        totals = Totals.of(entries)
    _hold(totals.landed == rows.num_rows, f"{totals.landed} landed, {rows.num_rows} rows")
    _hold(0 <= entries[0].lost_share <= 1, f"lost_share is {entries[0].lost_share}")
    return rows, entries


def _check_recount(mutant: Mutant, account: ObjectAccount, one: ObjectEntry, day: dt.date) -> None:
    """As the audit does: plain code that can read a sound object must agree, or no day with it could be published."""
    if one.state != "read" or MANY_LISTS in one.reason:
        return
    try:
        count = mutant.source.recount(mutant.data, mutant.wanted)
    except Exception:  # as in the audit: odd framing is not for the plain code
        return
    of_day, counted = count.wanted_of(day, one.delivery_day), one.landed + one.duplicate
    agrees = count.found == account.found and counted <= of_day <= counted + one.rejected
    _hold(agrees, f"recount finds {count.found}, {of_day} of {day}; decode {account.found}, {counted}")


def _check_lossless(mutant: Mutant, rows: pa.Table) -> None:
    """Where plain code can read the records, each row gives its own back."""
    records = _plain_records(mutant.data) if mutant.source.rebuild is not None else None
    if records is None or mutant.source.rebuild is None:
        return
    for row in rows.to_pylist():
        with _never_raises("rebuild"):
            rebuilt = mutant.source.rebuild(row)
        is_same = same_json(rebuilt, records[row["source_ordinal"]])
        _hold(is_same, f"record {row['source_ordinal']} comes back as {rebuilt!a:.300}")


def _plain_records(data: bytes) -> list[Any] | None:
    """The records of an object that plain gzip and json can read; None if they would not read all of it."""
    try:
        text = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
        records = json.loads(text, object_pairs_hook=_one_list)["Records"]
    except Exception:
        return None
    return records if isinstance(records, list) else None


def _one_list(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object's members. ValueError if "Records" stands twice in any case: json reads one, the decoder both."""
    if sum(name.lower() == "records" for name, _ in members) > 1:
        raise ValueError("two lists of records")
    return dict(members)


def _check_orc(source: Source, rows: pa.Table) -> None:
    with _never_raises("ORC"):
        again = read_part(pack_part(rows, source.table, OrcSettings()), source.table)
    _hold(again.equals(rows), "an ORC file gives other rows back")


def _hold(is_held: bool, words: str) -> None:
    if not is_held:
        raise Broken(words)
