"""The real gateway on a disk that is really full: a small tmpfs of its own, in a mount namespace that ends with it."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from gateway import release
from gateway.control import ask_now
from gateway.errors import ControlError
from tests.support.gateway import ROOT, Gateway, RunningUpstream

SETTINGS = """
state_dir: var
dns: {listen: ["127.0.0.1:0"], workers: 2}
upstreams: {servers: ["udp://127.0.0.1:{upstream}"], timeout: 1}
metrics: {listen: "127.0.0.1:{metrics}"}
lists: [{id: bets, category: gamb, path: bets.txt}]
profiles: [{id: be, band: TH, activity: aggregate}]
default_profile: be
"""
ZONE = """
rpz: [{name: rpz.example, primary: {address: "127.0.0.1:9"}}]
"""
MOUNT = 'mount -t tmpfs -o size=16m,mode=700 tmpfs "$0" && echo mounted && exec cat'
RECORDS = {(f"open{number}.example", "A"): ["192.0.2.20"] for number in range(600)}


class OnSmallDisk(Gateway):
    """A gateway whose state directory is a disk of 16 MiB that nobody else sees; `disk` is the way to it from here."""

    _holder: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        if self._holder is None:
            state = self.folder / "var"
            state.mkdir()
            words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", MOUNT, str(state)]
            self._holder = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            assert self._holder.stdout is not None and self._holder.stdout.readline() == b"mounted\n"
        words = ["nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt", sys.executable, "-m", "lachan", "run", "-c", str(self.path)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(words, cwd=ROOT, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.wait_until_ready()
        self.port = int(next(row["address"] for row in self.status()["listen"] if row["transport"] == "udp").rpartition(":")[2])
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        super().__exit__(kind, error, trace)
        if self._holder is not None:
            self._holder.communicate(timeout=10)  # the end of its input ends it, and the disk with it

    @property
    def disk(self) -> Path:
        assert self._holder is not None
        return Path(f"/proc/{self._holder.pid}/root{self.folder}/var")

    def tell(self, **request: Any) -> dict[str, Any]:
        return ask_now(self.disk, request, 60.0)

    def status(self) -> dict[str, Any]:
        return self.tell(do="status")

    def fill(self) -> None:
        """Write until nothing more fits, not even one octet."""
        with (self.disk / "filler").open("wb", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError:
                    continue
        for number in range(100_000):  # nor a name
            try:
                (self.disk / f"filler.{number}").write_bytes(b"x")
            except OSError:
                break

    def empty(self) -> None:
        for each in self.disk.glob("filler*"):
            each.unlink()

    def wait(self, condition: Any, seconds: float = 25.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, self.written()[-4000:]
            time.sleep(0.1)


    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command of the same machine, which sees the small disk."""
        assert self._holder is not None
        line = ["nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt", sys.executable, "-m", "lachan", *words, "-c", str(self.path)]
        return subprocess.run(line, cwd=ROOT, env=self._environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnSmallDisk]:
    """A gateway that runs on a full disk, with a list that changed since and a zone whose primary does not answer."""
    if os.geteuid() != 0 or shutil.which("nsenter") is None:
        pytest.skip("needs root and nsenter")
    folder = tmp_path_factory.mktemp("disk")
    (folder / "bets.txt").write_text("bet.example\n")
    with RunningUpstream(RECORDS) as upstream, OnSmallDisk(folder, SETTINGS + ZONE, upstream=upstream.port) as gateway:
        gateway.fill()
        (folder / "bets.txt").write_text("bet.example\n" + "".join(f"bet{each}.example\n" for each in range(20_000)))
        yield gateway


def assert_nothing_is_half_written(state: Path) -> None:
    """What is in force verifies, every file has the content its name says, and nothing else was left."""
    release.verify(state, release.read_manifest(state))
    for path in state.rglob("*"):
        if not path.is_file() or path.name.startswith("filler"):
            continue
        assert not path.name.endswith(".tmp") and not path.name.startswith((".", "candidate")), path
        if path.parent.name == "files":
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.stem, path
        if path.suffix == ".json":
            assert path.stat().st_size > 0, path


