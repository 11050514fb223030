"""Gzip as it really arrives: members back to back, white space between them, members inside members, cut ends.

docs/formats.md 1.3 and 4.2 say what occurs. Python's gzip raises on a newline between members, zlib.decompress returns
the first member alone; the member loop here copes with all, in bounded memory and linear time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from isal import igzip_lib, isal_zlib

from loglake_dagster.errors import ObjectError
from loglake_dagster.lake.source import Damage

MAGIC = b"\x1f\x8b"
MEMBER_START = b"\x1f\x8b\x08"
MAX_LAYERS = 3
# Deflate makes at most 258 bytes of two bits.
MOST_OF_A_BYTE = 1032
IsalError: Any = igzip_lib.IsalError
_BETWEEN_MEMBERS = b"\n\r\0 \t"
_PIECE = 1 << 16
# After a bad member the first piece of each is short, and each next one twice as long: what a bad one costs is then in
# proportion to what was sound of it.
_FIRST_PIECE = 32
# How many times its own bytes an object's bad members may be fed. Each real one costs itself about twice; made ones,
# that all go wrong at one late place, would cost the square of their number.
BAD_SHARE = 8


@dataclass(slots=True)
class Inflated:
    """`texts` are the inflated members in order (a plain object is one text). `members` counts gzip members of the
    outer layer. `damage` says what was cut off or corrupt; what came before a cut is in `texts`, a member whose
    checksum or coding is wrong is not, because none of its bytes can be trusted."""

    texts: list[bytes] = field(default_factory=list)
    members: int = 0
    damage: Damage | None = None

    @property
    def is_one_text(self) -> bool:
        """Whether it is a single sound member, as nearly every object is."""
        return self.members == 1 and len(self.texts) == 1 and self.damage is None


def inflate(data: bytes, limit_bytes: int) -> Inflated:
    """Inflates an object, whatever its suffix says. ObjectError if it is empty, holds nothing readable, or would
    inflate to more than `limit_bytes` in all its layers together."""
    if not data:
        raise ObjectError("empty object (0 bytes)")
    text = _one_member(data, limit_bytes)
    if text is not None:
        return Inflated([text], 1)
    result = Inflated()
    _inflate_layer(data, limit_bytes, result, 1)
    if result.damage is not None and not result.texts:
        raise ObjectError(result.damage.reason)
    return result


def _one_member(data: bytes, limit_bytes: int) -> bytes | None:
    """The text of an object that is one sound member and nothing else, as nearly all are; None for any other, which is
    then read with care from its start."""
    if not data.startswith(MAGIC):
        return None
    member = igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_GZIP)
    # A member ends with its size: room that fits need not be made larger again and again, a tenth of the time. Where it
    # is another's size, this is no sound member alone.
    said = int.from_bytes(data[-4:], "little")
    try:
        text: bytes = member.decompress(data, min(said, limit_bytes, MOST_OF_A_BYTE * len(data)) + 1)
    except IsalError:
        return None
    is_one = member.eof and not member.unused_data and 0 < len(text) <= limit_bytes
    return text if is_one and not text.startswith(MAGIC) else None


def _inflate_layer(data: bytes, budget: int, result: Inflated, layer: int) -> int:
    """Appends what one layer holds to `result.texts`; returns what is left of the budget in bytes."""
    if not data.startswith(MAGIC):
        result.texts.append(data)
        return budget
    if layer > MAX_LAYERS:
        raise ObjectError(f"gzip inside gzip, more than {MAX_LAYERS} layers")
    lost = 0
    reason = ""
    bad_fed, bad_inflated, allowed = 0, 0, budget
    view = memoryview(data)
    position = 0
    while position < len(data):
        if data[position] in _BETWEEN_MEMBERS:
            position += 1
            continue
        if data[position : position + 2] != MAGIC:
            reason, lost = reason or "bytes that are not gzip after a member", lost + len(data) - position
            break
        read = _inflate_member(view[position:], budget, _FIRST_PIECE if reason else _PIECE)
        if read.problem:
            bad_fed, bad_inflated = bad_fed + read.used, bad_inflated + read.inflated
            is_spent = bad_fed > BAD_SHARE * len(data) or bad_inflated > allowed
            end = len(data) if is_spent else _resume_at(data, position, read.problem)
            reason, lost = reason or read.problem, lost + (0 if read.text else end - position)
            position = end
        else:
            position += read.used
        if layer == 1:
            result.members += 1
        if read.text:
            budget = _inflate_layer(read.text, budget - len(read.text), result, layer + 1)
    if reason and (result.damage is None or layer == 1):
        result.damage = Damage(reason, lost / len(data))
    return budget


def _resume_at(data: bytes, position: int, problem: str) -> int:
    """Where to go on after a bad member: at the next byte that can start one, else at the end."""
    found = -1 if problem == TRUNCATED else data.find(MEMBER_START, position + len(MAGIC))
    return len(data) if found < 0 else found


TRUNCATED = "truncated gzip"


@dataclass(frozen=True, slots=True)
class _Member:
    """What reading a member gave: its text, how many bytes of it were used (for a bad one: fed) and inflated, and what
    was wrong, "" for a whole one."""

    text: bytes
    used: int
    inflated: int
    problem: str


def _inflate_member(view: memoryview, budget: int, piece_bytes: int) -> _Member:
    """The member at the start of `view`.

    Fed in pieces, so that the unused rest that zlib hands back is never longer than a piece: with many small members
    the plain `unused_data` loop copies the whole tail for each of them.
    """
    member = isal_zlib.decompressobj(31)
    out: list[bytes] = []
    size = fed = 0
    try:
        while not member.eof and fed < len(view):
            piece = view[fed : fed + piece_bytes]
            fed, piece_bytes = fed + len(piece), min(2 * piece_bytes, _PIECE)
            text = member.decompress(piece, budget - size + 1)
            size += len(text)
            out.append(text)
            if size > budget or member.unconsumed_tail:
                raise ObjectError("inflates to more than the limit (max_object_bytes)", limit=budget)
    except IsalError as error:
        return _Member(b"", fed, size, f"corrupt gzip ({_plain(error)})")
    if not member.eof:
        return _Member(b"".join(out), fed, size, TRUNCATED)
    return _Member(b"".join(out), fed - len(member.unused_data), size, "")


def _plain(error: Exception) -> str:
    """The library's words without its number."""
    words = str(error).removeprefix("Error ").lstrip("-0123456789 ")
    return words.lower() or "bad data"
