"""A tenant's policy file: read as a whole, or refused with every mistake and its path."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import PolicyFileError
from gateway.policy.catalogue import read_catalogue
from gateway.policy.model import Band, BlockMode, BlockSettings, Level
from gateway.policy.ruleset import NO_RULES
from gateway.policy.tenant import Network, parse_address, parse_network, parse_policy_file
from tests.support.catalogue import make_catalogue
from tests.support.generation import policy, profile

WORDS = read_catalogue(make_catalogue(), "test", "v")


def paths(document: object) -> list[str]:
    """The paths of the mistakes of a document."""
    try:
        parse_policy_file(document, WORDS)
    except PolicyFileError as error:
        return [mistake.path for mistake in error.mistakes]
    return []


def test_policy_file_is_read() -> None:
    """Sites, profiles and clients come out typed; what is left out has its default."""
    found = parse_policy_file(
        policy(
            "truong-a",
            "school",
            sites=[
                {
                    "id": "s",
                    "class": "school",
                    "bands": ["TH", "MN"],
                    "listen": ["192.0.2.1", "::ffff:192.0.2.2"],
                    "networks": ["10.1.0.0/16"],
                }
            ],
            default_profile="khach",
            profiles=[
                profile("KH", "khach", "school"),
                profile(
                    "TH",
                    "lop-3a",
                    "school",
                    site="s",
                    categories={"game": "allow"},
                    youtube=False,
                    block={"mode": "page", "page_address": ["192.0.2.9"]},
                ),
            ],
            clients=[
                {
                    "id": "c",
                    "profile": "lop-3a",
                    "site": "s",
                    "group": "lab",
                    "match": ["10.1.0.5", "fd00::/64", "mac:02-00-00-00-00-0A", "token:K3J9"],
                }
            ],
        ),
        WORDS,
    )
    assert (found.tenant, found.kind, found.site_class, found.default_profile) == ("truong-a", "school", "school", "khach")
    site = found.sites["s"]
    assert (site.bands, site.zone, site.listen) == ({Band.TH, Band.MN}, "Asia/Ho_Chi_Minh", {b"\xc0\0\x02\x01", b"\xc0\0\x02\x02"})
    own = found.profiles["lop-3a"]
    assert (own.band, own.owner, own.youtube, own.rules.categories, own.activity) == (Band.TH, Level.SCHOOL, "off", {"game": False}, "off")
    assert own.block == BlockSettings(BlockMode.PAGE, 10, ("192.0.2.9",))
    assert found.profiles["khach"].rules is NO_RULES
    client = found.clients[0]
    assert (client.macs, client.tokens) == (("02:00:00:00:00:0a",), ("k3j9",))
    assert client.networks == (Network(b"\x0a\x01\0\x05", 32), Network(b"\xfd" + bytes(15), 64))


@pytest.mark.parametrize(("kind", "owner"), [("operator", Level.PROVINCE), ("school", Level.SCHOOL), ("family", Level.PARENT)])
def test_profile_without_an_owner_belongs_to_the_kind_of_its_tenant(kind: str, owner: Level) -> None:
    """An operator counts as the province."""
    found = parse_policy_file(policy("t", kind, profiles=[{"id": "p", "band": "TH"}]))
    assert found.profiles["p"].owner is owner


def test_every_mistake_is_reported_at_once_with_its_path() -> None:
    """One reading of the report is enough to put the file right."""
    document = {
        "format": 2,
        "tenant": "a b",
        "kind": "family",
        "rules": {},
        "sits": [],
        "default_profile": "nobody",
        "sites": [
            {"id": "s", "class": "home", "bands": ["XX"], "time_zone": "Hanoi", "listen": ["here"], "networks": ["10.0.0.1/8"], "rules": {}}
        ],
        "profiles": [
            {"id": "p", "band": "ZZ", "owner": "school", "site": "t", "safe_search": "yes", "youtube": "hard", "uncategorised": "deny",
             "canaries": 1, "block": {"mode": "page", "ttl": -1}, "activity": "all", "deny": ["a b"], "categories": {"gmae": "allow"}},
            {"id": "p", "band": "TH"},
        ],
        "clients": [
            {"id": "c", "profile": "q", "site": "t", "match": ["mac:1", "token:_", "10.0.0.300"]},
            {"id": "d", "profile": "p", "match": ["10.0.0.1", "token:x"]},
            {"id": "e", "profile": "p", "match": ["10.0.0.1/32", "token:X"]},
            {"profile": "p", "match": "10.0.0.1"},
        ],
    }  # fmt: skip
    assert sorted(paths(document)) == sorted(
        [
            "sits",
            "format",
            "tenant",
            "rules",
            "default_profile",
            "sites[0].time_zone",
            "sites[0].bands[0]",
            "sites[0].rules",
            "sites[0].listen",
            "sites[0].networks[0]",
            "profiles[0].band",
            "profiles[0].owner",
            "profiles[0].site",
            "profiles[0].safe_search",
            "profiles[0].youtube",
            "profiles[0].uncategorised",
            "profiles[0].canaries",
            "profiles[0].block.ttl",
            "profiles[0].block.page_address",
            "profiles[0].activity",
            "profiles[0].deny[0]",
            "profiles[0].categories.gmae",
            "profiles[1].id",
            "clients[0].profile",
            "clients[0].site",
            "clients[0].match[0]",
            "clients[0].match[1]",
            "clients[0].match[2]",
            "clients[2].match",
            "clients[2].match",
            "clients[3].id",
            "clients[3].match",
        ]
    )


@pytest.mark.parametrize("document", [None, [], "x", 5, {}])
def test_document_that_is_no_policy_is_refused(document: object) -> None:
    """Any JSON value gives mistakes, never another error."""
    assert paths(document)


KEYS = ["format", "tenant", "kind", "rules", "sites", "profiles", "clients", "id", "band", "schedule"]
KEYS += ["overrides", "match", "categories", "effect", "from", "until", "block", "names", "x"]
TEXTS = st.one_of(st.text(max_size=5), st.sampled_from(["TH", "offline", "10.0.0.1", "2026-01-01T00:00:00Z"]))
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)),
    max_leaves=30,
)


@settings(deadline=None, max_examples=300)
@given(JSON)
def test_any_json_is_read_or_refused_never_raised(document: object) -> None:
    """Whatever a file holds, reading it gives a policy or mistakes with a path."""
    parts: list[Any] = [document, [document]]
    for part in parts:
        base = policy(profiles=[{"id": "p", "band": "TH"}])
        for whole in (part, {**base, "profiles": part}, {**base, "sites": part}, {**base, "clients": part}, {**base, "rules": part}):
            assert all(isinstance(path, str) and path for path in paths(whole))


def test_school_rules_need_a_school_site_and_province_rules_an_operator() -> None:
    """A home has no school rules, a school no rules of the province."""
    assert paths(policy("t", "operator", sites=[{"id": "s", "rules": {}}])) == ["sites[0].rules"]
    assert paths(policy("t", "operator", sites=[{"id": "s", "class": "school", "rules": {"deny": ["a.example"]}}])) == []
    assert paths(policy("t", "school", rules={"deny": ["a.example"]})) == ["rules"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.0/8", Network(b"\x0a\0\0\0", 8)),
        ("::1", Network(bytes(15) + b"\x01", 128)),
        ("::ffff:10.0.0.1", Network(b"\x0a\0\0\x01", 32)),
        ("0.0.0.0/0", Network(bytes(4), 0)),
        ("10.1.2.3/8", "has bits set beyond its length; write 10.0.0.0/8"),
        ("10.0.0/8", "is not an address, a network, mac: or token:"),
        ("example", "is not an address, a network, mac: or token:"),
    ],
)
def test_network_is_read_or_named(text: str, expected: object) -> None:
    """Addresses and networks; what is wrong is said in plain words."""
    assert parse_network(text) == expected


def test_address_without_a_port() -> None:
    """An address is an address and nothing more."""
    assert [parse_address(text) for text in ("192.0.2.1", "192.0.2.1:53", "")] == [b"\xc0\0\x02\x01", None, None]


@pytest.mark.parametrize(
    ("row", "path"),
    [
        ({"address": "203.0.113.0/24", "until": "2026-09-01T21:30:00Z"}, "clients[0].linked[0].address"),
        ({"address": "2001:db8::1", "until": "2026-09-01T21:30:00Z"}, "clients[0].linked[0].address"),
        ({"address": "nha", "until": "2026-09-01T21:30:00Z"}, "clients[0].linked[0].address"),
        ({"address": "203.0.113.7", "until": "soon"}, "clients[0].linked[0].until"),
        ({"address": "203.0.113.7"}, "clients[0].linked[0].until"),
    ],
)
def test_link_of_a_home_is_checked(row: dict[str, str], path: str) -> None:
    """One address of IPv4 or one network of IPv6, each with an end."""
    home = {"id": "h", "profile": "p", "match": [], "linked": [row]}
    document = policy("nha", "family", profiles=[profile("TH", "p", "parent")], clients=[home])
    with pytest.raises(PolicyFileError) as caught:
        parse_policy_file(document)
    assert path in [mistake.path for mistake in caught.value.mistakes]


def test_what_a_document_closes_above_a_school() -> None:
    """Only a school has it; it names categories that exist, and a document."""
    profile = {"id": "a", "band": "TH", "above": [{"document": "12/QĐ", "close": ["game"]}]}
    document = {"format": 1, "tenant": "t", "kind": "school", "profiles": [profile]}
    (one,) = parse_policy_file(document).profiles["a"].above
    assert (one.document, one.close) == ("12/QĐ", ("game",))
    for broken in ({**document, "kind": "family"}, {**document, "profiles": [{**profile, "above": [{"close": ["game"]}]}]}):
        with pytest.raises(PolicyFileError):
            parse_policy_file(broken)
    unknown = {**document, "profiles": [{**profile, "above": [{"document": "12/QĐ", "close": ["gaem"]}]}]}
    with pytest.raises(PolicyFileError, match="gaem"):
        parse_policy_file(unknown, WORDS)
