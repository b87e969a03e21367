"""Who asks and from where: tokens, hardware addresses, addresses, networks, listeners; nobody is taken for somebody else."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from gateway.policy.identify import Directory, unmapped
from gateway.policy.index import AddressTriggers
from gateway.policy.model import Band, Match
from gateway.policy.tenant import TenantPolicy, parse_policy_file
from tests.support.generation import policy, profile

NO_TRIGGERS = AddressTriggers([])


def tenant(name: str, kind: str, **members: Any) -> TenantPolicy:
    """A tenant with one profile `p` and a guest profile."""
    owner = {"operator": "province", "school": "school", "family": "parent"}[kind]
    return parse_policy_file(policy(name, kind, profiles=[profile("TH", "p", owner), profile("KH", "guest", owner)], **members))


def ask(
    directory: Directory, address: str, local: str | None = None, mac: str | None = None, token: str | None = None
) -> tuple[str | None, str | None, str | None, str]:
    """Client, tenant, site and what identified it."""
    found = match(directory, address, local, mac, token)
    return found.client_id, found.tenant, found.site, found.by


def match(directory: Directory, address: str, local: str | None = None, mac: str | None = None, token: str | None = None) -> Match:
    """The match of an address in text."""
    here = None if local is None else ip_address(local).packed
    return directory.identify(ip_address(address).packed, here, mac, token, NO_TRIGGERS)


def client(identity: str, *matches: str, **members: Any) -> dict[str, Any]:
    """A client of profile `p`."""
    return {"id": identity, "profile": "p", "match": list(matches), **members}


def test_what_one_client_writes_twice_is_written_once() -> None:
    """The same MAC in capitals, the same token, the same network on two lines: one device, which nobody disputes."""
    mac = "aa:bb:cc:dd:ee:01"
    twice = client("tablet", f"mac:{mac}", f"mac:{mac.upper()}", "token:k3j9abcdefgh", "token:k3j9abcdefgh", "10.1.2.3", "10.1.2.3/32")
    directory = Directory([tenant("local", "operator", default_profile="guest", clients=[twice])])
    assert directory.disputes == ()
    assert ask(directory, "10.9.9.9", mac=mac) == ("tablet", "local", None, "mac")
    assert ask(directory, "10.9.9.9", token="k3j9abcdefgh") == ("tablet", "local", None, "token")
    assert ask(directory, "10.1.2.3") == ("tablet", "local", None, "address")


def test_exact_address_then_the_longest_network() -> None:
    """The most specific claim names the client; without any it is unknown."""
    directory = Directory(
        [
            tenant(
                "local",
                "operator",
                default_profile="guest",
                clients=[
                    client("host", "10.1.2.3"),
                    client("room", "10.1.2.0/24"),
                    client("house", "10.0.0.0/8", "fd00::/8"),
                    client("six", "fd00::1"),
                ],
            )
        ]
    )
    assert [ask(directory, address)[0] for address in ("10.1.2.3", "10.1.2.4", "10.9.9.9", "fd00::1", "fd00::2", "192.0.2.1")] == [
        "host",
        "room",
        "house",
        "six",
        "house",
        None,
    ]
    assert [ask(directory, address)[3] for address in ("10.1.2.3", "10.1.2.4", "192.0.2.1")] == ["address", "network", "default"]
    unknown = match(directory, "192.0.2.1")
    assert (unknown.known, unknown.profile, unknown.tenant) == (False, "guest", "local")


def test_token_before_hardware_address_before_address() -> None:
    """What the client presents, then the device, then where it sits; a token nobody has falls through."""
    directory = Directory(
        [tenant("local", "operator", clients=[client("t", "token:K3J9"), client("m", "mac:02:00:00:00:00:01"), client("a", "10.0.0.0/8")])]
    )
    mac = "02:00:00:00:00:01"
    assert ask(directory, "10.0.0.1", mac=mac, token="k3J9")[::3] == ("t", "token")
    assert ask(directory, "198.51.100.1", token="k3j9")[::3] == ("t", "token")
    assert ask(directory, "10.0.0.1", mac="02:00:00:00:00:01".upper(), token="other")[::3] == ("m", "mac")
    assert ask(directory, "10.0.0.1", mac="02:00:00:00:00:02")[::3] == ("a", "network")


def test_two_schools_with_the_same_subnet_are_told_apart_by_the_listener() -> None:
    """Both are 10.1.0.0/16; the address of ours that was asked decides (review 14)."""
    schools = [
        tenant(
            f"school-{number}",
            "school",
            default_profile="guest",
            sites=[{"id": "main", "class": "school", "listen": [f"192.0.2.{number}"], "networks": ["10.1.0.0/16"]}],
            clients=[client(f"class-{number}", "10.1.3.0/24", site="main")],
        )
        for number in (1, 2)
    ]
    directory = Directory(schools)
    assert ask(directory, "10.1.3.7", "192.0.2.1") == ("class-1", "school-1", "main", "network")
    assert ask(directory, "10.1.3.7", "192.0.2.2") == ("class-2", "school-2", "main", "network")
    stranger = match(directory, "10.1.9.9", "192.0.2.2")
    assert (stranger.client_id, stranger.tenant, stranger.site, stranger.site_tenant, stranger.by) == (
        None,
        "school-2",
        "main",
        "school-2",
        "site",
    )
    assert ask(directory, "10.1.3.7", "192.0.2.9") == (None, None, None, "default")
    assert ask(directory, "10.1.3.7") == (None, None, None, "default")
    assert ask(directory, "10.2.3.7", "192.0.2.1")[0] is None


def test_equally_good_claims_of_two_tenants_name_nobody() -> None:
    """Two families that claim one address are both refused it: unknown, strictest band, never the other's rules."""
    families = [
        tenant(name, "family", clients=[client("child", "192.168.1.10", "token:same", "mac:02:00:00:00:00:01")]) for name in ("a", "b")
    ]
    directory = Directory(families)
    assert ask(directory, "192.168.1.10") == (None, None, None, "disputed")
    assert match(directory, "192.168.1.10").strictest is Band.TH
    assert {(one.what, one.owners, one.is_outside) for one in directory.disputes} == {("", ("a child", "b child"), False)}
    assert not directory.replaced([families[0]], []).disputes
    assert ask(directory, "198.51.100.1", token="same")[0] is None
    assert ask(directory, "192.168.1.10", mac="02:00:00:00:00:01")[0] is None
    operator = tenant("local", "operator", clients=[client("host", "192.168.1.10")])
    assert ask(Directory([*families, operator]), "192.168.1.10")[:2] == ("host", "local")


