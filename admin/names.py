"""Names a parent or teacher lists: always allowed, always denied.

People paste whole addresses; what is kept is the name, as `blocklists.normalize` reads it. Written forms: `x` covers x and everything
below, `=x` x alone, `*.x` what is below only. Help sites and what keeps devices safe cannot be denied; public endings cannot be
listed at all.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.audit import Act, Action, record
from admin.errors import Conflict, FieldMistake, InvalidInput, NotFound
from admin.tables import name_rules
from admin.tenants import mark_changed
from admin.values import NameEffect, ProfileId
from blocklists.normalize import Host, key_of_name, normalize_host
from blocklists.suffixes import suffixes
from blocklists.tables import OrganisationId, new_id
from gateway.policy.catalogue import Catalogue

MOST_NAMES = 500


@dataclass(frozen=True, slots=True)
class NameRule:
    """One listed name."""

    id: str
    effect: NameEffect
    pattern: str


async def list_names(connection: AsyncConnection, tenant: OrganisationId, profile: ProfileId) -> list[NameRule]:
    """The names listed for a profile, in order of their letters."""
    statement = select(name_rules).where(name_rules.c.tenant_id == tenant, name_rules.c.profile_id == profile)
    return [
        NameRule(row.id, NameEffect(row.effect), row.pattern) for row in await connection.execute(statement.order_by(name_rules.c.pattern))
    ]


async def add_name(connection: AsyncConnection, act: Act, profile: ProfileId, effect: NameEffect, pattern: str) -> None:
    """List a name; the same name with the other effect is replaced."""
    listed = await list_names(connection, act.tenant, profile)
    if len(listed) >= MOST_NAMES:
        raise InvalidInput(FieldMistake("name", "too_many"))
    for rule in listed:
        if rule.pattern == pattern:
            if rule.effect is effect:
                raise Conflict("name_there", "name")
            await connection.execute(delete(name_rules).where(name_rules.c.tenant_id == act.tenant, name_rules.c.id == rule.id))
    rule_id = new_id()
    await connection.execute(
        insert(name_rules).values(
            id=rule_id, tenant_id=act.tenant, profile_id=profile, effect=effect.value, pattern=pattern, created_at=act.now
        )
    )
    await record(connection, act, Action.NAME_ADDED, rule_id, after={"effect": effect.value, "name": pattern})
    await mark_changed(connection, act)


async def remove_name(connection: AsyncConnection, act: Act, profile: ProfileId, rule: str) -> NameRule:
    """Take a name off the list; returns what it was. Raises NotFound."""
    found = next((one for one in await list_names(connection, act.tenant, profile) if one.id == rule), None)
    if found is None:
        raise NotFound
    await connection.execute(delete(name_rules).where(name_rules.c.tenant_id == act.tenant, name_rules.c.id == rule))
    await record(connection, act, Action.NAME_REMOVED, rule, before={"effect": found.effect.value, "name": found.pattern})
    await mark_changed(connection, act)
    return found


def read_pattern(text: str, effect: NameEffect, catalogue: Catalogue) -> str:
    """What a person typed as a rule by name. Raises InvalidInput with a code that has words."""
    prefix = "=" if text.startswith("=") else ""
    host = normalize_host(text.removeprefix("="))
    if not isinstance(host, Host):
        raise InvalidInput(FieldMistake("name", "not_a_name"))
    if suffixes().is_public(host.key):
        raise InvalidInput(FieldMistake("name", "name_suffix"))
    if effect is NameEffect.DENY and is_always_open(host.key, catalogue):
        raise InvalidInput(FieldMistake("name", "name_locked"))
    if host.wildcard:
        prefix = "*."
    return f"{prefix}{host.name}"


def is_whole_ending(name: str) -> bool:
    """Whether a registry gives out the names below this one: nobody can mean all of them when a site is asked for."""
    return suffixes().is_public(key_of_name(name))


def is_always_open(key: str, catalogue: Catalogue) -> bool:
    """Whether a name is one of help or of the services that keep devices safe, or stands above or below one."""
    return any(key.startswith(kept) or kept.startswith(key) for kept in (*catalogue.help, *catalogue.infrastructure))
