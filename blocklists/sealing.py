"""Segments with masked names, sealed for gateways that joined: whoever else fetches a release can test no name against it.

A mask is a digest, and whoever has a directory of names could try them all. So a segment that holds one is published encrypted, and the key
goes to gateways alone: a gateway asks for it with a signature of its own key and a key of the moment, to which the answer is encrypted, so
that nobody on the way reads it, over plain http neither. The office makes a new key when a gateway is taken off; keys of before stay,
because what is published under them stays readable, and one that the published list names is never dropped. With a signature, segments
under keys that are lost or about to be dropped are sealed anew. Imported by `releases`, `follower`, `joining`, `lachan` and `admin`.

A sealed file: `lachan sealed 1`, line feed, the key's id (16 hexadecimal digits), line feed, twelve octets of nonce, ChaCha20-Poly1305.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.errors import LachanError
from gateway.release import canonical_bytes, replace_file

KEYS_FILE: Final = "office/release.keys"
"""Where an office keeps the keys, the newest first; in no backup, as the key of names."""
HELD_FILE: Final = "follow/release.keys"
"""Where a gateway keeps what its office gave it."""
MOST_KEYS: Final = 64
"""How many keys an office keeps, unless the published list names more."""
USED_KEYS: Final = 32
"""A segment under a key that is older than so many others is sealed anew with the next signature."""
MOST_GIVEN: Final = 1024
_MAGIC: Final = b"lachan sealed 1\n"
_ID: Final = 16
_NONCE: Final = 12
_HEAD: Final = len(_MAGIC) + _ID + 1
_MASKED_ROW: Final = b'["#'
_ASK_DOMAIN: Final = b"lachan key 1\n"
_WRAP_INFO: Final = b"lachan release keys 1"


class SealError(LachanError):
    """A sealed segment, or an answer with keys, that does not open here."""


Keys = dict[str, bytes]
"""Keys by their ids, the newest first."""


def key_id(key: bytes) -> str:
    """What names a key and tells nothing about it."""
    return hashlib.sha256(b"lachan release key 1\n" + key).hexdigest()[:_ID]


def must_be_sealed(data: bytes) -> bool:
    """Whether the bytes of a segment (canonical JSON) hold a masked name."""
    return _MASKED_ROW in data


def sealed_with(data: bytes) -> str:
    """The id of the key a file is sealed with; empty for one that is not sealed."""
    return data[len(_MAGIC) : _HEAD - 1].decode("ascii", "replace") if data.startswith(_MAGIC) else ""


def seal(data: bytes, key: bytes) -> bytes:
    """A segment as it is published. The same segment and key give the same bytes, so a draft that is made twice is one file."""
    nonce = hmac.digest(key, b"nonce\n" + hashlib.sha256(data).digest(), "sha256")[:_NONCE]
    head = _MAGIC + key_id(key).encode() + b"\n"
    return head + nonce + ChaCha20Poly1305(key).encrypt(nonce, data, head)


def unseal(data: bytes, keys: Keys) -> bytes:
    """The segment in a file, sealed or not. Raises SealError without its key, or for a file that the key does not open."""
    name = sealed_with(data)
    if not name:
        return data
    key = keys.get(name)
    if key is None:
        raise SealError(f"key {name} is not here")
    try:
        return ChaCha20Poly1305(key).decrypt(data[_HEAD : _HEAD + _NONCE], data[_HEAD + _NONCE :], data[:_HEAD])
    except (InvalidTag, ValueError):
        raise SealError(f"key {name} does not open it") from None


def read_keys(path: Path) -> Keys:
    """The keys in a file; none where there is no file. Raises SealError for a file that holds none, OSError."""
    try:
        lines = path.read_text(encoding="ascii").split()
        keys = [bytes.fromhex(line) for line in lines]
        if not keys or any(len(key) != 32 for key in keys):
            raise ValueError
    except FileNotFoundError:
        return {}
    except ValueError:
        raise SealError(f"{path} holds no keys of releases") from None
    return {key_id(key): key for key in keys}


def write_keys(path: Path, keys: Keys) -> None:
    """Keep keys where only the owner of the process reads them. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, "".join(f"{key.hex()}\n" for key in keys.values()).encode(), mode=0o600)


