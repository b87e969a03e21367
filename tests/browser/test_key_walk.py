"""Keys of an office walked by people in Chromium, as deploy/README.md says: one withdrawn, new ones made, the root anew each time; a
gateway that slept through it all catches up, and what an old key signs is worthless."""

from __future__ import annotations

import re
import shutil
import sqlite3
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from tuf.api.metadata import Metadata, Snapshot, Targets, Timestamp

from blocklists.follower import FollowError, Release, follow
from blocklists.keybox import open_box
from blocklists.releasekeys import load_server
from tests.browser import test_office_pages as road
from tests.browser.test_office_pages import Desk, join, wait_for_link
from tests.support.gateway import Gateway
from tests.support.office import LETTER
from tests.support.publisher import serve

pytestmark = pytest.mark.full
running = road.running

OLD, SECOND, NEW = "mây tím cưỡi trâu", "ba con sông chảy ngược", "đèn lồng bay qua núi"


class Far:
    """A gateway far away that was given the office's first root and asks over HTTP."""

    def __init__(self, folder: Path, url: str, root: bytes) -> None:
        self.folder, self.url, self.root = folder, url, root
        self.serial = 0

    def take(self, url: str = "") -> Release | None:
        """One round of following."""
        found = follow(self.folder, url or f"{self.url}/release", self.root, self.serial)
        self.serial = found.serial if found is not None else self.serial
        return found


def officers(chromium: Browser, gateway: Gateway, origin: str) -> list[Desk]:
    """A verifier and two approvers, appointed on the pages."""
    owner, *people = (Desk(chromium, origin, 1280, 800) for _ in range(4))
    owner.open(f"/setup/{wait_for_link(gateway)}")
    owner.page.get_by_text("Nơi khác", exact=True).click()
    owner.page.get_by_text("Lập đơn vị tại đây").click()
    owner.page.fill("#name", "Sở Văn hóa, Thể thao và Du lịch tỉnh Lai Châu")
    owner.page.fill("#basis", "15/QĐ-SVHTTDL")
    owner.press("Lập đơn vị và hai đường dẫn")
    links = re.findall(r"http://[^\s<]+/join/[\w-]+", owner.page.content())
    join(people[0], links[0], "mot")
    join(people[1], links[1], "hai")
    people[1].open("/office/more")
    people[1].page.get_by_text("Đề xuất cán bộ").click()
    people[1].page.fill("#basis", "16/QĐ-SVHTTDL")
    people[1].press("Đề xuất")
    people[0].open("/office/more")
    people[0].press("Đồng ý và tạo đường dẫn")
    join(people[2], re.findall(r"http://[^\s<]+/join/[\w-]+", people[0].page.content())[0], "ba")
    return people


def make_key(desk: Desk, passphrase: str) -> None:
    """An officer's new key, on the page."""
    desk.open("/office/signing")
    for field in ("#passphrase", "#again"):
        desk.page.fill(field, passphrase)
    desk.press("Tạo khóa của tôi")
    desk.page.get_by_text("Thu hồi khóa của tôi").wait_for()


def sign(desk: Desk, passphrase: str) -> None:
    """Sign what waits, on the page."""
    desk.open("/office/signing")
    desk.page.fill("#sign", passphrase)
    desk.page.get_by_role("button", name="Ký", exact=True).click()
    desk.page.wait_for_load_state()


def approve(verifier: Desk, approver: Desk, host: str, passphrase: str) -> None:
    """A letter about one name, verified by one and approved by the other."""
    verifier.open("/office/orders/new")
    verifier.page.fill("#text", LETTER.partition("1. ")[0] + f"1. {host}\n")
    verifier.press("Đọc")
    verifier.press("Tiếp nhận")
    verifier.press("Xác minh")
    verifier.page.get_by_text("chờ phê duyệt").wait_for()
    approver.page.goto(verifier.page.url)
    approver.page.fill("#passphrase", passphrase)
    approver.press("Duyệt và phát hành")


