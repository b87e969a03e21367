"""Settings of the list for other people's resolvers: `rpz_out`, as written and resolved. Used by `admin.settings`."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gateway.errors import Mistake
from gateway.sections import EndpointText, NameText, NetworkText, Section, Text, key
from gateway.settings import Endpoint, Network
from gateway.yamlfile import Document

Algorithm = Literal["hmac-sha256", "hmac-sha384", "hmac-sha512"]
SHORTEST_SECRET = 16


@dataclass(frozen=True, slots=True)
class TransferKey:
    """A TSIG key (RFC 8945): its name, algorithm and secret, and the file the secret was read from."""

    name: str
    algorithm: str
    secret: bytes
    secret_file: Path | None = None

    def __repr__(self) -> str:
        return f"TransferKey({self.name!r}, {self.algorithm!r}, ***)"


@dataclass(frozen=True, slots=True)
class Follower:
    """A resolver that is told of every new serial."""

    address: str
    port: int
    key: str | None


@dataclass(frozen=True, slots=True)
class RpzOutSettings:
    """The list as a policy zone: where it is served, its name, and who may have it."""

    listen: Endpoint
    zone: str
    keys: tuple[TransferKey, ...] = ()
    open_to: tuple[Network, ...] = ()
    secondaries: tuple[Follower, ...] = ()
    place: str = ""


class TransferKeyFile(Section):
    """rpz_out.keys[]"""

    name: NameText = key(..., "Tên khóa TSIG.", "Name of the TSIG key.", "isp-a")
    algorithm: Algorithm = key("hmac-sha256", "Thuật toán của khóa.", "Algorithm of the key.", "hmac-sha256")
    secret_file: Text = key(..., "Tệp chứa khóa bí mật (base64).", "File that holds the secret (base64).", "/etc/lachan/isp-a.key")


class SecondaryFile(Section):
    """rpz_out.secondaries[]"""

    address: Text = key(..., "Địa chỉ máy phân giải được báo.", "Address of a resolver that is told.", "192.0.2.53")
    port: int = key(53, "Cổng của máy đó.", "Its port.", "53")
    key_name: NameText | None = key(None, "Tên khóa dùng để báo.", "Name of the key to sign with.", "isp-a", alias="key")


class RpzOutFile(Section):
    """rpz_out:"""

    listen: EndpointText = key(
        ..., "Địa chỉ phục vụ chuyển vùng (AXFR, IXFR).", "Address that serves zone transfers (AXFR, IXFR).", '"192.0.2.1:5399"'
    )
    zone: NameText = key(..., "Tên vùng của danh sách.", "Name of the list's zone.", "rpz.lachan.example.vn")
    keys: list[TransferKeyFile] = key(
        [], "Khóa TSIG của các máy được nhận.", "TSIG keys of those who may have it.", "[{name: isp-a, secret_file: isp-a.key}]"
    )
    open_to: list[NetworkText] = key([], "Mạng được nhận không cần khóa.", "Networks that may have it without a key.", "[127.0.0.0/8]")
    secondaries: list[SecondaryFile] = key(
        [],
        "Máy phân giải được báo mỗi phiên bản mới (NOTIFY).",
        "Resolvers that are told of every version (NOTIFY).",
        "[{address: 192.0.2.53, key: isp-a}]",
    )
    place: Text | None = key(
        None,
        "Vùng này phục vụ nơi nào (mã tỉnh): khi đó có cả quyết định chỉ dành cho nơi đó.",
        "Which place the zone is for (code of a province): it then holds the orders for that place only, too.",
        '"12"',
    )


def resolve(written: RpzOutFile, document: Document, folder: Path) -> tuple[RpzOutSettings | None, list[Mistake]]:
    """Read the key files and see that every name fits. Returns None with every mistake."""
    mistakes: list[Mistake] = []
    keys: list[TransferKey] = []
    for index, row in enumerate(written.keys):
        place = document.place(("rpz_out", "keys", index, "secret_file"))
        try:
            secret = base64.b64decode((folder / row.secret_file).read_text(encoding="ascii").strip(), validate=True)
        except OSError as error:
            mistakes.append(Mistake(place, f"cannot be read: {error.strerror}", "put the secret into this file, as base64"))
            continue
        except (ValueError, binascii.Error):
            mistakes.append(Mistake(place, "does not hold base64", "make one with: openssl rand -base64 32"))
            continue
        if len(secret) < SHORTEST_SECRET:
            mistakes.append(Mistake(place, f"has fewer than {SHORTEST_SECRET} bytes", "make one with: openssl rand -base64 32"))
        keys.append(TransferKey(row.name, row.algorithm, secret, folder / row.secret_file))
    known = {row.name for row in written.keys}
    for index, follower in enumerate(written.secondaries):
        if follower.key_name is not None and follower.key_name not in known:
            mistakes.append(Mistake(document.place(("rpz_out", "secondaries", index, "key")), "there is no key of this name"))
    if not written.keys and not written.open_to:
        mistakes.append(Mistake(document.place(("rpz_out",)), "nobody could have the zone", "add keys or open_to"))
    if mistakes:
        return None, mistakes
    followers = tuple(Follower(row.address, row.port, row.key_name) for row in written.secondaries)
    return RpzOutSettings(written.listen, written.zone, tuple(keys), tuple(written.open_to), followers, written.place or ""), []
