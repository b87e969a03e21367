"""What the API takes: nothing unknown, every limit held."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from admin.hours import MOST_HOURS, MOST_LESSONS
from admin.schemas import DeviceIn, HoursModel, ProfileChange, ProfileIn

WINDOW = {"days": "every", "starts": "21:00", "ends": "06:00", "effect": "rest"}


@pytest.mark.parametrize(
    ("model", "content"),
    [
        (ProfileIn, {"label": "x" * 41, "band": "TH"}),
        (ProfileIn, {"label": "x", "band": "NL"}),
        (ProfileIn, {"label": "x", "band": "TH", "birthday": "2017-01-01"}),
        (ProfileChange, {"youtube": "sometimes"}),
        (ProfileChange, {"hours": [WINDOW] * (MOST_HOURS + MOST_LESSONS + 1)}),
        (HoursModel, {"days": "every", "starts": "25:00", "ends": "06:00", "effect": "rest"}),
        (DeviceIn, {"profile": "../../x", "label": "x", "match": "192.168.1.1"}),
    ],
)
def test_models_refuse_what_is_unknown_or_too_much(model: type[ProfileIn], content: dict[str, object]) -> None:
    """A birthday has no place here; neither has one window more than a timetable needs."""
    with pytest.raises(ValidationError):
        model.model_validate(content)
