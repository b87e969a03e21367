"""Who a device is, by the real program: a lease of the site's DHCP server, which may go to another device at any time."""

from __future__ import annotations

import os
import re
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import dns.message
import dns.query

from gateway.control import ask_now
from tests.support.echogateway import free_port
from tests.support.gateway import Gateway, RunningUpstream
from tests.support.upstream import ScriptedUpstream
from tests.support.visitor import _Reader
from tests.support.walker import Browser, set_up_home

SETTINGS = """
state_dir: var
dns: {listen: ["127.0.0.1:0"], workers: 2}
dhcp: {leases: [dnsmasq.leases]}
upstreams: {servers: ["udp://127.0.0.1:{upstream}"]}
metrics: {listen: "127.0.0.1:{metrics}"}
profiles: [{id: be, band: TH}, {id: me, band: NL}]
clients:
  - {id: may-be, profile: be, match: ["mac:3c:22:fb:00:00:31"]}
  - {id: may-me, profile: me, match: ["mac:3c:22:fb:00:00:32"]}
  - {id: may-ba, profile: me, match: [127.0.0.8]}
  - {id: may-chuyen, profile: me, match: [127.0.0.9]}
default_profile: be
"""
NAME, OPEN, CLOSED = "facebook.com", ["198.51.100.10"], ["0.0.0.0"]


def until(condition: Callable[[], bool], seconds: float = 12) -> bool:
    """Whether it comes true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.2)
    return False


def test_policy_follows_the_device_that_has_the_lease(tmp_path: Path) -> None:
    """The mother's phone is open; when its address goes to somebody else, that device has its own rules at once; its name is told only
    while nobody has named it."""
    leases = tmp_path / "dnsmasq.leases"

    def give(mac: str, name: str = "dien-thoai") -> None:
        fresh = tmp_path / "fresh"
        fresh.write_text(f"0 {mac} 127.0.0.7 {name} *\n")
        os.replace(fresh, leases)

    give("3c:22:fb:00:00:32")
    script = ScriptedUpstream({(NAME, "A"): OPEN})
    with RunningUpstream(upstream=script) as upstream, Gateway(tmp_path, SETTINGS, upstream=upstream.port) as it:
        assert it.addresses(NAME, source="127.0.0.7") == OPEN
        give("3c:22:fb:00:00:99", "<b>la</b>")
        assert until(lambda: it.addresses(NAME, source="127.0.0.7") == CLOSED), "another device has the address now"
        rows = ask_now(tmp_path / "var", {"do": "devices"}, 10.0)["devices"]
        assert [(row["mac"], row["name"]) for row in rows if row["address"] == "127.0.0.7"] == [("3c:22:fb:00:00:99", "<b>la</b>")]
        give("3c:22:fb:00:00:32")
        assert until(lambda: it.addresses(NAME, source="127.0.0.7") == OPEN)
        rows = ask_now(tmp_path / "var", {"do": "devices"}, 10.0)["devices"]
        assert [row["name"] for row in rows if row["address"] == "127.0.0.7"] == [""], "somebody has named it"
        for source in ("127.0.0.8", "127.0.0.9") * 3:
            assert it.addresses(NAME, source=source) == OPEN
        text = it.path.read_text(encoding="utf-8")
        it.path.write_text(text.replace("may-chuyen, profile: me", "may-chuyen, profile: be"), encoding="utf-8")
        ask_now(tmp_path / "var", {"do": "reload"}, 60.0)
        assert it.addresses(NAME, source="127.0.0.8") == OPEN
        assert it.addresses(NAME, source="127.0.0.9") == CLOSED, "handed down to the child, while the father's device asks on as before"
        leases.unlink()
        assert until(lambda: it.addresses(NAME, source="127.0.0.7") == CLOSED, 20), "nothing says any more who it is"
        assert "dien-thoai" not in it.written() and "<b>" not in it.http("/metrics")[1]
    kept = [path for path in (tmp_path / "var").rglob("*") if path.is_file() and b"dien-thoai" in path.read_bytes()]
    assert kept == []


PAGES = """
state_dir: {folder}/var
dns: {listen: ["127.0.0.1:0"], workers: 1, name: lachan.internal}
dhcp: {leases: [{folder}/dnsmasq.leases]}
upstreams: {servers: ["udp://127.0.0.1:{upstream}"]}
metrics: {listen: "127.0.0.1:{metrics}"}
admin: {listen: "127.0.0.1:{admin}"}
"""
HOST = "iphone-cua-be-na"


def test_name_a_device_gives_itself_is_shown_for_naming_and_kept_nowhere(tmp_path: Path) -> None:
    """With the pages: it stands where a device is to be named and nowhere else, until somebody has named the device; no file, no log line,
    no number, no backup and no download has it."""
    leases = tmp_path / "dnsmasq.leases"
    leases.write_text(f"0 3c:22:fb:00:00:77 127.0.0.7 {HOST} *\n", encoding="ascii")
    with (
        RunningUpstream({(NAME, "A"): OPEN}) as upstream,
        Gateway(tmp_path, PAGES, upstream=upstream.port, admin=free_port()) as it,
    ):
        browser = set_up_home(it)

        def shown() -> bool:
            it.addresses(NAME, source="127.0.0.7")
            browser.get("/devices")
            return HOST in browser.text

        assert until(shown), browser.text
        seen = crawl(browser)
        assert {re.split("[?#]", path)[0] for path, text in seen.items() if HOST in text} == {"/devices"}
        assert len(seen) > 20
        found = re.search(r'<option value="(\w+)">Bi<', seen["/devices"])
        assert found
        browser.get("/devices")
        browser.submit("/devices", {"owner": found[1], "label": "máy của Bi"})
        assert until(lambda: browser.get("/devices") == 200 and HOST not in browser.text), "it has a name now"
        assert "máy của Bi" in browser.text
        assert it.command("backup", str(tmp_path / "copy.zip"), "-c", str(it.path)).returncode == 0
        numbers = it.http("/metrics")[1]
        browser.http.close()
    assert HOST not in it.written() and HOST not in numbers
    with zipfile.ZipFile(tmp_path / "copy.zip") as archive:
        assert not any(HOST.encode() in archive.read(name) for name in archive.namelist())
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and path != leases and HOST.encode() in path.read_bytes()]
    assert kept == []


def crawl(browser: Browser) -> dict[str, str]:
    """Every page that links lead to, by its path: what a person sees, downloads too."""
    seen: dict[str, str] = {}
    waiting = ["/"]
    while waiting and len(seen) < 150:
        path = waiting.pop(0)
        if path in seen or not path.startswith("/"):
            continue
        response = browser.http.get(path)
        seen[path] = response.text
        reader = _Reader()
        reader.feed(response.text)
        waiting += [link for link in reader.links if link not in seen and "sign-out" not in link]
    return seen


SCHOOL = """
state_dir: var
dns: {listen: ["127.0.0.1:0", "127.0.0.2:0"], workers: 1}
upstreams: {servers: ["udp://127.0.0.1:{upstream}"]}
metrics: {listen: "127.0.0.1:{metrics}"}
sites:
  - {id: tieu-hoc, class: school, bands: [TH], listen: ["127.0.0.1"]}
  - {id: giao-vien, class: school, bands: [NL], listen: ["127.0.0.2"]}
