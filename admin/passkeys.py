"""Passkeys (WebAuthn Level 2): a key in a phone, a computer or a security stick, opened by its owner's finger, face or PIN.

A passkey stands for both steps of a sign-in: the device is one, its owner's finger or PIN the other (user verification is always required).
It belongs to one account and to the name of the page it was made on; at a bare address browsers know no passkeys. What is kept is a public
key: a copy of the database signs nobody in. Beside passkeys everything else keeps working, because they need a script.

Challenges are made without keeping anything (a moment and a keyed digest), for one purpose and one session, and are good once: what was
answered is remembered until it would be too old anyway. A counter that does not go forward means a copied key: it is refused and said so
in the log. `webauthn` does the reading and the signatures; it is imported when somebody uses a passkey (3 MB).
"""

from __future__ import annotations

import base64
import hmac
import json
import logging
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from ipaddress import ip_address
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.errors import AdminError, Conflict
from admin.tables import passkeys
from blocklists.database import Database
from blocklists.tables import AccountId, accounts, new_id

log = logging.getLogger(__name__)

LIVES_SECONDS = 600.0
MOST_EACH = 20
LONGEST_LABEL = 40
MOST_BYTES = 16 * 1024
ISSUER = "Lá Chắn DNS"
_MOST_USED = 10_000


class WrongPasskey(AdminError):
    """The answer of the passkey does not fit: unknown, taken away, for another page, used before, or too late."""

    status = 401
    code = "wrong_passkey"


class Purpose(StrEnum):
    """What a challenge is for; an answer to one is worth nothing for another."""

    ADD = "add"
    SIGN_IN = "sign-in"
    CONFIRM = "confirm"


@dataclass(frozen=True, slots=True)
class Place:
    """The page on which a passkey is made or used: its name, and its origin as browsers write it."""

    name: str
    origin: str


@dataclass(frozen=True, slots=True)
class Ceremony:
    """One use of passkeys: where, for what, in which session (empty before there is one), and when."""

    place: Place
    purpose: Purpose
    session: str
    now: datetime
    monotonic: float


@dataclass(frozen=True, slots=True)
class Shown:
    """A passkey that answered rightly, still to be noted: which, whose, the challenge it answered and its counter."""

    passkey: str
    account: AccountId
    challenge: bytes
    count: int


@dataclass(frozen=True, slots=True)
class Passkey:
    """One passkey of an account, as its page lists it."""

    id: str
    account: AccountId
    credential: bytes
    name: str
    label: str
    created_at: datetime
    used_at: datetime | None


def place_of(scheme: str, host: str) -> Place | None:
    """Where passkeys work: a page under a name over TLS, or on this very machine; None elsewhere (WebAuthn §5.1.2, secure contexts)."""
    host = host.strip().lower()
    name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        pass
    else:
        return None
    if not name or name.endswith(".") or (scheme != "https" and name != "localhost"):
        return None
    return Place(name, f"{scheme}://{host}")


