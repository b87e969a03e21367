"""Rules of a list for some types or some clients only (`$dnstype`, `$client`): the real program, two people in one house."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dns.rcode
import pytest

from tests.support.gateway import Gateway, RunningUpstream
from tests.support.upstream import ScriptedUpstream

CHILD, ADULT = "127.0.0.3", "127.0.0.1"
REAL, REAL6 = "192.0.2.10", "2001:db8::10"
ZERO, ZERO6 = "0.0.0.0", "::"
NAMES = ("six", "notfour", "child", "notchild", "net", "both", "undone", "kept", "plain", "behind")
RECORDS = {
    **{(f"{name}.example", "A"): [REAL] for name in NAMES},
    **{(f"{name}.example", "AAAA"): [REAL6] for name in NAMES},
    **{(f"to-{name}.example", "CNAME"): [f"{name}.example."] for name in NAMES},
}
LIST = """! rules with conditions
||six.example^$dnstype=AAAA
||notfour.example^$dnstype=~A
||child.example^$client=may-be
||notchild.example^$client=~'may-be'
||net.example^$client=127.0.0.2/31
||both.example^$dnstype=AAAA,client=may-be
||undone.example^
@@||undone.example^$client=may-be
||kept.example^$important
@@||kept.example^$client=may-be
||plain.example^
||behind.example^$dnstype=CNAME
"""
SETTINGS = """
state_dir: var
dns: {listen: ["127.0.0.1:0"], workers: 1}
upstreams: {servers: ["udp://127.0.0.1:{upstream}"], timeout: 0.3s}
metrics: {listen: "127.0.0.1:{metrics}"}
lists:
  - {id: own, action: block, path: own.txt, format: adblock}
profiles:
  - {id: chung, band: NL}
clients:
  - {id: may-be, profile: chung, match: [127.0.0.3]}
  - {id: may-lon, profile: chung, match: [127.0.0.1]}
default_profile: chung
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway where both people have the same profile, so that nothing but the rule tells them apart."""
    folder: Path = tmp_path_factory.mktemp("conditions")
    (folder / "own.txt").write_text(LIST, encoding="utf-8")
    with (
        RunningUpstream(upstream=ScriptedUpstream(RECORDS)) as upstream,
        Gateway(folder, SETTINGS, environment={"COLUMNS": "250"}, upstream=upstream.port) as running,
    ):
        yield running


def _seen(gateway: Gateway, name: str, qtype: str, source: str) -> list[str]:
    reply = gateway.ask(f"{name}.example", qtype, source=source, seconds=2.0)
    assert reply.rcode() == dns.rcode.NOERROR
    return sorted(str(rdata) for rrset in reply.answer if rrset.rdtype in (1, 28) for rdata in rrset)


@pytest.mark.parametrize(
    ("name", "child", "adult"),
    [
        ("six", (REAL, ZERO6), (REAL, ZERO6)),
        ("notfour", (REAL, ZERO6), (REAL, ZERO6)),
        ("child", (ZERO, ZERO6), (REAL, REAL6)),
        ("notchild", (REAL, REAL6), (ZERO, ZERO6)),
        ("net", (ZERO, ZERO6), (REAL, REAL6)),
        ("both", (REAL, ZERO6), (REAL, REAL6)),
        ("undone", (REAL, REAL6), (ZERO, ZERO6)),
        ("kept", (ZERO, ZERO6), (ZERO, ZERO6)),
        ("plain", (ZERO, ZERO6), (ZERO, ZERO6)),
        ("behind", (REAL, REAL6), (REAL, REAL6)),
        ("to-six", (REAL, ZERO6), (REAL, ZERO6)),
        ("to-notfour", (REAL, ZERO6), (REAL, ZERO6)),
        ("to-child", (ZERO, ZERO6), (REAL, REAL6)),
        ("to-both", (REAL, ZERO6), (REAL, REAL6)),
        ("to-undone", (REAL, REAL6), (ZERO, ZERO6)),
        ("to-behind", (ZERO, ZERO6), (ZERO, ZERO6)),
    ],
)
def test_rule_is_for_those_it_names(gateway: Gateway, name: str, child: tuple[str, str], adult: tuple[str, str]) -> None:
    """Whoever asks first and however often, each client and each type gets its own answer; so it is with what a name leads to."""
    for _ in range(3):
        for source, expected in ((ADULT, adult), (CHILD, child)):
            for qtype, address in zip(("A", "AAAA"), expected, strict=True):
                assert _seen(gateway, name, qtype, source) == [address], (source, qtype)


def test_explain_says_the_same_for_each_client_and_type(gateway: Gateway) -> None:
    """The command that explains knows the conditions."""
    for client, blocked in (("may-be", True), ("may-lon", False)):
        said = gateway.command("explain", "child.example", "--client", client)
        assert ("list own" in said.stdout) is blocked, said.stdout
    said = gateway.command("explain", "six.example", "--client", "may-lon", "--type", "A")
    assert "list own" not in said.stdout
