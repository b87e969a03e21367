"""A Wi-Fi router that hands out another resolver beside the gateway, or one for IPv6: real programs, a real browser, a network of the test.

The router's resolver is dnsmasq, which writes down what it is asked: so the test knows for each check which of its names went past the
gateway, whatever order the phone's own library took.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.test_walks import BOX, PASSWORD, PHONE, ask_until, keep, wait_for
from tests.support.gateway import ROOT
from tests.support.namespaces import Machine, Networks, require
from tests.support.walks import browser_on, set_up_home

pytestmark = [pytest.mark.full, pytest.mark.slow]

ROUTER, ROUTER6 = "10.77.0.254", "fd77::fe"
TABLET: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "locale": "vi-VN", "ignore_https_errors": True}
PROTECTED, PARTLY, NOT_YET = "Máy này được bảo vệ", "Chỉ một phần câu hỏi đến đây", "Máy này chưa hỏi qua cổng lọc"


@pytest.fixture
def networks() -> Iterator[Networks]:
    require("dig", "unshare", "dnsmasq")
    with Networks() as made:
        yield made


class Router:
    """A router with a resolver of its own, over IPv4 and IPv6."""

    def __init__(self, machine: Machine, folder: Path) -> None:
        self._log = folder / "router.log"
        settings = ("--no-resolv", "--no-hosts", "--keep-in-foreground", "--log-queries", f"--log-facility={self._log}", "--user=root")
        machine.start("dnsmasq", "--conf-file=/dev/null", "--address=/#/198.51.100.9", *settings, log=folder / "router.out")

    def asked(self, nonce: str) -> set[str]:
        """Which names of one check it was asked for, for one of their addresses."""
        text = self._log.read_text(encoding="utf-8") if self._log.exists() else ""
        return set(re.findall(rf"query\[A+\] check-({nonce}\d?)\.", text))


def check(page: Page) -> tuple[str, str]:
    """One check from its beginning to what the page says in the end: the nonce, and the heading."""
    page.goto("https://10.77.0.1:8443/check", wait_until="commit")
    nonce = page.url.rpartition("/")[2].partition("?")[0]
    said = page.get_by_role("heading").filter(has_text=PROTECTED).or_(page.get_by_role("heading").filter(has_text=PARTLY))
    said = said.or_(page.get_by_role("heading").filter(has_text=NOT_YET))
    said.first.wait_for(timeout=60_000)
    return nonce, said.first.inner_text()


def test_a_second_resolver_of_the_router_is_told_with_the_remedy(networks: Networks, tmp_path: Path) -> None:
    """Two servers in turn: whenever a fresh name went to the router, even for one of its two addresses only, the page does not say
    "protected" but what to change there. With the router's IPv6 server first, or alone, the page names IPv6, too. With ours alone the
    device is protected."""
    lan = networks.switch("lan")
    box = networks.machine("box", lan, f"{BOX}/24", gateway=ROUTER)
    phone = networks.machine("phone", lan, f"{PHONE}/24", "fd77::20/64")
    router = Router(networks.machine("router", lan, f"{ROUTER}/24", f"{ROUTER6}/64"), tmp_path)
    log = tmp_path / "output"
    box.start(sys.executable, "-m", "lachan", "run", "--lan", log=log, folder=tmp_path, environment={"PYTHONPATH": str(ROOT)})
    link = wait_for(log, r"https://10\.77\.0\.1:8443/setup/\S+")
    ask_until(phone, "lachan.internal")
    assert phone.addresses("anything.example", server=ROUTER) == phone.addresses("anything.example", server=ROUTER6) == ["198.51.100.9"]
    with browser_on(phone, tmp_path, BOX, ROUTER, options="rotate timeout:1 attempts:1") as chromium:
        context = chromium.new_context(**TABLET)
        page = context.new_page()
        set_up_home(page, link, PASSWORD)
        signed_in = context.storage_state()
        for _ in range(12):  # all four may come to us by chance, once in sixteen times
            nonce, said = check(page)
            assert (said == PROTECTED) == (not router.asked(nonce)), (said, router.asked(nonce))
            if said == PARTLY:
                break
        text = page.inner_text("main")
        assert said == PARTLY and re.search("[0-3] trong 4 tên mới", text), text
        assert "để trống DNS thứ hai" in text and "RDNSS" in text
        keep(page, "second-resolver")
    for handed_out, expected in (((ROUTER6, BOX), {PARTLY, NOT_YET}), ((ROUTER6,), {NOT_YET})):  # ours gets what the router's refuses
        for _ in range(5):  # at a slow moment a browser goes to its second server and stays there: all came to us, and the page says so
            with browser_on(phone, tmp_path, *handed_out) as chromium:
                page = chromium.new_context(**TABLET, storage_state=signed_in).new_page()
                nonce, said = check(page)
                assert (said == PROTECTED) == (not router.asked(nonce)), (said, router.asked(nonce))
                if said in expected:
                    assert "RDNSS" in page.inner_text("main")
                    keep(page, f"resolver-of-ipv6-{len(handed_out)}")
                    break
        assert said in expected, said
    with browser_on(phone, tmp_path, BOX) as chromium:
        page = chromium.new_context(**TABLET, storage_state=signed_in).new_page()
        nonce, said = check(page)
        assert (said, router.asked(nonce)) == (PROTECTED, set())
