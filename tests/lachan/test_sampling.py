"""`lachan demo`: fills an empty database once and tells the passwords; refuses in one sentence otherwise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SETTINGS = """
state_dir: ./var
dns: {listen: ["127.0.0.1:5399"], workers: 1}
upstreams: {servers: ["udp://192.0.2.53"]}
profiles: [{id: child, band: TH}]
default_profile: child
"""


def demo(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder."""
    command = [sys.executable, "-m", "lachan", "demo", "-c", "lachan.yaml"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=180, check=False)


def test_demo_needs_a_control_plane(tmp_path: Path) -> None:
    """Without a section admin the remedy is one sentence."""
    (tmp_path / "lachan.yaml").write_text(SETTINGS)
    done = demo(tmp_path)
    assert done.returncode == 1
    assert "add admin:" in done.stderr
    assert "Traceback" not in done.stderr


def test_demo_fills_once_while_nobody_runs(tmp_path: Path) -> None:
    """With no gateway running the samples are stored; the second time nothing is touched."""
    (tmp_path / "lachan.yaml").write_text(SETTINGS + 'admin: {listen: "127.0.0.1:8399"}\n')
    done = demo(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "demo-me" in done.stdout
    assert "demo-truong" in done.stdout
    again = demo(tmp_path)
    assert again.returncode == 1
    assert "already" in again.stderr
