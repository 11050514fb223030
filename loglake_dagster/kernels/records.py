"""One object of JSON records to rows: a typed parse of the whole object, and record by record where that fails.

Whatever the bytes hold, every record ends as a row, as filtered or as a reject, and `found` is their sum. Only an
object that holds no list of records at all is an ObjectError.
"""

from __future__ import annotations

import bisect
import datetime as dt
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pyarrow as pa

from loglake_dagster.errors import ObjectError, RecordError, quote
from loglake_dagster.kernels.flatten import Flattener, Oddity
from loglake_dagster.kernels.frame import array_of_member, split_documents, split_elements
from loglake_dagster.kernels.inflate import Inflated, inflate
from loglake_dagster.kernels.times import not_canonical, to_canonical
from loglake_dagster.lake.schema import SOURCE_ORDINAL
from loglake_dagster.lake.source import OBJECT_PLACE, Damage, Decoded, ObjectAccount, Reject, Wanted

# Above this an object's records are parsed in batches: a struct takes several times its text's memory.
WHOLE_PARSE_BYTES = 32 << 20
BATCH_RECORDS = 10_000
_UNFORESEEN = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)

# Judges a batch of records: for each the name of the rule that drops it, or None; None for "keeps all".
Judge = Callable[[Sequence[Any], Wanted], list[str | None] | None]
# A record's own bytes, by its place in a batch.
RawOf = Callable[[int], bytes]
# Adds the columns that are derived from others.
Derive = Callable[[dict[str, pa.Array]], None]


@dataclass(slots=True)
class _Draft:
    """Records that wait to become rows together: columns are made for many objects at once, because the cost of
    making sixty arrays is the same for three records as for three thousand."""

    records: list[Any] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    ordinals: list[int] = field(default_factory=list)
    oddities: dict[int, Oddity] = field(default_factory=dict)
    raws: list[tuple[int, RawOf]] = field(default_factory=list)

    def raw(self, row: int) -> bytes:
        """A record's own bytes."""
        start, raw_of = self.raws[bisect.bisect_right(self.raws, row, key=operator.itemgetter(0)) - 1]
        return raw_of(row - start)


