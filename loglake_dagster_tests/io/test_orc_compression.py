"""Streams compressed after they were written: what they say, and where row indexes point, is what the library wrote."""

import io
import zlib

import pyarrow as pa
import pyorc
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import orc
from pyorc.predicates import PredicateColumn

from bench.size import PACKINGS
from loglake_dagster.errors import StoreError
from loglake_dagster.io import orc_compression
from loglake_dagster.io.orc import ROW_GROUP, STRIPE_ROWS, pack_part, read_part, stripe_rows
from loglake_dagster.io.orc_compression import CHUNK_BYTES, Codec, compress_orc, fast_zlib, small_zlib
from loglake_dagster_tests.io.every_kind import TABLE, many_rows

INFLATE = {
    1: lambda chunk: zlib.decompress(chunk, -15),
    5: zstandard.ZstdDecompressor().decompress,
}
ROW_INDEX = 6
MANY = many_rows(16_000)
LONG = many_rows(4000, text_bytes=600)
CHUNKS = many_rows(7000, text_bytes=200)


def written(rows, batch=5000, group=2000):
    """The rows as the library writes them without compression."""
    sink = pa.BufferOutputStream()
    options = {"stripe_size": 1, "batch_size": batch, "row_index_stride": group, "dictionary_key_size_threshold": 0.8}
    orc.write_table(rows, sink, compression="uncompressed", bloom_filter_columns=[1], **options)
    return memoryview(sink.getvalue())


def inflated(section, number):
    """(the bytes of a section, {where a chunk starts: where its bytes start})."""
    if number == 0:
        return bytes(section), {}
    out, starts, at = b"", {}, 0
    while at < len(section):
        head = int.from_bytes(section[at : at + 3], "little")
        chunk = bytes(section[at + 3 : at + 3 + (head >> 1)])
        starts[at] = len(out)
        out += chunk if head & 1 else INFLATE[number](chunk)
        at += 3 + (head >> 1)
    return out, starts


class Read:
    """An ORC file taken apart. `streams` are by (stripe, column, kind): bytes, chunks; `positions` by (stripe, column),
    a list for each row group."""

    def __init__(self, data):
        read, view = orc_compression._read, memoryview(data)
        script_at = len(view) - 1 - view[-1]
        self.script = script = read("PostScript", view[script_at:-1])
        footer_at = script_at - script.footer_length
        self.footer = read("Footer", memoryview(inflated(view[footer_at:script_at], script.compression)[0]))
        self.metadata = inflated(view[footer_at - script.metadata_length : footer_at], script.compression)[0]
        self.kinds, self.encodings, self.streams, self.positions = [one.kind for one in self.footer.types], {}, {}, {}
        end = 3
        for number, stripe in enumerate(self.footer.stripes):
            assert stripe.offset == end  # nothing between the stripes
            footer_at = stripe.offset + stripe.index_length + stripe.data_length
            end = footer_at + stripe.footer_length
            footer = read("StripeFooter", memoryview(inflated(view[footer_at:end], script.compression)[0]))
            at = stripe.offset
            for one in footer.streams:
                self.streams[number, one.column, one.kind] = inflated(view[at : at + one.length], script.compression)
                at += one.length
                if one.kind == ROW_INDEX:
                    index = read("RowIndex", memoryview(self.streams[number, one.column, one.kind][0]))
                    self.positions[number, one.column] = [list(entry.positions) for entry in index.entries]
            assert at == footer_at
            for column, encoding in enumerate(footer.encodings):
                self.encodings[number, column] = encoding.kind
        assert self.footer.content_length == end - 3


