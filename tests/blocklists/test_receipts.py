"""Receipts: read back as they were signed; anything else is no receipt."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from blocklists.receipts import Receipt, ReceiptError, is_signed, load_key, public_of, read, seal

RECEIPT = Receipt("gw", 7, 3, 1_790_000_000, (12, "ab" * 32), "0.1.0", 1_790_000_001)


def test_receipt_is_read_as_it_was_signed(tmp_path: Path) -> None:
    """The key is made once, for its owner alone; another key's signature is none."""
    key = load_key(tmp_path / "keys/gateway.key")
    assert public_of(load_key(tmp_path / "keys/gateway.key")) == public_of(key)
    assert (tmp_path / "keys/gateway.key").stat().st_mode & 0o077 == 0
    receipt, signed, signature = read(seal(RECEIPT, key))
    assert receipt == RECEIPT
    assert is_signed(public_of(key), signed, signature)
    assert not is_signed(public_of(Ed25519PrivateKey.generate()), signed, signature)
    assert not is_signed("zz", signed, signature)


def test_numbers_below_five_are_not_told() -> None:
    """Not to the office either: a count of four is nought, a name that four asked for is not named; five are told."""
    told = replace(RECEIPT, health=((1000, 4, 5), (4, 3, 2)), asked=(("few", 4), ("some", 5)))
    message = json.loads(seal(told, Ed25519PrivateKey.generate()))["receipt"]
    assert message["health"] == [[1000, 0, 5], [0, 0, 0]]
    assert message["asked"] == [["some", 5]]


@pytest.mark.parametrize(
    "change",
    [
        {"counter": -1},
        {"serial": "3"},
        {"serial": True},
        {"at": 2**60},
        {"journal": [1]},
        {"journal": ["1", "ab"]},
        {"version": "x" * 50},
        {"gateway": "\n"},
    ],
)
def test_message_that_is_no_receipt_is_refused(change: dict[str, object]) -> None:
    """Numbers that are none, heads that are none, texts that are too long."""
    message = json.loads(seal(RECEIPT, Ed25519PrivateKey.generate()))
    message["receipt"] |= change
    with pytest.raises(ReceiptError):
        read(json.dumps(message).encode())
