"""A browser over a real socket, without script, for the pages of the real program. For tests only."""

from __future__ import annotations

import re
import time

import httpx

from tests.support.gateway import Gateway
from tests.support.people import PASSWORD
from tests.support.visitor import _Reader


class Browser:
    """A browser over a real socket: forms as they stand, redirects followed."""

    def __init__(self, origin: str, source: str = "127.0.0.1") -> None:
        self.origin = origin
        transport = httpx.HTTPTransport(local_address=source)
        self.http = httpx.Client(base_url=origin, follow_redirects=True, headers={"Accept-Language": "vi"}, timeout=60, transport=transport)
        self.page = _Reader()
        self.text = ""
        self.path = ""

    def get(self, path: str) -> int:
        return self._read(self.http.get(path))

    def submit(self, action: str, fields: dict[str, object] | None = None, button: tuple[str, str] | None = None) -> int:
        form = next(form for form in self.page.forms if form.action == action and (button is None or button in form.buttons))
        sent: dict[str, object] = {}
        for name, value in form.fields:
            if name not in (fields or {}):
                before = sent.get(name)
                sent[name] = value if before is None else [*(before if isinstance(before, list) else [before]), value]
        sent.update(fields or {})
        if button:
            sent[button[0]] = button[1]
        return self._read(self.http.post(action, data=sent, headers={"Origin": self.origin}))

    def _read(self, response: httpx.Response) -> int:
        self.page = _Reader()
        self.page.feed(response.text)
        self.text, self.path = " ".join(self.page.text), response.url.path
        return response.status_code


def link_of(gateway: Gateway) -> str:
    """The one-time link that the program printed."""
    for _ in range(1200):
        found = re.search(r"http://127\.0\.0\.1:\d+/setup/\S+", gateway.written())
        if found:
            return found[0]
        time.sleep(0.05)
    raise AssertionError(f"no link was printed:\n{gateway.written()}")


def set_up_home(gateway: Gateway) -> Browser:
    """A home with one child of nine, Bi, set up by the one-time link; the browser is signed in, with `PASSWORD`."""
    link = link_of(gateway)
    browser = Browser(link.partition("/setup/")[0])
    browser.get(f"/setup/{link.rpartition('/')[2]}")
    home: list[dict[str, object]] = [{"place": "home"}, {"label": "Bi", "band": "TH"}, {}, {"password": PASSWORD, "again": PASSWORD}]
    for fields in home:
        browser.submit("/setup", fields, ("go", "1"))
    return browser
