"""Waiting for a running gateway, and asking it, for the commands. Only `lachan` imports this module."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from gateway.control import ask_now
from gateway.errors import ControlError

Reply = dict[str, Any]  # Any: JSON of the control socket


def ask(state_dir: Path, request: Reply, seconds: float = 300.0) -> Reply:
    """Send one request and wait for its reply. Raises ControlError with the remedy, `not_running` when nobody answers there."""
    try:
        return ask_now(state_dir, request, seconds)
    except ControlError as error:
        if error.code == "not_running":
            raise ControlError("not_running", f"no gateway is running for {state_dir}: start it with lachan run", error.where) from None
        raise


def wait_until_ready(state_dir: Path, seconds: float) -> Reply:
    """Ask for the status until every worker is ready. Raises ControlError when the time is over."""
    end = time.monotonic() + seconds
    while True:
        try:
            reply = ask(state_dir, {"do": "status"}, max(0.2, end - time.monotonic()))
            if reply.get("state") == "ready":
                return reply
            faults = ", ".join(map(str, reply.get("faults", ()))) or str(reply.get("state"))
            problem = ControlError("not_ready", f"the gateway is running but not ready yet: {faults}")
        except ControlError as error:
            problem = error
        if time.monotonic() >= end:
            raise problem
        time.sleep(0.05)
