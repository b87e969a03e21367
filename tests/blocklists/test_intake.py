"""Which copy of a source is used: the newest that may be, else the last good one, and always with the reason."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from blocklists.copies import Copies
from blocklists.fetch import Validators
from blocklists.guard import ChangeLimits, Guard
from blocklists.intake import Arrival, ErrorLimits, Intake, Taken
from blocklists.parsers import Options
from blocklists.rejections import Reason
from blocklists.sources import Source
from gateway.errors import FetchError

CATALOGUE: dict[str, Any] = {"categories": [{"code": "gamb", "tier": "H"}]}
URL = "https://lists.example/l"
REMOTE = Source("far", "category", "gamb", url=URL)
LOST = FetchError("network", "mất mạng", "no network")
HTML = "<!DOCTYPE html>\n<html><body>\nplease sign in\n</body></html>\n"


class Bench:
    """An intake over a state directory, with moments that go on."""

    def __init__(self, folder: Path) -> None:
        self.state_dir = folder
        self.own = folder / "own.txt"
        self.now = 1000

    def take(self, source: Source, arrival: Arrival | None = None) -> Taken:
        """One preparation's look at a source, a minute after the last."""
        self.now += 60
        limits = ChangeLimits(share=0.5, floor=10, jump=1000)
        return Intake(self.state_dir, Guard.of(CATALOGUE), CATALOGUE, self.now, ErrorLimits(), limits).take(source, arrival)

    def arrive(self, lines: Iterable[str], etag: str = '"1"') -> Taken:
        """A new candidate came in for the subscription."""
        copies = Copies(self.state_dir, REMOTE.id)
        copies.folder.mkdir(parents=True, exist_ok=True)
        copies.candidate.write_text("".join(f"{line}\n" for line in lines))
        return self.take(REMOTE, Arrival(changed=True, validators=Validators(etag)))

    def write(self, text: str) -> Taken:
        """The operator wrote a file, and it is read."""
        self.own.write_text(text)
        return self.take(Source("own", "category", "gamb", path=self.own))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def _names(taken: Taken) -> set[str]:
    return {key for part in taken.parts for keys in part.batches.values() for key in keys}


def _many(count: int, start: int = 0) -> list[str]:
    return [f"n{number}.example" for number in range(start, start + count)]


def test_subscription_that_came_in_is_used_and_kept(bench: Bench) -> None:
    """A first copy is taken as it is; the next preparation has it without a fetch."""
    taken = bench.arrive(["a.example", "192.0.2.1"])
    assert _names(taken) == {"example.a."}
    assert (taken.report.state, taken.report.format, taken.report.fetched_at) == ("fresh", "domains", 1060)
    assert taken.counts == {"ip_only": 1} and taken.report.by_category == {"gamb": 1}
    again = bench.take(REMOTE)
    assert _names(again) == {"example.a."} and again.report.state == "fresh" and again.report.fetched_at == 1060
    about = Copies(bench.state_dir, "far").about()
    assert (about.origin, about.entries, about.validators) == (URL, 1, Validators('"1"'))


def test_subscription_never_fetched_is_reported_missing(bench: Bench) -> None:
    """A list that is not there yet weakens the protection, so the report says so; its row stands in the index, empty."""
    taken = bench.take(REMOTE)
    assert (taken.report.state, taken.report.entries) == ("missing", 0) and taken.report.problem
    assert [part.row.id for part in taken.parts] == ["far"]


def test_failed_fetch_keeps_the_last_good_copy(bench: Bench) -> None:
    """Without a network yesterday's list protects on, and the reason is told until a fetch succeeds."""
    bench.arrive(["a.example"])
    taken = bench.take(REMOTE, Arrival(error=LOST))
    assert _names(taken) == {"example.a."} and taken.report.state == "kept"
    assert taken.report.problem is not None and taken.report.problem.en == "no network"
    assert bench.take(REMOTE).report.state == "kept"
    assert Copies(bench.state_dir, "far").about().failures == 1
    recovered = bench.take(REMOTE, Arrival(validators=Validators('"1"')))
    assert (recovered.report.state, recovered.report.checked_at) == ("fresh", bench.now)


