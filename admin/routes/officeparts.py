"""What the office's routes share: the words of the reader, and in what capacities the person at the page may act."""

from __future__ import annotations

from admin.audit import by_account
from admin.dependencies import Visit, language_of
from admin.office import actor_of
from admin.officewords import OfficeWords
from admin.permissions import Permission
from blocklists.takedown.model import Actor


def words_of(visit: Visit) -> OfficeWords:
    """The words of this visit."""
    language = language_of(visit.request, visit.signed_in)
    shelf = visit.services.shelves.current()
    return OfficeWords(visit.services.pages.words[language], lambda code: shelf.name_of(code, language))


def actor_for(visit: Visit) -> Actor:
    """The person in the capacity that allowed this very request."""
    return actor_of(visit.by, visit.tenant_id)


def actors_of(visit: Visit) -> list[Actor]:
    """Every capacity the person has here, to know which buttons to show."""
    signed_in = visit.signed_in.actor
    roles = {signed_in.role_on(visit.tenant_id, permission) for permission in (Permission.ORDER_VERIFY, Permission.ORDER_APPROVE)}
    return [actor_of(by_account(signed_in.account_id, role), visit.tenant_id) for role in roles if role is not None]
