"""What a user sees of the path of a query, over real sockets: verdicts, names of our own, profiles, the switch of generations."""

from __future__ import annotations

import asyncio
from datetime import datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest

from gateway.pipeline import Pipeline
from gateway.settings import LocalRecord, ProxyProtocolSettings
from gateway.upstreams.conclusion import AGAIN
from tests.support.catalogue import make_catalogue
from tests.support.client import answers, errors, exchange, is_silent
from tests.support.generation import START, amend, category, order, policy, profile, segment, zone
from tests.support.household import ADULT, CHILD, LISTS, OPEN, Script, two_people
from tests.support.oneworker import OneWorker
from tests.support.scripts import Asked, Say, addresses, failure, reply_to, wire
from tests.support.upstream import ScriptedUpstream

# Verdicts


async def test_listed_name_is_blocked_for_the_child_and_open_for_the_adult(tmp_path: Path) -> None:
    """The same name on the same network: zero address with its reason for a nine-year-old, the real one for an adult."""
    async with (
        ScriptedUpstream({("www.bet.example", "A"): ["198.51.100.9"]}) as upstream,
        OneWorker(tmp_path, upstream, lists=LISTS, **two_people()) as worker,
    ):
        for _ in range(3):
            blocked = await worker.ask("www.bet.example", source="127.0.0.2", use_edns=0)
            assert (answers(blocked), errors(blocked), blocked.answer[0].ttl) == (["0.0.0.0"], [17], 10)
            assert not blocked.flags & dns.flags.AD
            opened = await worker.ask("www.bet.example", source="127.0.0.3", use_edns=0)
            assert (answers(opened), errors(opened)) == (["198.51.100.9"], [])
        assert worker.metric("lachan_blocked", "gamb", "TH", "home", "bets") == 3
        assert upstream.count() == 1


@pytest.mark.parametrize(
    ("qtype", "expected"),
    [("A", ["0.0.0.0"]), ("AAAA", ["::"]), ("HTTPS", []), ("TXT", []), ("ANY", [])],
)
async def test_block_is_consistent_over_types(tmp_path: Path, qtype: str, expected: list[str]) -> None:
    """Addresses are zero, every other type has no data and an SOA; nothing reaches an upstream."""
    async with ScriptedUpstream() as upstream, OneWorker(tmp_path, upstream, lists=LISTS, profiles=[CHILD]) as worker:
        reply = await worker.ask("bet.example", qtype)
        assert (answers(reply), len(reply.authority)) == (expected, 0 if expected else 1)
        assert upstream.asked == []


@pytest.mark.parametrize(("name", "code"), [("bet.example", 17), ("virus.example", 15), ("ordered.example", 16)])
async def test_extended_error_tells_whose_block_it_is(tmp_path: Path, name: str, code: int) -> None:
    """17 for what parents and schools ask for, 15 for security lists, 16 for orders; over both transports."""
    orders = [segment(order("12", "ordered.example"))]
    async with OneWorker(tmp_path, lists=LISTS, profiles=[CHILD], orders=orders) as worker:
        for transport in ("udp", "tcp"):
            reply = await worker.ask(name, transport=transport, use_edns=0)
            assert errors(reply) == [code]
        assert errors(await worker.ask(name)) == []


@pytest.mark.parametrize(
    ("mode", "rcode", "expected"),
    [("nxdomain", "NXDOMAIN", []), ("nodata", "NOERROR", []), ("refused", "REFUSED", []), ("page", "NOERROR", ["127.0.0.80"])],
)
async def test_block_modes(tmp_path: Path, mode: str, rcode: str, expected: list[str]) -> None:
    """The mode of the profile decides how a block looks."""
    block = {"mode": mode, "ttl": 20, "page_address": ["127.0.0.80"]}
    async with OneWorker(tmp_path, lists=LISTS, profiles=[{**CHILD, "block": block}]) as worker:
        for _ in range(3):
            reply = await worker.ask("bet.example")
            assert (dns.rcode.to_text(reply.rcode()), answers(reply)) == (rcode, expected)


