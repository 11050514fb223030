"""Mutants of real objects: bits flipped, bytes cut and put in, objects spliced, JSON broken and JSON turned around.

A mutant is made from a seed and its number alone, so that it can be made again. Three levels: the stored bytes, the
inflated text, the JSON values; what was mutated inside is packed again, mostly as it was.
"""

from __future__ import annotations

import gzip
import json
import random
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loglake_dagster.demo import FOLDERS, SAMPLE
from loglake_dagster.lake.controls import Controls, Rule
from loglake_dagster.lake.source import Source, Wanted
from loglake_dagster.sources import SOURCES
from loglake_dagster_tests.kernels.shapes import Pairs, text_of

GOLDEN = Path(__file__).parents[1] / "golden"
TOKENS = (b",", b'"', b"{", b"}", b"[", b"]", b":", b"\\", b"null", b" ", b"\n", b"\0", b"\x1f\x8b\x08", b"}{", b'""')
NASTY = (
    b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\\ud800", b"\\u0000", b"\\x41", b"\xef\xbb\xbf",
    b"\x1b]0;x\x07", b"1e400", b"-0", b"01", b"NaN", b"18446744073709551616", b"[" * 3000, b'{"a":' * 3000,
    b"\xe2\x80\xae", b"//", b"/**/",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**63, 2**64, 10**30, 1.5, 1e300, float("inf"), float("nan"), 9.2e18, [], {}, [[]], [{}],
    {"": ""}, "", "null", "a" * 5000, "\x00", "\u202e\u0000\ud800", "<script>alert(1)</script>", "\u0660",
    "'; DROP TABLE sessions; --", "2026-03-02T01:02:03Z", "2026-03-02T24:00:00Z", "2026-02-30T00:00:00Z",
    "1969-12-31T23:59:59Z", "2026-03-02T01:02:03+14:59", "9999-12-31T23:59:59.999999Z", "20260302T010203Z",
    1688991667498, "1688991667498", -1688991667498,
)  # fmt: skip
KEPT = Controls(event_names=Rule(deny=("Describe*", "Get*")), log_groups=Rule(allow=("*",), deny=("/aws/lambda/*",)))
WANTED = (
    Wanted(),
    Wanted(log_groups={"session": ("/aws/ssm/*",)}),
    Wanted(log_groups={"session": ("*",)}),
    Wanted(KEPT),
)


@dataclass(frozen=True)
class Mutant:
    """An object's bytes, the source that is to read them, what of them is wanted, and how they were made."""

    source: Source
    data: bytes
    wanted: Wanted
    recipe: str


def samples(source: Source) -> list[bytes]:
    """A source's real objects: those of the sample day, and its golden ones."""
    landing = SAMPLE / "landing" / FOLDERS.get(source.name, source.name)
    files = [*landing.rglob("*"), *(GOLDEN / source.name).glob("*.in.*")]
    return [path.read_bytes() for path in sorted(files) if path.is_file()]


class Mutator:
    """Makes mutants of all sources' samples."""

    def __init__(self, sources: Sequence[Source] = SOURCES) -> None:
        self._samples = {source.name: samples(source) for source in sources}
        self._sources = sources
        for name, found in self._samples.items():
            if not found:
                raise LookupError(f"{name}: no sample to mutate in {SAMPLE / 'landing'} or {GOLDEN / name}")

    def mutant(self, seed: int, number: int) -> Mutant:
        """The mutant of that number; numbers go round the sources."""
        draw = random.Random(f"{seed}/{number}")
        source = self._sources[number % len(self._sources)]
        known = self._samples[source.name]
        # Of two the smaller: a large object finds what a small one does, and takes a hundred times as long.
        data, steps = min(draw.choice(known), draw.choice(known), key=len), []
        for _step in range(draw.choice((1, 1, 1, 2, 3))):
            level = draw.choice((_packed, _text, _text, _json, _json))
            data, name = level(draw, data, draw.choice(known))
            steps.append(name)
        return Mutant(source, data, draw.choice(WANTED), " ".join(steps))


def _packed(draw: random.Random, data: bytes, other: bytes) -> tuple[bytes, str]:
    """The stored bytes themselves: mutations of any bytes."""
    change = draw.choice(BYTES)
    return change(draw, data, other), f"packed:{change.__name__}"


def _text(draw: random.Random, data: bytes, other: bytes) -> tuple[bytes, str]:
    change = draw.choice((*BYTES, *(_break_syntax,) * 3, _put_nasty, *(_escape,) * 3))
    return _pack(draw, change(draw, _unpack(data), _unpack(other))), f"text:{change.__name__}"


