"""Zones taken and put in force in one round; when the follower takes which; what a person is told."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import dns.name
import pytest

from blocklists.policyzone import PolicyZone
from blocklists.xfr import Feed, TransferServer
from gateway import release
from gateway.zones import ZoneState, read_zone, write_zone
from lachan.configuration import load
from lachan.lists import accept
from lachan.transfers import ZoneError, ZoneFollower, is_due, refresh, taken

ZONE = "rpz.lachan.test"
ORIGIN = dns.name.from_text(ZONE)
COPY = Path("var/zones/rpz.lachan.test.zone")


@pytest.fixture
async def primary(tmp_path: Path) -> AsyncIterator[tuple[TransferServer, Path]]:
    """A zone of six hundred names, and the configuration that takes it."""
    zone = PolicyZone(ZONE, 10, [(f"example.n{n}.", 1) for n in range(600)])
    server = TransferServer(Feed({ORIGIN: zone}, open_to=[ipaddress.ip_network("127.0.0.1/32")]))
    port = await server.start("127.0.0.1", 0)
    path = tmp_path / "lachan.yaml"
    path.write_text(f'state_dir: var\nrpz: [{{name: {ZONE}, primary: {{address: "127.0.0.1:{port}"}}}}]\n')
    yield server, path
    await server.stop()


def rules(path: Path) -> int:
    """The zone's rules in the generation in force."""
    state_dir = path.parent / "var"
    header = release.read_index_header(state_dir, release.read_manifest(state_dir).index_dir)
    return sum(row["entries"] for row in header["sources"] if row["id"] == f"rpz:{ZONE}")


async def test_zone_is_taken_put_in_force_and_told(primary: tuple[TransferServer, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """One line for each zone; one that cannot be taken keeps its rules, a sentence says why and nothing is compiled."""
    server, path = primary
    await asyncio.to_thread(refresh, path, [], quiet=False)
    assert rules(path) == 600 and "số / serial 10" in capsys.readouterr().out
    server.feed.zones[ORIGIN] = PolicyZone(ZONE, 9, [])
    with pytest.raises(ZoneError, match="older serial than 10"):
        await asyncio.to_thread(refresh, path, [ZONE], quiet=False)
    assert rules(path) == 600 and "keeps serial 10 (backwards)" in capsys.readouterr().out
    state = read_zone(path.parent / "var", path.parent / COPY)
    assert state is not None and (state.serial, state.failures) == (10, 1)
    with pytest.raises(ZoneError, match=r"no zone other\.test is taken from a primary"):
        refresh(path, ["other.test"], quiet=True)


async def test_sudden_change_waits_for_a_person(primary: tuple[TransferServer, Path]) -> None:
    """A zone that shrinks to a handful keeps its rules until somebody agrees; one that is what it was before waits no more."""
    server, path = primary
    zone = server.feed.zones[ORIGIN]
    await asyncio.to_thread(refresh, path, [], quiet=True)
    full = [(f"example.n{n}.", 1) for n in range(600)]
    zone.replace(11, full[:5])
    await asyncio.to_thread(refresh, path, [], quiet=True)
    assert rules(path) == 600
    zone.replace(12, full)
    await asyncio.to_thread(refresh, path, [], quiet=True)
    zone.replace(13, full[:5])
    await asyncio.to_thread(refresh, path, [], quiet=True)
    await asyncio.to_thread(accept, path, f"rpz:{ZONE}", yes=True)
    assert rules(path) == 5


async def test_follower_takes_what_is_new_late_or_told(primary: tuple[TransferServer, Path]) -> None:
    """Everything at the start, then what is due or was told; another primary, or none yet, at once."""
    _, path = primary
    configuration = load(path)
    zones = taken(configuration)
    follower = ZoneFollower(path)
    assert follower._due(configuration) == [ZONE]
    now = follower._clock.now()
    good = ZoneState(ZONE, str(zones[0].primary)).after_success(10, (3600, 600, 86_400), 1, now)
    write_zone(path.parent / "var", zones[0].file, good)
    assert follower._due(configuration) == []
    follower._note(ZONE)
    assert follower.news.is_set() and follower._due(configuration) == [ZONE] and not follower.news.is_set()
    assert follower._due(configuration) == []
    write_zone(path.parent / "var", zones[0].file, replace(good, primary="192.0.2.1:53"))
    assert follower._due(configuration) == [ZONE]
    assert is_due(None, now) and is_due(good, now + 3600) and is_due(good, now - 600) and not is_due(good, now + 60)


async def test_follower_takes_a_zone_by_itself(primary: tuple[TransferServer, Path]) -> None:
    """From the start of the process to the rules in force; a file with a mistake changes nothing and is read again when it is right."""
    _, path = primary
    follower = ZoneFollower(path)
    running = asyncio.create_task(follower.main())
    for _ in range(600):
        state = read_zone(path.parent / "var", path.parent / COPY)
        if state is not None and state.serial == 10 and release.current_number(path.parent / "var"):
            break
        await asyncio.sleep(0.1)
    assert rules(path) == 600
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    path.write_text("rpz: nonsense\n")
    assert follower._load() is None
