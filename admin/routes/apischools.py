"""The API of what an education department closes in the schools of its place; by the same functions as the page (`officeshared`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.errors import NotFound
from admin.officeresults import SchoolRuleIn, SchoolRuleLiftIn, SchoolRuleOut
from admin.officeshared import voice_of
from admin.officetighten import SchoolRule, list_rules, release_schools, tighten_schools
from admin.permissions import Permission
from admin.routes.api import PAGE, After, Caller, IdempotencyKey, Limit, caller, made_before, note_made, page_of
from admin.routes.apioffice import changing, reading
from admin.routes.officeshared import tell_schools
from admin.schemas import PageOf
from blocklists.tables import OrganisationId, Role
from blocklists.takedown.model import Office

router = APIRouter(prefix="/office/schools", tags=["list office"])

Counter = Annotated[Caller, Depends(caller(Permission.SCHOOLS_COUNT))]
Tightener = Annotated[Caller, Depends(caller(Permission.SCHOOLS_TIGHTEN))]


@router.get("/rules")
async def show(who: Counter, limit: Limit = PAGE, after: After = None) -> PageOf[SchoolRuleOut]:
    """What the education department closed in the schools of its place."""
    async with reading(who) as (connection, office):
        listed = await list_rules(connection, office, await _department(connection, office, who))
    return page_of([_out(one) for one in listed], after, limit)


@router.post("/rules", status_code=201)
async def tighten(who: Tightener, new: SchoolRuleIn, key: IdempotencyKey = None) -> SchoolRuleOut:
    """Close one group for the classes of every school of the place; each reads it, with the number of the document."""
    told: Sequence[OrganisationId] = ()
    async with changing(who) as (connection, office):
        agency = await _department(connection, office, who)
        made = await made_before(connection, who, key, "school_rule", new)
        if made is None:
            shelf = who.services.shelves.current()
            made, told = await tighten_schools(connection, who.act, office, agency, new.category, new.document, shelf)
            await note_made(connection, who, key, made, "school_rule", new)
        listed = await list_rules(connection, office, agency)
    await tell_schools(who.services, told, who.now)
    found = next((one for one in listed if one.id == made), None)
    if found is None:  # lifted since a first request with the same key made it
        raise NotFound
    return _out(found)


@router.post("/rules/{identity}/lift", status_code=204)
async def release(who: Tightener, identity: str, wanted: SchoolRuleLiftIn) -> None:
    """Leave a group to the schools again; it opens nothing that a school or the age keeps closed."""
    async with changing(who) as (connection, office):
        agency = await _department(connection, office, who)
        told = await release_schools(connection, who.act, office, agency, identity, wanted.document)
    await tell_schools(who.services, told, who.now)


async def _department(connection: AsyncConnection, office: Office, who: Caller) -> str | None:
    return (await voice_of(connection, office, who.signed_in.actor.account_id, who.now, Role.EDU_ADMIN)).agency


def _out(one: SchoolRule) -> SchoolRuleOut:
    return SchoolRuleOut(id=one.id, category=one.category, document=one.document, since=one.since)
