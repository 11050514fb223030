"""One object of JSON records to rows: a typed parse of the whole object, and record by record where that fails.

Whatever the bytes hold, every record ends as a row, as filtered or as a reject, and `found` is their sum. Only an
object that holds no records at all is an ObjectError. How records stand in a text is a framing's (framing.py).
"""

from __future__ import annotations

import bisect
import datetime as dt
import json
import operator
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pyarrow as pa

from loglake_dagster.errors import ObjectError, RecordError
from loglake_dagster.kernels.arrow import BATCH_BYTES, cut_batches
from loglake_dagster.kernels.columns import ColumnBuilder, Verdict, can_build
from loglake_dagster.kernels.flatten import Flattener, Oddity
from loglake_dagster.kernels.framing import UNFORESEEN, Framing, Pieces, Splitter
from loglake_dagster.kernels.inflate import Inflated, inflate
from loglake_dagster.kernels.rows import Derived, TableRows, decoded_of
from loglake_dagster.kernels.times import not_canonical, to_canonical
from loglake_dagster.lake.schema import SOURCE_ORDINAL
from loglake_dagster.lake.source import OBJECT_PLACE, Damage, Decoded, ObjectAccount, Reject, Rows, Wanted

# Above this an object's records are parsed in batches: a struct takes several times its text's memory.
WHOLE_PARSE_BYTES = 32 << 20
# The same for its records: one of three bytes takes a hundred times that. Real ones have a thousand bytes.
WHOLE_PARSE_RECORDS = 250_000
BATCH_RECORDS = 10_000
# The text that compiled columns are made of at once: a run's, mostly, so that there is nothing to put together after.
COMPILED_BYTES = 256 << 20

# Judges a batch of records: for each the name of the rule that drops it, or the error that makes it a reject, or None;
# None for "keeps all".
Judge = Callable[[Sequence[Any], Wanted], Sequence[str | RecordError | None] | None]
# Cuts the wanted records out of a well-formed text, and counts the others; UNFORESEEN for any other text.
Sieve = Callable[[bytes, ObjectAccount], Pieces]
# Makes rows of a well-formed text's records and counts them; what is left of it are those of another shape. None for
# any other text, of which nothing is taken.
Take = Callable[[bytes, ObjectAccount], Pieces | None]
# A record's own bytes, by its place in a batch.
RawOf = Callable[[int], bytes]
_Batch = tuple[list[Any], RawOf, Sequence[int], int]
_NOTHING_LEFT = Pieces((), ())


@dataclass(slots=True)
class _Draft:
    """Records that wait to become rows together: columns are made for many objects at once, because the cost of
    making sixty arrays is the same for three records as for three thousand."""

    records: list[Any] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    ordinals: list[int] = field(default_factory=list)
    oddities: dict[int, Oddity] = field(default_factory=dict)
    raws: list[tuple[int, RawOf]] = field(default_factory=list)
    size: int = 0

    def add(self, records: list[Any], raw_of: RawOf, ordinals: Sequence[int], size: int, place: int) -> None:
        """Adds records, `size` bytes in all, of the object at `place` in the run."""
        self.size += size
        self.raws.append((len(self.records), raw_of))
        self.records += records
        self.places += [place] * len(records)
        self.ordinals += ordinals

    def raw(self, row: int) -> bytes:
        """A record's own bytes."""
        start, raw_of = self.raws[bisect.bisect_right(self.raws, row, key=operator.itemgetter(0)) - 1]
        return raw_of(row - start)


