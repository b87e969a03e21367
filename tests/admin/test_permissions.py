"""Who may do what: the table of roles, and the one function that decides."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from admin.errors import ConfirmationNeeded, FactorNeeded, Forbidden, NotFound, NotSignedIn
from admin.permissions import CONFIRMED, ROLES, SCOPES, SECONDED, Actor, Assignment, Permission, Scope, authorise, reaches
from blocklists.tables import AccountId, OrganisationId, Role

HOME, OTHER = OrganisationId("home"), OrganisationId("other")


def actor(role: Role, confirmed_at: datetime | None = None, scopes: frozenset[Scope] | None = None, *, has_factor: bool = True) -> Actor:
    return Actor(AccountId("a"), "Mẹ", (Assignment(HOME, role),), confirmed_at, scopes, has_factor)


def test_authorise_without_a_session_asks_to_sign_in(now: datetime) -> None:
    """A stranger is sent to the door."""
    with pytest.raises(NotSignedIn):
        authorise(None, Permission.PROFILE_READ, HOME, now)


@pytest.mark.parametrize("permission", list(Permission))
@pytest.mark.parametrize("role", list(Role))
def test_authorise_on_another_tenant_is_not_found(role: Role, permission: Permission, now: datetime) -> None:
    """Whatever the role, another family's things do not even exist."""
    with pytest.raises(NotFound):
        authorise(actor(role, confirmed_at=now), permission, OTHER, now)


@pytest.mark.parametrize("permission", list(Permission))
@pytest.mark.parametrize("role", list(Role))
def test_authorise_follows_the_table_of_roles(role: Role, permission: Permission, now: datetime) -> None:
    """A confirmed person may do exactly what the table gives the role."""
    if permission in ROLES[role]:
        assert authorise(actor(role, confirmed_at=now), permission, HOME, now) is role
    else:
        with pytest.raises(Forbidden):
            authorise(actor(role, confirmed_at=now), permission, HOME, now)


@pytest.mark.parametrize("permission", sorted(CONFIRMED))
@pytest.mark.parametrize("age", [None, timedelta(minutes=11), timedelta(seconds=-1)])
def test_authorise_to_loosen_needs_a_fresh_password(permission: Permission, age: timedelta | None, now: datetime) -> None:
    """A signed-in page left open cannot loosen anything; neither can one whose clock was turned back."""
    confirmed_at = None if age is None else now - age
    role = next(role for role, allowed in ROLES.items() if permission in allowed)
    with pytest.raises(ConfirmationNeeded):
        authorise(actor(role, confirmed_at), permission, HOME, now)


def test_a_key_reaches_a_role_only_where_it_may_do_as_much() -> None:
    """Inviting alone makes neither parent nor teacher, looking and changing does; no key reaches whoever runs a place or an officer."""
    look, change, people = Scope.READ, Scope.POLICY, Scope.PEOPLE
    for scopes, reached in (({look, people}, False), ({change, people}, False), ({look, change, people}, True)):
        assert [reaches(scopes, role) for role in (Role.PARENT, Role.TEACHER)] == [reached, reached]
    assert not {Role.FIRST_PARENT, Role.SCHOOL_ADMIN, Role.VERIFIER, Role.APPROVER} & {role for role in Role if reaches(set(Scope), role)}


@pytest.mark.parametrize("permission", sorted(SECONDED))
def test_authorise_officers_need_a_second_factor(permission: Permission, now: datetime) -> None:
    """Whoever acts for everybody's children signs in with two factors; a password alone, fresh as it may be, is not enough."""
    role = next(role for role, allowed in ROLES.items() if permission in allowed)
    with pytest.raises(FactorNeeded):
        authorise(actor(role, now, has_factor=False), permission, HOME, now)


@pytest.mark.parametrize("role", [Role.VERIFIER, Role.APPROVER, Role.EDU_ADMIN, Role.OPERATOR])
def test_authorise_who_decides_for_others_makes_keys_with_a_second_factor_only(role: Role, now: datetime) -> None:
    """A key acts with neither password nor second factor."""
    assert authorise(actor(role, now), Permission.TOKEN_MANAGE, HOME, now) is role
    with pytest.raises(FactorNeeded):
        authorise(actor(role, now, has_factor=False), Permission.TOKEN_MANAGE, HOME, now)


def test_authorise_families_need_no_second_factor(now: datetime) -> None:
    """A parent with a phone and a password runs a home."""
    for permission in ROLES[Role.FIRST_PARENT]:
        assert authorise(actor(Role.FIRST_PARENT, now, has_factor=False), permission, HOME, now) is Role.FIRST_PARENT


def test_authorise_to_tighten_never_asks_for_the_password(now: datetime) -> None:
    """Tightening is one press, even from a phone that has been signed in for weeks."""
    assert authorise(actor(Role.FIRST_PARENT), Permission.PROFILE_TIGHTEN, HOME, now) is Role.FIRST_PARENT


@pytest.mark.parametrize("permission", list(Permission))
@pytest.mark.parametrize("scope", list(Scope))
def test_authorise_token_only_within_its_scope(scope: Scope, permission: Permission, now: datetime) -> None:
    """A token for reading cannot change anything, whoever made it."""
    token = actor(Role.FIRST_PARENT, scopes=frozenset({scope}))
    if permission in SCOPES[scope] and permission in ROLES[Role.FIRST_PARENT]:
        authorise(token, permission, HOME, now)
    else:
        with pytest.raises(Forbidden):
            authorise(token, permission, HOME, now)


def test_operator_never_reads_requests() -> None:
    """The operator of a machine never sees who asked for what."""
    assert not {Permission.REQUEST_READ, Permission.PROFILE_READ, Permission.DEVICE_READ} & ROLES[Role.OPERATOR]


def test_every_permission_belongs_to_a_role_and_a_scope_can_reach_it() -> None:
    """No permission is declared that nobody can have."""
    assert set(Permission) == frozenset().union(*ROLES.values())
    people_only = {
        Permission.NAME_OPEN,
        Permission.OFFICER_APPOINT,
        Permission.ACCOUNT_CHANGE,
        Permission.SHEET_MAKE,
        Permission.HISTORY_MANAGE,
        Permission.CLASS_OPEN,
        Permission.PIN_RENEW,
        Permission.GLASS_BREAK,
        Permission.GLASS_READ,
    }
    assert set(Permission) - people_only == frozenset().union(*SCOPES.values())


def test_nobody_in_the_office_may_both_verify_and_approve() -> None:
    """The two steps of an order belong to two roles, and no token opens a masked name."""
    assert not any({Permission.ORDER_VERIFY, Permission.ORDER_APPROVE} <= allowed for allowed in ROLES.values())
    assert not any(Permission.NAME_OPEN in allowed for allowed in SCOPES.values())