def forge(office: Path, keys: Path, box: bytes, target: Path) -> None:
    """The office's newest release as somebody would publish it who has the server's keys and one old key of an approver."""
    shutil.copytree(office, target)
    folder, server = target / "metadata", load_server(keys)
    newest = max(int(path.name.split(".")[0]) for path in folder.glob("*.targets.json"))
    targets = Metadata[Targets].from_file(str(folder / f"{newest}.targets.json"))
    targets.signed.version += 1
    targets.sign(open_box(box, OLD))
    targets.to_file(str(folder / f"{newest + 1}.targets.json"))
    timestamp = Metadata[Timestamp].from_file(str(folder / "timestamp.json"))
    number = timestamp.signed.snapshot_meta.version
    snapshot = Metadata[Snapshot].from_file(str(folder / f"{number}.snapshot.json"))
    snapshot.signed.version = timestamp.signed.snapshot_meta.version = number + 1
    snapshot.signed.meta["targets.json"].version = newest + 1
    for meta in (snapshot.signed.meta["targets.json"], timestamp.signed.snapshot_meta):
        meta.length = meta.hashes = None
    timestamp.signed.version += 1
    snapshot.sign(server["snapshot"][0])
    timestamp.sign(server["timestamp"][0])
    snapshot.to_file(str(folder / f"{number + 1}.snapshot.json"))
    timestamp.to_file(str(folder / "timestamp.json"))


def test_keys_are_changed_on_the_pages_and_a_sleeping_gateway_follows(
    running: tuple[Gateway, str], chromium: Browser, tmp_path: Path
) -> None:
    """One approver's key is withdrawn and made anew, another's is added, the root changes with each; a gateway that knew only the first
    root takes the newest list, the old passphrase opens nothing and the old key signs nothing."""
    gateway, origin = running
    one, two, three = officers(chromium, gateway, origin)
    state = gateway.folder / "var"
    make_key(two, OLD)
    approve(one, two, "game-doi-the.example", OLD)
    two.page.get_by_text("đã duyệt").first.wait_for()
    with sqlite3.connect(state / "lachan.db") as database:
        ((old_box,),) = database.execute("SELECT box FROM signing_keys").fetchall()
    roots = state / "release/metadata"
    far = Far(tmp_path / "far", origin, (roots / "1.root.json").read_bytes())
    assert far.take() is not None
    first = far.serial

    make_key(three, SECOND)
    sign(two, OLD)
    assert (roots / "2.root.json").is_file(), "the new approver is appointed by an officer who has a key"
    two.open("/office/signing")
    two.press("Thu hồi khóa của tôi")
    sign(three, SECOND)
    assert (roots / "3.root.json").is_file()
    make_key(two, NEW)
    sign(three, SECOND)
    assert (roots / "4.root.json").is_file()

    approve(one, two, "trang-moi.example", OLD)
    two.page.get_by_text("không mở được").wait_for()
    two.page.fill("#passphrase", NEW)
    two.press("Duyệt và phát hành")
    two.page.get_by_text("đã duyệt").first.wait_for()

    slept = far.take()
    assert slept is not None and far.serial > first, "three roots later the list is taken"
    assert any("trang-moi" in key for segment in slept.fresh.values() for key, *_ in segment["entries"])
    forge(state / "release", state / "keys", bytes(old_box), tmp_path / "forged")
    shutil.copytree(far.folder, tmp_path / "lied-to")
    victim = Far(tmp_path / "lied-to", origin, far.root)
    victim.serial = far.serial
    with serve(tmp_path / "forged") as url, pytest.raises(FollowError) as refused:
        victim.take(url)
    assert refused.value.code == "refused" and "targets was signed by 0/1 keys" in str(refused.value)
    again = far.take()
    assert again is not None and again.serial == slept.serial, "the office's own list is still good"
    assert [[fault for fault in desk.faults if "422" not in fault] for desk in (one, two, three)] == [[]] * 3
