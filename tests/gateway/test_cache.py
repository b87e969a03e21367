"""The cache of upstream answers: what is found, for how long, what goes when room is short; compared with a simple model."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway import cache as cache_module
from gateway.cache import AnswerCache, address_answer
from gateway.query import Answer, Edns, Key, Query, absence_key, name_in, question_key
from gateway.settings import CacheSettings
from gateway.upstreams import NetworkError, Overload, ServerFailure, Timeout
from gateway.wire.name import key_from_text, wire_from_text


def positive(ttl: int = 300, size: int = 16) -> Answer:
    """An answer with one record."""
    return Answer(0, False, bytes(size), 1, 0, (6,), (ttl,), ((size, 1, 0),), ttl=ttl)


def nodata(ttl: int = 300) -> Answer:
    """No record of this type, with an SOA."""
    return Answer(0, False, bytes(60), 0, 1, (6,), (ttl,), ((60, 0, 1),), ttl=ttl, negative=True)


def nxdomain(ttl: int = 300) -> Answer:
    """No such name, with an SOA."""
    return nodata(ttl)._replace(rcode=3)


def key(name: str = "www.example", qtype: int = 1, *, do: bool = False, cd: bool = False, group: int = 0) -> Key:
    """The key of a question."""
    return wire_from_text(name) + qtype.to_bytes(2, "big") + bytes((do + 2 * cd,)) + group.to_bytes(2, "big")


@pytest.fixture
def make_cache() -> Callable[..., AnswerCache]:
    """A cache with the given settings."""
    return lambda **kwargs: AnswerCache(CacheSettings(**kwargs))


Make = Callable[..., AnswerCache]


def test_put_then_get_until_the_ttl_ends(make_cache: Make) -> None:
    """An answer is found until its TTL has passed, and its age is what must be taken off the TTLs."""
    cache = make_cache()
    cache.put(key(), positive(60), 1000.0)
    entry = cache.get(key(), 1059.9)
    assert entry is not None and entry.age(1059.9) == 59
    assert cache.get(key(), 1060.0) is None


@pytest.mark.parametrize("other", [key("other.example"), key(qtype=28), key(do=True), key(cd=True), key(group=1)])
def test_key_separates_what_may_differ(make_cache: Make, other: Key) -> None:
    """Name, type, DO, CD and upstream group each have their own answer: one route's data never reaches another."""
    cache = make_cache()
    cache.put(key(), positive(), 0.0)
    assert cache.get(other, 1.0) is None


def test_key_reads_a_query() -> None:
    """The key of a query ignores its letter case, id, cookies and transport, and keeps DO and CD."""
    wire = wire_from_text("www.example")
    edns = Edns(4096, do=True, cookie=b"12345678")
    query = Query(7, 0x0110, wire, key_from_text("www.example"), 28, b"\x03WwW\x07example\0\0\x1c\0\1", edns)
    assert question_key(query, 2) == wire + b"\0\x1c" + b"\3" + b"\0\2"
    assert question_key(query._replace(edns=None, flags=0x0100), 0) == wire + b"\0\x1c" + b"\0" + b"\0\0"


def test_nxdomain_holds_for_every_type(make_cache: Make) -> None:
    """NXDOMAIN for one type answers all types of the name (RFC 2308 §5), and a later answer ends it."""
    cache = make_cache()
    cache.put(key(), nxdomain(60), 0.0)
    entry = cache.get(key(qtype=28), 59.0)
    assert entry is not None and entry.answer.rcode == 3
    assert cache.get(key("sub.www.example"), 1.0) is None
    assert cache.get(key(qtype=28, group=1), 1.0) is None
    cache.put(key(qtype=28), positive(), 10.0)
    assert cache.get(key(), 11.0) is None


def test_nodata_holds_for_its_type_only(make_cache: Make) -> None:
    """NODATA says nothing about other types."""
    cache = make_cache()
    cache.put(key(qtype=28), nodata(), 0.0)
    assert cache.get(key(qtype=28), 1.0) is not None
    assert cache.get(key(), 1.0) is None


def test_nxdomain_behind_an_alias_holds_for_its_type_only(make_cache: Make) -> None:
    """NXDOMAIN at the end of a chain concerns the target, not the name asked."""
    cache = make_cache()
    cache.put(key(), nxdomain()._replace(an=1), 0.0)
    assert cache.get(key(), 1.0) is not None
    assert cache.get(key(qtype=28), 1.0) is None


