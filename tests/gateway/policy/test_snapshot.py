"""A generation in memory: loaded whole or not at all, taking over what did not change."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import release
from gateway.errors import GenerationError
from gateway.policy.model import Block
from gateway.policy.snapshot import Snapshot
from gateway.wire.name import key_from_text
from tests.support.catalogue import make_catalogue
from tests.support.generation import amend, category, make_generation, order, policy, profile, segment
from tests.support.judging import ADDRESS, seconds

NOON = seconds("2026-03-04T12:00:00+07:00")


def local(**members: object) -> dict[str, object]:
    """The operator's policy: one child at ADDRESS."""
    return policy(profiles=[profile("TH", **members)], clients=[{"id": "c", "profile": "p", "match": ["10.0.0.1"]}])


def ask(snapshot: Snapshot, name: str) -> str:
    """The reason of the verdict for the child."""
    found = snapshot.effective(snapshot.identify(ADDRESS), NOON)
    return str(snapshot.judge(key_from_text(name), 1, found).reason)


def test_snapshot_answers_from_a_generation(tmp_path: Path) -> None:
    """Number, sources, tenants and the serial of the orders are those of the manifest."""
    make_generation(
        tmp_path, lists={"bet": category("gamb", "bet.example", title="Cờ bạc")}, policy=local(), orders=[segment(order("1", "o.example"))]
    )
    snapshot = Snapshot.load(tmp_path, 1)
    assert (snapshot.number, snapshot.order_serial, list(snapshot.tenants)) == (1, 1, ["local"])
    assert [(source.id, source.category, source.entries, source.title) for source in snapshot.sources] == [("bet", "gamb", 1, "Cờ bạc")]
    assert [ask(snapshot, name) for name in ("bet.example", "o.example", "x.example")] == ["matrix", "order", "default"]


def test_without_any_policy_everybody_is_a_guest(tmp_path: Path) -> None:
    """A generation of lists alone protects as the column of guests says."""
    snapshot = Snapshot.load(make_generation(tmp_path, lists={"g": category("gamb", "bet.example")}), 1)
    match = snapshot.identify(ADDRESS)
    found = snapshot.effective(match, NOON)
    assert (match.known, match.tenant, found.profile_id, found.band, found.tenant, found.site_class) == (
        False,
        None,
        "guest",
        "KH",
        "",
        "home",
    )
    assert ask(snapshot, "bet.example") == "matrix"


def test_unchanged_parts_are_taken_over(tmp_path: Path) -> None:
    """One tenant changes: the index, the catalogue, the orders and the other tenants are the same objects."""
    family = policy("family", "family", profiles=[profile("CS", "kid")])
    make_generation(
        tmp_path, lists={"g": category("gamb", "bet.example")}, policy=[local(), family], orders=[segment(order("1", "o.example"))]
    )
    first = Snapshot.load(tmp_path, 1)
    amend(tmp_path, policy=local(deny=["x.example"]))
    second = Snapshot.load(tmp_path, 2, first)
    assert second._engine is first._engine
    assert second._overlay is first._overlay
    assert second.tenants["family"] is first.tenants["family"]
    assert second.tenants["local"] is not first.tenants["local"]
    assert [ask(first, "x.example"), ask(second, "x.example")] == ["default", "name"]
    amend(tmp_path, lists={"g": category("gamb", "other.example")})
    third = Snapshot.load(tmp_path, 3, second)
    assert third.catalogue is second.catalogue
    assert [ask(third, name) for name in ("bet.example", "other.example")] == ["default", "matrix"]
    amend(tmp_path, catalogue=make_catalogue(help=["bet.example", "help.example"]))
    fourth = Snapshot.load(tmp_path, 4, third)
    assert fourth._engine.index is third._engine.index
    assert ask(fourth, "bet.example") == "help"
    assert ask(second, "bet.example") == "matrix"


def test_ids_never_repeat_while_two_generations_live(tmp_path: Path) -> None:
    """A policy first resolved under the old generation after the next one was loaded never has an id of the next one's policies."""
    children = [profile(band, band.lower()) for band in ("MN", "TH", "CS", "PT")]
    make_generation(tmp_path, lists={"g": category("gamb", "bet.example")}, policy=[policy(profiles=children)])
    old = Snapshot.load(tmp_path, 1)
    amend(tmp_path, lists={"g": category("gamb", "other.example")})
    new = Snapshot.load(tmp_path, 2, old)
    seen: list[int] = []
    for band in ("mn", "th", "cs", "pt"):
        for snapshot in (old, new):
            found = snapshot.effective(snapshot.match_of("local", band), NOON)
            seen += [found.id, found.base_id]
    of_old, of_new = {*seen[0::4], *seen[1::4]}, {*seen[2::4], *seen[3::4]}
    assert of_old.isdisjoint(of_new)


