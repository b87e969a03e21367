"""Fetching a list: conditional, bounded, never into the inner network. Over real sockets."""

from __future__ import annotations

import gzip
import time
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from blocklists import fetch
from blocklists.fetch import CEILING, Fetcher, FetchLimits, Validators, is_public
from gateway.errors import FetchError
from tests.support.listserver import ListServer, Page, make_certificate

LIMITS = FetchLimits(max_bytes=100_000, total_time=5.0, connect_timeout=2.0, read_timeout=2.0, allow_private=True)


@pytest.fixture
def server() -> Iterator[ListServer]:
    with ListServer() as running:
        yield running


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "candidate"


def _refusal(target: Path, url: str, limits: FetchLimits = LIMITS, fetcher: Fetcher | None = None) -> str:
    with pytest.raises(FetchError) as caught:
        (fetcher or Fetcher(limits)).fetch(url, target)
    assert not target.exists(), "a refused download must leave nothing behind"
    assert caught.value.vi and caught.value.en
    return caught.value.code


def test_fetch_brings_the_list_and_what_the_server_said_of_it(server: ListServer, target: Path) -> None:
    """The file has the bytes of the page; validators come along; the request names no more than it must."""
    server.pages["/l"] = Page(b"a.example\n", etag='"1"', modified="Sun, 22 Nov 2026 00:00:00 GMT")
    fetched = Fetcher(LIMITS).fetch(server.url("/l?x=1"), target)
    assert target.read_bytes() == b"a.example\n"
    assert (fetched.changed, fetched.size) == (True, 10)
    assert fetched.validators == Validators('"1"', "Sun, 22 Nov 2026 00:00:00 GMT")
    assert server.requests[0].path == "/l?x=1"
    assert server.requests[0].headers["Host"] == f"127.0.0.1:{server.port}"


@pytest.mark.parametrize("validators", [Validators(etag='"1"'), Validators(last_modified="Sun, 22 Nov 2026 00:00:00 GMT")])
def test_fetch_of_an_unchanged_list_downloads_nothing(server: ListServer, target: Path, validators: Validators) -> None:
    """The server is asked whether anything changed; nothing did."""
    server.pages["/l"] = Page(b"a.example\n", etag='"1"', modified="Sun, 22 Nov 2026 00:00:00 GMT")
    fetched = Fetcher(LIMITS).fetch(server.url("/l"), target, validators)
    assert not fetched.changed and fetched.validators == validators and not target.exists()


def test_fetch_unpacks_gzip(server: ListServer, target: Path) -> None:
    """A packed answer and a packed file give the same list."""
    data = b"a.example\n" * 500
    server.pages["/encoded"] = Page(gzip.compress(data), headers={"Content-Encoding": "gzip"})
    server.pages["/l.gz"] = Page(gzip.compress(data))
    for path in ("/encoded", "/l.gz"):
        assert Fetcher(LIMITS).fetch(server.url(path), target).size == len(data)
        assert target.read_bytes() == data


def test_fetch_follows_redirects_within_bounds(server: ListServer, target: Path) -> None:
    """A moved list is found; a ring of redirects ends."""
    server.pages["/old"] = Page(status=301, headers={"Location": "/new"})
    server.pages["/new"] = Page(b"a.example\n")
    server.pages["/ring"] = Page(status=302, headers={"Location": "/ring"})
    server.pages["/nowhere"] = Page(status=302)
    assert Fetcher(LIMITS).fetch(server.url("/old"), target).size == 10
    target.unlink()
    assert _refusal(target, server.url("/ring")) == "redirects"
    assert len([request for request in server.requests if request.path == "/ring"]) == LIMITS.redirects + 1
    assert _refusal(target, server.url("/nowhere")) == "redirects"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/", "http://[::1]:1/", "http://inner.example/", "http://mixed.example/", "http://none.example/"]
)
def test_fetch_from_the_inner_network_is_refused(target: Path, url: str) -> None:
    """Neither an address, nor a name that leads there, nor one of several addresses: nothing is even connected to."""
    answers = {"inner.example": ["192.168.1.1"], "mixed.example": ["9.9.9.9", "10.0.0.1"], "none.example": ["not-an-address"]}
    fetcher = Fetcher(FetchLimits(), resolve=lambda host, port: answers.get(host, [host]))
    assert _refusal(target, url, fetcher=fetcher) == "private"


