"""`lachan exits export` as a person runs it."""

from __future__ import annotations

import pytest

from blocklists.exits import FORMATS
from tests.support.gateway import run_command


@pytest.mark.parametrize("form", FORMATS)
def test_rules_are_printed_for_each_router(form: str) -> None:
    """They name the gateway, and where to read what they cannot stop."""
    done = run_command("exits", "export", "--format", form, "--gateway", "192.168.1.2")
    assert done.returncode == 0
    assert "192.168.1.2" in done.stdout and "9.9.9.9" in done.stdout and "deploy/routers" in done.stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--gateway", "router"), "--gateway"),
        (("--gateway", "192.168.1.2", "--format", "cisco"), "nft, mikrotik, openwrt"),
        (("--gateway", "fd00::2"), "IPv4"),
    ],
)
def test_option_that_cannot_be_used_is_one_sentence(options: tuple[str, ...], said: str) -> None:
    """With the remedy, and exit status 1."""
    done = run_command("exits", "export", *options)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1 and said in done.stderr
