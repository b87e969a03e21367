"""Answer tables: sharing with the base, bounds, retirement, expiry."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.answers import ALWAYS, AnswerTable, AnswerTables, Entry, Note, Tally
from gateway.cache import Entry as Cached
from gateway.query import Answer, AnswerFacts, Transport

UDP = Transport.UDP


class Policy:
    """The part of an effective policy that tables look at."""

    def __init__(self, identity: int, base: int | None = None, names: frozenset[str] = frozenset(), **members: Any) -> None:
        self.id = identity
        self.base_id = identity if base is None else base
        self.own_names = names
        self.has_regex = members.get("has_regex", False)
        self.activity = members.get("activity", "off")
        self.valid_until = members.get("valid_until", float("inf"))

    def touches(self, key: str) -> bool:
        """Whether a personal rule may speak about the name."""
        return self.has_regex or any(key.startswith(name) for name in self.own_names)


def policy(*arguments: Any, **members: Any) -> Any:  # Any: stands in for an EffectivePolicy
    """A policy for tables."""
    return Policy(*arguments, **members)


def entry(key: str = "example.www.", **members: Any) -> Entry:
    """A finished reply of our own."""
    return Entry(b"reply" * 10, Tally(()), key, **members)


def answer(*ttls: int) -> Answer:
    """An upstream answer of addresses with these TTLs."""
    record = b"\xc0\x0c\0\1\0\1%b\0\4\1\2\3\4"
    body = b"".join(record % ttl.to_bytes(4, "big") for ttl in ttls)
    offsets = tuple(range(6, len(body), 16))
    return Answer(0, False, body, len(ttls), 0, offsets, ttls, ((len(body), len(ttls), 0),), AnswerFacts(), (), min(ttls))


def test_policies_without_personal_names_share_one_table() -> None:
    """Ten thousand children on one base have one table per transport."""
    tables = AnswerTables(1 << 20)
    first = tables.table(policy(1, 100), UDP)
    assert all(tables.table(policy(number, 100), UDP) is first for number in range(2, 50))
    assert tables.table(policy(1, 100), Transport.TCP) is not first
    assert tables.table(policy(1, 101), UDP) is not first


def test_personal_names_have_a_table_that_shares_the_rest() -> None:
    """A name no personal rule touches comes from the base's table; a touched one never does, in either direction."""
    tables = AnswerTables(1 << 20)
    base = tables.table(policy(1, 1), UDP)
    own = tables.table(policy(2, 1, frozenset({"example.mine."})), UDP)
    shared, touched = entry("example.www."), entry("example.mine.x.")
    tables.enter(base, b"shared", shared)
    tables.enter(base, b"touched", touched)
    assert tables.find_shared(own, b"shared", "example.www.") is shared
    assert own.answers[b"shared"] is shared
    assert tables.find_shared(own, b"touched", "example.mine.x.") is None
    tables.enter(own, b"personal", entry("example.mine."))
    assert b"personal" not in base.answers
    tables.enter(own, b"general", entry("example.other."))
    assert base.answers[b"general"] is own.answers[b"general"]


@pytest.mark.parametrize("members", [{"has_regex": True}, {"activity": "history", "names": frozenset({"a."})}])
def test_some_policies_share_nothing(members: dict[str, Any]) -> None:
    """A policy with an expression, or with a consented history, has a table of its own."""
    tables = AnswerTables(1 << 20)
    tables.table(policy(1, 1), UDP)
    assert tables.table(policy(2, 1, members.pop("names", frozenset()), **members), UDP).base is None


def test_second_sight_only() -> None:
    """A query seen once is not kept; seen again it is, also after thousands of others."""
    tables = AnswerTables(1 << 20)
    assert not tables.is_second_sight(b"query")
    assert tables.is_second_sight(b"query")
    for number in range(8000):
        tables.is_second_sight(str(number).encode())
    assert tables.is_second_sight(b"query")
    for number in range(20_000):
        tables.is_second_sight(f"more {number}".encode())
    assert not tables.is_second_sight(b"query")


def test_bytes_are_bounded_and_the_older_half_goes() -> None:
    """A flood of names never takes more than an eighth above the bound, and the older entries go first, in slices."""
    tables = AnswerTables(200_000)
    table = tables.table(policy(1), UDP)
    for number in range(5000):
        tables.enter(table, b"%d" % number, entry())
        assert tables.size <= 225_000 + 1000
        if tables.has_chores:
            tables.work()
    assert b"0" not in table.answers
    assert len(table.answers) > 50
    while tables.has_chores:
        tables.work()


def test_nothing_is_entered_while_there_is_no_room() -> None:
    """Above the bound new entries wait until older ones are gone; the size is right afterwards."""
    tables = AnswerTables(10_000)
    table = tables.table(policy(1), UDP)
    entered = [tables.enter(table, b"%d" % number, entry()) for number in range(100)]
    assert not all(entered)
    while tables.has_chores:
        tables.work()
    assert tables.enter(table, b"new", entry())
    for raw in list(table.answers):
        tables.remove(table, raw, table.answers[raw])
    assert tables.size == 0


