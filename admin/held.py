"""A change that waits while somebody sets up, or shows, a second step: where it goes, what was typed, and where the person came from.

It travels in the pages, as one field of their forms, and is stored nowhere. Secrets are typed anew. Used by the edge and the routes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

from starlette.requests import Request

from admin.forms import CODE_FIELD, PASSKEY_FIELD, PASSWORD_FIELD, Form
from admin.pages.words import mark as _

HELD_FIELD = "_held"
SECRETS = {
    "passphrase": _("Your passphrase, to sign"),
    "password": _("New password"),
    "pin": _("New PIN"),
    "again": _("The same once more"),
}
"""Fields that no page ever repeats: between a form and its confirmation they are typed once more."""


@dataclass(frozen=True, slots=True)
class Held:
    """One change: the path it goes to, the page before it, its fields as sent, the names of secrets that come with it."""

    path: str
    back: str
    fields: tuple[tuple[str, str], ...] = ()
    secrets: tuple[str, ...] = ()

    def __str__(self) -> str:
        """As a form carries it."""
        return json.dumps(asdict(self))

    def labels(self, words: Callable[[str], str]) -> list[tuple[str, str]]:
        """The secrets to be typed anew, each with what stands beside its field."""
        return [(name, words(SECRETS[name])) for name in self.secrets]


def hold_change(request: Request, form: Form) -> Held:
    """The change that a request asks for, without its secrets."""
    left_out = (PASSWORD_FIELD, CODE_FIELD, PASSKEY_FIELD, *SECRETS)
    fields = tuple((name, value) for name, values in form.fields.items() if name not in left_out for value in values)
    referer, path = urlsplit(request.headers.get("referer", "")), request.url.path
    back = referer.path if _is_ours(referer.path) and referer.path != path else "/"
    return Held(path, back, fields, tuple(name for name in SECRETS if any(form.fields.get(name, ()))))


def held_in(form: Form) -> Held | None:
    """The change that a form carries; None when it carries none that could be gone on with."""
    try:
        found = json.loads(form.raw(HELD_FIELD))
        fields = tuple((str(name), str(value)) for name, value in found["fields"])
        held = Held(str(found["path"]), str(found["back"]), fields, tuple(name for name in SECRETS if name in found["secrets"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return held if _is_ours(held.path) and _is_ours(held.back) else None


def _is_ours(path: str) -> bool:
    """Whether this is a path on our own pages, and no other place that a browser would go to."""
    return path.startswith("/") and not path.startswith("//") and "\\" not in path
