"""A phone that leaves the house: a token of its own, the addresses that carry it, and the settings files phones read.

The token is the phone's name towards the gateway: in the server name for Android (`token.dns.example`) and in the path for DNS over HTTPS
(`/dns-query/token`). Whoever has the printed sheet can set the phone up without an account; whoever takes the phone away from the profile
makes the token worthless within a second. Apple's settings file is the `com.apple.dnsSettings.managed` payload; it is signed when the
gateway has a certificate, so that the phone shows who made it.
"""

from __future__ import annotations

import plistlib
import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key, pkcs7
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.audit import Act, Action, record
from admin.devices import Device, Match, assign_device, list_devices, load_device
from admin.errors import NotFound
from admin.profiles import Profile, load_profile
from admin.tables import device_matches
from admin.tenants import mark_changed
from admin.values import DeviceId, DeviceMatch, ProfileId
from blocklists.tables import EVERY_TENANT, ID_SIGNS, OrganisationId
from gateway.settings import GatewaySettings, TlsSettings

GROUPS, GROUP = 3, 5
"""Three groups of five signs out of 31: 74 bits, readable over the telephone."""
_SPACE = uuid.UUID("5b0e9a4c-6a55-4f0c-9d5e-0b7f4ad3a6c1")


def new_token() -> str:
    """A token that cannot be guessed and can be read aloud: `k7m2p-x9w4q-…`, one label of a domain name."""
    return "-".join("".join(secrets.choice(ID_SIGNS) for _ in range(GROUP)) for _ in range(GROUPS))


@dataclass(frozen=True, slots=True)
class Reach:
    """How phones reach this gateway from anywhere; None where the operator has not set it up."""

    name: str | None
    dot_port: int | None
    doh_port: int | None
    doh_path: str

    def android_name(self, token: str) -> str | None:
        """The name to type under Private DNS; Android knows no other port than 853."""
        return f"{token}.{self.name}" if self.name and self.dot_port is not None else None

    def doh_url(self, token: str) -> str | None:
        """The address for DNS over HTTPS."""
        if not self.name or self.doh_port is None:
            return None
        port = "" if self.doh_port == 443 else f":{self.doh_port}"
        return f"https://{self.name}{port}{self.doh_path}/{token}"

    @property
    def is_ready(self) -> bool:
        """Whether any phone can be set up."""
        return bool(self.name) and (self.dot_port is not None or self.doh_port is not None)

    @property
    def android_works(self) -> bool:
        """Whether Android's Private DNS can come in: it asks on port 853 only."""
        return bool(self.name) and self.dot_port == 853


def reach_of(settings: GatewaySettings) -> Reach:
    """How phones reach a gateway with these settings."""
    return Reach(
        name=settings.tls.name if settings.tls else None,
        dot_port=settings.dot.listen[0].port if settings.dot else None,
        doh_port=settings.doh.listen[0].port if settings.doh else None,
        doh_path=settings.doh.path if settings.doh else "/dns-query",
    )


@dataclass(frozen=True, slots=True)
class Phone:
    """A device that has a token."""

    device: Device
    token: str


def token_of(device: Device) -> str | None:
    """The token of a device, None when it has none."""
    return next((match.value for match in device.matches if match.kind is DeviceMatch.TOKEN), None)


async def list_tokens(connection: AsyncConnection, tenant: OrganisationId) -> list[str]:
    """The tokens of the phones of a family or school."""
    return [token for device in await list_devices(connection, tenant) if (token := token_of(device)) is not None]


async def add_phone(connection: AsyncConnection, act: Act, profile: ProfileId, label: str) -> DeviceId:
    """Give a profile a phone with a new token."""
    return await assign_device(connection, act, profile, label, [Match(DeviceMatch.TOKEN, new_token())])


async def renew_token(connection: AsyncConnection, act: Act, device: Device) -> None:
    """Give a phone a new token; the old one ends with the next policy, within a second."""
    await connection.execute(
        update(device_matches)
        .where(
            device_matches.c.tenant_id == act.tenant,
            device_matches.c.device_id == device.id,
            device_matches.c.kind == DeviceMatch.TOKEN.value,
            device_matches.c.retired_at.is_(None),
        )
        .values(value=new_token())
    )
    await record(connection, act, Action.PHONE_RENEWED, device.id)
    await mark_changed(connection, act)


