"""What can be asked of a running gateway on the control socket, and how it is answered. Lives in the supervisor.

Devices, recent blocks and probes are in the workers' memory only; they are collected when somebody asks and never written.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from ipaddress import ip_address
from typing import Any

from gateway.control import Request
from gateway.crew import Crew
from gateway.demand import MOST_NAMES_ASKED, registered_name, told
from gateway.errors import ControlError, InvalidName
from gateway.handover import Handover
from gateway.inspection import is_private
from gateway.metrics import ANSWERS, BLOCKED
from gateway.standing import Standing
from gateway.switch import CHANGES, Generations
from gateway.weights import Shares
from gateway.wire.name import key_from_text

Fields = dict[str, Any]  # Any: JSON values, checked where they are read
Reload = Callable[[], Awaitable[Fields]]

MOST_NONCE = 64
MOST_BLOCKS_TOLD = 64


def control_requests(
    standing: Standing, generations: Generations, crew: Crew, handover: Handover, reload: Reload, leave: Callable[[], None]
) -> dict[str, Request]:
    """The requests of the control socket by their `do`."""
    shares = Shares()

    async def status(_: Fields) -> Fields:
        return standing.document()

    async def reload_now(_: Fields) -> Fields:
        _refuse_unless_running(standing)
        return await reload()

    async def flush(fields: Fields) -> Fields:
        _refuse_unless_running(standing)
        name = fields.get("name")
        key = None if name is None else _key(name)
        replies = await crew.ask("flush", 10.0, key=key)
        return {"workers": len(replies), "entries": sum(int(reply.get("entries", 0)) for reply in replies)}

    async def apply(fields: Fields) -> Fields:
        _refuse_unless_running(standing)
        changes, notes = fields.get("changes"), fields.get("notes")
        if not isinstance(changes, dict) or set(changes) - CHANGES or not (changes or notes is not None):
            raise ControlError("bad_request", f"changes is an object with some of {', '.join(sorted(CHANGES))}", "changes")
        if notes is not None and not (isinstance(notes, list) and all(isinstance(note, str) for note in notes)):
            raise ControlError("bad_request", "notes is a list of sentences", "notes")
        number = await generations.apply(crew, changes or None)
        if notes is not None:
            standing.of_lists = tuple(notes)
        return {"generation": number}

    async def forget(fields: Fields) -> Fields:
        _refuse_unless_running(standing)
        tenant = fields.get("tenant")
        if not isinstance(tenant, str) or not tenant:
            raise ControlError("bad_request", "tenant is the id of a tenant", "tenant")
        return {"files": await generations.forget(tenant)}

    async def devices(fields: Fields) -> Fields:
        tenant, address = fields.get("tenant"), _address(fields) if "address" in fields else None
        if tenant is not None and not isinstance(tenant, str):
            raise ControlError("bad_request", "tenant is the id of a tenant", "tenant")
        told = await crew.ask("devices", 10.0, tenant=tenant, address=address)
        return {"devices": merge_devices(reply.get("devices", ()) for reply in told)}

    async def recent_blocks(fields: Fields) -> Fields:
        replies = await crew.ask("recent_blocks", 5.0, address=_address(fields))
        return {"blocks": merge_blocks(replies)[:MOST_BLOCKS_TOLD]}

    async def probe(fields: Fields) -> Fields:
        nonce = fields.get("nonce")
        if not isinstance(nonce, str) or not nonce or len(nonce) > MOST_NONCE:
            raise ControlError("bad_request", f"nonce is text of at most {MOST_NONCE} letters", "nonce")
        found = [reply["probe"] for reply in await crew.ask("probe", 2.0, nonce=nonce.lower()) if reply.get("probe")]
        if not found:
            return {"seen": False}
        latest = max(found, key=lambda row: float(row["at"]))
        kinds = {kind for row in found if row["address"] == latest["address"] for kind in row["kinds"]}
        return {"seen": True, **latest, "kinds": sorted(kinds)}

    async def asked(fields: Fields) -> Fields:
        wanted = fields.get("names")
        if not isinstance(wanted, list) or len(wanted) > MOST_NAMES_ASKED or not all(isinstance(name, str) for name in wanted):
            raise ControlError("bad_request", f"names is a list of at most {MOST_NAMES_ASKED} names", "names")
        registered = {name: registered_name(name) for name in wanted}
        names = sorted(set(registered.values()) - {""})
        answer = told(await crew.ask("asked", 2.0, names=names), names)
        return {"names": {name: {"registered": above, "asked": answer.get(above)} for name, above in registered.items()}}

    async def counts(_: Fields) -> Fields:
        totals = standing.totals
        now = totals.sum(ANSWERS), totals.sum(BLOCKED), totals.sum(ANSWERS, "SERVFAIL")
        replies = await crew.ask("weigh", 5.0)
        is_whole = len(replies) == len(crew.workers)
        answers, blocked, failed = shares.take(now, [dict(reply.get("clients", {})) for reply in replies] if is_whole else None)
        return {"answers": answers, "blocked": blocked, "failed": failed}

    async def homes(_: Fields) -> Fields:
        last: dict[tuple[str, str], list[Any]] = {}  # Any: JSON, a row of a worker
        for reply in await crew.ask("homes", 5.0):
            for row in reply.get("homes", ()):
                before = last.get((row[0], row[1]))
                if before is None or row[3] > before[3]:
                    last[row[0], row[1]] = row
        return {"homes": list(last.values())}

    async def activity(fields: Fields) -> Fields:
        after = fields.get("after", 0)
        if not isinstance(after, int):
            raise ControlError("bad_request", "after is the serial of the last batch stored", "after")
        return {"batches": handover.fetch(after)}

    async def hand_over(_: Fields) -> Fields:
        _refuse_unless_running(standing)
        leave()
        return {}

    return {
        "status": Request(status, 5.0),
        "hand_over": Request(hand_over, 5.0),
        "reload": Request(reload_now, 1800.0),
        "flush": Request(flush, 15.0),
        "apply": Request(apply, 180.0),
        "forget": Request(forget, 60.0),
        "devices": Request(devices, 15.0),
        "recent_blocks": Request(recent_blocks, 10.0),
        "probe": Request(probe, 5.0),
        "homes": Request(homes, 5.0),
        "activity": Request(activity, 5.0),
        "asked": Request(asked, 5.0),
        "counts": Request(counts, 8.0),
    }


def merge_devices(reports: Iterable[Iterable[Fields]]) -> list[Fields]:
    """One row per address over all workers, and one for each device that a forwarder at an address tells of or that presents a token there:
    identity as of the last query, first and last sight over all; last seen first.
    """
    merged: dict[tuple[str, str, str], Fields] = {}
    for report in reports:
        for row in report:
            key = (row["address"], row["mac"] if row.get("behind") else "", row["client"] if row.get("by_token") else "")
            before = merged.get(key)
            if before is None:
                merged[key] = row
                continue
            newer = row if row["last_seen"] >= before["last_seen"] else before
            merged[key] = {**newer, "first_seen": min(row["first_seen"], before["first_seen"])}
    return sorted(merged.values(), key=lambda row: float(row["last_seen"]), reverse=True)


def merge_blocks(replies: Iterable[Fields]) -> list[Fields]:
    """What the one client of an address was refused, over all workers, newest first; nothing where several clients were seen there.

    Who it is counts as of the last query, as in `merge_devices`: a worker that has heard nothing since the device got its name still knows
    it as nobody's. Where the address is private and somebody presented a private name, that is this very device before or beside it."""
    replies = list(replies)
    here = merge_devices(reply.get("devices", ()) for reply in replies)
    clients = {row["client"] for row in here}
    if len(clients) > 1 and not any(row["behind"] for row in here) and all(is_private(ip_address(row["address"]).packed) for row in here):
        clients.discard(None)
    if len(clients) != 1:
        return []
    ours = [row for reply in replies for row in reply.get("blocks", ()) if row["client"] in clients]
    told = [{field: value for field, value in row.items() if field != "client"} for row in ours]
    return sorted(told, key=lambda row: float(row["at"]), reverse=True)


def _address(fields: Fields) -> str:
    try:
        return str(ip_address(str(fields.get("address"))))
    except ValueError:
        raise ControlError("bad_request", "address is an IPv4 or IPv6 address", "address") from None


def _key(name: object) -> str:
    try:
        return key_from_text(str(name))
    except InvalidName as error:
        raise ControlError("bad_request", str(error), "name") from None


def _refuse_unless_running(standing: Standing) -> None:
    if standing.phase != "running":
        raise ControlError("not_ready", f"the gateway is {standing.phase}: try again in a moment")
