"""An approver's key on the office's server: Ed25519, sealed under a passphrase that only the approver knows.

The passphrase becomes a key by Argon2id (64 MiB, three passes), the secret is sealed by ChaCha20-Poly1305 together with the public half, so
a box cannot be given to somebody else's key. Whoever copies the box must guess the passphrase. Imported by `admin` and the tests.
"""

from __future__ import annotations

import json
import os
import unicodedata
from typing import Final

from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from securesystemslib.signer import CryptoSigner

from gateway.errors import LachanError

SHORTEST: Final = 12
LONGEST: Final = 200
_MEMORY, _PASSES = 64 * 1024, 3


class WrongPassphrase(LachanError):
    """The passphrase does not open this box."""


def make_box(passphrase: str) -> tuple[CryptoSigner, bytes]:
    """A new key and its sealed box."""
    private = Ed25519PrivateKey.generate()
    salt, nonce = os.urandom(16), os.urandom(12)
    sealed = ChaCha20Poly1305(_key(passphrase, salt)).encrypt(nonce, private.private_bytes_raw(), private.public_key().public_bytes_raw())
    box = {
        "format": 1,
        "salt": salt.hex(),
        "nonce": nonce.hex(),
        "public": private.public_key().public_bytes_raw().hex(),
        "sealed": sealed.hex(),
    }
    return CryptoSigner(private), json.dumps(box, sort_keys=True).encode()


def open_box(box: bytes, passphrase: str) -> CryptoSigner:
    """The key in a box. Raises WrongPassphrase; neither the key nor the passphrase is in any message."""
    try:
        document = json.loads(box)
        salt, nonce, public, sealed = (bytes.fromhex(document[name]) for name in ("salt", "nonce", "public", "sealed"))
        secret = ChaCha20Poly1305(_key(passphrase, salt)).decrypt(nonce, sealed, public)
    except (InvalidTag, ValueError, KeyError, TypeError):
        raise WrongPassphrase("the passphrase does not open the key") from None
    return CryptoSigner(Ed25519PrivateKey.from_private_bytes(secret))


def _key(passphrase: str, salt: bytes) -> bytes:
    text = unicodedata.normalize("NFC", passphrase).encode()
    return hash_secret_raw(text, salt, time_cost=_PASSES, memory_cost=_MEMORY, parallelism=1, hash_len=32, type=Type.ID)