def test_loading_anew_equals_taking_over(tmp_path: Path) -> None:
    """With and without the generation before, the same is decided."""
    make_generation(tmp_path, policy=local(), orders=[segment(order("1", "o.example"))])
    first = Snapshot.load(tmp_path, 1)
    amend(tmp_path, policy=local(deny=["d.example"]), orders=[segment(order("1", "o.example")), segment(lifted=[("", "1")])], serial=2)
    for snapshot in (Snapshot.load(tmp_path, 2, first), Snapshot.load(tmp_path, 2)):
        assert [ask(snapshot, name) for name in ("o.example", "d.example")] == ["default", "name"]
        assert snapshot.order_serial == 2


@pytest.mark.parametrize("part", ["catalogue", "policy", "orders", "index", "manifest"])
def test_damaged_part_refuses_the_whole_generation(tmp_path: Path, part: str) -> None:
    """Whatever is broken is named, and the generation before goes on as it was."""
    make_generation(tmp_path, lists={"g": category("gamb", "bet.example")}, policy=local(), orders=[segment(order("1", "o.example"))])
    before = Snapshot.load(tmp_path, 1)
    amend(
        tmp_path,
        lists={"g": category("gamb", "b.example")},
        policy=local(deny=["d.example"]),
        orders=[segment(order("2", "o.example"))],
        catalogue=make_catalogue(help=["h.example"]),
    )
    manifest = release.read_manifest(tmp_path, 2)
    assert manifest.orders is not None
    path = {
        "catalogue": tmp_path / "files" / manifest.catalogue,
        "policy": tmp_path / "files" / manifest.policies[0][1],
        "orders": tmp_path / "files" / manifest.orders.segments[0],
        "index": tmp_path / "index" / manifest.index_dir / "names.marisa",
        "manifest": tmp_path / "generations" / "2.json",
    }[part]
    path.write_bytes(b"{}")
    for previous in (before, None):
        with pytest.raises(GenerationError):
            Snapshot.load(tmp_path, 2, previous)
    assert [ask(before, name) for name in ("bet.example", "o.example")] == ["matrix", "order"]


@pytest.mark.parametrize(
    "document",
    [policy(profiles=[{"id": "p", "band": "XX"}]), policy("other", "family"), {"format": 1}],
)
def test_policy_file_with_mistakes_refuses_the_generation(tmp_path: Path, document: dict[str, object]) -> None:
    """A file that is not the policy of its tenant is refused with its name."""
    make_generation(tmp_path, policy=local())
    release.commit_generation(tmp_path, {"policies": {"local": release.write_file(tmp_path, document)}}, NOON)
    with pytest.raises(GenerationError) as caught:
        Snapshot.load(tmp_path, 2)
    assert caught.value.where.startswith("files/")


def test_match_of_names_a_profile_or_a_client_outright(tmp_path: Path) -> None:
    """`explain` asks for a client or profile by its id, at its own site; unknown ids are errors."""
    document = policy(
        default_profile="guest",
        sites=[{"id": "s", "class": "school"}],
        profiles=[profile("TH", "p", "school", site="s"), profile("KH", "guest")],
        clients=[{"id": "c", "profile": "p", "site": "s", "group": "lab", "match": ["10.0.0.1"]}],
    )
    snapshot = Snapshot.load(make_generation(tmp_path, policy=document), 1)
    client = snapshot.match_of("local", None, client="c")
    assert (client.client_id, client.profile, client.site, client.group, client.known) == ("c", "p", "s", "lab", True)
    assert snapshot.match_of("local", "p").site == "s"
    assert (snapshot.match_of("local", None).profile, snapshot.match_of("local", None).known) == ("guest", False)
    for wrong in (
        {"tenant": "none", "profile": None},
        {"tenant": "local", "profile": "none"},
        {"tenant": "local", "profile": None, "client": "none"},
    ):
        with pytest.raises(KeyError):
            snapshot.match_of(**wrong)  # type: ignore[arg-type]


def test_mapped_ipv4_address_is_the_same_client(tmp_path: Path) -> None:
    """A query through a dual-stack socket meets the same policy."""
    snapshot = Snapshot.load(make_generation(tmp_path, policy=local()), 1)
    assert snapshot.identify(bytes(10) + b"\xff\xff" + ADDRESS, bytes(10) + b"\xff\xff" + ADDRESS).client_id == "c"


def test_explain_names_the_file_and_version_of_a_rule(tmp_path: Path) -> None:
    """The shared verdict knows no profile; explanations do: whose, and in which version of the file."""
    snapshot = Snapshot.load(make_generation(tmp_path, policy=local(deny=["d.example"], categories={"game": "block"})), 1)
    found = snapshot.effective(snapshot.identify(ADDRESS), NOON)
    verdict = snapshot.explain(key_from_text("d.example"), 1, found).verdict
    file = dict(snapshot.manifest.policies)["local"]
    assert isinstance(verdict, Block)
    assert (verdict.rule.source, verdict.rule.version) == ("profile p", file[:12])
