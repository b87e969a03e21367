"""What the API takes: nothing unknown, every limit held."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Annotated, get_args

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from admin import familyschemas, officekeepschemas, officeresults, officeschemas, peopleschemas
from admin.hours import MOST_HOURS, MOST_LESSONS
from admin.schemas import DeviceIn, HoursModel, In, ProfileChange, ProfileIn

SCHEMAS = (familyschemas, officekeepschemas, officeresults, officeschemas, peopleschemas)
"""Where days are taken."""
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


def is_day(kind: object) -> bool:
    """Whether a type is a day, or may be one."""
    return kind is date or any(map(is_day, get_args(kind)))


def days_taken(base: type[BaseModel] = In) -> Iterator[tuple[str, TypeAdapter[object]]]:
    """Every field of what is sent that is a day."""
    for model in base.__subclasses__():
        yield from days_taken(model)
        for name, field in model.model_fields.items():
            if model.__name__.endswith("In") and is_day(field.annotation):
                kind = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
                yield f"{model.__name__}.{name}", TypeAdapter(kind)


def test_a_day_is_written_as_a_day_everywhere() -> None:
    """Numbers, numbers in letters and moments are no days, whatever the field: seconds since 1970 are never taken for one by mistake."""
    found = dict(days_taken())
    assert {module.__name__ for module in SCHEMAS} <= {model.__module__ for model in In.__subclasses__()}
    assert {"OrderIn.valid_until", "BulletinIn.last_day", "RenewIn.last_day", "AgencyIn.valid_from", "StaffIn.last"} <= set(found)
    assert {"DatesIn.first", "InvitationIn.last", "ClockIn.starts"} <= set(found)
    for name, kind in found.items():
        assert kind.validate_python("2026-12-31") == date(2026, 12, 31), name
        for wrong in (0, 1790000000, 1.5, "0", "1790000000", "2026-12-31T00:00:00"):
            with pytest.raises(ValidationError):
                kind.validate_python(wrong)
                raise AssertionError(name)
