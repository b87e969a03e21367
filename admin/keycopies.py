"""Officers' sealed signing keys once more, beside the database: a backup that is put back may be older than a key that the signed root
appoints, and without that key nobody could sign what gateways believe.

A copy is worth what the row in the database is worth: nothing without its passphrase. It is kept as long as its key is held by somebody.
Only `admin.officesigning` uses this module.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from blocklists.tables import AccountId, OrganisationId
from gateway.release import canonical_bytes, replace_file

FOLDER: Final = "signing/keys"
_NAME: Final = re.compile(r"[0-9a-f]{16,128}\.json")


@dataclass(frozen=True, slots=True)
class KeyCopy:
    """One sealed key: whose it is, its id in a root, its public half, the box that its passphrase opens."""

    tenant: OrganisationId
    account: AccountId
    keyid: str
    public: str
    box: bytes
    created_at: datetime


def keep_copies(state_dir: Path, held: Iterable[KeyCopy]) -> None:
    """Write the copies that are not there yet. Raises OSError."""
    folder = state_dir / FOLDER
    for one in held:
        target = folder / f"{one.keyid}.json"
        if _NAME.fullmatch(target.name) and not target.exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            row = {"tenant": one.tenant, "account": one.account, "public": one.public, "created_at": one.created_at.isoformat()}
            replace_file(target, canonical_bytes(row | {"box": b64encode(one.box).decode("ascii")}))


def read_copies(state_dir: Path) -> list[KeyCopy]:
    """Every copy that can be read, the oldest key first; one that cannot be read is none."""
    try:
        paths = sorted(path for path in (state_dir / FOLDER).iterdir() if _NAME.fullmatch(path.name))
    except OSError:
        return []
    found = [one for path in paths if (one := _read(path)) is not None]
    return sorted(found, key=lambda one: (one.created_at, one.keyid))


def forget_copies(state_dir: Path, keyids: Collection[str]) -> None:
    """Let go of the copies of keys that nobody holds any more. Raises OSError."""
    for keyid in keyids:
        if _NAME.fullmatch(f"{keyid}.json"):
            (state_dir / FOLDER / f"{keyid}.json").unlink(missing_ok=True)


def _read(path: Path) -> KeyCopy | None:
    try:
        row = json.loads(path.read_bytes())
        created_at, box = datetime.fromisoformat(row["created_at"]), b64decode(row["box"], validate=True)
        if created_at.tzinfo is None:
            return None
        tenant, account = OrganisationId(str(row["tenant"])), AccountId(str(row["account"]))
        return KeyCopy(tenant, account, path.stem, str(row["public"]), box, created_at)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
