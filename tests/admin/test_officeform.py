"""The form of a document: what was read fills it, what a person corrected becomes the order."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from admin.errors import InvalidInput
from admin.forms import Form
from admin.officeform import first_values, read_order_form
from admin.officeintake import Unsealed
from blocklists.takedown.documents import PartialDate
from blocklists.takedown.letters import Letter
from blocklists.takedown.store import NewOrder

NOW = datetime(2026, 10, 12, 12, 30, tzinfo=UTC)
SEALED = Unsealed((), False, None, None)


def read(**fields: str) -> NewOrder:
    """Read a form with the usual fields and these."""
    values = {"symbol": "5/QĐ-UBND", "issuer": "UBND tỉnh", "category": "order", "scope": "children", **fields}
    return read_order_form(Form({name: [value] for name, value in values.items()}), SEALED, NOW)


def test_a_day_lasts_to_its_end_in_viet_nam() -> None:
    """In force until the end of 31 December: the first instant after it is midnight of 1 January in Viet Nam."""
    assert read(valid_until="2026-12-31").valid_until == datetime(2026, 12, 31, 17, tzinfo=UTC)


def test_no_bands_means_children() -> None:
    """Adults are covered only where the document says so."""
    assert read().bands == ()
    assert "NL" in read(scope="everybody").bands


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("05/08/2026", PartialDate(2026, 8, 5)),
        ("/08/2026", PartialDate(2026, 8, None)),
        ("…/8/2026", PartialDate(2026, 8, None)),
        ("", None),
    ],
)
def test_a_blank_day_stays_blank(text: str, expected: PartialDate | None) -> None:
    """Drafts circulate before the clerk puts the day."""
    assert read(issued_on=text).issued_on == expected


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"symbol": "không số"}, "symbol"),
        ({"symbol": ""}, "symbol"),
        ({"issuer": ""}, "issuer"),
        ({"valid_until": "2026-10-01"}, "valid_until"),
        ({"issued_on": "hôm qua"}, "issued_on"),
        ({"issued_on": "20/13/2026"}, "issued_on"),
        ({"issued_on": "31/02/2026"}, "issued_on"),
        ({"issued_on": "05/08/2027"}, "issued_on"),
        ({"category": "help"}, "category"),
        ({"symbol": "/KH-UBND", "no_end": "1"}, "no_end"),
    ],
)
def test_every_mistake_stands_beside_its_field(fields: dict[str, str], field: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(InvalidInput) as refused:
        read(**fields)
    assert field in [mistake.field for mistake in refused.value.mistakes]


def test_laws_of_the_basis_are_known() -> None:
    """`dist` needs a named law: symbols of laws and decrees count."""
    assert read(basis="116/2025/QH15\n2915/CAT-ANND").basis == (("116/2025/QH15", True), ("2915/CAT-ANND", False))


def test_first_values_count_a_term_in_days() -> None:
    """Thirty days are counted from today."""
    assert first_values(Letter(days=30), NOW)["valid_until"] == date(2026, 11, 11).isoformat()
