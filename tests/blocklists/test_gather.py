"""One source to its part of the index: no repeats, guarded, nothing lost without a count."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocklists.compile import Shape
from blocklists.gather import Gathered, gather
from blocklists.guard import Guard
from blocklists.parsers import PLAIN, Action, AddressTrigger, Bucket, Harvest, Match, Options, adblock
from blocklists.rejections import Reason
from blocklists.sources import Source

CATALOGUE: dict[str, Any] = {
    "categories": [{"code": "gamb", "tier": "H"}, {"code": "social", "tier": "D"}, {"code": "porn", "tier": "H"}],
    "help": ["help.example.vn"],
    "platforms": ["platform.example.com"],
}
GUARD = Guard.of(CATALOGUE, ["dns.upstream.example.net"])
BET = Source("bet", "category", "gamb")
OWN = Source("own", "action", None, "block")


def _gather(source: Source, buckets: dict[Bucket, list[str]], **more: Any) -> Gathered:
    return gather(source, Harvest(buckets=buckets, **more), GUARD, CATALOGUE)


def test_repeats_and_covered_names_of_a_category_are_counted_away() -> None:
    """A name below a listed name adds nothing to a category; `a-b` is no part of `a`."""
    gathered = _gather(BET, {PLAIN: ["com.a.x.", "com.a.", "com.a-b.", "com.a.", "com.a.x.y.", "com.b."]})
    assert gathered.parts[0].batches == {Shape(): ["com.a-b.", "com.a.", "com.b."]}
    assert gathered.rejected == {Reason.DUPLICATE: 1, Reason.COVERED: 2}
    assert gathered.entries == 3


def test_list_with_an_action_keeps_names_below_listed_names() -> None:
    """There a longer name may beat another rule of the same owner, so it must stay."""
    gathered = _gather(OWN, {PLAIN: ["com.a.x.", "com.a.", "com.a."]})
    assert gathered.parts[0].batches == {Shape(): ["com.a.", "com.a.x."]}
    assert gathered.rejected == {Reason.DUPLICATE: 1}


def test_exact_entries_are_not_covered_by_one_another() -> None:
    """An exact entry says nothing about names below it."""
    gathered = _gather(BET, {Bucket(match=Match.EXACT): ["com.a.", "com.a.x."]})
    assert gathered.parts[0].batches == {Shape(Match.EXACT): ["com.a.", "com.a.x."]}


def test_refusals_are_taken_out_counted_and_reported() -> None:
    """What the guard refuses is not in the index, and the report says which name and why."""
    gathered = _gather(BET, {PLAIN: ["com.a.", "vn.example.help.", "com.example.platform.", "vn.com."]})
    assert gathered.parts[0].batches == {Shape(): ["com.a."]}
    assert {refusal.name: refusal.reason for refusal in gathered.refusals} == {
        "help.example.vn": Reason.HELP_NAME,
        "platform.example.com": Reason.SHARED_PLATFORM,
        "com.vn": Reason.PUBLIC_SUFFIX,
    }
    assert gathered.rejected[Reason.HELP_NAME] == 1


def test_delegable_category_may_name_a_platform() -> None:
    """Lists of tier D are what switches of platforms are made of."""
    gathered = _gather(Source("s", "category", "social"), {PLAIN: ["com.example.platform."]})
    assert gathered.entries == 1 and not gathered.refusals


def test_own_server_below_a_listed_name_becomes_an_exception() -> None:
    """The list holds for everything but the resolver behind us."""
    gathered = _gather(BET, {PLAIN: ["net.example."]})
    assert gathered.parts[0].batches == {Shape(): ["net.example."], Shape(Match.EXACT, True): ["net.example.upstream.dns."]}


def test_categories_of_a_list_become_rows_of_their_own_with_their_own_tier() -> None:
    """One file may fill several categories; each row has its own id and is guarded by its own tier."""
    gathered = _gather(BET, {PLAIN: ["com.a."], Bucket("social"): ["com.example.platform."], Bucket("porn"): ["com.example.platform."]})
    assert [(part.row.id, part.row.category, part.entries) for part in gathered.parts] == [
        ("bet", "gamb", 1), ("bet/porn", "porn", 0), ("bet/social", "social", 1)
    ]  # fmt: skip


def test_important_and_denyallow_rules_become_rows_that_exceptions_do_not_reach() -> None:
    """Exceptions act inside one row: what they must not undo stands in another."""
    harvest = Harvest()
    lines = [
        "||a.example^$important",
        "||b.example^",
        "@@||a.example^",
        "||c.example^$denyallow=x.c.example",
        "||d.example^$denyallow=y.d.example",
    ]
    adblock.parse(lines, harvest, Options())
    gathered = gather(BET, harvest, GUARD, CATALOGUE)
    assert {part.row.id: part.batches for part in gathered.parts} == {
        "bet": {Shape(): ["example.b."], Shape(exception=True): ["example.a."]},
        "bet#denyallow-1": {Shape(): ["example.c."], Shape(exception=True): ["example.a.", "example.c.x."]},
        "bet#denyallow-2": {Shape(): ["example.d."], Shape(exception=True): ["example.a.", "example.d.y."]},
        "bet#important": {Shape(): ["example.a."]},
    }


def test_policy_zone_keeps_actions_and_address_triggers() -> None:
    """A zone under `rpz:` is taken as it is, save for what the guard refuses to everybody."""
    zone = Source("rpz:z", "rpz", options=Options(zone="z.example"), rpz={"zone": "z.example", "policy": "given", "groups": []})
    drop, passthru = Action("drop"), Action("passthru")
    gathered = _gather(
        zone,
        {
            Bucket(match=Match.EXACT, action=drop): ["com.a.", "vn.example.help."],
            Bucket(match=Match.BELOW, action=passthru): ["vn.example.help."],
        },
        addresses={AddressTrigger("response-ip", "192.0.2.0/24"): drop},
    )
    part = gathered.parts[0]
    assert part.batches == {Shape(Match.EXACT, False, drop): ["com.a."], Shape(Match.BELOW, False, passthru): ["vn.example.help."]}
    assert part.addresses == {AddressTrigger("response-ip", "192.0.2.0/24"): drop}
    assert (part.entries, gathered.rejected) == (3, {Reason.HELP_NAME: 1})


@pytest.mark.parametrize(
    ("action", "rewrites", "shape", "reason"),
    [
        (Action("nxdomain"), "refuse", Shape(Match.EXACT), None),
        (Action("nodata"), "refuse", Shape(Match.EXACT), None),
        (Action("drop"), "refuse", Shape(Match.EXACT), None),
        (Action("passthru"), "refuse", Shape(Match.EXACT, True), None),
        (Action("tcp-only"), "refuse", None, Reason.RPZ_ACTION),
        (Action("cname", "elsewhere.example"), "refuse", None, Reason.FOREIGN_ADDRESS),
        (Action("cname", "elsewhere.example"), "names", Shape(Match.EXACT), None),
        (Action("local", records=((1, 60, "c0000201"),)), "refuse", None, Reason.FOREIGN_ADDRESS),
        (Action("local", records=((1, 60, "c0000201"),)), "names", Shape(Match.EXACT), None),
        (
            Action("local", records=((1, 60, "c0000201"),)), "answers",
            Shape(Match.EXACT, False, Action("local", records=((1, 60, "c0000201"),))), None,
        ),
    ],
)  # fmt: skip
def test_policy_zone_read_as_a_list_shrinks_to_names(action: Action, rewrites: Any, shape: Shape | None, reason: Reason | None) -> None:
    """In a list of a category the matrix answers: blocks are names, passthru is an exception, redirections need the operator's yes."""
    source = Source("z", "category", "gamb", options=Options(rewrites=rewrites))
    gathered = _gather(
        source,
        {Bucket(match=Match.EXACT, action=action): ["com.a."]},
        addresses={AddressTrigger("client-ip", "192.0.2.0/24"): Action("drop")},
    )
    assert gathered.parts[0].batches == ({shape: ["com.a."]} if shape else {})
    assert gathered.rejected == {Reason.RPZ_CLIENT_IP: 1} | ({reason: 1} if reason else {})


