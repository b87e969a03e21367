"""What the evidence of a question amounts to when nobody could answer it. Imported by `selector`;
`lachan` tells certificates apart by it. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from gateway.query import Key
from gateway.upstreams import Evidence, Fault, Invalid, NetworkError, Refused, ServerFailure, Timeout, Upstream, UpstreamFailure
from gateway.upstreams.exchange import Exchange
from gateway.upstreams.tls import CERTIFICATE, PIN
from gateway.wire.constants import Ede

NOT_TRUSTED: Final = "the upstream's certificate is not trusted"

Since = Callable[[Key, float], float | None]

AGAIN: Final = 1.0
"""Seconds between two refusals that make a block."""


def conclude(exchange: Exchange, upstreams: Iterable[Upstream], now: float, refused_since: Since | None = None) -> UpstreamFailure:
    """The failure of an exchange; `upstreams` is its group, whose state tells why a question was never sent. `refused_since(key, now)`
    tells when everybody refused this name first: refused once more, by servers that answered others between, it is a block of theirs.

    What a server said outranks what a message looked like, and that outranks the network: a refusal by one and silence of another is a
    failure of the servers, not of the network. Nothing at all is silence, or a route without a server.
    """
    evidence = exchange.evidence
    if not evidence:
        down = [(upstream.label, upstream.health) for upstream in upstreams if upstream.health.is_down]
        evidence = tuple(Evidence(label, health.fault, health.detail or "down") for label, health in down)
    faults = {item.fault for item in evidence}
    if faults == {Fault.REFUSED}:
        first = refused_since(exchange.key, now) if refused_since is not None else None
        is_block = first is not None and now - first >= AGAIN and all(_means_it(each, first, now) for each in exchange.decliners)
        return Refused(evidence, exchange.errors, is_block)
    if Fault.SERVFAIL in faults or Fault.REFUSED in faults:
        return ServerFailure(evidence, exchange.errors)
    if Fault.MALFORMED in faults:
        return Invalid(evidence)
    if any(is_about_certificate(item.fault, item.detail) for item in evidence):
        return NetworkError(evidence, ((Ede.NETWORK_ERROR, NOT_TRUSTED),))
    return Timeout(evidence) if Fault.TIMEOUT in faults or not faults else NetworkError(evidence)


def is_about_certificate(fault: Fault, detail: str) -> bool:
    """Whether an encrypted upstream is not who it should be."""
    return fault is Fault.TLS and detail.startswith((CERTIFICATE, PIN))


def _means_it(upstream: Upstream, first: float, now: float) -> bool:
    """Whether a server that refuses a name for the second time answered others between, and refuses few of them."""
    return upstream.health.last_good > first and upstream.health.is_working(now)
