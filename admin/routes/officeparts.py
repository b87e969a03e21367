"""What the office's routes share: the words of the reader, and in what capacities the person at the page may act."""

from __future__ import annotations

from typing import TYPE_CHECKING

from admin.audit import by_account
from admin.dependencies import Visit, language_of
from admin.office import actor_of, open_office
from admin.officesigning import PASSPHRASE_FIELD
from admin.officewords import OfficeWords
from admin.permissions import Permission
from blocklists.takedown.model import Actor

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner


def words_of(visit: Visit) -> OfficeWords:
    """The words of this visit."""
    language = language_of(visit.request, visit.signed_in)
    shelf = visit.services.shelves.current()
    return OfficeWords(visit.services.pages.words[language], lambda code: shelf.name_of(code, language))


async def unlock(visit: Visit) -> CryptoSigner | None:
    """The key of the person at the page, opened by the passphrase they typed; None for somebody who does not sign. Raises InvalidInput."""
    account, passphrase = visit.signed_in.actor.account_id, visit.form.raw(PASSPHRASE_FIELD)
    return await visit.services.office.signing.unlock(visit.tenant_id, account, passphrase)


async def sign(visit: Visit, signer: CryptoSigner | None) -> None:
    """Publish what was just decided, signed; nothing for somebody who does not sign."""
    if signer is not None:
        async with visit.services.database.read() as connection:
            office = await open_office(connection, visit.tenant_id)
        await visit.services.office.signing.sign(office, visit.act, signer)


async def signing_of(visit: Visit) -> dict[str, bool]:
    """What pages with acts that publish must know: whether this person is asked for a passphrase, whether something waits for one, and
    whether a change of keys waits for theirs."""
    signing, account = visit.services.office.signing, visit.signed_in.actor.account_id
    asks, keys_wait = await signing.asks(visit.tenant_id, account), await signing.keys_wait(visit.tenant_id, account)
    return {"signs": asks, "unsigned": await signing.is_behind(visit.tenant_id), "keys_wait": keys_wait}


def actor_for(visit: Visit) -> Actor:
    """The person in the capacity that allowed this very request."""
    return actor_of(visit.by, visit.tenant_id)


def actors_of(visit: Visit) -> list[Actor]:
    """Every capacity the person has here, to know which buttons to show."""
    signed_in = visit.signed_in.actor
    roles = {signed_in.role_on(visit.tenant_id, permission) for permission in (Permission.ORDER_VERIFY, Permission.ORDER_APPROVE)}
    return [actor_of(by_account(signed_in.account_id, role), visit.tenant_id) for role in roles if role is not None]