def test_full_disk_costs_changes_and_nothing_else(tmp_path: Path) -> None:
    """Names resolve, protection stays, a dead worker comes back, what cannot be done is told; with space again all goes on by itself."""
    if os.geteuid() != 0 or shutil.which("nsenter") is None:
        pytest.skip("needs root and nsenter")
    (tmp_path / "bets.txt").write_text("bet.example\n")
    with RunningUpstream(RECORDS) as upstream, OnSmallDisk(tmp_path, SETTINGS, upstream=upstream.port) as gateway:
        assert gateway.addresses("bet.example") == ["0.0.0.0"]
        number = gateway.status()["generation"]
        gateway.fill()
        (tmp_path / "bets.txt").write_text("bet.example\nopen7.example\n" + "".join(f"bet{each}.example\n" for each in range(20_000)))
        with pytest.raises(ControlError, match="No space left"):
            gateway.tell(do="reload")
        status = gateway.status()
        assert (status["generation"], status["state"]) == (number, "ready")
        assert status["last_change"]["outcome"] == "refused"
        assert "No space left" in status["last_change"]["error"]
        assert gateway.metric("lachan_last_reload_successful") == 0
        assert_nothing_is_half_written(gateway.disk)

        for each in range(300):
            assert gateway.addresses(f"open{each}.example") == ["192.0.2.20"]
        assert gateway.addresses("bet.example") == ["0.0.0.0"]
        killed = status["workers"][0]["pid"]
        os.kill(killed, signal.SIGKILL)
        gateway.wait(lambda: gateway.status()["state"] == "ready" and killed not in [each["pid"] for each in gateway.status()["workers"]])
        assert {tuple(gateway.addresses("bet.example")) for _ in range(20)} == {("0.0.0.0",)}
        gateway.wait(lambda: gateway.metric("lachan_state_writable") == 0 and gateway.metric("lachan_state_free_bytes") == 0)
        assert sum(len(batch["counts"]) for batch in gateway.tell(do="activity", after=0)["batches"]) > 0, "kept in memory"
        assert any("KHÔNG GHI ĐƯỢC" in note for note in gateway.status()["notes"]), "a person who asks is told"
        assert_nothing_is_half_written(gateway.disk)

        assert gateway.stop() == 0
        gateway.start()
        assert gateway.addresses("bet.example") == ["0.0.0.0"], "a start on a full disk: the policy of before"
        assert gateway.addresses("open400.example") == ["192.0.2.20"]
        assert "No space left" in gateway.status()["last_change"]["error"]
        assert_nothing_is_half_written(gateway.disk)

        gateway.empty()
        gateway.wait(lambda: gateway.metric("lachan_state_writable") == 1)
        os.kill(gateway.pid, signal.SIGHUP)
        gateway.wait(lambda: gateway.addresses("open7.example") == ["0.0.0.0"])
        assert gateway.status()["generation"] > number
        gateway.wait(lambda: gateway.status()["last_change"]["outcome"] == "applied")
        assert gateway.metric("lachan_last_reload_successful") == 1
        assert_nothing_is_half_written(gateway.disk)


@pytest.mark.parametrize("words", [("lists", "update"), ("lists", "compile"), ("zone", "refresh"), ("prepare", "--fetch", "--commit")])
def test_commands_say_in_one_sentence_that_the_disk_is_full(small_disk: OnSmallDisk, words: tuple[str, ...]) -> None:
    """No trace of the program, in front of a person or in the log that a child's words go to: what is wrong, and what to do."""
    done = small_disk.run(*words)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert "No space left on device: dọn chỗ trên đĩa / make room on the disk" in done.stderr
    assert_nothing_is_half_written(small_disk.disk)