profiles: [{id: thay-co, band: NL, site: giao-vien}]
clients: [{id: phong-thay-co, profile: thay-co, site: giao-vien, match: [127.0.0.7]}]
"""


def test_each_band_of_a_school_has_an_address_of_its_own(tmp_path: Path) -> None:
    """The whole school is behind one address of its router: teachers and the little ones are told apart by the address they ask."""
    with RunningUpstream({(NAME, "A"): OPEN}) as upstream, Gateway(tmp_path, SCHOOL, upstream=upstream.port) as it:
        ports: dict[str, int] = {}
        for row in it.status()["listen"]:
            host, _, port = row["address"].rpartition(":")
            ports.setdefault(f"{row['transport']} {host}", int(port))
        seen = {}
        for transport, send in (("udp", dns.query.udp), ("tcp", dns.query.tcp)):
            for host in ("127.0.0.1", "127.0.0.2"):
                for source in ("127.0.0.7", "127.0.0.8"):
                    question = dns.message.make_query(NAME, "A", use_edns=0, payload=1232)
                    reply = send(question, host, 5, ports[f"{transport} {host}"], source=source)
                    seen[transport, host, source] = [str(rdata) for rrset in reply.answer for rdata in rrset]
    for transport in ("udp", "tcp"):
        assert seen[transport, "127.0.0.2", "127.0.0.7"] == OPEN, "the teachers, at their own address"
        assert seen[transport, "127.0.0.1", "127.0.0.7"] == CLOSED, "the same address asks where the little ones ask: they are meant"
        assert seen[transport, "127.0.0.1", "127.0.0.8"] == seen[transport, "127.0.0.2", "127.0.0.8"] == CLOSED, "nobody named this one"
