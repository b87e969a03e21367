"""Plain upstream servers written by name, at a start at which nobody tells their address (the machine asks this gateway itself): the
address that was known last, the servers beside it, or for a route nobody. Only `lachan.lastgood` imports this module."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from gateway.errors import Mistake
from gateway.servers import look_up, parse_server
from gateway.settings import UpstreamSettings


def known_addresses(upstreams: UpstreamSettings) -> dict[str, str]:
    """The address of each server that is written by name and has one."""
    every = [*upstreams.servers, *(server for route in upstreams.routes.values() for server in route)]
    return {server.name: server.address for server in every if server.address and server.address != server.name}


def read_addresses(file: Path) -> dict[str, str]:
    """Addresses as they were kept; none when the file cannot be used."""
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return {str(name): str(address) for name, address in found.items()} if isinstance(found, dict) else {}


def is_about_an_address(mistake: Mistake) -> bool:
    """Whether this is a server whose address was not found."""
    return ": upstreams." in mistake.path and "was not found" in mistake.message


def with_addresses(section: object, known: Mapping[str, str]) -> object:
    """The section `upstreams` as written, each server whose name cannot be looked up with its known address; one without is left out
    where another one is there, and in a route, whose names fail without one. What is not a server stays, for whoever reads the section."""
    if not isinstance(section, dict):
        return section
    changed = {**section, "servers": _servers(section.get("servers", []), known)}
    if isinstance(routes := section.get("routes"), dict):
        changed["routes"] = {name: _servers(route, known, may_be_none=True) for name, route in routes.items()}
    return changed


def _servers(written: object, known: Mapping[str, str], *, may_be_none: bool = False) -> object:
    if not isinstance(written, list):
        return written
    found = [(server, _with_address(server, known)) for server in written]
    there = [text for _, text in found if text is not None]
    return there if there or may_be_none else written


def _with_address(server: object, known: Mapping[str, str]) -> object | None:
    """The server, with its known address when only that helps; None when its address is not found."""
    if not isinstance(server, str):
        return server
    lost: list[str] = []

    def find(name: str) -> str:
        try:
            return look_up(name)
        except OSError:
            lost.append(name)
            return known.get(name, "192.0.2.1")

    try:
        parse_server(server, find)
    except ValueError:
        return server  # another mistake, which is told where the section is read
    if not lost:
        return server
    return f"{server}@{known[lost[0]]}" if lost[0] in known else None
