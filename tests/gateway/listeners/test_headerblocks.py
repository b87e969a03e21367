"""Header blocks that are remembered mean what they meant, for as long as the table is the same and no longer."""

from __future__ import annotations

import h2.exceptions
import pytest
from hpack import Decoder, Encoder
from hypothesis import given
from hypothesis import strategies as st

from gateway.listeners.headerblocks import BlockReader, BlockWriter

PATHS = st.sampled_from([b"/dns-query", b"/dns-query/k3j9abcdefgh", b"/dns-query/m2p8abcdefgh", b"/dns-query?dns=" + b"A" * 60])


def request(path: bytes, *more: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    """The fields of a request."""
    return [(b":method", b"GET"), (b":path", path), (b":scheme", b"https"), (b":authority", b"dns.example"), *more]


@given(st.lists(st.tuples(PATHS, st.sampled_from([b"", b"x", b"y" * 900]), st.sampled_from([None, None, 0, 300, 4096])), max_size=40))
def test_reader_says_what_the_library_says(sent: list[tuple[bytes, bytes, int | None]]) -> None:
    """Whatever is repeated, evicted and resized in between: never the fields of another block, so never another child's token."""
    encoder, ours, theirs = Encoder(), BlockReader(16_384), Decoder(16_384)
    for path, extra, size in sent:
        if size is not None:
            encoder.header_table_size = size
        block = encoder.encode(request(path, (b"x-extra", extra)))
        assert list(ours.decode(block, raw=True)) == list(theirs.decode(block, raw=True))


@given(st.lists(st.tuples(st.integers(0, 600), st.integers(0, 300), st.sampled_from([None, None, 0, 100])), max_size=30))
def test_writer_is_understood_by_every_table(sent: list[tuple[int, int, int | None]]) -> None:
    """One shared block per response, right for a client whose table changes its size, and nothing of it stays in any table."""
    written: dict[tuple[tuple[bytes, bytes], ...], bytes] = {}
    ours, theirs = BlockWriter(written), Decoder()
    for size, age, table in sent:
        if table is not None:
            ours.header_table_size = table
        fields = [(b":status", b"200"), (b"cache-control", b"max-age=%d" % age), (b"content-length", b"%d" % size)]
        assert [tuple(field) for field in theirs.decode(ours.encode(fields), raw=True)] == fields
    assert not theirs.header_table.dynamic_entries


@pytest.mark.parametrize(
    "fields",
    [
        [*request(b"/"), (b"Upper", b"case")],
        [*request(b"/"), (b"connection", b"close")],
        [*request(b"/"), (b":path", b"/other")],
        request(b""),
        [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"x")],
        [(b"x", b"y"), *request(b"/")],
        [*request(b"/"), (b"a", b"b\0c")],
    ],
)
def test_malformed_requests_are_refused_again_and_again(fields: list[tuple[bytes, bytes]]) -> None:
    """RFC 9113 §8.2 and §8.3; a block that was refused is not remembered as good."""
    reader, encoder = BlockReader(16_384), Encoder()
    for _ in range(2):
        with pytest.raises(h2.exceptions.ProtocolError):
            reader.decode(encoder.encode(fields), raw=True)


def test_trailers_are_no_requests() -> None:
    """Fields without a pseudo-header are judged as trailers."""
    assert list(BlockReader(16_384).decode(Encoder().encode([(b"x-checksum", b"1")]), raw=True)) == [(b"x-checksum", b"1")]
