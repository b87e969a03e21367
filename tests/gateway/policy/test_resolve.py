"""What holds for a client at a moment: shared by content, renewed at its boundary, with the ids the pipeline's tables live on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gateway.policy.model import NEVER, Band, BlockSettings, EffectivePolicy
from gateway.policy.snapshot import Snapshot
from gateway.wire.name import key_from_text
from tests.support.generation import amend, category, make_generation, order, policy, profile, segment, zone
from tests.support.judging import AT_SCHOOL, make_desk, seconds

NOON = seconds("2026-03-04T12:00:00+07:00")
NIGHT = seconds("2026-03-04T22:00:00+07:00")
BEDTIME = {"name": "ngủ", "from": "21:00", "to": "06:00", "effect": "offline"}


def load(state_dir: Path, *profiles: dict[str, Any], number: int = 1, previous: Snapshot | None = None, **members: Any) -> Snapshot:
    """A generation of one operator with these profiles; client N has the address 10.0.0.N."""
    clients = [{"id": f"c{n}", "profile": row["id"], "match": [f"10.0.0.{n}"]} for n, row in enumerate(profiles, 1)]
    document = policy(profiles=list(profiles), clients=clients, **members)
    if previous is None:
        make_generation(state_dir, policy=document)
    else:
        amend(state_dir, policy=document)
    return Snapshot.load(state_dir, number, previous)


def effective(snapshot: Snapshot, client: int = 1, now: float = NOON) -> EffectivePolicy:
    """What holds for client N."""
    return snapshot.effective(snapshot.identify(bytes((10, 0, 0, client))), now)


def test_profiles_that_differ_only_in_names_share_their_base(tmp_path: Path) -> None:
    """Same band and switches: one base; other names: another policy; other switches: another base (review 13)."""
    rows = [
        profile("TH", "a", allow=["a.example"]),
        profile("TH", "b", deny=["/b/"]),
        profile("TH", "c"),
        profile("TH", "d", categories={"game": "allow"}),
        profile("CS", "e"),
    ]
    snapshot = load(tmp_path, *rows)
    found = [effective(snapshot, number) for number in range(1, 6)]
    assert found[0].base_id == found[1].base_id == found[2].base_id
    assert len({policy.base_id for policy in found}) == 3
    assert len({policy.id for policy in found}) == 5
    assert [policy.own_names for policy in found[:3]] == [{"example.a."}, frozenset(), frozenset()]
    assert [policy.has_regex for policy in found[:3]] == [False, True, False]


def test_names_outside_own_names_are_judged_alike_by_everyone_on_the_base(tmp_path: Path) -> None:
    """What `touches` denies may be answered from the table of the base."""
    snapshot = load(tmp_path, profile("TH", "a", allow=["a.example"], deny=["*.b.example"]), profile("TH", "b", deny=["=c.example"]))
    first, second = effective(snapshot, 1), effective(snapshot, 2)
    for name in ("a.example", "x.a.example", "b.example", "x.b.example", "c.example", "y.c.example", "clips.example", "other.example"):
        key = key_from_text(name)
        if not first.touches(key) and not second.touches(key):
            assert snapshot.judge(key, 1, first) is snapshot.judge(key, 1, second) or name == "clips.example"
            assert snapshot.judge(key, 1, first) == snapshot.judge(key, 1, second)
    assert [first.touches(key_from_text(name)) for name in ("a.example", "x.a.example", "b.example", "example")] == [
        True,
        True,
        True,
        False,
    ]


def test_profile_with_history_is_never_shared(tmp_path: Path) -> None:
    """Equal rules, but a base of its own: what is counted there is its own."""
    snapshot = load(
        tmp_path,
        *(profile("TH", name, activity=activity) for name, activity in (("a", "history"), ("b", "history"), ("c", "off"), ("d", "off"))),
    )
    found = [effective(snapshot, number).base_id for number in range(1, 5)]
    assert len(set(found)) == 3
    assert found[2] == found[3]


def test_policy_is_renewed_at_its_boundary_and_keeps_its_ids_when_nothing_changes(tmp_path: Path) -> None:
    """Until `valid_until` the same object; over the boundary another; a day later the same ids again."""
    snapshot = load(tmp_path, profile("TH", schedule=[BEDTIME]))
    day = effective(snapshot)
    assert day.valid_until == seconds("2026-03-04T21:00:00+07:00")
    assert effective(snapshot, now=day.valid_until - 1) is day
    night = effective(snapshot, now=day.valid_until)
    assert night.base_id != day.base_id
    assert snapshot.next_boundary(NIGHT) == night.valid_until == seconds("2026-03-05T00:00:00+07:00")
    tomorrow = effective(snapshot, now=NOON + 86_400)
    assert (tomorrow.id, tomorrow.base_id) == (day.id, day.base_id)
    assert tomorrow.valid_until == day.valid_until + 86_400


def test_clock_that_goes_back_is_followed(tmp_path: Path) -> None:
    """After a jump back nothing of the future stays."""
    snapshot = load(tmp_path, profile("TH", schedule=[BEDTIME]))
    night = effective(snapshot, now=NIGHT)
    assert effective(snapshot, now=NOON).base_id != night.base_id
    assert effective(snapshot, now=NIGHT).base_id == night.base_id


def test_overrides_begin_and_end_on_time(tmp_path: Path) -> None:
    """Each end of an override is a boundary; an exception's names are personal while it lasts."""
    row = {
        "id": "e",
        "kind": "exception",
        "from": "2026-03-04T13:00:00+07:00",
        "until": "2026-03-04T14:00:00+07:00",
        "names": ["a.example"],
    }
    snapshot = load(tmp_path, profile("TH", overrides=[row]))
    start, end = seconds(row["from"]), seconds(row["until"])
    found = [effective(snapshot, now=now) for now in (NOON, start, end)]
    assert [policy.valid_until for policy in found] == [start, end, NEVER]
    assert [policy.own_names for policy in found] == [frozenset(), {"example.a."}, frozenset()]
    assert found[0].id == found[2].id
    assert found[0].base_id == found[1].base_id


