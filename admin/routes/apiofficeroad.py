"""The API of a list office's road: inbox, reviews, signing, gateways and their codes, receipts, stages, numbers, what the public reads.

By the same functions as the pages. What only a person at a page decides is refused with `person_needed` and the page's address.
"""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from sqlalchemy.engine import RowMapping

from admin.dependencies import address_of
from admin.emergency import list_glasses
from admin.errors import NotFound, PersonNeeded
from admin.invitations import open_places
from admin.office import masked
from admin.officecases import read_review
from admin.officegateways import Spread, Standing, read_gateways, read_spread
from admin.officejoining import make_code, read_fingerprint, take_away
from admin.officekeys import held_keys, read_threshold
from admin.officepublic import look_up, read_overview
from admin.officereads import Waiting, read_inbox, read_receipts
from admin.officeroadschemas import (
    CountOut,
    DocumentOut,
    FiguresOut,
    GatewayIn,
    GatewayMadeOut,
    GatewayOut,
    GatewayPage,
    GoOnIn,
    InboxOut,
    KeyOut,
    LookupOut,
    OverviewOut,
    OwnerOut,
    ProposalOut,
    ReceiptOut,
    ReviewDetailOut,
    RolloutOut,
    RolloutPage,
    SentOut,
    SigningOut,
    SpreadOut,
    StageOut,
    StageRule,
    WaitingOut,
)
from admin.officerollout import FEWEST, Rollout, Rule, ahead, behind, hold, read_rollouts, read_rule, set_rule
from admin.officeschemas import ReviewOut, StepOut
from admin.officeshared import read_figures
from admin.officetallies import Stage, read_stages
from admin.permissions import Permission
from admin.routes.api import PAGE, After, Caller, IdempotencyKey, Limit, caller, cut_page, made_before, note_made, page_of
from admin.routes.apioffice import Reader, Releases, actors_in, entry_out, reading
from admin.routes.apiofficework import Approver
from admin.routes.office import TOLD
from admin.schemas import PageOf
from blocklists.pairing import words_of
from blocklists.tables import Role
from blocklists.takedown import returns
from blocklists.takedown.clocks import read_levels
from blocklists.takedown.deadlines import countdown

router = APIRouter(prefix="/office", tags=["list office"])

Joiner = Annotated[Caller, Depends(caller(Permission.GATEWAY_JOIN))]
Holder = Annotated[Caller, Depends(caller(Permission.RELEASE_HOLD))]
Counter = Annotated[Caller, Depends(caller(Permission.FIGURES_READ))]

Serial = Annotated[int, Path(ge=1, le=2_147_483_647)]

_PAST = 10


@router.get("/inbox")
async def show_inbox(who: Reader) -> InboxOut:
    """What waits, with what is overdue. Documents, reviews, reports and returns have lists of their own."""
    async with reading(who) as (connection, office):
        inbox = await read_inbox(connection, office, who.now)
        back = await returns.waiting_returns(connection, office)
        looked = await list_glasses(connection, who.now) if who.may(Permission.GLASS_READ) else ()
    return InboxOut(
        overdue=inbox.overdue, orders=len(inbox.orders), reviews=len(inbox.reviews), reports=len(inbox.reports), returns=len(back),
        expiring=[entry_out(row) for row in inbox.expiring], endless=[entry_out(row) for row in inbox.endless],
        platforms=[_sent(one) for one in inbox.platforms], owners=[_owner(one) for one in inbox.owners],
        unsigned=await who.services.office.signing.is_behind(who.tenant_id),
        looked_in_by=[one.document for one in looked if who.now - one.since < TOLD],
    )  # fmt: skip


