"""A version goes out in stages to ten gateways, each a real `lachan run`, from a real office over HTTP: one of them lags, one of them lies.

The office is a program of its own, too; its officers sit at its pages. Every gateway joined by its code and answers names on a port of its
own, compiles nothing (the first one's lists are copied), and follows as its job does every five minutes; between, a few rounds are the
command `lachan follow`, the others the function behind it, because ten interpreters a round cost more than everything that is shown. All
eleven programs read their time from one file, which the test moves.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from blocklists.joined import read_joined
from blocklists.online import place_of, read_statement
from blocklists.receipts import Receipt, load_key, seal
from gateway.clock import WallClock
from gateway.following import FollowState
from gateway.release import read_manifest
from lachan import fingerprint
from lachan.configuration import load
from lachan.following import take_round
from lachan.joining import join_office
from lachan.preparation import own_names
from tests.support.echogateway import free_port
from tests.support.gateway import Gateway, RunningUpstream, ede_codes
from tests.support.people import PASSWORD
from tests.test_office_road import Browser, join, pages_ready

pytestmark = pytest.mark.full

PASSPHRASE = "mây tím cưỡi trâu"
NUMBER = 10
OFFICE = """
state_dir: {folder}/var
dns: {listen: ["127.0.0.1:0"], workers: 1}
upstreams: {servers: ["udp://127.0.0.1:{upstream}"]}
metrics: {listen: "127.0.0.1:{metrics}"}
admin: {listen: "127.0.0.1:{admin}"}
default_profile: be
profiles: [{id: be, band: TH}]
"""
GATEWAY = OFFICE.replace('admin: {listen: "127.0.0.1:{admin}"}\n', "")
NAMES = [f"{name}.example" for name in ("mot", "hai", "ba", "bon", "nam")]
RECORDS = {(name, "A"): ["192.0.2.10"] for name in NAMES}


class Far:
    """One gateway elsewhere: a program, its name on the office's page, and the identity it was given there."""

    def __init__(self, gateway: Gateway, label: str) -> None:
        self.gateway, self.label = gateway, label
        self.state_dir = gateway.folder / "var"
        self.identity = ""
        self.counter = 0

    def join(self, code: str, command: bool) -> None:
        """`lachan join CODE`: as a person types it, or the function behind it."""
        if command:
            done = self.gateway.command("join", code, seconds=300)
            assert done.returncode == 0, done.stderr
        else:
            join_office(self.gateway.path, code)
        joined = read_joined(self.state_dir)
        assert joined is not None and joined.label == self.label
        self.identity = joined.gateway

    def take(self) -> FollowState:
        """One round of following."""
        return take_round(load(self.gateway.path, require_files=False), commit=True)[0]

    def blocks(self, name: str) -> bool:
        """Whether an order blocks the name for whoever asks this gateway now."""
        return ede_codes(self.gateway.ask(name)) == [16]

    def serial(self) -> int:
        """The serial that dig finds at the test name of the orders."""
        said = self.gateway.dig("serial.orders.lachan.internal", "TXT", "+short").strip().strip('"')
        return int(said)

    def lie(self, office: str, key: Ed25519PrivateKey | None = None, identity: str = "", **said: object) -> tuple[int, str]:
        """Send a receipt that this gateway's own key signs (or another one): the status and what the office says."""
        self.counter += 1
        at = int(WallClock.from_environment(os.environ).now())
        fields: dict[str, object] = {"in_force_at": at, "at": at, "counter": (at + 60) * 1000 + self.counter} | said
        receipt = Receipt(identity or self.identity, journal=None, version="0.1.0", **fields)  # type: ignore[arg-type]
        sealed = seal(receipt, key or load_key(self.state_dir / "follow/gateway.key"))
        origin = office.rpartition("/")[0]
        answer = httpx.post(f"{office}/receipts", content=sealed, headers={"Origin": origin}, timeout=20)
        return answer.status_code, answer.json()["code"]

    def cut(self) -> None:
        """The way to the office is gone."""
        path = self.state_dir / "follow/office.json"
        self._way = path.read_bytes()
        document = json.loads(self._way)
        document["url"] = f"http://127.0.0.1:{free_port()}/release"
        path.write_text(json.dumps(document))

    def mend(self) -> None:
        """The way is there again."""
        (self.state_dir / "follow/office.json").write_bytes(self._way)


