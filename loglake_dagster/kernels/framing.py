"""How records stand in an object's text: in the list of an envelope, or as documents of their own.

A framing parses a whole well-formed text, and cuts any other text into its records' own bytes, so that a record that
is wrong costs itself. What the records mean is the decoder's (records.py); where a JSON value ends is frame.py's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, Protocol

import msgspec

from loglake_dagster.errors import ObjectError, RecordError, quote
from loglake_dagster.kernels.frame import (
    DENSE_BYTES,
    ESCAPE,
    Span,
    arrays_of_member,
    is_dense,
    spelled,
    split_documents,
    split_elements,
    split_lines,
)
from loglake_dagster.lake.source import MAX_REJECTS, TINY_BYTES, Damage, ObjectAccount, Reject, Wanted

# A note on an object: of several lists under one name plain JSON parsers see the last.
MANY_LISTS = "more than one list of records"

# What msgspec raises for a text that is not as foreseen.
UNFORESEEN = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)
_NULL = msgspec.Raw(b"null")
_parse_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


@dataclass(slots=True)
class Pieces:
    """Records cut out of a text: their own bytes, and their places in the object counted over every record."""

    texts: Sequence[bytes] = field(default_factory=list)
    ordinals: Sequence[int] = field(default_factory=list)


class Cuttings:
    """Texts that are cut out one by one. Among them too many that are too short for a record, and the object is given
    up before they are all in memory."""

    def __init__(self, account: ObjectAccount) -> None:
        self.texts: list[bytes] = []
        self._account, self._tiny = account, 0

    def add(self, text: bytes) -> None:
        """Takes a text. ObjectError, in the account too, when the object is given up."""
        self.texts.append(text)
        self._tiny += len(text) < TINY_BYTES
        if self._tiny > MAX_REJECTS:
            raise self._account.give_up()


# Cuts a text. What it finds is counted in the account: also records that it filters or rejects, which are no pieces.
# When it gives the object up, the account has the error, which may be raised too.
Splitter = Callable[[bytes, ObjectAccount], Pieces]


class Framing(Protocol):
    """A way in which records stand in a text. `is_one_member` says that an object is one gzip member, always: a second
    one is then worth a note. `member` is the name of the list that a well-formed text has them in, None for none."""

    is_one_member: bool
    member: str | None

    def parser(self, item: Any) -> Callable[[bytes], list[Any]]:
        """A parse of a whole well-formed text to its records, each an `item`; UNFORESEEN for any other text."""

    def is_file(self, text: bytes) -> bool:
        """Whether a text is well-formed as a whole, with records or without."""

    def splitter(self, wanted: Wanted) -> Splitter:
        """Cuts any text. Notes in the account when the text is cut off; ObjectError when it holds no records at all."""


class Envelope(Framing):
    """`{"<member>": [record, ...]}`, and bare arrays of records; several of them back to back too. An object that has
    no such member, but the one that every record has (`sign`), is a record by itself."""

    # AWS's own validation calls a second member tampering (docs/formats.md 1.3).
    is_one_member = True

    def __init__(self, member: str, sign: str | None = None) -> None:
        self.member: str = member
        self._sign = sign
        self._mark = f'"{member}"'.encode()
        self._spelled = spelled(member.encode())
        self._parse_raw = self._parser(list[msgspec.Raw])
        self._parse_list = self._parser(msgspec.Raw)

    def parser(self, item: Any) -> Callable[[bytes], list[Any]]:
        # Other members are not foreseen: one may be the member in another case, with records of its own.
        parse = self._parser(list[item], is_strict=True)

        def parse_one_list(text: bytes) -> list[Any]:
            records = parse(text)
            if not self._is_one_list(text):
                raise msgspec.ValidationError(MANY_LISTS)
            return records  # type: ignore[no-any-return]

        return parse_one_list

    def _parser(self, kind: Any, is_strict: bool = False) -> Callable[[bytes], Any]:
        member = self.member
        decode = msgspec.json.Decoder(
            msgspec.defstruct("Envelope", [(member, kind)], forbid_unknown_fields=is_strict)
        ).decode
        return lambda text: getattr(decode(text), member)

    def _is_one_list(self, text: bytes) -> bool:
        """Whether a well-formed text has the member once. Of two every JSON parser takes the last and tells nobody.
        The name in quotes can be in a record too, but then the last list is all of the text but its frame."""
        is_once = text.rfind(self._mark, text.find(self._mark) + 1) < 0  # half as dear as `find`
        if is_once and ESCAPE not in text:
            return True
        return len(text.strip()) - len(self._parse_list(text)) < len(self._mark) + len('{:}""":[0],')

    def is_file(self, text: bytes) -> bool:
        try:
            if bytes(self._parse_list(text)).startswith(b"["):
                return True
        except UNFORESEEN:
            pass
        return _has_no_member(text, self.member)

    def splitter(self, wanted: Wanted) -> Splitter:
        return self._split

    def _split(self, text: bytes, account: ObjectAccount) -> Pieces:
        texts = self._texts(text, account)
        first, account.found = account.found, account.found + len(texts)
        return Pieces(texts, range(first, account.found))

    def _texts(self, text: bytes, account: ObjectAccount) -> list[bytes]:
        """Every record's own bytes, of every list in the text. Notes in the account when the text ends inside a list,
        or holds something else besides."""
        if not is_dense(text) and self._times_named(text) < 2:
            try:
                return [bytes(raw) for raw in self._parse_raw(text)]
            except UNFORESEEN:
                pass
        # No list of the documents is kept: `[][][]` has more of them than there is memory for.
        lists = sum(1 for span in split_documents(text) for _start in self._list_starts(span.of(text)))
        if lists == 0 and not any(self._is_record(span.of(text)) for span in split_documents(text)):
            self._check_no_list(text, account)
            return []
        cuttings = Cuttings(account)
        strays = list_end = 0
        for span in split_documents(text):
            starts = list(self._list_starts(span.of(text)))
            if len(starts) > 1 and MANY_LISTS not in account.notes:
                account.notes += (MANY_LISTS,)
            for start in starts:
                # A record with a bracket too many seems to end its document: one list alone is followed to its end.
                own = text[span.start :] if lists == 1 else span.of(text)
                last: Span | None = None
                for last in split_elements(own, start):
                    cuttings.add(last.of(own))
                list_end = span.start + own.find(b"]", last.end if last else start)
                if not span.is_whole or (last and not last.is_whole):
                    account.damage = account.damage or Damage("the text ends before the list of records does", 0.0)
            if not starts and span.start >= list_end:
                if self._is_record(span.of(text)):
                    cuttings.add(span.of(text))
                else:
                    strays += len(span.of(text).strip(b"]}"))
        if strays:
            account.damage = account.damage or Damage("text that is no list of records", strays / len(text))
        return cuttings.texts

    def _list_starts(self, document: bytes) -> Iterator[int]:
        """Where the lists of records begin in a document: an array, or the member of an object."""
        if document.startswith(b"["):
            return iter((0,))
        times = self._times_named(document)
        return islice(arrays_of_member(document, self.member.encode()), times) if times else iter(())

    def _times_named(self, text: bytes) -> int:
        """How often a text may have the member, in whatever case, with or without escapes."""
        if ESCAPE in text:
            return sum(1 for _found in self._spelled.finditer(text))
        return text.lower().count(self._mark.lower())

    def _is_record(self, document: bytes) -> bool:
        try:
            members = _parse_members(document)
        except UNFORESEEN:
            return False
        return self._sign in members and members.get(self.member, _NULL) == _NULL

    def _check_no_list(self, text: bytes, account: ObjectAccount) -> None:
        """A file without records is noted; anything else that holds no list is an ObjectError."""
        text = text.lstrip(b" \t\r\n\xef\xbb\xbf")
        if text and not _has_no_member(text, self.member):
            expected = f'{{"{self.member}": [...]}}'
            raise ObjectError(f"not a log of records: expected {expected}, got {quote(text[:40], 48)}")
        account.notes += (f"no {self.member} array",)


