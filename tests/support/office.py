"""A list office for tests: its people made by the product's own functions, a gateway that keeps what it is told, and a letter to paste."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import pyotp
from starlette.types import ASGIApp

from admin.audit import MACHINE, Act
from admin.passwords import Passwords
from admin.tenants import create_account, create_organisation, grant_role
from blocklists.database import Database
from blocklists.tables import AccountId, OrganisationId, OrganisationKind, Role
from gateway import release
from tests.support.controlsocket import Fields, ScriptedGateway
from tests.support.generation import make_generation
from tests.support.people import PASSWORD
from tests.support.shippedcatalogue import load
from tests.support.visitor import Visitor

_hashes: list[str] = []
_papers: WeakKeyDictionary[ASGIApp, dict[str, list[str]]] = WeakKeyDictionary()
"""The recovery codes of each app's officers: a code of the app is good once in thirty seconds."""

LETTER = """ỦY BAN NHÂN DÂN TỈNH LAI CHÂU          CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM
SỞ VĂN HÓA, THỂ THAO VÀ DU LỊCH          Độc lập - Tự do - Hạnh phúc
Số: 412/QĐ-SVHTTDL                       Lai Châu, ngày 05 tháng 10 năm 2026
V/v ngăn chặn trang thông tin điện tử lừa đảo trẻ em

Căn cứ Luật An ninh mạng số 116/2025/QH15;
đề nghị ngăn chặn đến hết ngày 31 tháng 12 năm 2026:
1. hxxps://qua-tang-hoc-sinh[.]example
2. game-doi-the.example
3. https://www.facebook.com/groups/nhom-xau
4. https://trang-nho.example/bai-xau
5. 103.21.244.7
6. vn-cop.vn
"""


@dataclass(frozen=True, slots=True)
class Officers:
    """The people of one office; the sign-in name is the field's name, the password PASSWORD."""

    tenant: OrganisationId
    verifier: AccountId
    approver: AccountId
    second: AccountId


async def make_officers(database: Database, now: datetime) -> Officers:
    """An office with one verifier and two approvers."""
    stored = await stored_password()
    async with database.write() as connection:
        tenant = await create_organisation(connection, OrganisationKind.OFFICE, "Sở Văn hóa, Thể thao và Du lịch", "vi", now)
        made = []
        for sign_in, role in (("verifier", Role.VERIFIER), ("approver", Role.APPROVER), ("second", Role.APPROVER)):
            account = await create_account(connection, sign_in, f"Cán bộ {sign_in}", stored, "vi", now)
            await grant_role(connection, Act(tenant, MACHINE, now), account, role, basis="15/QĐ-SVHTTDL")
            made.append(account)
    return Officers(tenant, *made)


async def stored_password() -> str:
    """The hash of PASSWORD, made once."""
    if not _hashes:  # argon2 is slow on purpose; one hash serves all tests
        _hashes.append(await Passwords().hash(PASSWORD))
    return _hashes[0]


class OfficeGateway(ScriptedGateway):
    """A gateway that commits what it is told, as the supervisor does, without workers."""

    def __init__(self, state_dir: Path) -> None:
        super().__init__(state_dir)
        make_generation(state_dir, catalogue=load())

    async def _apply(self, fields: Fields) -> Fields:
        reply = await super()._apply(fields)
        release.commit_generation(self.state_dir, fields["changes"], time.time())
        return reply

    @property
    def orders(self) -> release.Orders | None:
        """The orders in force."""
        return release.read_manifest(self.state_dir).orders

    def enforced(self) -> set[str]:
        """The index keys that the segments in force block."""
        keys: set[str] = set()
        for name in self.orders.segments if self.orders else ():
            segment: dict[str, Any] = release.read_file(self.state_dir, name)
            keys |= {row[0] for row in segment["entries"]}
            keys -= {row[0] for row in segment["lifted"]}
        return keys

    def issuers(self) -> set[str]:
        """Who issued the orders that the segments in force know, as a child is shown."""
        segments = [release.read_file(self.state_dir, name) for name in (self.orders.segments if self.orders else ())]
        return {order["issuer"] for segment in segments for order in segment["orders"]}


async def officer(app: ASGIApp, sign_in: str, address: str = "192.168.1.30") -> Visitor:
    """An officer at a browser of their own, signed in with both factors; at the first sign-in the second one is set up."""
    browser = Visitor(app, address)
    await browser.sign_in(sign_in, PASSWORD)
    papers = _papers.setdefault(app, {})
    if browser.has_form("/sign-in/code"):
        await browser.submit("/sign-in/code", {"code": papers[sign_in].pop()})
    elif sign_in not in papers:
        await browser.get("/account")
        if browser.has_form("/account/factor/begin"):
            papers[sign_in] = await enrol(browser)
    await browser.get("/")
    return browser


def paper(app: ASGIApp, sign_in: str) -> str:
    """An unused recovery code of an officer."""
    return _papers[app][sign_in].pop()


def typed_key(page: str) -> str:
    """The key of the second step, which the page shows in groups of four letters."""
    groups = re.findall(r"<span>([A-Z2-7]{4})</span>", page)
    assert len(groups) == 8, "the page shows a key"
    return "".join(groups)


async def enrol(browser: Visitor) -> list[str]:
    """Set up the second factor through the pages, as a person with an app does; the recovery codes."""
    await browser.submit("/account/factor/begin")
    await browser.submit("/account/factor", {"code": pyotp.TOTP(typed_key(browser.response.text)).now()})
    return re.findall(r"<li>([2-9a-z]{5}(?:-[2-9a-z]{5}){2})</li>", browser.response.text)
