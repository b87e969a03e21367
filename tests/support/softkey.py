"""A passkey in software: makes keys and answers as a phone does (WebAuthn Level 2), and answers wrongly on request."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


class SoftKey:
    """One device. It knows one key at a time; `count` is what its counter stands at (0 and `still`: it never counts)."""

    def __init__(self, origin: str, *, still: bool = False) -> None:
        self.origin = origin
        self.count = 0
        self.still = still
        self.flags = PRESENT | VERIFIED
        self.credential = secrets.token_bytes(20)
        self.user = b""
        self._key = ec.generate_private_key(ec.SECP256R1())

    def add(self, options: str) -> str:
        """The answer to `navigator.credentials.create`."""
        asked = json.loads(options)
        self.user = from_text(asked["user"]["id"])
        point = self._key.public_key().public_numbers()
        public = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")})
        attested = bytes(16) + len(self.credential).to_bytes(2, "big") + self.credential + public
        data = self._data(asked["rp"]["id"], ATTESTED) + attested
        made = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        return self._written(
            {"clientDataJSON": to_text(self._client("webauthn.create", asked["challenge"])), "attestationObject": to_text(made)}
        )

    def use(self, options: str) -> str:
        """The answer to `navigator.credentials.get`."""
        asked = json.loads(options)
        if not self.still:
            self.count += 1
        data, client = self._data(asked["rpId"]), self._client("webauthn.get", asked["challenge"])
        signature = self._key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        response = {"clientDataJSON": client, "authenticatorData": data, "signature": signature, "userHandle": self.user}
        return self._written({name: to_text(content) for name, content in response.items()})

    def _data(self, name: str, more: int = 0) -> bytes:
        return hashlib.sha256(name.encode()).digest() + bytes([self.flags | more]) + self.count.to_bytes(4, "big")

    def _client(self, kind: str, challenge: str) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}).encode()

    def _written(self, response: dict[str, Any]) -> str:
        identity = to_text(self.credential)
        return json.dumps({"id": identity, "rawId": identity, "type": "public-key", "response": response, "clientExtensionResults": {}})


def to_text(content: bytes) -> str:
    """base64url without padding, as browsers' scripts write it."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def from_text(text: str) -> bytes:
    """The bytes of such a text."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
