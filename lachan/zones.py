"""`lachan zone pull`: a policy zone into a file. Only `lachan` imports this module."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import typer

from blocklists.secondary import PullError, pull, read_key
from gateway.settings import Endpoint


def pull_zone(source: str, zone: str, key: Path | None, target: Path) -> None:
    """Bring the file up to date and say what happened. Raises PullError; the file then stays as it was."""
    copy = pull(read_source(source), zone, target.absolute(), read_key(key) if key else None)
    vi, en = ("đã ghi", "written") if copy.changed else ("không có gì mới", "nothing new")
    typer.echo(f"{target}: số {copy.serial}, {copy.records} quy tắc, {vi}. / serial {copy.serial}, {copy.records} rules, {en}.")


def read_source(text: str) -> Endpoint:
    """HOST:PORT or HOST (port 53); IPv6 addresses in brackets. Raises PullError."""
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, "53"
    try:
        address = str(ip_address(host.strip("[]")))
        if ":" in address and not host.startswith("["):
            raise ValueError(host)
        if not 0 < int(port) < 65536:
            raise ValueError(port)
    except ValueError:
        raise PullError(f"--from takes an address and a port, as in 192.0.2.53:5399 or [2001:db8::53]:5399, not '{text[:100]}'") from None
    return Endpoint(address, int(port))
