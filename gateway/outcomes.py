"""From a verdict to what is answered: blocks, rewrites, records of our own. Imported by the pipeline.

Pure values: an `Outcome` says what goes into the reply, how it is counted, what is noted about it and how long it may be kept. Design §5:
modes, TTLs, extended errors (RFC 8914: 15 Blocked for security lists, 16 Censored for orders, 17 Filtered for what parents and schools ask
for, 4 Forged Answer for rewrites). Nothing here is signed and AD is never set (review 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import Final, NamedTuple

from gateway.answers import NEVER, Note, Tally
from gateway.metrics import PROTECTED_CATEGORIES
from gateway.policy.model import Block, EffectivePolicy, Local, Reason, Rewrite, Rule, RuleOrigin
from gateway.query import Answer, Query, Transport
from gateway.settings import StructuredSettings
from gateway.structured import is_asked, justify
from gateway.tallies import Tallies
from gateway.wire.compose import Errors, alias_answer, block_answer, local_answer, negative_answer
from gateway.wire.constants import Ede, Qtype, Rcode
from gateway.wire.name import text_of, wire_from_text

UPSTREAM_BLOCK: Final = ((Ede.BLOCKED, "blocked by the upstream resolver"),)
"""The extended error by which an answer is known that an upstream had blocked; compared by identity."""
REBINDING: Final = ((Ede.BLOCKED, ""),)
"""The same for an answer that led from a public name to a private address."""
REBINDING_TTL: Final = 60
REFUSED_TTL: Final = 10
"""Of a block that is concluded from refusals of an upstream, which may have had another reason."""
_REBINDING_RULE: Final = Rule(RuleOrigin.SYSTEM, Reason.REBINDING, "private address under a public name", source="rebinding")
_FORGED: Final = ((Ede.FORGED_ANSWER, ""),)
_ADDRESS_WIDTH: Final = {Qtype.A: 4, Qtype.AAAA: 16}
_NO_ERRORS: Final[Errors] = ()
LONGEST_NUMBER: Final = 64


class Outcome(NamedTuple):
    """What the gateway answers by itself, with a TTL that does not fall; `expires` is the monotonic second at which it is no longer
    good.
    """

    answer: Answer
    tally: Tally
    errors: Errors = _NO_ERRORS
    note: Note | None = None
    expires: int = NEVER


class Outcomes:
    """Makes outcomes. `name` is the gateway's own name, which stands in the SOA of what it says by itself."""

    def __init__(self, name: str, tallies: Tallies, upstreams: str, structured: StructuredSettings) -> None:
        self._mname = wire_from_text(name)
        self._tallies = tallies
        self._upstreams = upstreams
        self._structured = structured
        self._old_days = 0
        self._age = ""

    def tell_age(self, days: int) -> bool:
        """For how many days the office's release is old (`gateway.following`); whether that is news, so that finished replies must go."""
        is_news = days != self._old_days
        self._old_days = days
        self._age = f"danh sách {days} ngày chưa cập nhật / list {days} days old" if days else ""
        return is_news

    def block(self, query: Query, transport: Transport, block: Block, policy: EffectivePolicy, expires: int = NEVER) -> Outcome:
        """A block, in the mode of the verdict or else of the policy."""
        mode = block.mode or policy.block.mode
        answer = block_answer(mode.value, query.qtype, block.ttl, _packed(policy.block.page_address), self._mname)
        tally = self._tallies.blocked(transport, query.qtype, answer.rcode, block, policy)
        note = Note("blocked", block.category, text_of(query.key), block.rule.text)
        text = _order_number(block)
        if is_asked(query.edns, self._structured):
            category = "" if block.category in PROTECTED_CATEGORIES else block.category
            text = justify(self._structured, block.ede, category, text, old_days=self._old_days)
        elif self._age and block.reason is Reason.ORDER:
            text = f"{text}; {self._age}" if text else self._age
        return Outcome(answer, tally, ((block.ede, text),), note, expires)

    def rebinding(self, query: Query, transport: Transport, policy: EffectivePolicy, expires: int) -> Outcome:
        """A public name that led to a private address."""
        block = Block(Reason.REBINDING, "", _REBINDING_RULE, Ede.BLOCKED, REBINDING_TTL)
        return self.block(query, transport, block, policy, expires)

    def upstream_block(
        self, query: Query, transport: Transport, ttl: int, errors: Errors = UPSTREAM_BLOCK, expires: int = NEVER
    ) -> Outcome:
        """A block of the upstream, given on as our zero answer and counted apart."""
        answer = block_answer("zero", query.qtype, ttl, (), self._mname)
        if is_asked(query.edns, self._structured):
            errors = tuple((code, justify(self._structured, code, upstream=True)) for code, _ in errors)
        tally = self._tallies.upstream_block(transport, query.qtype, answer.rcode, self._upstreams)
        return Outcome(answer, tally, errors, Note("upstream", "", text_of(query.key), "upstream"), expires)

    def local(self, query: Query, transport: Transport, local: Local) -> Outcome:
        """Records of our own, or that there are none."""
        records = [(row.rtype, row.ttl, row.rdata) for row in local.records if row.rtype == query.qtype or query.qtype == Qtype.ANY]
        if not records and query.qtype != Qtype.CNAME:
            records = [(row.rtype, row.ttl, row.rdata) for row in local.records if row.rtype == Qtype.CNAME]
        answer = (
            local_answer(records) if records else negative_answer(Rcode.NOERROR if local.records else local.rcode, local.ttl, self._mname)
        )
        return Outcome(answer, self._tallies.plain(transport, query.qtype, answer.rcode))

    def rewrite(
        self, query: Query, transport: Transport, rewrite: Rewrite, addresses: Sequence[bytes], ttl: int, expires: int = NEVER
    ) -> Outcome:
        """An alias to the target of a rewrite with `addresses` behind it; only the types that lead to an address have something behind
        it. Other types get no data, except from a policy zone: its alias is there for every type.
        """
        width = _ADDRESS_WIDTH.get(query.qtype, 0)
        if width or query.qtype == Qtype.CNAME or query.qtype == Qtype.ANY or rewrite.reason is Reason.RPZ:
            behind = [(query.qtype, ttl, address) for address in addresses if len(address) == width]
            answer = alias_answer(wire_from_text(rewrite.target), ttl, behind)
        else:
            answer = negative_answer(Rcode.NOERROR, ttl, self._mname)
        if not rewrite.engine:
            return Outcome(answer, self._tallies.plain(transport, query.qtype, answer.rcode), expires=expires)
        # A client that shows structured errors is not to be told of a forged answer (draft, section 5.2).
        errors = _NO_ERRORS if is_asked(query.edns, self._structured) else _FORGED
        tally = self._tallies.rewritten(transport, query.qtype, answer.rcode, rewrite.engine)
        rule = rewrite.rule.text if rewrite.rule is not None else rewrite.engine
        return Outcome(answer, tally, errors, Note("rewritten", "", text_of(query.key), rule), expires)

    def fallback(self, query: Query, transport: Transport, rewrite: Rewrite) -> Outcome | None:
        """A rewrite whose target could not be resolved, answered with the addresses known for it; None when there are none at all."""
        addresses = _packed(rewrite.addresses)
        return self.rewrite(query, transport, rewrite, addresses, 60) if addresses else None


def _order_number(block: Block) -> str:
    """What the extended error says beside its code: the number of the order, so that whoever asked can look it up; of a protected
    category nothing (RFC 8914 §2: text for people, not to be parsed)."""
    if block.reason is not Reason.ORDER or block.category in PROTECTED_CATEGORIES:
        return ""
    return block.rule.text.removeprefix("order ").strip()[:LONGEST_NUMBER]


@lru_cache(maxsize=1024)
def _packed(addresses: tuple[str, ...]) -> tuple[bytes, ...]:
    """Addresses in text form, packed."""
    return tuple(ip_address(address).packed for address in addresses)
