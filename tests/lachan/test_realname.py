"""Whether a real name resolves: what `status --ask` says, which the installer asks before it says that all is well."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from lachan.realname import NAME, resolves
from tests.support.gateway import ROOT, Gateway, RunningUpstream

SETTINGS = """
state_dir: {folder}/var
dns: {listen: ["127.0.0.1:0"], workers: 1}
upstreams: {servers: ["udp://127.0.0.1:{upstream}"]}
profiles: [{id: a, band: TH}]
"""


def test_that_no_name_resolves_is_said(tmp_path: Path) -> None:
    """A server that does not answer is told with what to look at, one that does is praised; status 1 and 0."""
    with RunningUpstream({(NAME, "A"): ["192.0.2.111"]}) as upstream, Gateway(tmp_path, SETTINGS, upstream=upstream.port) as gateway:
        upstream.stop()
        done = ask(gateway.path)
        assert done.returncode == 1
        assert "CHƯA TÊN MIỀN NÀO PHÂN GIẢI ĐƯỢC" in done.stdout and "NO NAME RESOLVES YET" in done.stdout
        upstream.start()
        done = ask(gateway.path)
        assert done.returncode == 0 and f"{NAME} trả lời được / is answered" in done.stdout, done.stdout


def test_gateway_that_cannot_be_asked_by_udp_is_not_blamed() -> None:
    """Without a plain listener nothing is known, and nothing said."""
    assert resolves({"listen": [{"transport": "dot", "address": "127.0.0.1:853"}]})


def ask(config: Path) -> subprocess.CompletedProcess[str]:
    """The command, as a person gives it."""
    command = [sys.executable, "-m", "lachan", "status", "-c", str(config), "--ask"]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