class RecordsDecoder:
    """Decodes objects of the envelope `{"<member>": [record, ...]}`, and bare arrays of records."""

    def __init__(self, flattener: Flattener, member: str, time_field: str, judge: Judge, derive: Derive) -> None:
        self._flattener, self._member, self._judge, self._derive = flattener, member, judge, derive
        self._time_of = operator.attrgetter(time_field)
        self._time_field = time_field
        self._decode_typed = _envelope_decoder(member, flattener.record_type)
        self._decode_raw = _envelope_decoder(member, msgspec.Raw)

    def decode(self, objects: Iterable[bytes | ObjectError], wanted: Wanted, limit_bytes: int) -> Decoded:
        """Rows of a run of objects and an account of each; nothing is raised for what an object holds."""
        result = Decoded(None, [])
        tables: list[pa.Table] = []
        draft = _Draft()
        for data in objects:
            account = ObjectAccount()
            result.objects.append(account)
            try:
                for records, raw_of in self._batches(_sound(data), limit_bytes, account):
                    self._add(draft, records, raw_of, result)
                    if len(draft.records) >= BATCH_RECORDS:
                        tables.append(self._rows(draft, wanted, result))
                        draft = _Draft()
            except ObjectError as error:
                account.error = error
        tables.append(self._rows(draft, wanted, result))
        result.rows = pa.concat_tables(tables)
        return result

    def _batches(self, data: bytes, limit_bytes: int, account: ObjectAccount) -> Iterator[tuple[list[Any], RawOf]]:
        """(records, their own bytes) of an object; a record is None where only its bytes are known yet."""
        inflated = inflate(data, limit_bytes)
        account.damage, account.notes = inflated.damage, _member_notes(inflated.members)
        texts, foreign = self._whole_texts(inflated), list[tuple[bytes, ObjectError]]()
        for text in texts:
            if len(text) <= WHOLE_PARSE_BYTES and _is_utf8(text):
                try:
                    yield self._decode_typed(text), _lazy_raws(text, self._decode_raw)
                    continue
                except _UNFORESEEN:
                    pass
            try:
                pieces = self._split(text, account)
            except ObjectError as error:
                foreign.append((text, error))
                continue
            for start in range(0, len(pieces), BATCH_RECORDS):
                batch = pieces[start : start + BATCH_RECORDS]
                yield [self._foreseen(piece) for piece in batch], batch.__getitem__
        if foreign and len(foreign) == len(texts):
            raise foreign[0][1]
        if foreign:
            share = sum(len(text) for text, _error in foreign) / sum(map(len, texts))
            account.damage = account.damage or Damage(foreign[0][1].reason, share)

    def _whole_texts(self, inflated: Inflated) -> list[bytes]:
        """The texts of the members. Gzip's own meaning of several is one text cut anywhere: they are one again where
        not each is a whole file by itself."""
        texts = inflated.texts
        if len(texts) < 2 or inflated.damage is not None or all(map(self._is_file, texts)):
            return texts
        return [b"".join(texts)]

    def _is_file(self, text: bytes) -> bool:
        try:
            self._decode_raw(text)
        except _UNFORESEEN:
            return _has_no_member(text, self._member)
        return True

    def _foreseen(self, piece: bytes) -> Any:
        """The record, if it has the foreseen shape; else None."""
        try:
            piece.decode()
            return self._flattener.decode_record(piece)
        except _UNFORESEEN:
            return None

    def _split(self, text: bytes, account: ObjectAccount) -> list[bytes]:
        """Every record's own bytes, of every list in the text. Notes in the account when the text ends inside a list,
        or holds something else besides."""
        try:
            return [bytes(raw) for raw in self._decode_raw(text)]
        except _UNFORESEEN:
            pass
        documents = list(split_documents(text))
        starts = [self._list_start(span.of(text)) for span in documents]
        lists = len(starts) - starts.count(None)
        if lists == 0:
            self._check_no_list(text, account)
            return []
        pieces: list[bytes] = []
        strays = list_end = 0
        for span, start in zip(documents, starts, strict=True):
            if start is None:
                strays += len(span.of(text).strip(b"]}")) if span.start >= list_end else 0
                continue
            # A record with a bracket too many seems to end its document: one list alone is followed to its own end.
            own = text[span.start :] if lists == 1 else span.of(text)
            elements = list(split_elements(own, start))
            pieces += [element.of(own) for element in elements]
            list_end = span.start + own.find(b"]", elements[-1].end if elements else start)
            if not span.is_whole or (elements and not elements[-1].is_whole):
                account.damage = account.damage or Damage("the text ends before the list of records does", 0.0)
        if strays:
            account.damage = account.damage or Damage("text that is no list of records", strays / len(text))
        return pieces

    def _list_start(self, document: bytes) -> int | None:
        """Where the list of records begins in a document: an array, or an object with the member."""
        return 0 if document.startswith(b"[") else array_of_member(document, self._member.encode())

    def _check_no_list(self, text: bytes, account: ObjectAccount) -> None:
        """A file without records is noted; anything else that holds no list is an ObjectError."""
        text = text.lstrip(b" \t\r\n\xef\xbb\xbf")
        if text and not _has_no_member(text, self._member):
            expected = f'{{"{self._member}": [...]}}'
            raise ObjectError(f"not a log of records: expected {expected}, got {quote(text[:40], 48)}")
        account.notes += (f"no {self._member} array",)

    def _add(self, draft: _Draft, records: list[Any], raw_of: RawOf, result: Decoded) -> None:
        account, place = result.objects[-1], len(result.objects) - 1
        draft.raws.append((len(draft.records), raw_of))
        draft.records += records
        draft.places += [place] * len(records)
        draft.ordinals += range(account.found, account.found + len(records))
        account.found += len(records)

    def _rows(self, draft: _Draft, wanted: Wanted, result: Decoded) -> pa.Table:
        """The draft's rows; its rejects and filtered records go to the accounts of their objects."""
        for row in not_canonical([None if r is None else self._time_of(r) for r in draft.records]):
            draft.records[row] = self._odd_record(draft, row, result)
        kept = [row for row, record in enumerate(draft.records) if record is not None]
        records = [draft.records[row] for row in kept]
        verdicts = self._judge(records, wanted)
        if verdicts is not None:
            for row, verdict in zip(kept, verdicts, strict=True):
                if verdict is not None:
                    filtered = result.objects[draft.places[row]].filtered
                    filtered[verdict] = filtered.get(verdict, 0) + 1
            kept = [row for row, verdict in zip(kept, verdicts, strict=True) if verdict is None]
            records = [draft.records[row] for row in kept]
        if len(kept) == len(draft.records):
            return self._table(records, draft.oddities, draft.ordinals, draft.places)
        new_place = {row: place for place, row in enumerate(kept)}
        oddities = {new_place[row]: oddity for row, oddity in draft.oddities.items() if row in new_place}
        return self._table(records, oddities, [draft.ordinals[i] for i in kept], [draft.places[i] for i in kept])

    def _odd_record(self, draft: _Draft, row: int, result: Decoded) -> Any:
        """The record of an unforeseen shape, its oddity noted in the draft; None when it becomes a reject."""
        piece = draft.raw(row)
        try:
            record, oddity = self._flattener.flatten_oddity(piece)
            if self._time_of(record) is None:
                raise RecordError(f"$.{self._time_field}", "an ISO-8601 time", "nothing (missing)")
        except RecordError as error:
            day = _event_day(piece, self._time_field)
            result.objects[draft.places[row]].rejects.append(Reject.of(draft.ordinals[row], error, piece, day))
            return None
        draft.oddities[row] = oddity
        return record

    def _table(
        self, records: Sequence[Any], oddities: Mapping[int, Oddity], ordinals: list[int], places: list[int]
    ) -> pa.Table:
        arrays = self._flattener.arrays(records, oddities)
        self._derive(arrays)
        arrays[SOURCE_ORDINAL.name] = pa.array(ordinals, pa.int64())
        arrays[OBJECT_PLACE] = pa.array(places, pa.int32())
        return pa.table(arrays)