def office_keys(state_dir: Path, *, fresh: bool = False, named: Collection[str] = ()) -> Keys:
    """The office's keys; the first is made when there is none, and a new one with `fresh`; then the oldest ones are dropped that are too
    many and not `named` by what is published. Raises SealError, OSError."""
    path = state_dir / KEYS_FILE
    keys = read_keys(path)
    if keys and not fresh:
        return keys
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # other threads, and other processes
        keys = read_keys(path)
        if not keys or fresh:
            key = ChaCha20Poly1305.generate_key()
            keys = _kept({key_id(key): key} | keys, named)
            write_keys(path, keys)
    return keys


def is_in_use(keys: Keys, name: str) -> bool:
    """Whether what is sealed with this key (empty: not sealed) may be published on as it is."""
    return not name or name in list(keys)[:USED_KEYS]


def _kept(keys: Keys, named: Collection[str]) -> Keys:
    spare = [name for name in list(keys)[1:] if name not in named]
    gone = frozenset(spare[len(spare) - max(0, len(keys) - MOST_KEYS) :]) if len(keys) > MOST_KEYS else frozenset()
    return {name: key for name, key in keys.items() if name not in gone}


def ask(gateway: str, own: Ed25519PrivateKey) -> tuple[bytes, X25519PrivateKey]:
    """A gateway's question for the keys, and the key of the moment that opens the answer."""
    moment = X25519PrivateKey.generate()
    document = {"gateway": gateway, "exchange": moment.public_key().public_bytes_raw().hex()}
    return canonical_bytes(document | {"signature": own.sign(_ASK_DOMAIN + canonical_bytes(document)).hex()}), moment


def read_question(data: bytes) -> tuple[str, str, bytes, bytes]:
    """Who asks, the key of the moment in hex, what was signed, and the signature. Raises SealError."""
    try:
        message = json.loads(data)
        document = {name: str(message[name]) for name in ("gateway", "exchange")}
        if len(bytes.fromhex(document["exchange"])) != 32:
            raise ValueError
        return document["gateway"], document["exchange"], _ASK_DOMAIN + canonical_bytes(document), bytes.fromhex(message["signature"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise SealError("this is no question for keys") from None


def wrap(keys: Keys, exchange: str) -> bytes:
    """The keys for whoever holds the other half of this key of the moment. Raises SealError for a key that is none."""
    moment = X25519PrivateKey.generate()
    public = moment.public_key().public_bytes_raw()
    try:
        wrapping = _wrapping(moment, bytes.fromhex(exchange), public + bytes.fromhex(exchange))
    except ValueError:
        raise SealError("this is no key of the moment") from None
    text = "\n".join(key.hex() for key in keys.values()).encode()
    nonce = os.urandom(_NONCE)
    return canonical_bytes({"exchange": public.hex(), "sealed": (nonce + wrapping.encrypt(nonce, text, None)).hex()})


def unwrap(answer: bytes, moment: X25519PrivateKey) -> Keys:
    """The keys in an answer. Raises SealError."""
    try:
        document: dict[str, Any] = json.loads(answer)
        public, sealed = bytes.fromhex(document["exchange"]), bytes.fromhex(document["sealed"])
        wrapping = _wrapping(moment, public, public + moment.public_key().public_bytes_raw())
        keys = [bytes.fromhex(line) for line in wrapping.decrypt(sealed[:_NONCE], sealed[_NONCE:], None).decode().split()]
        if any(len(key) != 32 for key in keys) or len(keys) > MOST_GIVEN:
            raise ValueError
    except (InvalidTag, ValueError, KeyError, TypeError, RecursionError):
        raise SealError("the office's answer holds no keys for this gateway") from None
    return {key_id(key): key for key in keys}


def _wrapping(own: X25519PrivateKey, other: bytes, both: bytes) -> ChaCha20Poly1305:
    shared = own.exchange(X25519PublicKey.from_public_bytes(other))
    return ChaCha20Poly1305(HKDF(SHA256(), 32, salt=both, info=_WRAP_INFO).derive(shared))