@pytest.mark.parametrize("flags", [0x0000, 0x0100, 0x0110, 0x0120, 0x0130, 0x0140])
async def test_policy_holds_whatever_the_flags_say(tmp_path: Path, flags: int) -> None:
    """RD, CD, AD and the reserved bit change nothing about a block."""
    async with OneWorker(tmp_path, lists=LISTS, profiles=[CHILD]) as worker:
        for want_dnssec in (False, True):
            query = dns.message.make_query("bet.example", "A", want_dnssec=want_dnssec)
            query.flags = dns.flags.Flag(flags)
            for _ in range(3):
                reply = dns.message.from_wire(await exchange(worker.server, query.to_wire()))
                assert answers(reply) == ["0.0.0.0"]
                assert not reply.flags & dns.flags.AD


async def test_target_of_an_answer_is_judged_for_each_client(tmp_path: Path) -> None:
    """An innocent name that leads to a listed one is blocked, from the cache too; for the adult it stays open."""
    records = {("innocent.example", "CNAME"): ["cdn.bet.example."], ("cdn.bet.example", "A"): ["198.51.100.9"]}
    async with ScriptedUpstream(records) as upstream, OneWorker(tmp_path, upstream, lists=LISTS, **two_people()) as worker:
        for _ in range(3):
            assert "198.51.100.9" in answers(await worker.ask("innocent.example", source="127.0.0.3"))
            assert answers(await worker.ask("innocent.example", source="127.0.0.2")) == ["0.0.0.0"]
        assert upstream.count("innocent.example") == 1


async def test_private_address_under_a_public_name_is_refused(tmp_path: Path) -> None:
    """DNS rebinding: the private address never arrives; a name the operator exempted keeps it."""
    records = {("evil.example.com", "A"): ["192.168.1.1"], ("nas.home.example.com", "A"): ["192.168.1.2"]}
    changes = {"rebinding_allow": ("com.example.home.",)}
    async with ScriptedUpstream(records) as upstream, OneWorker(tmp_path, upstream, changes=changes) as worker:
        for _ in range(3):
            reply = await worker.ask("evil.example.com", use_edns=0)
            assert (answers(reply), errors(reply)) == (["0.0.0.0"], [15])
            assert answers(await worker.ask("nas.home.example.com")) == ["192.168.1.2"]
        assert worker.metric("lachan_blocked", "rebinding") == 3


async def test_upstreams_own_block_is_told_apart(tmp_path: Path) -> None:
    """0.0.0.0 from an upstream becomes our zero answer, counted as the upstream's block and not as ours."""
    async with ScriptedUpstream({("ads.example.com", "A"): ["0.0.0.0"]}) as upstream, OneWorker(tmp_path, upstream) as worker:
        for _ in range(3):
            reply = await worker.ask("ads.example.com", use_edns=0)
            assert (answers(reply), errors(reply)) == (["0.0.0.0"], [15])
        assert upstream.count() == 1
        worker.pipeline.count()
        counted = {row: number for row, _, number in worker.counters.harvest()}
        assert counted["lachan_upstream_blocks"] == 3
        assert "lachan_blocked" not in counted


async def test_name_that_every_upstream_goes_on_refusing_is_the_upstreams_block(tmp_path: Path) -> None:
    """REFUSED for one name, again while others are answered, is a block of the upstream; the first time it may be anything, and whoever
    asks is told that nobody answered, so that he asks again."""

    def script(asked: Asked) -> bytes:
        return failure(asked, "REFUSED") if asked.qname == "bad.example.com" else addresses(asked, "198.51.100.1")

    async with Script(script) as upstream, OneWorker(tmp_path, upstream) as worker:
        await worker.ask("good.example.com")
        reply = await worker.ask("bad.example.com", use_edns=0)
        assert (reply.rcode(), errors(reply)) == (dns.rcode.SERVFAIL, [22])
        await asyncio.sleep(AGAIN + 0.1)
        for number in range(4):
            await worker.ask(f"good{number}.example.com")
        for _ in range(2):
            reply = await worker.ask("bad.example.com", use_edns=0)
            assert (answers(reply), errors(reply)) == (["0.0.0.0"], [15])
            assert reply.answer[0].ttl <= 10