class Scene:
    """The office, its two officers, the ten gateways, and the clock of all."""

    def __init__(self, folder: Path, office: Gateway, url: str, far: Sequence[Far], clock: Path) -> None:
        self.folder, self.office, self.url, self.far, self.clock = folder, office, url, list(far), clock
        self.ahead = 0

    def forward(self, minutes: int) -> None:
        """Time goes by, for everybody."""
        self.ahead += minutes * 60
        self.clock.write_text(f"+{self.ahead}")
        time.sleep(1.5)  # the programs look at the file once a second

    def first(self, serial: int) -> list[Far]:
        """The gateways in the first stage of a version, as everybody can work it out from what the office says in the open."""
        statement = read_statement(self._said())
        share = min(share for _, share in statement.stages[serial])
        return [one for one in self.far if place_of(one.identity, serial) < share]

    def _said(self) -> bytes:
        targets = json.loads(httpx.get(f"{self.url}/metadata/timestamp.json", timeout=20).content)
        assert targets["signed"]["version"]
        (path,) = sorted((self.office.folder / "var/release/targets").glob("*online.json"), key=lambda path: path.stat().st_mtime_ns)[-1:]
        return path.read_bytes()

    def round(self, far: Sequence[Far], command: bool = False) -> list[str]:
        """One round of each; why each did not take the newest version."""
        if command:
            with ThreadPoolExecutor(4) as pool:
                done = list(pool.map(lambda one: one.gateway.command("follow", seconds=300), far))
            return [each.stderr for each in done]
        return [one.take().code for one in far]

    def enforcing(self, name: str) -> list[Far]:
        """The gateways that block a name."""
        return [one for one in self.far if one.blocks(name)]


def copy_lists(prepared: Gateway, gateway: Gateway) -> None:
    """Give a gateway that never ran the lists that another one compiled, so that ten do not compile the same."""
    shutil.copytree(prepared.folder / "var", gateway.folder / "var", ignore=shutil.ignore_patterns("*.lock", "*.sock", "run"))
    configuration, manifest = load(gateway.path, require_files=False), read_manifest(gateway.folder / "var")
    fingerprint.note(configuration.lists, own_names(configuration.gateway), manifest.index_dir, manifest.catalogue)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """All eleven programs, running."""
    folder, port = tmp_path_factory.mktemp("ten"), free_port()
    clock = folder / "clock"
    clock.write_text("+0")
    environment = {"LACHAN_TEST_CLOCK": str(clock), "LACHAN_TEST_CLOCK_AS_ROOT": "1"}
    with pytest.MonkeyPatch.context() as patch, RunningUpstream(RECORDS) as upstream:
        for name, value in environment.items():
            patch.setenv(name, value)
        made = []
        for number in range(NUMBER + 1):
            (folder / str(number)).mkdir()
            text = GATEWAY if number else OFFICE
            made.append(Gateway(folder / str(number), text, environment=environment, upstream=upstream.port, admin=port))
        try:
            made[1].start()
            for gateway in made[2:]:
                copy_lists(made[1], gateway)
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(Gateway.start, [made[0], *made[2:]]))
            far = [Far(gateway, f"Trường số {number}") for number, gateway in enumerate(made[1:], 1)]
            yield Scene(folder, made[0], f"http://127.0.0.1:{port}/release", far, clock)
        finally:
            for gateway in made:
                gateway.stop()


class Officer(Browser):
    """An officer at the office's pages, who is asked for the password and a code when the last time was long ago."""

    papers: list[str]

    async def act(self, path: str, fields: dict[str, str], button: tuple[str, str] | None = None) -> None:
        """Press a button of this page; where the password is asked for, give it, and type the passphrase once more."""
        await self.submit(path, fields, button)
        if self.response.status_code == 401:
            again = {name: value for name, value in fields.items() if name == "passphrase"}
            assert not again or PASSPHRASE not in self.response.text
            await self.submit(path, {"_password": PASSWORD, "_code": self.papers.pop(), **again})
        assert self.response.status_code == 200, self.text


@pytest.fixture
async def officers(scene: Scene) -> AsyncIterator[tuple[Officer, Officer]]:
    """A verifier and an approver at the office's pages; the approver holds a key, and the first version is out."""
    origin = scene.url.rpartition("/")[0]
    owner, one, two = Browser(origin), Officer(origin), Officer(origin)
    await pages_ready(owner)
    await owner.get(f"/setup/{(scene.office.folder / 'var/setup.token').read_text().strip()}")
    await owner.get("/setup-office")
    await owner.submit("/setup-office", {"name": "Sở Văn hóa, Thể thao và Du lịch", "basis": "15/QĐ-SVHTTDL"})
    links = re.findall(r"/join/[\w-]+", owner.response.text)
    one.papers, two.papers = await join(one, links[0], "mot"), await join(two, links[1], "hai")
    await two.get("/office/signing")
    await two.submit("/office/signing/key", {"passphrase": PASSPHRASE, "again": PASSPHRASE})
    yield one, two
    for browser in (owner, one, two):
        await browser.close()