def test_ttl_zero_is_returned_and_not_kept(make_cache: Make) -> None:
    """An answer without time to live serves the question it came for and no other."""
    cache = make_cache()
    assert cache.put(key(), positive(0), 0.0).answer.an == 1
    assert len(cache) == 0 and cache.bytes == 0


def test_negative_without_soa_is_kept_for_seconds_only(make_cache: Make) -> None:
    """Without an SOA there is no negative TTL: five seconds."""
    cache = make_cache()
    cache.put(key(), Answer(3, False, b"", 0, 0, (), (), (), negative=True), 0.0)
    assert cache.get(key(), 4.9) is not None
    assert cache.get(key(), 5.0) is None


def test_ttl_is_capped_at_a_day(make_cache: Make) -> None:
    """A TTL of a week is kept for a day."""
    cache = make_cache()
    cache.put(key(), positive(604800), 0.0)
    assert cache.get(key(), 86399.0) is not None
    assert cache.get(key(), 86400.0) is None


def test_stale_is_given_until_its_limit(make_cache: Make) -> None:
    """Past its end an answer may be given for `stale_max` seconds when asked for as stale."""
    cache = make_cache(stale_max=100)
    cache.put(key(), positive(60), 0.0)
    assert cache.get(key(), 61.0) is None
    assert cache.stale(key(), 159.0) is not None
    assert cache.stale(key(), 160.0) is None


def test_stale_is_off_when_settings_say_so(make_cache: Make) -> None:
    """`serve_stale: false` gives nothing past its end."""
    cache = make_cache(serve_stale=False)
    cache.put(key(), positive(60), 0.0)
    assert cache.stale(key(), 61.0) is None


def test_stale_never_outlives_an_nxdomain(make_cache: Make) -> None:
    """Once a refresh said NXDOMAIN, the old address is never given again, for no type of the name (RFC 8767 §4)."""
    cache = make_cache()
    cache.put(key(), positive(60), 0.0)
    cache.put(key(qtype=28), positive(60), 0.0)
    cache.put(key(), nxdomain(60), 100.0)
    for qtype in (1, 28):
        entry = cache.stale(key(qtype=qtype), 200.0)
        assert entry is not None and entry.answer.rcode == 3


def test_refresh_failure_never_lengthens_an_answer(make_cache: Make) -> None:
    """A failed refresh leaves the entry's end where it was (ghost domains)."""
    cache = make_cache()
    cache.put(key(), positive(60), 0.0)
    cache.put_failure(key(), ServerFailure(), 59.0)
    assert cache.get(key(), 60.0) is None


def test_prefetch_is_wanted_once_by_popular_entries(make_cache: Make) -> None:
    """In the last tenth of its life an entry with hits is fetched ahead, by one caller; a failed fetch may be tried again."""
    cache = make_cache()
    cache.put(key(), positive(100), 0.0)
    for now in (1.0, 2.0):
        entry = cache.get(key(), now)
    assert entry is not None
    assert not entry.wants_prefetch(89.0)
    assert entry.wants_prefetch(90.0)
    assert not entry.wants_prefetch(90.0)
    cache.put_failure(key(), Overload(), 91.0)
    assert cache.failure(key(), 91.0) is None
    assert entry.wants_prefetch(92.0)


def test_prefetch_is_not_wanted_by_lonely_or_short_entries(make_cache: Make) -> None:
    """One hit, or a life of seconds, is not worth a fetch ahead; hits from the table of finished replies count."""
    cache = make_cache()
    cache.put(key(), positive(100), 0.0)
    cache.put(key("short.example"), positive(5), 0.0)
    lonely, short = cache.get(key(), 1.0), cache.get(key("short.example"), 1.0)
    assert lonely is not None and short is not None
    short.hits = 50
    assert not lonely.wants_prefetch(95.0) and not short.wants_prefetch(4.9)
    cache.touch(lonely, 30)
    assert lonely.wants_prefetch(95.0)


def test_failures_are_remembered_longer_in_a_row(make_cache: Make) -> None:
    """SERVFAIL keeps a question back for 1, 2, 4 … seconds, at most a minute; a good answer ends it."""
    cache = make_cache()
    now, waits = 0.0, []
    for _ in range(9):
        cache.put_failure(key(), ServerFailure(), now)
        start = now
        while cache.failure(key(), now) is not None:
            now += 0.5
        waits.append(now - start)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    cache.put_failure(key(), ServerFailure(), now)
    cache.put(key(), positive(1), now)
    assert cache.failure(key(), now) is None


