"""Signing on the page: an officer's passphrase opens their key for one act, and what was approved goes out signed.

Nothing here keeps a passphrase or an opened key longer than the act. What is decided is in force on this machine without a signature; the
signature is what gateways elsewhere ask for. Wrong passphrases slow down the officer who is signed in, and nobody else: each try takes a
person with both factors. One's own key is withdrawn at once, somebody else's when two officers say so. What the server says by itself
(`blocklists.online`) is brought up to date once a minute. One per process; files are touched by one task at a time
(`blocklists.signing.Room`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from admin.audit import MACHINE, Act, Action, record
from admin.errors import AdminError, FieldMistake, InvalidInput, NotFound, TooManyTries
from admin.keycopies import KeyCopy, forget_copies, keep_copies, read_copies
from admin.office import find_office
from admin.officedoubts import Doubt, changing_doubts, read_doubts
from admin.officeendings import DECIDING
from admin.officegateways import count_gateways
from admin.officekeys import held_keys, live_copies, read_holders, retire_key, sealed_key, store_key, take_up, unknown_among
from admin.officerollout import begin, pass_over, read_rollouts, read_statement
from admin.officetallies import judge
from admin.people import list_members
from admin.throttle import Throttle
from blocklists.database import Database
from blocklists.tables import AccountId, OrganisationId
from blocklists.takedown.publishing import newest_serial, serial_since
from blocklists.takedown.store import Office
from gateway.errors import LachanError

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner

    from blocklists.signing import Holders, Room, Standing

log = logging.getLogger(__name__)

PASSPHRASE_FIELD = "passphrase"
HEARING_REST = 9
LOOKS_A_SECOND = 20
LOOK_SHORTEST, LOOK_LONGEST = 15, 300
"""Seconds between two questions of one gateway for news: from few gateways to six thousand, who ask with their rounds alone."""
LOOK_COUNTED = timedelta(minutes=1)


class KeysElsewhere(AdminError):
    """The office's keys are kept by command: the page signs nothing."""

    status = 409
    code = "conflict"


