"""The closed sets of values agree with one another."""

from __future__ import annotations

from admin.values import BANDS_BY_STRICTNESS, CHILD_BANDS, Band


def test_bands_by_strictness_hold_every_band_but_guests() -> None:
    """Guests have no strictness of their own: they take the strictest band of their site."""
    assert set(Band) - {Band.KH} == set(BANDS_BY_STRICTNESS)
    assert set(CHILD_BANDS) == set(BANDS_BY_STRICTNESS) - {Band.NL}