async def register(one: Officer, host: str, number: int, *, urgent: bool = False, category: str = "order") -> str:
    """A letter about one name, verified; the path of the document."""
    await one.get("/office/orders/new")
    text = f"{'KHẨN' if urgent else ''}\nSố: {number}/QĐ-SVHTTDL\nđề nghị ngăn chặn:\n1. {host}\n"
    await one.submit("/office/orders/read", {"text": text, "category": category})
    fields = {"issuer": "UBND tỉnh"}
    if urgent:
        fields["valid_until"] = (datetime.now(UTC) + timedelta(days=5)).date().isoformat()
    await one.submit("/office/orders", fields)
    path = one.response.url.path
    for action in [form.action for form in one.forms if form.action.endswith("/open")]:
        await one.act(action, {})
    if not urgent:
        await one.act(f"{path}/verify", {})
    return path


async def approve(two: Officer, path: str, step: str = "approve") -> None:
    """Approved with the passphrase: signed and published."""
    await two.get(path)
    await two.act(f"{path}/approve", {"passphrase": PASSPHRASE}, ("step", step))


async def shown(browser: Browser, path: str, *words: str) -> str:
    """A page with these words on it."""
    await browser.get(path)
    assert all(each in browser.text for each in words), browser.text
    return browser.text


def segment_names(gateway: Gateway) -> tuple[str, ...]:
    """The files of the list that this program has in force."""
    orders = read_manifest(gateway.folder / "var").orders
    assert orders is not None
    return orders.segments


def disk_trouble(far: Sequence[Far], name: str) -> Callable[[], None]:
    """Where these gateways would write a file of the list there is something in the way: real trouble of a disk. Returns what ends it."""
    paths = [one.state_dir / "files" / name for one in far]
    for path in paths:
        path.mkdir()

    def end() -> None:
        for path in paths:
            path.rmdir()

    return end