def _envelope_decoder(member: str, item: Any) -> Callable[[bytes], list[Any]]:
    decode = msgspec.json.Decoder(msgspec.defstruct("Envelope", [(member, list[item])])).decode
    return lambda text: getattr(decode(text), member)


def _lazy_raws(text: bytes, decode_raw: Callable[[bytes], list[Any]]) -> RawOf:
    """A record's own bytes, found only if somebody asks: nearly nobody does."""
    raws: list[Any] = []

    def raw_of(index: int) -> bytes:
        if not raws:
            raws.extend(decode_raw(text))
        return bytes(raws[index])

    return raw_of


def _sound(data: bytes | ObjectError) -> bytes:
    if isinstance(data, ObjectError):
        raise data
    return data


def _is_utf8(text: bytes) -> bool:
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _has_no_member(text: bytes, member: str) -> bool:
    """Whether the text is a JSON object without the member: a file without records, not a foreign one."""
    try:
        document = msgspec.json.decode(text)
    except _UNFORESEEN:
        return False
    return isinstance(document, dict) and document.get(member) is None


def _member_notes(members: int) -> tuple[str, ...]:
    """AWS's own validation calls a second member tampering (docs/formats.md 1.3): parsed, but said."""
    return (f"{members} gzip members",) if members > 1 else ()


def _event_day(record: bytes, time_field: str) -> dt.date | None:
    """The day of a record that could not be read as a whole, if its time can be."""
    try:
        value = msgspec.json.decode(record)
        text = to_canonical(value[time_field])
    except (*_UNFORESEEN, TypeError, KeyError):
        return None
    return dt.date.fromisoformat(text[:10]) if text else None
