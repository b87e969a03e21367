"""Real resolvers of other makers follow the list and block what our gateway blocks: Unbound, PowerDNS Recursor, Knot Resolver.

Each is configured by the file that operators copy (`deploy/followers`), with addresses and paths of the test filled in. BIND is in
`test_xfr.py`. All run at the same time, beside the real gateway, and each is ended by its own process id.
"""

from __future__ import annotations

import asyncio
import ipaddress
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import dns.asyncquery
import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.tsig
import pytest

from blocklists.categoryzone import CategoryZone, State
from blocklists.policyzone import Entry, PolicyZone
from blocklists.xfr import Feed, Secondary, TransferServer
from gateway import release
from gateway.control import ask_now
from tests.support.echogateway import free_port
from tests.support.gateway import Gateway, RunningUpstream, ede_codes, run_command
from tests.support.scripts import Asked, Script, addresses, negative
from tests.support.upstream import ScriptedUpstream

ROOT = Path(__file__).resolve().parents[2]
FOLLOWERS = ROOT / "deploy" / "followers"
ZONE = "rpz.lachan.test"
ORIGIN = dns.name.from_text(ZONE)
SECRET = "c2VjcmV0IG9mIHR3ZW50eS1mb3VyIQ=="
KEY = dns.tsig.Key("follower", SECRET, "hmac-sha256")
PROGRAMS = {"unbound": "unbound", "recursor": "pdns_recursor", "kresd": "kresd"}
LIST: list[Entry] = [("example.bad.", 0), ("example.exact.", 1), ("example.below.", 2)]
ADDED: Entry = ("example.later.", 0)
NAMES = [
    f"{prefix}{name}.example"
    for name in ("bad", "exact", "below", "later", "notbad", "open")
    for prefix in ("", "www.", "a.b.")
]  # fmt: skip
SETTINGS = """
state_dir: var
dns: {listen: ["127.0.0.1:0"], workers: 1}
upstreams: {servers: ["udp://127.0.0.1:{upstream}"]}
profiles: [{id: be, band: TH}]
default_profile: be
"""


class Everything(ScriptedUpstream):
    """An internet in which every name has an address, kept for one second."""

    def handle(self, asked: Asked) -> Script:
        """192.0.2.1 for every A question, nothing for the rest."""
        return addresses(asked, "192.0.2.1", ttl=1) if asked.qtype == "A" else negative(asked, rcode="NOERROR", ttl=1, minimum=1)


@dataclass(frozen=True)
class Follower:
    """One resolver that runs."""

    name: str
    port: int
    log: Path

    async def blocked(self, name: str) -> bool:
        """Whether it says that the name does not exist. Raises while it is not up."""
        reply = await dns.asyncquery.udp(dns.message.make_query(name, "A"), "127.0.0.1", port=self.port, timeout=2)
        assert reply.rcode() in (dns.rcode.NXDOMAIN, dns.rcode.NOERROR), f"{self.name}: {reply}"
        return reply.rcode() == dns.rcode.NXDOMAIN

    async def until(self, name: str, blocked: bool, seconds: float = 20) -> None:
        """Wait until it blocks the name, or opens it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if await self.blocked(name) == blocked:
                    return
            except (OSError, dns.exception.Timeout, AssertionError):
                pass
            await asyncio.sleep(0.1)
        raise AssertionError(f"{self.name}: {name} is not {'blocked' if blocked else 'open'} after {seconds} s\n{self.written()}")

    def written(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-3000:]


def filled(name: str, **fields: str) -> str:
    """A file for operators with the places of the test in it; every place must be there."""
    text = (FOLLOWERS / name).read_text(encoding="utf-8")
    for value, place in fields.items():
        before, _, after = place.partition(" → ")
        assert before in text, f"{name}: {value}"
        text = text.replace(before, after)
    return text


def for_zones(text: str, start: str, zones: Sequence[str]) -> str:
    """A copied file whose last part, from `start` on, is written once for each zone, in this order."""
    before, found, part = text.rpartition(start)
    assert found and ZONE in part
    return before + "".join(start + part.replace(ZONE, zone) for zone in zones)


def unbound(folder: Path, port: int, primary: int, upstream: int, zones: Sequence[str] = (ZONE,)) -> list[str]:
    """Unbound with the copied file and a forwarder."""
    copied = filled(
        "unbound.conf",
        primary=f"192.0.2.53@5399 → 127.0.0.1@{primary}",
        notify="allow-notify: 192.0.2.53 → allow-notify: 127.0.0.1",
        file=f"/var/lib/unbound → {folder}",
        modules='"respip validator iterator" → "respip iterator"',  # the names of the test are not signed
    )
    (folder / "unbound.conf").write_text(f"""{for_zones(copied, "rpz:", zones)}
server:
    interface: 127.0.0.1@{port}
    do-daemonize: no
    username: ""
    chroot: ""
    directory: "{folder}"
    pidfile: ""
    use-syslog: no
    do-not-query-localhost: no
remote-control:
    control-enable: no
forward-zone:
    name: "."
    forward-addr: 127.0.0.1@{upstream}
