"""Response policy zones of the settings, with the real program: every action and override as a client sees it, and broken files."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import dns.exception
import dns.flags
import dns.rcode
import pytest

from tests.support.gateway import Gateway, RunningUpstream
from tests.support.upstream import ScriptedUpstream

OTHER, PUPIL = "127.0.0.1", "127.0.0.3"
REAL = "192.0.2.10"
NAMES = "nxdomain nodata passthru drop tcp local cname star.wild deep.er.wild x.nxdomain free forced late pupils help-like first both typed"
RECORDS = {
    **{(f"{name}.example", "A"): [REAL] for name in NAMES.split()},
    ("nxdomain.example", "TXT"): ['"real"'],
    ("walled.example", "A"): ["192.0.2.99"],
    ("walled.example", "AAAA"): ["2001:db8::99"],
    ("star.wild.example.garden.example", "A"): ["192.0.2.98"],
    ("vn-cop.vn", "A"): ["192.0.2.30"],
    ("blocked.example", "A"): [REAL],
    ("alias.example", "CNAME"): ["nxdomain.example."],
    **{(f"{name}.over.example", "A"): [REAL] for name in ("disabled", "passthru", "drop", "tcp", "nxdomain", "nodata", "cname")},
}
SOA = "$TTL 300\n@ SOA localhost. admin.localhost. {serial} 3600 600 86400 60\n  NS localhost.\n"
MAIN = """
nxdomain CNAME .
nodata CNAME *.
passthru CNAME rpz-passthru.
blocked CNAME rpz-passthru.
drop CNAME rpz-drop.
tcp CNAME rpz-tcp-only.
local A 192.0.2.77
local A 192.0.2.78
local TXT "says why"
cname CNAME walled.example.
*.wild CNAME *.garden.example.
star.wild2 CNAME .
both CNAME .
typed CNAME rpz-passthru.
vn-cop.vn.main.rpz. CNAME .
ns.x.rpz-nsdname.main.rpz. CNAME .
"""
ZONES = {
    "pupils.rpz": "pupils CNAME .\n",
    "main.rpz": MAIN,
    **{f"over-{word}.rpz": f"{word}.over CNAME ." + "\n" for word in ("passthru", "drop", "tcp", "nodata", "cname", "disabled")},
    "over-nxdomain.rpz": "nxdomain.over A 192.0.2.77\n",
    "last.rpz": "passthru CNAME .\nboth A 192.0.2.66\nlate CNAME .\n" + "disabled.over CNAME .\npassthru.over CNAME .\n",
}
SETTINGS = """
state_dir: var
dns: {listen: ["127.0.0.1:0"], workers: 1}
upstreams: {servers: ["udp://127.0.0.1:{upstream}"], timeout: 0.3s}
metrics: {listen: "127.0.0.1:{metrics}"}
lists:
  - {id: own, category: gamb, path: own.txt}
rpz:
  - {name: pupils.rpz, file: pupils.rpz, groups: [school]}
  - {name: main.rpz, file: main.rpz}
  - {name: over-disabled.rpz, file: over-disabled.rpz, policy: disabled}
  - {name: over-passthru.rpz, file: over-passthru.rpz, policy: passthru}
  - {name: over-drop.rpz, file: over-drop.rpz, policy: drop}
  - {name: over-tcp.rpz, file: over-tcp.rpz, policy: tcp-only}
  - {name: over-nxdomain.rpz, file: over-nxdomain.rpz, policy: nxdomain}
  - {name: over-nodata.rpz, file: over-nodata.rpz, policy: nodata}
  - {name: over-cname.rpz, file: over-cname.rpz, policy: "cname:walled.example"}
  - {name: last.rpz, file: last.rpz}
profiles:
  - {id: hoc-sinh, band: TH, allow: [typed.example]}
  - {id: nguoi-lon, band: NL}
clients:
  - {id: may-hoc, profile: hoc-sinh, group: school, match: [127.0.0.3]}
  - {id: may-khac, profile: nguoi-lon, match: [127.0.0.1]}