def test_order_that_begins_renews_everybody(tmp_path: Path) -> None:
    """The date of an order is a boundary of every policy, and the base changes with it."""
    desk = make_desk(tmp_path, orders=[segment(order("1", "a.example", **{"from": "2026-03-05T00:00:00+07:00"}))])
    before = desk.policy()
    assert before.valid_until == seconds("2026-03-05T00:00:00+07:00") == desk.snapshot.next_boundary(NOON)
    after = desk.policy("2026-03-05T00:00:00+07:00")
    assert (after.base_id != before.base_id, after.valid_until) == (True, NEVER)
    assert [desk.ask("a.example"), desk.ask("a.example", at="2026-03-05T00:00:00+07:00")] == ["pass default", "block order"]


def test_ids_stay_over_generations_while_lists_and_catalogue_do(tmp_path: Path) -> None:
    """Another tenant's change leaves the tables in place; a new list does not; ids never come back for other content."""
    first = load(tmp_path, profile("TH", "a"), profile("TH", "b", categories={"game": "allow"}))
    before = [effective(first, number) for number in (1, 2)]
    second = load(tmp_path, profile("TH", "a"), profile("TH", "b", categories={"game": "block"}), number=2, previous=first)
    after = [effective(second, number) for number in (1, 2)]
    assert (after[0].id, after[0].base_id) == (before[0].id, before[0].base_id)
    assert after[1].base_id != before[1].base_id
    amend(tmp_path, lists={"g": category("gamb", "bet.example")})
    third = Snapshot.load(tmp_path, 3, second)
    fresh = [effective(third, number) for number in (1, 2)]
    assert {policy.base_id for policy in fresh}.isdisjoint({policy.base_id for policy in (*before, *after)})


