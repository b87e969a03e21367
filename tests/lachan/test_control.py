"""Waiting for a gateway: until it is ready, and no longer than asked."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from gateway.errors import ControlError
from lachan.control import ask, wait_until_ready
from tests.support.echogateway import EchoGateway


def test_nobody_running_is_told_with_the_remedy(tmp_path: Path) -> None:
    """One sentence."""
    with pytest.raises(ControlError, match="start it with lachan run") as caught:
        ask(tmp_path, {"do": "status"})
    assert caught.value.code == "not_running"


def test_waiting_ends_when_the_gateway_is_ready(tmp_path: Path) -> None:
    """It may be started before or after."""
    gateway = EchoGateway(tmp_path, workers=1)
    starter = threading.Timer(0.2, gateway.start)
    starter.start()
    try:
        assert wait_until_ready(gateway.state_dir, 30)["state"] == "ready"
    finally:
        starter.join()
        gateway.stop()


def test_waiting_gives_up_in_time(tmp_path: Path) -> None:
    """A gateway that never comes costs only the time given."""
    started = time.monotonic()
    with pytest.raises(ControlError):
        wait_until_ready(tmp_path, 0.3)
    assert 0.2 < time.monotonic() - started < 3