class Challenges:
    """Makes challenges and takes each back once. One per process; a restart forgets them all, and people begin again."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._used: OrderedDict[bytes, float] = OrderedDict()

    def make(self, ceremony: Ceremony) -> bytes:
        """A new challenge of 56 bytes for one purpose, place and session."""
        begun = secrets.token_bytes(16) + int(ceremony.monotonic + LIVES_SECONDS).to_bytes(8, "big")
        return begun + self._digest(ceremony, begun)

    def is_open(self, challenge: bytes, ceremony: Ceremony) -> bool:
        """Whether it was made here for this, is not too old and was not answered."""
        begun, digest = challenge[:24], challenge[24:]
        if len(challenge) != 56 or not hmac.compare_digest(digest, self._digest(ceremony, begun)):
            return False
        return ceremony.monotonic <= int.from_bytes(begun[16:], "big") and challenge not in self._used

    def close(self, challenge: bytes, monotonic: float) -> None:
        """It was answered rightly. Only right answers are remembered, so a stranger cannot fill this."""
        while self._used and (len(self._used) >= _MOST_USED or next(iter(self._used.values())) < monotonic):
            self._used.popitem(last=False)
        self._used[challenge] = monotonic + LIVES_SECONDS

    def _digest(self, ceremony: Ceremony, begun: bytes) -> bytes:
        about = "\0".join((ceremony.purpose, ceremony.session, ceremony.place.origin))
        return hmac.new(self._key, begun + about.encode(), sha256).digest()


class Passkeys:
    """What the pages and the door do with passkeys. One per process."""

    def __init__(self) -> None:
        self.challenges = Challenges()

    def options_to_add(self, ceremony: Ceremony, account: AccountId, sign_in: str, own: list[Passkey]) -> str:
        """What the script hands to `navigator.credentials.create`, as JSON. Devices that have one here already are left out."""
        return json.dumps(
            {
                "rp": {"id": ceremony.place.name, "name": ISSUER},
                "user": {"id": _to_text(account.encode()), "name": sign_in, "displayName": sign_in},
                "challenge": _to_text(self.challenges.make(ceremony)),
                # Ed25519, ES256, RS256 (RFC 8152, RFC 8812): what every device in use knows at least one of
                "pubKeyCredParams": [{"type": "public-key", "alg": number} for number in (-8, -7, -257)],
                "timeout": int(LIVES_SECONDS * 1000),
                "attestation": "none",
                "authenticatorSelection": {"residentKey": "required", "requireResidentKey": True, "userVerification": "required"},
                "excludeCredentials": [_named(one) for one in own if one.name == ceremony.place.name],
            }
        )

    def options_to_use(self, ceremony: Ceremony, own: list[Passkey]) -> str:
        """What the script hands to `navigator.credentials.get`, as JSON; without passkeys to choose from, the device offers its own."""
        return json.dumps(
            {
                "rpId": ceremony.place.name,
                "challenge": _to_text(self.challenges.make(ceremony)),
                "timeout": int(LIVES_SECONDS * 1000),
                "userVerification": "required",
                "allowCredentials": [_named(one) for one in own if one.name == ceremony.place.name],
            }
        )

    async def add(self, connection: AsyncConnection, account: AccountId, label: str, answer: str, ceremony: Ceremony) -> str:
        """Keep a new passkey; its id. Raises WrongPasskey, and Conflict when the account has too many or the device's is known already."""
        from webauthn import verify_registration_response

        challenge = self._challenge_of(answer, ceremony)
        with _Refused():
            made = verify_registration_response(
                credential=answer,
                expected_challenge=challenge,
                expected_rp_id=ceremony.place.name,
                expected_origin=ceremony.place.origin,
                require_user_verification=True,
            )
        self.challenges.close(challenge, ceremony.monotonic)
        own = select(func.count()).select_from(passkeys).where(passkeys.c.account_id == account)
        known = select(passkeys.c.id).where(passkeys.c.credential == made.credential_id)
        if (await connection.execute(own)).scalar_one() >= MOST_EACH or (await connection.execute(known)).first() is not None:
            raise Conflict
        identity = new_id()
        await connection.execute(
            insert(passkeys).values(
                id=identity,
                account_id=account,
                credential=made.credential_id,
                public_key=made.credential_public_key,
                sign_count=made.sign_count,
                name=ceremony.place.name,
                label=label,
                created_at=ceremony.now,
            )
        )
        return identity

    async def look(self, database: Database, answer: str, ceremony: Ceremony) -> Shown:
        """Whose passkey answered; `note` then takes it. Nothing is written, and nothing else waits while a signature is checked. Raises
        WrongPasskey."""
        from webauthn import verify_authentication_response

        challenge = self._challenge_of(answer, ceremony)
        with _Refused():
            credential = _from_text(json.loads(answer)["rawId"])
        statement = (
            select(passkeys, accounts.c.disabled_at)
            .join(accounts, accounts.c.id == passkeys.c.account_id)
            .where(passkeys.c.credential == credential, passkeys.c.name == ceremony.place.name, accounts.c.disabled_at.is_(None))
        )
        async with database.read() as connection:
            row = (await connection.execute(statement)).one_or_none()
        if row is None:
            raise WrongPasskey
        with _Refused():
            shown = verify_authentication_response(
                credential=answer,
                expected_challenge=challenge,
                expected_rp_id=ceremony.place.name,
                expected_origin=ceremony.place.origin,
                credential_public_key=bytes(row.public_key),
                credential_current_sign_count=0,
                require_user_verification=True,
            )
            handle = json.loads(answer)["response"].get("userHandle")
            if handle and _from_text(handle) != row.account_id.encode():
                raise WrongPasskey
        return Shown(row.id, AccountId(row.account_id), challenge, shown.new_sign_count)

    async def note(self, connection: AsyncConnection, shown: Shown, ceremony: Ceremony) -> None:
        """Take an answer, once: its counter and the moment, in the caller's transaction. Raises WrongPasskey when it was used meanwhile or
        its counter did not go forward."""
        if not self.challenges.is_open(shown.challenge, ceremony):
            raise WrongPasskey
        # The condition makes two answers with the same counter at once into one that is right.
        forward = passkeys.c.sign_count < shown.count
        if shown.count == 0:
            forward = passkeys.c.sign_count == 0  # passkeys that are kept in step over several devices count nothing
        noted = await connection.execute(
            update(passkeys).where(passkeys.c.id == shown.passkey, forward).values(sign_count=shown.count, used_at=ceremony.now)
        )
        if noted.rowcount != 1:
            log.warning("a passkey's counter did not go forward", extra={"event": "passkey.counter", "passkey": shown.passkey})
            raise WrongPasskey
        self.challenges.close(shown.challenge, ceremony.monotonic)

    def _challenge_of(self, answer: str, ceremony: Ceremony) -> bytes:
        """The challenge that an answer says it answers, when it is one of ours."""
        if len(answer) > MOST_BYTES:
            raise WrongPasskey
        with _Refused():
            client = json.loads(_from_text(json.loads(answer)["response"]["clientDataJSON"]))
            challenge = _from_text(client["challenge"])
        if not self.challenges.is_open(challenge, ceremony):
            raise WrongPasskey
        return challenge


async def list_passkeys(connection: AsyncConnection, account: AccountId) -> list[Passkey]:
    """The passkeys of an account, the oldest first."""
    statement = select(passkeys).where(passkeys.c.account_id == account).order_by(passkeys.c.created_at, passkeys.c.id)
    return [
        Passkey(row.id, AccountId(row.account_id), bytes(row.credential), row.name, row.label, row.created_at, row.used_at)
        for row in await connection.execute(statement)
    ]


async def remove_passkey(connection: AsyncConnection, account: AccountId, passkey: str) -> bool:
    """Take one away; it signs nobody in from now on. False when the account has no such passkey."""
    removed = await connection.execute(delete(passkeys).where(passkeys.c.account_id == account, passkeys.c.id == passkey))
    return removed.rowcount == 1


class _Refused:
    """What goes wrong while a hostile answer is read or checked is a refusal, never our fault. (The library raises its own errors, and
    for some broken input those of the parsers under it.)"""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, AdminError) or not isinstance(error, Exception):
            return
        raise WrongPasskey from error


def _named(passkey: Passkey) -> dict[str, Any]:
    return {"type": "public-key", "id": _to_text(passkey.credential)}


def _to_text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _from_text(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
