"""`python -m lachan.systemservers`: the system's resolvers that an installation asks in turn, one a line, this machine itself left out. The
installer writes them into its first settings file; nothing imports this module.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import typer

from gateway.servers import RESOLV_CONF, system_servers
from gateway.settings import Endpoint

LISTEN: Final = (Endpoint("0.0.0.0", 53), Endpoint("::", 53))
"""As in `deploy/installed.yaml`."""
MOST: Final = 2


def lines(files: Iterable[Path] = RESOLV_CONF) -> list[str]:
    """As they are written in the settings file, the first ones only."""
    return [str(server).removesuffix(":53") for server in system_servers(LISTEN, files)[:MOST]]


if __name__ == "__main__":
    for line in lines():
        typer.echo(line)
