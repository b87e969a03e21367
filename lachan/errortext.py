"""What a person reads when a command fails as it may: one sentence, with the remedy. Only `lachan.__main__` imports this module."""

from __future__ import annotations

import errno

from gateway.errors import LachanError, MistakesError

_REMEDIES = {
    **dict.fromkeys((errno.EACCES, errno.EPERM), "run it with sudo, or as the user of the gateway"),
    errno.EROFS: "choose a state_dir that can be written",
    errno.ENOTDIR: "choose another state_dir",
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "make room on the disk"),
}


def refused_by_system(error: OSError) -> LachanError | None:
    """What this machine does not let the user do, with its remedy; None for what only a bug would meet."""
    remedy = _REMEDIES.get(error.errno or 0)
    return LachanError(f"{error.filename}: {error.strerror}: {remedy}") if remedy and error.filename else None


def explain_error(error: LachanError) -> str:
    """The text a person reads for an expected error; control characters are escaped."""
    if isinstance(error, MistakesError) and len(error.mistakes) > 1:
        text = f"{len(error.mistakes)} lỗi / mistakes:\n{error}"
    else:
        text = f"lỗi / error: {error}"
    return "".join(letter if letter.isprintable() or letter == "\n" else f"\\x{ord(letter):02x}" for letter in text)
