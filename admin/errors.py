"""Errors of the control plane, below the product's one tree (`gateway.errors`).

LachanError
└── AdminError            status (HTTP), code (stable, for the API), field (which input), words (a message id for a person)
    ├── NotSignedIn       401  no session, or it has ended
    ├── ConfirmationNeeded 401 the password must be typed again before loosening
    ├── FactorNeeded      403  this act needs an account with a second factor
    ├── Forbidden         403  the role does not include this
    ├── PersonNeeded      403  no program decides this: `page` says where a person does
    ├── ForeignRequest    403  the form did not come from our own page
    ├── NotFound          404  no such object in this tenant (also: somebody else's object)
    ├── Conflict          409  the thing changed meanwhile, or exists already
    ├── CoolingOff        409  the family waits a while before it opens anything
    ├── Changed           412  `If-Match` names a state that is no longer the object's
    ├── TooLarge          413  more than the limit
    ├── InvalidInput      422  one or more fields, each with its code
    ├── TooManyTries      429  wait `retry_after` seconds
    └── Busy              503  the machine cannot do this now; nothing was changed

Rooms raise them; `admin.app` translates them once, into a page or into JSON. Raised inside a write transaction, they undo it.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.errors import LachanError


class AdminError(LachanError):
    """Root of the control plane's errors."""

    status = 500
    code = "internal"

    def __init__(self, code: str = "", field: str = "") -> None:
        self.code = code or type(self).code
        self.field = field
        super().__init__(f"{self.code} {field}".strip())


class NotSignedIn(AdminError):
    """No session, or it has ended."""

    status = 401
    code = "not_signed_in"


class ConfirmationNeeded(AdminError):
    """The password must be typed again: this would loosen protection, export data or hand out access."""

    status = 401
    code = "confirmation_needed"


class Changed(AdminError):
    """`If-Match` names a state that is no longer the object's."""

    status = 412
    code = "changed"


class CoolingOff(AdminError):
    """The family chose to wait a while before anything is opened, and that time has not passed."""

    status = 409
    code = "cooling_off"


class FactorNeeded(AdminError):
    """Officers act with two factors: the account has to have a second one first."""

    status = 403
    code = "factor_needed"


class Forbidden(AdminError):
    """The role of this account does not include the act."""

    status = 403
    code = "forbidden"


class PersonNeeded(AdminError):
    """Only a person at a page decides this, whatever the key may; `page` is its address, `message` says more where there is more to say."""

    status = 403
    code = "person_needed"

    def __init__(self, page: str, message: str = "") -> None:
        self.page = page
        self.message = message
        super().__init__()


class ForeignRequest(AdminError):
    """A change that did not come from our own page (RFC 6454 origin, fetch metadata, form token)."""

    status = 403
    code = "foreign_request"


class NotFound(AdminError):
    """No such object for this tenant. The same answer for objects of other tenants: existence is not told."""

    status = 404
    code = "not_found"


class SheetUnknown(NotFound):
    """No paper carries this code: it was mistyped, or the paper is worth nothing any more."""

    code = "sheet_unknown"


class Conflict(AdminError):
    """The object exists already or changed meanwhile."""

    status = 409
    code = "conflict"


class TooLarge(AdminError):
    """The body is larger than the limit."""

    status = 413
    code = "too_large"


@dataclass(frozen=True, slots=True)
class FieldMistake:
    """One input that cannot be taken: its name, a stable code that the words are looked up by, and what is wrong where a
    code cannot say it."""

    field: str
    code: str
    message: str = ""


class InvalidInput(AdminError):
    """One or more inputs cannot be taken; all are reported at once."""

    status = 422
    code = "invalid_input"

    def __init__(self, *mistakes: FieldMistake) -> None:
        self.mistakes = mistakes
        super().__init__("invalid_input", mistakes[0].field if mistakes else "")


class TooManyTries(AdminError):
    """Wait `retry_after` seconds before the next try."""

    status = 429
    code = "too_many_tries"

    def __init__(self, retry_after: float, code: str = "") -> None:
        self.retry_after = retry_after
        super().__init__(code)


class NoRoom(AdminError):
    """It could not be written: the disk is full, or may not be written to; nothing changed."""

    status = 503
    code = "no_room"


class Busy(AdminError):
    """The machine cannot do this now; nothing was changed."""

    status = 503
    code = "busy"
