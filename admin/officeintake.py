"""From a pasted letter or an office file to a form with judged rows. Nothing is stored: the file is read in memory and dropped.

Full addresses of places on platforms stand in the one answer to the request that brought them (`Intake.export`), nowhere else. What the
second request needs (rows with the host part only) travels in the page, encrypted and sealed under a key of the office, so that nobody can
slip in a row that the guard did not judge, and a page that was kept tells no name.
"""

from __future__ import annotations

import asyncio
import base64
import csv
import hashlib
import io
import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, astuple, dataclass, replace
from itertools import islice
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from admin.errors import FieldMistake as Mistake
from admin.errors import InvalidInput
from blocklists.guard import Guard
from blocklists.takedown.filereader import read_apart
from blocklists.takedown.filetext import ENDLESS_WORD, FileText, Unread, UnreadableFile
from blocklists.takedown.importer import Import, Row, judge_rows, known_endings
from blocklists.takedown.letters import Letter, read_letter
from blocklists.takedown.masking import hide, names_key
from blocklists.takedown.model import MASKED, Enforceability, Match
from blocklists.takedown.reading import Found, find_addresses, find_in_cells, has_endless_word
from blocklists.takedown.store import NewItem, NewOrder, Office

MOST_ROWS = 100_000
"""So many different addresses may one document have; in all, with those that come again, four times as many."""
MOST_SEALED = 8 * 1024 * 1024
"""Letters of what the page carries to the next request, and below it octets when it is unpacked."""
MOST_UNSEALED = 128 * 1024 * 1024
_NONCE = 12
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as it came: its name, and its bytes for as long as the request lasts."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Intake:
    """What one letter and its files gave, and what of them was not read."""

    letter: Letter
    found: Import
    file_digest: str | None
    file_bytes: int | None
    unread: tuple[Unread, ...] = ()

    @property
    def platforms(self) -> list[Row]:
        """Rows on shared platforms: DNS cannot touch them, the platform must."""
        return [row for row in self.found.rows if row.verdict is Enforceability.SHARED_PLATFORM]

    def export(self) -> str:
        """The full addresses on platforms as CSV for the office's own letter to the platform; cells cannot become formulas."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\r\n")
        writer.writerow(["platform", "kind", "address"])
        for row in self.platforms:
            writer.writerow([_cell(row.item.platform or ""), _cell(row.item.platform_kind or ""), _cell(row.address)])
        return text.getvalue()

    def export_link(self) -> str:
        """The same as an address that lives inside the page."""
        return "data:text/csv;charset=utf-8;base64," + base64.b64encode(b"\xef\xbb\xbf" + self.export().encode()).decode()


def read_intake(
    text: str, upload: Upload | None, guard: Guard, office: Office, known: frozenset[str], tell: Callable[[int, int], None] | None = None
) -> Intake:
    """Read the letter and judge every address in it. Costs time with the size of the file: call it off the event loop.

    `tell` is called now and then with how many of how many addresses are judged. Raises UnreadableFile.
    """
    endings = known_endings()
    found = _collected(find_addresses(text, endings))
    spoken = text
    digest = size = None
    file = FileText()
    if upload is not None and upload.content:
        file = read_apart(upload.name, upload.content)
        digest, size = hashlib.sha256(upload.content).hexdigest(), len(upload.content)
        if not text.strip():
            spoken = "\n".join("   ".join(row) for row in file.rows[:400])  # so wide a gap divides the columns of a letterhead
        is_prose = upload.name.rpartition(".")[2].lower() not in ("csv", "xlsx", "xlsm")
        lines = (" ".join(row) for row in file.rows)
        found += _collected(find_addresses("\n".join(lines), endings) if is_prose else find_in_cells(file.rows, endings))
    if has_endless_word(text) or any(has_endless_word(cell) for row in file.rows for cell in row):
        file.miss(ENDLESS_WORD)
    if len({one.text for one in found}) > MOST_ROWS:
        raise _too_many()
    rows = judge_rows(_counted(found, tell), guard, office.digest, known)
    return Intake(read_letter(spoken), rows, digest, size, tuple(file.unread))


def _collected(found: Iterator[Found]) -> list[Found]:
    kept = list(islice(found, 4 * MOST_ROWS + 1))
    if len(kept) > 4 * MOST_ROWS:
        raise _too_many()
    return kept


def _too_many() -> UnreadableFile:
    return UnreadableFile(
        "too_many_rows",
        "Văn bản này có hơn 100.000 địa chỉ, nhiều hơn một lần tiếp nhận được: hãy tách thành nhiều phần và tiếp nhận từng phần.",
        "This document has more than 100,000 addresses, which is more than can be registered at once: split it and register each part.",
    )


def _counted(found: list[Found], tell: Callable[[int, int], None] | None) -> Iterator[Found]:
    for place, one in enumerate(found):
        if tell is not None and not place % 100:
            tell(place, len(found))
        yield one


def seal(office: Office, intake: Intake) -> str:
    """What the page carries to the next request: the judged rows, what was not read and the file's digest, compressed, encrypted and
    sealed. Raises UnreadableFile for more than a form can carry."""
    content = {
        "items": [asdict(row.item) for row in intake.found.rows],
        "held": intake.found.held,
        "digest": intake.file_digest,
        "bytes": intake.file_bytes,
        "unread": [astuple(part) for part in intake.unread],
    }
    plain = json.dumps(content, separators=(",", ":")).encode()
    nonce = os.urandom(_NONCE)
    sealed = base64.urlsafe_b64encode(nonce + _box(office).encrypt(nonce, zlib.compress(plain, 6), None)).decode()
    if len(plain) > MOST_UNSEALED or len(sealed) > MOST_SEALED:
        raise _too_many()
    return sealed


@dataclass(frozen=True, slots=True)
class Unsealed:
    """What came back with the form."""

    items: tuple[NewItem, ...]
    held: bool
    file_digest: str | None
    file_bytes: int | None
    unread: tuple[Unread, ...] = ()


def unseal(office: Office, text: str) -> Unsealed:
    """Open what `seal` made. Raises InvalidInput for anything else."""
    try:
        data = base64.urlsafe_b64decode(text.encode("ascii"))
        packed = _box(office).decrypt(data[:_NONCE], data[_NONCE:], None)
    except (InvalidTag, ValueError):
        raise InvalidInput(Mistake("text", "required")) from None
    unpacking = zlib.decompressobj()
    plain = unpacking.decompress(packed, MOST_UNSEALED)
    if unpacking.unconsumed_tail:
        raise InvalidInput(Mistake("text", "required"))
    content = json.loads(plain)
    items = tuple(NewItem(**{**row, "match": Match(row["match"]), "verdict": Enforceability(row["verdict"])}) for row in content["items"])
    unread = tuple(Unread(*part) for part in content.get("unread", ()))  # a page from before an upgrade has none
    return Unsealed(items, bool(content["held"]), content["digest"], content["bytes"], unread)


def _box(office: Office) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(hashlib.sha256(b"lachan intake 1\n" + office.digest("intake").encode()).digest())


async def hidden(order: NewOrder, state_dir: Path) -> NewOrder:
    """The document as it is stored: names of the masked category stand in it masked and sealed."""
    if order.category != MASKED:
        return order
    key = await asyncio.to_thread(names_key, state_dir)
    return replace(order, items=[hide(item, key) for item in order.items])


def tally(items: Iterable[NewItem]) -> list[tuple[str, int]]:
    """How many rows have which verdict, in the order of the enum."""
    counts = dict.fromkeys(Enforceability, 0)
    for item in items:
        counts[item.verdict] += 1
    return [(verdict.value, count) for verdict, count in counts.items() if count]


def _cell(text: str) -> str:
    """A cell that no spreadsheet takes for a formula (CWE-1236)."""
    return f"'{text}" if text.startswith(_FORMULA) else text
