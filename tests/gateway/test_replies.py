"""Finished replies: what is kept, what is found again in another dress."""

from __future__ import annotations

from pathlib import Path

import dns.edns
import dns.flags
import dns.message
import pytest

from tests.support.client import answers, exchange
from tests.support.generation import category, profile
from tests.support.oneworker import OneWorker
from tests.support.upstream import ScriptedUpstream

OPEN = {("www.example.com", "A"): ["198.51.100.1"]}
LISTS = {"bets": category("gamb", "bet.example")}


def held(worker: OneWorker) -> int:
    """Replies in all tables."""
    return sum(len(table.answers) for table in worker.pipeline._tables)


async def test_only_plain_queries_are_kept_and_only_at_second_sight(tmp_path: Path) -> None:
    """However a client varies letter case, sizes and options, one name makes one entry; a name seen once makes none."""
    async with ScriptedUpstream(OPEN) as upstream, OneWorker(tmp_path, upstream) as worker:
        await worker.ask("www.example.com")
        assert held(worker) == 0
        await worker.ask("www.example.com")
        assert held(worker) == 1
        for number in range(64):
            name = "".join(letter.upper() if number >> place & 1 else letter for place, letter in enumerate("www.ex")) + "ample.com"
            assert answers(await worker.ask(name)) == ["198.51.100.1"]
        for size in range(513, 600):
            await worker.ask("www.example.com", use_edns=0, payload=size)
        for number in range(50):
            await worker.ask("www.example.com", use_edns=0, options=[dns.edns.GenericOption(65500, bytes(number))])
        assert held(worker) <= 2


async def test_client_identity_options_do_not_reach_the_table(tmp_path: Path) -> None:
    """A reply with options is made for its client alone: the next plain query gets none of them."""
    async with ScriptedUpstream(OPEN) as upstream, OneWorker(tmp_path, upstream) as worker:
        for _ in range(3):
            await worker.ask("www.example.com", use_edns=0, options=[dns.edns.GenericOption(10, b"12345678")])
            assert not (await worker.ask("www.example.com", use_edns=0)).options


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_small_clients_are_not_given_larger_replies(tmp_path: Path, transport: str) -> None:
    """An entry made for large payloads never answers a client with a small one; options that do not fit make the reply anew."""
    records = {("many.example.com", "A"): [f"198.51.100.{number}" for number in range(1, 70)]}
    async with ScriptedUpstream(records) as upstream, OneWorker(tmp_path, upstream) as worker:
        await worker.ask("many.example.com", transport="tcp", use_edns=0, payload=1232)
        for _ in range(3):
            for payload in (512, 600, 1232, 4096):
                query = dns.message.make_query("many.example.com", "A", use_edns=0, payload=payload)
                raw = await exchange(worker.server, query.to_wire(), transport=transport)
                reply = dns.message.from_wire(raw)
                if transport == "udp":
                    assert len(raw) <= min(payload, 1232)
                    assert bool(reply.flags & dns.flags.TC) is (payload < 1232)
                else:
                    assert len(answers(reply)) == 69


async def test_blocked_reply_with_error_and_cookie(tmp_path: Path) -> None:
    """A finished block keeps its extended error beside the client's cookie."""
    async with OneWorker(tmp_path, lists=LISTS, profiles=[profile("TH", "kid")]) as worker:
        for _ in range(3):
            await worker.ask("bet.example", use_edns=0)
            reply = await worker.ask("bet.example", use_edns=0, options=[dns.edns.GenericOption(10, b"12345678")])
            assert sorted(int(option.otype) for option in reply.options) == [10, 15]


async def test_keepalive_is_granted_on_streams_only(tmp_path: Path) -> None:
    """The idle time is told to stream clients that ask for it, in tenths of a second; never over UDP."""
    option = dns.edns.GenericOption(11, b"")
    async with ScriptedUpstream(OPEN) as upstream, OneWorker(tmp_path, upstream) as worker:
        for _ in range(3):
            over_tcp = await worker.ask("www.example.com", transport="tcp", use_edns=0, options=[option])
            assert [(int(each.otype), each.to_wire()) for each in over_tcp.options] == [(11, b"\0\x64")]
            assert not (await worker.ask("www.example.com", use_edns=0, options=[option])).options


async def test_no_padding_over_unencrypted_transports(tmp_path: Path) -> None:
    """A client that asks for padding over UDP or TCP gets none (RFC 8467)."""
    async with ScriptedUpstream(OPEN) as upstream, OneWorker(tmp_path, upstream) as worker:
        for transport in ("udp", "tcp"):
            for _ in range(3):
                reply = await worker.ask(
                    "www.example.com", transport=transport, use_edns=0, options=[dns.edns.GenericOption(12, bytes(20))]
                )
                assert not reply.options
