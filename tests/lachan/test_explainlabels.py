"""`lachan explain` by the names that the pages use, on a real program that was set up by the pages."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.policy.snapshot import Snapshot
from gateway.release import current_number
from lachan.explaining import ExplainError, find_match, read_labels
from tests.support.echogateway import free_port
from tests.support.gateway import Gateway, RunningUpstream, run_command
from tests.support.walker import set_up_home

SETTINGS = """
state_dir: {folder}/var
dns: {listen: ["127.0.0.1:0"], workers: 1, name: lachan.internal}
upstreams: {servers: ["udp://127.0.0.1:{upstream}"]}
metrics: {listen: "127.0.0.1:{metrics}"}
admin: {listen: "127.0.0.1:{admin}"}
"""


def test_a_child_is_asked_about_by_its_name(tmp_path: Path) -> None:
    """Whatever the case; the answer shows name and id. A name that nobody has is told with those there are, in both languages; one
    that two have asks for an id. Without a database that can be read, the ids do."""
    with (
        RunningUpstream() as upstream,
        Gateway(tmp_path, SETTINGS, command="run", upstream=upstream.port, metrics=free_port(), admin=free_port()) as gateway,
    ):
        set_up_home(gateway).http.close()
        for _ in range(100):
            found = run_command("explain", "facebook.com", "--profile", "bI", "--at", "2026-09-01T16:00", "-c", str(gateway.path))
            if found.returncode == 0:
                break
            time.sleep(0.2)
        assert found.returncode == 0, found.stderr
        assert re.search(r"cho / for: Bi \(\w{24}\) \(TH\)", found.stdout) and "CHẶN" in found.stdout, found.stdout
        wrong = run_command("explain", "facebook.com", "--profile", "Na", "-c", str(gateway.path))
        assert wrong.returncode == 1
        assert "không có hồ sơ 'Na'; có: " in wrong.stderr and "there is no profile 'Na'; there are: " in wrong.stderr
        assert wrong.stderr.count("Bi") == 2
        late = run_command("explain", "facebook.com", "--at", "28/11/2026 7h", "-c", str(gateway.path))
        assert "không phải một lúc: viết như 2026-09-01T21:30 / " in late.stderr
        [child] = [one for one in read_labels(gateway.path) if one.text == "Bi"]
        number = current_number(tmp_path / "var")
        assert number is not None
        snapshot = Snapshot.load(tmp_path / "var", number)
        assert find_match(snapshot, None, "Bi", [child]).profile == child.id
        with pytest.raises(ExplainError, match=f"several are called 'Bi': name one by its id: {child.id} "):
            find_match(snapshot, None, "Bi", [child, replace(child, text="bi")])
    (tmp_path / "var" / "lachan.db").write_bytes(b"no database")
    assert read_labels(gateway.path) == ()
    assert run_command("explain", "facebook.com", "--profile", child.id, "-c", str(gateway.path)).returncode == 0
