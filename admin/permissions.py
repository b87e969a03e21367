"""Who may do what: permissions as an enum, one table of roles, one function that decides.

Every route names the permission it needs; nothing else in the control plane looks at roles. Pure: no I/O, time is an argument.
An account has roles on organisations, for a period: first and further parents, teachers and administrators of a school, the people of a
list office and the bodies beside it, operators. Whoever has no account (a child, the public) may ask, report and read what is public. An
account without any role on a tenant gets "not found", so that existence is not told.
To add one: a member of `Permission`, its place in `ROLES` (and in `CONFIRMED` if it loosens, exports or hands out access), a route.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from admin.errors import ConfirmationNeeded, FactorNeeded, Forbidden, NotFound, NotSignedIn
from blocklists.tables import AccountId, OrganisationId, Role


class Permission(StrEnum):
    """One act, as `object.act`."""

    STATUS_READ = "status.read"
    PROFILE_READ = "profile.read"
    PROFILE_TIGHTEN = "profile.tighten"
    PROFILE_LOOSEN = "profile.loosen"
    CLASS_OPEN = "class.open"
    DEVICE_READ = "device.read"
    DEVICE_ASSIGN = "device.assign"
    HISTORY_MANAGE = "history.manage"
    HISTORY_READ = "history.read"
    HISTORY_END = "history.end"
    REQUEST_READ = "request.read"
    REQUEST_ANSWER = "request.answer"
    JOURNAL_READ = "journal.read"
    TOKEN_MANAGE = "token.manage"
    ACCOUNT_CHANGE = "account.change"
    SHEET_MAKE = "sheet.make"
    PROFILE_ERASE = "profile.erase"
    TENANT_EXPORT = "tenant.export"
    TENANT_IMPORT = "tenant.import"
    SYSTEM_BACKUP = "system.backup"
    BACKUP_TAKE = "backup.take"
    SESSION_END = "session.end"
    OFFICE_READ = "office.read"
    RELEASE_READ = "release.read"
    ORDER_REGISTER = "order.register"
    ORDER_VERIFY = "order.verify"
    ORDER_APPROVE = "order.approve"
    ENTRY_LIFT = "entry.lift"
    REPORT_WORK = "report.work"
    REVIEW_TAKE = "review.take"
    REVIEW_DECIDE = "review.decide"
    NAME_OPEN = "name.open"
    OFFICER_APPOINT = "officer.appoint"
    FAMILY_HOST = "family.host"
    PIN_RENEW = "pin.renew"
    CASE_READ = "case.read"
    NOTE_WRITE = "note.write"
    FIGURES_READ = "figures.read"
    PEOPLE_MANAGE = "people.manage"
    SCHOOLS_COUNT = "schools.count"
    SCHOOLS_TIGHTEN = "schools.tighten"
    GLASS_BREAK = "glass.break"
    GLASS_READ = "glass.read"
    RELEASE_HOLD = "release.hold"
    GATEWAY_JOIN = "gateway.join"
    LIST_FOLLOW = "list.follow"


class Scope(StrEnum):
    """What an API token may be limited to."""

    READ = "read"
    POLICY = "policy"
    TENANT = "tenant"
    LIST = "list"
    MACHINES = "machines"
    PEOPLE = "people"
    ERASE = "erase"
    BACKUP = "backup"
    BACKUP_READ = "backup-read"


_LOOK = frozenset(
    {
        Permission.STATUS_READ,
        Permission.PROFILE_READ,
        Permission.DEVICE_READ,
        Permission.REQUEST_READ,
        Permission.JOURNAL_READ,
    }
)
_RUN = _LOOK | {
    Permission.PROFILE_TIGHTEN,
    Permission.PROFILE_LOOSEN,
    Permission.DEVICE_ASSIGN,
    Permission.REQUEST_ANSWER,
    Permission.TOKEN_MANAGE,
    Permission.PROFILE_ERASE,
    Permission.TENANT_EXPORT,
    Permission.TENANT_IMPORT,
    Permission.SYSTEM_BACKUP,
    Permission.LIST_FOLLOW,
    Permission.BACKUP_TAKE,
    Permission.SHEET_MAKE,
}

#: A key for a program, within what one may do oneself.
_KEYS = frozenset({Permission.TOKEN_MANAGE})

_OFFICE = frozenset(
    {
        Permission.STATUS_READ,
        Permission.OFFICE_READ,
        Permission.RELEASE_READ,
        Permission.REPORT_WORK,
        Permission.REVIEW_TAKE,
        Permission.NAME_OPEN,
        Permission.OFFICER_APPOINT,
        Permission.RELEASE_HOLD,
        Permission.GATEWAY_JOIN,
        Permission.CASE_READ,
        Permission.NOTE_WRITE,
        Permission.FIGURES_READ,
        Permission.TOKEN_MANAGE,
    }
)
#: Bodies that work on cases as equals: each sees states, deadlines and decisions, and its own notes.
_LIAISON = _KEYS | {Permission.STATUS_READ, Permission.CASE_READ, Permission.NOTE_WRITE, Permission.FIGURES_READ}

#: Printing the sheet by which families join, and helping one that forgot its PIN; nothing of theirs is to be seen.
_HOST = frozenset({Permission.FAMILY_HOST, Permission.PIN_RENEW})

#: What everybody may do with their own account.
_OWN = frozenset({Permission.ACCOUNT_CHANGE, Permission.SESSION_END})

#: What a guardian has to do with a child's history: to begin and read one, to know whether there is one, and to end it.
_HISTORY = frozenset({Permission.HISTORY_MANAGE, Permission.HISTORY_READ, Permission.HISTORY_END})

ROLES: Mapping[Role, frozenset[Permission]] = {
    # A history is a family's matter: no school role has it.
    Role.FIRST_PARENT: _RUN | _OWN | _HISTORY | {Permission.PEOPLE_MANAGE},
    # A further parent does everything of every day, and nothing that would take it away from the first.
    Role.PARENT: (_RUN | _OWN)
    - {
        Permission.PROFILE_ERASE,
        Permission.TENANT_EXPORT,
        Permission.TENANT_IMPORT,
        Permission.SYSTEM_BACKUP,
        Permission.LIST_FOLLOW,
        Permission.BACKUP_TAKE,
        Permission.TOKEN_MANAGE,
    },
    Role.SCHOOL_ADMIN: _RUN | _OWN | _HOST | {Permission.CLASS_OPEN, Permission.PEOPLE_MANAGE},
    # A teacher sees the classes and opens one group for a class, for a lesson.
    Role.TEACHER: _OWN | {Permission.CLASS_OPEN, Permission.STATUS_READ, Permission.PROFILE_READ, Permission.REQUEST_READ},
    # Who may verify may not approve: two roles, and the workflow refuses the same person in both.
    Role.VERIFIER: _OFFICE | _OWN | {Permission.ORDER_REGISTER, Permission.ORDER_VERIFY},
    Role.APPROVER: _OFFICE | _OWN | {Permission.JOURNAL_READ, Permission.ORDER_APPROVE, Permission.ENTRY_LIFT, Permission.REVIEW_DECIDE},
    Role.POLICE_LIAISON: _LIAISON | _OWN,
    Role.CHILD_LIAISON: _LIAISON | _OWN,
    # Reads everything of the office and its journal, and changes nothing.
    Role.AUDITOR: _OWN
    | _KEYS
    | {
        Permission.STATUS_READ,
        Permission.OFFICE_READ,
        Permission.RELEASE_READ,
        Permission.JOURNAL_READ,
        Permission.CASE_READ,
        Permission.FIGURES_READ,
        Permission.GLASS_READ,
    },
    # The education department of a province: counts of its schools, never a class, a device or a setting; it closes groups in all of them.
    Role.EDU_ADMIN: _OWN | _KEYS | {Permission.STATUS_READ, Permission.FIGURES_READ, Permission.SCHOOLS_COUNT, Permission.SCHOOLS_TIGHTEN},
    # Health, education, youth union: numbers, never a case.
    Role.OBSERVER: _OWN | _KEYS | {Permission.STATUS_READ, Permission.FIGURES_READ},
    # An operator sees the machine, never who asked for what.
    Role.OPERATOR: _OWN
    | _HOST
    | _KEYS
    | {
        Permission.STATUS_READ,
        Permission.SYSTEM_BACKUP,
        Permission.BACKUP_TAKE,
        Permission.LIST_FOLLOW,
        Permission.GLASS_BREAK,
        Permission.GLASS_READ,
    },
    # For some hours and by a document, an operator at one family or school (`admin.emergency`): settings and devices, to look at.
    Role.EMERGENCY: frozenset({Permission.STATUS_READ, Permission.PROFILE_READ, Permission.DEVICE_READ}),
}

#: Acts that need the password typed within CONFIRMATION_HOLDS: a signed-in page left open cannot do them.
CONFIRMED = frozenset(
    {
        Permission.PROFILE_LOOSEN,
        Permission.CLASS_OPEN,
        Permission.TOKEN_MANAGE,
        Permission.ACCOUNT_CHANGE,
        Permission.SHEET_MAKE,
        Permission.PROFILE_ERASE,
        Permission.TENANT_EXPORT,
        Permission.TENANT_IMPORT,
        Permission.SYSTEM_BACKUP,
        Permission.BACKUP_TAKE,
        Permission.HISTORY_MANAGE,
        Permission.PIN_RENEW,
        Permission.PEOPLE_MANAGE,
        Permission.ORDER_APPROVE,
        Permission.ENTRY_LIFT,
        Permission.REVIEW_DECIDE,
        Permission.NAME_OPEN,
        Permission.OFFICER_APPOINT,
        Permission.GLASS_BREAK,
        Permission.SCHOOLS_TIGHTEN,
        Permission.RELEASE_HOLD,
        Permission.GATEWAY_JOIN,
        Permission.LIST_FOLLOW,
    }
)
#: Acts of officers that need an account with a second factor.
SECONDED = frozenset(
    {
        Permission.ORDER_VERIFY,
        Permission.ORDER_APPROVE,
        Permission.ENTRY_LIFT,
        Permission.REVIEW_DECIDE,
        Permission.NAME_OPEN,
        Permission.OFFICER_APPOINT,
        Permission.GLASS_BREAK,
        Permission.SCHOOLS_TIGHTEN,
        Permission.RELEASE_HOLD,
        Permission.GATEWAY_JOIN,
    }
)
CONFIRMATION_HOLDS = timedelta(minutes=10)

SCOPES: Mapping[Scope, frozenset[Permission]] = {
    Scope.READ: _LOOK
    | {
        Permission.OFFICE_READ,
        Permission.RELEASE_READ,
        Permission.TENANT_EXPORT,
        Permission.CASE_READ,
        Permission.FIGURES_READ,
        Permission.SCHOOLS_COUNT,
        Permission.HISTORY_READ,
    },
    Scope.POLICY: frozenset(
        {
            Permission.HISTORY_END,
            Permission.SESSION_END,
            Permission.PROFILE_TIGHTEN,
            Permission.PROFILE_LOOSEN,
            Permission.DEVICE_ASSIGN,
            Permission.REQUEST_ANSWER,
            Permission.TENANT_IMPORT,
        }
    ),
    Scope.TENANT: frozenset({Permission.TOKEN_MANAGE}),
    # Each of these is chosen by itself when a key is made: no key that is there already gains one.
    Scope.PEOPLE: frozenset({Permission.PEOPLE_MANAGE, Permission.FAMILY_HOST}),
    Scope.ERASE: frozenset({Permission.PROFILE_ERASE}),
    Scope.BACKUP: frozenset({Permission.SYSTEM_BACKUP}),
    Scope.BACKUP_READ: frozenset({Permission.BACKUP_TAKE}),
    # Opening a masked name and appointing an officer are not here: only a person at the page may.
    Scope.LIST: frozenset(
        {
            Permission.ORDER_REGISTER,
            Permission.ORDER_VERIFY,
            Permission.ORDER_APPROVE,
            Permission.ENTRY_LIFT,
            Permission.REPORT_WORK,
            Permission.REVIEW_TAKE,
            Permission.REVIEW_DECIDE,
            Permission.NOTE_WRITE,
            Permission.SCHOOLS_TIGHTEN,
            Permission.RELEASE_HOLD,
        }
    ),
    # Which gateways belong to an office, and whose list a machine follows: for keys that were made for this.
    Scope.MACHINES: frozenset({Permission.GATEWAY_JOIN, Permission.LIST_FOLLOW}),
}

#: Rights that no key has, being a person's at the page, and the right of a key that reaches as far: opening for a class, printing a sheet.
_REACH = {Permission.CLASS_OPEN: Permission.PROFILE_LOOSEN, Permission.SHEET_MAKE: Permission.PROFILE_LOOSEN}


def reaches(scopes: Iterable[Scope], role: Role) -> bool:
    """Whether a key of these scopes may do what somebody in a role could: only then may it make somebody of that role, for it sees the link
    that does, and could use it itself. What everybody may do with their own account is nothing it would gain."""
    given = frozenset(permission for scope in scopes for permission in SCOPES[scope])
    return all(_REACH.get(permission, permission) in given for permission in ROLES[role] - _OWN)


@dataclass(frozen=True, slots=True)
class Assignment:
    """One role on one organisation, in force now."""

    organisation_id: OrganisationId
    role: Role


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: an account through a session, or through an API token (`scopes` then limits it).

    `confirmed_at` is when the password was last typed; a token was handed out by a confirmed person and counts as confirmed. `has_factor`
    says whether the account signs in with a second factor, `has_passkey` whether it has a passkey, `second_at` when this session last saw a
    second factor.
    """

    account_id: AccountId
    name: str
    assignments: tuple[Assignment, ...]
    confirmed_at: datetime | None = None
    scopes: frozenset[Scope] | None = None
    has_factor: bool = False
    has_passkey: bool = False
    second_at: datetime | None = None

    def role_on(self, tenant: OrganisationId, permission: Permission) -> Role | None:
        """The role that allows an act on a tenant; None when no role does."""
        for assignment in self.assignments:
            if assignment.organisation_id == tenant and permission in ROLES[assignment.role]:
                return assignment.role
        return None


