"""Slow and unknown clients of the running program make nobody else wait: raw sockets on the real process."""

from __future__ import annotations

import contextlib
import socket
import time
from urllib.parse import urlsplit

import httpx

from admin.dependencies import Services
from tests.admin.test_readme import running  # noqa: F401  a fixture
from tests.support.family import Family

#: Below what a slow body may take (`admin.edge.limits.BODY_SECONDS`).
SOON = 12.0


def begin(address: str, path: str, key: str, tag: str, body: bytes = b'{"label":') -> socket.socket:
    """A change that never comes to its end: the head, some octets of the body, and silence."""
    parts = urlsplit(address)
    line = socket.create_connection((parts.hostname, parts.port), timeout=SOON)
    head = [f"PATCH {path} HTTP/1.1", f"Host: {parts.netloc}", "Content-Type: application/json", "Content-Length: 60", f"If-Match: {tag}"]
    if key:
        head.append(f"Authorization: Bearer {key}")
    line.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + body)
    return line


def test_a_slow_client_holds_nobody_up(running: tuple[str, str], family: Family, services: Services) -> None:  # noqa: F811
    """Strangers, a wrong key, and a program that may change this very child, all of which stop in the middle: the next change of the child
    by its tag is made at once, and the one after it with the same tag is late."""
    address, key = running
    path = f"/api/v1/profiles/{family.bi.id}"
    with contextlib.ExitStack() as open_lines, httpx.Client(base_url=address, headers={"Authorization": f"Bearer {key}"}) as http:
        tag = http.get(path).headers["etag"]
        for one in ("", "", "", "lachan_wrong", key, key):
            for of in (path, "/api/v1/profiles/x", "/api/v1/nowhere"):
                open_lines.enter_context(begin(address, of, one, tag))
        time.sleep(0.3)  # the heads are read by now
        before = time.monotonic()
        done = http.patch(path, json={"label": "Bi lớn"}, headers={"If-Match": tag}, timeout=SOON * 2)
        late = http.patch(path, json={"label": "Bi nhỏ"}, headers={"If-Match": tag}, timeout=SOON * 2)
        assert (done.status_code, late.status_code) == (200, 412)
        assert time.monotonic() - before < SOON


def test_a_reader_who_does_not_read_holds_nobody_up(running: tuple[str, str], family: Family) -> None:  # noqa: F811
    """A change whose answer is never fetched is over all the same; a stranger is refused before anybody's turn."""
    address, key = running
    path = f"/api/v1/profiles/{family.bi.id}"
    with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {key}"}) as http:
        tag = http.get(path).headers["etag"]
        with begin(address, path, key, tag, b'{"label": "Bi"' + b" " * 45 + b"}"):
            before = time.monotonic()
            assert http.patch(path, json={"label": "x"}, headers={"If-Match": '"old"'}, timeout=SOON * 2).status_code == 412
            nobody = httpx.patch(f"{address}{path}", json={"label": "x"}, headers={"If-Match": tag}, timeout=SOON * 2)
            assert (nobody.status_code, time.monotonic() - before < SOON) == (401, True)
