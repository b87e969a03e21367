"""Structured errors: valid against the draft's rules, whoever asks, and nothing for those who do not."""

from __future__ import annotations

import json
from typing import Any

import dns.edns
import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.metrics import Counters
from gateway.outcomes import UPSTREAM_BLOCK, Outcomes
from gateway.policy.model import Band, Block, BlockSettings, Reason, Rewrite, Rule, RuleOrigin
from gateway.query import Edns, Query, Transport
from gateway.settings import StructuredSettings
from gateway.structured import is_asked, justify
from gateway.tallies import Tallies
from gateway.wire.compose import compose_reply
from gateway.wire.message import parse_query

SETTINGS = StructuredSettings(65300, ("tel:0123456789", "mailto:it@truong.example"), "Trường A", "vi")
CODES = (15, 16, 17)


def check_rules(code: int, text: str) -> dict[str, Any]:
    """The rules of the draft, section 4: returns the object."""
    pairs: list[tuple[str, Any]] = json.loads(text, object_pairs_hook=list)
    said = dict(pairs)
    assert len(said) == len(pairs), "no name twice"
    assert set(said) <= {"c", "j", "s", "o", "l"}
    assert any(said.get(name) for name in ("c", "j", "s"))
    assert all(uri.startswith(("tel:", "mailto:")) for uri in said.get("c", ()))
    assert "l" in said or not ("j" in said or "o" in said)
    assert text == json.dumps(said, ensure_ascii=False, separators=(",", ":")), "minified"
    if "s" in said:
        assert said["s"] in ({1, 2, 3, 4} if code in (15, 17) else set())
    return said


@given(
    st.sampled_from(CODES),
    st.sampled_from(["", "scam", "malware", "porn", "gamb", "game"]),
    st.text(max_size=64),
    st.booleans(),
    st.sampled_from(["vi", "en"]),
    st.booleans(),
)
def test_every_text_keeps_the_rules(code: int, category: str, number: str, upstream: bool, language: str, bare: bool) -> None:
    """Whatever is blocked, in both languages, with and without contacts; a category is never named."""
    settings = StructuredSettings(None, () if bare else SETTINGS.contact, "" if bare else "Trường A", language)
    said = check_rules(code, justify(settings, code, category, number, upstream))
    if code == 16 and not upstream:
        assert number in said["j"] and "s" not in said
    else:
        assert said["j"] == justify_without(settings, code, category, upstream), "a category is not named"


def justify_without(settings: StructuredSettings, code: int, category: str, upstream: bool) -> str:
    """The justification for another category of the same kind."""
    other = category if category in ("scam", "malware") else "weap"
    return str(json.loads(justify(settings, code, other, "", upstream))["j"])


@pytest.mark.parametrize(("others", "asked"), [((), False), ((15,), True), ((65300,), True), ((4242,), False), ((4242, 65300), True)])
def test_only_clients_that_ask_are_told(others: tuple[int, ...], asked: bool) -> None:
    """An empty EDE or the option of the settings."""
    assert is_asked(Edns(1232, plain=not others, others=others), SETTINGS) is asked
    assert not is_asked(None, SETTINGS)


def query(*options: dns.edns.Option, size: int = 1232) -> Query:
    """A question with these options."""
    read = parse_query(dns.message.make_query("www.example.com", "A", use_edns=0, payload=size, options=list(options)).to_wire())
    assert isinstance(read, Query)
    return read


def outcomes() -> Outcomes:
    """What answers, with these settings."""
    return Outcomes("lachan.internal", Tallies(Counters()), "several", SETTINGS)


class Policy:
    """What outcomes read of a policy."""

    block = BlockSettings()
    band = Band.TH
    site_class = "home"


POLICY: Any = Policy()
ORDER = Block(Reason.ORDER, "order", Rule(RuleOrigin.SYSTEM, Reason.ORDER, "order 12/QĐ-STTTT", source="x"), 16, 60)
SCAM = Block(Reason.LEGAL, "scam", Rule(RuleOrigin.MATRIX, Reason.LEGAL, "category scam", source="x"), 15, 10)
GROOM = Block(Reason.MATRIX, "groom", Rule(RuleOrigin.MATRIX, Reason.MATRIX, "category groom", source="x"), 17, 10)