def test_expired_entry_leaves_its_base_too() -> None:
    """What is no longer good is gone from every place it can be found again."""
    tables = AnswerTables(1 << 20)
    own = tables.table(policy(2, 1, frozenset({"example.mine."})), UDP)
    tables.enter(own, b"q", entry())
    tables.remove(own, b"q", own.answers[b"q"])
    assert own.base is not None
    assert not own.answers and not own.base.answers
    assert tables.size == 0


def test_retired_table_answers_nobody_until_its_policy_holds_again() -> None:
    """After a switch a table is silent at once; the same content brings its entries back, other content does not."""
    tables = AnswerTables(1 << 20)
    table = tables.table(policy(1), UDP)
    tables.enter(table, b"q", entry())
    tables.retire(lambda each: True)
    assert not table.is_current and not table.answers
    assert not tables.table(policy(2), UDP).answers
    again = tables.table(policy(1), UDP)
    assert b"q" in again.answers
    assert not table.is_current and not table.answers and table.valid_until == float("inf")


def test_table_ends_with_the_first_of_its_policies() -> None:
    """A shared table is retired when the first policy it serves ends, and lives on for the others once they are resolved again."""
    tables = AnswerTables(1 << 20)
    table = tables.table(policy(1, 9, valid_until=50.0), UDP)
    tables.table(policy(2, 9, valid_until=20.0), UDP)
    assert table.valid_until == 20.0
    tables.retire(lambda each: each.valid_until <= 20.0)
    assert not table.is_current
    again = tables.table(policy(1, 9, valid_until=50.0), UDP)
    assert again.is_current and again.valid_until == 50.0
    assert not table.is_current, "whoever has not been resolved again is not served by what the others brought back"


def test_base_retired_beneath_a_personal_table_comes_back_with_it() -> None:
    """Entering through a personal table whose base was retired puts the entry where it is found again."""
    tables = AnswerTables(1 << 20)
    own = tables.table(policy(2, 1, frozenset({"example.mine."}), valid_until=100.0), UDP)
    tables.table(policy(1, 1, valid_until=10.0), UDP)
    tables.retire(lambda each: each.valid_until <= 10.0)
    assert own.is_current
    tables.enter(own, b"q", entry())
    assert own.base is not None and own.base.is_current and b"q" in own.base.answers


def test_unused_tables_are_forgotten_with_their_memory() -> None:
    """Tables nobody refers to are dropped bit by bit; the base of a used one stays."""
    tables = AnswerTables(1 << 20)
    own = tables.table(policy(2, 1, frozenset({"example.mine."})), UDP)
    idle = tables.table(policy(3, 3), UDP)
    tables.enter(own, b"q", entry())
    for number in range(1000):
        tables.enter(idle, b"%d" % number, entry())
    tables.forget_unused({own})
    assert set(tables) == {own, own.base}
    assert tables.size < 2000
    assert not tables.enter(idle, b"late", entry())
    while tables.has_chores:
        tables.work()


def test_flush_of_a_name_takes_what_is_below_it() -> None:
    """A flushed name is gone with everything below it, from every table; the rest stays."""
    tables = AnswerTables(1 << 20)
    own = tables.table(policy(2, 1, frozenset({"example.mine."})), UDP)
    for raw, key in ((b"a", "com.example."), (b"b", "com.example.www."), (b"c", "com.other.")):
        tables.enter(own, raw, entry(key))
    assert tables.flush("com.example.") == 4
    assert set(own.answers) == {b"c"}
    tables.flush(None)
    assert not own.answers and tables.size == 0


def test_render_lowers_ttls_and_obeys_the_cap() -> None:
    """Each second's reply shows the TTLs of that second, at least one, at most the cap; zero stays zero."""
    cached = Cached.of(answer(300, 100, 0), 1000.5, 100, 0)
    reply = bytes(10) + b"question" + cached.answer.body
    made = Entry(reply, Tally(()), "example.", None, 1100, cached, 18, 250)

    def ttls(tail: bytes) -> list[int]:
        return [int.from_bytes(tail[18 + offset : 22 + offset], "big") for offset in cached.answer.ttl_offsets]

    assert ttls(made.render(1000)) == [250, 100, 0]
    assert ttls(made.render(1099)) == [201, 1, 0]
    assert made.second == 1099
    assert ttls(made.render(1400)) == [1, 1, 0]


def test_render_of_one_record_is_the_same() -> None:
    """A reply with one TTL says what it said while more is left than the cap, then what is left, and one when nothing is."""
    cached = Cached.of(answer(300), 1000.5, 300, 0)
    made = Entry(bytes(10) + b"question" + answer(60).body, Tally(()), "example.", None, 1300, cached, 18, 60)
    said = made.reply

    def ttl(tail: bytes) -> int:
        return int.from_bytes(tail[24:28], "big")

    assert made.render(1240) is said
    assert [ttl(made.render(second)) for second in (1241, 1299, 1300, 1900)] == [59, 1, 1, 1]
    assert made.second == 1900


def test_noted_entry_is_never_taken_for_rendered() -> None:
    """Every hit of a block or of a history goes the longer way, so that it is noted."""
    made = entry(note=Note("blocked", "gamb", "bet.example", "category gamb"))
    assert made.render(5) == made.reply
    assert made.second == ALWAYS


def test_table_is_made_for_its_policy() -> None:
    """A table says until when its policy holds."""
    assert AnswerTable((1, UDP), policy(1, valid_until=7.0), None).valid_until == 7.0
