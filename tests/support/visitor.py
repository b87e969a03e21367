"""A person at a page, without a browser: follows links and redirects, fills in the forms that are there, keeps cookies.

Only what the page offers can be done: a form that does not exist, or a field it does not have, fails the test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser

import httpx
from starlette.types import ASGIApp

ORIGIN = "http://127.0.0.1:8080"


@dataclass
class FoundForm:
    """One form of a page: where it goes, its fields as they stand, and its named buttons."""

    method: str
    action: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    buttons: list[tuple[str, str]] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[FoundForm] = []
        self.text: list[str] = []
        self.links: list[str] = []
        self._open: FoundForm | None = None
        self._select: str | None = None
        self._options: list[tuple[str, bool]] = []
        self._area: str | None = None
        self._quiet = 0

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in ("style", "script", "svg"):
            self._quiet += 1
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "form":
            self._open = FoundForm(given.get("method", "get"), given.get("action", ""))
            self.forms.append(self._open)
        if self._open is None:
            return
        name = given.get("name", "")
        if tag == "input" and name:
            self._open.names.add(name)
            if given.get("type") in ("checkbox", "radio") and "checked" not in given:
                return
            if given.get("type") != "submit":
                self._open.fields.append((name, given.get("value", "on" if given.get("type") == "checkbox" else "")))
        elif tag == "button" and name:
            self._open.buttons.append((name, given.get("value", "")))
        elif tag == "select":
            self._select, self._options = name, []
            self._open.names.add(name)
        elif tag == "option" and self._select is not None:
            self._options.append((given.get("value", ""), "selected" in given))
        elif tag == "textarea":
            self._area = name
            self._open.names.add(name)
            self._open.fields.append((name, ""))

    def handle_endtag(self, tag: str) -> None:
        if tag in ("style", "script", "svg"):
            self._quiet -= 1
        if tag == "form":
            self._open = None
        if tag == "select" and self._open is not None and self._select is not None:
            chosen = [value for value, selected in self._options if selected] or [value for value, _ in self._options[:1]]
            self._open.fields += [(self._select, value) for value in chosen]
            self._select = None
        if tag == "textarea":
            self._area = None

    def handle_data(self, data: str) -> None:
        if self._area is not None and self._open is not None:
            name, value = self._open.fields[-1]
            self._open.fields[-1] = (name, value + data)
        elif not self._quiet and data.strip():
            self.text.append(" ".join(data.split()))


Files = Mapping[str, tuple[str, bytes]]


class Visitor:
    """One browser."""

    def __init__(self, app: ASGIApp, address: str = "192.168.1.20", origin: str = ORIGIN, language: str = "vi") -> None:
        self.origin = origin
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 40000))
        self.http = httpx.AsyncClient(transport=transport, base_url=origin, headers={"Accept-Language": language, "User-Agent": "Firefox"})
        self.response = httpx.Response(200)
        self.forms: list[FoundForm] = []
        self.text = ""
        self.links: list[str] = []

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Open an address and follow where it leads."""
        return await self._follow(await self.http.get(path, headers=headers))

    async def post(
        self, path: str, fields: Mapping[str, str | list[str]], headers: Mapping[str, str] | None = None, files: Files | None = None
    ) -> httpx.Response:
        """Send fields, and files by field, as a browser on our own page would."""
        given = {"Origin": self.origin, **(headers or {})}
        return await self._follow(await self.http.post(path, data=dict(fields), headers=given, files=files))

    async def submit(
        self,
        action: str,
        fields: Mapping[str, str | list[str]] | None = None,
        button: tuple[str, str] | None = None,
        files: Files | None = None,
    ) -> httpx.Response:
        """Fill in the form of this page that goes to `action`, and press its button."""
        wanted = fields or {}
        candidates = [form for form in self.forms if form.action == action and (button is None or button in form.buttons)]
        assert candidates, f"no form goes to {action} {button or ''}; there are {[form.action for form in self.forms]}"
        form = candidates[0]
        unknown = set(wanted) - form.names
        assert not unknown, f"the form has no field {unknown}; it has {sorted(form.names)}"
        sent: dict[str, str | list[str]] = {}
        for name, value in form.fields:
            if name not in wanted:
                before = sent.get(name)
                sent[name] = value if before is None else [*(before if isinstance(before, list) else [before]), value]
        sent.update(wanted)
        if button is not None:
            sent[button[0]] = button[1]
        if files:
            assert set(files) <= form.names
            sent = {name: value for name, value in sent.items() if name not in files}
        return await self.post(form.action, sent, files=files)

    async def sign_in(self, name: str, password: str, *, kept: bool = False) -> httpx.Response:
        """Through the front door."""
        await self.get("/sign-in")
        return await self.submit("/sign-in", {"sign_in": name, "password": password, **({"kept": "1"} if kept else {})})

    def has_form(self, action: str, button: tuple[str, str] | None = None) -> bool:
        """Whether this page offers a form."""
        return any(form.action == action and (button is None or button in form.buttons) for form in self.forms)

    async def _follow(self, response: httpx.Response) -> httpx.Response:
        for _ in range(5):
            if response.status_code not in (302, 303):
                break
            response = await self.http.get(response.headers["location"])
        self.response = response
        reader = _Reader()
        if "html" in response.headers.get("content-type", ""):
            reader.feed(response.text)
        self.forms, self.text, self.links = reader.forms, " ".join(reader.text), reader.links
        return response

    async def close(self) -> None:
        """Close the browser."""
        await self.http.aclose()