def _has_no_member(text: bytes, member: str) -> bool:
    """Whether the text is a JSON object without the member: a file without records, not a foreign one."""
    try:
        document = msgspec.json.decode(text)
    except UNFORESEEN:
        return False
    return isinstance(document, dict) and document.get(member) is None


# Looks into a document that may be a wrapper: the records in it, counted in the account; None where it is none.
Unwrap = Callable[[bytes, ObjectAccount], Pieces | None]


# What the values of a text of this size take in memory is not worth a look.
SMALL_BYTES = 1 << 16


class _AnyObject(msgspec.Struct, gc=False):
    """A JSON object, whatever is in it."""


class Documents(Framing):
    """JSON objects back to back: one alone, one a line, concatenated, pretty-printed. `unwrapper` makes, for what is
    wanted, what looks into each document first."""

    is_one_member = False
    member = None

    def __init__(self, unwrapper: Callable[[Wanted], Unwrap] | None = None) -> None:
        self._unwrapper = unwrapper
        self._parse_raw = self.parser(msgspec.Raw)
        self._parse_objects = self.parser(_AnyObject)

    def parser(self, item: Any) -> Callable[[bytes], list[Any]]:
        # It reads on over the ends of lines: pretty-printed and concatenated objects are well-formed too.
        return msgspec.json.Decoder(item).decode_lines

    def is_file(self, text: bytes) -> bool:
        try:
            self._parse_objects(text)
        except UNFORESEEN:
            return False
        return True

    def splitter(self, wanted: Wanted) -> Splitter:
        return partial(self._split, self._unwrapper(wanted) if self._unwrapper else None)

    def _split(self, unwrap: Unwrap | None, text: bytes, account: ObjectAccount) -> Pieces:
        documents = self._texts(text, account)
        if documents and account.found == 0 and not any(one.startswith(b"{") for one in documents):
            raise ObjectError(f"not a log of records: expected JSON objects, got {_first_of(documents)}")
        texts: list[bytes] = []
        ordinals: list[int] = []
        for document in documents:
            inside = unwrap(document, account) if unwrap else None
            if inside is None:
                inside = Pieces([document], [account.found])
                account.found += 1
            texts += inside.texts
            ordinals += inside.ordinals
            if account.error is not None:
                break
        return _objects_of(zip(texts, ordinals, strict=True), account)

    def _parse_few(self, text: bytes) -> None:
        """UNFORESEEN for a text that is not well-formed, and for one of values that may be so many, and so small, that
        a list of them would take many times its memory."""
        if text.count(b"{") * DENSE_BYTES > len(text):
            raise msgspec.ValidationError("many small objects")
        self._parse_objects(text)

    def _texts(self, text: bytes, account: ObjectAccount) -> list[bytes]:
        """Every document's own bytes; what is none is a text of its own. Notes in the account when the last one is
        cut off."""
        try:
            if len(text) > SMALL_BYTES:
                self._parse_few(text)
            return [bytes(raw) for raw in self._parse_raw(text)]
        except UNFORESEEN:
            pass
        cuttings = Cuttings(account)
        span: Span | None = None
        for span in split_lines(text):
            cuttings.add(span.of(text).rstrip(b" \t\r\n"))
        if span is not None and not span.is_whole:
            account.damage = account.damage or Damage("the text ends inside a document", 0.0)
        return cuttings.texts


def _objects_of(found: Iterable[tuple[bytes, int]], account: ObjectAccount) -> Pieces:
    """The pieces that begin a JSON object; the others are rejects. Never with a piece's own words: they may be what
    somebody typed, or a part of it."""
    texts: list[bytes] = []
    ordinals: list[int] = []
    for text, ordinal in found:
        if text.lstrip().startswith(b"{"):
            texts.append(text)
            ordinals.append(ordinal)
        else:
            error = RecordError("$", "a JSON object", f"{len(text)} bytes that are none")
            account.reject(Reject.of(ordinal, error, text))
    return Pieces(texts, ordinals)


def _first_of(documents: Sequence[bytes]) -> str:
    """What a text begins with, by its first character alone."""
    return f"{sum(map(len, documents))} bytes that begin with {quote(documents[0][:1])}"