default_profile: nguoi-lon
"""


def write_zone(folder: Path, name: str, rules: str, serial: int = 1) -> None:
    """Write a zone whose plain owners stand below `example`."""
    head = SOA.replace("{serial}", str(serial))
    (folder / name).write_text(f"$ORIGIN {name}.\n{head}$ORIGIN example.{name}.\n{rules}", encoding="utf-8")


def prepare(folder: Path) -> None:
    """Put every zone and list beside the configuration."""
    for name, rules in ZONES.items():
        write_zone(folder, name, rules)
    (folder / "own.txt").write_text("blocked.example\n")


@pytest.fixture(scope="module")
def upstream() -> Iterator[RunningUpstream]:
    """The resolver that is asked in turn."""
    with RunningUpstream(upstream=ScriptedUpstream(RECORDS)) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(upstream: RunningUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway for the tests that change nothing."""
    folder = tmp_path_factory.mktemp("zones")
    prepare(folder)
    with Gateway(folder, SETTINGS, environment={"COLUMNS": "250"}, upstream=upstream.port) as running:
        yield running


def seen(gateway: Gateway, name: str, qtype: str = "A", *, source: str = OTHER, tcp: bool = False) -> str:
    """What a client sees, in words: the rcode and the answer, `truncated`, or `silence`."""
    try:
        reply = gateway.ask(name, qtype, source=source, tcp=tcp, seconds=1.0)
    except dns.exception.Timeout:
        return "silence"
    if reply.flags & dns.flags.TC:
        return "truncated"
    return " ".join([dns.rcode.to_text(reply.rcode()), *sorted(str(rdata) for rrset in reply.answer for rdata in rrset)])


@pytest.mark.parametrize(
    ("name", "qtype", "expected"),
    [
        ("nxdomain.example", "A", "NXDOMAIN"),
        ("NxDomain.Example", "TXT", "NXDOMAIN"),
        ("x.nxdomain.example", "A", f"NOERROR {REAL}"),
        ("nodata.example", "A", "NOERROR"),
        ("nodata.example", "TXT", "NOERROR"),
        ("passthru.example", "A", f"NOERROR {REAL}"),
        ("drop.example", "A", "silence"),
        ("tcp.example", "A", "truncated"),
        ("local.example", "A", "NOERROR 192.0.2.77 192.0.2.78"),
        ("local.example", "TXT", 'NOERROR "says why"'),
        ("local.example", "AAAA", "NOERROR"),
        ("cname.example", "A", "NOERROR 192.0.2.99 walled.example."),
        ("cname.example", "AAAA", "NOERROR 2001:db8::99 walled.example."),
        ("cname.example", "CNAME", "NOERROR walled.example."),
        ("cname.example", "MX", "NOERROR walled.example."),
        ("star.wild.example", "A", "NOERROR 192.0.2.98 star.wild.example.garden.example."),
        ("wild.example", "A", "NXDOMAIN"),
        ("free.example", "A", f"NOERROR {REAL}"),
    ],
)
def test_action_of_a_zone_is_what_a_client_sees(gateway: Gateway, name: str, qtype: str, expected: str) -> None:
    """Every action, for the asked type and others, by name and by wildcard; asked twice, the answer is the same."""
    assert [seen(gateway, name, qtype) for _ in range(2)] == [expected] * 2


def test_tcp_only_answers_over_tcp(gateway: Gateway) -> None:
    """A datagram is sent back to ask again over TCP, where the real answer is."""
    assert seen(gateway, "tcp.example", tcp=True) == f"NOERROR {REAL}"
    assert seen(gateway, "tcp.over.example", tcp=True) == f"NOERROR {REAL}"


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("disabled", "NXDOMAIN"),
        ("passthru", f"NOERROR {REAL}"),
        ("drop", "silence"),
        ("tcp", "truncated"),
        ("nxdomain", "NXDOMAIN"),
        ("nodata", "NOERROR"),
        ("cname", "NOERROR 192.0.2.99 walled.example."),
    ],
)
def test_override_replaces_the_actions_of_its_zone(gateway: Gateway, word: str, expected: str) -> None:
    """A disabled zone is stepped over, so that the last zone decides; every other override decides itself."""
    assert seen(gateway, f"{word}.over.example") == expected


