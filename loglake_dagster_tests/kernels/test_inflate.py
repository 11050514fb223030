"""Gzip as it really arrives (docs/formats.md 1.3 and 4.2)."""

import gzip
import random
import time
import tracemalloc
import zlib
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isal import isal_zlib

from loglake_dagster.errors import ObjectError
from loglake_dagster.kernels import inflate as inflate_module
from loglake_dagster.kernels.inflate import BAD_SHARE, inflate
from loglake_dagster_tests.made import LIMIT, member

A, B, C = b'{"a":1}', b'{"b":2}', b'{"c":3}'
SLOW_SECONDS = 10.0  # what takes linear time is done in tenths of this, what takes quadratic time in tens of it


def noise(size, seed=1):
    """Bytes that no compressor makes smaller, so that a member's stored size is known."""
    return random.Random(seed).randbytes(size)


def flipped(data, place):
    """The bytes with one of them changed."""
    return data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]


@pytest.mark.parametrize(
    ("data", "texts", "members"),
    [
        pytest.param(member(A), [A], 1, id="one member"),
        pytest.param(member(A) + member(B) + member(C), [A, B, C], 3, id="members back to back"),
        pytest.param(member(A) + b"\n" + member(B) + b"\n", [A, B], 2, id="newline after each member"),
        pytest.param(member(A) + b"\r\n" + member(B), [A, B], 2, id="carriage return and newline"),
        pytest.param(member(A) + b"\0" * 512 + member(B) + b"\0" * 512, [A, B], 2, id="NUL padding"),
        pytest.param(member(A) + b" \t" + member(B), [A, B], 2, id="blanks"),
        pytest.param(member(member(A)), [A], 1, id="gzip in gzip"),
        pytest.param(member(member(A) + member(B)), [A, B], 1, id="members in one member"),
        pytest.param(member(member(A) + b"\n" + member(B)) + member(C), [A, B, C], 2, id="one double, one single"),
        pytest.param(member(member(member(A))), [A], 1, id="three layers"),
        pytest.param(A, [A], 0, id="plain text"),
        pytest.param(b"\x1e" + A, [b"\x1e" + A], 0, id="plain bytes that are not gzip"),
        pytest.param(member(A) + member(b"") + member(B), [A, B], 3, id="an empty member between"),
        pytest.param(member(b""), [], 1, id="an empty member alone"),
        pytest.param(gzip.compress(A, 0) + gzip.compress(B, 9), [A, B], 2, id="stored and packed"),
    ],
)
def test_sound_objects_give_their_texts_in_order(data, texts, members):
    result = inflate(data, LIMIT)
    assert result.texts == texts
    assert result.members == members
    assert result.damage is None


def test_a_member_with_a_file_name_a_comment_and_a_header_checksum_is_read():
    body = zlib.compressobj(wbits=-15)
    packed = body.compress(A) + body.flush()
    head = b"\x1f\x8b\x08" + bytes([2 | 4 | 8 | 16]) + b"\0" * 4 + b"\0\x03" + b"\x02\0xy" + b"name\0" + b"comment\0"
    head += (zlib.crc32(head) & 0xFFFF).to_bytes(2, "little")
    tail = zlib.crc32(A).to_bytes(4, "little") + len(A).to_bytes(4, "little")
    assert inflate(head + packed + tail + member(B), LIMIT).texts == [A, B]


@given(
    st.lists(st.binary(max_size=300).filter(lambda text: not text.startswith(b"\x1f\x8b")), min_size=1, max_size=8),
    st.sampled_from([b"", b"\n", b"\r\n", b"\0\0", b" \t"]),
    st.integers(0, 2),
)
def test_any_members_joined_by_any_space_in_any_layer_come_back(texts, between, layers):
    data = between.join(member(text) for text in texts)
    for _ in range(layers):
        data = member(data)
    result = inflate(data, LIMIT)
    assert result.texts == [text for text in texts if text]
    assert result.damage is None


def test_a_truncated_last_member_keeps_what_came_before_the_cut():
    text = noise(100_000)
    data = member(A) + member(text)
    result = inflate(data[:-30_000], LIMIT)
    assert result.texts[0] == A
    assert text.startswith(result.texts[1])
    assert len(result.texts[1]) > 60_000
    assert (result.damage.reason, result.damage.lost_share) == ("truncated gzip", 0.0)


def test_only_the_checksum_cut_off_loses_no_text_but_is_said():
    result = inflate((member(A) + member(B))[:-5], LIMIT)
    assert result.texts == [A, B]
    assert result.damage.reason == "truncated gzip"