class SigningDesk:
    """Signs releases and roots with the keys of officers. One per process."""

    def __init__(self, database: Database, state_dir: Path) -> None:
        self.database = database
        self._state_dir = state_dir
        self._turn = asyncio.Lock()
        self._tries = Throttle()
        self._hears_again = 0.0
        self._look: tuple[datetime | None, int] = (None, 0)

    @cached_property
    def room(self) -> Room:
        """The release folder and its drafts; the library of signatures (ten megabytes) is loaded for offices only."""
        from blocklists.signing import Room

        return Room(self._state_dir)

    async def standing(self) -> Standing:
        """How signing stands."""
        return await asyncio.to_thread(self.room.standing)

    async def look_seconds(self, now: datetime) -> int:
        """How often a gateway may ask whether there is news: LOOKS_A_SECOND of all gateways together. Counted once a minute."""
        counted, seconds = self._look
        if counted is None or not timedelta() <= now - counted < LOOK_COUNTED:
            async with self.database.read() as connection:
                tenant = await find_office(connection, now)
                number = await count_gateways(connection, tenant) if tenant is not None else 0
            seconds = min(max(LOOK_SHORTEST, number // LOOKS_A_SECOND), LOOK_LONGEST)
            self._look = now, seconds
        return seconds

    async def is_behind(self, tenant: OrganisationId) -> bool:
        """Whether the newest version is not published yet, because it is not signed."""
        standing = await self.standing()
        if not standing.is_begun or standing.by_command:
            return False
        async with self.database.read() as connection:
            newest = await newest_serial(connection, tenant)
        return newest > (standing.serial or 0)

    async def waits_since(self, tenant: OrganisationId, decided_at: datetime) -> bool:
        """Whether what was decided at this moment is in no signed version yet, so that gateways elsewhere do not have it."""
        standing = await self.standing()
        if not standing.is_begun or standing.by_command:
            return False
        async with self.database.read() as connection:
            serial = await serial_since(connection, tenant, decided_at)
        return serial is None or serial > (standing.serial or 0)

    async def asks(self, tenant: OrganisationId, account: AccountId) -> bool:
        """Whether an approval by this person is signed: they hold a key that the root appoints for the list."""
        async with self.database.read() as connection:
            found = await sealed_key(connection, tenant, account)
        standing = await self.standing()
        return found is not None and not standing.by_command and found[0] in standing.targets_keys

    async def keys_wait(self, tenant: OrganisationId, account: AccountId) -> bool:
        """Whether a change of keys waits for the signature of this person."""
        change = (await self.standing()).root
        if change is None:
            return False
        async with self.database.read() as connection:
            found = await sealed_key(connection, tenant, account)
        return found is not None and found[0] in change.able - change.signed_by

    async def unlock(self, tenant: OrganisationId, account: AccountId, passphrase: str) -> CryptoSigner | None:
        """The key of a person who signs; None for one who does not. Raises InvalidInput for a missing or wrong passphrase."""
        if not await self.asks(tenant, account):
            return None
        return await self._open(tenant, account, passphrase)

    async def sign(self, office: Office, act: Act, signer: CryptoSigner | None) -> None:
        """Sign the newest version, when there is one that is not published; what fails is logged, and waits for the next signature."""
        if signer is None:
            return
        try:
            await self._sign(office, act, signer, renew=False)
        except (LachanError, OSError) as error:
            log.warning("release not signed", extra={"event": "signing.failed", "reason": str(error)})

    async def make_key(self, office: Office, act: Act, account: AccountId, passphrase: str) -> None:
        """A new key for an officer; with the first approver's the office's releases begin. Raises InvalidInput or KeysElsewhere."""
        from blocklists.keybox import LONGEST, SHORTEST, make_box

        if not SHORTEST <= len(passphrase) <= LONGEST:
            raise InvalidInput(FieldMistake(PASSPHRASE_FIELD, "passphrase_short"))
        if (await self.standing()).by_command:
            raise KeysElsewhere
        signer, box = await asyncio.to_thread(make_box, passphrase)
        async with self.database.write() as connection:
            await store_key(connection, act, account, signer.public_key, box)
        async with self._turn:
            await self._copy(act.tenant)
            holders = await self._holders(act)
            if self.room.repository.is_begun():
                await asyncio.to_thread(self.room.want, holders, act.now)
                await asyncio.to_thread(self.room.sign_root, signer, act.now)
            elif any(key.keyid == signer.public_key.keyid for key in holders.approvers):
                await asyncio.to_thread(self.room.begin, holders, signer, act.now)
        await self.sign(office, act, signer)

    async def sign_what_waits(self, office: Office, act: Act, account: AccountId, passphrase: str) -> None:
        """Sign the change of keys and the list, whichever waits for this person. Raises InvalidInput."""
        signer = await self._open(OrganisationId(office.tenant), account, passphrase)
        async with self._turn:
            # A draft may be older than what the database holds now, where a backup was put back: never is anything else signed.
            await asyncio.to_thread(self.room.want, await self._holders(act), act.now)
            appointed = await asyncio.to_thread(self.room.sign_root, signer, act.now)
        if appointed:
            async with self.database.write() as connection:
                await record(connection, act, Action.ROOT_SIGNED, act.tenant, after={"root": (await self.standing()).root_version})
        standing, behind = await self.standing(), await self.is_behind(act.tenant)
        if standing.waits_for(signer.public_key.keyid, behind, act.now):
            await self._sign(office, act, signer, renew=True)

    async def forgotten(self, tenant: OrganisationId) -> list[KeyCopy]:
        """The keys that the signed root appoints and of which the database does not know, since a backup was put back that is older."""
        standing = await self.standing()
        copies = await asyncio.to_thread(read_copies, self._state_dir)
        appointed = [one for one in copies if one.tenant == tenant and one.keyid in standing.root_keys | standing.targets_keys]
        if not appointed or standing.by_command:
            return []
        async with self.database.read() as connection:
            return await unknown_among(connection, tenant, appointed)

    async def take_up(self, act: Act, account: AccountId, passphrase: str) -> None:
        """A forgotten key goes to the officer whose passphrase opens it: their account may be another than before the backup. Raises
        InvalidInput."""
        from blocklists.keybox import WrongPassphrase, open_box

        forgotten = await self.forgotten(act.tenant)
        self._try(account)
        for one in forgotten:
            try:
                await asyncio.to_thread(open_box, one.box, passphrase)
            except WrongPassphrase:
                continue
            self._tries.succeeded("", "127.0.0.1", account)
            async with self.database.write() as connection:
                await take_up(connection, act, account, one)
            return
        raise InvalidInput(FieldMistake(PASSPHRASE_FIELD, "passphrase_wrong"))

    async def doubts(self, now: datetime) -> dict[str, Doubt]:
        """Keys that one officer wants withdrawn, by their id."""
        return await asyncio.to_thread(read_doubts, self._state_dir, now)

    async def withdraw(self, act: Act, account: AccountId, key_id: str) -> bool:
        """Withdraw a key: one's own at once, somebody else's when a second officer says so, too; whether it is withdrawn now. Raises
        NotFound."""
        async with self._turn:
            async with self.database.read() as connection:
                held = {one.id: one.account for one in await held_keys(connection, act.tenant, act.now)}
                officers = {one.account for one in await list_members(connection, act.tenant, act.now) if one.role in DECIDING}
            if key_id not in held:
                raise NotFound
            async with changing_doubts(self._state_dir, act.now) as doubts:
                # The word of somebody who is no officer any more is no second one.
                for key in [key for key, doubt in doubts.items() if key not in held or doubt.account not in officers]:
                    del doubts[key]
                first = doubts.pop(key_id, None)
                is_done = held[key_id] == account or (first is not None and first.account != account)
                if not is_done:
                    doubts[key_id] = Doubt(account, act.now)
            async with self.database.write() as connection:
                if is_done:
                    await retire_key(connection, act, key_id)
                else:
                    await record(connection, act, Action.SIGNING_KEY_DOUBTED, key_id)
            if is_done:
                await self._copy(act.tenant)
        return is_done

    async def settle(self, act_tenant: OrganisationId, now: datetime) -> None:
        """What needs nobody: draft a change of keys when officers came or left, sign daily that nothing is new, hold back a release that
        gateways speak against, and tell gateways how far it has come and what has ended."""
        async with self._turn:
            standing = await self.standing()
            if not standing.is_begun or standing.by_command:
                return
            await self._return_keys(act_tenant, now)
            async with self.database.read() as connection:
                holders = await read_holders(connection, act_tenant, now)
                under_way = await read_rollouts(connection, act_tenant)
            await asyncio.to_thread(self.room.complete_keys)
            await asyncio.to_thread(self.room.want, holders, now)
            await asyncio.to_thread(self.room.refresh, now)
            if under_way:
                await self._judge(act_tenant, now)
            await self._say(act_tenant, standing.serial or 0, now)

    async def hear(self, tenant: OrganisationId, now: datetime) -> None:
        """A gateway told trouble: a release that has to be held back because of it is held now, before the next gateway takes it. Where
        judging so many gateways takes long, it is left to the turn of the minute: it never takes more than a tenth of the time."""
        if time.monotonic() < self._hears_again:
            return
        began = time.monotonic()
        async with self._turn:
            standing = await self.standing()
            if not standing.is_begun or standing.by_command:
                return
            async with self.database.read() as connection:
                under_way = await read_rollouts(connection, tenant, ("going",))
            if under_way and await self._judge(tenant, now):
                await self._say(tenant, standing.serial or 0, now)
        self._hears_again = time.monotonic() + HEARING_REST * (time.monotonic() - began)

    async def tell(self, tenant: OrganisationId, now: datetime) -> None:
        """Tell gateways at once what was just decided about a release that goes out in stages."""
        async with self._turn:
            standing = await self.standing()
            if standing.is_begun and not standing.by_command:
                await self._say(tenant, standing.serial or 0, now)

    async def renew_server_key(self, act: Act) -> None:
        """Another key for what the server says by itself, in force with the next signature. Raises KeysElsewhere."""
        if (await self.standing()).by_command:
            raise KeysElsewhere
        async with self._turn:
            await asyncio.to_thread(self.room.renew_server_key)
        async with self.database.write() as connection:
            await record(connection, act, Action.SERVER_KEY_RENEWED, act.tenant)

    async def _judge(self, tenant: OrganisationId, now: datetime) -> list[int]:
        async with self.database.write() as connection:
            held = await judge(connection, tenant, now)
        if held:
            log.warning("release held back", extra={"event": "rollout.held", "serial": held[0]})
        return held

    async def _say(self, tenant: OrganisationId, published: int, now: datetime) -> None:
        if published:
            async with self.database.read() as connection:
                statement = await read_statement(connection, tenant, published)
            await asyncio.to_thread(self.room.say, statement, now)

    async def _return_keys(self, tenant: OrganisationId, now: datetime) -> None:
        """What a restored database has forgotten comes back to the account that held it, where that one decides now and holds no key that
        the root appoints."""
        forgotten, standing = await self.forgotten(tenant), await self.standing()
        if forgotten:
            async with self.database.write() as connection:
                deciding = {one.account for one in await list_members(connection, tenant, now) if one.role in DECIDING}
                held = {one.account: one.keyid for one in await live_copies(connection, tenant)}
                for one in forgotten:
                    if one.account in deciding and held.get(one.account) not in standing.root_keys | standing.targets_keys:
                        await take_up(connection, Act(tenant, MACHINE, now), one.account, one)
                        held[one.account] = one.keyid
        await self._copy(tenant)

    async def _copy(self, tenant: OrganisationId) -> None:
        """Bring the copies beside the database up to date: those of keys that are held, and of keys that the database has forgotten."""
        forgotten = await self.forgotten(tenant)
        async with self.database.read() as connection:
            held = await live_copies(connection, tenant)
        kept = {one.keyid for one in (*held, *forgotten)}
        copies = await asyncio.to_thread(read_copies, self._state_dir)
        await asyncio.to_thread(keep_copies, self._state_dir, held)
        await asyncio.to_thread(forget_copies, self._state_dir, [one.keyid for one in copies if one.keyid not in kept])

    async def _holders(self, act: Act) -> Holders:
        async with self.database.read() as connection:
            return await read_holders(connection, act.tenant, act.now)

    async def _open(self, tenant: OrganisationId, account: AccountId, passphrase: str) -> CryptoSigner:
        from blocklists.keybox import WrongPassphrase, open_box

        async with self.database.read() as connection:
            found = await sealed_key(connection, tenant, account)
        if found is None:
            raise InvalidInput(FieldMistake(PASSPHRASE_FIELD, "passphrase_wrong"))
        if not passphrase:
            raise InvalidInput(FieldMistake(PASSPHRASE_FIELD, "required"))
        self._try(account)
        try:
            signer = await asyncio.to_thread(open_box, found[1], passphrase)
        except WrongPassphrase:
            raise InvalidInput(FieldMistake(PASSPHRASE_FIELD, "passphrase_wrong")) from None
        self._tries.succeeded("", "127.0.0.1", account)
        return signer

    def _try(self, account: AccountId) -> None:
        """Count a try of this person. Raises InvalidInput for too many of them."""
        try:
            self._tries.enter(time.monotonic(), "", "127.0.0.1", account)
        except TooManyTries:
            raise InvalidInput(FieldMistake(PASSPHRASE_FIELD, "passphrase_wait")) from None

    async def _sign(self, office: Office, act: Act, signer: CryptoSigner, *, renew: bool) -> None:
        from blocklists.takedown.releasing import read_listing, segments_of

        async with self._turn:
            standing = await self.standing()
            if not standing.is_begun or signer.public_key.keyid not in standing.targets_keys:
                return
            async with self.database.read() as connection:
                listing = await read_listing(connection, office)
            is_news = listing is not None and listing.serial > (standing.serial or 0)
            if not is_news and not renew:
                return
            read = segments_of(self._state_dir)
            number, base = listing.serial if listing is not None else 0, standing.serial or 0
            async with self.database.write() as connection:
                staged = is_news and await begin(connection, act, base, number)
                statement = await read_statement(connection, act.tenant, number if is_news else base)
            published = await asyncio.to_thread(self.room.sign_release, listing, read, signer, act.now, statement)
            async with self.database.write() as connection:
                if published and is_news and not staged:
                    await pass_over(connection, act.tenant, number)
                await record(connection, act, Action.RELEASE_SIGNED, str(number), after={"published": published})
