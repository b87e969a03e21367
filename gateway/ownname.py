"""What the gateway answers about itself: the name of its block page, its health, probes of the set-up page, serials, its encrypted
listeners. Imported by the pipeline.

    <name>                  A, AAAA   the address of the block page, or the one of ours that was asked
    health.<name>           TXT "ok", A, AAAA as above
    check-<nonce>.<name>    the same; that it was asked, by whom and how, is remembered for five minutes (activity.probe)
    check-own-<nonce>.<name>  TXT     what proves to this gateway that a resolver is itself (`selfsearch`)
    serial.<list>.<name>    TXT       the version in force here: of the takedown orders (`orders`), of a policy zone the serial of its
                                      SOA, of another list the index it is compiled into. A, AAAA as above: a browser shows the same
    _dns.resolver.arpa      SVCB      where we can be asked encrypted (`discovery`); everything else below resolver.arpa has no data
    resolver.arpa           RESINFO   what kind of resolver this is

Answers depend on who asks and where, so they are never kept.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from gateway.activity import OWN_NONCE, Activity
from gateway.asks import Ask
from gateway.discovery import Discovery, describe
from gateway.localnames import OWN_TTL, LocalNames
from gateway.policy.model import Local, LocalRecord, Reason
from gateway.wire.constants import Qtype, Rcode, type_name

if TYPE_CHECKING:
    from gateway.policy.snapshot import Snapshot

_UNKNOWN: Final = Local((), Reason.OWN_NAME, None, Rcode.NXDOMAIN, OWN_TTL)
ORDERS: Final = "orders"
SERIAL_TTL: Final = 1
"""Nearly nothing: whoever asks again after a publish must see the new version."""
_MOST_NONCE: Final = 63
_DESIGNATED: Final = "_dns."


class OwnAnswers:
    """Answers for the names that `names` knows as our own. Without a `discovery` no encrypted listener is offered."""

    def __init__(self, names: LocalNames, activity: Activity, discovery: Discovery | None = None) -> None:
        self._names = names
        self._activity = activity
        self._discovery = discovery

    def answer(self, ask: Ask, snapshot: Snapshot, wall: float) -> Local | None:
        """What an own name is answered with, None when the name is not ours. `wall` in unix seconds."""
        own = self._names.own(ask.query.key)
        if own is None:
            return None
        match own.kind:
            case "page":
                return _local(_addresses(ask, OWN_TTL))
            case "health":
                return _local((*_addresses(ask, OWN_TTL), _text("ok", OWN_TTL)))
            case "probe" if own.argument and len(own.argument) <= _MOST_NONCE:
                self._remember(own.argument, ask, snapshot, wall)
                word = self._activity.proof(own.argument) if own.argument.startswith(OWN_NONCE) else "seen"
                return _local((*_addresses(ask, 0), _text(word, 0)), 0)
            case "serial":
                serial = _serial(own.argument, snapshot)
                return _UNKNOWN if serial is None else _local((*_addresses(ask, SERIAL_TTL), _text(serial, SERIAL_TTL)), SERIAL_TTL)
            case "resolver":
                return _local(self._resolver(own.argument, ask))
            case _:
                return _UNKNOWN

    def _resolver(self, below: str, ask: Ask) -> tuple[LocalRecord, ...]:
        if not below:
            return describe()
        if below != _DESIGNATED or self._discovery is None:
            return ()
        origin = ask.origin
        token = origin.token if ask.record.match.by == "token" else None
        return self._discovery.designate(origin.local or origin.scope.local, token)

    def _remember(self, nonce: str, ask: Ask, snapshot: Snapshot, wall: float) -> None:
        record, origin = ask.record, ask.origin
        address = str(ip_address(origin.peer))
        profile, client = record.policy.profile_id, record.match.client_id
        kind = type_name(ask.query.qtype)
        self._activity.probed(nonce, address, profile, client, origin.transport.value, snapshot.number, wall, kind)


def _serial(name: str, snapshot: Snapshot) -> str | None:
    if name == ORDERS:
        return str(snapshot.order_serial)
    # lists of the program and zones are called by what stands behind the colon (`rpz:rpz.example`), as people wrote them
    source = next((source for source in snapshot.sources if name in ((full := source.id.lower()), full.rpartition(":")[2])), None)
    if source is None:
        return None
    return source.zone.serial if source.zone is not None and source.zone.serial else snapshot.manifest.index_dir[:12]


def _addresses(ask: Ask, ttl: int) -> tuple[LocalRecord, ...]:
    """Where the block page is, else the address of ours that was asked."""
    page = ask.record.policy.block.page_address
    local = ask.origin.local or ask.origin.scope.local
    packed = [ip_address(address).packed for address in page] if page else [local] if local is not None else []
    return tuple(LocalRecord(Qtype.A if len(address) == 4 else Qtype.AAAA, ttl, address) for address in packed)


def _text(text: str, ttl: int) -> LocalRecord:
    value = text.encode("ascii", "replace")[:255]
    return LocalRecord(Qtype.TXT, ttl, bytes((len(value),)) + value)


def _local(records: tuple[LocalRecord, ...], ttl: int = OWN_TTL) -> Local:
    return Local(records, Reason.OWN_NAME, None, Rcode.NOERROR, ttl)
