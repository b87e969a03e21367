"""What a gateway does whose place another took while somebody would start it again: nothing, until it is needed. For the supervisor only.

A service manager and a container's engine start again whatever ends, and a second gateway of one state directory would only fail, every
second, or take the place back. So it stays, idle, feeding the watchdog, and ends when it is told to go or when nobody answers in its place
any more: then whoever started it does so again, and names are answered.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from pathlib import Path

from gateway.control import ask_now
from gateway.errors import ControlError
from gateway.notify import ServiceNotifier

INIT = 1
LOOK_SECONDS = 1.0
ABSENCE_SECONDS = 5.0
"""How long nobody may answer on the control socket: a successor that is itself succeeded is away for less."""
NEEDED_AGAIN = 1
"""The exit status then: not nought, so that managers that start only failures again do so, too."""

log = logging.getLogger(__name__)


def would_be_started_again(notifier: ServiceNotifier) -> bool:
    """Whether we are a service, or the program of a container (with an init process of the engine before it, or without). To be asked at
    the start: what somebody started by hand has the init process for its parent, too, once the shell has ended."""
    return notifier.is_on or INIT in (os.getpid(), os.getppid())


def rest(notifier: ServiceNotifier, state_dir: Path) -> int:
    """Stay idle; the exit status, once told to go or needed again."""
    log.info("another gateway answers in this one's place: idle until told to go", extra={"event": "leave.idle"})
    notifier.send("STATUS=another gateway answers in this one's place: idle")
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, {*signals, signal.SIGHUP})
    look = min(LOOK_SECONDS, notifier.watchdog_seconds / 3 or LOOK_SECONDS)
    seen = time.monotonic()
    while time.monotonic() - seen < ABSENCE_SECONDS:
        if signal.sigtimedwait(signals, look) is not None:
            return 0
        notifier.alive()
        if _is_somebody_there(state_dir, look):
            seen = time.monotonic()
    log.error("nobody answers in this one's place any more: to be started again", extra={"event": "leave.needed"})
    return NEEDED_AGAIN


def _is_somebody_there(state_dir: Path, seconds: float) -> bool:
    try:
        ask_now(state_dir, {"do": "status"}, seconds)  # which changes nothing: `counts` would begin a span of `weights` anew
    except ControlError as error:
        return error.code != "not_running"
    return True
