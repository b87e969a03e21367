"""The real program at its start and its end: what is missing or damaged then, what is left behind, and the port that somebody else has."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.echogateway import free_port
from tests.support.gateway import Gateway, RunningUpstream
from tests.support.nineandadult import ADULT, CHILD, RECORDS, SETTINGS, prepare


@pytest.fixture(scope="module")
def upstream() -> Iterator[RunningUpstream]:
    """The resolver that is asked in turn."""
    with RunningUpstream(RECORDS) as running:
        yield running


def test_missing_list_at_a_start_means_the_last_good_generation(upstream: RunningUpstream, tmp_path: Path) -> None:
    """A disk that is not there yet must not leave a school without names, nor without protection."""
    prepare(tmp_path)
    with Gateway(tmp_path, SETTINGS, upstream=upstream.port) as running:
        assert running.addresses("bet.example", source=CHILD) == ["0.0.0.0"]
    (tmp_path / "bets.hosts.txt").unlink()
    with Gateway(tmp_path, SETTINGS, upstream=upstream.port) as again:
        assert again.addresses("bet.example", source=CHILD) == ["0.0.0.0"]
        assert "bets.hosts.txt" in again.command("status").stdout


def test_orders_file_that_became_empty_opens_no_site(upstream: RunningUpstream, tmp_path: Path) -> None:
    """What an editor leaves on a full disk keeps the orders, and is told; the word that there are none lifts them."""
    prepare(tmp_path)
    with Gateway(tmp_path, SETTINGS, upstream=upstream.port) as running:
        assert running.addresses("ordered.example", source=ADULT) == ["0.0.0.0"]
        (tmp_path / "orders.yaml").write_text("")
        assert "write []" in running.command("reload").stdout
        assert running.addresses("ordered.example", source=ADULT) == ["0.0.0.0"]
    with Gateway(tmp_path, SETTINGS, upstream=upstream.port) as again:
        assert again.addresses("ordered.example", source=ADULT) == ["0.0.0.0"]
        assert "write []" in again.command("status").stdout and again.command("check").returncode == 1
        (tmp_path / "orders.yaml").write_text("[]\n")
        assert again.command("reload").returncode == 0
        assert again.addresses("ordered.example", source=ADULT) == ["192.0.2.60"]


def test_first_start_with_a_missing_list_is_refused(upstream: RunningUpstream, tmp_path: Path) -> None:
    """Without anything to fall back to, the gateway says what is missing instead of filtering less than asked."""
    prepare(tmp_path)
    (tmp_path / "bets.hosts.txt").unlink()
    refused = Gateway(tmp_path, SETTINGS, upstream=upstream.port).command("run")
    assert refused.returncode == 1
    assert "lists[1].path: " in refused.stderr and "there is no file" in refused.stderr and "Traceback" not in refused.stderr


def test_a_damaged_database_leaves_names_and_protection(upstream: RunningUpstream, tmp_path: Path) -> None:
    """The pages do not start and say why and what to do; the gateway answers and filters as before, and says that the pages are down."""
    prepare(tmp_path)
    text = SETTINGS + f'admin: {{listen: "127.0.0.1:{free_port()}"}}\n'
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "lachan.db").write_bytes(b"SQLite format 3\0" + b"\x5a" * 20_000)
    with Gateway(tmp_path, text, upstream=upstream.port) as running:
        end = time.monotonic() + 30
        while "lachan restore FILE" not in running.log.read_text() and time.monotonic() < end:
            time.sleep(0.1)
        told = running.log.read_text()
        assert "is damaged" in told and "lachan restore FILE" in told and "Traceback" not in told
        assert running.addresses("bet.example", source=CHILD) == ["0.0.0.0"]
        assert running.addresses("bet.example", source=ADULT) == ["192.0.2.90"]
        assert running.addresses("open.example", source=ADULT) == ["192.0.2.20"]


def test_stop_ends_every_process_and_leaves_the_port_free(upstream: RunningUpstream, tmp_path: Path) -> None:
    """SIGTERM: exit status 0, nothing left behind; the next start answers from the generation on disk."""
    prepare(tmp_path)
    running = Gateway(tmp_path, SETTINGS, upstream=upstream.port).start()
    pids = [running.pid, *(worker["pid"] for worker in running.status()["workers"])]
    number, port = running.status()["generation"], running.port
    assert running.stop() == 0
    assert not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", port))
    with Gateway(tmp_path, SETTINGS, upstream=upstream.port) as again:
        assert number == again.status()["generation"]


def test_port_in_use_is_one_sentence(upstream: RunningUpstream, tmp_path: Path) -> None:
    """The program that holds the port is named, exit status 1."""
    prepare(tmp_path)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        text = SETTINGS.replace("127.0.0.1:0", f"127.0.0.1:{holder.getsockname()[1]}")
        stopped = Gateway(tmp_path, text, upstream=upstream.port)
        refused = stopped.command("run")
    assert refused.returncode == 1
    assert str(os.getpid()) in refused.stderr and "Traceback" not in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
