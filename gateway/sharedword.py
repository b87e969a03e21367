"""One 8-byte word of shared memory that tells every process which epoch is in force.

The supervisor writes it once every worker has staged; a worker reads it after each receive and before it judges (`word.value` is one
aligned 8-byte load), so no answer mixes two generations and no client goes back to an older one, whichever worker it reaches.
The memory is anonymous: it is inherited by fork and has no name another process could open. Only the gateway imports this module.
"""

from __future__ import annotations

import mmap


class SharedWord:
    """An unsigned 64-bit number shared by fork. One process writes, all read."""

    __slots__ = ("_memory", "_words")

    def __init__(self, value: int = 0) -> None:
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)
        self._words = memoryview(self._memory).cast("Q")
        self._words[0] = value

    @property
    def value(self) -> int:
        """The number in force now."""
        return self._words[0]

    @property
    def cells(self) -> memoryview:
        """The memory itself, for the fast path: `cells[0]` without a call."""
        return self._words

    def set(self, value: int) -> None:
        """Put a number in force; it only ever grows."""
        if value < self._words[0]:
            raise ValueError(f"the epoch never goes back: {value} < {self._words[0]}")
        self._words[0] = value

    def close(self) -> None:
        """Give the memory back (this process only)."""
        self._words.release()
        self._memory.close()
