"""Signing on the page: keys of officers, releases that gateways elsewhere verify, several signatures, lost and withdrawn keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from starlette.types import ASGIApp

from admin import officesigning
from admin.audit import MACHINE, Act
from admin.dependencies import Services
from admin.officedirectives import officers as listed
from admin.people import end_role, list_members
from admin.settings import AdminSettings
from blocklists.database import Database
from blocklists.follower import FollowError, Release, follow
from blocklists.pairing import fingerprint_of, words_of
from tests.admin.conftest import Clock
from tests.admin.routes.test_officeorders import gateway, register
from tests.admin.routes.test_transparency import ask_review
from tests.support.office import LETTER, OfficeGateway, Officers, officer
from tests.support.publisher import serve
from tests.support.visitor import Visitor

__all__ = ["gateway"]
PASSPHRASE = "mây tím cưỡi trâu"


@pytest.fixture
async def three(app: ASGIApp, officers: object) -> AsyncIterator[Visitor]:
    """The second approver."""
    browser = await officer(app, "second", "192.168.1.32")
    yield browser
    await browser.close()


async def make_key(browser: Visitor, passphrase: str = PASSPHRASE) -> None:
    """Make a key on the page, as the officer at it."""
    await browser.get("/office/signing")
    await browser.submit("/office/signing/key", {"passphrase": passphrase, "again": passphrase})
    assert browser.response.status_code == 200, browser.text


async def sign(browser: Visitor, passphrase: str = PASSPHRASE) -> None:
    """Sign what waits."""
    await browser.get("/office/signing")
    await browser.submit("/office/signing/sign", {"passphrase": passphrase})


async def approve(one: Visitor, two: Visitor, passphrase: str | None, host: str = "game-doi-the.example") -> str:
    """A letter about one name, verified and approved; `passphrase` None where none is asked for."""
    path = await register(one, f"{LETTER.partition('1. ')[0]}1. {host}\n")
    await one.submit(f"{path}/verify")
    await two.get(path)
    fields = {} if passphrase is None else {"passphrase": passphrase}
    await two.submit(f"{path}/approve", fields, button=("step", "approve"))
    return path


class Far:
    """A gateway far away that was given the office's first root."""

    def __init__(self, folder: Path, office: Path, clock: Clock) -> None:
        self.folder, self.office, self.clock = folder, office, clock
        self.serial = 0
        self.keys: set[str] = set()

    def take(self) -> Release | None:
        """Follow once, whole."""
        root = (self.office / "metadata/1.root.json").read_bytes()
        with serve(self.office) as url:
            release = follow(self.folder, url, root, self.serial, now=self.clock.at)
        if release is None or release.serial == self.serial:
            return None
        self.serial = release.serial
        self.keys = {row[0] for segment in release.fresh.values() for row in segment["entries"]}
        return release


@pytest.fixture
def far(settings: AdminSettings, clock: Clock, tmp_path: Path) -> Far:
    return Far(tmp_path / "far", settings.state_dir / "release", clock)


async def test_approval_signs_and_a_far_gateway_takes_it(one: Visitor, two: Visitor, gateway: OfficeGateway, far: Far) -> None:
    """No command: a key made on the page, a passphrase at the approval, a release that verifies; lifted, it leaves the same way."""
    await make_key(two)
    root = (far.office / "metadata/1.root.json").read_bytes()
    assert words_of(fingerprint_of(root)) in two.text
    path = await approve(one, two, "sai cụm mật khẩu này")
    assert two.response.status_code == 422
    assert "không mở được" in two.text and "sai cụm" not in two.text
    assert gateway.enforced() == set()
    await two.get(path)
    await two.submit(f"{path}/approve", {"passphrase": PASSPHRASE}, button=("step", "approve"))
    assert gateway.enforced() == {"example.game-doi-the."}
    release = far.take()
    assert release is not None and release.journal is not None
    assert (far.serial, far.keys) == (1, {"example.game-doi-the."})
    await two.get("/office/entries")
    await two.get(next(link for link in two.links if link.startswith("/office/entries/")))
    form = next(form for form in two.forms if form.action.endswith("/lift"))
    await two.submit(form.action, {"reason": "hết vi phạm", "passphrase": PASSPHRASE})
    assert gateway.enforced() == set()
    release = far.take()
    assert release is not None and far.serial == 2


