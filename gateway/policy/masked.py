"""Names that no file tells: an order of a masked category lists digests, and a gateway knows such a name only when somebody asks for it.

The list of such names would be a directory of harm, so it stands in clear in no release, segment, zone or backup. Whoever knows a name can
test it; nobody can read the names off. `policy.overlay`, `blocklists` and the tests import this module; it does no I/O.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final

_PERSON: Final = b"lachan masked 1"
_SIGN: Final = "#"
_MOST_KNOWN: Final = 8192


def mask(key: str) -> str:
    """What stands in the place of an index key: `#`, 32 hexadecimal digits, a dot. No name has such a key."""
    return f"{_SIGN}{blake2b(key.encode(), digest_size=16, person=_PERSON).hexdigest()}."


def is_masked(text: str) -> bool:
    """Whether this stands in the place of a key, or of a host (then without the final dot)."""
    return text.startswith(_SIGN)


class MaskedTable(dict[str, Any]):
    """A table by keys in which some are masked: asked for a key, it also finds what is listed under its mask.

    A mask costs a microsecond, so the keys asked for last that have none here are remembered.
    """

    __slots__ = ("_clear",)

    def __init__(self, rows: dict[str, Any]) -> None:
        super().__init__(rows)
        self._clear: set[str] = set()

    def __contains__(self, key: object) -> bool:
        return dict.__contains__(self, key) or (isinstance(key, str) and self.hidden(key) is not None)

    def get(self, key: str, default: Any = None) -> Any:
        """The rows of a key, under the key itself and under its mask."""
        found, hidden = dict.get(self, key), self.hidden(key)
        if hidden is None:
            return default if found is None else found
        rows = self[hidden]
        return rows if found is None else (*found, *rows)

    def hidden(self, key: str) -> str | None:
        """The mask under which a key is listed; None when it is not."""
        if key in self._clear or is_masked(key):
            return None
        masked = mask(key)
        if dict.__contains__(self, masked):
            return masked
        if len(self._clear) >= _MOST_KNOWN:
            self._clear = set()
        self._clear.add(key)
        return None