def test_interner_forgets_old_contents_but_never_an_id(tmp_path: Path, monkeypatch: Any) -> None:
    """Years of changes do not pile up, and no id is given twice."""
    monkeypatch.setattr("gateway.policy.resolve._TIDY_EVERY", 5)
    snapshot = load(tmp_path, profile("TH", schedule=[{"name": "w", "from": "12:00", "to": "13:00", "effect": "offline"}]))
    seen: dict[int, int] = {}
    for day in range(10):
        for hour in (0, 1):
            found = effective(snapshot, now=NOON + day * 86_400 + hour * 3600)
            assert seen.setdefault(found.id, hour) == hour


def test_block_settings_of_profile_then_tenant_then_operator(tmp_path: Path) -> None:
    """The nearest that says how a block is answered is heard."""
    family = policy("f", "family", profiles=[profile("TH", "x"), profile("TH", "y", block={"mode": "refused", "ttl": 3})])
    operator = policy(block={"mode": "nodata", "ttl": 7}, profiles=[profile("TH", "z")])
    snapshot = Snapshot.load(make_generation(tmp_path, policy=[family, operator]), 1)
    found = [snapshot.effective(snapshot.match_of(tenant, name), NOON).block for tenant, name in (("f", "x"), ("f", "y"), ("local", "z"))]
    assert [(block.mode, block.ttl) for block in found] == [("nodata", 7), ("refused", 3), ("nodata", 7)]
    alone = Snapshot.load(make_generation(tmp_path / "alone", policy=policy("f", "family", profiles=[profile("TH", "x")])), 1)
    assert alone.effective(alone.match_of("f", "x"), NOON).block == BlockSettings()


def test_windows_are_read_in_the_time_zone_of_the_place(tmp_path: Path) -> None:
    """A profile's windows follow its own site, else the place, else Viet Nam."""
    sites = [{"id": "paris", "time_zone": "Europe/Paris", "networks": ["10.0.0.1/32"]}, {"id": "tokyo", "time_zone": "Asia/Tokyo"}]
    rows = [
        profile("TH", "a", schedule=[BEDTIME]),
        profile("TH", "b", schedule=[BEDTIME], site="tokyo"),
        profile("TH", "c", schedule=[BEDTIME]),
    ]
    snapshot = load(tmp_path, *rows, sites=sites)
    ends = [effective(snapshot, number).valid_until for number in (1, 2, 3)]
    assert ends == [seconds(f"2026-03-04T21:00:00+0{offset}:00") for offset in (1, 9, 7)]


def test_switches_of_two_rulesets_of_one_level_are_stricter_together(tmp_path: Path) -> None:
    """A school's site and a school's class profile: the stricter switch holds; names rank together."""
    lists = {"g": category("game", "g.example"), "v": category("video", "v.example")}
    desk = make_desk(
        tmp_path,
        lists=lists,
        school={"categories": {"game": "block", "video": "allow"}, "deny": ["example"]},
        profile=profile("PT", owner="school", categories={"game": "allow", "video": "block"}, allow=["g.example", "ok.example"]),
        address=AT_SCHOOL,
    )
    assert [desk.ask(name) for name in ("g.example", "v.example", "ok.example")] == ["pass name", "block name", "pass name"]


def test_site_class_is_that_of_the_place(tmp_path: Path) -> None:
    """Counted where the client is; nowhere in particular means the tenant's own class."""
    desk = make_desk(tmp_path)
    assert desk.policy().site_class == "home"
    desk.address = AT_SCHOOL
    assert desk.policy().site_class == "school"


def test_groups_split_policies_only_where_a_zone_asks(tmp_path: Path) -> None:
    """Without zones for groups two groups share their base."""

    def bases(folder: str, groups: list[str]) -> int:
        document = policy(
            profiles=[profile("TH")],
            clients=[
                {"id": name, "profile": "p", "group": name, "match": [f"10.0.0.{number}"]} for number, name in enumerate(("x", "y"), 1)
            ],
        )
        lists = {"z": zone("z.example", {"a.example": "drop"}, groups=groups)}
        snapshot = Snapshot.load(make_generation(tmp_path / folder, lists=lists, policy=document), 1)
        return len({effective(snapshot, number).base_id for number in (1, 2)})

    assert [bases("a", []), bases("b", ["x"])] == [1, 2]


