"""A version goes out in stages to ten gateways, one of which lies: what each stage says, when it is held, who lets it go on."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select, update
from starlette.types import ASGIApp

from admin.audit import MACHINE, Act, Action, by_account, read_rows
from admin.dependencies import Services
from admin.errors import NotFound
from admin.office import open_office
from admin.officegateways import read_gateways, retire_gateway
from admin.officerollout import Rollout, go_on, read_rollouts, read_statement
from admin.officetables import gateways
from admin.settings import AdminSettings
from blocklists.follower import Release, follow
from blocklists.online import Statement, place_of
from blocklists.receipts import Receipt, load_key, public_of, seal
from blocklists.sealing import KEYS_FILE, read_keys
from blocklists.tables import OrganisationId, Role
from blocklists.takedown import cases, tables
from blocklists.takedown.workflow import TransitionRefused
from gateway.policy.masked import mask
from tests.admin.conftest import Clock
from tests.admin.routes.test_officeorders import gateway, register
from tests.admin.routes.test_officesigning import PASSPHRASE, approve, make_key
from tests.support.office import LETTER, OfficeGateway, Officers, officer
from tests.support.publisher import serve
from tests.support.visitor import Visitor

__all__ = ["gateway"]


class Fleet:
    """Ten gateways that joined: each has its key, follows the signed folder, and sends receipts."""

    def __init__(
        self,
        app: ASGIApp,
        services: Services,
        browser: Visitor,
        settings: AdminSettings,
        folder: Path,
        clock: Clock,
        tenant: OrganisationId,
    ) -> None:
        self.app = app
        self.services, self.browser, self.folder, self.clock, self.tenant = services, browser, folder, clock, tenant
        self.office = settings.state_dir / "release"
        self.keys = {f"g{n}": load_key(folder / f"g{n}.key") for n in range(10)}
        self.serials = dict.fromkeys(self.keys, 0)
        self.counter = 0

    async def join(self, officers: Officers) -> None:
        """All of them, as if each had come with its code."""
        async with self.services.database.write() as connection:
            for name, key in self.keys.items():
                values = {
                    "id": name, "tenant_id": self.tenant, "label": f"Trường {name}", "ticket_hash": name.encode().ljust(32),
                    "ticket_ends_at": self.clock.at, "created_by": officers.approver, "created_at": self.clock.at,
                    "public": public_of(key), "joined_at": self.clock.at,
                }  # fmt: skip
                await connection.execute(gateways.insert().values(**values))

    def take(self, name: str) -> Release | None:
        """One round of following."""
        root = (self.office / "metadata/1.root.json").read_bytes()
        with serve(self.office) as url:
            keys = read_keys(self.office.parent / KEYS_FILE).get
            return follow(self.folder / name, url, root, self.serials[name], now=self.clock.at, gateway=name, keys=keys)

    async def round(self, *names: str, **said: object) -> None:
        """These follow and tell; `said` replaces what the receipt says."""
        for name in names or self.keys:
            taken = self.take(name)
            assert taken is not None
            if not said.get("fault"):
                self.serials[name] = taken.serial
            await self.tell(name, waits_for=taken.newest if taken.newest > taken.serial else 0, **said)

    async def tell(self, name: str, **said: object) -> str:
        """A receipt; the code of the refusal."""
        self.counter += 1
        at = int(self.clock.at.timestamp())
        fields = {"serial": self.serials[name], "in_force_at": at, "at": at} | said
        receipt = Receipt(name, counter=self.counter, journal=None, version="0.1.0", **fields)  # type: ignore[arg-type]
        self.services.office.knocking._spent.clear()
        answer = await self.browser.http.post(
            "/release/receipts", content=seal(receipt, self.keys[name]), headers={"Origin": self.browser.origin}
        )
        return str(answer.json()["code"])

    async def settle(self, **later: float) -> list[Rollout]:
        """The once-a-minute turn of the server, after some time; what is under way."""
        self.clock.forward(**later)
        await self.services.office.signing.settle(self.tenant, self.clock.at)
        async with self.services.database.read() as connection:
            return await read_rollouts(connection, self.tenant)

    async def people(self) -> tuple[Visitor, Visitor]:
        """The verifier and an approver sign in again: time went by."""
        one, two = await officer(self.app, "verifier"), await officer(self.app, "approver", "192.168.1.31")
        self.browser = two
        return one, two

    def first(self, serial: int, share: int) -> list[str]:
        """The gateways whose stage has come."""
        return [name for name in self.keys if place_of(name, serial) < share]


@pytest.fixture
async def fleet(
    services: Services, one: Visitor, two: Visitor, settings: AdminSettings, tmp_path: Path, clock: Clock, officers: Officers,
    gateway: OfficeGateway, app: ASGIApp,
) -> Fleet:  # fmt: skip
    """An office whose first version ten gateways enforce, and whose second has just been signed."""
    await make_key(two)
    fleet = Fleet(app, services, two, settings, tmp_path / "fleet", clock, officers.tenant)
    await fleet.join(officers)
    await approve(one, two, PASSPHRASE, "mot.example")
    await fleet.round()
    assert set(fleet.serials.values()) == {1}
    clock.forward(minutes=1)
    await approve(one, two, PASSPHRASE, "hai.example")
    return fleet


async def test_version_goes_out_in_stages_and_the_page_says_how_far(fleet: Fleet, two: Visitor, services: Services) -> None:
    """Three gateways at first, the others keep the version before and do not lag; then a quarter or more, then all; the page counts."""
    (rollout,) = await fleet.settle(minutes=1)
    early = fleet.first(2, rollout.share(fleet.clock.at))
    assert (rollout.serial, rollout.base, len(early)) == (2, 1, 3)
    await fleet.round()
    assert {name for name, serial in fleet.serials.items() if serial == 2} == set(early)
    await two.get("/office/rollout")
    assert "bản 2" in two.text and "đang phát" in two.text and "3 đang thực hiện" in two.text
    async with services.database.read() as connection:
        states = {one.row["id"]: one.state for one in await read_gateways(connection, fleet.tenant, fleet.clock.at)}
    assert states == {name: "current" if name in early else "waiting" for name in fleet.keys}
    await two.get("/office/gateways")
    assert two.text.count("chờ đến đợt") == 7
    (rollout,) = await fleet.settle(minutes=20)
    assert rollout.state == "going" and 3 <= len(fleet.first(2, rollout.share(fleet.clock.at))) < 10
    await fleet.round()
    await fleet.settle(minutes=30)
    await fleet.round()
    assert set(fleet.serials.values()) == {2}
    assert await fleet.settle(minutes=1) == []
    _, two = await fleet.people()
    await two.get("/office/rollout")
    assert "đã đến mọi cổng lọc" in two.text


async def test_two_gateways_in_trouble_hold_it_and_a_person_lets_it_go_on(fleet: Fleet, two: Visitor) -> None:
    """Refused by two of the first three: held by itself, everybody keeps what is enforced, also in days; an approver goes on, with why."""
    (rollout,) = await fleet.settle()
    early = fleet.first(2, rollout.share(fleet.clock.at))
    await fleet.round(early[0])
    for name in early[1:]:
        await fleet.round(name, fault="apply")
    (held,) = await fleet.settle(minutes=1)
    assert (held.state, held.cause, held.held_by) == ("held", "against", None)
    fleet.clock.forward(days=2)
    await fleet.settle()
    _, two = await fleet.people()
    late = [name for name in fleet.keys if name not in early]
    await fleet.round(*late)
    assert {fleet.serials[name] for name in late} == {1} and fleet.serials[early[0]] == 2
    await two.get("/office/gateways")
    assert "Bản 2 đang bị giữ lại" in two.text and "không đưa được bản mới nhất" in two.text
    await two.get("/office/rollout")
    assert "Tự dừng lúc" in two.text and "2 báo trục trặc" in two.text
    await two.submit("/office/rollout/2/on", {"reason": "   "})
    assert two.response.status_code == 409
    await two.get("/office/rollout")
    await two.submit("/office/rollout/2/on", {"reason": "hai máy đó hết đĩa, đã sửa"})
    for name in early[1:]:
        await fleet.round(name)
    (rollout,) = await fleet.settle()
    assert rollout.state == "going" and len(fleet.first(2, rollout.share(fleet.clock.at))) == 3, "from where it was held"
    await fleet.settle(minutes=50)
    await fleet.round()
    assert set(fleet.serials.values()) == {2}


async def test_second_report_of_trouble_holds_it_at_once(fleet: Fleet, services: Services) -> None:
    """No minute goes by, in which the next gateways would take it: it is held with the report itself."""
    (rollout,) = await fleet.settle()
    early = fleet.first(2, rollout.share(fleet.clock.at))
    for name, state in zip(early, ("going", "held"), strict=False):
        services.office.signing._hears_again = 0.0
        await fleet.round(name, fault="apply")
        async with services.database.read() as connection:
            assert (await read_rollouts(connection, fleet.tenant))[0].state == state
    waiting = next(name for name in fleet.keys if name not in early)
    fleet.clock.forward(hours=3)
    taken = fleet.take(waiting)
    assert taken is not None and taken.serial == 1, "gateways are told, too"


async def test_one_gateway_that_lies_neither_holds_a_version_nor_hides_trouble(fleet: Fleet) -> None:
    """Forged trouble, forged counts, a serial nobody published: nothing is held. Two honest ones in trouble beside one that lies: held."""
    (rollout,) = await fleet.settle()
    liar, *honest = fleet.first(2, rollout.share(fleet.clock.at))
    await fleet.round(*honest)
    for said in ({"fault": "refused"}, {"serial": 2, "health": ((1000, 10, 0), (1000, 900, 900))}):
        assert await fleet.tell(liar, **said) == ""
        (rollout,) = await fleet.settle()
        assert rollout.state == "going"
    assert await fleet.tell(liar, serial=99) == "unknown_serial"
    (rollout,) = await fleet.settle()
    assert rollout.state == "going"
    fleet.serials[liar] = 2
    assert await fleet.tell(liar, serial=2, health=((1000, 10, 0), (1000, 10, 0))) == ""
    for name in honest:
        assert await fleet.tell(name, health=((1000, 100, 10), (1000, 600, 10))) == ""
    (rollout,) = await fleet.settle()
    assert (rollout.state, rollout.cause) == ("held", "against")


async def test_a_gateway_that_is_not_believed_speaks_neither_way(fleet: Fleet) -> None:
    """It told of trouble, and then what cannot be true: its word and that of one honest gateway hold nothing; two honest ones do."""
    (rollout,) = await fleet.settle()
    liar, first, second = fleet.first(2, rollout.share(fleet.clock.at))[:3]
    assert await fleet.tell(liar, fault="refused") == ""
    fleet.clock.forward(seconds=5)
    assert await fleet.tell(liar, serial=99) == "unknown_serial"
    assert await fleet.tell(first, fault="apply") == ""
    (rollout,) = await fleet.settle()
    assert rollout.state == "going"
    assert await fleet.tell(second, fault="apply") == ""
    (rollout,) = await fleet.settle()
    assert (rollout.state, rollout.cause) == ("held", "against")


async def test_of_fewer_than_ten_gateways_all_take_it_at_once(fleet: Fleet, one: Visitor, two: Visitor, services: Services) -> None:
    """A share of so few says nothing: with the tenth gone the next version is for everybody, and so is the one before it."""
    async with services.database.write() as connection:
        await retire_gateway(connection, Act(fleet.tenant, MACHINE, fleet.clock.at), "g9")
    fleet.clock.forward(minutes=1)
    await approve(one, two, PASSPHRASE, "ba.example")
    assert await fleet.settle() == []
    for name in list(fleet.keys)[:9]:
        taken = fleet.take(name)
        assert taken is not None and (taken.serial, taken.newest) == (3, 3)


async def test_gateways_that_fall_silent_hold_the_next_stage(fleet: Fleet) -> None:
    """A version that takes gateways off the air tells nobody: before the next stage they are missed."""
    await fleet.settle()
    (rollout,) = await fleet.settle(minutes=10)
    assert rollout.state == "going"
    (rollout,) = await fleet.settle(minutes=9)
    assert (rollout.state, rollout.cause) == ("held", "silent")


async def test_held_by_a_person_goes_on_by_another_one(fleet: Fleet, one: Visitor, two: Visitor, app: ASGIApp, officers: Officers) -> None:
    """The brake is everybody's; letting go is another approver's."""
    await one.get("/office/rollout")
    await one.submit("/office/rollout/2/hold")
    assert "Cán bộ giữ lại" in one.text and not one.has_form("/office/rollout/2/on")
    (held,) = await fleet.settle()
    assert held.cause == "person"
    await fleet.settle(hours=5)
    assert {fleet.take(name).serial for name in fleet.keys if name not in fleet.first(2, held.share(fleet.clock.at))} == {1}  # type: ignore[union-attr]
    _, two = await fleet.people()
    await two.get("/office/rollout")
    await two.submit("/office/rollout/2/on", {"reason": "đã xem lại"})
    await two.get("/office/rollout")
    await two.submit("/office/rollout/2/hold")
    assert "một người phê duyệt khác" in two.text
    assert not two.has_form("/office/rollout/2/on")
    async with fleet.services.database.write() as connection:
        with pytest.raises(TransitionRefused, match="second person"):
            act = Act(fleet.tenant, by_account(officers.approver, Role.APPROVER), fleet.clock.at)
            await go_on(connection, act, 2, "x")
    second = await officer(app, "second", "192.168.1.35")
    await second.get("/office/rollout")
    await second.submit("/office/rollout/2/on", {"reason": "đã xem"})
    assert (await fleet.settle())[0].state == "going"


async def test_what_comes_after_a_held_version_waits_with_it(fleet: Fleet, one: Visitor, two: Visitor, officers: Officers) -> None:
    """The next version brings the held one along: it is held, too, cannot be let go by itself, and goes on with the one before."""
    await fleet.settle()
    await one.get("/office/rollout")
    await one.submit("/office/rollout/2/hold")
    fleet.clock.forward(minutes=1)
    await approve(one, two, PASSPHRASE, "ba.example")
    assert [(row.serial, row.state, row.cause) for row in await fleet.settle()] == [(3, "held", "before"), (2, "held", "person")]
    await two.get("/office/rollout")
    assert two.has_form("/office/rollout/2/on") and not two.has_form("/office/rollout/3/on")
    async with fleet.services.database.write() as connection:
        with pytest.raises(NotFound):
            await go_on(connection, Act(fleet.tenant, by_account(officers.approver, Role.APPROVER), fleet.clock.at), 3, "x")
    await two.submit("/office/rollout/2/on", {"reason": "đã xem lại"})
    assert [(row.serial, row.state, row.cause) for row in await fleet.settle()] == [(3, "going", ""), (2, "going", "")]


async def test_what_is_held_goes_on_after_fourteen_days(fleet: Fleet, one: Visitor, services: Services) -> None:
    """The page says until when gateways wait; then they take what the officers signed, here as there, and the journal has it."""
    await fleet.settle()
    await one.get("/office/rollout")
    await one.submit("/office/rollout/2/hold")
    (held,) = await fleet.settle(days=13)
    assert held.state == "held" and "quyết định trước lúc đó" in one.text
    late = [name for name in fleet.keys if name not in fleet.first(2, held.share(fleet.clock.at))]
    assert {taken.serial for name in late if (taken := fleet.take(name)) is not None} == {1}
    assert await fleet.settle(days=1) == []
    assert {taken.serial for name in late if (taken := fleet.take(name)) is not None} == {2}
    async with services.database.read() as connection:
        rows = await read_rows(connection, fleet.tenant, 3)
    assert any(row.action == Action.ROLLOUT_WENT_ON and row.actor_id is None for row in rows), rows


async def test_what_waited_behind_a_held_version_goes_on_when_that_one_has(
    fleet: Fleet, one: Visitor, two: Visitor, services: Services
) -> None:
    """Held on the first day, another behind it on the tenth: when the first has gone on by time the other begins its own stages, without
    anybody, and the page said so; gateways take it, what is signed next waits for nothing, and it can be held by itself."""
    await fleet.settle()
    await one.get("/office/rollout")
    await one.submit("/office/rollout/2/hold")
    fleet.clock.forward(days=10)
    one, two = await fleet.people()
    await approve(one, two, PASSPHRASE, "ba.example")
    assert [(row.serial, row.cause) for row in await fleet.settle()] == [(3, "before"), (2, "person")]
    await two.get("/office/rollout")
    assert "bản này đi tiếp khi bản đó đi tiếp" in two.text and two.text.count("quyết định trước lúc đó") == 1
    await fleet.settle(days=4)
    await fleet.round()
    assert set(fleet.serials.values()) >= {2}
    (next_one,) = await fleet.settle(minutes=1)
    assert (next_one.serial, next_one.state, next_one.cause) == (3, "going", "")
    early = fleet.first(3, next_one.share(fleet.clock.at))
    assert 3 <= len(early) < 10, "in stages, as it was signed"
    await fleet.round()
    assert {name for name, serial in fleet.serials.items() if serial == 3} == set(early)
    async with services.database.read() as connection:
        rows = await read_rows(connection, fleet.tenant, 4)
    assert [row.object_id for row in rows if row.action == Action.ROLLOUT_WENT_ON and row.actor_id is None] == ["3", "2"]
    one, two = await fleet.people()
    await approve(one, two, PASSPHRASE, "bon.example")
    assert [(row.serial, row.state) for row in await fleet.settle()] == [(4, "going"), (3, "going")]
    await one.get("/office/rollout")
    await one.submit("/office/rollout/4/hold")
    assert [(row.serial, row.state, row.cause) for row in await fleet.settle()] == [(4, "held", "person"), (3, "going", "")]
    await fleet.settle(hours=1)
    await fleet.round()
    assert set(fleet.serials.values()) == {3, 4}, "4 came to its first gateways before it was held"


async def test_what_waits_behind_two_held_versions_waits_for_both(fleet: Fleet, one: Visitor, two: Visitor) -> None:
    """The first is let go, and the second is then held by itself: the third brings that one along and waits on when the first is held and
    let go once more."""
    await approve(one, two, PASSPHRASE, "ba.example")
    await one.get("/office/rollout")
    await one.submit("/office/rollout/3/hold")
    await approve(one, two, PASSPHRASE, "bon.example")
    assert [(row.serial, row.cause) for row in await fleet.settle()] == [(4, "before"), (3, "person"), (2, "")]
    await one.get("/office/rollout")
    await two.get("/office/rollout")
    assert "Các bản cùng đi tiếp với nó: 4." in two.text
    await one.submit("/office/rollout/2/hold")
    await two.submit("/office/rollout/3/on", {"reason": "bản 3 không sao"})
    assert two.response.status_code == 409 and "Bản 2 trước đó đang bị giữ lại" in two.text, "3 would bring 2 along"
    assert "hãy quyết định bản 2 trước" in two.text and two.has_form("/office/rollout/2/on") and not two.has_form("/office/rollout/3/on")
    await two.submit("/office/rollout/2/on", {"reason": "đã xem lại"})
    assert [(row.serial, row.state, row.cause) for row in await fleet.settle()] == [
        (4, "held", "before"), (3, "held", "person"), (2, "going", ""),
    ]  # fmt: skip


async def test_urgent_and_masked_and_return_skip_the_stages(fleet: Fleet, one: Visitor, two: Visitor, services: Services) -> None:
    """While a version is held: an ordinary one waits behind it; a return to the version before goes to everybody at once."""
    await fleet.settle()
    await one.get("/office/rollout")
    await one.submit("/office/rollout/2/hold")
    await approve(one, two, PASSPHRASE, "ba.example")
    held = await fleet.settle()
    assert [(row.serial, row.cause) for row in held] == [(3, "before"), (2, "person")]
    async with services.database.read() as connection:
        statement = await read_statement(connection, fleet.tenant, 3)
    assert statement.goal(3) == 0
    await fleet.settle(hours=3)
    assert {taken.serial for name in fleet.keys if (taken := fleet.take(name)) is not None} <= {1, 2}
    one, two = await fleet.people()
    await two.get("/office/releases/1")
    await two.submit("/office/releases/1/return", {"reason": "quay lại", "passphrase": PASSPHRASE})
    await fleet.round()
    assert set(fleet.serials.values()) == {4}
    assert await fleet.settle() == []
    path = await register(one, "KHẨN\nSố: 5/QĐ-UBND\nbon.example\n", issuer="UBND tỉnh", valid_until="2026-10-20")
    await two.get(path)
    await two.submit(f"{path}/approve", {"passphrase": PASSPHRASE}, button=("step", "approve_urgent"))
    assert await fleet.settle() == []
    await fleet.round()
    assert set(fleet.serials.values()) == {5}


async def test_masked_category_skips_the_stages(fleet: Fleet, one: Visitor, two: Visitor, services: Services) -> None:
    """While an ordinary version is held, an order about child abuse goes to every gateway at once, sealed, whatever the server says; it
    brings along what was held, and that is told."""
    await fleet.settle()
    await one.get("/office/rollout")
    await one.submit("/office/rollout/2/hold")
    await fleet.round()
    assert set(fleet.serials.values()) == {1, 2}
    await one.get("/office/orders/new")
    await one.submit("/office/orders/read", {"text": f"{LETTER.partition('1. ')[0]}1. trang-cam.example\n", "category": "csam"})
    await one.submit("/office/orders")
    path = one.response.url.path
    for action in [form.action for form in one.forms if form.action.endswith("/open")]:
        await one.submit(action)
    await one.submit(f"{path}/verify")
    await two.get(path)
    await two.submit(f"{path}/approve", {"passphrase": PASSPHRASE}, button=("step", "approve"))
    assert await fleet.settle() == [], "nothing goes out in stages any more"
    stolen = Statement({2: ((0, 0),), 3: ((0, 0),)})
    assert services.office.signing.room.say(stolen, fleet.clock.at)
    late = next(name for name, serial in fleet.serials.items() if serial == 1)
    taken = fleet.take(late)
    assert taken is not None and (taken.serial, taken.newest) == (3, 3)
    rows = [row[0] for segment in taken.fresh.values() for row in segment["entries"]]
    assert mask("example.trang-cam.") in rows
    await fleet.round()
    assert set(fleet.serials.values()) == {3}


async def test_rule_is_the_offices_and_off_means_everybody(fleet: Fleet, one: Visitor, two: Visitor) -> None:
    """Numbers that cannot be are refused with words; switched off, the next version goes to everybody at once."""
    await two.get("/office/rollout")
    await two.submit("/office/rollout/rule", {"first_share": "50", "second_share": "20", "second_after": "9", "all_after": "x"})
    assert two.response.status_code == 422 and "lần hai lớn hơn lần đầu" in two.text
    await two.get("/office/rollout")
    await two.submit(
        "/office/rollout/rule", {"is_on": None, "first_share": "10", "second_share": "50", "second_after": "5", "all_after": "9"}
    )
    assert "Đến mọi cổng lọc ngay" in two.text
    await fleet.settle(hours=1)
    one, two = await fleet.people()
    await approve(one, two, PASSPHRASE, "ba.example")
    await fleet.round()
    assert set(fleet.serials.values()) == {3}


async def test_what_the_clock_suspends_leaves_far_gateways_without_an_officer(
    fleet: Fleet, services: Services, one: Visitor, two: Visitor
) -> None:
    """A review nobody decided in 48 hours: the entry whose document has no number is out at gateways elsewhere with the server's next turn,
    the one with a number stays; with the next signature the list says it for itself."""
    await fleet.settle(hours=1)
    one, two = await fleet.people()
    path = await register(one, f"{LETTER.partition('1. ')[0]}1. khong-so.example\n", valid_until="2026-10-17")
    await one.submit(f"{path}/verify")
    async with services.database.write() as connection:  # a draft that the clerk has not given its number yet
        mine = (tables.orders.c.tenant_id == fleet.tenant, tables.orders.c.id == path.rpartition("/")[2])
        await connection.execute(update(tables.orders).where(*mine).values(number=None, symbol="/QĐ-SVHTTDL"))
    await two.get(path)
    await two.submit(f"{path}/approve", {"passphrase": PASSPHRASE}, button=("step", "approve"))
    await fleet.settle(hours=1)
    await fleet.round()
    assert set(fleet.serials.values()) == {3}
    async with services.database.write() as connection:
        office = await open_office(connection, fleet.tenant)
        for entry in (await connection.execute(select(tables.entries.c.id).where(tables.entries.c.tenant_id == fleet.tenant))).scalars():
            await cases.ask_review(connection, office, entry, "mistake", "", fleet.clock.at)
    fleet.clock.forward(hours=49)
    await services.office.duty.settle()
    await fleet.settle()
    taken = fleet.take("g1")
    assert taken is not None and (taken.serial, taken.withdrawn) == (3, ("example.khong-so.",))
    entries = tables.entries
    async with services.database.write() as connection:  # of the masked category nothing is said in the open, not even a mask
        assert (await read_statement(connection, fleet.tenant, 3)).out_of(3) == ("example.khong-so.",)
        mine = (entries.c.tenant_id == fleet.tenant, entries.c.host == "khong-so.example")
        await connection.execute(update(entries).where(*mine).values(category="csam"))
        assert (await read_statement(connection, fleet.tenant, 3)).out_of(3) == ()
        await connection.execute(update(entries).where(*mine).values(category="order"))
    _, two = await fleet.people()
    await two.get("/office/signing")
    await two.submit("/office/signing/sign", {"passphrase": PASSPHRASE})
    taken = fleet.take("g1")
    assert taken is not None and (taken.serial, taken.withdrawn) == (4, ()), "the signed list says it for itself"
    assert await fleet.tell("g1", kept=2) == ""
    await two.get("/office/gateways")
    assert "có số văn bản; cổng lọc đã giữ nguyên" in two.text