""")
    return ["unbound", "-d", "-c", str(folder / "unbound.conf")]


def recursor(folder: Path, port: int, primary: int, upstream: int, zones: Sequence[str] = (ZONE,)) -> list[str]:
    """PowerDNS Recursor with the copied file, asking every second."""
    copied = filled(
        "recursor.lua",
        primary=f"192.0.2.53:5399 → 127.0.0.1:{primary}",
        secret=f"SECRET → {SECRET}",
        refresh="refresh = 60 → refresh = 1",
        file=f"/var/lib/powerdns → {folder}",
    )
    (folder / "recursor.lua").write_text(for_zones(copied, "rpzPrimary(", zones))
    (folder / "recursor.conf").write_text(f"""
local-address=127.0.0.1
local-port={port}
daemon=no
socket-dir={folder}
lua-config-file={folder}/recursor.lua
forward-zones-recurse=.=127.0.0.1:{upstream}
dont-query=
dnssec=off
threads=1
disable-syslog=yes
packetcache-ttl=1
""")
    return ["pdns_recursor", f"--config-dir={folder}"]


def kresd(folder: Path, port: int, primary: int, upstream: int, zones: Sequence[str] = (ZONE,)) -> list[str]:
    """Knot Resolver with the copied file."""
    copied = filled("kresd.conf", file=f"/var/lib/lachan/ → {folder}/")
    (folder / "kresd.conf").write_text(f"""
net.listen('127.0.0.1', {port}, {{ kind = 'dns' }})
cache.size = 10 * MB
trust_anchors.remove('.')
{for_zones(copied, "follow('", zones)}
policy.add(policy.all(policy.STUB('127.0.0.1@{upstream}')))
""")
    return ["kresd", "-n", "-c", str(folder / "kresd.conf"), str(folder)]


@contextmanager
def running(name: str, command: list[str], folder: Path, port: int) -> Iterator[Follower]:
    """One resolver, from its start to its end."""
    log = folder / f"{name}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    try:
        yield Follower(name, port, log)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)


def bind(folder: Path, port: int, primary: int, upstream: int, zones: Sequence[str]) -> list[str]:
    """BIND as the README of the folder sets it up."""
    order = " ".join(f'zone "{zone}" min-update-interval 0;' for zone in zones)
    taken = f'masterfile-format text; primaries {{ 127.0.0.1 port {primary} key "follower"; }};'
    copies = "".join(f'zone "{zone}" {{ type secondary; file "{zone}"; {taken} }};\n' for zone in zones)
    (folder / "named.conf").write_text(f"""
