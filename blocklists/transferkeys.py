"""TSIG keys (RFC 8945) as settings name them: a name, an algorithm and a file that holds the secret as base64.

Used by `blocklists.settings` (zones taken from a primary) and `admin.rpzsettings` (zones given to others). The secret is in no message and
in no representation of a key.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gateway.errors import Mistake
from gateway.sections import NameText, Section, Text, key

Algorithm = Literal["hmac-sha256", "hmac-sha384", "hmac-sha512"]
SHORTEST_SECRET = 16
_MAKE = "make one with: openssl rand -base64 32"


@dataclass(frozen=True, slots=True)
class TransferKey:
    """A TSIG key: its name, algorithm and secret, and the file the secret was read from."""

    name: str
    algorithm: str
    secret: bytes
    secret_file: Path | None = None

    def __repr__(self) -> str:
        return f"TransferKey({self.name!r}, {self.algorithm!r}, ***)"


class TransferKeyFile(Section):
    """rpz_out.keys[], rpz[].primary.tsig"""

    name: NameText = key(..., "Tên khóa TSIG.", "Name of the TSIG key.", "isp-a")
    algorithm: Algorithm = key("hmac-sha256", "Thuật toán của khóa.", "Algorithm of the key.", "hmac-sha256")
    secret_file: Text = key(..., "Tệp chứa khóa bí mật (base64).", "File that holds the secret (base64).", "/etc/lachan/isp-a.key")


def read_transfer_key(written: TransferKeyFile, folder: Path, place: str) -> tuple[TransferKey | None, list[Mistake]]:
    """Read the secret of a key. Returns None with what is wrong; `place` is where the file names it."""
    path = folder / written.secret_file
    try:
        secret = base64.b64decode(path.read_text(encoding="ascii").strip(), validate=True)
    except OSError as error:
        return None, [Mistake(place, f"cannot be read: {error.strerror}", "put the secret into this file, as base64")]
    except (ValueError, binascii.Error):
        return None, [Mistake(place, "does not hold base64", _MAKE)]
    if len(secret) < SHORTEST_SECRET:
        return None, [Mistake(place, f"has fewer than {SHORTEST_SECRET} bytes", _MAKE)]
    return TransferKey(written.name, written.algorithm, secret, path), []
