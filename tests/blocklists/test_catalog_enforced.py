"""The shipped catalogue as a child meets it: its names asked over the network, of a worker that has loaded it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

import dns.message
import dns.rcode

from tests.support.client import answers
from tests.support.generation import profile
from tests.support.oneworker import OneWorker
from tests.support.shippedcatalogue import load
from tests.support.upstream import ScriptedUpstream

SAFE = {"A": "192.0.2.80", "AAAA": "2001:db8::80"}
"""Where every safe name is, as the upstream says."""
OPEN = {"A": "198.51.100.66", "AAAA": "2001:db8::66"}
"""Where every other name is."""


class Everything(ScriptedUpstream):
    """An upstream that knows every name of some, and the targets of safe search apart."""

    def __init__(self, names: Iterable[str], targets: Iterable[str] = ()) -> None:
        places = [(name, OPEN) for name in names] + [(name, SAFE) for name in targets]
        records = {(name, qtype): [address] for name, place in places for qtype, address in place.items()}
        super().__init__(records | {(name, "HTTPS"): ["1 . ipv4hint=198.51.100.66"] for name, place in places if place is OPEN})


async def every(worker: OneWorker, names: Iterable[str], qtype: str) -> dict[str, dns.message.Message]:
    """The replies for all names, a few at a time."""
    few = asyncio.Semaphore(20)

    async def one(name: str) -> dns.message.Message:
        async with few:
            return await worker.ask(name, qtype)

    found = sorted(names)
    return dict(zip(found, await asyncio.gather(*map(one, found)), strict=True))


async def test_every_name_of_every_engine_leads_to_its_safe_mode(tmp_path: Path) -> None:
    """A, AAAA and HTTPS of each name of the catalogue, all of Google's countries among them: no type leads past the safe mode."""
    catalogue = load()
    rows = [row for row in catalogue["safesearch"] if row["youtube"] in (None, "strict")]
    wanted = {name: row for row in rows for name in row["names"]}
    assert len(wanted) > 400 and len({row["engine"] for row in rows}) == 10
    async with (
        Everything(wanted, {row["target"] for row in rows}) as upstream,
        OneWorker(tmp_path, upstream, catalogue=catalogue, profiles=[profile("TH", "child")]) as worker,
    ):
        for qtype, address in SAFE.items():
            for name, reply in (await every(worker, wanted, qtype)).items():
                assert answers(reply) == [address, f"{wanted[name]['target']}."], (name, qtype)
        for name, reply in (await every(worker, wanted, "HTTPS")).items():
            assert (reply.rcode(), answers(reply)) == (dns.rcode.NOERROR, []), name
        assert not {asked.qname for asked in upstream.questions} & set(wanted), "none of them was asked for itself"


async def test_every_service_closes_each_of_its_names(tmp_path: Path) -> None:
    """A profile without the services meets a block at each of their names, and beside them what must stay open answers."""
    catalogue = load()
    rewritten = {name for row in catalogue["safesearch"] for name in row["names"]} | set(catalogue["canaries"])
    hosts = {host["name"] for row in catalogue["services"] for host in row["hosts"] if host["match"] != "subdomains"} - rewritten
    kept = {"tongdai111.vn", "time.google.com", "browser-update.coccoc.com", "www.example.com"}
    closed = profile("NL", "adult", services={row["id"]: "block" for row in catalogue["services"]})
    async with (
        Everything(hosts | kept) as upstream,
        OneWorker(tmp_path, upstream, catalogue=catalogue, profiles=[closed]) as worker,
    ):
        for name, reply in (await every(worker, hosts, "A")).items():
            assert answers(reply) == ["0.0.0.0"], name
        for name, reply in (await every(worker, kept, "A")).items():
            assert answers(reply) == [OPEN["A"]], name
        assert len(hosts) > 300


async def test_zing_mp3_is_closed_and_zalo_goes_on(tmp_path: Path) -> None:
    """The music is closed by its switch; messages, pictures and the news that share its suffixes answer. And the other way round."""
    music = {"zingmp3.vn", "mp3.zing.vn"}
    messages = {"zalo.me", "chat.zalo.me", "id.zalo.me", "res-zalo.zadn.vn", "avatar.talk.zdn.vn"}
    shared = {"znews-photo.zadn.vn", "znews.vn"}
    for service, closed, open_ in (("zing-mp3", music, messages | shared), ("zalo", messages, music | shared)):
        person = profile("NL", "adult", services={service: "block"})
        async with (
            Everything(music | messages | shared) as upstream,
            OneWorker(tmp_path / service, upstream, catalogue=load(), profiles=[person]) as worker,
        ):
            found = {name: answers(reply) for name, reply in (await every(worker, music | messages | shared, "A")).items()}
        assert found == {name: ["0.0.0.0"] for name in closed} | {name: [OPEN["A"]] for name in open_}, service
