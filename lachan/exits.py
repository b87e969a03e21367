"""`lachan exits export`: the address set and the rules for a router, on standard output. Only `lachan` imports this module."""

from __future__ import annotations

import sys
from ipaddress import ip_address

from blocklists import catalogue
from blocklists.exits import FORMATS, INTERFACES, Address, Network, export, read_resolvers
from gateway.errors import Mistake, SettingsError


def write(form: str, gateways: list[str], interface: str | None, is_same: bool) -> None:
    """Print the text for one kind of router. Raises SettingsError when an option cannot be used."""
    if form not in FORMATS:
        raise SettingsError([Mistake("--format", f"must be one of {', '.join(FORMATS)}")])
    addresses: list[Address] = []
    for text in gateways:
        try:
            addresses.append(ip_address(text))
        except ValueError:
            raise SettingsError([Mistake("--gateway", f"{text!r} is not an IP address", "for example 192.168.1.2")]) from None
    network = Network(tuple(addresses), interface or INTERFACES[form], is_same)
    sys.stdout.write(export(form, read_resolvers(catalogue.load()), network))