def test_a_last_member_cut_inside_its_header_counts_as_lost():
    data = member(A) + member(B)[:6]
    result = inflate(data, LIMIT)
    assert result.texts == [A]
    assert result.damage.reason == "truncated gzip"
    assert result.damage.lost_share == pytest.approx(6 / len(data))


def test_a_truncated_member_inside_a_member_keeps_what_came_before_the_cut():
    result = inflate(member(member(A) + member(noise(50_000))[:-20_000]), LIMIT)
    assert result.texts[0] == A
    assert len(result.texts[1]) > 20_000
    assert result.damage.reason == "truncated gzip"


def test_a_corrupt_middle_member_costs_itself_and_not_its_neighbours():
    middle = member(noise(10_000))
    for place in range(12, 300, 7):
        result = inflate(member(A) + flipped(middle, place) + member(C), LIMIT)
        assert result.texts == [A, C]
        assert result.damage.reason.startswith("corrupt gzip (")
        assert result.damage.lost_share == pytest.approx(len(middle) / len(member(A) + middle + member(C)))


def test_a_wrong_checksum_costs_the_member_because_none_of_its_bytes_can_be_trusted():
    middle = member(B)
    result = inflate(member(A) + flipped(middle, len(middle) - 8) + member(C), LIMIT)
    assert result.texts == [A, C]
    assert result.damage.reason == "corrupt gzip (incorrect checksum found)"


def test_two_bad_members_are_both_counted_as_lost():
    bad = flipped(member(noise(1000)), 500)
    data = member(A) + bad + member(B) + bad + member(C)
    result = inflate(data, LIMIT)
    assert result.texts == [A, B, C]
    assert result.damage.lost_share == pytest.approx(2 * len(bad) / len(data))


def test_a_member_whose_start_is_overwritten_is_junk_after_the_one_before():
    data = member(A) + b"xx" + member(B)[2:]
    result = inflate(data, LIMIT)
    assert result.texts == [A]
    assert result.damage.reason == "bytes that are not gzip after a member"


def test_junk_after_the_last_member_is_said_and_sized():
    data = member(A) + member(B) + b"junk"
    result = inflate(data, LIMIT)
    assert result.texts == [A, B]
    assert result.damage.reason == "bytes that are not gzip after a member"
    assert result.damage.lost_share == pytest.approx(4 / len(data))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty object (0 bytes)"),
        (b"\x1f\x8b", "truncated gzip"),
        (member(A)[:9], "truncated gzip"),
        (b"\x1f\x8b" + b"junk" * 10, "corrupt gzip (gzip/zlib wrapper specifies unsupported compress method)"),
        (flipped(member(A), len(member(A)) - 8), "corrupt gzip (incorrect checksum found)"),
        (member(member(member(member(A)))), "gzip inside gzip, more than 3 layers"),
        (member(A) + member(member(member(member(B)))), "gzip inside gzip, more than 3 layers"),
    ],
)
def test_an_object_that_holds_nothing_readable_says_why(data, reason):
    with pytest.raises(ObjectError) as caught:
        inflate(data, LIMIT)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("data", "total"),
    [
        pytest.param(member(b"x" * 1000), 1000, id="one member"),
        pytest.param(member(b"x" * 400) + member(b"x" * 600), 1000, id="members together"),
        pytest.param(member(member(b"x" * 1000)), 1000 + len(member(b"x" * 1000)), id="layers together"),
        pytest.param(
            member(member(b"x" * 500)) * 2, 2 * (500 + len(member(b"x" * 500))), id="layers of members together"
        ),
    ],
)
def test_the_limit_counts_all_members_and_layers_and_is_exact(data, total):
    assert b"".join(inflate(data, total).texts) == b"x" * 1000
    with pytest.raises(ObjectError) as caught:
        inflate(data, total - 1)
    assert caught.value.reason == "inflates to more than the limit (max_object_bytes)"


BOMB = member(b"\0" * (64 << 20))


@pytest.mark.parametrize(
    "data", [BOMB, member(A) + BOMB, member(BOMB), member(member(BOMB)), BOMB[:-100]], ids=[
        "bomb", "bomb after a sound member", "bomb in gzip", "bomb in two layers", "cut bomb",
    ]
)  # fmt: skip
def test_a_bomb_is_refused_in_bounded_memory(data):
    limit = 1 << 20
    tracemalloc.start()
    try:
        with pytest.raises(ObjectError, match=r"^inflates to more than the limit \(max_object_bytes\)$"):
            inflate(data, limit)
        assert tracemalloc.get_traced_memory()[1] < 4 * limit
    finally:
        tracemalloc.stop()


def test_many_small_members_take_linear_time():
    """The plain `unused_data` loop copies the whole tail for each member: 200 GB here."""
    data = member(noise(1000)) * 20_000
    start = time.perf_counter()
    result = inflate(data, 1 << 30)
    assert time.perf_counter() - start < SLOW_SECONDS
    assert (result.members, len(result.texts)) == (20_000, 20_000)