@router.get("/reviews/{review_id}")
async def show_review(who: Reader, review_id: str) -> ReviewDetailOut:
    """A request to look again, with its entry, document and history; people are told by their role."""
    async with reading(who) as (connection, office):
        page = await read_review(connection, office, review_id, actors_in(who), who.now)
    if page is None:
        raise NotFound
    row = page.row
    review = ReviewOut(
        id=row["id"], entry=row["entry_id"], name=page.shown, reason=row["reason"], state=row["state"], received_at=row["received_at"],
        due_at=page.clock.due, overdue=page.clock.overdue and row["decided_at"] is None,
    )  # fmt: skip
    return ReviewDetailOut(
        review=review, note=row["note"] or "", symbol=page.order["symbol"] if page.order else None, escalated_at=row["escalated_at"],
        decided_at=row["decided_at"], decision=row["decision_reason"] or "",
        history=[StepOut(at=step.at, step=step.verb, role=step.role) for step in page.history], steps=sorted(page.verbs),
    )  # fmt: skip


@router.get("/proposals")
async def list_proposals(who: Reader, limit: Limit = PAGE, after: After = None) -> PageOf[ProposalOut]:
    """Roles that were proposed and that nobody has taken yet. Proposing and agreeing takes two persons at the page."""
    async with reading(who) as (connection, _):
        rows = await open_places(connection, who.tenant_id)
    listed = [
        ProposalOut(
            id=row["id"], role=Role(row["role"]), basis=row["basis"] or "",
            agreed=row["created_by"] is None or row["seconded_by"] is not None,
        )
        for row in rows
    ]  # fmt: skip
    return page_of(listed, after, limit)


@router.get("/signing")
async def show_signing(who: Reader) -> SigningOut:
    """Who holds a key, what it is called in a root, until when signatures hold, and what waits for one. Signing takes a passphrase at the
    page."""
    desk = who.services.office.signing
    async with reading(who) as (connection, _):
        keys = await held_keys(connection, who.tenant_id, who.now)
        wanted = await read_threshold(connection, who.tenant_id)
    standing, doubts = await desk.standing(), await desk.doubts(who.now)
    release, root = standing.release, standing.root
    return SigningOut(
        begun=standing.is_begun, by_command=standing.by_command, serial=standing.serial, unsigned=await desk.is_behind(who.tenant_id),
        ends_at=standing.ends, root_version=standing.root_version, root_ends_at=standing.root_ends, fingerprint=standing.fingerprint,
        words=words_of(standing.fingerprint) if standing.is_begun else "", threshold=standing.threshold, threshold_wanted=wanted,
        release=WaitingOut(have=release.have, needed=release.needed) if release else None,
        root=WaitingOut(have=root.have, needed=root.needed) if root else None,
        server_key=standing.server_key, server_key_waits=standing.server_waits,
        keys=[
            KeyOut(
                id=one.id, account=one.account, role=one.role, fingerprint=one.keyid, since=one.created_at,
                admitted=one.keyid in standing.root_keys, withdrawal_asked=one.id in doubts,
            )
            for one in keys
        ],
    )  # fmt: skip


@router.get("/gateways")
async def list_gateways(who: Releases, limit: Limit = PAGE, after: After = None) -> GatewayPage:
    """Who enforces which version since when, and who lags; how far the newest version has come."""
    async with reading(who) as (connection, office):
        rows = await read_gateways(connection, who.tenant_id, who.now)
        spread = await read_spread(connection, who.tenant_id)
        levels = await read_levels(connection, office)
        held = await read_rollouts(connection, who.tenant_id, ("held",))
    page, following = cut_page(rows, lambda one: str(one.row["id"]), after, limit)
    told = None
    if spread is not None:
        open_until = countdown("enforce", spread.made_at, who.now, levels).due if spread.reached < spread.gateways else None
        middle, slowest = (None if one is None else int(one.total_seconds()) for one in (spread.middle, spread.slowest))
        told = SpreadOut(
            serial=spread.serial, made_at=spread.made_at, gateways=spread.gateways, reached=spread.reached, middle_seconds=middle,
            slowest_seconds=slowest, due_at=open_until,
        )  # fmt: skip
    return GatewayPage(
        items=[_gateway(one, spread) for one in page], next=following, spread=told,
        held=min((one.serial for one in held), default=None), journal_alarm=who.services.office.alarm.since,
    )  # fmt: skip


@router.get("/gateways/{gateway}")
async def show_gateway(who: Releases, gateway: str) -> GatewayOut:
    """One gateway."""
    return await _find_gateway(who, gateway)


