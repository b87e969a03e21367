"""What is opened for a class: for a lesson, so for ninety minutes at most whoever opens it, and only what lessons use.

A group is thousands of sites that nobody has looked at, so a lesson is offered a group only where the matrix gives it to this age at some
time; contract cheating, fortune telling, advertisements and names registered yesterday are in no lesson. One site that a pupil asked for
was read by the teacher: there the kind of group is enough. What a school wants open for longer it writes where it stays to be seen, in the
hours, the days or the groups of content. Pure; imported by the pages and the API.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from admin.catalogue import Shelf
from admin.errors import FieldMistake, InvalidInput
from admin.profiles import Profile
from admin.values import ProfileKind
from gateway.policy.model import Band

#: Minutes a teacher may open something for a class; a lesson, two lessons.
MINUTES = (15, 45, 90)
LONGEST = timedelta(minutes=90)
#: What lessons use, the most needed first.
_USED = ("video", "search", "chat", "social", "aichat", "live", "short", "shop", "game", "game00", "game12", "game16")


def lesson_groups(shelf: Shelf, band: Band) -> list[str]:
    """The groups that a class of this age may have opened for a lesson."""
    offered = [code for code in _USED if code in shelf.leisure and not shelf.cell(code, band, band).locked]
    return [code for code in offered if not shelf.cell(code, band, band).mark.startswith(("×", "✕"))]


def is_used_in_lessons(shelf: Shelf, code: str) -> bool:
    """Whether a teacher may open one site of this group that a class asked for."""
    return code in _USED and code in shelf.leisure


def check_span(profile: Profile, now: datetime, ends_at: datetime, field: str) -> None:
    """Refuse an opening of a class that goes on for longer than a lesson may. Raises InvalidInput."""
    if profile.kind is ProfileKind.CLASS and ends_at - now > LONGEST:
        raise InvalidInput(FieldMistake(field, "class_long"))