def errors_of(asked: Query, block: Block, limit: int = 1232) -> list[tuple[int, str]]:
    """The extended errors that a client reads."""
    outcome = outcomes().block(asked, Transport.UDP, block, POLICY)
    reply = dns.message.from_wire(compose_reply(asked, outcome.answer, outcome.answer.body, limit, outcome.errors))
    return [(int(option.code), option.text or "") for option in reply.options if isinstance(option, dns.edns.EDEOption)]


def test_a_client_that_asks_is_told_why() -> None:
    """The order's number, the sub-error of a scam, and for a protected category nothing but who closed it."""
    asked = query(dns.edns.GenericOption(65300, b""))
    [(code, text)] = errors_of(asked, ORDER)
    assert code == 16 and check_rules(16, text)["j"] == "Chặn theo văn bản số 12/QĐ-STTTT"
    [(code, text)] = errors_of(asked, SCAM)
    said = check_rules(code, text)
    assert (code, said["s"], said["o"], said["l"]) == (15, 2, "Trường A", "vi")
    [(code, text)] = errors_of(asked, GROOM)
    assert check_rules(code, text)["j"] == "Chặn theo thiết lập của gia đình hoặc nhà trường"


def test_an_old_release_says_its_age_here_too() -> None:
    """Whoever asks for JSON reads how old the office's list is, as everybody else does; only for what an order closes."""
    old = outcomes()
    assert old.tell_age(20)
    asked = query(dns.edns.GenericOption(65300, b""))
    texts = {}
    for name, block in (("order", ORDER), ("scam", SCAM)):
        [(code, text)] = old.block(asked, Transport.UDP, block, POLICY).errors
        texts[name] = check_rules(code, text)["j"]
    assert texts["order"] == "Chặn theo văn bản số 12/QĐ-STTTT (danh sách 20 ngày chưa cập nhật)"
    assert "20" not in texts["scam"]


def test_everybody_else_gets_the_plain_error() -> None:
    """No JSON unasked; other unknown options change nothing."""
    assert errors_of(query(), ORDER) == [(16, "12/QĐ-STTTT")]
    assert errors_of(query(dns.edns.GenericOption(4242, b"x")), SCAM) == [(15, "")]


@pytest.mark.parametrize("limit", range(110, 330, 3))
def test_too_large_for_the_datagram_the_reason_goes_first(limit: int) -> None:
    """Then everything; the answer itself is never cut for the sake of a text."""
    asked = query(dns.edns.GenericOption(65300, b""))
    outcome = outcomes().block(asked, Transport.UDP, SCAM, POLICY)
    wire = compose_reply(asked, outcome.answer, outcome.answer.body, limit, outcome.errors)
    reply = dns.message.from_wire(wire)
    assert len(wire) <= limit and not reply.flags & 0x0200 and len(reply.answer) == 1
    [(code, text)] = errors_of(asked, SCAM, limit)
    said = check_rules(code, text) if text else {}
    assert code == 15 and ("j" in said) == ("o" in said) and (not said or (said["s"] == 2 and "c" in said))


def test_forged_answers_and_upstream_blocks() -> None:
    """A rewrite is not called forged to who shows structured errors; an upstream's block says that it is not ours."""
    asked = query(dns.edns.GenericOption(15, b""))
    made = outcomes()
    rewrite = Rewrite("forcesafesearch.google.com", "google", ("216.239.38.120",))
    assert made.rewrite(asked, Transport.UDP, rewrite, [b"\x01\x02\x03\x04"], 60).errors == ()
    assert made.rewrite(query(), Transport.UDP, rewrite, [b"\x01\x02\x03\x04"], 60).errors == ((4, ""),)
    [(code, text)] = made.upstream_block(asked, Transport.UDP, 60).errors
    assert check_rules(code, text)["j"].startswith("Nhà mạng")
    assert made.upstream_block(query(), Transport.UDP, 60).errors == UPSTREAM_BLOCK