def pointed_at(numbers, file, stripe, column, is_compressed):
    """The bytes that are left of each stream from a row group's position on, and the numbers after its place, as the
    specification says which there are: present, data, length or secondary."""
    is_dictionary = file.encodings[stripe, column] in (1, 3)
    kind, left, found = file.kinds[column], list(numbers), []
    data = {0: 2, 7: 0, 12: 0}.get(kind, 1)
    for stream, count in ((0, 2), (1, 1 if is_dictionary else data), (2, 1), (5, 1)):
        if (stripe, column, stream) not in file.streams or (stream == 2 and is_dictionary):
            continue
        text, starts = file.streams[stripe, column, stream]
        chunk = left.pop(0) if is_compressed else None
        start = left.pop(0)
        if is_compressed:
            assert start <= CHUNK_BYTES
            start += starts[chunk] if text else 0
        found.append((stream, text[start:], [left.pop(0) for _ in range(count)]))
    assert left == []
    return found


@pytest.mark.parametrize("codec", [fast_zlib(), orc_compression.fast_zstd()], ids=["zlib", "zstd"])
@pytest.mark.parametrize("rows", [MANY, LONG, MANY.slice(0, 0)], ids=["many", "long", "none"])
def test_every_stream_holds_what_was_written_and_every_position_points_where_it_pointed(rows, codec):
    before = Read(written(rows))
    after = Read(compress_orc(written(rows), codec))
    assert after.script.compression == codec.number
    assert (after.metadata, after.kinds, after.encodings) == (before.metadata, before.kinds, before.encodings)
    assert list(after.streams) == list(before.streams)
    for place, (text, _starts) in before.streams.items():
        if place[2] != ROW_INDEX:
            assert after.streams[place][0] == text
    assert list(after.positions) == list(before.positions)
    for place, groups in before.positions.items():
        assert len(after.positions[place]) == len(groups)
        for old, new in zip(groups, after.positions[place], strict=True):
            assert pointed_at(new, after, *place, True) == pointed_at(old, before, *place, False)


def test_the_rows_of_these_tests_need_several_chunks_groups_and_stripes():
    file = Read(written(LONG))
    assert max(len(text) for text, _starts in file.streams.values()) > 3 * CHUNK_BYTES
    assert len(Read(written(MANY)).footer.stripes) == 4
    assert {len(groups) for groups in Read(written(MANY)).positions.values()} == {3, 1}
    assert {0, 2, 3} <= set(Read(written(MANY)).encodings.values())  # as it is, and by dictionary


def found_by_pyorc(data, number):
    """The rows of the row group that has the number, as pyorc reads them: it seeks there in every column's streams."""
    reader = pyorc.Reader(io.BytesIO(data), predicate=PredicateColumn(pyorc.TypeKind.LONG, "a_bigint") == number)
    return [tuple(v.replace(tzinfo=None) if hasattr(v, "tzinfo") and v else v for v in row) for row in reader]


@pytest.mark.parametrize("settings", PACKINGS, ids=lambda one: one.compression)
@pytest.mark.parametrize("rows", [MANY, CHUNKS], ids=["many", "chunks"])
def test_a_reader_that_skips_row_groups_finds_their_rows(rows, settings):
    data, expected = pack_part(rows, TABLE, settings), [tuple(row.values()) for row in rows.to_pylist()]
    assert read_part(data, TABLE).equals(rows)
    for wanted in (0, 2999, 3000, 5999, 6000, 8999, 9000, 11_111, 12_000, 15_999):
        if wanted < len(expected):
            first = wanted - wanted % STRIPE_ROWS % ROW_GROUP
            assert found_by_pyorc(data, wanted) == expected[first : min(first + ROW_GROUP, len(expected))]


