"""A category as a policy zone: it closes what the gateway closes by that category, and says where its names are from."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from blocklists import categorybuild
from blocklists.categorybuild import CLOSED_TO_ZONES, build, may_be_passed_on, next_serial
from blocklists.categoryzone import CategoryZone, Offer, State, folder_of
from gateway import release
from gateway.policy.index import ListIndex
from gateway.policy.model import Band, Block
from gateway.policy.snapshot import Snapshot
from gateway.wire.name import key_from_text
from tests.support.catalogue import make_catalogue
from tests.support.generation import START, Json, action, amend, category, good, make_generation, policy, profile
from tests.support.zonerecords import answer_of, read_records

BANDS = frozenset({Band.TH})
ZONE = "porn.rpz.test"
LABELS = ("a", "b", "c", "time", "status", "help", "example", "z-1")


def offer(code: str = "porn", **more: frozenset[str]) -> Offer:
    """A zone of a category for primary schools."""
    return Offer(ZONE, code, BANDS, **more)


def made(state_dir: Path, wanted: Offer | None = None, now: float = START) -> State:
    """Build, and the state."""
    state = build(state_dir, wanted or offer(), now)
    assert state is not None
    return state


def rules(state_dir: Path, state: State) -> dict[str, str]:
    """Owner below the zone → data, of the rules of the newest serial; texts apart."""
    zone = CategoryZone(ZONE, folder_of(state_dir, ZONE), state)
    records = read_records(zone.origin, zone.whole())
    assert [kind for _, kind, _ in (records[0], records[1], records[-1])] == ["SOA", "NS", "SOA"]
    found = {name.relativize(zone.origin).to_text(): data for name, kind, data in records if kind == "CNAME"}
    assert len(found) == sum(kind == "CNAME" for _, kind, _ in records), "no rule twice"
    return found


def texts(state_dir: Path, state: State) -> list[str]:
    """What the zone says about itself."""
    zone = CategoryZone(ZONE, folder_of(state_dir, ZONE), state)
    return [data for name, kind, data in read_records(zone.origin, zone.whole()) if kind == "TXT" and "_sources" in name.to_text()]


def test_names_of_the_category_and_no_others_are_closed(tmp_path: Path) -> None:
    """A name for itself and what is below it; a name below a listed one needs no rule of its own; other categories stay out."""
    listed = category("porn", "bad.example", "www.bad.example", "=alone.example", "*.below.example")
    state_dir = make_generation(tmp_path, {"a": listed, "b": category("gamb", "bet.example")})
    closed = {"bad.example": ".", "*.bad.example": ".", "alone.example": ".", "*.below.example": "."}
    assert rules(state_dir, made(state_dir)) == closed


def test_an_exception_leaves_a_hole_and_what_lies_between_stays_closed(tmp_path: Path) -> None:
    """Below a wildcard an exception is a passthru, and the names between are written out, since the wildcard ends there."""
    state_dir = make_generation(tmp_path, {"a": category("porn", "bad.example", "@@ok.in.bad.example")})
    found = rules(state_dir, made(state_dir))
    assert found["ok.in.bad.example"] == found["*.ok.in.bad.example"] == "rpz-passthru."
    assert found["in.bad.example"] == found["*.in.bad.example"] == "."
    assert (answer_of(found, "other.in.bad.example"), answer_of(found, "x.ok.in.bad.example")) == (".", "rpz-passthru.")


def random_name(random: Random) -> str:
    """A name of one to four labels under an ending."""
    return ".".join([*random.choices(LABELS, k=random.randint(1, 4)), "example"])


def random_lists(random: Random, code: str) -> dict[str, Json]:
    """Lists of one category, with exceptions, and lists that open."""

    def written(most: int, *marks: str) -> list[str]:
        return sorted({random.choice(marks) + random_name(random) for _ in range(random.randint(1, most))})

    lists = {f"c{n}": category(code, *written(8, "", "", "=", "*.", "@@", "@@=", "@@*.")) for n in range(2)}
    if random.random() < 0.5:
        lists["good"] = good("edu", *written(3, "", "=", "*."))
    if random.random() < 0.5:
        lists["open"] = action("allow", *written(3, "", "=", "*.", "@@"))
    if random.random() < 0.3:
        lists["shut"] = action("block", *written(3, "", "=", "*."))
    return lists


@pytest.mark.parametrize("seed", range(60))
def test_the_zone_closes_what_the_gateway_closes(tmp_path: Path, seed: int) -> None:
    """For random lists a resolver with the zone closes the names that the gateway closes by the category, and no others."""
    random = Random(f"zone {seed}")
    code = random.choice(["porn", "scam", "ads"])  # locked, by law, and one that an operator's list may open
    lists = random_lists(random, code)
    opens = random.random() < 0.5 and "shut" not in lists
    allowed = [random.choice(("", "=", "*.")) + random_name(random) for _ in range(2)] if opens else []
    child = policy(profiles=[profile("TH", "be")], default_profile="be", rules={"allow": allowed})
    state_dir = make_generation(tmp_path, lists, policy=child)
    found = rules(state_dir, made(state_dir, offer(code)))
    snapshot = Snapshot.load(state_dir, 1)
    policy_of = snapshot.effective(snapshot.identify(bytes([192, 0, 2, 1])), START)
    for name in {random_name(random) for _ in range(150)}:
        verdict = snapshot.judge(key_from_text(name), 1, policy_of)
        closed = answer_of(found, name) == "."
        assert closed == isinstance(verdict, Block) or ("shut" in lists and not closed), (name, verdict, found)


@pytest.mark.parametrize("seed", range(20))
def test_differences_lead_to_the_whole(tmp_path: Path, seed: int) -> None:
    """A secondary that takes the differences has the records of the whole zone, texts among them; the serial grows with changes only."""
    random = Random(f"steps {seed}")
    lists = random_lists(random, "porn")
    state_dir = make_generation(tmp_path, lists)
    first = made(state_dir)
    zone = CategoryZone(ZONE, folder_of(state_dir, ZONE), first)
    held = set(read_records(zone.origin, zone.whole())[2:-1])
    for number in range(3):
        names = list(lists["c0"]["names"])
        names = [*names[random.randint(0, 1) :], random_name(random)]
        lists = {**lists, "c0": {**lists["c0"], "names": names, "title": random.choice(["Một", "Hai"])}}
        amend(state_dir, lists=lists)
        before = zone.state.serial
        zone.state = made(state_dir, now=START + number + 1)
        whole = set(read_records(zone.origin, zone.whole())[2:-1])
        steps = zone.since(before)
        if zone.state.serial == before:
            assert whole == held
        elif steps is not None:
            adding = True
            for record in read_records(zone.origin, steps)[1:-1]:
                if record[1] == "SOA":
                    adding = not adding
                elif adding:
                    held.add(record)
                else:
                    held.remove(record)
        else:
            held = whole
        assert whole == held


def test_nothing_new_keeps_the_serial(tmp_path: Path) -> None:
    """Another index with the same names is the same zone; a serial that is known needs no records."""
    state_dir = make_generation(tmp_path, {"a": category("porn", "bad.example")})
    first = made(state_dir)
    amend(state_dir, lists={"a": category("porn", "bad.example"), "b": category("gamb", "bet.example")})
    second = made(state_dir, now=START + 60)
    assert (second.serial, second.rules) == (first.serial, first.rules)
    assert second.made_from != first.made_from
    zone = CategoryZone(ZONE, folder_of(state_dir, ZONE), second)
    assert len(list(zone.since(second.serial) or [])) == 1
    assert zone.since(second.serial - 1) is None


def test_a_serial_is_the_time_and_never_goes_back() -> None:
    """A primary that lost its files goes on behind nobody; a clock set back, or a second change in one second, adds one (RFC 1982)."""
    assert next_serial(None, 1_800_000_000.5) == 1_800_000_000
    assert next_serial(1_800_000_000, 1_800_000_000) == 1_800_000_001
    assert next_serial(1_800_000_000, 1_000_000_000) == 1_800_000_001
    assert next_serial(2**32 - 1, 5) == 5


def test_a_list_whose_licence_is_not_known_is_left_out_until_the_operator_says_yes(tmp_path: Path) -> None:
    """The zone says which lists it is from; one without a known licence is in it only where the operator says so, exceptions and all."""
    lists = {"free": category("porn", "free.example"), "mine": category("porn", "mine.example", title="Của tôi")}
    state_dir = make_generation(tmp_path, lists)
    forget_licence(state_dir, "mine")
    state = made(state_dir)
    assert (set(rules(state_dir, state)), list(state.left_out)) == ({"free.example", "*.free.example"}, ["mine"])
    assert len(texts(state_dir, state)) == 1
    state = made(state_dir, offer(passing_on=frozenset({"mine"})), START + 1)
    assert (len(rules(state_dir, state)), list(state.left_out)) == (4, [])
    assert list(state.sources) == ["Của tôi; passed on by the operator", "Danh sách free; CC0-1.0"]
    assert len(texts(state_dir, state)) == 2


def forget_licence(state_dir: Path, source: str) -> None:
    """Commit the same lists, one of them without a licence."""
    name = release.read_manifest(state_dir).index_dir
    folder = state_dir / "index" / name
    header = json.loads((folder / "index.json").read_bytes())
    for row in header["sources"]:
        row["licence"] = "" if row["id"] == source else row["licence"]
    data = release.canonical_bytes(header)
    fresh = folder.with_name(release.index_name(data))
    fresh.mkdir()
    for part in (release.INDEX_NAMES, release.INDEX_RECORDS):
        (fresh / part).write_bytes((folder / part).read_bytes())
    (fresh / "index.json").write_bytes(data)
    release.commit_generation(state_dir, {"index": fresh.name}, START)


@pytest.mark.parametrize(
    ("licence", "known"),
    [
        ("MIT", True), ("CC BY-SA 4.0", True), ("CC0-1.0", True), ("Unlicense (the list's own header says MIT)", True), ("GPL-3.0", True),
        ("CC BY-NC 4.0", False), ("CC BY-NC-SA 4.0", False), ("CC BY-ND 4.0", False), ("", False), ("free for private use", False),
    ],
)  # fmt: skip
def test_licences_that_let_others_have_a_list(tmp_path: Path, licence: str, known: bool) -> None:
    """Free licences do; those for some purposes only, and what is not known, do not."""
    state_dir = make_generation(tmp_path, {"a": category("porn", "bad.example")})
    (source,) = ListIndex(state_dir, release.read_manifest(state_dir).index_dir).sources
    assert may_be_passed_on(replace(source, licence=licence), offer()) is known


@pytest.mark.parametrize("code", sorted(CLOSED_TO_ZONES))
def test_masked_names_and_orders_are_in_no_such_zone(tmp_path: Path, code: str) -> None:
    """The masked category is offered to nobody; orders have their own zone."""
    state_dir = make_generation(tmp_path, {"a": category(code, "bad.example")})
    assert build(state_dir, offer(code), START) is None


def test_help_stays_open_below_whatever_is_closed(tmp_path: Path) -> None:
    """Help and infrastructure are holes of every zone, also where a list covers them from above."""
    catalogue = make_catalogue(help=["help.bad.example"], infrastructure=[{"name": "time.bad.example", "match": "exact"}])
    state_dir = make_generation(tmp_path, {"a": category("scam", "bad.example")}, catalogue=catalogue)
    found = rules(state_dir, made(state_dir, offer("scam")))
    assert answer_of(found, "help.bad.example") == answer_of(found, "a.help.bad.example") == "rpz-passthru."
    assert (answer_of(found, "time.bad.example"), answer_of(found, "a.time.bad.example")) == ("rpz-passthru.", ".")


def test_sorting_in_runs_gives_the_same_zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However few names are sorted at a time, the zone is the same."""
    names = [f"{n}.x{n % 7}.example" for n in range(50)]
    state_dir = make_generation(tmp_path, {"a": category("porn", *names)})
    whole = rules(state_dir, made(state_dir))
    monkeypatch.setattr(categorybuild, "RUN", 3)
    assert rules(state_dir, made(state_dir, offer(passing_on=frozenset({"other"})))) == whole
    assert [path.name for path in folder_of(state_dir, ZONE).glob(".*")] == []


def test_the_process_builds_and_names_what_is_wrong(tmp_path: Path) -> None:
    """Zones side by side; one that cannot be made stays as it was and says why."""
    state_dir = make_generation(tmp_path, {"a": category("porn", "bad.example")})

    def run() -> list[Mapping[str, str]]:
        task = json.dumps({"now": START, "zones": [offer().to_json()]})
        command = [sys.executable, "-m", "blocklists.categorybuild", str(state_dir)]
        done = subprocess.run(command, input=task, capture_output=True, text=True, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    assert run() == [{"zone": ZONE, "problem": ""}]
    amend(state_dir, lists={"a": category("porn", "worse.example")})
    for records in (state_dir / "index").glob("*/records.bin"):
        records.write_bytes(b"\x00\x00\x00\x00")
    (row,) = run()
    assert "digest" in row["problem"]
