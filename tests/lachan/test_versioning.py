"""`lachan --version`."""

from __future__ import annotations

import re

from tests.support.gateway import run_command


def test_version_is_told() -> None:
    """The first thing somebody types who reports a fault."""
    found = run_command("--version")
    assert found.returncode == 0
    assert re.fullmatch(r"lachan \d+\.\d+\.\d+\S*\n", found.stdout)
