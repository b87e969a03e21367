"""Names of the masked category as they are stored: the database alone, and so a backup of it, tells none of them.

Rows and entries hold the mask of a name (`gateway.policy.masked`), which is all that publishing, lifting and counting need. For the two
officers who must decide, the row also holds the name sealed under a key that lies in the state directory and in no backup. Without the key
everything goes on but the opening of names. Imported by `store`, `publishing` and `admin`.
"""

from __future__ import annotations

import base64
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from blocklists.normalize import key_of_name
from blocklists.tables import EVERY_TENANT
from blocklists.takedown import tables
from blocklists.takedown.model import MASKED, TransitionRefused
from gateway.policy.masked import is_masked, mask

if TYPE_CHECKING:
    from blocklists.takedown.store import NewItem

KEY_FILE: Final = "office/names.key"
_SEALED: Final = "sealed:"
_NONCE: Final = 12


def names_key(state_dir: Path) -> bytes:
    """The key of masked names on this server; made, readable by its owner alone, when there is none. Raises OSError, ValueError."""
    path = state_dir / KEY_FILE
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except FileNotFoundError:
        key = ChaCha20Poly1305.generate_key()
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(key.hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
    return key


def hide(item: NewItem, key: bytes) -> NewItem:
    """A row of an import as it is stored in the masked category."""
    if is_hidden(item):
        return item
    return replace(item, as_written=_seal(item.host or item.as_written, key), host=mask_host(item.host))


def is_hidden(item: NewItem) -> bool:
    """Whether a row tells no name."""
    return (not item.as_written or item.as_written.startswith(_SEALED)) and (item.host is None or is_masked(item.host))


def mask_host(host: str | None) -> str | None:
    """The mask of a host, as a host is stored: without the final dot of a key."""
    return host if host is None or is_masked(host) else mask(key_of_name(host)).rstrip(".")


def key_of_host(host: str) -> str:
    """What stands for a stored host in the index of an overlay: its key, or its mask."""
    return f"{host}." if is_masked(host) else key_of_name(host)


def reveal(text: str, key: bytes) -> str:
    """The name in a sealed row. Raises TransitionRefused where this server's key does not open it."""
    try:
        data = base64.urlsafe_b64decode(text.removeprefix(_SEALED))
        return ChaCha20Poly1305(key).decrypt(data[:_NONCE], data[_NONCE:], None).decode()
    except (InvalidTag, ValueError):
        raise TransitionRefused(
            "key_lost",
            f"Máy này không mở được tên: đặt lại tệp {KEY_FILE} từ bản cất riêng. Việc chặn và mở lại vẫn chạy.",
            f"This server cannot open the name: put back the file {KEY_FILE} from where it is kept. Blocking and lifting go on.",
        ) from None


async def mask_older(connection: AsyncConnection, state_dir: Path) -> int:
    """Mask rows that an older version stored in clear; how many. For all offices of the database."""
    items, orders, entries = tables.items, tables.orders, tables.entries
    told = items.c.host.isnot(None) & ~items.c.host.startswith("#") | ((items.c.as_written != "") & ~items.c.as_written.startswith(_SEALED))
    clear = (
        select(items.c.id, items.c.tenant_id, items.c.host, items.c.as_written)
        .join(orders, (orders.c.id == items.c.order_id) & (orders.c.tenant_id == items.c.tenant_id))
        .where(orders.c.category == MASKED, told)
        .execution_options(**EVERY_TENANT)
    )
    rows = (await connection.execute(clear)).all()
    key = names_key(state_dir) if rows else b""
    for row in rows:
        values = {"host": mask_host(row.host), "as_written": _seal(row.host or row.as_written, key)}
        await connection.execute(update(items).where(items.c.id == row.id, items.c.tenant_id == row.tenant_id).values(values))
    listed = (
        select(entries.c.id, entries.c.tenant_id, entries.c.host)
        .where(entries.c.category == MASKED, ~entries.c.host.startswith("#"))
        .execution_options(**EVERY_TENANT)
    )
    open_ones = (await connection.execute(listed)).all()
    for one in open_ones:
        mine = (entries.c.id == one.id, entries.c.tenant_id == one.tenant_id)
        await connection.execute(update(entries).where(*mine).values(host=mask_host(one.host)))
    return len(rows) + len(open_ones)


def _seal(text: str, key: bytes) -> str:
    nonce = os.urandom(_NONCE)
    return _SEALED + base64.urlsafe_b64encode(nonce + ChaCha20Poly1305(key).encrypt(nonce, text.encode(), None)).decode()
