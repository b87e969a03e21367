"""Scripts walked in a real browser on a machine of its own, with what they cost a person: presses, letters typed, words read, seconds.

    with browser_on(phone, folder, "10.77.0.1") as chromium:
        walk = Walk(chromium.new_page())
        walk.open(link)
        walk.press("button[name=go]")
        print(walk.cost())

The seconds are those of a person who reads every word of the page (250 syllables a minute), types on a phone (three letters a second) and
needs a second and a half for each press; the machine's own waiting is measured beside it. For tests only.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.support.namespaces import Machine

CHROMIUM = "/usr/bin/chromium"
SYLLABLES_A_SECOND, LETTERS_A_SECOND, SECONDS_A_PRESS = 250 / 60, 3.0, 1.5


@dataclass(frozen=True, slots=True)
class Cost:
    """What one script cost. `person` are the seconds of a person, `machine` those the browser waited for the program."""

    pages: int
    presses: int
    letters: int
    syllables: int
    machine: float

    @property
    def person(self) -> int:
        """Seconds for reading, typing and pressing, with the machine's waiting."""
        spent = self.syllables / SYLLABLES_A_SECOND + self.letters / LETTERS_A_SECOND + self.presses * SECONDS_A_PRESS
        return round(spent + self.machine)

    def __str__(self) -> str:
        return f"{self.pages} pages, {self.presses} presses, {self.letters} letters, {self.syllables} syllables, {self.person} s"


@dataclass
class Walk:
    """One script in one tab."""

    page: Page
    presses: int = 0
    letters: int = 0
    syllables: int = 0
    pages: int = 0
    machine: float = 0.0
    read: list[str] = field(default_factory=list)

    def open(self, address: str, presses: int = 1) -> None:
        """Open an address: from a picture or a link, one press; more where the browser asks first."""
        self.presses += presses
        self._timed(lambda: self.page.goto(address))

    def fill(self, selector: str, text: str) -> None:
        """Touch a field and type."""
        self.presses += 1
        self.letters += len(text)
        self.page.fill(selector, text)

    def choose(self, selector: str, value: str) -> None:
        """Open a choice and take one."""
        self.presses += 2
        self.page.select_option(selector, value)

    def tick(self, selector: str) -> None:
        """Touch one of several answers."""
        self.presses += 1
        self.page.check(selector)

    def press(self, selector: str) -> None:
        """Press what leads on."""
        self.presses += 1
        self._timed(lambda: self.page.click(selector))

    def wait(self, text: str) -> None:
        """Wait until the page says something."""
        self._timed(lambda: self.page.get_by_text(text).first.wait_for(timeout=60_000))

    def cost(self) -> Cost:
        """Everything so far."""
        return Cost(self.pages, self.presses, self.letters, self.syllables, self.machine)

    def _timed(self, work: object) -> None:
        assert callable(work)
        begun = time.monotonic()
        work()
        self.page.wait_for_load_state()
        self.machine += time.monotonic() - begun
        words = self.page.inner_text("main").split()
        fresh = [word for word in words if word not in self.read]
        if fresh:
            self.pages += 1
            self.syllables += len(words) if len(fresh) > len(words) // 3 else len(fresh)
            self.read = words


def set_up_home(page: Page, link: str, password: str) -> None:
    """A home with one child, Bi, set up by the printed link; the page then begins to check whether its device is protected."""
    page.goto(link)
    page.click("button[name=go]")
    page.fill("#label-1", "Bi")
    page.click("button[name=go]")
    page.get_by_role("heading", name="máy").wait_for()
    page.click("button[name=go]")
    page.fill("#sign_in", "me")
    page.fill("#password", password)
    page.fill("#again", password)
    page.click("button[name=go]")
    page.wait_for_url("**/check/*", wait_until="commit")  # its pictures may wait for a resolver that is not there


@contextmanager
def browser_on(machine: Machine, folder: Path, *resolvers: str, options: str = "timeout:1 attempts:1") -> Iterator[Browser]:
    """Chromium on a machine of the test, which asks `resolvers` for every name: a namespace of its own, also for /etc/resolv.conf."""
    if shutil.which(CHROMIUM) is None:
        pytest.skip("no Chromium here")
    names = folder / f"{machine.name}.resolv"
    names.write_text("".join(f"nameserver {one}\n" for one in resolvers) + f"options {options}\n", encoding="ascii")
    starter = folder / f"{machine.name}.sh"
    inside = f'mount --bind {names} /etc/resolv.conf; exec {CHROMIUM} "$@"'
    starter.write_text(f"#!/bin/sh\nexec ip netns exec {machine.name} unshare -m sh -c '{inside}' chromium \"$@\"\n", encoding="ascii")
    starter.chmod(0o755)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(starter), args=["--no-sandbox", "--disable-features=DnsOverHttps"])
        try:
            yield browser
        finally:
            browser.close()
