"""Settings of policy zones (`rpz`): a zone file, or a primary the zone is taken from. Used by `blocklists.settings`.

A zone from a primary is kept as a file below the state directory, which `lachan.transfers` writes and everything else reads like a zone
file of the operator's own.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from pydantic import AfterValidator

from blocklists.transferkeys import TransferKey, TransferKeyFile, read_transfer_key
from gateway.errors import InvalidName, Mistake
from gateway.sections import NameText, Section, Text, key
from gateway.settings import Endpoint
from gateway.upstreams.tls import PIN_PATH, read_pin
from gateway.wire.name import key_from_text, text_of
from gateway.yamlfile import Document, Keys

RPZ_POLICIES = ("given", "disabled", "passthru", "drop", "tcp-only", "nxdomain", "nodata")
"""What a policy zone's actions may be overridden with, besides `cname:NAME`; `given` keeps them."""

PORT, TLS_PORT = 53, 853


@dataclass(frozen=True, slots=True)
class TlsPrimary:
    """How a primary is known over TLS (RFC 9103): by the name in its certificate (from the system's authorities, or those of a file), or by
    the SHA-256 digest of its public key."""

    name: str = ""
    pin: bytes = b""
    authorities: Path | None = None


@dataclass(frozen=True, slots=True)
class Primary:
    """Where a zone is taken from."""

    address: Endpoint
    key: TransferKey | None = None
    tls: TlsPrimary | None = None

    def __str__(self) -> str:
        return f"{self.address} (TLS)" if self.tls is not None else str(self.address)


@dataclass(frozen=True, slots=True)
class RpzSettings:
    """One response policy zone; the order of the zones is their precedence.

    `policy` is one of `RPZ_POLICIES` or `cname`, which leads every name of the zone to `target`. `groups` are those of the clients it is
    for (none: all). With a `primary`, `file` is the copy of the zone below the state directory.
    """

    name: str
    file: Path
    policy: str = "given"
    groups: tuple[str, ...] = ()
    target: str = ""
    primary: Primary | None = None


def copy_of_zone(state_dir: Path, name: str) -> Path:
    """The file that holds the copy of a zone taken from a primary. Long names are shortened to their digest, so that every name fits."""
    plain = quote(name.lower(), safe="")
    short = plain if len(plain) <= 200 else hashlib.sha256(plain.encode()).hexdigest()
    return state_dir / "zones" / f"{short}.zone"


def _rpz_policy(text: str) -> str:
    word, colon, target = text.partition(":")
    if word == "cname" and colon:
        try:
            key = key_from_text(target.strip().removeprefix("*."))
        except InvalidName as error:
            raise ValueError(f"'{target[:60]}' is not a name to lead to: {error}") from None
        if key:
            return f"cname:{'*.' if target.strip().startswith('*.') else ''}{text_of(key)}"
    if text in RPZ_POLICIES:
        return text
    raise ValueError(f"'{text[:60]}' is not one of {', '.join(RPZ_POLICIES)}, cname:NAME")


def _primary_address(text: str) -> str:
    """An address with or without a port."""
    try:
        read_address(text, PORT)
    except ValueError:
        raise ValueError(f"'{text[:60]}' is not an address such as 192.0.2.53, 192.0.2.53:5399 or [2001:db8::53]:5399") from None
    return text


def _pin(text: str) -> str:
    read_pin(PIN_PATH + text)
    return text


def read_address(text: str, port: int) -> Endpoint:
    """HOST:PORT, or HOST with the usual port; IPv6 addresses in brackets. Raises ValueError."""
    host, colon, written = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, written = text, str(port)
    address = str(ip_address(host.strip("[]")))
    if (":" in address) != host.startswith("[") or not written.isdecimal() or not 0 < int(written) < 65536:
        raise ValueError(text)
    return Endpoint(address, int(written))