@router.post("/gateways", status_code=201)
async def join_gateway(who: Joiner, new: GatewayIn, key: IdempotencyKey = None) -> GatewayMadeOut:
    """A code by which one gateway joins within seven days; it stands in this answer only, also when the request is repeated."""
    fingerprint = await read_fingerprint(who.services.office.signing)
    told = None
    async with who.services.database.write() as connection:
        made = await made_before(connection, who, key, "gateway", new)
        if made is None:
            made, code = await make_code(connection, who.act, who.services.settings, fingerprint, new.label.strip())
            told = str(code)
            await note_made(connection, who, key, made, "gateway", new)
    return GatewayMadeOut(**(await _find_gateway(who, made)).model_dump(), join_code=told)


@router.delete("/gateways/{gateway}", status_code=204)
async def remove_gateway(who: Joiner, gateway: str) -> None:
    """Take a gateway away: its receipts count no more, and later releases are sealed with a key it was never given."""
    services = who.services
    await take_away(services.database, who.act, services.office.signing, services.settings, gateway)


@router.get("/receipts")
async def list_receipts(who: Releases, limit: Limit = PAGE, after: After = None) -> PageOf[ReceiptOut]:
    """The newest receipt of each gateway."""
    async with reading(who) as (connection, _):
        rows = await read_receipts(connection)
    listed = [
        ReceiptOut(id=row["gateway"], serial=row["serial"], in_force_at=row["in_force_at"], received_at=row["received_at"]) for row in rows
    ]
    return page_of(listed, after, limit)


@router.get("/rollout")
async def show_rollout(who: Releases, limit: Limit = PAGE, after: After = None) -> RolloutPage:
    """Releases that go out in stages, what gateways say of each stage, and the office's rule."""
    async with reading(who) as (connection, _):
        rule = await read_rule(connection, who.tenant_id)
        found = await read_rollouts(connection, who.tenant_id)
        past = await read_rollouts(connection, who.tenant_id, ("done", "passed"))
        stages = [(one, await read_stages(connection, who.tenant_id, one, who.now)) for one in found]
    listed = [_rollout(one, said, found) for one, said in stages] + [_rollout(one, [], []) for one in past[:_PAST]]
    page, following = cut_page(listed, lambda one: one.id, after, limit)
    said = StageRule(**{name: getattr(rule, name) for name in StageRule.model_fields})
    return RolloutPage(items=page, next=following, rule=said, fewest=FEWEST)


@router.put("/rollout/rule")
async def set_stages(who: Approver, wanted: StageRule) -> StageRule:
    """Another rule, for releases that are signed from now on."""
    async with who.services.database.write() as connection:
        await set_rule(connection, who.act, Rule(**wanted.model_dump()))
    return wanted


@router.post("/rollout/{serial}/hold", status_code=204)
async def hold_back(who: Holder, serial: Serial) -> None:
    """Hold a release back where it is, and those after it: what gateways enforce stays. Another person than the key's lets it go on."""
    async with who.services.database.write() as connection:
        await hold(connection, who.act, serial, "person")
    await who.services.office.signing.tell(who.tenant_id, who.now)


@router.post("/rollout/{serial}/on", status_code=204)
async def let_go_on(who: Approver, serial: Serial, wanted: GoOnIn) -> None:
    """Always refused, `person_needed`: an approver lets a held release go on at the page `/office/rollout`, and not whoever held it,
    nor while one before it is held (`waits_for`)."""
    async with reading(who) as (connection, _):
        held = await read_rollouts(connection, who.tenant_id, ("held",))
    if all(one.serial != serial for one in held):
        raise NotFound
    raise PersonNeeded("/office/rollout")


@router.get("/figures")
async def show_figures(who: Counter) -> FiguresOut:
    """The office in numbers; nothing below five."""
    async with reading(who) as (connection, office):
        found = await read_figures(connection, office)
    return FiguresOut(
        in_force=_counts(found.in_force), reports=_counts(found.reports), reviews=_counts(found.reviews), lifted=found.lifted,
        expired=found.expired,
    )  # fmt: skip


