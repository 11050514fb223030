"""ORC files whose streams are compressed here, and not by the library that encoded them.

pyarrow's writer takes longer to compress with zlib than for all else that it does, and offers few levels. So it writes
without compression, and this puts the streams into compressed chunks and says anew what moves by that: row index
positions, lengths, offsets. What a stream says, and which there are, is the library's; no other type of column than
those of lake/schema.py is known here.

Source: the ORC specification v1, Compression, Stripes and Row Index, and its orc_proto.proto. Of the messages only the
fields that are looked at are declared: protobuf keeps the others as they came.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import deflate
import zstandard
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from loglake_dagster.errors import StoreError

Compress = Callable[[memoryview], bytes | bytearray]
# What a reader must hold of a stream at once.
CHUNK_BYTES = 256 << 10
_MAGIC = b"ORC"
# A shorter stream is never smaller with what a compressed one begins with.
_SHORTEST = 16
_OTHERWISE = ": this release of pyarrow writes otherwise; install the one that was tested (constraints.txt)"
# Kinds of streams. Those from ROW_INDEX on stand in front of the others.
_PRESENT, _DATA, _LENGTH, _SECONDARY, _ROW_INDEX = 0, 1, 2, 5, 6
# Kinds of encodings, and of columns.
_DIRECT = (0, 2)
_BOOLEAN, _INT, _LONG, _STRING, _TIMESTAMP, _STRUCT, _DATE = 0, 3, 4, 7, 9, 12, 15
# How many numbers a position has after its byte: where in a run of the encoding it is.
_IN_BITS, _IN_RUN, _IN_BYTES = 2, 1, 0
_NUMBERS_OF_DATA = {
    _BOOLEAN: _IN_BITS, _INT: _IN_RUN, _LONG: _IN_RUN, _STRING: _IN_BYTES, _TIMESTAMP: _IN_RUN, _DATE: _IN_RUN,
    _STRUCT: _IN_BYTES,
}  # fmt: skip
# Name, number and type of the fields; a star is for repeated ones.
_MESSAGES: Mapping[str, Sequence[tuple[str, int, str]]] = {
    "PostScript": [
        ("footer_length", 1, "int"), ("compression", 2, "int"), ("block_bytes", 3, "int"),
        ("metadata_length", 5, "int"),
    ],
    "StripeInformation": [
        ("offset", 1, "int"), ("index_length", 2, "int"), ("data_length", 3, "int"), ("footer_length", 4, "int"),
    ],
    "Type": [("kind", 1, "int")],
    "Footer": [("content_length", 2, "int"), ("stripes", 3, "StripeInformation*"), ("types", 4, "Type*")],
    "Stream": [("kind", 1, "int"), ("column", 2, "int"), ("length", 3, "int")],
    "Encoding": [("kind", 1, "int")],
    "StripeFooter": [("streams", 1, "Stream*"), ("encodings", 2, "Encoding*")],
    "RowIndexEntry": [("positions", 1, "int*")],
    "RowIndex": [("entries", 1, "RowIndexEntry*")],
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Codec:
    """A compression by its number in ORC, and how a chunk is compressed. What is not smaller then stays as it is."""

    number: int
    compress: Compress


def fast_zlib() -> Codec:
    """libdeflate's first level: smaller than zlib's first, in half its time."""
    return _zlib(1)


def small_zlib() -> Codec:
    """Smaller than zlib's sixth level, in less than its time. From the next level on it takes three times as long."""
    return _zlib(9)


def _zlib(level: int) -> Codec:
    return Codec(1, partial(deflate.deflate_compress, compresslevel=level))


def fast_zstd() -> Codec:
    """zstd's first level."""
    return _zstd(1)


def small_zstd() -> Codec:
    """zstd that looks for the best way: packing takes ten times as long as with its first level."""
    return _zstd(15)


def _zstd(level: int) -> Codec:
    return Codec(5, zstandard.ZstdCompressor(level=level).compress)


def compress_orc(data: memoryview, codec: Codec) -> bytes:
    """The file, written without compression, with compressed streams. StoreError if it is not built as is known here:
    another release of the library may write otherwise."""
    data = data.cast("B")  # pyarrow's bytes are signed
    script_at = len(data) - 1 - data[-1]
    script = _read("PostScript", data[script_at:-1])
    if script.compression:
        raise StoreError("an ORC file that is to be compressed is compressed already")
    footer_at = script_at - script.footer_length
    footer = _read("Footer", data[footer_at:script_at])
    out, end = [_MAGIC], len(_MAGIC)
    for stripe in footer.stripes:
        pieces = _compress_stripe(data, stripe, footer.types, codec)
        stripe.offset = end
        out += pieces
        end += stripe.index_length + stripe.data_length + stripe.footer_length
    footer.content_length = end - len(_MAGIC)
    metadata = _chunks(data[footer_at - script.metadata_length : footer_at], codec).data
    closing = _chunks(memoryview(footer.SerializeToString()), codec).data
    script.footer_length, script.metadata_length = len(closing), len(metadata)
    script.compression, script.block_bytes = codec.number, CHUNK_BYTES
    last = script.SerializeToString()
    return b"".join([*out, metadata, closing, last, bytes([len(last)])])


