"""What the installer writes as upstreams (the real machine is in `deploy/test_install.py`)."""

from __future__ import annotations

from pathlib import Path

from lachan.systemservers import lines


def test_two_servers_of_either_family_and_never_ourselves(tmp_path: Path) -> None:
    """Loopback is this machine: port 53 of every address is to be listened on."""
    file = tmp_path / "resolv.conf"
    file.write_text("nameserver 127.0.0.53\nnameserver 2001:db8::53\nnameserver 192.0.2.53\nnameserver 192.0.2.54\n")
    assert lines([file]) == ["udp://[2001:db8::53]", "udp://192.0.2.53"]
    assert lines([tmp_path / "none"]) == []
