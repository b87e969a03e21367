"""Gateways join by a code and leave signed receipts; what cannot be true is refused, and a journal that was written anew is found."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import delete, select, text

from admin.app import create_app
from admin.audit import verify_database
from admin.dependencies import Services
from admin.officegateways import read_gateways
from admin.officetables import gateways
from admin.pages.guide import read_guide
from admin.settings import AdminSettings
from blocklists.database import Database
from blocklists.follower import FollowError, follow
from blocklists.journal import append, read_head
from blocklists.pairing import JoinCode, fingerprint_of, parse_code, words_of
from blocklists.receipts import Receipt, join_bytes, load_key, public_of, seal
from blocklists.sealing import Keys, ask, office_keys, unwrap
from blocklists.tables import EVERY_TENANT, journal
from gateway.policy.masked import mask
from gateway.settings import TlsSettings
from tests.admin.conftest import Clock
from tests.admin.routes.test_officeorders import gateway
from tests.admin.routes.test_officesigning import PASSPHRASE, approve, make_key
from tests.blocklists.test_journal import entry
from tests.support.listserver import make_certificate
from tests.support.office import LETTER, OfficeGateway, Officers, officer
from tests.support.publisher import serve
from tests.support.visitor import Visitor

__all__ = ["gateway"]


class Far:
    """A gateway far away: its key, its code, and what it sends."""

    def __init__(self, browser: Visitor, folder: Path, code: JoinCode) -> None:
        self.http, self.origin, self.code = browser.http, browser.origin, code
        self.key = load_key(folder / "gateway.key")
        self.receipt = Receipt("", 1, 0, 0, None, "0.1.0", 0)

    async def join(self) -> int:
        """Come with the ticket; the status."""
        public = public_of(self.key)
        proof = self.key.sign(join_bytes(self.code.ticket, public)).hex()
        body = json.dumps({"ticket": self.code.ticket, "public": public, "proof": proof})
        answer = await self.http.post("/release/join", content=body, headers={"Origin": self.origin})
        if answer.status_code == 200:
            self.receipt = replace(self.receipt, gateway=answer.json()["gateway"])
        return answer.status_code

    async def send(self, data: bytes) -> str:
        """Send bytes; `taken`, or the code of the refusal."""
        answer = await self.http.post("/release/receipts", content=data, headers={"Origin": self.origin})
        return "unknown" if answer.status_code == 404 else answer.json()["code"] or "taken"

    async def ask_keys(self, own: Ed25519PrivateKey | None = None) -> Keys | int:
        """Ask for the keys of sealed segments; the status where none are given."""
        question, moment = ask(self.receipt.gateway, own or self.key)
        answer = await self.http.post("/release/keys", content=question, headers={"Origin": self.origin})
        return unwrap(answer.content, moment) if answer.status_code == 200 else answer.status_code

    async def tell(self, **changes: object) -> str:
        """Send the next receipt."""
        self.receipt = replace(self.receipt, counter=self.receipt.counter + 1, **changes)  # type: ignore[arg-type]
        return await self.send(seal(self.receipt, self.key))


async def code_for(browser: Visitor, label: str) -> JoinCode:
    """Make a code on the page."""
    await browser.get("/office/gateways")
    await browser.submit("/office/gateways", {"label": label})
    shown = re.search(r"lachan join '([^']+)'", browser.text)
    assert shown is not None, browser.text
    return parse_code(shown[1])


@pytest.fixture
async def far(two: Visitor, tmp_path: Path) -> Far:
    """A gateway that joined an office with a signing key."""
    await make_key(two)
    one = Far(two, tmp_path / "far", await code_for(two, "Trường A <b>"))
    assert await one.join() == 200
    return one


async def head_of(database: Database) -> tuple[int, str]:
    """The head of the journal now, as a release carries it."""
    async with database.read() as connection:
        head = await read_head(connection)
    return head.seq, head.digest.hex()


async def test_code_carries_address_and_root_and_is_good_once(two: Visitor, far: Far, settings: AdminSettings, tmp_path: Path) -> None:
    """Both sides show the same words; a second gateway cannot use the code; the page never shows it again."""
    root = (settings.state_dir / "release/metadata/1.root.json").read_bytes()
    assert far.code.fingerprint == fingerprint_of(root)
    assert far.code.url.endswith("/release")
    await two.get(f"/office/gateways/code.svg?code={str(far.code).replace('#', '%23')}")
    assert two.response.headers["content-type"] == "image/svg+xml"
    await two.get("/office/gateways")
    assert "Trường A <b>" in two.text and "Trường A <b>" not in two.response.text
    assert words_of(fingerprint_of(bytes.fromhex(public_of(far.key)))) in two.text
    assert far.code.ticket not in two.response.text
    assert await Far(two, tmp_path / "thief", far.code).join() == 404
    assert await far.join() == 200  # the same gateway may come again: its answer was lost


async def test_stolen_or_old_tickets_are_worth_nothing(two: Visitor, tmp_path: Path, clock: Clock) -> None:
    """A proof by another key, a ticket nobody made, one that is a week old."""
    await make_key(two)
    code = await code_for(two, "Trường B")
    thief = Far(two, tmp_path / "thief", code)
    body = json.dumps({"ticket": code.ticket, "public": public_of(load_key(tmp_path / "other")), "proof": thief.key.sign(b"x").hex()})
    for content in (body, "{}", "[" * 500, "x"):
        answer = await two.http.post("/release/join", content=content, headers={"Origin": two.origin})
        assert answer.status_code == 404
    assert await Far(two, tmp_path / "t", replace(code, ticket="a" * 24)).join() == 404
    clock.forward(days=8)
    assert await thief.join() == 404


async def test_page_says_who_enforces_what_since_when_and_who_lags(
    one: Visitor, two: Visitor, far: Far, gateway: OfficeGateway, database: Database, clock: Clock, officers: Officers
) -> None:
    """A true receipt is shown; when a newer version stays away, the gateway lags; when it says nothing, it is silent."""
    await approve(one, two, PASSPHRASE)
    at = int(clock.at.timestamp())
    clock.forward(minutes=3)
    assert await far.tell(serial=1, in_force_at=at + 120, journal=await head_of(database)) == "taken"
    await two.get("/office/gateways")
    assert "Bản 1: 2 trên 2 cổng lọc" in two.text and "đang giữ bản cũ" not in two.text
    await approve(one, two, PASSPHRASE, "trang-khac.example")
    clock.forward(minutes=20)
    await two.get("/office/gateways")
    assert "đang giữ bản cũ" in two.text and "Bản 2: 1 trên 2 cổng lọc" in two.text
    assert "còn 40 phút từ phê duyệt đến mọi cổng lọc" in two.text
    assert await far.tell(serial=2, in_force_at=int(clock.at.timestamp())) == "taken"
    async with database.read() as connection:
        assert [one.state for one in await read_gateways(connection, officers.tenant, clock.at)] == ["current"]
        assert [one.state for one in await read_gateways(connection, officers.tenant, clock.at + timedelta(hours=4))] == ["silent"]


async def test_a_receipt_that_drips_in_holds_nobody_up(far: Far, two: Visitor, services: Services) -> None:
    """Who sends the first octets of a receipt and no more keeps no place in the database: others write meanwhile."""
    assert await far.join() == 200
    begun, rest = asyncio.Event(), asyncio.Event()

    async def dripping() -> AsyncIterator[bytes]:
        yield b'{"receipt":'
        begun.set()
        await rest.wait()
        yield b"1}"

    slow = asyncio.create_task(far.http.post("/release/receipts", content=dripping(), headers={"Origin": far.origin}))
    await begun.wait()
    async with asyncio.timeout(5):
        async with services.database.write() as connection:
            assert connection
        assert await far.tell() == "taken"
    rest.set()
    assert (await slow).status_code == 404


async def test_a_flood_of_receipts_leaves_places_for_people(far: Far, two: Visitor, services: Services) -> None:
    """Receipts beyond those under way are sent again with a later round; an officer's page is answered."""
    assert await far.join() == 200
    places = services.office.receiving
    held = 0
    while not places.locked():
        await places.acquire()
        held += 1
    far.receipt = replace(far.receipt, counter=far.receipt.counter + 1)
    answer = await far.http.post("/release/receipts", content=seal(far.receipt, far.key), headers={"Origin": far.origin})
    assert answer.status_code == 503
    assert (await two.get("/office/gateways")).status_code == 200
    for _ in range(held):
        places.release()
    assert await far.tell() == "taken"


