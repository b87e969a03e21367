"""The page of the gateways that follow this office, and the doors they knock at: joining by a code, asking for keys, leaving
receipts."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Annotated

import segno
from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse, Response

from admin.dependencies import Visit, address_of, need, services_of
from admin.errors import Busy, NotFound
from admin.office import open_office
from admin.officegateways import admit, read_gateways, read_spread, require_gateway, take_receipt
from admin.officejoining import NotSigned, make_code, read_fingerprint, take_away
from admin.officerollout import read_rollouts
from admin.owncertificate import warning_ahead
from admin.permissions import Permission
from admin.routes.officeparts import signing_of, words_of
from admin.setup import public_url
from blocklists.pairing import CodeError, parse_code
from blocklists.pairing import words_of as spoken
from blocklists.receipts import MOST_BYTES, ReceiptError
from blocklists.sealing import SealError, office_keys, read_question, wrap
from blocklists.takedown.clocks import read_levels
from blocklists.takedown.deadlines import countdown
from gateway.release import canonical_bytes

router = APIRouter()

Read = Annotated[Visit, Depends(need(Permission.RELEASE_READ))]
Invite = Annotated[Visit, Depends(need(Permission.GATEWAY_JOIN))]


@router.get("/office/gateways")
async def show(visit: Read) -> Response:
    """Who enforces which version since when, and who lags."""
    return await _page(visit)


@router.post("/office/gateways")
async def invite(visit: Invite) -> Response:
    """A code for one gateway; it stands in this answer only."""
    label = visit.form.text("label", 120)
    visit.form.check()
    try:
        fingerprint = await read_fingerprint(visit.services.office.signing)
    except NotSigned as error:  # the page offers no form then
        raise NotFound from error
    async with visit.services.database.write() as connection:
        _, code = await make_code(connection, visit.act, visit.services.settings, fingerprint, label)
    return await _page(visit, str(code), label)


@router.get("/office/gateways/code.svg")
async def picture(visit: Read, code: str = "") -> Response:
    """A code as a picture."""
    try:
        text = str(parse_code(code[:600]))
    except CodeError as error:
        raise NotFound from error
    drawn = (
        segno.make(text, error="m")
        .svg_inline(scale=4, border=4, light="white")
        .replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    )
    return Response(drawn, media_type="image/svg+xml", headers={"Cache-Control": "no-store"})


@router.post("/office/gateways/{gateway}/retire")
async def retire(visit: Invite, gateway: str) -> Response:
    """Take a gateway off the page. What is published from now on is sealed with a key it was never given."""
    services = visit.services
    await take_away(services.database, visit.act, services.office.signing, services.settings, gateway)
    return visit.go("/office/gateways")


@router.post("/release/join")
async def join(request: Request) -> Response:
    """A gateway comes with the ticket of its code and its own key. No account: the ticket is the right."""
    services = services_of(request)
    services.office.knocking.spend(address_of(request), time.monotonic())
    try:
        message = json.loads(await _body(request))
        ticket, public, proof = (str(message[name]) for name in ("ticket", "public", "proof"))
        signature = bytes.fromhex(proof)
        if len(public) != 64:
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise NotFound from error
    async with services.database.write() as connection:
        row = await admit(connection, ticket, public, signature, services.now())
    return JSONResponse({"gateway": row["id"], "label": row["label"]})


@router.post("/release/keys")
async def keys(request: Request) -> Response:
    """A gateway asks for the keys of sealed segments. No account: its signature is the right, and only it can read the answer."""
    services = services_of(request)
    services.office.knocking.spend(address_of(request), time.monotonic())
    try:
        asker, exchange, signed, signature = read_question(await _body(request))
        async with services.database.read() as connection:
            await require_gateway(connection, asker, signed, signature)
        held = await asyncio.to_thread(office_keys, services.settings.state_dir)
        return Response(wrap(held, exchange), media_type="application/json", headers={"Cache-Control": "no-store"})
    except SealError as error:
        raise NotFound from error


@router.post("/release/receipts")
async def receipt(request: Request) -> Response:
    """A gateway says what it enforces. No account: its signature is its word."""
    services = services_of(request)
    services.office.knocking.spend(address_of(request), time.monotonic())
    data = await _body(request)  # before the database is asked for: octets that come slowly hold nobody up
    if services.office.receiving.locked():
        raise Busy
    try:
        async with services.office.receiving, services.database.write() as connection:
            taken = await take_receipt(connection, data, services.now(), services.office.demand)
    except ReceiptError as error:
        raise NotFound from error
    if taken.code == "journal":
        services.office.alarm.ring(services.now())
    if taken.weighs is not None:
        await services.office.signing.hear(taken.weighs, services.now())
    body = {"taken": not taken.code, "code": taken.code, "questions": taken.questions}
    return Response(canonical_bytes(body), 409 if taken.code else 200, media_type="application/json")


async def _body(request: Request) -> bytes:
    body = await request.body()
    if len(body) > MOST_BYTES:
        raise NotFound
    return body


async def _page(visit: Visit, code: str = "", label: str = "") -> Response:
    async with visit.services.database.read() as connection:
        office = await open_office(connection, visit.tenant_id)
        rows = await read_gateways(connection, visit.tenant_id, visit.now)
        spread = await read_spread(connection, visit.tenant_id)
        levels = await read_levels(connection, office)
        held = await read_rollouts(connection, visit.tenant_id, ("held",))
    is_under_way = spread is not None and spread.reached < spread.gateways
    until_all = countdown("enforce", spread.made_at, visit.now, levels) if spread is not None and is_under_way else None
    standing = await visit.services.office.signing.standing()
    context = {
        "rows": rows, "held": min((one.serial for one in held), default=0), "spread": spread, "until_all": until_all,
        "signing": standing, "code": code, "label": label, "say": words_of(visit),
        "address": f"{public_url(visit.services.settings)}/release", "words": spoken(standing.fingerprint) if standing.is_begun else "",
        "standing": visit.services.office.duty.standing, "alarm": visit.services.office.alarm.since,
        "self_signed": bool(await warning_ahead(visit.services.settings)),
        "test_name": f"serial.orders.{visit.services.settings.gateway.dns.name}", **await signing_of(visit),
    }  # fmt: skip
    return visit.page("office/gateways.html", context)
