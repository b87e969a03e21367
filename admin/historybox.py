"""The box a family's history lies in: anybody may put something in, only the family's code opens it. Pure cryptography, no I/O.

A pair of keys per child (X25519). The program keeps the public half and seals with it; the private half is stored locked under a code of
eighty random bits that is shown once and stored nowhere. So neither the operator, nor a copy of the database, nor a backup can read a
history; destroying the locked half makes what was sealed unreadable for everybody, in every copy.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from admin.requests import CODE_SIGNS

CODE_LENGTH = 16
_NONCE = bytes(12)  # every key is used once
_KEY = 32


@dataclass(frozen=True, slots=True)
class Box:
    """What is stored of one child's pair of keys."""

    public: bytes
    locked: bytes
    salt: bytes


def new_box() -> tuple[Box, str]:
    """A new pair and the code that opens it: shown once, stored nowhere."""
    code = "".join(secrets.choice(CODE_SIGNS) for _ in range(CODE_LENGTH))
    pair = X25519PrivateKey.generate()
    salt = secrets.token_bytes(16)
    locked = ChaCha20Poly1305(_stretch(code, salt)).encrypt(_NONCE, pair.private_bytes_raw(), None)
    return Box(pair.public_key().public_bytes_raw(), locked, salt), code


def seal(public: bytes, content: bytes) -> bytes:
    """Put something in: a throw-away key, its public half in front, the content sealed behind it."""
    once = X25519PrivateKey.generate()
    front = once.public_key().public_bytes_raw()
    key = _derive(once.exchange(X25519PublicKey.from_public_bytes(public)), front + public)
    return front + ChaCha20Poly1305(key).encrypt(_NONCE, content, None)


def unlock(box: Box, code: str) -> bytes | None:
    """The private half; None when the code is not this box's. Takes a moment, so not on the event loop."""
    try:
        return ChaCha20Poly1305(_stretch(read_code(code), box.salt)).decrypt(_NONCE, box.locked, None)
    except InvalidTag:
        return None


def take_out(private: bytes, public: bytes, sealed: bytes) -> bytes | None:
    """What lies in one seal; None when it was sealed for another pair or was damaged."""
    front, body = sealed[:_KEY], sealed[_KEY:]
    try:
        shared = X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(front))
        return ChaCha20Poly1305(_derive(shared, front + public)).decrypt(_NONCE, body, None)
    except (InvalidTag, ValueError):
        return None


def read_code(text: str) -> str:
    """A code as a person types it: case, spaces and hyphens do not matter."""
    return "".join(sign for sign in text.upper() if sign in CODE_SIGNS)[:CODE_LENGTH]


def show_code(code: str) -> str:
    """A code in groups of four."""
    return "-".join(code[place : place + 4] for place in range(0, len(code), 4))


def _stretch(code: str, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=_KEY, n=2**14, r=8, p=1).derive(code.encode())


def _derive(shared: bytes, context: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=_KEY, salt=None, info=b"lachan history" + context).derive(shared)