def test_lent_device_is_the_adults_until_its_moment_and_returns_by_itself(tmp_path: Path) -> None:
    """The child's phone under the mother's profile for half an hour; nobody has to end it, and the mother's own tables go on."""
    until = NOON + 1800
    lent = {"profile": "me", "until": "2026-03-04T12:30:00+07:00"}
    document = policy(
        profiles=[profile("TH", "be"), profile("NL", "me")],
        clients=[
            {"id": "c1", "profile": "be", "match": ["10.0.0.1"], "lent": lent},
            {"id": "c2", "profile": "me", "match": ["10.0.0.2"]},
        ],
    )
    make_generation(tmp_path, policy=document)
    snapshot = Snapshot.load(tmp_path, 1)
    phone, mother = effective(snapshot, 1), effective(snapshot, 2)
    assert (phone.profile_id, phone.band, phone.valid_until) == ("me", mother.band, until)
    assert phone.id != mother.id and phone.base_id == mother.base_id and mother.valid_until > until
    after = effective(snapshot, 1, until)
    assert (after.profile_id, after.valid_until) == ("be", NEVER)
    assert effective(snapshot, 1, until - 1).profile_id == "me", "a clock that went back finds the loan again"


def test_order_of_another_province_leaves_a_site_alone(tmp_path: Path) -> None:
    """Two sites of one gateway in two provinces: an order for one of them binds there, and everywhere while no place is written."""
    sites = [{"id": "a", "networks": ["10.0.0.1/32"], "place": "12"}, {"id": "b", "networks": ["10.0.0.2/32"], "place": "44.00001"}]
    narrow = segment(order("1", "a.example", scope={"places": ["12"], "organisations": []}))
    document = policy(profiles=[profile("TH", "c")], default_profile="c", sites=sites)
    make_generation(tmp_path, policy=document, orders=[narrow])
    snapshot = Snapshot.load(tmp_path, 1)
    key = key_from_text("x.a.example")
    reasons = [snapshot.judge(key, 1, effective(snapshot, number)).reason.value for number in (1, 2, 3)]
    assert [reason == "order" for reason in reasons] == [True, False, True]


def test_address_that_two_schools_claim_is_judged_by_the_strictest_of_their_bands(tmp_path: Path) -> None:
    """A generation from before `lachan check` named the slip: no pupil gets an adult's default profile; who is nobody does."""
    pair = [{"id": name, "class": "school", "bands": [name], "networks": ["10.1.0.0/16"]} for name in ("TH", "CS")]
    rows = [profile("TH", "th", "school"), profile("CS", "cs", "school"), profile("NL", "staff", "school")]
    clients = [{"id": name, "profile": name.lower(), "site": name, "match": ["10.1.0.0/16"]} for name in ("TH", "CS")]
    make_generation(tmp_path, policy=policy(profiles=rows, clients=clients, sites=pair, default_profile="staff"))
    snapshot = Snapshot.load(tmp_path, 1)
    adult = snapshot.effective(snapshot.identify(bytes((192, 0, 2, 1))), NOON)
    pupil = snapshot.effective(snapshot.identify(bytes((10, 1, 0, 5))), NOON)
    assert (adult.band, pupil.band, pupil.site_class, len(snapshot.disputes)) == (Band.NL, Band.KH, "school", 1)
    closed = {code for code in snapshot.catalogue.categories if pupil.tables.base.cells[code].blocked}  # type: ignore[attr-defined]
    assert closed >= {code for code in snapshot.catalogue.categories if snapshot.catalogue.cell(code, Band.TH).blocked}
