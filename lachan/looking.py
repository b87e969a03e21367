"""Whether the list office has news: one small question between two rounds of following. Only `lachan` imports this module.

The file that says what is newest (`timestamp.json`) is asked for with the entity tag of its last answer, so that without news some hundred
octets go each way, whatever server has the files (times of change are not used: two releases of one second would be the same). How often
it may be asked is the server's word: `Cache-Control: max-age` of that file (RFC 9111 §5.2.2.1). The office's own server says it; a server
of plain files that says nothing is left alone until the next round. What is answered decides only when a round begins: every check of the
release is the round's.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import ssl
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

SHORTEST, LONGEST = 10.0, 300.0
"""Seconds between two looks, whatever the server says."""
LOOK_SECONDS: Final = 10.0
"""The longest that one look may take, from the first octet to the last."""
MOST: Final = 64 * 1024
FILE: Final = "metadata/timestamp.json"


@dataclass(frozen=True, slots=True)
class Seen:
    """An answer: what tells it from the next one, when it may be asked for again (seconds; None: with the next round), and its tag."""

    digest: str
    pause: float | None
    tag: str = ""


class Looker:
    """Asks one office whether there is news since the last look."""

    def __init__(self, url: str) -> None:
        self._url = f"{url.rstrip('/')}/{FILE}"
        self._seen: Seen | None = None

    @property
    def pause(self) -> float | None:
        """Seconds until the next look; None where the server does not say that it may be asked between rounds."""
        return self._seen.pause if self._seen is not None else None

    def look(self) -> bool:
        """Whether the newest release is another one than at the last look. Never raises: who cannot be asked has no news."""
        try:
            found = asyncio.run(self._ask())
        except (OSError, ValueError, TimeoutError, asyncio.IncompleteReadError):
            return False
        if found is None:
            return False
        before, self._seen = self._seen, found
        return before is not None and before.digest != found.digest

    async def _ask(self) -> Seen | None:
        """The answer; None for one that says nothing new. Raises OSError, ValueError or TimeoutError."""
        parts = urlsplit(self._url)
        secure = ssl.create_default_context() if parts.scheme == "https" else None
        host = parts.hostname or ""
        async with asyncio.timeout(LOOK_SECONDS):
            reader, writer = await asyncio.open_connection(host, parts.port or (443 if secure else 80), ssl=secure)
            try:
                lines = [f"GET {parts.path} HTTP/1.0", f"Host: {parts.netloc}", "Accept-Encoding: identity"]
                if self._seen is not None and self._seen.tag:
                    lines.append(f"If-None-Match: {self._seen.tag}")
                writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
                answer = b""
                while len(answer) <= MOST and (part := await reader.read(MOST)):
                    answer += part
            finally:
                writer.close()
        return self._read(answer)

    def _read(self, answer: bytes) -> Seen | None:
        head, _, body = answer.partition(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")
        status = first.split(" ")[1] if first.startswith("HTTP/1.") and " " in first else ""
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
        pause = _pause(fields.get("cache-control", ""))
        if status == "304" and self._seen is not None:
            return Seen(self._seen.digest, pause if "cache-control" in fields else self._seen.pause, self._seen.tag)
        if status != "200" or len(answer) > MOST:
            return None
        return Seen(hashlib.sha256(body).hexdigest(), pause, fields.get("etag", ""))


def _pause(caching: str) -> float | None:
    found = re.search(r"(?:^|[,\s])max-age=([0-9]{1,9})(?:$|[,\s])", caching)
    return min(max(float(found.group(1)), SHORTEST), LONGEST) if found else None
