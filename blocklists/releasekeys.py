"""The office's keys as files: one Ed25519 key per role of a release, PEM, readable by their owner alone.

*root* and *targets* (the approver's) may be locked by a passphrase; *snapshot*, *timestamp* and *online* are not, because a timer signs
with them.
Imported by `lachan` and the tests. No message here holds a key or a passphrase.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from securesystemslib.signer import CryptoSigner, Signer

from gateway.errors import LachanError

ROLES: Final = ("root", "targets", "snapshot", "timestamp")
UNATTENDED: Final = ("snapshot", "timestamp")
ONLINE: Final = "online"
NEXT_ONLINE: Final = "online.next"
"""The key of what the server says by itself, and the one that takes its place once the officers have signed that."""
_UNLOCKED: Final = (*UNATTENDED, ONLINE, NEXT_ONLINE)
Signers = dict[str, list[Signer]]


class KeyFileError(LachanError):
    """A key that cannot be used; one sentence with the remedy."""


def make_keys(folder: Path, passphrase: bytes | None, roles: Iterable[str] = ROLES) -> None:
    """Make the key of each of these roles that has none yet; a passphrase locks those of root and targets. Raises KeyFileError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for role in roles:
            path = key_file(folder, role)
            if path.exists():
                continue
            lock: KeySerializationEncryption = NoEncryption()
            if passphrase and role not in _UNLOCKED:
                lock = BestAvailableEncryption(passphrase)
            data = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
    except OSError as error:
        raise KeyFileError(f"{folder}: the keys cannot be written ({error.strerror})") from None


def key_file(folder: Path, role: str) -> Path:
    """Where the key of a role stands."""
    return folder / f"{role}.pem"


def is_locked(folder: Path, roles: Iterable[str]) -> bool:
    """Whether a passphrase is needed for any of these roles. Raises KeyFileError."""
    return any(b"ENCRYPTED" in _read(key_file(folder, role)) for role in roles)


def load_signers(folder: Path, roles: Iterable[str], passphrase: bytes | None = None) -> Signers:
    """The signers of these roles. Raises KeyFileError: no key, readable by others, a wrong passphrase."""
    return {role: [CryptoSigner(_load(key_file(folder, role), passphrase))] for role in roles}


def load_server(folder: Path) -> Signers:
    """Every signer of the server itself: of snapshot and timestamp, and of the online role where it has keys. Raises KeyFileError."""
    found = load_signers(folder, UNATTENDED)
    online = [CryptoSigner(_load(key_file(folder, name), None)) for name in (ONLINE, NEXT_ONLINE) if key_file(folder, name).exists()]
    return found | ({ONLINE: list(online)} if online else {})


def _load(path: Path, passphrase: bytes | None) -> Ed25519PrivateKey:
    data = _read(path)
    try:
        key = load_pem_private_key(data, passphrase if b"ENCRYPTED" in data else None)
    except (ValueError, TypeError):
        raise KeyFileError(f"{path}: the key cannot be opened: is the passphrase right?") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{path}: not an Ed25519 key")
    return key


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_mode & 0o077:
            raise KeyFileError(f"{path}: others may read this key: chmod 600 {path}")
        return path.read_bytes()
    except FileNotFoundError:
        raise KeyFileError(f"{path}: there is no key: make the keys with lachan release init") from None
    except OSError as error:
        raise KeyFileError(f"{path}: the key cannot be read ({error.strerror})") from None
