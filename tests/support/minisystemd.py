"""`systemctl` for a test machine without systemd: runs the real unit files of lachan.service and lachan.socket, and nothing else.

`minisystemd.py serve` holds the sockets and the service as PID 1 would: sockets survive restarts, the service runs as `User=` with its
ambient capabilities and is ready when it says READY=1. `minisystemd.py systemctl ARGUMENTS…` asks it. For tests only.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

UNITS = Path("/etc/systemd/system")
CONTROL = "/run/minisystemd.sock"
CALLS = Path("/run/minisystemd.calls")
NOTIFY = "/run/minisystemd.notify"
LOG = Path("/run/lachan.log")
DEAF = Path("/run/minisystemd.deaf")
"""While it is there nothing is restarted."""
AS_USER = "setpriv --reuid {user} --regid {user} --init-groups --inh-caps +net_bind_service --ambient-caps +net_bind_service --no-new-privs"


def values(unit: str, key: str) -> list[str]:
    path = UNITS / unit
    return re.findall(rf"^{key}=(.*)$", path.read_text(), re.MULTILINE) if path.exists() else []


class Manager:
    """The sockets and the one service."""

    def __init__(self) -> None:
        self.sockets: list[socket.socket] = []
        self.process: subprocess.Popen[bytes] | None = None
        self.wanted = False
        Path(NOTIFY).unlink(missing_ok=True)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(NOTIFY)
        os.chmod(NOTIFY, 0o666)
        self.ready = threading.Event()
        threading.Thread(target=self._restart, daemon=True).start()
        threading.Thread(target=self._hear, daemon=True).start()

    def run(self, words: list[str]) -> int:
        verb = next((word for word in words if not word.startswith("-")), "")
        units = [word for word in words if word.endswith((".service", ".socket"))] or ["lachan.service"]
        now = "--now" in words
        if verb == "is-active":
            return 3
        if verb == "restart" and DEAF.exists():
            return 1
        if verb == "restart" and "lachan.service" in units:
            self.stop()
            return self.start()
        if verb == "enable" and now and "lachan.socket" in units:
            self.open_sockets()
        if verb == "disable" and now:
            if "lachan.service" in units:
                self.stop()
            if "lachan.socket" in units:
                for number, each in enumerate(self.sockets):
                    os.close(100 + number)
                    each.close()
                self.sockets = []
        return 0

    def open_sockets(self) -> None:
        if self.sockets:
            return
        for key, kind in (("ListenDatagram", socket.SOCK_DGRAM), ("ListenStream", socket.SOCK_STREAM)):
            for text in values("lachan.socket", key):
                host, _, port = text.rpartition(":")
                family = socket.AF_INET6 if "[" in host else socket.AF_INET
                one = socket.socket(family, kind)
                if family == socket.AF_INET6:
                    one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                one.bind((host.strip("[]"), int(port)))
                if kind == socket.SOCK_STREAM:
                    one.listen(1024)
                self.sockets.append(one)

    def start(self) -> int:
        user = values("lachan.service", "User")[0]
        command = shlex.split(AS_USER.format(user=user)) + shlex.split(values("lachan.service", "ExecStart")[0])
        environment = dict(part.split("=", 1) for line in values("lachan.service", "Environment") for part in line.split())
        environment |= {"PATH": "/usr/bin:/bin", "NOTIFY_SOCKET": NOTIFY, "HOME": pwd.getpwnam(user).pw_dir, "WATCHDOG_USEC": "30000000"}
        environment |= {"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}
        passed = [os.dup2(each.fileno(), 100 + number) for number, each in enumerate(self.sockets)]

        def become() -> None:
            for number, each in enumerate(passed):
                os.dup2(each, 3 + number, inheritable=True)

        self.ready.clear()
        starter = "import os,sys;os.environ.update(LISTEN_FDS=sys.argv[1],LISTEN_PID=str(os.getpid()));os.execvp(sys.argv[2],sys.argv[2:])"
        with LOG.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", starter, str(len(passed)), *command],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=environment,
                cwd=values("lachan.service", "WorkingDirectory")[0],
                preexec_fn=become,
                close_fds=False,
            )
        self.wanted = True
        end = time.monotonic() + 120
        while time.monotonic() < end and self.process.poll() is None:
            if self.ready.wait(0.2):
                return 0
        return 1

    def stop(self) -> None:
        self.wanted = False
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)

    def _hear(self) -> None:
        while True:
            if b"READY=1" in self.notify.recv(4096):
                self.ready.set()

    def _restart(self) -> None:
        """`Restart=always`, slowly."""
        while True:
            time.sleep(1)
            if self.wanted and self.process is not None and self.process.poll() is not None:
                self.start()


def serve() -> None:
    manager = Manager()
    Path(CONTROL).unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as control:
        control.bind(CONTROL)
        control.listen()
        while True:
            client, _ = control.accept()
            with client:
                words = json.loads(client.makefile().readline())
                with CALLS.open("a") as calls:
                    calls.write(" ".join(words) + "\n")
                try:
                    code = manager.run(words)
                except Exception as error:
                    sys.stderr.write(f"minisystemd: {error!r}\n")
                    code = 1
                client.sendall(f"{code}\n".encode())


def systemctl(words: list[str]) -> int:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(CONTROL)
        client.sendall(json.dumps(words).encode() + b"\n")
        return int(client.makefile().readline())


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    sys.exit(systemctl(sys.argv[2:]))