async def test_ten_gateways_one_of_which_lags_and_one_lies(scene: Scene, officers: tuple[Officer, Officer]) -> None:
    """Stages advance; the liar holds nothing and hides nothing; who lags is named; a halt keeps what is enforced; urgent orders and the
    masked category reach everybody at once; what far gateways count comes back as one number."""
    one, two = officers
    await approve(two, await register(one, "mot.example", 1))
    codes = []
    for far in scene.far:
        await two.get("/office/gateways")
        await two.submit("/office/gateways", {"label": far.label})
        found = re.search(r"lachan join '([^']+)'", two.text)
        assert found is not None, two.text
        codes.append(found[1])
    for number, (far, code) in enumerate(zip(scene.far, codes, strict=True)):
        far.join(code, command=number < 2)
    assert scene.enforcing("mot.example") == scene.far and {far.serial() for far in scene.far} == {1}
    await two.get("/office/rollout")
    await two.submit(
        "/office/rollout/rule", {"is_on": "1", "first_share": "5", "second_share": "50", "second_after": "5", "all_after": "10"}
    )
    assert "sau 5 phút" in two.text, two.text

    # Stages advance.
    await approve(two, await register(one, "hai.example", 2))
    early = scene.first(2)
    assert 3 <= len(early) < 6
    late = [far for far in scene.far if far not in early]
    scene.round([early[0], late[0]], command=True)
    scene.round([*early[1:], *late[1:]])
    assert scene.enforcing("hai.example") == early
    assert [far.serial() for far in scene.far] == [2 if far in early else 1 for far in scene.far]
    await shown(two, "/office/rollout", "bản 2", "đang phát", f"{len(early)} đang thực hiện")
    text = await shown(two, "/office/gateways", f"Bản 2: {len(early) + 1} trên 11")
    assert text.count("chờ đến đợt") == len(late)

    # The head of the journal came with the release and is back in the receipt of each.
    with closing(sqlite3.connect(f"file:{scene.office.folder}/var/lachan.db?mode=ro", uri=True)) as database:
        held = "SELECT count(*) FROM office_gateways g JOIN journal j ON j.seq = g.journal_seq AND lower(hex(j.digest)) = g.journal_digest"
        assert database.execute(held).fetchone() == (NUMBER,)

    # One that lies, with its own key and without: nothing is held, nothing is believed that cannot be true.
    soon = set(sorted(scene.far, key=lambda far: place_of(far.identity, 3))[:3])
    liar = min(early, key=lambda far: (far in soon, far.label))
    lagging = max(late, key=lambda far: (far not in soon, far.label))  # so that two honest ones are among the first of version 3
    others = [far for far in scene.far if far is not lagging]
    stranger = Ed25519PrivateKey.generate()
    now = int(WallClock.from_environment(os.environ).now())
    assert liar.lie(scene.url, serial=2, fault="refused") == (200, "")
    assert liar.lie(scene.url, serial=2, health=((1000, 10, 0), (1000, 900, 900))) == (200, "")
    assert liar.lie(scene.url, serial=99) == (409, "unknown_serial")
    assert liar.lie(scene.url, serial=2, in_force_at=now + 9000) == (409, "clock")
    assert liar.lie(scene.url, serial=2, counter=7) == (409, "replayed")
    assert liar.lie(scene.url, identity=lagging.identity, serial=2, fault="refused") == (409, "signature")
    assert liar.lie(scene.url, key=stranger, serial=2) == (409, "signature")
    assert "giữ lại" not in (await shown(two, "/office/rollout", "bản 2", "đang phát")).replace("Giữ lại", "")

    # Who is asked for a name elsewhere is told as one number; then all but the lagging one take what came.
    third = await register(one, "ba.example", 3)
    await shown(two, third, "chưa biết")
    waiting = [far for far in late if far is not lagging]
    for far in waiting[:2]:
        for network in range(7):
            far.gateway.ask("ba.example", source=f"127.0.{network}.1")
    lagging.cut()
    assert lagging.take().code == "unreachable"
    scene.forward(5)
    scene.round(waiting)
    half = [far for far in waiting if place_of(far.identity, 2) < 5000]
    assert scene.enforcing("hai.example") == [far for far in scene.far if far in early or far in half]
    scene.forward(5)
    scene.round(waiting)
    assert scene.enforcing("hai.example") == others
    text = await shown(two, third, "nơi khác ít nhất")
    assert re.search(r"ba\.example.* nơi khác ít nhất 1\d lần trong một ngày, theo 2 cổng lọc", text), text
    scene.forward(6)
    text = await shown(two, "/office/gateways", "Bản 2: 10 trên 11", "không tin")
    assert re.search(rf"{lagging.label} [^0-9]+ có hiệu lực từ [^<]+? phiên bản 1 đang giữ bản cũ", text), text
    assert len(re.findall(r"phiên bản \d đang giữ bản cũ", text)) == 1, text

    # Two honest ones in real trouble hold it by themselves, whatever the liar says; what is enforced stays.
    await approve(two, third)
    early = scene.first(3)
    honest = [far for far in early if far not in (liar, lagging)]
    assert liar.lie(scene.url, serial=3, health=((1000, 10, 0), (1000, 10, 0))) == (200, "")
    end_trouble = disk_trouble(honest[:2], segment_names(scene.office)[-1])
    assert scene.round(honest) == ["disk", "disk", *[""] * (len(honest) - 2)]
    for _ in range(80):  # held with the second report, or with the turn of the minute
        await two.get("/office/rollout")
        if "Tự dừng lúc" in two.text:
            break
        await asyncio.sleep(1)
    await shown(two, "/office/rollout", "Tự dừng lúc", "2 báo trục trặc")
    scene.forward(12)
    scene.round([far for far in others if far not in early])
    assert scene.enforcing("ba.example") == honest[2:] and scene.enforcing("hai.example") == others
    await shown(two, "/office/gateways", "Bản 3 đang bị giữ lại")

    # An urgent order does not wait, nor does the masked category; whoever was away catches up.
    end_trouble()
    await approve(two, await register(one, "bon.example", 4, urgent=True), "approve_urgent")
    scene.round(others)
    assert scene.enforcing("bon.example") == others
    await approve(two, await register(one, "nam.example", 5, category="csam"))
    assert scene.round(others) == [""] * (NUMBER - 1)
    stick = scene.folder / "stick"
    for program, command in ((scene.office, "export"), (lagging.gateway, "import")):  # as the page says, word for word
        done = program.command("release", command, str(stick), seconds=300)
        assert done.returncode == 0, done.stderr
    lagging.mend()
    lagging.take()
    assert all(scene.enforcing(name) == scene.far for name in NAMES)
    assert {far.serial() for far in scene.far} == {5}
    text = await shown(two, "/office/gateways", "Bản 5: 11 trên 11")
    assert re.search(r"phiên bản \d đang giữ bản cũ", text) is None, text
