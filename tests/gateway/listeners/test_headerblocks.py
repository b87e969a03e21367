"""Header blocks mean what the library says they mean, however they repeat, and nothing malformed is taken for a request."""

from __future__ import annotations

import h2.exceptions
import h2.utilities
import pytest
from h2.errors import ErrorCodes
from hpack import Decoder, Encoder, HPACKError
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman_table import decode_huffman
from hypothesis import given
from hypothesis import strategies as st

from gateway.listeners.headerblocks import Fault, Head, HeadReader, _unpack, write_block

PATHS = st.sampled_from([b"/dns-query", b"/dns-query/k3j9abcdefgh", b"/dns-query/m2p8abcdefgh", b"/dns-query?dns=" + b"A" * 60])
MOST = 16_384
Fields = list[tuple[bytes, bytes]]


def request(path: bytes, *more: tuple[bytes, bytes]) -> Fields:
    """The fields of a request."""
    return [(b":method", b"GET"), (b":path", path), (b":scheme", b"https"), (b":authority", b"dns.example"), *more]


def read_by_library(decoder: Decoder, block: bytes) -> Fields | None:
    """The fields as the library has them, None when it refuses the block or the request."""
    try:
        fields = list(decoder.decode(block, raw=True))
        is_trailer = not any(name.startswith(b":") for name, _ in fields)
        flags = h2.utilities.HeaderValidationFlags(
            is_client=False, is_trailer=is_trailer, is_response_header=False, is_push_promise=False
        )
        return [(bytes(name), bytes(value)) for name, value in h2.utilities.validate_headers(fields, flags)]
    except (HPACKError, h2.exceptions.ProtocolError):
        return None


@given(st.lists(st.tuples(PATHS, st.sampled_from([b"", b"x", b"y" * 900]), st.sampled_from([None, None, 0, 300, 4096])), max_size=40))
def test_reader_says_what_the_library_says(sent: list[tuple[bytes, bytes, int | None]]) -> None:
    """Whatever is repeated, evicted and resized in between: never the fields of another block, so never another child's token."""
    encoder, ours, theirs = Encoder(), HeadReader(MOST), Decoder(MOST)
    for path, extra, size in sent:
        if size is not None:
            encoder.header_table_size = size
        block = encoder.encode(request(path, (b"x-extra", extra)))
        assert ours.read(block) == Head(b"GET", path, b"", -1)
        expected = list(theirs.decode(block, raw=True))
        assert ours._entries[::-1] == list(theirs.header_table.dynamic_entries)
        if not ours._is_changed:
            assert ours.fields(block) == expected


_LITERALS = st.builds(
    lambda kind, name, value, huffman: (kind, name, value, huffman),
    st.sampled_from([0x00, 0x10, 0x40]),
    st.one_of(st.integers(1, 70), st.sampled_from([b"a", b"x-long-name", b":path", b":status", b"Upper", b"te", b"host", b""])),
    st.one_of(st.binary(max_size=40), st.sampled_from([b"trailers", b"POST", b"x" * 3000])),
    st.booleans(),
)
_PIECES = st.one_of(_LITERALS, st.integers(0, 75).map(lambda index: (0x80, index)), st.integers(0, 5000).map(lambda size: (0x20, size)))


