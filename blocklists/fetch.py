"""One list over HTTPS or HTTP → a file, or a reason why not. `blocklists.jobs` imports this module.

A subscription is somebody else's file on somebody else's server, so everything about it is bounded: bytes on the wire and unpacked, the
ratio of the two, redirects, time. The server's name is resolved once and the connection goes to that address; an address of the inner
network is refused, also behind a redirect, unless the operator allows it. Requests are conditional, so an unchanged list costs no download.
Blocking; runs in the preparing process.
"""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import SplitResult, urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError, SSLError

from gateway.errors import FetchError

CEILING: Final = 256 * 1024 * 1024
"""Bytes that no setting can raise the cap of one download above."""

_CHUNK: Final = 64 * 1024
_RATIO_FLOOR: Final = 1024 * 1024
_AGENT: Final = "lachan-lists/1 (+subscription)"
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_NAT64: Final = ip_network("64:ff9b::/96")
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """Bounds of one download: bytes (packed and unpacked alike), how far it may unpack, seconds in all and per read, redirects."""

    max_bytes: int = 64 * 1024 * 1024
    max_ratio: int = 100
    total_time: float = 600.0
    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    redirects: int = 5
    allow_private: bool = False


@dataclass(frozen=True, slots=True)
class Validators:
    """What the server said about the copy at hand: sent back, so that an unchanged list is not sent again."""

    etag: str = ""
    last_modified: str = ""


@dataclass(frozen=True, slots=True)
class Fetched:
    """The end of a fetch. `changed` False: the copy at hand is still the list. Otherwise the file is in place, with its size and digest."""

    changed: bool
    validators: Validators
    size: int = 0
    digest: str = ""


Resolver = Callable[[str, int], list[str]]


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches lists within its limits. `resolve` gives the addresses of a host; `context` is the TLS trust, the system's when None."""

    limits: FetchLimits = field(default_factory=FetchLimits)
    resolve: Resolver = field(default_factory=lambda: _addresses_of)
    context: ssl.SSLContext | None = None

    def fetch(self, url: str, target: Path, validators: Validators = Validators()) -> Fetched:
        """Fetch `url` into the file `target`. Raises FetchError, with nothing left behind, when anything is not as it must be."""
        deadline = time.monotonic() + self.limits.total_time
        for _ in range(self.limits.redirects + 1):
            parts = _checked(url)
            response = self._request(parts, validators, deadline)
            try:
                if response.status in _REDIRECTS:
                    url = self._follow(url, response.headers.get("Location", ""))
                    continue
                return self._take(response, target, validators, deadline)
            finally:
                response.close()
        _refuse("redirects", "danh sách chuyển địa chỉ quá nhiều lần", "the list was redirected too often")

    def _follow(self, url: str, location: str) -> str:
        if not location:
            _refuse("redirects", "máy chủ chuyển địa chỉ mà không nói tới đâu", "a redirect that leads nowhere")
        following = urljoin(url, location)
        if url.startswith("https:") and not following.startswith("https:"):
            _refuse("downgrade", "máy chủ chuyển từ https sang địa chỉ không mã hóa", "a redirect from https to an unencrypted address")
        return following

    def _request(self, parts: SplitResult, validators: Validators, deadline: float) -> urllib3.BaseHTTPResponse:
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        addresses = self._addresses(host, port)
        headers = {"Host": _authority(parts), "User-Agent": _AGENT, "Accept": "text/plain, */*;q=0.1", "Accept-Encoding": "gzip"}
        if validators.etag:
            headers["If-None-Match"] = validators.etag
        if validators.last_modified:
            headers["If-Modified-Since"] = validators.last_modified
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        last: Exception | None = None
        for address in addresses:
            try:
                return self._pool(parts.scheme, address, port, host, deadline).urlopen(
                    "GET", path, headers=headers, redirect=False, retries=False, preload_content=False, decode_content=False
                )
            except SSLError as error:
                raise FetchError("tls", f"chứng thư của {host} không đúng", f"the certificate of {host} is not valid: {error}") from error
            except (HTTPError, OSError) as error:
                last = error
        raise FetchError("network", f"không kết nối được tới {host}", f"{host} cannot be reached: {_words(last)}") from last

    def _pool(self, scheme: str, address: str, port: int, host: str, deadline: float) -> urllib3.HTTPConnectionPool:
        limits = self.limits
        left = max(deadline - time.monotonic(), 0.001)
        timeout = urllib3.Timeout(connect=min(limits.connect_timeout, left), read=min(limits.read_timeout, left))
        if scheme == "http":
            return urllib3.HTTPConnectionPool(address, port, timeout=timeout, maxsize=1)
        return urllib3.HTTPSConnectionPool(
            address,
            port,
            timeout=timeout,
            maxsize=1,
            ssl_context=self.context or _system_trust(),
            server_hostname=host,
            assert_hostname=host,
        )

    def _addresses(self, host: str, port: int) -> list[str]:
        """The addresses to connect to, resolved once. One inner address among them refuses the host: it may be the next one chosen."""
        try:
            found = self.resolve(host, port)
        except OSError as error:
            raise FetchError("name", f"không tìm thấy máy chủ {host}", f"the server {host} is not found: {_words(error)}") from error
        if not self.limits.allow_private and not all(map(is_public, found)):
            _refuse(
                "private",
                f"{host} nằm trong mạng nội bộ; đặt lists_fetch.allow_private nếu đúng ý",
                f"{host} is an address of the inner network; set lists_fetch.allow_private if that is meant",
            )
        return found

    def _take(self, response: urllib3.BaseHTTPResponse, target: Path, validators: Validators, deadline: float) -> Fetched:
        if response.status == 304 and (validators.etag or validators.last_modified):
            return Fetched(False, validators)
        if response.status != 200:
            _refuse("status", f"máy chủ trả lời {response.status}", f"the server answered {response.status}")
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in ("identity", "", "gzip", "x-gzip"):
            _refuse("encoding", "máy chủ nén bằng cách không đọc được", "the server used a compression nobody asked for")
        cap = min(self.limits.max_bytes, CEILING)
        length = response.headers.get("Content-Length", "")
        if length.isdigit() and int(length) > cap:
            _too_large(cap)
        body = _Body(target, cap, self.limits.max_ratio, encoding.endswith("gzip"))
        try:
            while chunk := self._read(response, deadline):
                body.add(chunk)
            size, digest = body.finish()
        except BaseException:
            body.discard()
            raise
        return Fetched(True, Validators(_header(response, "ETag"), _header(response, "Last-Modified")), size, digest)

    def _read(self, response: urllib3.BaseHTTPResponse, deadline: float) -> bytes:
        if time.monotonic() > deadline:
            _refuse("time", "tải quá lâu", "the download took too long")
        try:
            return response.read1(_CHUNK, decode_content=False)
        except (HTTPError, OSError) as error:
            raise FetchError("network", "kết nối bị ngắt giữa chừng", f"the connection broke: {_words(error)}") from error