@pytest.mark.parametrize("start", [b"\x1f\x8b\x08", b"\x1f\x8b\x08\0\0\0\0\0\0\x03\0", member(A)[:-8] + b"\0" * 8])
def test_many_starts_of_members_that_are_none_take_linear_time(start):
    begun = time.perf_counter()
    result = inflate(start * 20_000 + member(A), 1 << 30) if start != b"\x1f\x8b\x08" else None
    if result is None:
        with pytest.raises(ObjectError):
            inflate(start * 20_000, 1 << 30)
    else:
        assert result.texts[-1] == A
    assert time.perf_counter() - begun < SLOW_SECONDS


class Counting:
    """isal's decompressor, which counts what goes in and what comes out of all of its kind."""

    def __init__(self, counts, *how):
        self._counts, self._inner = counts, isal_zlib.decompressobj(*how)

    def decompress(self, piece, limit):
        self._counts["in"] += len(piece)
        text = self._inner.decompress(piece, limit)
        self._counts["out"] += len(text)
        return text

    def __getattr__(self, name):
        return getattr(self._inner, name)


@pytest.fixture
def counts(monkeypatch):
    """Bytes that were inflated: `in` and `out`."""
    found = {"in": 0, "out": 0}
    monkeypatch.setattr(inflate_module, "isal_zlib", SimpleNamespace(decompressobj=lambda *how: Counting(found, *how)))
    return found


HEADER = b"\x1f\x8b\x08" + b"\0" * 6 + b"\x03"


def stored(text, is_last=False):
    """A deflate block of bytes as they are."""
    size = len(text)
    return bytes([is_last]) + size.to_bytes(2, "little") + (size ^ 0xFFFF).to_bytes(2, "little") + text


def nested_members(count, tail):
    """Members one in the first block of another: each is sound up to the end of the tail, where all checksums fail."""
    inner = b""
    for _ in range(count):
        inner = HEADER + stored(inner)
    return inner + b"".join(stored(noise(50_000, n)) for n in range(tail // 50_000)) + stored(b"", True) + b"\1" * 8


@pytest.mark.parametrize("tail", [250_000, 500_000, 1_000_000])
def test_members_that_all_go_wrong_at_one_late_place_take_linear_time(tail, counts):
    """Reading each to the end takes 3000 times the object."""
    data = member(A) + nested_members(3000, tail)
    result = inflate(data + member(C), LIMIT)
    assert result.texts[0] == A
    assert result.damage.reason == "corrupt gzip (incorrect checksum found)"
    assert result.damage.lost_share == pytest.approx(1 - len(member(A)) / len(data + member(C)))
    assert counts["in"] <= (BAD_SHARE + 3) * len(data)


def test_bad_members_that_inflate_to_more_than_the_limit_in_all_are_not_gone_on_with(counts):
    packed = member(b"\0" * 900_000)
    bomb = flipped(packed, len(packed) - 5)
    data = member(A) + bomb * 50 + member(C)
    result = inflate(data, 1_000_000)
    assert result.texts == [A]
    assert result.damage.lost_share == pytest.approx(1 - len(member(A)) / len(data))
    assert counts["out"] < 3_000_000


@pytest.mark.parametrize("size", [100, 5_000, 200_000])
def test_every_sound_member_comes_back_from_among_many_bad_ones_for_a_few_times_their_bytes(size, counts):
    count = max(8, 400_000 // size)
    sound = [member(noise(size, n)) for n in range(count)]
    mixed = [one if n % 2 else flipped(one, len(one) - 6) for n, one in enumerate(sound)]
    data = b"".join(mixed)
    result = inflate(data, LIMIT)
    assert result.texts == [noise(size, n) for n in range(1, count, 2)]
    assert result.damage.lost_share == pytest.approx(0.5, abs=0.01)
    assert counts["in"] < 3 * len(data) + (1 << 16)


def test_a_size_that_is_anothers_hides_no_member():
    """Room is made by the size at the end of the object: that of the first member too, where both say the same."""
    member = gzip.compress(b'{"Records":[]}')
    assert inflate(member * 3, LIMIT).texts == [b'{"Records":[]}'] * 3


@pytest.mark.parametrize("said", [0, 13, 15, 2**32 - 1])
def test_a_wrong_size_at_the_end_is_damage_and_takes_no_memory(said):
    member = gzip.compress(b'{"Records":[]}')[:-4] + said.to_bytes(4, "little")
    tracemalloc.start()
    with pytest.raises(ObjectError, match="corrupt gzip"):
        inflate(member, 1 << 30)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20