async def test_safe_search_leads_to_the_safe_mode(tmp_path: Path) -> None:
    """A search engine is answered with an alias to its safe mode, the same for every type, counted as rewritten."""
    records = {("safe.finder.example", "A"): ["198.51.100.7"], ("safe.finder.example", "AAAA"): ["2001:db8::7"]}
    async with ScriptedUpstream(records) as upstream, OneWorker(tmp_path, upstream, profiles=[CHILD]) as worker:
        for _ in range(3):
            reply = await worker.ask("www.finder.example", use_edns=0)
            assert (answers(reply), errors(reply)) == (["198.51.100.7", "safe.finder.example."], [4])
        assert answers(await worker.ask("finder.example", "AAAA")) == ["2001:db8::7", "safe.finder.example."]
        assert answers(await worker.ask("finder.example", "HTTPS")) == []
        assert not any(asked.qname == "finder.example" for asked in upstream.questions)
        assert worker.metric("lachan_rewritten", "finder") == 5


async def test_safe_search_without_upstream_uses_the_known_addresses(tmp_path: Path) -> None:
    """With every upstream dead a search engine still leads to its safe mode, never to the open one."""
    async with ScriptedUpstream() as upstream, OneWorker(tmp_path, upstream, profiles=[CHILD]) as worker:
        await upstream.stop()
        reply = await worker.ask("finder.example")
        assert answers(reply) == ["192.0.2.10", "safe.finder.example."]


async def test_canary_follows_the_profile(tmp_path: Path) -> None:
    """Browsers that ask whether they may bypass us are told no for a child, and get the real answer for an adult."""
    async with (
        ScriptedUpstream({("use-application-dns.net", "A"): ["198.51.100.5"]}) as upstream,
        OneWorker(tmp_path, upstream, catalogue=make_catalogue(canaries=["use-application-dns.net"]), **two_people()) as worker,
    ):
        assert (await worker.ask("use-application-dns.net", source="127.0.0.2")).rcode() == dns.rcode.NXDOMAIN
        assert answers(await worker.ask("use-application-dns.net", source="127.0.0.3")) == ["198.51.100.5"]


async def test_rpz_actions(tmp_path: Path) -> None:
    """Drop is silence, tcp-only sends to TCP, local data is answered, a CNAME leads elsewhere, passthru resolves."""
    rules = {
        "drop.example.org": "drop",
        "tcp.example.org": "tcp-only",
        "data.example.org": ("local", [[1, 60, "c6336405"]]),
        "alias.example.org": ("cname", "www.example.com"),
        "gone.example.org": "nxdomain",
        "pass.example.org": "passthru",
    }
    records = {**OPEN, ("tcp.example.org", "A"): ["198.51.100.2"], ("pass.example.org", "A"): ["198.51.100.3"]}
    lists = {"zone": zone("rpz.example", rules)}
    async with ScriptedUpstream(records) as upstream, OneWorker(tmp_path, upstream, lists=lists) as worker:
        query = dns.message.make_query("drop.example.org", "A").to_wire()
        assert await is_silent(worker.server, query)
        short = await worker.ask("tcp.example.org")
        assert short.flags & dns.flags.TC and not short.answer
        assert answers(await worker.ask("tcp.example.org", transport="tcp")) == ["198.51.100.2"]
        assert answers(await worker.ask("data.example.org")) == ["198.51.100.5"]
        assert answers(await worker.ask("alias.example.org")) == ["198.51.100.1", "www.example.com."]
        assert (await worker.ask("gone.example.org")).rcode() == dns.rcode.NXDOMAIN
        assert answers(await worker.ask("pass.example.org")) == ["198.51.100.3"]


# Names of our own