def _json(draw: random.Random, data: bytes, other: bytes) -> tuple[bytes, str]:
    """Documents as values. A text that is no JSON any more is broken further instead."""
    try:
        documents, others = _documents(_unpack(data)), _documents(_unpack(other))
    except (ValueError, RecursionError):
        return _text(draw, data, other)
    change = draw.choice(TREES)
    change(draw, documents, others)
    separator = draw.choice(("", "", "", "\n", ",", " \0"))
    try:
        text = separator.join(map(text_of, documents)).encode("utf-8", "surrogatepass")
    except RecursionError:
        return _text(draw, data, other)
    return _pack(draw, text), f"json:{change.__name__}"


# -- bytes ----------------------------------------------------------------------------------------------


def _flip_bits(draw: random.Random, data: bytes, _other: bytes) -> bytes:
    out = bytearray(data or b"\0")
    for _flip in range(draw.choice((1, 1, 1, 2, 8, 64))):
        out[draw.randrange(len(out))] ^= 1 << draw.randrange(8)
    return bytes(out)


def _cut(draw: random.Random, data: bytes, _other: bytes) -> bytes:
    start, end = _stretch(draw, data)
    return draw.choice((data[:start], data[:start], data[start:], data[:start] + data[end:]))


def _double(draw: random.Random, data: bytes, _other: bytes) -> bytes:
    start, end = _stretch(draw, data)
    return data[:end] + data[start:end] * draw.choice((1, 1, 2, 20)) + data[end:]


def _blank(draw: random.Random, data: bytes, _other: bytes) -> bytes:
    start, end = _stretch(draw, data)
    return data[:start] + draw.choice((b"\0", b" ", b"\xff", b"\n")) * (end - start) + data[end:]


def _put_bytes(draw: random.Random, data: bytes, _other: bytes) -> bytes:
    start, _end = _stretch(draw, data)
    return data[:start] + draw.randbytes(draw.choice((1, 2, 16, 300))) + data[start:]


def _splice(draw: random.Random, data: bytes, other: bytes) -> bytes:
    return data[: _stretch(draw, data)[0]] + other[_stretch(draw, other)[0] :]


def _append(draw: random.Random, data: bytes, other: bytes) -> bytes:
    return data + draw.choice((b"", b"", b"\n", b"\r\n", b"\0" * 10, b" ", b",", b"x")) + other


def _turn(draw: random.Random, data: bytes, _other: bytes) -> bytes:
    """Two neighbouring stretches change places."""
    a, b, c = sorted(draw.randrange(len(data) + 1) for _cut in range(3))
    return data[:a] + data[b:c] + data[a:b] + data[c:]


def _break_syntax(draw: random.Random, data: bytes, _other: bytes) -> bytes:
    """One of JSON's own signs is taken away, put in, doubled or put in another's place."""
    sign, start = draw.choice(TOKENS[:8]), draw.randrange(len(data) + 1)
    found = data.find(sign, start)
    place, end = (found, found + len(sign)) if found >= 0 else (start, start)
    return data[:place] + draw.choice((b"", b"", sign * 2, draw.choice(TOKENS))) + data[end:]


def _put_nasty(draw: random.Random, data: bytes, _other: bytes) -> bytes:
    place = draw.randrange(len(data) + 1)
    if draw.random() < 0.7 and (found := data.find(b'":', place)) >= 0:
        place = found + draw.choice((0, 2, 3))
    return data[:place] + draw.choice(NASTY) + data[place:]


def _escape(draw: random.Random, data: bytes, _other: bytes) -> bytes:
    """A letter of a name is written as JSON's escapes have it."""
    start = data.find(b',"', draw.randrange(len(data) + 1)) + 2
    end = data.find(b'"', start)
    if start < 2 or end <= start:
        return data
    place = draw.randrange(start, end)
    return data[:place] + b"\\u%04x" % data[place] + data[place + 1 :]


def _stretch(draw: random.Random, data: bytes) -> tuple[int, int]:
    start = draw.randrange(len(data) + 1)
    return start, min(len(data), start + draw.choice((1, 4, 50, 1000, len(data))))


Change = Callable[[random.Random, bytes, bytes], bytes]
BYTES: tuple[Change, ...] = (_flip_bits, _cut, _double, _blank, _put_bytes, _splice, _append, _turn)


# -- values ---------------------------------------------------------------------------------------------


@dataclass
class _Slot:
    """A place in a document: a list and an index of it; in a Pairs that is a (name, value)."""

    inside: list[Any]
    index: int

    @property
    def value(self) -> Any:
        found = self.inside[self.index]
        return found[1] if isinstance(self.inside, Pairs) else found

    @value.setter
    def value(self, new: Any) -> None:
        self.inside[self.index] = (self.inside[self.index][0], new) if isinstance(self.inside, Pairs) else new


def _slots(value: Any, depth: int = 0) -> list[_Slot]:
    found = []
    if isinstance(value, list) and depth < 200:
        for index in range(len(value)):
            slot = _Slot(value, index)
            found += [slot, *_slots(slot.value, depth + 1)]
    return found


