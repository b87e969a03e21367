"""Settings of the control plane: `admin`, `block_page` and `rpz_out`, as written and resolved. `admin` and `lachan` may import it.

Paths are absolute after resolution. A relative SQLite file, like every relative path, starts at the configuration file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

from admin.rpzsettings import RpzOutFile, RpzOutSettings, resolve
from gateway.errors import Mistake
from gateway.sections import EndpointText, NetworkText, Section, Text, check, key
from gateway.settings import Endpoint, GatewaySettings, Network, TlsSettings
from gateway.yamlfile import Document

SQLITE = "sqlite+aiosqlite:///"
DATABASES = (SQLITE, "postgresql+asyncpg://")


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail goes out. `secure`: TLS from the first byte; otherwise STARTTLS where it is offered, always before a password."""

    host: str
    port: int
    sender: str
    secure: bool = False
    user: str = ""
    password_file: Path | None = None


@dataclass(frozen=True, slots=True)
class AdminSettings:
    """Everything the control plane is told.

    `database` is an SQLAlchemy URL and may hold a password: never print it, use `shown_database`; `database_file` is the file it was
    read from. `url` is the address people use, when it is not the listen address. `control_socket` is the supervisor's. `gateway` are the
    data plane's settings. `orders_from` says that this gateway's orders come from elsewhere (`file`, `follow`): an office on the same
    machine then stands down.
    """

    listen: Endpoint
    database: str
    state_dir: Path
    gateway: GatewaySettings
    url: str | None = None
    tls: TlsSettings | None = None
    trusted_proxies: tuple[Network, ...] = ()
    block_page: Endpoint | None = None
    rpz_out: RpzOutSettings | None = None
    mail: MailServer | None = None
    orders_from: str = ""
    database_file: Path | None = None

    @property
    def control_socket(self) -> Path:
        """Where the supervisor listens for requests."""
        return self.state_dir / "control.sock"

    @property
    def shown_database(self) -> str:
        """The database's address with the password masked."""
        return mask_password(self.database)


def mask_password(url: str) -> str:
    """Hide the password of a URL, for settings that are shown."""
    return re.sub(r"(://[^:/@]+):[^@]*@", r"\1:***@", url)


def _database(text: str) -> str:
    if not text.startswith(DATABASES):
        raise ValueError("must start with sqlite+aiosqlite:/// or postgresql+asyncpg://")
    return text