async def test_without_a_key_nothing_is_asked_and_a_key_signs_it_later(
    one: Visitor, two: Visitor, gateway: OfficeGateway, far: Far
) -> None:
    """An office without keys enforces here; once there is a key, what was approved before is signed with it."""
    await approve(one, two, None)
    assert gateway.enforced() == {"example.game-doi-the."}
    assert not (far.office / "metadata").exists()
    await make_key(two)
    assert far.take() is not None


async def test_two_approvers_sign_where_the_office_wants_it(
    one: Visitor, two: Visitor, three: Visitor, gateway: OfficeGateway, far: Far
) -> None:
    """A second key is admitted by the first; with two signatures wanted, one publishes nothing and the second does."""
    await make_key(two)
    await make_key(three, "cụm mật khẩu khác hẳn")
    assert "chờ một cán bộ khác" in three.text and "0/1" in three.text, "the new key's own signature admits it nowhere"
    assert not three.has_form("/office/signing/sign")
    for browser, is_told in ((two, True), (three, False)):
        await browser.get("/office")
        assert ("đang chờ bạn ký" in browser.text) is is_told
    await sign(two)
    await three.get("/office/signing")
    assert "chờ một cán bộ khác" not in three.text
    await two.get("/office")
    assert "đang chờ bạn ký" not in two.text
    await two.get("/office/signing")
    await two.submit("/office/signing/rule", {"threshold": "2"})
    await sign(two)
    assert far.take() is None
    await sign(three, "cụm mật khẩu khác hẳn")
    assert not two.has_form("/office/signing/sign")
    await approve(one, two, PASSPHRASE)
    assert gateway.enforced() == {"example.game-doi-the."}
    assert far.take() is None
    await sign(three, "cụm mật khẩu khác hẳn")
    assert far.take() is not None and far.serial == 1


def retire(browser: Visitor, place: int) -> str:
    """The press that withdraws the key of this place, the oldest first."""
    return [form.action for form in browser.forms if form.action.endswith("/retire")][place]


async def test_a_key_that_no_root_names_yet_is_not_asked_for(one: Visitor, two: Visitor, three: Visitor, gateway: OfficeGateway) -> None:
    """A new approver's passphrase is asked for from the signature on that appoints the key; before, the approval goes without."""
    await make_key(two)
    await make_key(three)
    for host, is_asked in (("mot.example", False), ("hai.example", True)):
        path = await register(one, f"{LETTER.partition('1. ')[0]}1. {host}\n")
        await one.submit(f"{path}/verify")
        await three.get(path)
        assert ("passphrase" in next(form.names for form in three.forms if form.action == f"{path}/approve")) is is_asked
        await three.submit(f"{path}/approve", {"passphrase": PASSPHRASE} if is_asked else {}, button=("step", "approve"))
        assert "đã duyệt" in three.text
        if not is_asked:
            await sign(two)


async def test_withdrawn_key_signs_nothing_more(
    one: Visitor, two: Visitor, three: Visitor, gateway: OfficeGateway, far: Far, clock: Clock
) -> None:
    """Somebody's passphrase is lost: they withdraw their key, another officer signs the change, and the list that the lost key signed."""
    await make_key(two)
    clock.forward(seconds=1)
    await make_key(three, "cụm mật khẩu khác hẳn")
    await sign(two)
    await approve(one, two, PASSPHRASE)
    assert far.take() is not None
    await two.get("/office/signing")
    await two.submit(retire(two, 0))
    await sign(three, "cụm mật khẩu khác hẳn")
    await approve(one, three, "cụm mật khẩu khác hẳn", "trang-khac.example")
    assert far.take() is not None and far.serial == 2
    await two.get("/office/signing")
    assert two.has_form("/office/signing/key")


async def test_somebody_elses_key_is_withdrawn_by_two(
    one: Visitor, two: Visitor, three: Visitor, gateway: OfficeGateway, clock: Clock
) -> None:
    """One officer alone takes nobody's key, however often they ask: it goes on signing until a second one agrees."""
    await make_key(two)
    clock.forward(seconds=1)
    await make_key(three, "cụm mật khẩu khác hẳn")
    await sign(two)
    await three.get("/office/signing")
    form = next(form for form in three.forms if form.action.endswith("/retire"))
    for _ in range(2):
        await three.http.post(form.action, data=dict(form.fields), headers={"Origin": three.origin})
        await three.get("/office/signing")
        assert "khi một cán bộ nữa đồng ý" in three.text and len([one for one in three.forms if one.action.endswith("/retire")]) == 1
    await approve(one, two, PASSPHRASE)
    assert two.response.status_code == 200 and gateway.enforced() == {"example.game-doi-the."}
    await one.get("/office/signing")
    assert "một cán bộ khác muốn thu hồi" in one.text
    await one.submit(retire(one, 0))
    await two.get("/office/signing")
    assert two.has_form("/office/signing/key")