def number(first: int, bits: int, value: int) -> bytes:
    """An integer with its prefix."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    out, value = bytearray([first | most]), value - most
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def string(text: bytes, huffman: bool) -> bytes:
    """A string, packed or not."""
    packed = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH).encode(text) if huffman and text else text
    return number(0x80 if huffman and text else 0, 7, len(packed)) + packed


def piece(made: tuple[object, ...]) -> bytes:
    """One field, or a size of the table."""
    match made:
        case (0x80, int(index)):
            return number(0x80, 7, index)
        case (0x20, int(size)):
            return number(0x20, 5, size)
        case (int(kind), int(index), bytes(value), bool(huffman)):
            return number(kind, 6 if kind == 0x40 else 4, index) + string(value, huffman)
        case (int(kind), bytes(name), bytes(value), bool(huffman)):
            return bytes([kind]) + string(name, huffman) + string(value, huffman)
    raise AssertionError(made)


@given(st.lists(st.tuples(st.lists(_PIECES, max_size=6), st.binary(max_size=3), st.booleans()), max_size=12))
def test_no_block_is_read_that_the_library_refuses(sent: list[tuple[list[tuple[object, ...]], bytes, bool]]) -> None:
    """Any representation, any index, any size, junk behind it: the same fields and the same table as the library's, or a fault, after which
    the connection is over."""
    ours, theirs = HeadReader(MOST), Decoder(MOST)
    for pieces, junk, is_request in sent:
        block = b"".join(map(piece, pieces)) + junk
        if is_request:
            block = block + Encoder().encode(request(b"/")) if not pieces else b"\x82\x84\x87\x41\x01x" + block
        try:
            head = ours.read(block)
        except Fault:
            return
        fields = read_by_library(theirs, block)
        assert fields is not None, block.hex()
        assert ours._entries[::-1] == list(theirs.header_table.dynamic_entries)
        found = dict(fields)
        expected = found.get(b":method"), found.get(b":path"), found.get(b"content-type", b"")
        assert (head is None) is (b":method" not in found) and (head is None or head[:3] == expected)


@given(st.one_of(st.binary(max_size=60), st.binary(max_size=60).map(HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH).encode)))
def test_huffman_codes_are_read_as_the_library_reads_them(text: bytes) -> None:
    """Every octet string: the same symbols, or refused by both."""
    try:
        expected = decode_huffman(text)
    except HPACKError:
        with pytest.raises(Fault):
            _unpack(text)
    else:
        assert _unpack(text) == expected


@given(st.integers(0, 70_000), st.integers(0, 1 << 31))
def test_response_is_understood_and_stays_in_no_table(size: int, age: int) -> None:
    """The block of a response is the same for everybody."""
    decoder = Decoder()
    fields = [(b":status", b"200"), (b"cache-control", b"max-age=%d" % age), (b"content-length", b"%d" % size)]
    assert [tuple(field) for field in decoder.decode(write_block(fields), raw=True)] == fields
    assert not decoder.header_table.dynamic_entries


@pytest.mark.parametrize(
    "fields",
    [
        [*request(b"/"), (b"Upper", b"case")],
        [*request(b"/"), (b"connection", b"close")],
        [*request(b"/"), (b"transfer-encoding", b"chunked")],
        [*request(b"/"), (b"te", b"gzip")],
        [*request(b"/"), (b":path", b"/other")],
        [*request(b"/"), (b":status", b"200")],
        [*request(b"/"), (b"content-length", b"12"), (b"content-length", b"13")],
        [*request(b"/"), (b"content-length", b"-1")],
        [*request(b"/"), (b"host", b"other.example")],
        [*request(b"/"), (b"", b"x")],
        request(b""),
        [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"x")],
        [(b":method", b"GET"), (b":path", b"/"), (b":authority", b"x")],
        [(b":method", b"GET"), (b":path", b"/"), (b":scheme", b"https")],
        [(b"x", b"y"), *request(b"/")],
        [*request(b"/"), (b"a", b"b\0c")],
        [*request(b"/"), (b"a", b" b")],
        [*request(b"/"), (b"a", b"b\t")],
    ],
)
def test_malformed_requests_are_refused_again_and_again(fields: Fields) -> None:
    """RFC 9113 §8.2 and §8.3; a block that was refused is not remembered as good."""
    reader = HeadReader(MOST)
    for _ in range(2):
        with pytest.raises(Fault) as caught:
            reader.read(Encoder().encode(fields))
        assert caught.value.code is ErrorCodes.PROTOCOL_ERROR


@pytest.mark.parametrize(
    "block",
    ["80", "be", "ff", "ffffffffff7f", "3fe21f", "823f00", "04", "0482", "0485ffffffffff", "0481fe", "00"],
    ids=["index 0", "beyond the table", "cut integer", "endless integer", "too large a table", "late size", "no value", "cut value",
         "end of string", "long padding", "no name"],
)  # fmt: skip
def test_what_is_no_block_is_a_fault_of_compression(block: str) -> None:
    """RFC 7541 §2.3.3, §4.2, §5.1, §5.2, §6.3: the table cannot be trusted any more."""
    with pytest.raises(Fault) as caught:
        HeadReader(MOST).read(bytes.fromhex(block))
    assert caught.value.code is ErrorCodes.COMPRESSION_ERROR


def test_small_block_of_large_entries_is_too_large_a_list() -> None:
    """A table entry that is named again and again would grow a few octets into megabytes (RFC 7541 §7.3)."""
    reader = HeadReader(MOST)
    reader.read(Encoder().encode(request(b"/", (b"x", b"y" * 4000))))
    with pytest.raises(Fault) as caught:
        reader.read(b"\xbe" * 10)
    assert caught.value.code is ErrorCodes.ENHANCE_YOUR_CALM


@pytest.mark.parametrize("field", [b"\xb9", b"\x0f\x2a\x01x", b"\x88"], ids=["transfer-encoding", "with a value", ":status"])
def test_field_of_the_static_table_is_judged_like_any_other(field: bytes) -> None:
    """The table has one field of a connection, and the status of responses; a block may name both by a single octet."""
    for block in (field, b"\x82\x84\x87\x41\x01x" + field):
        with pytest.raises(Fault) as caught:
            HeadReader(MOST).read(block)
        assert caught.value.code is ErrorCodes.PROTOCOL_ERROR


def test_trailers_are_no_requests() -> None:
    """Fields without a pseudo-field are trailers."""
    assert HeadReader(MOST).read(Encoder().encode([(b"x-checksum", b"1")])) is None


def test_memory_of_blocks_is_bounded() -> None:
    """A client that never repeats itself fills nothing."""
    reader = HeadReader(MOST)
    for each in range(200):
        reader.read(b"\x82\x87\x41\x01x" + bytes([0x04, 4]) + b"/%03d" % each)
        reader.read(b"\x82\x87\xbe" + bytes([0x04, 4]) + b"/%03d" % each)
    assert len(reader._known) <= 64 and reader._size <= 4096