def test_a_reader_finds_row_groups_that_begin_where_a_chunk_does_or_behind_the_last_one():
    """Groups of 2,048 texts of 128 bytes are a chunk each, and of one column the last group has nothing."""
    dates = pa.array(
        [d if n < 4096 else None for n, d in enumerate(many_rows(6144)["a_date"].to_pylist())], pa.date32()
    )
    rows = many_rows(6144).set_column(0, "a_string", pa.array([f"{n:0128}" for n in range(6144)]))
    rows = rows.set_column(6, "a_date", dates)
    plain = written(rows, batch=6144, group=2048)
    starts = [pointed_at(groups, Read(plain), 0, 1, False)[0][1] for groups in Read(plain).positions[0, 1]]
    assert [len(left) % CHUNK_BYTES for left in starts] == [0, 0, 0]
    expected = [tuple(row.values()) for row in rows.to_pylist()]
    for codec in (fast_zlib(), orc_compression.fast_zstd()):
        data = compress_orc(plain, codec)
        assert [found_by_pyorc(data, number) for number in (1, 2048, 6143)] == [
            expected[:2048],
            expected[2048:4096],
            expected[4096:],
        ]


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=12), st.sampled_from(PACKINGS), st.integers(1, 40))
def test_any_texts_are_read_back(texts, settings, times):
    rows = many_rows(len(texts) * times).set_column(0, "a_string", pa.array([text.hex() for text in texts] * times))
    assert read_part(pack_part(rows, TABLE, settings), TABLE).equals(rows)


@pytest.mark.parametrize("settings", PACKINGS, ids=lambda one: one.compression)
def test_the_same_rows_are_the_same_bytes(settings):
    """A part's size stands in the manifest, which is the same on every engine; isal's compressor would not do."""
    packed = {pack_part(MANY, TABLE, settings) for _ in range(3)}
    assert len(packed) == 1


def test_small_is_smaller():
    sizes = {one.compression: len(pack_part(MANY, TABLE, one)) for one in PACKINGS}
    assert sizes["zlib_small"] < sizes["zlib"]
    assert sizes["zstd_small"] < sizes["zstd"]


def test_what_does_not_shrink_stays_as_it_is():
    plain = written(MANY)
    same = compress_orc(plain, Codec(1, lambda chunk: bytes(chunk) + b"!"))
    chunks = sum(max(1, -(-len(text) // CHUNK_BYTES)) for text, _starts in Read(plain).streams.values())
    assert len(same) <= len(plain) + 3 * chunks + 5000  # positions have a number more a stream
    assert read_part(same, TABLE).equals(MANY)


def test_a_compressed_file_is_not_compressed_again():
    with pytest.raises(StoreError, match="an ORC file that is to be compressed is compressed already"):
        compress_orc(memoryview(compress_orc(written(MANY), fast_zlib())), fast_zlib())


def test_a_column_of_an_unknown_kind_is_refused():
    with pytest.raises(StoreError, match=r"an ORC column of the kind 6, expected one of \[0, 3, 4, 7, 9, 12, 15\]"):
        compress_orc(written(pa.table({"a": [1.5]})), small_zlib())


def test_positions_of_another_form_are_refused(monkeypatch):
    """As another release of the library could write them."""
    monkeypatch.setitem(orc_compression._NUMBERS_OF_DATA, 4, 2)
    with pytest.raises(
        StoreError, match=r"row index of column 5: expected positions of 3 numbers, got 2: .*constraints"
    ):
        compress_orc(written(MANY), fast_zlib())


def test_a_position_behind_its_stream_is_refused():
    with pytest.raises(StoreError, match=r"points to byte 11 of a stream of 10: this release .*constraints"):
        orc_compression._Chunks(b"", [0], 10).place(11)


def test_a_file_that_is_no_orc_file_is_refused():
    with pytest.raises(StoreError, match=r"an ORC file whose \w+ cannot be read"):
        compress_orc(memoryview(b"ORC" + b"\xff" * 100 + b"\x0a"), fast_zlib())


def test_stripes_are_cut_by_rows():
    file = orc.ORCFile(pa.BufferReader(pack_part(MANY, TABLE, PACKINGS[0])))
    assert [file.read_stripe(number).num_rows for number in range(file.nstripes)] == [6000, 6000, 4000]


@pytest.mark.parametrize(("short", "long", "rows"), [(0, 2, 1), (7000, 100, 46), (60_000, 0, 6000)])
def test_where_rows_are_long_a_stripe_has_fewer(short, long, rows):
    """Long ones stand side by side, where they are of one event name: their mean size does not count."""
    size = 80 << 20 if long == 2 else 2 << 20
    table = pa.table({"a_string": pa.array(["x"] * short + ["y" * size] * long)})
    assert stripe_rows(table) == rows