def _replace_value(draw: random.Random, documents: list[Any], _others: list[Any]) -> None:
    _any(draw, documents).value = _tree(draw.choice(VALUES))


def _swap_values(draw: random.Random, documents: list[Any], others: list[Any]) -> None:
    one, other = _any(draw, documents), _any(draw, others)
    one.value, other.value = other.value, one.value


def _double_member(draw: random.Random, documents: list[Any], others: list[Any]) -> None:
    """A member or element comes twice, sometimes with another value or in another case."""
    slot = _any(draw, documents)
    twin = slot.inside[slot.index]
    if isinstance(slot.inside, Pairs):
        name, value = twin
        value = draw.choice((value, _tree(draw.choice(VALUES)), _any(draw, others).value))
        twin = (draw.choice((name, name, name.upper(), name.lower(), name.swapcase())), value)
    slot.inside.insert(draw.randrange(len(slot.inside) + 1), twin)


def _drop(draw: random.Random, documents: list[Any], _others: list[Any]) -> None:
    slot = _any(draw, documents)
    del slot.inside[slot.index]


def _rename(draw: random.Random, documents: list[Any], others: list[Any]) -> None:
    slot = _any(draw, documents)
    if isinstance(slot.inside, Pairs):
        name, value = slot.inside[slot.index]
        names = [other.inside[other.index][0] for other in _slots(others) if isinstance(other.inside, Pairs)]
        new = draw.choice((name.upper(), name.lower(), f"{name}.x", f"{name},{name}=null", "", "\u0130", *names[:20]))
        slot.inside[slot.index] = (new, value)


def _shuffle(draw: random.Random, documents: list[Any], _others: list[Any]) -> None:
    """Members or elements of one place in another order."""
    draw.shuffle(_any(draw, documents).inside)


def _mend_message(draw: random.Random, documents: list[Any], others: list[Any]) -> None:
    """A text that is JSON itself (the agent's messages) is mutated inside."""
    slots = [slot for slot in _slots(documents) if isinstance(slot.value, str) and slot.value.startswith("{")]
    if not slots:
        return _replace_value(draw, documents, others)
    slot = draw.choice(slots)
    try:
        inner = [json.loads(slot.value, object_pairs_hook=Pairs)]
    except (ValueError, RecursionError):
        return _replace_value(draw, documents, others)
    draw.choice((_replace_value, _double_member, _drop, _rename, _swap_values))(draw, inner, others)
    slot.value = text_of(inner[0]) if inner else ""
    return None


def _deepen(draw: random.Random, documents: list[Any], _others: list[Any]) -> None:
    slot = _any(draw, documents)
    for _level in range(draw.choice((1, 2, 60, 300))):
        slot.value = draw.choice(([slot.value], Pairs([("a", slot.value)])))


TREES = (_replace_value, _swap_values, _double_member, _drop, _rename, _shuffle, _mend_message, _deepen)


def _any(draw: random.Random, documents: list[Any]) -> _Slot:
    """Any place; outer ones more often than their share."""
    slots = _slots(documents)
    if not slots:
        documents.append(None)
        return _Slot(documents, 0)
    return draw.choice(slots if draw.random() < 0.7 else slots[: max(1, len(slots) // 20)])


def _tree(value: Any) -> Any:
    """A value of VALUES in the form that mutations know: objects as Pairs, nothing shared."""
    if isinstance(value, dict):
        return Pairs((name, _tree(one)) for name, one in value.items())
    return [_tree(one) for one in value] if isinstance(value, list) else value


# -- packing --------------------------------------------------------------------------------------------


def _documents(text: bytes) -> list[Any]:
    """The JSON values of a text, objects as Pairs; ValueError if it is anything else."""
    found, position, whole = [], 0, text.decode()
    decode = json.JSONDecoder(object_pairs_hook=Pairs).raw_decode
    while position < len(whole):
        if whole[position] in " \r\n\t,\0":
            position += 1
            continue
        value, position = decode(whole, position)
        found.append(value)
    return found


def _unpack(data: bytes) -> bytes:
    """What an object inflates to, as far as plain zlib gets; other bytes as they are."""
    out = []
    while data.startswith(b"\x1f\x8b"):
        member = zlib.decompressobj(31)
        try:
            out.append(member.decompress(data, 1 << 24))
        except zlib.error:
            break
        data = member.unused_data
    return b"".join(out) or data


def _pack(draw: random.Random, text: bytes) -> bytes:
    """Mostly one gzip member; also plain, two members, gzip in gzip."""
    how = draw.randrange(10)
    if how == 0:
        return text
    if how == 1:
        middle = draw.randrange(len(text) + 1)
        return gzip.compress(text[:middle], 1, mtime=0) + gzip.compress(text[middle:], 1, mtime=0)
    packed = gzip.compress(text, 1, mtime=0)
    return gzip.compress(packed, 1, mtime=0) if how == 2 else packed