async def test_special_use_names_stay_here_unless_routed(tmp_path: Path) -> None:
    """Private reverse names and reserved domains never reach the default upstream; a route of the operator wins."""
    async with (
        ScriptedUpstream(OPEN) as upstream,
        ScriptedUpstream({("nas.lan.internal", "A"): ["192.168.1.9"]}) as inside,
        OneWorker(tmp_path, upstream, routes={"internal.lan.": inside}) as worker,
    ):
        assert answers(await worker.ask("localhost")) == ["127.0.0.1"]
        assert answers(await worker.ask("x.localhost", "AAAA")) == ["::1"]
        assert (await worker.ask("1.2.168.192.in-addr.arpa", "PTR")).rcode() == dns.rcode.NXDOMAIN
        assert (await worker.ask("printer.local")).rcode() == dns.rcode.NXDOMAIN
        nodata = await worker.ask("_dns.resolver.arpa", "SVCB")
        assert (nodata.rcode(), nodata.answer) == (0, [])
        assert upstream.questions == []
        assert answers(await worker.ask("nas.lan.internal")) == ["192.168.1.9"]


async def test_own_names(tmp_path: Path) -> None:
    """The page name leads to the address that was asked, health says ok, a probe is remembered with who asked."""
    async with OneWorker(tmp_path, **two_people()) as worker:
        assert answers(await worker.ask("lachan.internal", source="127.0.0.2")) == ["127.0.0.1"]
        assert answers(await worker.ask("health.lachan.internal", "TXT")) == ['"ok"']
        assert (await worker.ask("other.lachan.internal")).rcode() == dns.rcode.NXDOMAIN
        assert answers(await worker.ask("serial.orders.lachan.internal", "TXT")) == ['"0"']
        await worker.ask("check-k3j9.lachan.internal", source="127.0.0.2", transport="tcp")
        probe = worker.activity.probe("k3j9", START)
        assert probe is not None
        assert {key: probe[key] for key in ("address", "profile", "client", "transport", "generation")} == {
            "address": "127.0.0.2", "profile": "child", "client": "kid", "transport": "tcp", "generation": 1,
        }  # fmt: skip


async def test_records_of_the_operator(tmp_path: Path) -> None:
    """Configured records are answered without an upstream; a configured alias is followed."""
    records = (LocalRecord("printer.school.example", "A", "10.0.0.9"), LocalRecord("portal.school.example", "CNAME", "www.example.com."))
    async with ScriptedUpstream(OPEN) as upstream, OneWorker(tmp_path, upstream, changes={"records": records}) as worker:
        for _ in range(3):
            assert answers(await worker.ask("printer.school.example")) == ["10.0.0.9"]
            assert (await worker.ask("printer.school.example", "AAAA")).rcode() == 0
            assert answers(await worker.ask("portal.school.example")) == ["198.51.100.1", "www.example.com."]


async def test_any_is_answered_minimally_and_unknown_types_pass(tmp_path: Path) -> None:
    """ANY gets one HINFO record without asking anybody; a type nobody knows is handed through untouched."""

    def script(asked: Asked) -> bytes:
        return wire(reply_to(asked, f"{asked.qname}. 60 IN TYPE65280 \\# 4 01020304"))

    async with Script(script) as upstream, OneWorker(tmp_path, upstream) as worker:
        reply = await worker.ask("www.example.com", "ANY")
        assert [rrset.rdtype.name for rrset in reply.answer] == ["HINFO"]
        assert upstream.questions == []
        assert answers(await worker.ask("www.example.com", "TYPE65280")) == ["\\# 4 01020304"]


# Change


async def test_switch_of_generations_is_followed_before_the_next_answer(tmp_path: Path) -> None:
    """Once the shared word has changed, no answer comes from the old generation, from no table either; unchanged names stay."""
    async with (
        ScriptedUpstream({**OPEN, ("new.example", "A"): ["198.51.100.4"]}) as upstream,
        OneWorker(tmp_path, upstream, lists=LISTS, profiles=[CHILD]) as worker,
    ):
        for _ in range(3):
            assert answers(await worker.ask("new.example")) == ["198.51.100.4"]
            assert answers(await worker.ask("bet.example")) == ["0.0.0.0"]
        amend(tmp_path, lists={"bets": category("gamb", "new.example")})
        worker.switch(2)
        for transport in ("udp", "tcp", "udp", "udp"):
            assert answers(await worker.ask("new.example", transport=transport)) == ["0.0.0.0"]
        assert (await worker.ask("bet.example")).rcode() == dns.rcode.NXDOMAIN
        assert answers(await worker.ask("www.example.com")) == ["198.51.100.1"]


