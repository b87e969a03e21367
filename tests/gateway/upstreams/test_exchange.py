"""The message an exchange sends: built by slicing, read back with dnspython."""

from __future__ import annotations

import dns.edns
import dns.flags
import dns.message
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.query import question_key
from gateway.upstreams.exchange import Exchange
from tests.gateway.upstreams.conftest import make_query


def exchange_for(name: str, qtype: str = "A", *, do: bool = False, cd: bool = False) -> Exchange:
    query = make_query(name, qtype, do=do, cd=cd)
    return Exchange(question_key(query, 0), query, 0, 0.0, None)


labels = st.text("abcXYZ019-_", min_size=1, max_size=20)


@settings(deadline=None)
@given(st.lists(labels, min_size=1, max_size=8), st.sampled_from(["A", "AAAA", "HTTPS", "TYPE65280"]), st.booleans(), st.booleans())
def test_message_asks_exactly_the_question(parts: list[str], qtype: str, do: bool, cd: bool) -> None:
    """Name in the client's case, type, RD, DO and CD as asked, one OPT without options."""
    name = ".".join(parts)
    message = dns.message.from_wire(b"\x12\x34" + exchange_for(name, qtype, do=do, cd=cd).tail)
    assert message.question[0].name.to_text(omit_final_dot=True) == name
    assert message.flags == dns.flags.RD | (dns.flags.CD if cd else 0)
    assert (message.edns, message.payload, bool(message.ednsflags & dns.flags.DO), message.options) == (0, 1232, do, ())


@settings(deadline=None)
@given(st.lists(labels, min_size=1, max_size=8), st.booleans())
def test_padded_message_fills_whole_blocks(parts: list[str], do: bool) -> None:
    """Towards encrypted upstreams every message is a multiple of 128 octets with its prefix id, and says nothing more."""
    message = b"\0\0" + exchange_for(".".join(parts), do=do).padded()
    assert len(message) % 128 == 0
    read = dns.message.from_wire(message)
    assert [option.otype for option in read.options] == [dns.edns.OptionType.PADDING]
    assert not read.options[0].to_wire().strip(b"\0")
    assert bool(read.ednsflags & dns.flags.DO) == do


def test_fold_sends_lower_case_later() -> None:
    """A repeated message asks in lower case and expects lower case back."""
    exchange = exchange_for("WwW.Example")
    assert b"WwW" in exchange.tail and b"WwW" in exchange.question
    exchange.fold()
    assert exchange.question == b"\x03www\x07example\0\0\x01\0\x01"
    assert exchange.question in exchange.tail


@pytest.mark.parametrize("do", [False, True])
def test_bare_message_has_no_opt(do: bool) -> None:
    """For servers without EDNS the OPT record is left out, also where padding is usual."""
    exchange = exchange_for("www.example", do=do)
    exchange.drop_edns()
    for tail in (exchange.tail, exchange.padded()):
        assert dns.message.from_wire(b"\0\0" + tail).edns == -1
    exchange.fold()
    assert dns.message.from_wire(b"\0\0" + exchange.tail).edns == -1


def test_finished_exchange_holds_nothing() -> None:
    """What stays registered at a socket for late answers is small and keeps nobody alive."""
    exchange = exchange_for("www.example")
    exchange.done = lambda outcome: None
    exchange.waiters = [exchange.done]
    exchange.finish()
    assert (exchange.done, exchange.waiters, exchange.slow) == (None, None, None)
    assert not (exchange.tail or exchange.tried or exchange.decliners or exchange.evidence)