class RecordsDecoder:
    """Decodes objects whose records stand in a framing. `time_field` is a record's own time; `judged` are the text
    fields that the judge looks at, if it looks at these alone: what they deny is then filtered before the rest of the
    record is looked at, whatever is odd about that."""

    def __init__(
        self,
        flattener: Flattener,
        framing: Framing,
        time_field: str,
        judge: Judge,
        derived: Derived | None = None,
        judged: Sequence[str] = (),
    ) -> None:
        self._flattener, self._framing, self._judge, self._derived = flattener, framing, judge, derived
        self._time_of = operator.attrgetter(time_field)
        self._time_field = time_field
        self._parse_typed = framing.parser(flattener.record_type)
        self._parse_raw = framing.parser(msgspec.Raw)
        # All are required: a record that spells one otherwise is for the parse that knows every spelling.
        self._judged = judged
        self._head = head = msgspec.defstruct("Head", [(name, str) for name in judged], gc=False) if judged else None
        self._parse_heads = framing.parser(head) if head else None
        self._decode_head = msgspec.json.Decoder(head).decode if head else None

    def decode(self, objects: Iterable[bytes | ObjectError], wanted: Wanted, limit_bytes: int) -> Decoded:
        """Rows of a run of objects and an account of each; nothing is raised for what an object holds."""
        accounts: list[ObjectAccount] = []
        built: list[Rows] = []
        drafted: list[pa.Table] = []
        draft = _Draft()
        builder = self._builder(wanted)
        take = self._taker(builder, accounts, built) if builder is not None else None
        split, sieve = self._framing.splitter(wanted), self._sieve(wanted)
        for data in objects:
            account = ObjectAccount()
            accounts.append(account)
            try:
                for batch in self._left_of(inflate(_sound(data), limit_bytes), split, sieve, take, account):
                    if draft.records and draft.size + batch[-1] > BATCH_BYTES:
                        drafted.append(self._rows(draft, wanted, accounts))
                        draft = _Draft()
                    draft.add(*batch, len(accounts) - 1)
                    if len(draft.records) >= BATCH_RECORDS:
                        drafted.append(self._rows(draft, wanted, accounts))
                        draft = _Draft()
                    if account.error is not None:
                        break
            except ObjectError as error:
                account.error = error
        if builder is not None and builder.size:
            built.append(builder.finish(self._derived))
        if draft.records or not built:
            drafted.append(self._rows(draft, wanted, accounts))
        return decoded_of([*built, *([TableRows(pa.concat_tables(drafted))] if drafted else [])], accounts)

    def _builder(self, wanted: Wanted) -> ColumnBuilder | None:
        """What makes columns by compiled code; None where there is none, or where more is judged than it looks at."""
        is_open = self._judge([], wanted) is None
        if self._framing.member is None or not can_build(self._flattener, self._judged):
            return None
        if not is_open and not self._judged:
            return None
        verdict: Verdict | None = None if is_open else lambda texts: self._verdict(texts, wanted)
        return ColumnBuilder(self._flattener, str(self._framing.member), self._time_field, self._judged, verdict)

    def _verdict(self, texts: Sequence[str], wanted: Wanted) -> str | None:
        """The rule that drops records of these judged texts."""
        assert self._head is not None
        (verdict,) = self._judge([self._head(*texts)], wanted) or (None,)
        assert verdict is None or isinstance(verdict, str)
        return verdict

    def _taker(self, builder: ColumnBuilder, accounts: list[ObjectAccount], built: list[Rows]) -> Take:
        """Takes texts into the builder, for the object that is last in `accounts`; the rows of a full one are added to
        `built`."""

        def take(text: bytes, account: ObjectAccount) -> Pieces | None:
            if len(text) > COMPILED_BYTES:
                return None
            if builder.size + len(text) > COMPILED_BYTES:
                built.append(builder.finish(self._derived))
            taken = builder.add(text, len(accounts) - 1, account.found)
            if taken is None:
                return None
            account.found += taken.found
            for rule, count in taken.filtered.items():
                account.filter(rule, count)
            if not taken.odd:
                return _NOTHING_LEFT
            return Pieces([text[a:b] for _ordinal, a, b in taken.odd], [ordinal for ordinal, _a, _b in taken.odd])

        return take

    def _sieve(self, wanted: Wanted) -> Sieve | None:
        """Cuts the wanted records out of a well-formed text; None when the judge keeps all."""
        parse = self._parse_heads
        if parse is None or self._judge([], wanted) is None:
            return None

        def sift(text: bytes, account: ObjectAccount) -> Pieces:
            heads = parse(text)
            verdicts = self._judge(heads, wanted) or ()
            kept = [place for place, verdict in enumerate(verdicts) if verdict is None]
            raws = self._parse_raw(text) if kept else []
            first, account.found = account.found, account.found + len(heads)
            for verdict, count in Counter(verdicts).items():
                if isinstance(verdict, str):
                    account.filter(verdict, count)
            return Pieces([bytes(raws[place]) for place in kept], [first + place for place in kept])

        return sift

    def _left_of(
        self, inflated: Inflated, split: Splitter, sieve: Sieve | None, take: Take | None, account: ObjectAccount
    ) -> Iterable[_Batch]:
        """`_batches`, but nearly every object is done here: a small one's way through the framings takes longer than
        its records. Of a single text, `_whole_texts` makes nothing else."""
        if take is None or not inflated.is_one_text:
            return self._batches(inflated, split, sieve, take, account)
        left = take(inflated.texts[0], account)
        if left is None:
            return self._batches(inflated, split, sieve, None, account)
        return self._cut(left) if left.texts else ()

    def _batches(
        self,
        inflated: Inflated,
        split: Splitter,
        sieve: Sieve | None,
        take: Take | None,
        account: ObjectAccount,
    ) -> Iterator[_Batch]:
        """(records, their own bytes, their ordinals, bytes in all) of what `take` leaves of an object; a record is None
        where only its bytes are known yet."""
        account.damage = inflated.damage
        if self._framing.is_one_member and inflated.members > 1:
            account.notes = (f"{inflated.members} gzip members",)
        texts, foreign = self._whole_texts(inflated), list[tuple[bytes, ObjectError]]()
        for text in texts:
            if take is not None and (left := take(text, account)) is not None:
                if left.texts:
                    yield from self._cut(left)
                continue
            if _is_parsed_whole(text) and _is_utf8(text):
                try:
                    wanted = sieve(text, account) if sieve is not None else None
                    records = self._parse_typed(text) if wanted is None else []
                except UNFORESEEN:
                    pass
                else:
                    if wanted is not None:
                        yield from self._cut(wanted)
                        continue
                    first, account.found = account.found, account.found + len(records)
                    yield records, _lazy_raws(text, self._parse_raw), range(first, account.found), len(text)
                    continue
            try:
                pieces = split(text, account)
            except ObjectError as error:
                if account.error is not None:
                    raise
                foreign.append((text, error))
                continue
            yield from self._cut(pieces)
        if foreign and len(foreign) == len(texts):
            raise foreign[0][1]
        if foreign:
            share = sum(len(text) for text, _error in foreign) / sum(map(len, texts))
            account.damage = account.damage or Damage(foreign[0][1].reason, share)

    def _cut(self, pieces: Pieces) -> Iterator[_Batch]:
        for start, end in cut_batches(map(len, pieces.texts), BATCH_RECORDS, BATCH_BYTES):
            batch = pieces.texts[start:end]
            records = [self._foreseen(piece) for piece in batch]
            yield records, batch.__getitem__, pieces.ordinals[start:end], sum(map(len, batch))

    def _whole_texts(self, inflated: Inflated) -> list[bytes]:
        """The texts of the members. Gzip's own meaning of several is one text cut anywhere: they are one again where
        not each is a whole file by itself."""
        texts = inflated.texts
        if len(texts) < 2 or inflated.damage is not None or all(map(self._framing.is_file, texts)):
            return texts
        return [b"".join(texts)]

    def _foreseen(self, piece: bytes) -> Any:
        """The record, if it has the foreseen shape; else None."""
        try:
            piece.decode()
            return self._flattener.decode_record(piece)
        except UNFORESEEN:
            return None

    def _rows(self, draft: _Draft, wanted: Wanted, accounts: list[ObjectAccount]) -> pa.Table:
        """The draft's rows; its rejects and filtered records go to the accounts of their objects."""
        for row in not_canonical([None if r is None else self._time_of(r) for r in draft.records]):
            draft.records[row] = self._odd_record(draft, row, wanted, accounts)
        kept = [row for row, record in enumerate(draft.records) if record is not None]
        records = [draft.records[row] for row in kept]
        verdicts = self._judge(records, wanted)
        if verdicts is not None:
            for row, verdict in zip(kept, verdicts, strict=True):
                if verdict is not None:
                    self._drop(draft, row, verdict, accounts)
            kept = [row for row, verdict in zip(kept, verdicts, strict=True) if verdict is None]
            records = [draft.records[row] for row in kept]
        new_place = {row: place for place, row in enumerate(kept)}
        oddities = {new_place[row]: oddity for row, oddity in draft.oddities.items() if row in new_place}
        arrays = self._flattener.arrays(records, oddities)
        arrays[SOURCE_ORDINAL.name] = pa.array([draft.ordinals[i] for i in kept], pa.int64())
        arrays[OBJECT_PLACE] = pa.array([draft.places[i] for i in kept], pa.int32())
        return self._table(arrays)

    def _drop(self, draft: _Draft, row: int, verdict: str | RecordError, accounts: list[ObjectAccount]) -> None:
        account = accounts[draft.places[row]]
        if isinstance(verdict, RecordError):
            day = dt.date.fromisoformat(self._time_of(draft.records[row])[:10])
            account.reject(Reject.of(draft.ordinals[row], verdict, draft.raw(row), day))
        else:
            account.filter(verdict)

    def _odd_record(self, draft: _Draft, row: int, wanted: Wanted, accounts: list[ObjectAccount]) -> Any:
        """The record of an unforeseen shape, its oddity noted in the draft; None when it is filtered by what is judged
        of it, or becomes a reject."""
        piece = draft.raw(row)
        if (verdict := self._judge_head(piece, wanted)) is not None:
            accounts[draft.places[row]].filter(verdict)
            return None
        try:
            record, oddity = self._flattener.flatten_oddity(piece)
            if self._time_of(record) is None:
                raise RecordError(f"$.{self._time_field}", "an ISO-8601 time", "nothing (missing)")
        except RecordError as error:
            day = _event_day(piece, self._time_field)
            accounts[draft.places[row]].reject(Reject.of(draft.ordinals[row], error, piece, day))
            return None
        draft.oddities[row] = oddity
        return record

    def _judge_head(self, piece: bytes, wanted: Wanted) -> str | None:
        """The rule that drops a record by the judged fields alone; None if it may be kept, or has no such fields."""
        if self._decode_head is None or self._judge([], wanted) is None:
            return None
        try:
            (verdict,) = self._judge([self._decode_head(piece)], wanted) or (None,)
        except UNFORESEEN:
            return None
        return verdict if isinstance(verdict, str) else None

    def _table(self, arrays: dict[str, pa.Array]) -> pa.Table:
        if self._derived is not None:
            self._derived.make(arrays)
        return pa.table({name: arrays[name] for name in sorted(arrays)})