def test_fetch_redirected_into_the_inner_network_is_refused(server: ListServer, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server outside cannot send us to one inside: every hop is judged by the address it leads to."""
    monkeypatch.setattr(fetch, "is_public", lambda address: address == "127.0.0.1")  # loopback plays the outer network here
    server.pages["/l"] = Page(status=302, headers={"Location": f"http://router.example:{server.port}/admin"})
    server.pages["/admin"] = Page(b"a.example\n")
    addresses = {"lists.example": ["127.0.0.1"], "router.example": ["127.0.0.2"]}
    outside = Fetcher(FetchLimits(), resolve=lambda host, port: addresses[host])
    assert _refusal(target, f"http://lists.example:{server.port}/l", fetcher=outside) == "private"
    assert [request.path for request in server.requests] == ["/l"]


def test_fetch_resolves_once_and_connects_to_that_address(server: ListServer, target: Path) -> None:
    """The address that was judged is the one connected to, whatever the name says a moment later."""
    answers = iter([["127.0.0.1"], ["203.0.113.9"]])
    server.pages["/l"] = Page(b"a.example\n")
    fetcher = Fetcher(LIMITS, resolve=lambda host, port: next(answers))
    assert fetcher.fetch(f"http://lists.example:{server.port}/l", target).size == 10
    assert server.requests[0].headers["Host"] == f"lists.example:{server.port}"


def test_fetch_tries_the_next_address(server: ListServer, target: Path) -> None:
    """One dead address of several costs a try, not the list."""
    server.pages["/l"] = Page(b"a.example\n")
    fetcher = Fetcher(LIMITS, resolve=lambda host, port: ["127.0.0.9", "127.0.0.1"])
    assert fetcher.fetch(f"http://lists.example:{server.port}/l", target).size == 10


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://lists.example/l", "http:///l", "http://u:p@lists.example/l", "http://h:99999/", "lists.txt"]
)
def test_fetch_of_anything_but_a_web_address_is_refused(target: Path, url: str) -> None:
    """No file, no other scheme, no password in an address."""
    assert _refusal(target, url) == "url"


def test_fetch_refuses_what_is_too_large(server: ListServer, target: Path) -> None:
    """Announced, sent or unpacked: past the cap nothing is kept."""
    server.pages["/announced"] = Page(b"", headers={"Content-Length": "100001"})
    server.pages["/sent"] = _chunked(b"x" * 10_000, 20)
    server.pages["/unpacked"] = Page(gzip.compress(b"a" * 200_000), headers={"Content-Encoding": "gzip"})
    for path in ("/announced", "/sent", "/unpacked"):
        assert _refusal(target, server.url(path)) == "size"


def test_fetch_refuses_a_bomb(server: ListServer, target: Path) -> None:
    """What unpacks to a hundred times its size is no list."""
    server.pages["/bomb"] = Page(gzip.compress(b"a" * 20_000_000), headers={"Content-Encoding": "gzip"})
    limits = FetchLimits(max_bytes=CEILING, allow_private=True)
    assert _refusal(target, server.url("/bomb"), limits) == "ratio"


def test_no_setting_lifts_the_ceiling(server: ListServer, target: Path) -> None:
    """256 MiB is the end, whatever the settings say."""
    server.pages["/l"] = Page(b"", headers={"Content-Length": str(CEILING + 1)})
    assert _refusal(target, server.url("/l"), FetchLimits(max_bytes=1 << 40, allow_private=True)) == "size"


@pytest.mark.parametrize(
    ("page", "code"),
    [
        (Page(status=404), "status"),
        (Page(status=304), "status"),
        (Page(status=500), "status"),
        (Page(b"x", headers={"Content-Encoding": "br"}), "encoding"),
        (Page(b"not gzip at all", headers={"Content-Encoding": "gzip"}), "encoding"),
        (Page(gzip.compress(b"a.example\n" * 99)[:-12], headers={"Content-Encoding": "gzip"}), "encoding"),
        (Page(zlib.compress(b"a.example"), headers={"Content-Encoding": "gzip"}), "encoding"),
        (Page(b"cut", headers={"Content-Length": "1000"}), "network"),
    ],
)
def test_fetch_refuses_answers_that_are_no_list(server: ListServer, target: Path, page: Page, code: str) -> None:
    """Errors, strange packing, cut transfers: the copy at hand stays."""
    server.pages["/l"] = page
    assert _refusal(target, server.url("/l")) == code


def test_fetch_ends_when_its_time_is_over(server: ListServer, target: Path) -> None:
    """A server that sends a byte now and then does not hold the download for ever."""

    def dribble(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(100):
            handler.wfile.write(b"x")
            time.sleep(0.05)

    server.pages["/slow"] = dribble
    started = time.monotonic()
    limits = FetchLimits(total_time=0.5, read_timeout=2.0, allow_private=True)
    assert _refusal(target, server.url("/slow"), limits) == "time"
    assert time.monotonic() - started < 2.0


def test_fetch_of_a_silent_or_absent_server_fails(server: ListServer, target: Path) -> None:
    """A server that says nothing, and one that is not there."""
    server.pages["/silent"] = lambda handler: time.sleep(1.0)
    limits = FetchLimits(read_timeout=0.3, allow_private=True)
    assert _refusal(target, server.url("/silent"), limits) == "network"
    assert _refusal(target, "http://127.0.0.1:1/l") == "network"


def test_fetch_over_tls_checks_the_name(tmp_path: Path, target: Path) -> None:
    """The certificate is checked against the name in the address, though the connection goes to the address resolved."""
    certificate = make_certificate(tmp_path, "lists.example")
    with ListServer(certificate) as server:
        server.pages["/l"] = Page(b"a.example\n")
        server.pages["/down"] = Page(status=302, headers={"Location": "http://lists.example/l"})
        here = Fetcher(LIMITS, resolve=lambda host, port: ["127.0.0.1"], context=certificate.trust())
        assert here.fetch(f"https://lists.example:{server.port}/l", target).size == 10
        target.unlink()
        assert _refusal(target, f"https://lists.example:{server.port}/down", fetcher=here) == "downgrade"
        assert _refusal(target, f"https://other.example:{server.port}/l", fetcher=here) == "tls"
        strangers = Fetcher(LIMITS, resolve=lambda host, port: ["127.0.0.1"])
        assert _refusal(target, f"https://lists.example:{server.port}/l", fetcher=strangers) == "tls"


@pytest.mark.parametrize("address", ["9.9.9.9", "2620:fe::fe"])
def test_public_addresses_are_public(address: str) -> None:
    """Addresses of the outer network may be fetched from."""
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("10.0.0.1", "172.16.0.1", "192.168.0.1", "127.0.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "255.255.255.255"),
        *("224.0.0.1", "240.0.0.1", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:10.0.0.1"),
        *("64:ff9b::a00:1", "2002:a00:1::1", "2002:909:909::1", "2001:0:a00:1::1", "2001:db8::1", "name"),
    ],
)
def test_inner_addresses_are_not_public(address: str) -> None:
    """Private, local, multicast, reserved and documentation addresses are not, also wrapped in another one."""
    assert not is_public(address)


def _chunked(chunk: bytes, times: int):  # type: ignore[no-untyped-def]
    def script(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(times):
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        handler.wfile.write(b"0\r\n\r\n")

    return script
