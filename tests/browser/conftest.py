"""A real Chromium at real pages: the control plane served over a socket, a scripted gateway behind it.

Marked `full`: needs Debian's Chromium. With LACHAN_PICTURES=1 screenshots go to tests/browser/screenshots (not kept by git), for somebody
to open; without it the tests are quicker by as much.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any, TypeVar

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, sync_playwright

from admin.app import create_app, create_page_app, open_services
from admin.dependencies import Services
from admin.settings import AdminSettings
from gateway.settings import DnsSettings, Endpoint, GatewaySettings, UpstreamSettings
from tests.support.controlsocket import ScriptedGateway
from tests.support.people import PASSWORD

CHROMIUM = "/usr/bin/chromium"
SCREENSHOTS = Path(__file__).parent / "screenshots"
PHONE, DESK = {"width": 360, "height": 740}, {"width": 1280, "height": 860}
_T = TypeVar("_T")


class Place:
    """One control plane on two ports of this machine, in a thread with its own event loop."""

    def __init__(self, folder: Path) -> None:
        self.sockets = [_listener(), _listener()]
        self.port, self.page_port = (one.getsockname()[1] for one in self.sockets)
        self.settings = _settings(folder, self.port, self.page_port)
        self.address = f"http://127.0.0.1:{self.port}"
        self.page_address = f"http://127.0.0.1:{self.page_port}"
        self.now = datetime(2026, 10, 12, 12, 30, tzinfo=UTC)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        assert self._ready.wait(60)

    def run(self, work: Callable[[], Any]) -> Any:
        """Run a coroutine function in the place's loop and wait for its result."""
        return asyncio.run_coroutine_threadsafe(work(), self.loop).result(60)

    def stop(self) -> None:
        """Close everything."""
        for server in self._servers:
            server.should_exit = True
        self._thread.join(20)

    async def _run(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.services: Services = await open_services(self.settings, lambda: self.now.timestamp())
        self.gateway = ScriptedGateway(self.settings.state_dir)
        await self.gateway.start()
        apps = [create_app(self.services), create_page_app(self.services)]
        self._servers = [
            uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, ws="none", http="h11")) for app in apps
        ]
        self._ready.set()
        await asyncio.gather(*(server.serve([one]) for server, one in zip(self._servers, self.sockets, strict=True)))
        await self.gateway.stop()
        await self.services.database.close()


def _listener() -> socket.socket:
    one = socket.socket()
    one.bind(("127.0.0.1", 0))
    one.listen()  # who comes before the server does waits in the queue
    return one


def _settings(folder: Path, port: int, page_port: int) -> AdminSettings:
    dns = DnsSettings((Endpoint("192.168.1.2", 53),), 1, (ip_network("127.0.0.0/8"), ip_network("192.168.0.0/16")), None, "lachan.internal")
    return AdminSettings(
        listen=Endpoint("127.0.0.1", port),
        database=f"sqlite+aiosqlite:///{folder / 'lachan.db'}",
        state_dir=folder,
        gateway=GatewaySettings(folder, dns, UpstreamSettings((), "fastest", {}, 2.0), {}),
        block_page=Endpoint("192.168.1.2", page_port),  # as devices at home reach it
    )


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A fresh control plane."""
    one = Place(tmp_path)
    yield one
    one.stop()


def need_chromium() -> None:
    """Skip where there is none."""
    if shutil.which(CHROMIUM) is None:
        pytest.skip("no Chromium here")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium. Closed after each module: while it is open, its loop keeps tests that are coroutines from running."""
    need_chromium()
    SCREENSHOTS.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(params=["phone", "desk"])
def size(request: pytest.FixtureRequest) -> str:
    """Both widths every page is looked at: 360 and 1280."""
    return str(request.param)


@pytest.fixture
def page(chromium: Browser, size: str) -> Iterator[Page]:
    """A tab without scripts: every journey must work so."""
    context = chromium.new_context(
        viewport=PHONE if size == "phone" else DESK,  # type: ignore[arg-type]
        locale="vi-VN",
        java_script_enabled=False,
        device_scale_factor=2 if size == "phone" else 1,
    )
    tab = context.new_page()
    yield tab
    context.close()


def keep(page: Page, name: str) -> None:
    """A screenshot of the whole page for somebody to look at, when somebody wants to (LACHAN_PICTURES=1)."""
    if os.environ.get("LACHAN_PICTURES"):
        page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


def sign_in(page: Page, place: Place, name: str = "me", *, kept: bool = False) -> None:
    """Sign in at the door with the password of the tests."""
    page.goto(f"{place.address}/sign-in")
    if kept:
        page.check("input[name=kept]")
    page.fill("#sign_in", name)
    page.fill("#password", PASSWORD)
    with page.expect_navigation():
        page.click("main form button")