async def test_lies_and_replays_are_refused(
    one: Visitor, two: Visitor, far: Far, gateway: OfficeGateway, database: Database, clock: Clock, tmp_path: Path
) -> None:
    """What the gateway told before stands; the page says why the newest was not believed."""
    await approve(one, two, PASSPHRASE)
    at = int(clock.at.timestamp())
    assert await far.tell(serial=1, in_force_at=at, journal=await head_of(database)) == "taken"
    taken = seal(far.receipt, far.key)
    assert await far.send(taken) == "replayed"
    assert await far.send(seal(replace(far.receipt, counter=99), load_key(tmp_path / "thief"))) == "signature"
    assert await far.send(seal(replace(far.receipt, gateway="nobody"), far.key)) == "unknown"
    for changed in (taken.replace(b'"serial":1', b'"serial":2'), taken.replace(b'"counter":2', b'"counter":9')):
        assert await far.send(changed) == "signature"
    for broken in (b"", b"{}", taken[:-9], b"[" * 4000, taken.replace(b'"serial":1', b'"serial":true'), b"x" * 5000):
        assert await far.send(broken) == "unknown"
    for lie, code in (
        ({"serial": 7}, "unknown_serial"),
        ({"serial": 0}, "went_back"),
        ({"serial": 1, "in_force_at": at - 86400}, "clock"),
        ({"in_force_at": at + 86400}, "clock"),
        ({"in_force_at": at, "journal": (3, "ab" * 32)}, "journal"),
    ):
        assert await far.tell(**lie) == code
        await two.get("/office/gateways")
        assert "Bản 1: 2 trên 2" in two.text and "không tin" in two.text
    assert "không phải nhật ký này" in two.text
    clock.forward(minutes=5)
    assert await far.tell(journal=await head_of(database)) == "taken"
    await two.get("/office/gateways")
    assert "Một báo cáo trước đó (5 phút trước) không được tin:" in two.text and "không phải nhật ký này" in two.text
    form = next(form.action for form in two.forms if form.action.endswith("/retire"))
    clock.forward(days=1)
    assert await far.tell(journal=await head_of(database)) == "taken"
    async with database.read() as connection:
        assert (await connection.execute(select(gateways.c.refusal).execution_options(**EVERY_TENANT))).scalars().all() == [""]
    clock.forward(days=-1)
    await two.submit(form)
    assert await far.tell() == "unknown"