NAMES = st.lists(st.sampled_from("ab"), min_size=1, max_size=4).map(lambda labels: "x." + "".join(f"{label}." for label in labels))
BUCKETS = st.dictionaries(
    st.builds(lambda match, exception: Bucket(match=match, exception=exception), st.sampled_from(Match), st.booleans()),
    st.lists(NAMES, max_size=6),
    max_size=4,
)


def _covers(shape: Bucket | Shape, key: str, asked: str) -> bool:
    if shape.match is Match.EXACT:
        return key == asked
    return asked.startswith(key) and (shape.match is Match.BOTH or key != asked)


@given(buckets=BUCKETS, asked=NAMES)
def test_gathering_changes_no_verdict(buckets: dict[Bucket, list[str]], asked: str) -> None:
    """Dropping repeats and covered names leaves every name as blocked, or as excepted, as the whole list had it."""
    expected = {
        bucket.exception for bucket, keys in buckets.items() for key in keys if _covers(bucket, key, asked)
    }  # fmt: skip
    gathered = _gather(BET, {bucket: list(keys) for bucket, keys in buckets.items()})
    found = {
        shape.exception for part in gathered.parts for shape, keys in part.batches.items() for key in keys if _covers(shape, key, asked)
    }  # fmt: skip
    assert found == expected


@pytest.mark.parametrize(("policy", "refused"), [("nxdomain", 1), ("cname", 1), ("given", 0), ("passthru", 0), ("disabled", 0)])
def test_zone_that_is_overridden_to_close_is_guarded_like_one_that_closes(policy: str, refused: int) -> None:
    """PASSTHRU of a protected name is harmless until an override turns it into a block."""
    zone = Source("rpz:z", "rpz", options=Options(zone="z.example"), rpz={"zone": "z.example", "policy": policy, "groups": []})
    gathered = _gather(zone, {Bucket(match=Match.EXACT, action=Action("passthru")): ["vn.example.help."]})
    assert (gathered.rejected[Reason.HELP_NAME], gathered.entries) == (refused, 1 - refused)