async def test_who_is_no_officer_any_more_withdraws_nobodys_key(
    one: Visitor, two: Visitor, three: Visitor, gateway: OfficeGateway, clock: Clock, database: Database, officers: Officers
) -> None:
    """The word of an officer whose role has ended is no first one: a second officer who asks is the first."""
    await make_key(two)
    clock.forward(seconds=1)
    await make_key(three, "cụm mật khẩu khác hẳn")
    await sign(two)
    await three.get("/office/signing")
    await three.submit(next(form.action for form in three.forms if form.action.endswith("/retire")))
    async with database.write() as connection:
        role = next(row for row in await list_members(connection, officers.tenant, clock.at) if row.account == officers.second)
        await end_role(connection, Act(officers.tenant, MACHINE, clock.at), role.assignment)
    clock.forward(seconds=1)
    await one.get("/office/signing")
    await one.submit(retire(one, 0))
    await approve(one, two, PASSPHRASE)
    assert two.response.status_code == 200 and gateway.enforced() == {"example.game-doi-the."}


async def test_a_site_that_a_review_opened_is_open_elsewhere_only_once_it_is_signed(
    one: Visitor, two: Visitor, three: Visitor, gateway: OfficeGateway, far: Far, visitor: Visitor, clock: Clock
) -> None:
    """The officer who decides has no key: the page says that gateways elsewhere still block, and the answer promises nothing too early."""
    await make_key(two)
    await approve(one, two, PASSPHRASE)
    assert far.take() is not None and far.keys
    clock.forward(seconds=1)
    code = await ask_review(visitor, "game-doi-the.example")
    await three.get("/office")
    path = next(link for link in three.links if link.startswith("/office/reviews/"))
    await three.get(path)
    await three.submit(f"{path}/take")
    await three.submit(f"{path}/decide", {"reason": "Trang đã dọn sạch."}, ("step", "overturn"))
    await three.get(path)
    assert "Các cổng lọc nơi khác vẫn chặn" in three.text and "/office/signing" in three.links
    await visitor.get(f"/transparency/answer?code={code}")
    assert "khi danh sách được ký" in visitor.text and "trang đã mở lại" not in visitor.text
    await sign(two)
    assert far.take() is not None and far.serial == 2
    await three.get(path)
    assert "Các cổng lọc nơi khác vẫn chặn" not in three.text
    await visitor.get(f"/transparency/answer?code={code}")
    assert "trang đã mở lại" in visitor.text


async def test_guessing_a_passphrase_slows_down_the_guesser_alone(
    one: Visitor, two: Visitor, three: Visitor, gateway: OfficeGateway
) -> None:
    """After some wrong ones the right one is not tried either, on no page; a colleague goes on approving and signing."""
    await make_key(two)
    await make_key(three, "cụm mật khẩu khác hẳn")
    await sign(two)
    path = await register(one, f"{LETTER.partition('1. ')[0]}1. game-doi-the.example\n")
    await one.submit(f"{path}/verify")
    for _ in range(12):
        await two.get(path)
        await two.submit(f"{path}/approve", {"passphrase": "sai cụm mật khẩu này"}, button=("step", "approve"))
        if "Sai cụm mật khẩu quá nhiều lần" in two.text:
            break
        assert "không mở được" in two.text
    await two.submit(f"{path}/approve", {"passphrase": PASSPHRASE}, button=("step", "approve"))
    assert two.response.status_code == 422 and "Sai cụm mật khẩu quá nhiều lần" in two.text and gateway.enforced() == set()
    await three.get(path)
    await three.submit(f"{path}/approve", {"passphrase": "cụm mật khẩu khác hẳn"}, button=("step", "approve"))
    assert gateway.enforced() == {"example.game-doi-the."}