async def load_phone(connection: AsyncConnection, tenant: OrganisationId, device: str) -> Phone:
    """A device with its token. Raises NotFound, also when it has no token."""
    found = await load_device(connection, tenant, device)
    token = token_of(found)
    if token is None:
        raise NotFound
    return Phone(found, token)


async def is_token(connection: AsyncConnection, token: str) -> bool:
    """Whether a live phone has this token; the sheet's own page asks it without an account."""
    statement = select(device_matches.c.device_id).where(
        device_matches.c.kind == DeviceMatch.TOKEN.value, device_matches.c.value == token, device_matches.c.retired_at.is_(None)
    )
    return (await connection.execute(statement.execution_options(**EVERY_TENANT))).first() is not None  # the token says whose it is


async def profile_of_token(connection: AsyncConnection, token: str) -> tuple[DeviceId, Profile]:
    """The live phone that has this token, and its profile: what whoever holds the phone may know of it. Raises NotFound."""
    statement = select(device_matches.c.tenant_id, device_matches.c.device_id).where(
        device_matches.c.kind == DeviceMatch.TOKEN.value, device_matches.c.value == token, device_matches.c.retired_at.is_(None)
    )
    row = (await connection.execute(statement.execution_options(**EVERY_TENANT))).first()  # the token says whose it is
    if row is None:
        raise NotFound
    tenant = OrganisationId(row.tenant_id)
    device = await load_device(connection, tenant, row.device_id)
    return device.id, await load_profile(connection, tenant, device.profile_id)


def apple_profile(reach: Reach, token: str, kind: str) -> bytes | None:
    """Apple's settings file for DNS over HTTPS (`doh`) or TLS (`dot`); None where the gateway does not offer it. Same input, same bytes."""
    url, server = reach.doh_url(token), reach.android_name(token)
    if kind == "doh" and url:
        dns: dict[str, object] = {"DNSProtocol": "HTTPS", "ServerURL": url}
    elif kind == "dot" and server and reach.dot_port == 853:
        dns = {"DNSProtocol": "TLS", "ServerName": server}
    else:
        return None
    inner = {
        "PayloadType": "com.apple.dnsSettings.managed",
        "PayloadVersion": 1,
        "PayloadIdentifier": f"vn.lachan.{kind}",
        "PayloadUUID": str(uuid.uuid5(_SPACE, f"{kind}:{token}:inner")).upper(),
        "PayloadDisplayName": "Lá Chắn DNS",
        "DNSSettings": dns,
    }
    outer = {
        "PayloadType": "Configuration",
        "PayloadVersion": 1,
        "PayloadIdentifier": "vn.lachan.dns",
        "PayloadUUID": str(uuid.uuid5(_SPACE, f"{kind}:{token}")).upper(),
        "PayloadDisplayName": "Lá Chắn DNS",
        "PayloadDescription": "Lọc nội dung cho thiết bị này. / Filters content on this device.",
        "PayloadRemovalDisallowed": False,
        "PayloadContent": [inner],
    }
    return plistlib.dumps(outer, sort_keys=True)


def sign_profile(profile: bytes, tls: TlsSettings | None, now: datetime) -> bytes:
    """The settings file signed (CMS, RFC 5652) with the gateway's certificate while that is valid, else as it is: a phone takes both."""
    if tls is None:
        return profile
    try:
        chain = x509.load_pem_x509_certificates(tls.certificate.read_bytes())
        key = load_pem_private_key(tls.key.read_bytes(), None)
        if not chain[0].not_valid_before_utc <= now <= chain[0].not_valid_after_utc:
            return profile
        builder = pkcs7.PKCS7SignatureBuilder().set_data(profile).add_signer(chain[0], key, hashes.SHA256())  # type: ignore[arg-type]
        for above in chain[1:]:
            builder = builder.add_certificate(above)
        return builder.sign(Encoding.DER, [pkcs7.PKCS7Options.Binary])
    except (OSError, ValueError, TypeError):
        return profile