async def test_change_of_one_policy_leaves_the_tables_of_others(tmp_path: Path) -> None:
    """When only another tenant's policy changed, finished replies stay; the changed one's do not."""
    async with ScriptedUpstream(OPEN) as upstream, OneWorker(tmp_path, upstream, lists=LISTS, **two_people()) as worker:
        for _ in range(3):
            assert answers(await worker.ask("www.example.com", source="127.0.0.3")) == ["198.51.100.1"]
            assert answers(await worker.ask("www.example.com", source="127.0.0.2")) == ["198.51.100.1"]
        size = worker.pipeline._tables.size
        people = two_people(deny=["www.example.com"])
        amend(tmp_path, policy=policy(**people))
        worker.switch(2)
        assert answers(await worker.ask("www.example.com", source="127.0.0.2")) == ["0.0.0.0"]
        assert answers(await worker.ask("www.example.com", source="127.0.0.3")) == ["198.51.100.1"]
        assert worker.pipeline._tables.size >= size // 2
        assert upstream.count() == 1


async def test_answer_under_way_is_judged_by_the_new_generation(tmp_path: Path) -> None:
    """A question that was asked under the old generation is answered under the one in force when its answer comes."""

    def script(asked: Asked) -> Any:
        return [Say(addresses(asked, "198.51.100.1"), after=0.3)]

    async with Script(script) as upstream, OneWorker(tmp_path, upstream, lists=LISTS, profiles=[CHILD]) as worker:
        waiting = asyncio.create_task(worker.ask("late.example"))
        await asyncio.sleep(0.1)
        amend(tmp_path, lists={"bets": category("gamb", "late.example")})
        worker.switch(2)
        assert answers(await waiting) == ["0.0.0.0"]


async def test_schedule_boundary_is_crossed_on_time(tmp_path: Path) -> None:
    """Bedtime begins with the first query after nine, for finished replies too, and ends in the morning."""
    days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    window = {"name": "giờ ngủ", "days": days, "from": "21:00", "to": "06:00", "effect": "offline"}
    kid = {**CHILD, "schedule": [window]}
    async with ScriptedUpstream(OPEN) as upstream, OneWorker(tmp_path, upstream, profiles=[kid]) as worker:
        evening = datetime.fromisoformat("2026-03-04T20:59:58+07:00").timestamp()
        worker.clock.at = evening
        for _ in range(4):
            assert answers(await worker.ask("www.example.com")) == ["198.51.100.1"]
        worker.clock.at = evening + 3
        for transport in ("udp", "udp", "udp", "tcp"):
            assert answers(await worker.ask("www.example.com", transport=transport)) == ["0.0.0.0"]
        worker.clock.at = evening + 9 * 3600 + 5
        for _ in range(3):
            assert answers(await worker.ask("www.example.com")) == ["198.51.100.1"]
        worker.clock.at = evening + 10
        worker.pipeline.clock_moved()
        assert answers(await worker.ask("www.example.com")) == ["0.0.0.0"]


async def test_flush_forgets_a_name_everywhere(tmp_path: Path) -> None:
    """After a flush the upstream is asked again, for that name and those below it only."""
    async with ScriptedUpstream(OPEN) as upstream, OneWorker(tmp_path, upstream) as worker:
        for _ in range(3):
            await worker.ask("www.example.com")
            await worker.ask("www.example.com", "TXT")
            await worker.ask("other.example.org")
        before = upstream.count("other.example.org")
        assert worker.pipeline.flush("com.example.") == 2
        await worker.ask("www.example.com")
        await worker.ask("other.example.org")
        assert upstream.count("www.example.com") == 3
        assert upstream.count("other.example.org") == before
        worker.pipeline.flush(None)
        await worker.ask("other.example.org")
        assert upstream.count("other.example.org") == before + 1


