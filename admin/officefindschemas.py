"""What the API takes and gives of finding, and of following a list office."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from admin.following import LONGEST_CODE
from admin.officefinding import MOST_TEXT
from admin.schemas import In

Category = Literal["gamb", "scam", "porn", "groom", "self", "drug", "gore", "malware"]


class ListIn(In):
    """A list of somebody else's, as text or CSV: every address in it is read, each name once. `source`: whose list it is."""

    source: Annotated[str, Field(min_length=1, max_length=80, pattern=r"\S")]
    category: Category
    text: Annotated[str, Field(min_length=1, max_length=MOST_TEXT)]


class ListTakenOut(In):
    """How many names were read, and how many of them are new to the queue. `left`: new ones that were too many at once; the same list,
    sent again, brings them. `known`: queued or decided before, or in force. `guarded`: protected, or only a document reaches them."""

    names: int
    added: int
    left: int
    known: int
    guarded: int


class ScanOut(In):
    """A search. `looked_at`: names compared so far; `found` and `added` (new to the queue) count at its end."""

    id: str
    state: Literal["running", "done", "failed"]
    begun_at: datetime
    looked_at: int
    found: int
    added: int


class FollowIn(In):
    """The code of an office, the whole line; and, to confirm it, the fingerprint that the office's page shows."""

    code: Annotated[str, Field(min_length=1, max_length=LONGEST_CODE)]
    fingerprint: Annotated[str, Field(max_length=64)] | None = None


class OfficeOut(In):
    """An office: its address, the fingerprint of its first root, and the words that its page shows, too."""

    url: str
    fingerprint: str
    words: str


class FollowedOut(In):
    """Which list office is followed. `to_confirm`: what a code says that waits for its fingerprint, while nothing was changed; `label`:
    what the office calls this gateway, `own_words` the words of its key; `by_file`: the source that the configuration file names instead;
    `problem`: why nothing newer is taken now; `test_name`: asked from any device, it says which version is in force."""

    office: OfficeOut | None
    to_confirm: OfficeOut | None
    label: str
    own_words: str
    by_file: str
    serial: int
    problem: str
    good_at: datetime | None
    test_name: str