def two_schools(first: str, second: str, **members: Any) -> TenantPolicy:
    """Schools `a` (of small children) and `b` in one file whose strangers are adults; `second` is the network of the site of b."""
    return parse_policy_file(
        policy(
            "local",
            "operator",
            default_profile="staff",
            profiles=[profile("TH", "th", "school"), profile("CS", "cs", "school"), profile("NL", "staff", "school")],
            sites=[
                {"id": "a", "class": "school", "bands": ["TH"], "networks": [first]},
                {"id": "b", "class": "school", "bands": ["CS"], "networks": [second]},
            ],
            clients=[
                {"id": "ca", "profile": "th", "site": "a", "match": ["10.1.0.0/16"]},
                {"id": "cb", "profile": "cs", "site": "b", "match": [members.get("match", "10.2.0.0/16")]},
            ],
        )
    )


def test_two_claims_that_cancel_each_other_give_the_strictest_band_of_both() -> None:
    """A network copied into another school's lines makes no pupil an adult: the strictest of the bands, at the strictest place."""
    directory = Directory([two_schools("10.1.0.0/16", "10.1.0.0/16", match="10.1.0.0/16")])
    found = match(directory, "10.1.0.5")
    assert (found.client_id, found.profile, found.known, found.by) == (None, None, False, "disputed")
    assert (found.site, found.strictest) == ("a", Band.TH)
    assert [(one.what, one.owners, one.is_outside) for one in directory.disputes] == [("10.1.0.0/16", ("local a", "local b"), False)]
    assert match(directory, "192.0.2.1").profile == "staff", "a stranger is what the file says"