def authorise(actor: Actor | None, permission: Permission, tenant: OrganisationId, now: datetime) -> Role:
    """The role under which the actor may do this now. The one function that decides about access.

    Raises NotSignedIn, NotFound (no role there at all), Forbidden, FactorNeeded, ConfirmationNeeded.
    """
    if actor is None:
        raise NotSignedIn
    if all(assignment.organisation_id != tenant for assignment in actor.assignments):
        raise NotFound
    role = actor.role_on(tenant, permission)
    if role is None:
        raise Forbidden
    if actor.scopes is not None:
        if not any(permission in SCOPES[scope] for scope in actor.scopes):
            raise Forbidden("scope")
        return role
    if needs_second(actor, permission) and not has_second(actor):
        raise FactorNeeded
    if permission in CONFIRMED and not is_confirmed(actor, now):
        raise ConfirmationNeeded
    return role


def needs_second(actor: Actor, permission: Permission) -> bool:
    """Whether an act needs two factors: what officers decide, and how an officer signs in, once there is a second one (otherwise whoever
    learned the password would make a factor of his own)."""
    if permission is Permission.ACCOUNT_CHANGE:
        return actor.has_passkey and is_officer(actor)
    if permission is Permission.TOKEN_MANAGE:  # the key acts with neither password nor second factor
        return is_officer(actor)
    return permission in SECONDED


def is_officer(actor: Actor) -> bool:
    """Whether a role of this account decides about what others see blocked, or may look into their settings."""
    return decides(actor.assignments)


def decides(assignments: Iterable[Assignment]) -> bool:
    """Whether one of these roles decides about what others see blocked, or may look into their settings."""
    return any(ROLES[assignment.role] & SECONDED for assignment in assignments)


def has_second(actor: Actor) -> bool:
    """Whether a second factor stands behind this session: the account never signs in without one, or it was shown here."""
    return actor.has_factor or actor.second_at is not None


def is_confirmed(actor: Actor, now: datetime) -> bool:
    """Whether the password was typed recently enough for acts that loosen. A clock that went back confirms nothing."""
    return actor.confirmed_at is not None and timedelta(0) <= now - actor.confirmed_at <= CONFIRMATION_HOLDS