# Profiles and personal names


async def test_personal_names_do_not_leak_to_others_of_the_same_base(tmp_path: Path) -> None:
    """Two children with the same settings but one personal rule each share every other reply and never that one."""
    people = {
        "profiles": [profile("TH", "an", deny=["www.example.com"]), profile("TH", "binh", deny=["other.example"])],
        "clients": [
            {"id": "a", "profile": "an", "match": ["127.0.0.2"]},
            {"id": "b", "profile": "binh", "match": ["127.0.0.3"]},
        ],
    }
    async with ScriptedUpstream(OPEN) as upstream, OneWorker(tmp_path, upstream, lists=LISTS, **people) as worker:
        for _ in range(4):
            assert answers(await worker.ask("www.example.com", source="127.0.0.2")) == ["0.0.0.0"]
            assert answers(await worker.ask("www.example.com", source="127.0.0.3")) == ["198.51.100.1"]
            for source in ("127.0.0.2", "127.0.0.3"):
                assert answers(await worker.ask("bet.example", source=source)) == ["0.0.0.0"]


async def test_forwarder_tells_hardware_addresses_only_if_trusted(tmp_path: Path) -> None:
    """A MAC option counts from a forwarder the operator named, and from nobody else."""
    people = {
        "profiles": [ADULT, CHILD],
        "clients": [
            {"id": "router", "profile": "child", "match": ["127.0.0.2", "127.0.0.3"]},
            {"id": "mum", "profile": "adult", "match": ["mac:02:00:00:00:00:01"]},
        ],
    }
    changes = {"proxy_protocol": ProxyProtocolSettings((ip_network("127.0.0.3/32"),))}
    option = dns.edns.GenericOption(65001, bytes.fromhex("020000000001"))
    async with (
        ScriptedUpstream({("bet.example", "A"): ["198.51.100.9"]}) as upstream,
        OneWorker(tmp_path, upstream, lists=LISTS, changes=changes, **people) as worker,
    ):
        for _ in range(3):
            told = await worker.ask("bet.example", source="127.0.0.3", use_edns=0, options=[option])
            assert answers(told) == ["198.51.100.9"]
            lied = await worker.ask("bet.example", source="127.0.0.2", use_edns=0, options=[option])
            assert answers(lied) == ["0.0.0.0"]
            assert answers(await worker.ask("bet.example", source="127.0.0.3")) == ["0.0.0.0"]


async def test_what_was_blocked_is_remembered_for_its_client_only(tmp_path: Path) -> None:
    """The last blocks of an address can be asked for, from the table too; those of another address are not among them."""
    async with OneWorker(tmp_path, lists=LISTS, profiles=[CHILD]) as worker:
        for _ in range(4):
            await worker.ask("www.bet.example", source="127.0.0.2")
        await worker.ask("bet.example", source="127.0.0.3")
        worker.pipeline.count()
        address = bytes((127, 0, 0, 2))
        [device] = worker.activity.lately_at({address}, START)
        rows = worker.activity.recent_blocks(address, START, device.client)
        assert {(row["name"], row["category"]) for row in rows} == {("www.bet.example", "gamb")}
        counted = worker.activity.harvest()["counts"]
        assert isinstance(counted, list)
        assert [(row[5], row[6], row[7]) for row in counted] == [("blocked", "gamb", 5)]


async def test_devices_are_seen_with_who_they_are(tmp_path: Path) -> None:
    """Each address that asked is known with its client and profile."""
    async with OneWorker(tmp_path, **two_people()) as worker:
        await worker.ask("localhost", source="127.0.0.2")
        await worker.ask("localhost", source="127.0.0.3", transport="tcp")
        seen = {device.client: device.profile for device in worker.activity.devices()}
        assert seen == {"kid": "child", "mum": "adult"}


def test_pipeline_offers_what_listeners_need() -> None:
    """The pipeline has the face of `listeners.Front`."""
    for name in ("begin", "touch", "answer_now"):
        assert callable(getattr(Pipeline, name))