def test_first_zone_with_a_rule_decides(gateway: Gateway) -> None:
    """The order of the settings is the precedence: neither a block nor a passthru is changed by a later zone."""
    assert seen(gateway, "both.example") == "NXDOMAIN"
    assert seen(gateway, "passthru.example") == f"NOERROR {REAL}"
    assert seen(gateway, "late.example") == "NXDOMAIN"


def test_zone_of_a_group_is_for_its_clients_only(gateway: Gateway) -> None:
    """Devices of another group resolve the name."""
    assert seen(gateway, "pupils.example", source=PUPIL) == "NXDOMAIN"
    assert seen(gateway, "pupils.example", source=OTHER) == f"NOERROR {REAL}"


def test_passthru_opens_nothing_that_another_rule_closes(gateway: Gateway) -> None:
    """PASSTHRU ends the zones: a list and the matrix still block a child."""
    assert seen(gateway, "blocked.example", source=PUPIL) == "NOERROR 0.0.0.0"


def test_test_name_of_a_zone_says_its_serial(gateway: Gateway) -> None:
    """Any device can see which version of a zone is in force; of another list, into which index it was compiled."""
    assert gateway.dig("serial.main.rpz.lachan.internal", "TXT", "+short").strip() == '"1"'
    assert len(gateway.dig("serial.own.lachan.internal", "TXT", "+short").strip('"\n')) == 12


def test_help_names_stay_open_whatever_a_zone_says(gateway: Gateway) -> None:
    """The refusal is counted in the lists."""
    assert seen(gateway, "vn-cop.vn", source=PUPIL) == "NOERROR 192.0.2.30"
    shown = gateway.command("lists", "show").stdout
    assert "rpz:main.rpz" in shown and "help_name" in shown.replace("\n", "")


def test_target_of_an_alias_is_judged(gateway: Gateway) -> None:
    """A name that leads to a blocked name is blocked too."""
    assert seen(gateway, "alias.example") == "NXDOMAIN"


def test_explain_names_the_zone(gateway: Gateway) -> None:
    """The line that decided says zone, action and trigger."""
    text = gateway.command("explain", "nxdomain.example", "--profile", "nguoi-lon").stdout
    assert "main.rpz" in text and "nxdomain" in text


def test_dig_sees_what_dnspython_sees(gateway: Gateway) -> None:
    """A second client: refused names, and the answer over TCP after truncation."""
    assert "status: NXDOMAIN" in gateway.dig("nxdomain.example")
    assert f"\t{REAL}" in gateway.dig("tcp.example")
    assert "no servers could be reached" in gateway.dig("drop.example", "+timeout=1")


def test_broken_zone_keeps_the_last_good_copy_and_says_so(upstream: RunningUpstream, tmp_path: Path) -> None:
    """Cut off, replaced by another file or by nonsense: the old rules stay and the lists say why; a right file is taken at once."""
    prepare(tmp_path)
    zone = tmp_path / "main.rpz"
    with Gateway(tmp_path, SETTINGS, environment={"COLUMNS": "250"}, upstream=upstream.port) as gateway:
        for broken in ("<html>no zone</html>\n" * 9, "free.example.main.rpz. CNAME .\n"):
            zone.write_text(broken)
            told = gateway.command("lists", "compile")
            assert told.returncode == 0 and "! rpz:main.rpz: " in told.stdout, told.stdout + told.stderr
            assert [seen(gateway, "nxdomain.example"), seen(gateway, "free.example")] == ["NXDOMAIN", f"NOERROR {REAL}"], broken[:40]
        assert "kept" in gateway.command("lists", "show").stdout
        zone.unlink()
        told = gateway.command("reload")
        assert told.returncode == 1 and "rpz[1].file" in told.stderr
        assert seen(gateway, "nxdomain.example") == "NXDOMAIN"
        write_zone(tmp_path, "main.rpz", "free CNAME .\n", 2)
        assert gateway.command("reload").returncode == 0
        end = time.monotonic() + 10
        while seen(gateway, "free.example") != "NXDOMAIN" and time.monotonic() < end:
            time.sleep(0.1)
        assert [seen(gateway, "free.example"), seen(gateway, "nxdomain.example")] == ["NXDOMAIN", f"NOERROR {REAL}"]