def test_network_failures_last_a_second_and_are_forgiven(make_cache: Make) -> None:
    """Trouble in the network keeps a question back for one second however often, and not at all once an upstream is back."""
    cache = make_cache()
    for _ in range(5):
        cache.put_failure(key(), Timeout(), 10.0)
    cache.put_failure(key("a.example"), ServerFailure(), 10.0)
    cache.put_failure(key("b.example"), NetworkError(), 10.0)
    assert cache.failure(key(), 10.9) is not None
    assert cache.failure(key(), 11.0) is None
    cache.forgive()
    assert cache.failure(key("b.example"), 10.5) is None
    assert cache.failure(key("a.example"), 10.5) is not None


def test_failures_of_one_group_do_not_reach_another(make_cache: Make) -> None:
    """A failure under one route says nothing about another upstream."""
    cache = make_cache()
    cache.put_failure(key(group=1), ServerFailure(), 0.0)
    assert cache.failure(key(group=0), 0.5) is None


def test_failures_are_bounded(make_cache: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of failing names fills no memory; the newest are kept."""
    monkeypatch.setattr(cache_module, "MAX_FAILURES", 10)
    cache = make_cache()
    for number in range(50):
        cache.put_failure(key(f"w{number}.example"), Timeout(), 0.0)
    kept = [number for number in range(50) if cache.failure(key(f"w{number}.example"), 0.5) is not None]
    assert kept == list(range(40, 50))


def test_entries_in_use_survive_a_flood(make_cache: Make) -> None:
    """Names that are asked again and again stay while thousands of names asked once pass through (random subdomain flood)."""
    cache = make_cache(entries=500)
    popular = [key(f"p{number}.example") for number in range(100)]
    for name in popular:
        cache.put(name, positive(86400), 0.0)
    found = 0
    for number in range(20_000):
        cache.put(key(f"r{number}.flood.example"), nxdomain(300), 1.0)
        if number % 2 == 0:
            found += cache.get(popular[number // 2 % 100], 1.0) is not None
    assert found >= 9_500
    assert len(cache) <= 500


def test_bytes_are_bounded_by_large_answers(make_cache: Make) -> None:
    """Large answers push out as much as they need; one larger than a sixteenth of the cache is not kept at all."""
    cache = make_cache(bytes=1_000_000)
    for number in range(400):
        cache.put(key(f"w{number}.example"), positive(300, size=20_000), 0.0)
    assert 900_000 <= cache.bytes <= 1_000_000
    before = len(cache)
    cache.put(key("huge.example"), positive(300, size=65_000), 0.0)
    assert cache.get(key("huge.example"), 0.0) is None and len(cache) == before
    assert cache.evicted > 300


def test_cache_of_no_entries_keeps_nothing(make_cache: Make) -> None:
    """`cache.entries: 0` turns the cache off."""
    cache = make_cache(entries=0)
    cache.put(key(), positive(), 0.0)
    assert cache.get(key(), 0.0) is None


@pytest.mark.parametrize(
    ("flushed", "left"),
    [
        (None, []),
        ("example.org", ["www.example", "a.www.example", "xwww.example"]),
        ("www.example", ["xwww.example", "example.org"]),
        ("a.www.example", ["www.example", "xwww.example", "example.org"]),
        (".", []),
    ],
)
def test_flush_forgets_a_name_and_what_is_below(make_cache: Make, flushed: str | None, left: list[str]) -> None:
    """`flush` takes a name with everything below it, NXDOMAIN and failures included, or everything."""
    cache = make_cache()
    names = ["www.example", "a.www.example", "xwww.example", "example.org"]
    for name in names:
        cache.put(key(name), nxdomain() if name.startswith("a.") else positive(), 0.0)
        cache.put_failure(key(name, 28), ServerFailure(), 0.0)
    assert cache.flush(None if flushed is None else key_from_text(flushed)) == 4 - len(left)
    assert [name for name in names if cache.get(key(name), 0.5) is not None] == left
    assert [name for name in names if cache.failure(key(name, 28), 0.5) is not None] == left
    if not left:
        assert cache.bytes == 0


def test_flushed_entries_are_freed_in_slices(make_cache: Make) -> None:
    """A flush of a full cache stalls nobody, and later insertions free what it left."""
    cache = make_cache(entries=20_000)
    for number in range(20_000):
        cache.put(key(f"w{number}.example"), positive(), 0.0)
    assert cache.flush() == 20_000
    assert sum(map(len, cache._flushed)) == 20_000, "freeing them at once would stall every client"
    for number in range(1000):
        cache.put(key(f"w{number}.example"), positive(), 0.0)
    assert not cache._flushed


class CacheModel(RuleBasedStateMachine):
    """The cache against a plain dictionary that never evicts: what the cache gives must be what the model holds; bounds always hold."""

    names = st.sampled_from([f"w{number}.example" for number in range(12)] + ["a.w1.example", "a.w2.example"])
    qtypes = st.sampled_from([1, 28])
    groups = st.sampled_from([0, 1])

    def __init__(self) -> None:
        super().__init__()
        self.cache = AnswerCache(CacheSettings(entries=8, bytes=1_000_000, stale_max=50))
        self.now = 0.0
        self.model: dict[Key, tuple[float, Answer]] = {}
        self.absent: dict[Key, tuple[float, Answer]] = {}

    def expected(self, asked: Key, grace: float = 0.0) -> list[Answer]:
        own = self.model.get(asked)
        absent = self.absent.get(absence_key(asked))
        found = [held for held in (own, absent) if held is not None and self.now < held[0] + min(held[1].ttl, 86400) + grace]
        return [held[1] for held in found]

    @rule(name=names, qtype=qtypes, group=groups, ttl=st.integers(0, 40), kind=st.sampled_from(["positive", "nodata", "nxdomain"]))
    def put(self, name: str, qtype: int, group: int, ttl: int, kind: str) -> None:
        asked = key(name, qtype, group=group)
        answer = {"positive": positive, "nodata": nodata, "nxdomain": nxdomain}[kind](ttl)
        self.cache.put(asked, answer, self.now)
        absent = absence_key(asked)
        if kind == "nxdomain":
            self.model.pop(asked, None)
            self.absent[absent] = (self.now, answer)
        else:
            self.absent.pop(absent, None)
            self.model[asked] = (self.now, answer)

    @rule(name=names, group=groups, ttl=st.integers(1, 100_000))
    def put_addresses(self, name: str, group: int, ttl: int) -> None:
        asked = key(name, group=group)
        body = b"\xc0\x0c\0\1\0\1" + ttl.to_bytes(4, "big") + b"\0\4\xc6\x33\x64\1"
        self.cache.put_addresses(asked, absence_key(asked), body, ttl, self.now)
        self.absent.pop(absence_key(asked), None)
        self.model[asked] = (self.now, address_answer(body, ttl))

    @rule(name=names, qtype=qtypes, group=groups)
    def get(self, name: str, qtype: int, group: int) -> None:
        asked = key(name, qtype, group=group)
        entry = self.cache.get(asked, self.now)
        if entry is not None:
            assert entry.answer in self.expected(asked)
            assert 0 <= entry.age(self.now) <= entry.answer.ttl

    @rule(name=names, qtype=qtypes, group=groups)
    def stale(self, name: str, qtype: int, group: int) -> None:
        asked = key(name, qtype, group=group)
        entry = self.cache.stale(asked, self.now)
        if entry is not None:
            assert entry.answer in self.expected(asked, grace=50.0)
            absent = self.absent.get(absence_key(asked))
            known = self.cache._absences.get(absence_key(asked))
            if absent is not None and known is not None and known.stored >= entry.stored:
                assert entry.answer.rcode == 3

    @rule(seconds=st.floats(0.1, 30.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(name=names)
    def flush(self, name: str) -> None:
        self.cache.flush(key_from_text(name))
        wire = wire_from_text(name)
        self.model = {asked: held for asked, held in self.model.items() if not name_in(asked).endswith(wire)}
        self.absent = {asked: held for asked, held in self.absent.items() if not name_in(asked).endswith(wire)}
        assert all(self.cache.get(key(name, qtype), self.now) is None for qtype in (1, 28))

    @precondition(lambda self: len(self.model) > 3)
    @rule()
    def flush_all(self) -> None:
        self.cache.flush()
        self.model.clear()
        self.absent.clear()

    @invariant()
    def bounds_hold(self) -> None:
        assert len(self.cache) <= 8
        held = (*self.cache._entries.items(), *self.cache._absences.items())
        assert self.cache.bytes == sum(cache_module._size(*each) for each in held)


CacheModel.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_cache_agrees_with_a_simple_model = CacheModel.TestCase


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5000)), max_size=60), st.integers(16_000, 60_000))
@settings(deadline=None, max_examples=60)
def test_bytes_never_pass_their_bound(puts: list[tuple[int, int]], bound: int) -> None:
    """Whatever is stored in whatever order, the bytes counted are those held and never more than allowed."""
    cache = AnswerCache(CacheSettings(entries=1000, bytes=bound))
    for number, size in puts:
        cache.put(key(f"w{number}.example"), positive(300, size), 0.0)
        assert cache.bytes <= bound
        assert cache.bytes == sum(entry.size for entry in cache._entries.values())
