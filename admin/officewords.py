"""Words for the office's states, steps and verdicts: message ids for the catalogues, chosen by the stable codes of the domain."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from admin.errors import InvalidInput
from admin.pages.phrases import MISTAKES
from admin.pages.words import DATA, FIRST, SOURCE, Words
from admin.pages.words import mark as _
from blocklists.normalize import name_in_letters
from blocklists.rejections import Reason
from blocklists.takedown.workflow import TransitionRefused

#: The place of an odd character, as `blocklists.rejections` writes it.
_POSITION = re.compile(r"position (\d+)")

RECEIPTS: Mapping[str, str] = {
    "went_back": _("It says it enforces an older version than before."),
    "clock": _("Its clock is wrong."),
    "unknown_serial": _("It says it enforces a version that this office never published."),
    "journal": _("It has seen a journal that is not this one."),
}

FOLLOW_FAULTS: Mapping[str, str] = {
    "refused": _("It refused the newest version: the signatures or files do not fit."),
    "rollback": _("It refused the newest version: it was offered an older one."),
    "shape": _("It refused the newest version: the list cannot be read there."),
    "apply": _("It could not put the newest version in force."),
    "key": _("It lacks the key of the sealed part of the list."),
    "word": _("It cannot use what this server says by itself about stages and endings."),
    "disk": _("It could not store the newest version: its disk."),
}

STATES: Mapping[str, str] = {
    "registered": _("registered"),
    "parsed": _("to be verified"),
    "verified": _("to be approved"),
    "awaiting_second": _("second approver needed"),
    "urgent": _("in force, to be confirmed"),
    "approved": _("approved"),
    "rejected": _("rejected"),
    "closed": _("closed"),
    "publishing": _("being published"),
    "partial": _("in force on some gateways"),
    "active": _("in force"),
    "suspended": _("suspended"),
    "expired": _("expired"),
    "lifted": _("lifted"),
    "received": _("received"),
    "reviewing": _("being looked at"),
    "upheld": _("upheld"),
    "overturned": _("overturned"),
    "triaged": _("classified"),
    "verifying": _("being verified"),
    "proposed": _("proposed"),
    "referred": _("referred"),
    "merged": _("merged"),
}

#: Colour of a state's chip.
TONES: Mapping[str, str] = {
    "parsed": "amber", "verified": "amber", "awaiting_second": "amber", "urgent": "rose", "approved": "leaf", "active": "leaf",
    "publishing": "sky", "partial": "amber", "suspended": "amber", "received": "amber", "reviewing": "sky", "proposed": "amber",
}  # fmt: skip

VERDICTS: Mapping[str, str] = {
    "yes": _("DNS can block it"),
    "needs_decision": _("needs a decision"),
    "block": _("block the whole site"),
    "leave": _("leave it"),
    "url_path": _("one page of a site"),
    "shared_platform": _("on a shared platform"),
    "ip_only": _("an address, not a name"),
    "public_suffix": _("a whole ending"),
    "protected": _("protected"),
    "invalid": _("cannot be read"),
}

VERBS: Mapping[str, str] = {
    "register": _("registered"),
    "verify": _("verified"),
    "approve": _("approved"),
    "approve_urgent": _("approved as urgent"),
    "second": _("approved as the second"),
    "confirm": _("confirmed"),
    "reject": _("rejected"),
    "send_back": _("sent back"),
    "release": _("agreed to the many new names"),
    "item_block": _("decided: block the whole site"),
    "item_leave": _("decided: leave it"),
    "forwarded": _("sent to the platform"),
    "opened": _("opened a masked name"),
    "lapse": _("lapsed without confirmation"),
    "close": _("closed"),
    "lift": _("lifted"),
    "expire": _("expired"),
    "suspend": _("suspended"),
    "withdraw": _("taken out by a return to an earlier version"),
    "reinstate": _("put back into force"),
    "escalated": _("escalated"),
    "receive": _("received"),
    "take": _("taken"),
    "uphold": _("upheld"),
    "overturn": _("overturned"),
    "uphold_again": _("upheld"),
    "overturn_again": _("overturned"),
    "triage": _("classified"),
    "start": _("verification begun"),
    "propose": _("proposed"),
    "refer": _("referred"),
    "merge": _("merged"),
    "note": _("note written"),
    "renew": _("renewed"),
    "owner_told": _("owner told"),
}

ROLES: Mapping[str, str] = {
    "verifier": _("verifier"),
    "approver": _("approver"),
    "police_liaison": _("liaison of the police"),
    "child_liaison": _("liaison for children"),
    "auditor": _("auditor"),
    "observer": _("observer"),
    "edu_admin": _("education department"),
    "system": _("by itself"),
    "machine": _("the machine"),
    "public": _("somebody without an account"),
    "visitor": _("somebody without an account"),
}

REVIEW_REASONS: Mapping[str, str] = {
    "lesson": _("needed for a lesson"),
    "mistake": _("blocked by mistake"),
    "new_owner": _("the site has a new owner"),
    "other": _("something else"),
}

CLOCKS: Mapping[str, str] = {
    "order": _("a document, until it is decided"),
    "order_urgent": _("an urgent document"),
    "review": _("a request to look again"),
    "report_acknowledge": _("a report, until it is classified"),
    "enforce": _("from approval to every gateway"),
    "expiry_warning": _("warning before an entry ends"),
    "platform": _("a platform’s answer"),
    "owner_told": _("telling the owner of a state site"),
    "no_end_review": _("looking again at an entry without an end"),
    "rollback_confirm": _("confirming a return to an earlier version"),
}

ORIGINS: Mapping[str, str] = {
    "report": _("reported"),
    "list": _("in a list of others"),
    "lookalike": _("looks like"),
    "family": _("family of"),
}

CASE_KINDS: Mapping[str, str] = {
    "order": _("a document"),
    "report": _("a report"),
    "entry": _("an entry"),
    "review": _("a request to look again"),
}

BANDS: Mapping[str, str] = {
    "MN": _("3–5 years"),
    "TH": _("6–10 years"),
    "CS": _("11–14 years"),
    "PT": _("15–17 years"),
    "NL": _("Adult"),
    "KH": _("Guest, not known"),
}

AGENCY_KINDS: Mapping[str, str] = {
    "ministry": _("ministry"),
    "committee": _("people’s committee"),
    "department": _("department"),
    "police": _("police"),
    "school_office": _("education office"),
    "other": _("something else"),
}

AGENCY_ROLES: Mapping[str, str] = {
    "list_owner": _("issues the lists"),
    "child_affairs": _("child affairs"),
    "security": _("network security"),
    "education": _("education"),
}

PLATFORM_KINDS: Mapping[str, str] = {
    "group": _("a group"),
    "post": _("a post"),
    "video": _("a video"),
    "page": _("a page or account"),
    "place": _("the platform itself"),
}


@dataclass(frozen=True, slots=True)
class OfficeWords:
    """The words of one reader; unknown codes come back as they are."""

    words: Words
    category: Callable[[str], str]

    def state(self, code: str) -> str:
        return self._of(STATES, code)

    def tone(self, code: str) -> str:
        return TONES.get(code, "plain")

    def verdict(self, code: str) -> str:
        return self._of(VERDICTS, code)

    def verb(self, code: str) -> str:
        return self._of(VERBS, code)

    def role(self, code: str) -> str:
        return self._of(ROLES, code)

    def review_reason(self, code: str) -> str:
        return self._of(REVIEW_REASONS, code)

    def clock(self, code: str) -> str:
        return self._of(CLOCKS, code)

    def origin(self, code: str) -> str:
        return self._of(ORIGINS, code)

    def case_kind(self, code: str) -> str:
        return self._of(CASE_KINDS, code)

    def agency_kind(self, code: str) -> str:
        return self._of(AGENCY_KINDS, code)

    def agency_role(self, code: str) -> str:
        return self._of(AGENCY_ROLES, code)

    def platform_kind(self, code: str) -> str:
        return self._of(PLATFORM_KINDS, code)

    def reason(self, code: str) -> str:
        """Why a row has its verdict; empty without a reason."""
        try:
            reason = Reason(code)
        except ValueError:
            return ""
        return self.said(reason.vi, reason.en)

    def said(self, vi: str, en: str) -> str:
        """A sentence of the list office's rooms, which has Vietnamese and English; a third language finds the English in its catalogue.
        What a reason names (a place in the text, a protected name) is put behind it."""
        if self.words.language in (FIRST, SOURCE):
            return vi if self.words.language == FIRST else en
        whole = self.words.pgettext(DATA, en)
        reason = next((one for one in Reason if en.startswith(one.en)), None) if whole == en else None
        if reason is None:
            return whole
        rest = _POSITION.sub(lambda found: self.words.gettext(_("position {n}")).format(n=found[1]), en[len(reason.en) :])
        return self.words.pgettext(DATA, reason.en) + rest

    def ages(self, bands: str) -> str:
        """Whom an order binds by age, from its stored bands."""
        chosen = [band for band in bands.split(",") if band]
        if not chosen:
            return self.words.gettext(_("Children and pupils of every age"))
        if "NL" in chosen and len(chosen) == len(BANDS):
            return self.words.gettext(_("Everybody, also adults"))
        return ", ".join(self.words.gettext(BANDS[band]) for band in chosen if band in BANDS)

    def last(self, end: datetime) -> datetime:
        """The last second before an end: a document in force until the end of a day says that day, not the next midnight."""
        return end - timedelta(seconds=1)

    def receipt(self, code: str) -> str:
        """Why a gateway's receipt was refused."""
        return self._of(RECEIPTS, code)

    def fault(self, code: str) -> str:
        """Why a gateway takes no newer version."""
        return self._of(FOLLOW_FAULTS, code)

    def mistake(self, error: InvalidInput) -> str:
        """What is wrong with the first field that cannot be taken."""
        code = error.mistakes[0].code if error.mistakes else "unknown"
        return self._of(MISTAKES, code)

    def letters(self, host: str | None) -> str:
        """A name with xn-- parts as the document writes it, "" for any other."""
        return name_in_letters(host or "")

    def refusal(self, error: TransitionRefused) -> str:
        """What the transition table says."""
        if error.n is None or self.words.language in (FIRST, SOURCE):
            return self.said(error.vi, error.en)
        return self.words.pgettext(DATA, error.pattern).format(n=error.n)

    def _of(self, table: Mapping[str, str], code: str) -> str:
        return self.words.gettext(table[code]) if code in table else code