def test_page_of_html_in_place_of_a_list_is_refused(bench: Bench) -> None:
    """A sign-in page, an error page: the last good copy stays, also at the next look, and is not asked for again."""
    bench.arrive(["a.example"])
    taken = bench.arrive(HTML.split("\n"), '"2"')
    assert _names(taken) == {"example.a."} and taken.report.state == "kept"
    assert taken.report.problem is not None and "mistakes" in taken.report.problem.en
    assert bench.take(REMOTE).report.state == "kept"
    assert Copies(bench.state_dir, "far").about().validators == Validators('"2"')
    assert not Copies(bench.state_dir, "far").candidate.exists()


def test_first_copy_that_is_refused_leaves_nothing(bench: Bench) -> None:
    """Before there was a good copy, a bad one gives nothing and says so."""
    taken = bench.arrive(HTML.split("\n"))
    assert (_names(taken), taken.report.state) == (set(), "refused") and taken.report.problem
    assert bench.take(REMOTE).report.state == "refused"


@pytest.mark.parametrize(("good", "bad", "state"), [(95, 5, "fresh"), (94, 6, "kept"), (4, 2, "fresh"), (0, 1, "kept")])
def test_share_of_mistakes_decides(bench: Bench, good: int, bad: int, state: str) -> None:
    """More than one line in twenty wrong refuses a copy; one or two typos in a short list do not."""
    bench.arrive(_many(10 if good > 50 else 4, 500))
    lines = [*_many(good), *["not a name"] * bad]
    bench.now += 1
    limits = ChangeLimits(share=100.0, floor=10, jump=10_000)
    copies = Copies(bench.state_dir, REMOTE.id)
    copies.candidate.write_text("\n".join(lines))
    intake = Intake(bench.state_dir, Guard.of(CATALOGUE), CATALOGUE, bench.now, ErrorLimits(), limits)
    assert intake.take(REMOTE, Arrival(changed=True)).report.state == state


def test_sudden_change_waits_for_a_person_who_may_agree(bench: Bench) -> None:
    """A list that halves overnight is held: the old copy protects on until somebody agrees, then the new one is used."""
    bench.arrive(_many(40))
    held = bench.arrive(_many(10), '"2"')
    assert len(_names(held)) == 40 and held.report.state == "held"
    assert held.report.problem is not None and "40" in held.report.problem.en
    assert bench.take(REMOTE, Arrival(validators=Validators('"2"'))).report.state == "held"
    agreed = Copies(bench.state_dir, "far").agree()
    assert agreed is not None and agreed.entries == 10
    taken = bench.take(REMOTE)
    assert len(_names(taken)) == 10 and taken.report.state == "fresh" and taken.report.problem is None
    assert len(_names(bench.take(REMOTE))) == 10


def test_held_copy_is_forgotten_when_the_good_one_comes_back(bench: Bench) -> None:
    """The publisher repaired the list: nothing waits any more."""
    bench.arrive(_many(40))
    assert bench.arrive(_many(10)).report.state == "held"
    assert bench.take(REMOTE, Arrival(is_good=True, validators=Validators('"3"'))).report.state == "fresh"
    assert Copies(bench.state_dir, "far").agree() is None


def test_other_address_of_the_same_list_is_not_compared(bench: Bench) -> None:
    """Who points a list at another publisher expects other numbers."""
    bench.arrive(_many(40))
    copies = Copies(bench.state_dir, "far")
    copies.candidate.write_text("a.example\n")
    moved = Source("far", "category", "gamb", url="https://other.example/l")
    assert bench.take(moved, Arrival(changed=True)).report.state == "fresh"


def test_own_file_is_used_as_it_is(bench: Bench) -> None:
    """What the operator writes holds at once, however much it changes."""
    assert bench.write("a.example\n").report.state == "fresh"
    taken = bench.write("\n".join(_many(5000)))
    assert (taken.report.state, taken.report.entries) == ("fresh", 5000)
    assert bench.write("# nothing any more\n").report.entries == 0


