"""`lachan zone pull`: a policy zone into a file. Only `lachan` imports this module."""

from __future__ import annotations

from pathlib import Path

import typer

from blocklists.secondary import PullError, pull, read_key
from blocklists.zonesettings import PORT, read_address
from gateway.settings import Endpoint


def pull_zone(source: str, zone: str, key: Path | None, target: Path) -> None:
    """Bring the file up to date and say what happened. Raises PullError; the file then stays as it was."""
    copy = pull(read_source(source), zone, target.absolute(), read_key(key) if key else None)
    if not copy.changed:
        typer.echo(f"{target}: số {copy.serial}, không có gì mới. / serial {copy.serial}, nothing new.")
        return
    typer.echo(f"{target}: số {copy.serial}, {copy.records} quy tắc, đã ghi. / serial {copy.serial}, {copy.records} rules, written.")


def read_source(text: str) -> Endpoint:
    """HOST:PORT or HOST (port 53); IPv6 addresses in brackets. Raises PullError."""
    try:
        return read_address(text, PORT)
    except ValueError:
        raise PullError(f"--from takes an address and a port, as in 192.0.2.53:5399 or [2001:db8::53]:5399, not '{text[:100]}'") from None