key "follower" {{ algorithm hmac-sha256; secret "{SECRET}"; }};
options {{
  directory "{folder}"; pid-file none; session-keyfile "{folder}/session.key";
  listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
  recursion yes; dnssec-validation no; empty-zones-enable no; forward only; forwarders {{ 127.0.0.1 port {upstream}; }};
  response-policy {{ {order} }} qname-wait-recurse no;
}};
controls {{ }};
{copies}""")
    return ["named", "-g", "-c", str(folder / "named.conf"), "-n", "1"]


def pull(folder: Path, primary: int, zone: str = ZONE) -> str:
    """What the timer beside Knot Resolver runs: the command that its file names."""
    (folder / "follower.key").write_text(f'key "follower" {{\n\talgorithm hmac-sha256;\n\tsecret "{SECRET}";\n}};\n')
    line = next(line for line in (FOLLOWERS / "kresd.conf").read_text().splitlines() if "zone pull" in line)
    line = line.replace(ZONE, zone)
    for before, after in (("192.0.2.53:5399", f"127.0.0.1:{primary}"), ("/etc/lachan", folder), ("/var/lib/lachan", folder)):
        line = line.replace(before, str(after))
    done = run_command(*line.lstrip("- ").split()[1:])
    assert done.returncode == 0, done.stderr
    return done.stdout


def enforce(gateway: Gateway, serial: int, entries: list[Entry]) -> None:
    """Put the same list in force on our gateway."""
    order = {"id": "o", "number": "12/QĐ-STTTT", "issuer": "Sở", "basis": [], "from": "2020-01-01T00:00:00Z", "until": None, "no_end": True}
    segment = {"format": 1, "orders": [order], "entries": [[key, match, 0] for key, match in sorted(entries)], "lifted": []}
    name = release.write_file(gateway.folder / "var", segment)
    changes = {"orders": {"serial": serial, "segments": [name], "origin": "office"}}
    assert ask_now(gateway.folder / "var", {"do": "apply", "changes": changes}, 30)["ok"]


def blocked_by_gateway(gateway: Gateway) -> set[str]:
    """The names that our gateway blocks by the order."""
    return {name for name in NAMES if 16 in ede_codes(gateway.ask(name))}


async def blocked_by(follower: Follower) -> set[str]:
    """The names that a resolver blocks."""
    return {name for name in NAMES if await follower.blocked(name)}


@pytest.fixture
async def primary() -> AsyncIterator[tuple[TransferServer, PolicyZone, int, int]]:
    """The list's transfer server, telling Unbound's port of each version."""
    zone = PolicyZone(ZONE, 1, LIST)
    told = free_port()
    loopback = [ipaddress.ip_network("127.0.0.1/32")]
    server = TransferServer(Feed({ORIGIN: zone}, {KEY.name: KEY}, loopback, [Secondary("127.0.0.1", told)]))
    port = await server.start("127.0.0.1", 0)
    yield server, zone, port, told
    await server.stop()


@pytest.mark.full
async def test_resolvers_follow_a_publish_and_a_lift_and_block_what_the_gateway_blocks(
    tmp_path: Path, primary: tuple[TransferServer, PolicyZone, int, int]
) -> None:
    """Every resolver takes the list, then a publish, then a lift; each time it blocks the names that our gateway blocks, and no other."""
    missing = [program for program in PROGRAMS.values() if shutil.which(program) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    server, zone, port, told = primary
    with ExitStack() as stack:
        upstream = stack.enter_context(RunningUpstream(upstream=Everything())).port
        followers = []
        short = Path(stack.enter_context(TemporaryDirectory(prefix="lachan-")))  # the path of a Unix socket has at most 107 octets
        for name, configure in (("unbound", unbound), ("recursor", recursor), ("kresd", kresd)):
            folder = short / name
            folder.mkdir()
            listen = told if name == "unbound" else free_port()
            command = configure(folder, listen, port, upstream)
            followers.append(stack.enter_context(running(name, command, folder, listen)))
        (tmp_path / "gateway").mkdir()
        gateway = Gateway(tmp_path / "gateway", SETTINGS, upstream=upstream)
        await asyncio.to_thread(stack.enter_context, gateway)

        async def agree(serial: int, name: str, blocked: bool) -> set[str]:
            """Everyone reaches this version; the names that all of them block."""
            server.announce(ORIGIN)
            await asyncio.to_thread(enforce, gateway, serial, [*LIST, ADDED] if blocked and serial > 1 else LIST)
            assert f"serial {serial}" in await asyncio.to_thread(pull, short / "kresd", port)
            await asyncio.gather(*(follower.until(name, blocked) for follower in followers))
            ours = await asyncio.to_thread(blocked_by_gateway, gateway)
            for follower, theirs in zip(followers, await asyncio.gather(*map(blocked_by, followers)), strict=True):
                assert theirs == ours, f"{follower.name}\n{follower.written()}"
            return ours

        at_first = await agree(1, "www.bad.example", True)
        assert at_first == {"bad.example", "www.bad.example", "a.b.bad.example", "exact.example", "www.below.example", "a.b.below.example"}
        zone.advance(2, [], [ADDED])
        assert await agree(2, "www.later.example", True) - at_first == {"later.example", "www.later.example", "a.b.later.example"}
        zone.advance(3, [ADDED], [])
        assert await agree(3, "www.later.example", False) == at_first


CATEGORY = f"gamb.{ZONE}"
CLOSED_BY_A_LIST = """\
example.list.\t*b
example.list.\t=b
example.list.shop.\t*p
example.list.shop.\t=p
"""
"""A category closes a site and leaves one name below it alone, as the list it is made from says."""


@pytest.mark.full
@pytest.mark.parametrize("orders_first", [True, False], ids=["orders-first", "category-first"])
async def test_orders_hold_where_their_zone_stands_first(tmp_path: Path, orders_first: bool) -> None:
    """An order closes a name that a list leaves alone. Where the zone of orders stands first, as our files say, every resolver closes what
    either zone closes. Where the category stands first, its exception opens what the order closes at BIND, Unbound and the Recursor, which
    ask the first zone that knows the name; our file for Knot Resolver goes on to the next zone. The README of the folder says so."""
    missing = [program for program in ("named", *PROGRAMS.values()) if shutil.which(program) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    (tmp_path / "rules.1").write_text(CLOSED_BY_A_LIST)
    orders, category = PolicyZone(ZONE, 1, [("example.list.shop.", 0)]), CategoryZone(CATEGORY, tmp_path, State(1, {}, 4))
    feed = Feed({orders.origin: orders, category.origin: category}, {KEY.name: KEY}, [ipaddress.ip_network("127.0.0.1/32")])
    server = TransferServer(feed)
    port = await server.start("127.0.0.1", 0)
    zones = [ZONE, CATEGORY] if orders_first else [CATEGORY, ZONE]
    with ExitStack() as stack:
        upstream = stack.enter_context(RunningUpstream(upstream=Everything())).port
        short = Path(stack.enter_context(TemporaryDirectory(prefix="lachan-")))
        followers = []
        for name, configure in (("unbound", unbound), ("recursor", recursor), ("kresd", kresd), ("bind", bind)):
            folder = short / name
            folder.mkdir()
            listen = free_port()
            followers.append(stack.enter_context(running(name, configure(folder, listen, port, upstream, zones), folder, listen)))
        for zone in zones:
            await asyncio.to_thread(pull, short / "kresd", port, zone)
        for follower in followers:
            await follower.until("www.list.example", True)
            closes = orders_first or follower.name == "kresd"
            await follower.until("www.shop.list.example", closes)
            assert await follower.blocked("shop.list.example") is closes, follower.written()
            assert not await follower.blocked("open.example")
    await server.stop()
