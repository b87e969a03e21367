"""The exception tree of the product, and what each error asks for.

LachanError
├── SettingsError        one or more mistakes in the configuration file, each with its path
├── StartError           the program cannot start; one sentence with the remedy, exit 1
├── InvalidName          text that is not a domain name
├── GenerationError      a generation that does not verify, parse or map (the old one stays)
├── PolicyFileError      a tenant's policy file with mistakes, each with its path
├── ControlError         a request on the control socket that cannot be carried out
├── FetchError           a list that could not be fetched (the last good copy stays)
└── UpstreamError        an upstream answer that cannot be used

Any package may import this module. Expected outcomes of a query (a malformed datagram, a block) are values, never exceptions.
"""

from __future__ import annotations

from dataclasses import dataclass


class LachanError(Exception):
    """Root of every error the product raises on purpose."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake in something a person wrote: where it stands, what is wrong, what to do about it."""

    path: str
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        tail = f" ({self.remedy})" if self.remedy else ""
        return f"{self.path}: {self.message}{tail}"


class MistakesError(LachanError):
    """Several mistakes found in one document; all are reported at once."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(str(mistake) for mistake in mistakes))


class SettingsError(MistakesError):
    """The configuration file has mistakes; nothing of it is applied."""


class PolicyFileError(MistakesError):
    """A tenant's policy file has mistakes; the tenant keeps its last good policy."""


class StartError(LachanError):
    """The program cannot start; the text is one sentence that names the remedy. `vi`: the same in Vietnamese, where it brings its own."""

    def __init__(self, text: str, vi: str = "") -> None:
        super().__init__(text)
        self.vi = vi


class InvalidName(LachanError):
    """Text that is not a domain name (RFC 1035 §2.3.4: labels of 1 to 63 octets, 255 in all)."""

    def __init__(self, text: str, reason: str) -> None:
        self.text = text
        self.reason = reason
        super().__init__(f"not a domain name: {reason}")


class GenerationError(LachanError):
    """A generation that cannot be used. The one in force stays."""

    def __init__(self, where: str, reason: str) -> None:
        self.where = where
        self.reason = reason
        super().__init__(f"{where}: {reason}")


class ControlError(LachanError):
    """A control request that was refused; `code` is stable, `where` names the part of the request or the file at fault."""

    def __init__(self, code: str, message: str, where: str = "") -> None:
        self.code = code
        self.message = message
        self.where = where
        super().__init__(message)


class FetchError(LachanError):
    """A list that could not be fetched; the last good copy stays. `code` is stable, `vi` and `en` tell a person what happened."""

    def __init__(self, code: str, vi: str, en: str) -> None:
        self.code = code
        self.vi = vi
        self.en = en
        super().__init__(en)


class UpstreamError(LachanError):
    """An upstream's message that is not an answer to the question asked."""
