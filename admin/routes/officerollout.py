"""The page of releases that go out in stages: what each stage says, holding a release back, letting it go on, and the office's rule."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from admin.dependencies import Visit, need
from admin.errors import FieldMistake, InvalidInput
from admin.office import open_office
from admin.officerollout import FEWEST, Rule, ahead, behind, go_on, hold, read_rollouts, read_rule, set_rule
from admin.officetallies import read_stages
from admin.permissions import Permission
from admin.routes.officeparts import signing_of, words_of
from admin.schemas import Serial
from blocklists.takedown.workflow import TransitionRefused

router = APIRouter()

Read = Annotated[Visit, Depends(need(Permission.RELEASE_READ))]
Hold = Annotated[Visit, Depends(need(Permission.RELEASE_HOLD))]
Approve = Annotated[Visit, Depends(need(Permission.ORDER_APPROVE))]

_NUMBERS = ("first_share", "second_share", "second_after", "all_after")


@router.get("/office/rollout")
async def show(visit: Read) -> Response:
    """How releases go out, and what gateways say of those that do."""
    return await _page(visit)


@router.post("/office/rollout/rule")
async def change_rule(visit: Approve) -> Response:
    """Another rule, for releases that are signed from now on."""
    numbers = {name: _number(visit.form.raw(name)) for name in _NUMBERS}
    rule = Rule(visit.form.raw("is_on") == "1", **numbers)
    try:
        async with visit.services.database.write() as connection:
            await set_rule(connection, visit.act, rule)
    except InvalidInput as error:
        return await _page(visit, mistakes=error.mistakes, status=422)
    return visit.go("/office/rollout")


@router.post("/office/rollout/{serial}/hold")
async def hold_back(visit: Hold, serial: Serial) -> Response:
    """Hold a release back where it is; what gateways enforce stays."""
    async with visit.services.database.write() as connection:
        await hold(connection, visit.act, serial, "person")
    await visit.services.office.signing.tell(visit.tenant_id, visit.now)
    return visit.go("/office/rollout")


@router.post("/office/rollout/{serial}/on")
async def let_go_on(visit: Approve, serial: Serial) -> Response:
    """Let a release go on; by another person than the one who held it."""
    try:
        async with visit.services.database.write() as connection:
            await go_on(connection, visit.act, serial, visit.form.raw("reason")[:300])
    except TransitionRefused as refused:
        return await _page(visit, words_of(visit).refusal(refused), status=409)
    await visit.services.office.signing.tell(visit.tenant_id, visit.now)
    return visit.go("/office/rollout")


async def _page(visit: Visit, fault: str = "", *, mistakes: tuple[FieldMistake, ...] = (), status: int = 200) -> Response:
    async with visit.services.database.read() as connection:
        await open_office(connection, visit.tenant_id)
        rule = await read_rule(connection, visit.tenant_id)
        under_way = await read_rollouts(connection, visit.tenant_id)
        past = await read_rollouts(connection, visit.tenant_id, ("done", "passed"))
        stages = [
            (one, await read_stages(connection, visit.tenant_id, one, visit.now), ahead(one, under_way), behind(one, under_way))
            for one in under_way
        ]
    context = {
        "rule": rule, "under_way": stages, "past": past[:10], "fault": fault, "mistakes": mistakes, "fewest": FEWEST,
        "typed": {name: visit.form.raw(name) if mistakes else getattr(rule, name) for name in _NUMBERS},
        "me": visit.signed_in.actor.account_id, "say": words_of(visit), "standing": visit.services.office.duty.standing,
        **await signing_of(visit),
    }  # fmt: skip
    return visit.page("office/rollout.html", context, status)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
