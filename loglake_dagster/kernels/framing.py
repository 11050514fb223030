"""How records stand in an object's text: in the list of an envelope, or as documents of their own.

A framing parses a whole well-formed text, and cuts any other text into its records' own bytes, so that a record that
is wrong costs itself. What the records mean is the decoder's (records.py); where a JSON value ends is frame.py's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import msgspec

from loglake_dagster.errors import ObjectError, RecordError, quote
from loglake_dagster.kernels.frame import array_of_member, split_documents, split_elements, split_lines
from loglake_dagster.lake.source import Damage, ObjectAccount, Reject, Wanted

# What msgspec raises for a text that is not as foreseen.
UNFORESEEN = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)
_NULL = msgspec.Raw(b"null")
_parse_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


@dataclass(slots=True)
class Pieces:
    """Records cut out of a text: their own bytes, and their places in the object counted over every record."""

    texts: Sequence[bytes] = field(default_factory=list)
    ordinals: Sequence[int] = field(default_factory=list)


# Cuts a text. What it finds is counted in the account: also records that it filters or rejects, which are no pieces.
Splitter = Callable[[bytes, ObjectAccount], Pieces]


class Framing(Protocol):
    """A way in which records stand in a text. `is_one_member` says that an object is one gzip member, always: a second
    one is then worth a note."""

    is_one_member: bool

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
        self._member, self._sign = member, sign
        self._parse_raw = self.parser(msgspec.Raw)

    def parser(self, item: Any) -> Callable[[bytes], list[Any]]:
        member = self._member
        decode = msgspec.json.Decoder(msgspec.defstruct("Envelope", [(member, list[item])])).decode
        return lambda text: getattr(decode(text), member)

    def is_file(self, text: bytes) -> bool:
        try:
            self._parse_raw(text)
        except UNFORESEEN:
            return _has_no_member(text, self._member)
        return True

    def splitter(self, wanted: Wanted) -> Splitter:
        return self._split

    def _split(self, text: bytes, account: ObjectAccount) -> Pieces:
        texts = self._texts(text, account)
        first, account.found = account.found, account.found + len(texts)
        return Pieces(texts, range(first, account.found))

    def _texts(self, text: bytes, account: ObjectAccount) -> list[bytes]:
        """Every record's own bytes, of every list in the text. Notes in the account when the text ends inside a list,
        or holds something else besides."""
        try:
            return [bytes(raw) for raw in self._parse_raw(text)]
        except UNFORESEEN:
            pass
        documents = list(split_documents(text))
        starts = [self._list_start(span.of(text)) for span in documents]
        lists = len(starts) - starts.count(None)
        if lists == 0 and not any(self._is_record(span.of(text)) for span in documents):
            self._check_no_list(text, account)
            return []
        pieces: list[bytes] = []
        strays = list_end = 0
        for span, start in zip(documents, starts, strict=True):
            if start is None and span.start < list_end:
                continue
            if start is None:
                is_record = self._is_record(span.of(text))
                pieces += [span.of(text)] if is_record else []
                strays += 0 if is_record else len(span.of(text).strip(b"]}"))
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

    def _is_record(self, document: bytes) -> bool:
        try:
            members = _parse_members(document)
        except UNFORESEEN:
            return False
        return self._sign in members and members.get(self._member, _NULL) == _NULL

    def _check_no_list(self, text: bytes, account: ObjectAccount) -> None:
        """A file without records is noted; anything else that holds no list is an ObjectError."""
        text = text.lstrip(b" \t\r\n\xef\xbb\xbf")
        if text and not _has_no_member(text, self._member):
            expected = f'{{"{self._member}": [...]}}'
            raise ObjectError(f"not a log of records: expected {expected}, got {quote(text[:40], 48)}")
        account.notes += (f"no {self._member} array",)


def _has_no_member(text: bytes, member: str) -> bool:
    """Whether the text is a JSON object without the member: a file without records, not a foreign one."""
    try:
        document = msgspec.json.decode(text)
    except UNFORESEEN:
        return False
    return isinstance(document, dict) and document.get(member) is None


# Looks into a document that may be a wrapper: the records in it, counted in the account; None where it is none.
Unwrap = Callable[[bytes, ObjectAccount], Pieces | None]


class Documents(Framing):
    """JSON objects back to back: one alone, one a line, concatenated, pretty-printed. `unwrapper` makes, for what is
    wanted, what looks into each document first."""

    is_one_member = False

    def __init__(self, unwrapper: Callable[[Wanted], Unwrap] | None = None) -> None:
        self._unwrapper = unwrapper
        self._parse_raw = self.parser(msgspec.Raw)

    def parser(self, item: Any) -> Callable[[bytes], list[Any]]:
        # It reads on over the ends of lines: pretty-printed and concatenated objects are well-formed too.
        return msgspec.json.Decoder(item).decode_lines

    def is_file(self, text: bytes) -> bool:
        try:
            self._parse_raw(text)
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
        return _objects_of(zip(texts, ordinals, strict=True), account)

    def _texts(self, text: bytes, account: ObjectAccount) -> list[bytes]:
        """Every document's own bytes; what is none is a text of its own. Notes in the account when the last one is
        cut off."""
        try:
            return [bytes(raw) for raw in self._parse_raw(text)]
        except UNFORESEEN:
            pass
        spans = list(split_lines(text))
        if spans and not spans[-1].is_whole:
            account.damage = account.damage or Damage("the text ends inside a document", 0.0)
        return [span.of(text).rstrip() for span in spans]


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
            account.rejects.append(Reject.of(ordinal, error, text))
    return Pieces(texts, ordinals)


def _first_of(documents: Sequence[bytes]) -> str:
    """What a text begins with, by its first character alone."""
    return f"{sum(map(len, documents))} bytes that begin with {quote(documents[0][:1])}"