def _lazy_raws(text: bytes, parse_raw: Callable[[bytes], list[Any]]) -> RawOf:
    """A record's own bytes, found only if somebody asks: nearly nobody does."""
    raws: list[Any] = []

    def raw_of(index: int) -> bytes:
        if not raws:
            raws.extend(parse_raw(text))
        return bytes(raws[index])

    return raw_of


def _sound(data: bytes | ObjectError) -> bytes:
    if isinstance(data, ObjectError):
        raise data
    return data


def _is_parsed_whole(text: bytes) -> bool:
    """Whether the records of a text can be in memory all at once. There are no more of them than opening brackets."""
    size = len(text)
    return size <= WHOLE_PARSE_BYTES and (size <= 4 * WHOLE_PARSE_RECORDS or text.count(b"{") <= WHOLE_PARSE_RECORDS)


def _is_utf8(text: bytes) -> bool:
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _event_day(record: bytes, time_field: str) -> dt.date | None:
    """The day of a record that could not be a row, if its time can be read: with other characters than can be stored,
    but not with wrong brackets or quotes, for then nobody knows whose the time is."""
    try:
        text = to_canonical(json.loads(record.decode("utf-8", "replace"))[time_field])
    except (ValueError, RecursionError, TypeError, KeyError):
        return None
    return dt.date.fromisoformat(text[:10]) if text else None