class _Body:
    """A download on its way to disk: unpacked, counted, digested."""

    def __init__(self, target: Path, cap: int, ratio: int, is_packed: bool) -> None:
        self.target = target
        self.cap = cap
        self.ratio = ratio
        self.packed = self.size = 0
        self.digest = hashlib.sha256()
        self.unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS) if is_packed else None
        self.file = open(target, "wb")  # noqa: SIM115 (closed by finish or discard)

    def add(self, chunk: bytes) -> None:
        if not self.packed and self.unpacker is None and chunk.startswith(b"\x1f\x8b"):
            self.unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)  # a .gz file, served as it is
        self.packed += len(chunk)
        while chunk:
            data, chunk = self._unpack(chunk)
            self.size += len(data)
            if self.size > self.cap:
                _too_large(self.cap)
            if self.size > self.ratio * self.packed + _RATIO_FLOOR:
                _refuse("ratio", "tệp nén bung ra quá lớn", "the file unpacks to far more than was sent")
            self.digest.update(data)
            self.file.write(data)

    def _unpack(self, chunk: bytes) -> tuple[bytes, bytes]:
        if self.unpacker is None:
            return chunk, b""
        if self.unpacker.eof:
            return b"", b""  # what stands behind the end of the packed data is no part of it
        try:
            return self.unpacker.decompress(chunk, 1 << 20), self.unpacker.unconsumed_tail
        except zlib.error as error:
            raise FetchError("encoding", "dữ liệu nén bị hỏng", "the packed data is broken") from error

    def finish(self) -> tuple[int, str]:
        if self.unpacker is not None and not self.unpacker.eof:
            _refuse("encoding", "dữ liệu nén bị cắt cụt", "the packed data is cut short")
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        return self.size, self.digest.hexdigest()

    def discard(self) -> None:
        self.file.close()
        self.target.unlink(missing_ok=True)


def is_public(address: str) -> bool:
    """Whether an address belongs to the outer network, also when it wraps another one (mapped, Teredo, NAT64). 6to4 is not (RFC 7526)."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inner: list[IPv4Address | IPv6Address | None] = [found]
    if isinstance(found, IPv6Address):
        if found.sixtofour is not None:
            return False
        inner += [found.ipv4_mapped, *(found.teredo or ())]
        if found in _NAT64:
            inner.append(IPv4Address(int(found) & 0xFFFFFFFF))
    return all(one is None or (one.is_global and not one.is_multicast and not one.is_reserved) for one in inner if one is not None)


@cache
def _system_trust() -> ssl.SSLContext:
    """The certificates this system trusts; reading them takes a while, so it is done once, and only for https."""
    return ssl.create_default_context()


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 (raises for a port that is none)
    except ValueError as error:
        raise FetchError("url", "địa chỉ danh sách không đúng", "the address of the list is not one") from error
    if parts.scheme not in _PORTS:
        _refuse("url", "chỉ tải danh sách bằng https hoặc http", "lists are fetched over https or http only")
    if not parts.hostname or parts.username is not None or parts.password is not None:
        _refuse("url", "địa chỉ danh sách phải có tên máy chủ, không có mật khẩu", "the address needs a host and no user name")
    return parts


def _authority(parts: SplitResult) -> str:
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{parts.port}" if parts.port else host


def _addresses_of(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(row[4][0]) for row in found))


def _header(response: urllib3.BaseHTTPResponse, name: str) -> str:
    value = response.headers.get(name, "")
    return value if len(value) <= 256 and value.isprintable() and value.isascii() else ""


def _words(error: Exception | None) -> str:
    text = str(getattr(error, "strerror", "") or type(error).__name__)
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:120]


def _too_large(cap: int) -> NoReturn:
    most = f"{cap >> 20} MiB" if cap >= 1 << 20 else f"{cap >> 10} KiB"
    _refuse("size", f"danh sách lớn hơn {most} (lists_fetch.max_bytes)", f"the list is larger than {most} (lists_fetch.max_bytes)")


def _refuse(code: str, vi: str, en: str) -> NoReturn:
    raise FetchError(code, vi, en)