@dataclass(frozen=True, slots=True)
class _Chunks:
    """A stream's chunks, and where each starts; `size` is what they hold."""

    data: bytes
    starts: Sequence[int]
    size: int

    def place(self, byte: int) -> tuple[int, int]:
        """Where a byte of the stream is: (its chunk's start, its place in what that holds). The end is in the last."""
        if byte > self.size:
            raise StoreError(f"an ORC row index points to byte {byte} of a stream of {self.size}{_OTHERWISE}")
        if not self.starts:
            return 0, 0
        number = min(byte // CHUNK_BYTES, len(self.starts) - 1)
        return self.starts[number], byte - number * CHUNK_BYTES


def _chunks(stream: memoryview, codec: Codec) -> _Chunks:
    """The stream in chunks: before each three bytes, its length and whether it is as it was."""
    parts: list[bytes | bytearray | memoryview] = []
    starts: list[int] = []
    size = 0
    for first in range(0, len(stream), CHUNK_BYTES):
        chunk = stream[first : first + CHUNK_BYTES]
        packed = codec.compress(chunk) if len(chunk) >= _SHORTEST else chunk
        is_original = len(packed) >= len(chunk)
        told = chunk if is_original else packed
        starts.append(size)
        parts += [(len(told) << 1 | is_original).to_bytes(3, "little"), told]
        size += 3 + len(told)
    return _Chunks(b"".join(parts), starts, len(stream))


def _compress_stripe(data: memoryview, stripe: Any, types: Sequence[Any], codec: Codec) -> list[bytes]:
    """The stripe's streams and its footer, compressed; their lengths are set in `stripe`."""
    footer_at = stripe.offset + stripe.index_length + stripe.data_length
    footer = _read("StripeFooter", data[footer_at : footer_at + stripe.footer_length])
    streams: list[memoryview] = []
    start = stripe.offset
    for one in footer.streams:
        streams.append(data[start : start + one.length])
        start += one.length
    if start != footer_at:
        raise StoreError("an ORC stripe's streams do not fill it")
    packed = {
        (one.column, one.kind): _chunks(stream, codec)
        for one, stream in zip(footer.streams, streams, strict=True)
        if one.kind != _ROW_INDEX
    }
    for one, stream in zip(footer.streams, streams, strict=True):
        if one.kind == _ROW_INDEX:
            layout = _layout(one.column, types[one.column].kind, footer.encodings[one.column].kind, packed)
            packed[one.column, _ROW_INDEX] = _chunks(memoryview(_moved(stream, layout, one.column)), codec)
    pieces = [packed[one.column, one.kind].data for one in footer.streams]
    stripe.index_length = stripe.data_length = 0
    for one, piece in zip(footer.streams, pieces, strict=True):
        one.length = len(piece)
        if one.kind >= _ROW_INDEX:
            stripe.index_length += len(piece)
        else:
            stripe.data_length += len(piece)
    pieces.append(_chunks(memoryview(footer.SerializeToString()), codec).data)
    stripe.footer_length = len(pieces[-1])
    return pieces


_Layout = Sequence[tuple[_Chunks, int]]


def _layout(column: int, kind: int, encoding: int, packed: Mapping[tuple[int, int], _Chunks]) -> _Layout:
    """Of which streams, in this order, a position in a column tells the place, and how many numbers each has after
    the byte."""
    if kind not in _NUMBERS_OF_DATA:
        raise StoreError(f"an ORC column of the kind {kind}, expected one of {sorted(_NUMBERS_OF_DATA)}")
    is_direct = encoding in _DIRECT
    numbers = {_PRESENT: _IN_BITS, _DATA: _NUMBERS_OF_DATA[kind] if is_direct else _IN_RUN}
    if is_direct:  # the lengths of a dictionary are not of rows
        numbers[_LENGTH] = _IN_RUN
    numbers[_SECONDARY] = _IN_RUN
    return [(packed[column, one], count) for one, count in numbers.items() if (column, one) in packed]


def _moved(index: memoryview, layout: _Layout, column: int) -> bytes:
    """A column's row index with its positions in compressed streams: a chunk's start, then the byte in it."""
    message = _read("RowIndex", index)
    expected = sum(1 + numbers for _stream, numbers in layout)
    for entry in message.entries:
        old = list(entry.positions)
        if len(old) != expected:
            raise StoreError(
                f"an ORC row index of column {column}: expected positions of {expected} numbers, "
                f"got {len(old)}{_OTHERWISE}"
            )
        new: list[int] = []
        at = 0
        for chunks, numbers in layout:
            new += [*chunks.place(old[at]), *old[at + 1 : at + 1 + numbers]]
            at += 1 + numbers
        entry.positions[:] = new
    written: bytes = message.SerializeToString()
    return written


def _read(name: str, data: memoryview) -> Any:
    """A message of this name."""
    try:
        return _classes()[name].FromString(bytes(data))
    except DecodeError as error:
        raise StoreError(f"an ORC file whose {name} cannot be read: {error}") from error


@cache
def _classes() -> dict[str, Any]:
    """The messages' classes by name."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="loglake_orc.proto", package="loglake.orc", syntax="proto2")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for called, number, kind in fields:
            one = message.field.add(name=called, number=number)
            one.label = field.LABEL_REPEATED if kind.endswith("*") else field.LABEL_OPTIONAL
            if kind.rstrip("*") == "int":
                one.type, one.options.packed = field.TYPE_UINT64, kind.endswith("*")
            else:
                one.type, one.type_name = field.TYPE_MESSAGE, f".loglake.orc.{kind.rstrip('*')}"
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    found = {name: pool.FindMessageTypeByName(f"loglake.orc.{name}") for name in _MESSAGES}
    return {name: message_factory.GetMessageClass(descriptor) for name, descriptor in found.items()}