def test_own_file_with_a_typo_is_used_with_the_typo_reported(bench: Bench) -> None:
    """One wrong line costs itself."""
    taken = bench.write("a.example\nb..example\n")
    assert _names(taken) == {"example.a."} and taken.report.state == "fresh"
    assert taken.report.examples[Reason.EMPTY_LABEL][0].line == 2


@pytest.mark.parametrize("text", ["", HTML])
def test_own_file_that_was_destroyed_keeps_the_copy_before(bench: Bench, text: str) -> None:
    """Cut to nothing, or overwritten by something else: the protection does not silently go."""
    bench.write("a.example\nb.example\n")
    taken = bench.write(text)
    assert _names(taken) == {"example.a.", "example.b."} and taken.report.state == "kept" and taken.report.problem
    assert bench.write("c.example\n").report.state == "fresh"


def test_own_file_that_is_gone_keeps_the_copy_before(bench: Bench) -> None:
    """A missing file is a fault, not an empty list; without a copy it is reported as missing."""
    own = Source("own", "category", "gamb", path=bench.own)
    assert bench.take(own).report.state == "missing"
    bench.write("a.example\n")
    bench.own.unlink()
    taken = bench.take(own)
    assert _names(taken) == {"example.a."} and taken.report.state == "kept"
    assert taken.report.problem is not None and str(bench.own) in taken.report.problem.en


def test_first_own_file_of_mistakes_gives_what_it_can_and_says_so(bench: Bench) -> None:
    """Half a list protects more than none."""
    taken = bench.write("a.example\n" + "not a name\n" * 5)
    assert _names(taken) == {"example.a."} and taken.report.problem
    assert bench.take(Source("own", "category", "gamb", path=bench.own)).report.problem


def test_policy_zone_cut_short_keeps_the_rules_before(bench: Bench) -> None:
    """A zone file that turned into something else does not empty the zone."""
    zone = Source("rpz:z", "rpz", path=bench.own, format="rpz", options=Options(zone="z.example"), rpz={"zone": "z.example"})
    bench.own.write_text("$TTL 60\n@ SOA . . 1 1 1 1 1\nbad.example CNAME .\n")
    assert bench.take(zone).report.entries == 1
    bench.own.write_text("<html>\n<body>\nerror\n")
    taken = bench.take(zone)
    assert (taken.report.state, taken.report.entries) == ("kept", 1)


def test_policy_zone_is_held_to_more_than_a_list(bench: Bench) -> None:
    """Without its SOA, or with one bad record in ten, the copy before stays; a single bad record among many is skipped and said."""
    zone = Source("rpz:z", "rpz", path=bench.own, format="rpz", options=Options(zone="z.example"), rpz={"zone": "z.example"})
    head, rules = "$TTL 60\n@ SOA . . 1 1 1 1 1\n", "".join(f"n{number}.example CNAME .\n" for number in range(100))
    bench.own.write_text(head + rules)
    assert (bench.take(zone).report.entries, bench.take(zone).report.problem) == (100, None)
    for broken, why in ((rules + "more.example CNAME .\n", "SOA"), (head + rules + "x.example A none\n" * 12, "12 of 112 lines")):
        bench.own.write_text(broken)
        taken = bench.take(zone)
        assert (taken.report.state, taken.report.entries) == ("kept", 100)
        assert taken.report.problem is not None and why in taken.report.problem.en
    bench.own.write_text(head + rules + "more.example CNAME .\nx.example A none\n")
    taken = bench.take(zone)
    assert (taken.report.state, taken.report.entries) == ("fresh", 101)
    assert taken.report.problem is not None and "1 records of the zone cannot be read" in taken.report.problem.en


def test_list_without_a_usable_entry_is_reported(bench: Bench) -> None:
    """A list that gives nothing protects nobody, and somebody should know."""
    taken = bench.write("192.0.2.1\n")
    assert taken.report.problem is not None and taken.counts == {"ip_only": 1}
