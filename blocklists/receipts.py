"""Receipts: what a gateway signs about the list it enforces, and how an office reads one. Pure but for the key's file.

A receipt names the gateway, a counter that only grows, the serial in force and since when, the head of the journal that came with it, and
the program's version; why a newer release is not taken, or that its stage has not come; how many answers, blocks and failures there were
before and since (numbers of five and more); and for names the office asked about, how often each was asked for here, where five clients
did. Nothing about anybody who asked. Signed by Ed25519 over canonical JSON with a key made when the gateway joined.
Imported by `blocklists`, `admin` and `lachan`.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.errors import LachanError
from gateway.release import canonical_bytes

MOST_BYTES: Final = 4096
LEAST: Final = 5
"""A smaller count is told as nought."""
MOST_QUESTIONS: Final = 50
_DOMAIN: Final = b"lachan receipt 1\n"
_JOIN_DOMAIN: Final = b"lachan join 1\n"


class ReceiptError(LachanError):
    """A receipt that is not one, or is not signed by its gateway."""


Counts = tuple[int, int, int]
"""Answers, blocks, answers that failed."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What one gateway says: times in unix seconds; `journal` is the head as (sequence number, digest in hex), None before the first.

    `fault`: why the last round took nothing (a code of `gateway.following`); `waits_for`: the newest serial while its stage has not come to
    this gateway; `kept`: how many names the office's server took out though an order number stands behind them; `health`: counts before
    the serial came into force, and since; `asked`: ids of the office's questions with how often at least.
    """

    gateway: str
    counter: int
    serial: int
    in_force_at: int
    journal: tuple[int, str] | None
    version: str
    at: int
    fault: str = ""
    waits_for: int = 0
    kept: int = 0
    health: tuple[Counts, Counts] | None = None
    asked: tuple[tuple[str, int], ...] = ()


def seal(receipt: Receipt, key: Ed25519PrivateKey) -> bytes:
    """The receipt with its signature, as it is sent."""
    document = asdict(receipt)
    document["journal"] = None if receipt.journal is None else list(receipt.journal)
    document["health"] = None if receipt.health is None else [[_told(one) for one in counts] for counts in receipt.health]
    document["asked"] = [[name, count] for name, count in receipt.asked if count >= LEAST]
    return canonical_bytes({"receipt": document, "signature": key.sign(_DOMAIN + canonical_bytes(document)).hex()})


def read(data: bytes) -> tuple[Receipt, bytes, bytes]:
    """The receipt in a message, not yet believed; what was signed, and the signature. Raises ReceiptError."""
    try:
        if len(data) > MOST_BYTES:
            raise ValueError("too long")
        message = json.loads(data)
        document, signature = message["receipt"], bytes.fromhex(message["signature"])
        numbers = [_number(document[name]) for name in ("counter", "serial", "in_force_at", "at")]
        head = document["journal"]
        if head is not None and (type(head[0]) is not int or len(head) != 2 or len(bytes.fromhex(head[1])) != 32):
            raise ValueError("the head of the journal is none")
        receipt = Receipt(
            gateway=_text(document["gateway"], 64), counter=numbers[0], serial=numbers[1], in_force_at=numbers[2],
            journal=None if head is None else (head[0], str(head[1])), version=_text(document["version"], 40), at=numbers[3],
            fault=_text(document.get("fault", ""), 20), waits_for=_number(document.get("waits_for", 0)),
            kept=_number(document.get("kept", 0)), health=_health(document.get("health")), asked=_asked(document.get("asked", [])),
        )  # fmt: skip
        return receipt, _DOMAIN + canonical_bytes(document), signature
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise ReceiptError(f"this is not a receipt: {type(error).__name__}") from None


def is_signed(public: str, signed: bytes, signature: bytes) -> bool:
    """Whether a gateway's key (hex) made this signature."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(signature, signed)
    except (InvalidSignature, ValueError):
        return False
    return True


def join_bytes(ticket: str, public: str) -> bytes:
    """What a gateway signs to show that the key it names is its own."""
    return _JOIN_DOMAIN + f"{ticket}\n{public}".encode()


def load_key(path: Path) -> Ed25519PrivateKey:
    """The gateway's key; made, readable by its owner alone, when there is none. Raises OSError, or ValueError for a file that is none."""
    try:
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text(encoding="ascii").strip()))
    except FileNotFoundError:
        pass
    key = Ed25519PrivateKey.generate()
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(key.private_bytes_raw().hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
    return key


def public_of(key: Ed25519PrivateKey) -> str:
    """The public half in hex."""
    return key.public_key().public_bytes_raw().hex()


def _told(count: int) -> int:
    return count if count >= LEAST else 0


def _health(value: Any) -> tuple[Counts, Counts] | None:  # Any: JSON
    if value is None:
        return None
    (a, b, c), (d, e, f) = value
    return (_number(a), _number(b), _number(c)), (_number(d), _number(e), _number(f))


def _asked(value: Any) -> tuple[tuple[str, int], ...]:  # Any: JSON
    if len(value) > MOST_QUESTIONS:
        raise ValueError("too many answers")
    return tuple((_text(name, 32), _number(count)) for name, count in value)


def _number(value: Any) -> int:  # Any: JSON
    if type(value) is not int or not 0 <= value < 2**53:
        raise ValueError("a number is none")
    return value


def _text(value: Any, most: int) -> str:  # Any: JSON
    if not isinstance(value, str) or not value.isprintable() or len(value) > most:
        raise ValueError("a text is none")
    return value
