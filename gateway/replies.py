"""Finished replies: composing them, finding them again, keeping them for the next who asks. Imported by the pipeline.

RFC 6891 (options only for those who sent some), 7828, 7873, 8467.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.admission import Admission
from gateway.answers import AnswerTables, Entry, Note, Tally
from gateway.asks import Ask
from gateway.cache import Entry as Cached
from gateway.clients import Record
from gateway.notebook import Notebook
from gateway.outcomes import Outcome
from gateway.query import ENCRYPTED, Answer, Origin, Query, Transport
from gateway.tallies import Tallies
from gateway.wire.compose import Errors, compose_error, compose_reply, compose_truncated, udp_limit
from gateway.wire.constants import MAX_MESSAGE, MIN_UDP_SIZE, Flag, Rcode
from gateway.wire.edns import opt_record

_TC = Flag.TC >> 8
_UDP = Transport.UDP

Touch = Callable[[Record, Entry, bytes, int], bytes | None]
"""`listeners.Front.touch`."""


class Replies:
    """The way out. `keepalive` is the option that tells stream clients how long they may be idle."""

    def __init__(self, tables: AnswerTables, tallies: Tallies, notebook: Notebook, admission: Admission, keepalive: bytes) -> None:
        self._tables = tables
        self._tallies = tallies
        self._notebook = notebook
        self._admission = admission
        self._keepalive = keepalive

    def find(self, query: Query, origin: Origin, record: Record, raw: bytes, second: int, touch: Touch) -> bytes | None:
        """A finished reply that the fast path could not see: shared with the base, or to be given another letter case or options."""
        table = record.view
        entry = table.answers.get(raw) or self._tables.find_shared(table, raw, query.key)
        if entry is None:
            return None
        options = opt = b""
        edns = query.edns
        if edns is not None and not edns.plain:
            options = self.options(query, origin)
            opt = opt_record(edns.do)
            if not entry.reply.endswith(opt) or (edns.padding and origin.transport in ENCRYPTED):
                return None
        tail = entry.reply if entry.second == second else touch(record, entry, raw, second)
        if tail is None:
            return None
        tail = tail[:10] + query.question + tail[10 + len(query.question) :]
        if options:
            tail = tail[: len(tail) - len(opt)] + opt_record(edns is not None and edns.do, options)
            if len(tail) + 2 > _limit(query, origin):
                return None
        entry.tally.n += 1
        return query.id.to_bytes(2, "big") + tail

    def reply(self, ask: Ask, outcome: Outcome, second: int) -> bytes:
        """The reply for something the gateway says by itself."""
        answer = outcome.answer
        return self.give(ask, answer, answer.body, outcome.tally, outcome.errors, outcome.note, outcome.expires, None, 0, second)

    def give(
        self,
        ask: Ask,
        answer: Answer,
        body: bytes,
        tally: Tally,
        errors: Errors,
        note: Note | None,
        expires: int,
        cached: Cached | None,
        ttl_max: int,
        second: int,
    ) -> bytes:
        """Compose, count, note, and keep for the next who asks. `body` is that of `answer` with the TTLs of this second."""
        query = ask.query
        _, _, _, key, qtype, question, edns, _ = query
        transport = ask.origin.transport
        options = b""
        is_padded = False
        limit = MIN_UDP_SIZE
        if edns is not None:
            limit = udp_limit(edns)
            if not edns.plain:
                options = self.options(query, ask.origin)
                is_padded = edns.padding and transport in ENCRYPTED
        if transport is not _UDP:
            limit = MAX_MESSAGE
        reply = compose_reply(query, answer, body, limit, errors, options, is_padded)
        tally.n += 1
        if note is not None:
            self._notebook.write(ask.record, note)
        if ask.is_plain and not reply[2] & _TC and expires > second:
            raw = ask.raw
            is_known = cached is not None and cached.hits > 0  # somebody asked for the name before
            if raw is not None and (is_known or self._tables.is_second_sight(raw)):
                if cached is not None:
                    tally = self._tallies.known(transport, qtype, answer.rcode, answer.negative)
                entry = Entry(reply[2:], tally, key, note, expires, cached, 10 + len(question), ttl_max)
                if note is None:
                    entry.second = second
                self._tables.enter(ask.record.view, raw, entry)
        return reply

    def error(self, ask: Ask, rcode: int, errors: Errors = ()) -> bytes:
        """A reply without records."""
        query, origin = ask.query, ask.origin
        self._tallies.plain(origin.transport, query.qtype, rcode).n += 1
        return compose_error(query, rcode, errors, self.options(query, origin), _limit(query, origin), origin.transport in ENCRYPTED)

    def options(self, query: Query, origin: Origin) -> bytes:
        """The options of a reply to a query that had some."""
        edns = query.edns
        if edns is None or edns.plain:
            return b""
        options = self._admission.cookie(query, origin) if edns.cookie else b""
        options += self._admission.identity(query)
        if edns.keepalive and origin.transport in (Transport.TCP, Transport.DOT):
            options += self._keepalive
        return options

    def truncated(self, ask: Ask) -> bytes:
        """An empty reply that asks the client to come back over TCP."""
        query, origin = ask.query, ask.origin
        self._tallies.plain(origin.transport, query.qtype, Rcode.NOERROR).n += 1
        return compose_truncated(query, self.options(query, origin))


def _limit(query: Query, origin: Origin) -> int:
    """How large the reply may be."""
    return udp_limit(query.edns) if origin.transport is Transport.UDP else MAX_MESSAGE