def test_client_outside_its_own_site_has_its_strictest_band_not_the_default() -> None:
    """The network of the site is mistyped: its pupils are not strangers with an adult's rules, though a wider network is somebody's."""
    directory = Directory([two_schools("10.1.0.0/16", "10.22.0.0/16")])
    found = match(directory, "10.2.0.5")
    assert (found.client_id, found.profile, found.site, found.strictest, found.by) == (None, None, "b", Band.CS, "disputed")
    assert [(one.what, one.owners, one.is_outside) for one in directory.disputes] == [("10.2.0.0/16", ("local cb",), True)]
    assert match(directory, "10.1.0.5").client_id == "ca"
    wide = tenant("wide", "operator", clients=[client("staff", "10.0.0.0/8")])
    assert match(Directory([two_schools("10.1.0.0/16", "10.22.0.0/16"), wide]), "10.2.0.5").by == "disputed"
    assert not Directory([two_schools("10.1.0.0/16", "10.2.0.0/16")]).disputes


def test_family_cannot_claim_a_device_at_a_school() -> None:
    """Where the place is known, only its own tenant and the operator may claim an address in it."""
    school = tenant(
        "school",
        "school",
        default_profile="guest",
        sites=[{"id": "main", "class": "school", "networks": ["10.1.0.0/16"]}],
        clients=[client("class", "10.1.3.0/24")],
    )
    family = tenant("family", "family", clients=[client("child", "10.1.3.7", "10.1.4.4", "token:child", "mac:02:00:00:00:00:01")])
    directory = Directory([school, family])
    assert ask(directory, "10.1.3.7")[:3] == ("class", "school", "main")
    assert ask(directory, "10.1.4.4")[:3] == (None, "school", "main")
    assert ask(directory, "10.1.3.7", mac="02:00:00:00:00:01")[:3] == ("class", "school", "main")
    at_school = match(directory, "10.1.3.7", token="child")
    assert (at_school.client_id, at_school.tenant, at_school.site_tenant, at_school.site) == ("child", "family", "school", "main")


def test_client_of_a_site_is_known_there_only() -> None:
    """An address of a client belongs to its site: elsewhere it is somebody else's."""
    operator = tenant(
        "local",
        "operator",
        sites=[{"id": "one", "networks": ["10.1.0.0/16"]}, {"id": "two", "listen": ["192.0.2.2"]}],
        clients=[client("a", "10.0.0.0/8", site="one"), client("b", "10.0.0.0/8", site="two")],
    )
    directory = Directory([operator])
    assert ask(directory, "10.1.0.1")[:3:2] == ("a", "one")
    assert ask(directory, "10.1.0.1", "192.0.2.2")[:3:2] == ("b", "two")
    assert ask(directory, "10.7.0.1")[:3:2] == (None, None)


def test_longest_network_of_a_site_is_the_place() -> None:
    """A building inside a campus is its own site; unknown devices there get its guest rules."""
    school = tenant(
        "school",
        "school",
        sites=[
            {"id": "campus", "class": "school", "networks": ["10.0.0.0/8"]},
            {"id": "nursery", "class": "school", "networks": ["10.5.0.0/16"]},
        ],
    )
    directory = Directory([school])
    assert [ask(directory, address)[2] for address in ("10.5.1.1", "10.6.1.1", "192.0.2.1")] == ["nursery", "campus", None]


def test_replaced_directory_equals_one_made_anew() -> None:
    """Changing one tenant leaves the others' claims in place, and the old directory as it was."""
    first = tenant("a", "family", clients=[client("old", "10.0.0.1", "token:one"), client("stays", "10.0.0.2")])
    second = tenant("a", "family", clients=[client("new", "10.0.0.3", "token:two"), client("stays", "10.0.0.2")])
    other = tenant("b", "family", clients=[client("b", "10.0.0.9", "10.0.0.0/24")])
    operator = tenant("local", "operator", default_profile="guest")
    before = Directory([first, other, operator])
    after = before.replaced([first], [second])
    anew = Directory([second, other, operator])
    for address in ("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.9", "192.0.2.1"):
        assert match(after, address) == match(anew, address)
    for token in ("one", "two"):
        assert match(after, "192.0.2.1", token=token) == match(anew, "192.0.2.1", token=token)
    assert ask(before, "10.0.0.1")[0] == "old"
    assert ask(after.replaced([second, other], []), "10.0.0.9") == (None, "local", None, "default")
    assert match(before.replaced([operator], []), "192.0.2.1").tenant is None


