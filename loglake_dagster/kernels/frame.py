"""Where one JSON value ends and the next begins, without trusting what is inside them.

The fast path never comes here: msgspec takes a whole well-formed object. These splitters serve the rest: documents
back to back with or without anything between (docs/formats.md 4.2), an array with one malformed record, a text that
was cut off. They look at quotes and brackets only, so that a record that is wrong inside costs itself and not its
neighbours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import msgspec

# An unterminated string is one token to the end of the text, even where that cuts an escape in two: rescanning from
# each quote inside would be quadratic.
_STRING = rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)'
_TOKEN = re.compile(_STRING + rb"|[{}\[\],:]", re.DOTALL)
# What stands before a bracket, and it. To be matched and not searched: where no bracket is left, a search would look
# again from every byte.
_TO_BRACKET = re.compile(rb'(?:[^"{}\[\]]++|' + _STRING + rb")*+[{}\[\]]", re.DOTALL)
_OBJECT_LINE = re.compile(rb"\n(?=\{)")
_LINE_END_OR_OPEN = re.compile(rb"[\n{]")
DENSE_BYTES = 16
# What every escape of a letter of ASCII begins with.
ESCAPE = rb"\u00"
_SPACE = b" \t\r\n\0"
_SEPARATORS = _SPACE + b",\xef\xbb\xbf"
_parse_any = msgspec.json.Decoder(msgspec.Raw).decode
_OPEN, _CLOSE = frozenset(b"{["), frozenset(b"}]")


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a text. `is_whole` is False when the text ended before the value did."""

    start: int
    end: int
    is_whole: bool = True

    def of(self, text: bytes) -> bytes:
        return text[self.start : self.end]


def split_documents(text: bytes, start: int = 0) -> Iterator[Span]:
    """The values of a text that holds them back to back: `{..}{..}`, one a line, commas or NULs between.

    What stands between two bracketed values and is neither space nor comma is a span of its own, a line each: the
    caller says that it is not a document. Linear time.
    """
    position = _skip(text, start, _SEPARATORS)
    while position < len(text):
        if text[position] in _OPEN:
            end = _value_end(text, position)
            yield Span(position, len(text) if end is None else end, end is not None)
            position = len(text) if end is None else end
        else:
            end = _bare_end(text, position)
            yield Span(position, end)
            position = end
        position = _skip(text, position, _SEPARATORS)


def is_dense(text: bytes) -> bool:
    """Whether a text may hold so many values, and so small ones, that a list of them all would take many times its
    memory: real records have a comma every thirty bytes."""
    return text.count(b",") * DENSE_BYTES > len(text)


def split_lines(text: bytes) -> Iterator[Span]:
    """The values that `split_documents` gives, for documents that begin lines of their own: one that is no sound JSON
    ends, at the latest, where a line begins with `{`. A bracket or a quote too few then costs its document and not the
    next ones. Linear time: after a broken value the reading goes on at its last line."""
    position: int | None = 0
    while position is not None:
        begin, position = position, None
        for span in split_documents(text, begin):
            if _OBJECT_LINE.search(text, span.start, span.end) is None or _is_sound(span.of(text)):
                yield span
                continue
            start = span.start
            for found in _OBJECT_LINE.finditer(text, span.start, span.end):
                line = text[start : found.end()]
                yield from (Span(start + s.start, start + s.end, s.is_whole) for s in split_documents(line))
                start = found.end()
            position = start
            break


def split_elements(text: bytes, start: int) -> Iterator[Span]:
    """The elements of the array whose `[` is at `start`, stripped of space. The last one is not whole when the
    text ends before the array does. A `}` too many belongs to its element: only a `]` ends the array."""
    depth, begin = 0, start + 1
    for token in _TOKEN.finditer(text, start):
        mark = text[token.start()]
        if mark in _OPEN:
            depth += 1
        elif mark in _CLOSE and (depth > 1 or mark == 0x5D):
            depth -= 1
        if (mark == 0x2C and depth == 1) or depth == 0:
            span = _stripped(text, begin, token.start())
            if span is not None:
                yield span
            begin = token.end()
            if depth == 0:
                return
    span = _stripped(text, begin, len(text))
    if span is not None:
        yield Span(span.start, span.end, is_whole=False)


def arrays_of_member(text: bytes, name: bytes) -> Iterator[int]:
    """Where the `[` of each array under a name of the outermost object stands, however the name is spelled."""
    named = spelled(name)
    depth, key_end, key = 0, -1, b""
    for token in _TOKEN.finditer(text):
        mark = text[token.start()]
        if mark == 0x22 and depth == 1:
            key, key_end = token.group(), token.end()
        elif mark == 0x5B and depth == 1 and named.fullmatch(key) and text[key_end : token.start()].strip() == b":":
            yield token.start()
        if mark in _OPEN:
            depth += 1
        elif mark in _CLOSE:
            depth -= 1


@cache
def spelled(name: bytes, in_any_case: bool = True) -> re.Pattern[bytes]:
    """What a JSON text may have for a name of letters of ASCII: in quotes, with any of it escaped."""
    others = name.swapcase() if in_any_case else name
    letters = (rb"(?:%c|%c|\\u00(?i:%02x|%02x))" % (*pair, *pair) for pair in zip(name, others, strict=True))
    return re.compile(b'"' + b"".join(letters) + b'"')


def _is_sound(text: bytes) -> bool:
    """Whether the text is one JSON value, well-formed all through."""
    try:
        _parse_any(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _value_end(text: bytes, start: int) -> int | None:
    depth, position = 0, start
    while found := _TO_BRACKET.match(text, position):
        position = found.end()
        if text[position - 1] in _OPEN:
            depth += 1
        else:
            depth -= 1
            if depth == 0:
                return position
    return None


def _bare_end(text: bytes, start: int) -> int:
    """End of a stretch that opens no bracket: the end of its line, or the bracket that follows."""
    found = _LINE_END_OR_OPEN.search(text, start)
    return found.start() if found else len(text)


def _skip(text: bytes, position: int, among: bytes) -> int:
    while position < len(text) and text[position] in among:
        position += 1
    return position


def _stripped(text: bytes, start: int, end: int) -> Span | None:
    while start < end and text[start] in _SPACE:
        start += 1
    while end > start and text[end - 1] in _SPACE:
        end -= 1
    return Span(start, end) if end > start else None