class TlsPrimaryFile(Section):
    """rpz[].primary.tls"""

    name: NameText | None = key(None, "Tên trong chứng chỉ của máy chủ chính.", "Name in the primary's certificate.", "ns1.example.vn")
    authorities: Text | None = key(
        None,
        "Tệp PEM của nơi cấp chứng chỉ, thay cho các nơi mà hệ thống tin.",
        "PEM file of its authority, instead of those the system trusts.",
        "ca.pem",
    )
    pin: Annotated[Text, AfterValidator(_pin)] | None = key(
        None,
        "Thay cho name: SHA-256 của khóa công khai (base64).",
        "Instead of name: SHA-256 of its public key, in base64.",
        '"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="',
    )


class PrimaryFile(Section):
    """rpz[].primary"""

    address: Annotated[Text, AfterValidator(_primary_address)] = key(
        ...,
        "Địa chỉ máy chủ chính; cổng 53 khi không ghi (853 với tls).",
        "Address of the primary; port 53 when none is written (853 with tls).",
        '"192.0.2.53:5399"',
    )
    tsig: TransferKeyFile | None = key(
        None,
        "Khóa TSIG: cả lời báo (NOTIFY) cũng phải có chữ ký.",
        "TSIG key: its notices (NOTIFY) must be signed, too.",
        "{name: isp-a, secret_file: isp-a.key}",
    )
    tls: TlsPrimaryFile | None = key(None, "Nhận vùng qua TLS (RFC 9103).", "Take the zone over TLS (RFC 9103).", "{name: ns1.example.vn}")


class RpzFile(Section):
    """rpz[]"""

    name: NameText = key(..., "Tên vùng.", "Name of the zone.", "rpz.example")
    file: Text | None = key(None, "Tệp vùng.", "Zone file.", "rpz.zone")
    primary: PrimaryFile | None = key(
        None,
        "Thay cho file: máy chủ chính để nhận vùng (AXFR, IXFR) và lời báo của nó (NOTIFY, tới cổng DNS); có lỗi thì giữ bản trước.",
        "Instead of file: the primary to take the zone from (AXFR, IXFR), whose notices are heard (NOTIFY, at the DNS port); on a fault "
        "the copy before stays.",
        '{address: "127.0.0.1:5399"}',
    )
    policy: Annotated[Text, AfterValidator(_rpz_policy)] = key(
        "given",
        "Dùng hành động của vùng (given) hoặc thay tất cả: disabled, passthru, drop, tcp-only, nxdomain, nodata, cname:TÊN.",
        "The zone's own actions (given), or one for all: disabled, passthru, drop, tcp-only, nxdomain, nodata, cname:NAME.",
        "cname:walled.example",
    )
    groups: list[Text] = key(
        [], "Chỉ cho các nhóm thiết bị này; bỏ trống là mọi nhóm.", "Only for these groups of clients; left out, all.", "[school]"
    )


def read_primary(written: PrimaryFile, document: Document, folder: Path, keys: Keys) -> tuple[Primary | None, list[Mistake]]:
    """Resolve a primary: its key is read, its way of being known is complete. Returns None with every mistake."""
    mistakes: list[Mistake] = []
    transfer_key = tls = None
    if written.tsig is not None:
        transfer_key, found = read_transfer_key(written.tsig, folder, document.place((*keys, "tsig", "secret_file")))
        mistakes += found
    if written.tls is not None:
        place = document.place((*keys, "tls"))
        if (written.tls.name is None) == (written.tls.pin is None):
            mistakes.append(Mistake(place, "a primary is known by a name or by a pin", "write name: or pin:, one of the two"))
        if written.tls.pin is not None and written.tls.authorities is not None:
            mistakes.append(Mistake(place, "authorities belong to a name", "leave them out, the pin needs none"))
        authorities = (folder / written.tls.authorities).absolute() if written.tls.authorities is not None else None
        if authorities is not None and not authorities.is_file():
            mistakes.append(
                Mistake(document.place((*keys, "tls", "authorities")), f"there is no file {authorities}", "give a PEM file of certificates")
            )
        pin = read_pin(PIN_PATH + written.tls.pin) if written.tls.pin is not None else b""
        tls = TlsPrimary(written.tls.name or "", pin, authorities)
    if mistakes:
        return None, mistakes
    address = read_address(written.address, PORT if tls is None else TLS_PORT)
    return Primary(address, transfer_key, tls), []