async def test_passphrase_has_a_length_and_is_typed_twice(two: Visitor, far: Far) -> None:
    """A short passphrase, and two that differ, make no key."""
    for first, again, words in (("ngắn", "ngắn", "12"), (PASSPHRASE, PASSPHRASE + "x", "không giống")):
        await two.get("/office/signing")
        await two.submit("/office/signing/key", {"passphrase": first, "again": again})
        assert two.response.status_code == 422 and words in two.text
        assert first not in two.text
    assert not (far.office / "metadata").exists()


async def test_server_signs_its_silence_and_the_approver_in_time(
    two: Visitor, services: Services, database: Database, clock: Clock, far: Far, officers: object, one: Visitor, gateway: OfficeGateway
) -> None:
    """Once a day without anybody; and before the approver's signature ends the page asks for it anew."""
    await make_key(two)
    await approve(one, two, PASSPHRASE)
    tenant = officers.tenant  # type: ignore[attr-defined]
    clock.forward(days=2)
    await services.office.signing.settle(tenant, clock.at)
    assert far.take() is not None
    clock.forward(days=4)
    with pytest.raises(FollowError):
        far.take()
    await services.office.signing.settle(tenant, clock.at)
    assert far.take() is None
    standing = await services.office.signing.standing()
    assert standing.ends is not None
    clock.at = standing.ends - timedelta(days=3)
    assert standing.wants_renewal(clock.at)


async def test_released_files_are_public_and_nothing_else_is(visitor: Visitor, two: Visitor, settings: AdminSettings) -> None:
    """Anybody may fetch the signed files; no other path of the folder, and no key."""
    await make_key(two)
    await visitor.get("/release/metadata/timestamp.json")
    assert visitor.response.status_code == 200
    for path in ("metadata/../../keys/timestamp.pem", "metadata/..%2f..%2fkeys%2ftimestamp.pem", "targets/list.json", "metadata/x.json"):
        await visitor.get(f"/release/{path}")
        assert visitor.response.status_code == 404
    assert (settings.state_dir / "keys/timestamp.pem").stat().st_mode & 0o077 == 0


async def test_a_gateway_may_ask_for_news_often_and_gets_little_without(
    two: Visitor, one: Visitor, visitor: Visitor, gateway: OfficeGateway, services: Services
) -> None:
    """The file that says what is newest says when it may be asked for again, less often with many gateways; what is known is not sent."""
    await make_key(two)
    path = "/release/metadata/timestamp.json"
    await visitor.get(path)
    first = visitor.response
    assert first.headers["cache-control"] == "public, max-age=15, must-revalidate"
    visitor.http.headers["If-None-Match"] = first.headers["etag"]
    await visitor.get(path)
    again = visitor.response
    assert (again.status_code, again.content, again.headers["cache-control"]) == (304, b"", first.headers["cache-control"])
    await approve(one, two, PASSPHRASE)
    await visitor.get(path)
    assert visitor.response.status_code == 200 and visitor.response.headers["etag"] != first.headers["etag"]
    desk = services.office.signing
    for number, seconds in ((0, 15), (1500, 75), (40_000, 300)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(officesigning, "count_gateways", lambda connection, tenant, number=number: asyncio.sleep(0, number))
            patch.setattr(desk, "_look", (None, 0))
            assert await desk.look_seconds(services.now()) == seconds


async def test_key_of_an_officer_who_left_goes_out_with_the_next_signature(
    two: Visitor, one: Visitor, three: Visitor, gateway: OfficeGateway, services: Services, officers: Officers
) -> None:
    """As the page says: two officers end the role, then another officer's signature takes the key out of the root."""
    await make_key(two)
    await make_key(three)
    await sign(two)
    before = (await services.office.signing.standing()).root_keys
    assert len(before) == 2
    await one.get("/office/more")
    async with services.database.read() as connection:
        last = (await listed(connection, officers.tenant, services.now()))[-1]["id"]
    await one.submit("/office/roles/end", {"assignment": last, "basis": "31/QĐ-SVHTTDL"})
    await two.get("/office/more")
    await two.submit("/office/roles/end")
    assert (await three.get("/office/signing")).status_code in (403, 404)
    await two.get("/office/signing")
    await two.submit("/office/signing/sign", {"passphrase": PASSPHRASE})
    assert len((await services.office.signing.standing()).root_keys) == 1
