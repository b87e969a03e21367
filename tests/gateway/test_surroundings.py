"""What a pipeline finds around it."""

from __future__ import annotations

import time
from typing import Any

from gateway.surroundings import Surroundings


def test_cookies_follow_the_real_clock_unless_told_otherwise() -> None:
    """The clock of cookies is the system's, never the test clock; hardware addresses are followed only when given."""
    nothing: Any = None
    around = Surroundings(nothing, nothing, nothing, nothing, lambda: None, nothing, nothing)
    assert around.real_time is time.time
    assert around.neighbours is None
