"""Reading what a person sent: every field with a limit, every mistake collected, nothing trusted.

`Form` wraps the fields of a POST. Its readers note mistakes instead of raising; `Form.check()` raises them all at once, so that a
page shows every mistake beside its field. Control characters never pass.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from starlette.datastructures import UploadFile
from starlette.requests import Request

from admin.errors import FieldMistake, InvalidInput

MOST_FIELDS = 400
MOST_FIELD_BYTES = 8 * 1024 * 1024
TOKEN_FIELD = "_form"
PASSWORD_FIELD = "_password"
CODE_FIELD = "_code"
PASSKEY_FIELD = "_passkey"

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u0085\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_CLOCK = re.compile(r"([01]?[0-9]|2[0-4])[:hg.]?([0-5][0-9])?")
_Choice = TypeVar("_Choice", bound=StrEnum)


class Form:
    """The fields of one request, and the mistakes found while reading them."""

    def __init__(self, fields: Mapping[str, list[str]]) -> None:
        self.fields = fields
        self.mistakes: list[FieldMistake] = []

    def raw(self, name: str) -> str:
        """A field as sent, without control characters; empty when it was not sent."""
        values = self.fields.get(name)
        return clean(values[0]) if values else ""

    def has(self, name: str) -> bool:
        """Whether a field was sent at all (a check box that is set, a button that was pressed)."""
        return name in self.fields

    def many(self, name: str, most: int = 200) -> list[str]:
        """Every value of a repeated field, in order."""
        return [clean(value) for value in self.fields.get(name, [])[:most]]

    def text(self, name: str, longest: int, *, required: bool = True) -> str:
        """One line of text."""
        value = " ".join(self.raw(name).split())
        if not value and required:
            self.mistake(name, "required")
        elif len(value) > longest:
            self.mistake(name, "too_long")
        return value[:longest]

    def lines(self, name: str, longest: int, most: int) -> list[str]:
        """The lines of a text area, empty ones left out."""
        lines = [" ".join(line.split()) for line in self.raw(name).splitlines()]
        found = [line for line in lines if line]
        if len(found) > most:
            self.mistake(name, "too_many")
        if any(len(line) > longest for line in found):
            self.mistake(name, "too_long")
        return [line[:longest] for line in found[:most]]

    def choice(self, name: str, among: type[_Choice], default: _Choice) -> _Choice:
        """One value of a closed set."""
        value = self.raw(name)
        try:
            return among(value)
        except ValueError:
            self.mistake(name, "choose" if not value else "unknown")
            return default

    def one_of(self, name: str, among: Iterable[str]) -> str:
        """One value out of a list that the page offered."""
        value = self.raw(name)
        if value not in set(among):
            self.mistake(name, "choose" if not value else "unknown")
            return ""
        return value

    def mistake(self, field: str, code: str) -> None:
        """Note a mistake."""
        self.mistakes.append(FieldMistake(field, code))

    def check(self) -> None:
        """Raise InvalidInput with every mistake noted so far."""
        if self.mistakes:
            raise InvalidInput(*self.mistakes)


async def read_form(request: Request, *, files: int = 0) -> Form:
    """The form of a request; files are refused where the page has none, fields are bounded (the body itself by `admin.edge.limits`)."""
    sent = await request.form(max_files=files, max_fields=MOST_FIELDS, max_part_size=MOST_FIELD_BYTES)
    fields: dict[str, list[str]] = {}
    for name, value in sent.multi_items():
        if isinstance(value, str):
            fields.setdefault(name, []).append(value)
    return Form(fields)


async def save_file(request: Request, name: str, path: Path) -> bool:
    """Write the file of a form to a new private file; False when none was chosen. Call after `read_form` has allowed files."""
    sent = (await request.form()).get(name)
    if not isinstance(sent, UploadFile):
        return False
    try:
        if not sent.size:
            return False
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            while piece := await sent.read(1024 * 1024):
                file.write(piece)
        return True
    finally:
        await sent.close()


async def read_file(request: Request, name: str, most: int) -> bytes:
    """The file of a form, at most so many octets of it; empty when none was chosen. Call after `read_form` has allowed files."""
    sent = (await request.form()).get(name)
    if not isinstance(sent, UploadFile):
        return b""
    try:
        return await sent.read(most)
    finally:
        await sent.close()


def clean(text: str) -> str:
    """Text a person typed: composed (NFC), without control signs and without signs that turn the reading direction."""
    return _CONTROL.sub("", unicodedata.normalize("NFC", text)).strip()


def read_clock(text: str) -> str | None:
    """A time of day as people type it (`21:00`, `9h30`, `7g`, `0730`) as `HH:MM`; None when it is none. `24:00` is the end of the day."""
    compact = text.strip().lower().replace(" ", "")
    if compact.isdigit() and len(compact) == 4:
        compact = f"{compact[:2]}:{compact[2:]}"
    found = _CLOCK.fullmatch(compact)
    if not found:
        return None
    hours, minutes = int(found[1]), int(found[2] or 0)
    if hours == 24 and minutes:
        return None
    return f"{hours:02}:{minutes:02}"
