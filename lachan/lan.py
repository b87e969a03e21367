"""`make run LAN=1`: this machine's address on the local network, and whether port 53 can be opened there.

Decisions take what was found out as arguments; finding out is at the end. Only `lachan` imports this module.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from ipaddress import ip_address

from gateway.errors import StartError
from gateway.holders import holder_of

PORT = 53
TEST_ADDRESS = ("192.0.2.1", 53)
"""A documentation address: connecting a datagram socket to it sends nothing, but tells which local address would be used."""


def require_lan(command: str, *, takes_over: bool = False) -> str:
    """Give the address to listen on; with `takes_over` the port may be in use, by the gateway that gives it to us. Raises StartError with
    the remedy: no network, a port in use, a missing right."""
    address = lan_address()
    if address is None:
        raise StartError("this machine has no address on a local network: connect it to the router, then run again")
    problem = try_port(address, PORT)
    if problem == errno.EADDRINUSE and takes_over:
        return address
    if problem == errno.EADDRINUSE:
        holder = holder_of("udp", PORT, address) or holder_of("tcp", PORT, address)
        if holder is None:
            raise StartError(
                f"another program holds port {PORT} of {address}: see which one with: sudo ss -lpn 'sport = :{PORT}', and stop it"
            )
        raise StartError(f"{holder.program} (pid {holder.pid}) holds port {PORT} of {address}: {holder.remedy}")
    if problem in (errno.EACCES, errno.EPERM):
        raise StartError(f"opening port {PORT} needs root's right: run: sudo {command}")
    if problem:
        raise StartError(f"port {PORT} of {address} cannot be opened: {os.strerror(problem)}")
    return address


def sudo_command() -> str:
    """The exact line that runs this program on the local network."""
    return f"{os.path.abspath(sys.argv[0])} run --lan"


def drop_to() -> str | None:
    """The account to continue as when started by sudo, so that the state stays the person's own."""
    return os.environ.get("SUDO_USER") if os.geteuid() == 0 and os.environ.get("SUDO_USER") not in (None, "", "root") else None


def lan_address() -> str | None:
    """The address other devices of the local network reach this machine by, None when there is no network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(TEST_ADDRESS)
            address = str(probe.getsockname()[0])
        except OSError:
            return None
    found = ip_address(address)
    return None if found.is_loopback or found.is_unspecified else address


def try_port(host: str, port: int) -> int:
    """Open UDP and TCP of this address for a moment; 0, or the error number that stands in the way."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(family, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                return error.errno or errno.EINVAL
    return 0
