"""Settings of the list for other people's resolvers: `rpz_out`, as written and resolved. Used by `admin.settings`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from blocklists.transferkeys import TransferKey, TransferKeyFile, read_transfer_key
from gateway.errors import Mistake, StartError
from gateway.sections import EndpointText, NameText, NetworkText, Section, Text, key
from gateway.settings import Endpoint, Network, TlsSettings
from gateway.tls import try_files
from gateway.yamlfile import Document


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
    secure_listen: Endpoint | None = None
    tls: TlsSettings | None = None


class RpzOutTlsFile(Section):
    """rpz_out.tls:"""

    listen: EndpointText = key(..., "Địa chỉ phục vụ qua TLS.", "Address that serves over TLS.", '"192.0.2.1:8853"')
    certificate: Text = key(..., "Tệp chuỗi chứng chỉ (PEM).", "File of the certificate chain (PEM).", "cert.pem")
    key_file: Text = key(..., "Tệp khóa riêng (PEM).", "File of the private key (PEM).", "key.pem", alias="key")


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
    tls: RpzOutTlsFile | None = key(
        None,
        "Chuyển vùng qua TLS (RFC 9103), thêm vào listen.",
        "Transfers over TLS (RFC 9103) besides listen.",
        '{listen: "192.0.2.1:8853", certificate: cert.pem, key: key.pem}',
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
        transfer_key, found = read_transfer_key(row, folder, document.place(("rpz_out", "keys", index, "secret_file")))
        mistakes += found
        if transfer_key is not None:
            keys.append(transfer_key)
    known = {row.name for row in written.keys}
    for index, follower in enumerate(written.secondaries):
        if follower.key_name is not None and follower.key_name not in known:
            mistakes.append(Mistake(document.place(("rpz_out", "secondaries", index, "key")), "there is no key of this name"))
    tls = None
    if written.tls is not None:
        tls = TlsSettings(folder / written.tls.certificate, folder / written.tls.key_file)
        try:
            try_files(tls)
        except StartError as error:
            mistakes.append(Mistake(document.place(("rpz_out", "tls")), str(error).removeprefix("tls: ")))
    if not written.keys and not written.open_to:
        mistakes.append(Mistake(document.place(("rpz_out",)), "nobody could have the zone", "add keys or open_to"))
    if mistakes:
        return None, mistakes
    followers = tuple(Follower(row.address, row.port, row.key_name) for row in written.secondaries)
    secure = written.tls.listen if written.tls is not None else None
    return RpzOutSettings(
        written.listen, written.zone, tuple(keys), tuple(written.open_to), followers, written.place or "", secure, tls
    ), []