def _mail_server(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or parts.username is not None:
        raise ValueError(f"'{text[:60]}' is not an address such as smtp://mail.example.vn:587 (user and password have keys of their own)")
    return text


def _url(text: str) -> str:
    if not re.fullmatch(r"https?://[^\s/@]+(/\S*)?", text):
        raise ValueError(f"'{text[:60]}' is not an address such as https://lachan.example.vn")
    return text.rstrip("/")


class AdminTlsFile(Section):
    """admin.tls:"""

    certificate: Text = key(..., "Tệp chứng chỉ (PEM, cả chuỗi).", "Certificate file (PEM, the whole chain).", "cert.pem")
    key_file: Text = key(..., "Tệp khóa bí mật (PEM).", "Private key file (PEM).", "key.pem", alias="key")


class MailFile(Section):
    """admin.mail:"""

    server: Annotated[Text, AfterValidator(_mail_server)] = key(
        ...,
        "Máy chủ gửi thư: smtp:// (STARTTLS nếu có) hoặc smtps://.",
        "Mail server: smtp:// (STARTTLS where offered) or smtps://.",
        '"smtp://mail.example.vn:587"',
    )
    sender: Text = key(..., "Địa chỉ người gửi.", "Sender's address.", "lachan@example.vn")
    user: Text | None = key(None, "Tên đăng nhập ở máy chủ thư.", "User name at the mail server.", "lachan")
    password_file: Text | None = key(
        None, "Tệp chứa mật khẩu của máy chủ thư.", "File with the mail server's password.", "/etc/lachan/mail"
    )


class AdminSectionFile(Section):
    """admin:"""

    listen: EndpointText = key(..., "Địa chỉ của trang quản trị.", "Address of the admin pages.", '"127.0.0.1:8080"')
    database: Annotated[Text, AfterValidator(_database)] | None = key(
        None,
        "Cơ sở dữ liệu: SQLite (mặc định, trong state_dir) hoặc PostgreSQL.",
        "Database: SQLite (the default, inside state_dir) or PostgreSQL.",
        '"sqlite+aiosqlite:///var/lachan.db"',
    )
    database_file: Text | None = key(
        None,
        "Tệp chứa địa chỉ cơ sở dữ liệu (thay cho database, khi có mật khẩu).",
        "File that holds the database's address (instead of database, when it has a password).",
        "/etc/lachan/database",
    )
    url: Annotated[Text, AfterValidator(_url)] | None = key(
        None, "Địa chỉ mà mọi người dùng, khi khác listen.", "Address people use, when it is not listen.", '"https://lachan.example.vn"'
    )
    tls: AdminTlsFile | None = key(
        None, "Chứng chỉ của trang quản trị.", "Certificate of the admin pages.", "{certificate: cert.pem, key: key.pem}"
    )
    mail: MailFile | None = key(
        None,
        "Gửi thư báo có đề nghị đang chờ và thư hằng tuần; bỏ trống: không gửi.",
        "Mail that a request waits, and the weekly digest; empty: none is sent.",
        "{server: smtp://mail.example.vn, sender: lachan@example.vn}",
    )
    trusted_proxies: list[NetworkText] = key([], "Máy đứng trước được tin.", "Front ends whose headers are believed.", "[127.0.0.1/32]")


class BlockPageFile(Section):
    """block_page:"""

    listen: EndpointText = key(
        ..., "Địa chỉ của trang giải thích khi chặn.", "Address of the page that explains a block.", '"192.168.1.2:80"'
    )


class AdminFile(Section):
    """The control plane's sections, by name."""

    admin: AdminSectionFile | None = key(None, "Trang quản trị và API.", "Admin pages and API.", '{listen: "127.0.0.1:8080"}')
    block_page: BlockPageFile | None = key(None, "Trang giải thích.", "The explaining page.", '{listen: "192.168.1.2:80"}')
    rpz_out: RpzOutFile | None = key(
        None,
        "Danh sách của đơn vị dưới dạng vùng RPZ cho máy phân giải khác; không có tên thuộc nhóm csam, vì vùng để lộ tên.",
        "The office's list as a policy zone for other resolvers; without names of the category csam, which a zone tells in clear.",
        '{listen: "192.0.2.1:5399", zone: rpz.lachan.example.vn}',
    )


def check_admin(document: Document, gateway: GatewaySettings) -> tuple[AdminSettings | None, list[Mistake]]:
    """Check the control plane's sections. Returns None without mistakes when there is no `admin` section."""
    value = document.value if isinstance(document.value, dict) else {}
    folder = document.path.resolve().parent if document.path else Path.cwd()
    mistakes: list[Mistake] = []
    sections = {}
    for name in ("admin", "block_page", "rpz_out"):
        section, found = check(AdminFile, {name: value.get(name)}, document)
        mistakes += found
        sections[name] = section or AdminFile()
    written, page = sections["admin"].admin, sections["block_page"].block_page
    if page is not None and written is None and not mistakes:
        mistakes.append(
            Mistake(document.place(("block_page",)), "the explaining page is served by the admin pages", "add an admin section")
        )
    out_file = sections["rpz_out"].rpz_out
    if out_file is not None and written is None and not mistakes:
        mistakes.append(Mistake(document.place(("rpz_out",)), "the list is served by the admin process", "add an admin section"))
    if written is None or mistakes:
        return None, mistakes
    database = written.database
    if written.database_file is not None:
        if database is not None:
            mistakes.append(Mistake(document.place(("admin",)), "database and database_file say the same thing", "keep one of them"))
        try:
            database = _database((folder / written.database_file).read_text(encoding="utf-8").strip())
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            mistakes.append(Mistake(document.place(("admin", "database_file")), f"cannot be used: {reason}"))
    tls = None
    if written.tls is not None:
        tls = TlsSettings(folder / written.tls.certificate, folder / written.tls.key_file)
        for label, path in (("certificate", tls.certificate), ("key", tls.key)):
            if not path.is_file():
                mistakes.append(Mistake(document.place(("admin", "tls", label)), f"there is no file {path}"))
    out = None
    if out_file is not None:
        out, found = resolve(out_file, document, folder)
        mistakes += found
    if mistakes:
        return None, mistakes
    return AdminSettings(
        listen=written.listen,
        database=_absolute(database, folder, gateway.state_dir),
        state_dir=gateway.state_dir,
        gateway=gateway,
        url=written.url,
        tls=tls,
        trusted_proxies=tuple(written.trusted_proxies),
        block_page=page.listen if page else None,
        rpz_out=out,
        mail=_mail(written.mail, folder),
        orders_from=_orders_from(value.get("takedown")),
        database_file=folder / written.database_file if written.database_file else None,
    ), []


def _mail(written: MailFile | None, folder: Path) -> MailServer | None:
    if written is None:
        return None
    parts = urlsplit(written.server)
    secure = parts.scheme == "smtps"
    password = folder / written.password_file if written.password_file else None
    return MailServer(parts.hostname or "", parts.port or (465 if secure else 25), written.sender, secure, written.user or "", password)


def _orders_from(takedown: object) -> str:
    """Where the `takedown` section takes orders from; that section itself is checked with the lists."""
    written = takedown if isinstance(takedown, dict) else {}
    return next((name for name in ("follow", "file") if written.get(name)), "")


def _absolute(database: str | None, folder: Path, state_dir: Path) -> str:
    """Give a SQLite file its absolute path; without one it lies in the state directory."""
    if database is None:
        return f"{SQLITE}{state_dir / 'lachan.db'}"
    if database.startswith(SQLITE) and not database.removeprefix(SQLITE).startswith((":memory:", "/")):
        return f"{SQLITE}{folder / database.removeprefix(SQLITE)}"
    return database