def test_default_of_the_configuration_file_comes_first() -> None:
    """With several operators the tenant `local` speaks for strangers."""
    directory = Directory([tenant("a-hub", "operator", default_profile="guest"), tenant("local", "operator")])
    assert (match(directory, "192.0.2.1").tenant, match(directory, "192.0.2.1").profile) == ("local", None)


def test_client_address_triggers_travel_with_the_match() -> None:
    """Zones that name the asking address are resolved here, not in a shared table."""
    triggers = AddressTriggers([{"trigger": "client-ip", "network": "10.0.0.0/8", "source": 2, "action": 3}])
    assert Directory().identify(bytes((10, 0, 0, 1)), None, None, None, triggers).zones == ((2, 3),)


@pytest.mark.parametrize(("address", "expected"), [("::ffff:192.0.2.1", "192.0.2.1"), ("::1", "::1"), ("192.0.2.1", "192.0.2.1")])
def test_ipv4_inside_ipv6_is_ipv4(address: str, expected: str) -> None:
    """A dual-stack socket names the same client."""
    assert unmapped(ip_address(address).packed) == ip_address(expected).packed


def test_home_has_its_present_address_until_the_end() -> None:
    """An address of IPv4, a network of 64 bits of IPv6; a loan ends before it; an address that two families claim is nobody's."""
    address, network = "203.0.113.7", "2001:db8:5::/64"
    lent = {"lent": {"profile": "guest", "until": "1970-01-01T00:00:50Z"}}
    linked = [{"address": address, "until": "1970-01-01T00:01:40Z"}, {"address": network, "until": "1970-01-01T00:01:40Z"}]
    first = tenant("an", "family", clients=[client("home", "token:aaaa", linked=linked, **lent)])
    directory = Directory([tenant("local", "operator"), first])

    def home(where: str, now: float) -> tuple[str | None, str, float] | None:
        found = directory.linked(ip_address(where).packed, now, NO_TRIGGERS)
        return None if found is None or found.lent is None else (found.client_id, found.lent.profile, found.lent.until)

    assert home(address, 10.0) == home("2001:db8:5::99", 10.0) == ("home", "guest", 50.0)
    assert home(address, 60.0) == ("home", "p", 100.0)
    assert home(address, 100.0) is home("203.0.113.8", 10.0) is home("2001:db8:6::1", 10.0) is None
    assert match(directory, address).by == "default", "whoever else has it comes first"
    assert match(directory, "192.0.2.1", token="aaaa").is_home
    other = tenant("binh", "family", clients=[client("home", "token:bbbb", linked=linked[:1])])
    directory = directory.replaced([], [other])
    assert home(address, 10.0) is None and home("2001:db8:5::99", 10.0) is not None
    directory = directory.replaced([other], [])
    assert home(address, 10.0) is not None


def test_address_of_an_own_link_is_at_the_only_place() -> None:
    """A home that wrote its IPv4 network only: its devices are its own over the provider's IPv6, too, and a guest is its guest; where two
    places might be meant, nobody is named and the strictest holds."""
    site = {"id": "nha", "class": "home", "bands": ["TH", "NL"], "networks": ["192.168.0.0/16"]}
    clients = [client("be", "mac:02:00:00:00:00:01", site="nha")]
    address = ip_address("2001:ee0:1:2::1f").packed
    home = Directory([tenant("local", "operator", sites=[site], clients=clients)])
    child = home.identify(address, None, "02:00:00:00:00:01", None, NO_TRIGGERS, True)
    guest = home.identify(address, None, None, None, NO_TRIGGERS, True)
    assert (child.client_id, child.site, child.by) == ("be", "nha", "mac")
    assert (guest.client_id, guest.tenant, guest.site, guest.by) == (None, "local", "nha", "site")
    assert home.identify(address, None, None, None, NO_TRIGGERS).site is None
    other = site | {"id": "truong", "networks": ["10.0.0.0/8"]}
    two = Directory([tenant("local", "operator", sites=[site, other], clients=clients)])
    nobody = two.identify(address, None, "02:00:00:00:00:01", None, NO_TRIGGERS, True)
    assert (nobody.client_id, nobody.by, nobody.strictest) == (None, "disputed", Band.TH)
