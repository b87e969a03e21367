"""What the evidence of a question amounts to when nobody could answer it. Imported by `selector` only. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.upstreams import Evidence, Fault, Invalid, NetworkError, Refused, ServerFailure, Timeout, Upstream, UpstreamFailure
from gateway.upstreams.exchange import Exchange


def conclude(exchange: Exchange, upstreams: Iterable[Upstream], now: float) -> UpstreamFailure:
    """The failure of an exchange; `upstreams` is its group, whose state tells why a question was never sent.

    What a server said outranks what a message looked like, and that outranks the network: a refusal by one and silence of another is a
    failure of the servers, not of the network.
    """
    evidence = exchange.evidence
    if not evidence:
        evidence = tuple(Evidence(upstream.label, upstream.health.fault, "down") for upstream in upstreams if upstream.health.is_down)
    faults = {item.fault for item in evidence}
    if faults == {Fault.REFUSED}:
        return Refused(evidence, exchange.errors, all(upstream.health.is_working(now) for upstream in exchange.decliners))
    if Fault.SERVFAIL in faults or Fault.REFUSED in faults:
        return ServerFailure(evidence, exchange.errors)
    if Fault.MALFORMED in faults:
        return Invalid(evidence)
    return Timeout(evidence) if Fault.TIMEOUT in faults else NetworkError(evidence)