@router.get("/transparency")
async def show_overview(who: Counter) -> OverviewOut:
    """The list as the public page has it: counts, dates, documents; no name of a site."""
    async with reading(who) as (connection, office):
        found = await read_overview(connection, office)
    return OverviewOut(
        serial=found.serial, changed_at=found.changed_at, entries=found.entries, categories=_counts(found.categories),
        documents=[
            DocumentOut(**{name: row[name] for name in DocumentOut.model_fields if name != "no_end"}, no_end=bool(row["no_end"]))
            for row in found.documents
        ],
        reviews_upheld=found.reviews_upheld, reviews_overturned=found.reviews_overturned, expired=found.expired, lifted=found.lifted,
    )  # fmt: skip


@router.get("/lookup")
async def look_up_name(who: Counter, request: Request, name: str = "") -> LookupOut:
    """One site, as everybody may ask for it; a masked name is answered like one that is not listed. Thirty a minute from a network."""
    shown, entry, basis = "", None, list[str]()
    if name.strip():
        who.services.office.lookups.spend(address_of(request), time.monotonic())
        async with reading(who) as (connection, office):
            shown, entry, basis = await look_up(connection, office, name)
    if entry is None:
        nothing = dict.fromkeys(("category", "symbol", "issuer", "valid_from", "valid_until", "appeal"))
        return LookupOut(name=shown, listed=False, basis=[], **nothing)
    return LookupOut(
        name=shown, listed=True, category=entry["category"], symbol=entry["symbol"], issuer=entry["issuer"], basis=basis,
        valid_from=entry["valid_from"], valid_until=None if entry["no_end"] else entry["valid_until"], appeal=entry["appeal"],
    )  # fmt: skip


async def _find_gateway(who: Caller, identity: str) -> GatewayOut:
    async with reading(who) as (connection, _):
        rows = await read_gateways(connection, who.tenant_id, who.now)
        spread = await read_spread(connection, who.tenant_id)
    found = next((one for one in rows if one.row["id"] == identity), None)
    if found is None:
        raise NotFound
    return _gateway(found, spread)


def _gateway(one: Standing, spread: Spread | None) -> GatewayOut:
    row, newest = one.row, spread.serial if spread is not None else 0
    return GatewayOut(
        id=row["id"], label=row["label"], state=one.state, words=one.words, joined_at=row["joined_at"],
        invited_until=row["ticket_ends_at"] if one.state == "invited" else None, serial=row["serial"],
        behind=max(0, newest - row["serial"]) if row["public"] else newest, in_force_at=row["in_force_at"], last_seen=row["seen_at"],
        version=row["version"], fault=row["fault"], refusal=row["refusal"], refused_at=row["refused_at"], doubted=one.is_doubted,
        kept=row["kept"],
    )  # fmt: skip


def _rollout(one: Rollout, stages: list[Stage], found: list[Rollout]) -> RolloutOut:
    said = [
        StageOut(
            at=stage.at, share=stage.share, state=stage.state, members=stage.tally.members, for_it=stage.tally.for_it,
            against=stage.tally.against, silent=stage.tally.silent,
        )
        for stage in stages
    ]  # fmt: skip
    return RolloutOut(
        id=str(one.serial), serial=one.serial, base=one.base, state=one.state, started_at=one.started_at, held_at=one.held_at,
        cause=one.cause, goes_on_at=one.goes_on_at(), stages=said,
        waits_for=ahead(one, found), brings_along=[other.serial for other in behind(one, found)],
    )  # fmt: skip


def _counts(pairs: tuple[tuple[str, int | None], ...] | tuple[tuple[str, int], ...]) -> list[CountOut]:
    return [CountOut(code=code, count=count) for code, count in pairs]


def _sent(one: Waiting) -> SentOut:
    names = ("symbol", "platform", "forwarded_to", "forwarded_at")
    kept = {name: one.row[name] for name in names}
    return SentOut(order=one.row["order_id"], due_at=one.clock.due, overdue=one.clock.overdue, **kept)


def _owner(one: Waiting) -> OwnerOut:
    row: RowMapping = one.row
    name = masked(row["host"], row["category"], row["id"])
    return OwnerOut(entry=row["id"], name=name, due_at=one.clock.due, overdue=one.clock.overdue)