async def test_journal_written_anew_is_found(
    one: Visitor, two: Visitor, far: Far, gateway: OfficeGateway, database: Database, services: Services, clock: Clock
) -> None:
    """Whoever owns the database makes the whole chain anew, checkpoint and all: signed heads, here and in receipts, say otherwise."""
    await approve(one, two, PASSPHRASE)
    head = await head_of(database)
    state_dir = services.settings.state_dir
    assert await far.tell(serial=1, in_force_at=int(clock.at.timestamp()), journal=head) == "taken"
    assert (await verify_database(database, state_dir)).first_bad is None
    async with database.write() as connection:
        for trigger in (await connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'"))).scalars().all():
            await connection.execute(text(f"DROP TRIGGER {trigger}"))
        await connection.execute(delete(journal))
        for number in range(60):
            await append(connection, replace(entry(number), tenant_id=None, actor_id=None))
    (state_dir / "journal.head").unlink(missing_ok=True)
    found = await verify_database(database, state_dir)
    assert found.first_bad is not None and "release or receipt" in found.reason
    assert services.office.alarm.since is None
    assert await far.tell() == "journal"
    assert services.office.alarm.since == clock.at
    await two.get("/office/gateways")
    assert "lachan verify-journal" in two.text


async def test_masked_names_are_for_gateways_that_joined(
    one: Visitor, two: Visitor, far: Far, gateway: OfficeGateway, settings: AdminSettings, clock: Clock, tmp_path: Path
) -> None:
    """A masked name is approved and signed: no file for everybody tells whether it is listed; a gateway asks for the key;
    nobody else is given one, and a gateway that was taken off has none for what comes next."""
    await one.get("/office/orders/new")
    await one.submit("/office/orders/read", {"text": f"{LETTER.partition('1. ')[0]}1. trang-cam.example\n", "category": "csam"})
    await one.submit("/office/orders")
    path = one.response.url.path
    for action in [form.action for form in one.forms if form.action.endswith("/open")]:
        await one.submit(action)
    await one.submit(f"{path}/verify")
    await two.get(path)
    await two.submit(f"{path}/approve", {"passphrase": PASSPHRASE}, button=("step", "approve"))
    folder, key = settings.state_dir / "release", mask("example.trang-cam.")
    assert gateway.enforced() == {key}
    public = [file.read_bytes() for file in folder.rglob("*") if file.is_file()]
    assert len(public) > 6 and not [data for data in public if key[1:-1].encode() in data]
    root = (folder / "metadata/1.root.json").read_bytes()
    keys = await far.ask_keys()
    assert keys == office_keys(settings.state_dir)
    with serve(folder) as url:
        with pytest.raises(FollowError, match="was not given"):
            follow(tmp_path / "stranger", url, root, 0, now=clock.at)
        taken = follow(tmp_path / "joined", url, root, 0, now=clock.at, keys=keys.get)
    assert taken is not None
    assert [row[0] for segment in taken.fresh.values() for row in segment["entries"]] == [key]
    assert await far.ask_keys(load_key(tmp_path / "thief")) == 404
    for broken in (b"", b"{}", b"[" * 4000, b"x" * 5000):
        assert (await far.http.post("/release/keys", content=broken, headers={"Origin": far.origin})).status_code == 404
    await two.get("/office/gateways")
    await two.submit(next(form.action for form in two.forms if form.action.endswith("/retire")))
    assert await far.ask_keys() == 404
    assert len(office_keys(settings.state_dir)) == len(keys) + 1


async def test_page_says_when_gateways_elsewhere_will_not_trust_its_address(
    services: Services, settings: AdminSettings, officers: Officers, tmp_path: Path
) -> None:
    """With a certificate signed by itself it stands there in words, with the way to the guide's chapter; without one it does not."""
    made = make_certificate(tmp_path, "office.example")
    for tls, is_told in ((TlsSettings(made.chain, made.key), True), (None, False)):
        own = replace(settings, url="https://office.example:8443", tls=tls)
        browser = await officer(create_app(replace(services, settings=own)), "approver" if is_told else "second")
        await browser.get("/office/gateways")
        said = "Cổng lọc ở nơi khác sẽ không tin địa chỉ trong mã, https://office.example:8443/release"
        assert (said in browser.text, "/guide/co-quan#m4" in browser.links) == (is_told, is_told)
        await browser.close()
    chapter = next(block for block in read_guide("co-quan") if block.anchor == "m4")
    assert chapter.spans[0].text == "Ký danh sách, nối các cổng lọc"


async def test_a_gateway_that_left_or_was_taken_off_comes_back_with_a_new_code(
    two: Visitor, far: Far, services: Services, tmp_path: Path
) -> None:
    """By its own key, which it keeps: under the new code it is a gateway once, and its old place is over. Its old code opens nothing."""
    again = Far(two, tmp_path / "far", await code_for(two, "Trường A (mới)"))
    assert await again.join() == 200
    assert await far.join() == 404
    await two.get("/office/gateways")
    await two.submit(f"/office/gateways/{again.receipt.gateway}/retire")
    back = Far(two, tmp_path / "far", await code_for(two, "Trường A (lại)"))
    assert await back.join() == 200
    async with services.database.read() as connection:
        rows = (await connection.execute(select(gateways).execution_options(**EVERY_TENANT))).all()
    assert [row.label for row in rows if row.retired_at is None and row.public is not None] == ["Trường A (lại)"]
    assert len([row for row in rows if row.retired_at is not None and row.public is None]) == 2
