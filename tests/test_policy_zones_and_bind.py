"""The same policy zones in BIND and in the product: worlds made by chance, and every difference has its row in blocklists/README.md."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.support.echogateway import free_port
from tests.support.gateway import Gateway, RunningUpstream
from tests.support.policyworlds import SILENCE, Batch, Bind, Question, Seen, World, WorldUpstream, ask_all, make_batches

ROOT = Path(__file__).resolve().parents[1]
SEED = 20_260
BATCHES, WORLDS = 4, 78
"""Batches of worlds under the same overrides: 312 worlds in all."""

SETTINGS = """
state_dir: var
dns: {listen: ["127.0.0.1:0"], workers: 1}
upstreams: {servers: ["udp://127.0.0.1:{upstream}"]}
rate_limit: {per_client: 0}
rpz:
{zones}
profiles: [{id: nguoi-lon, band: NL}]
default_profile: nguoi-lon
"""


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("named") is None, reason="BIND is not installed")
def test_same_zones_give_the_same_answers_as_bind(tmp_path: Path) -> None:
    """Over three hundred worlds; what differs is one of the differences that are written down, and each of them is met."""
    met: Counter[str] = Counter()
    unexplained = []
    questions = 0
    with RunningUpstream(upstream=WorldUpstream()) as upstream:
        for number, batch in enumerate(make_batches(SEED, BATCHES, WORLDS)):
            folder = tmp_path / str(number)
            folder.mkdir()
            theirs, ours = _both(folder, batch, upstream.port)
            for world in batch.worlds:
                for question in world.questions:
                    questions += 1
                    our, their = ours[question], theirs[question]
                    if our == their:
                        continue
                    row = explanation(batch, world, question, our, their)
                    if row is None:
                        unexplained.append(f"{question} {batch.overrides}\n  ours: {our}\n  BIND: {their}\n  {world.rules}")
                    else:
                        met[row] += 1
    assert not unexplained, "\n".join(unexplained[:5])
    assert questions >= BATCHES * WORLDS * 10
    assert set(met) == {"alias", "wildcard", "type"}
    assert sum(met.values()) < questions * 0.1, met


def test_every_difference_is_written_down() -> None:
    """The names of the explanations are the rows of the table."""
    text = (ROOT / "blocklists" / "README.md").read_text(encoding="utf-8")
    table = text[text.index("## Policy zones") :]
    assert {"alias", "wildcard", "type"} <= set(re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE))


def _both(folder: Path, batch: Batch, upstream: int) -> tuple[dict[Question, Seen], dict[Question, Seen]]:
    """Ask BIND, then the gateway, everything."""
    with Bind(folder / "bind", batch, upstream, free_port()) as bind:
        theirs = ask_all(bind.port, batch.questions)
    rows = []
    for number, override in enumerate(batch.overrides):
        (folder / f"z{number}.zone").write_text(batch.zone_text(number))
        rows.append(f'  - {{name: z{number}.rpz, file: z{number}.zone, policy: "{override}"}}')
    with Gateway(folder, SETTINGS, upstream=upstream, zones="\n".join(rows)) as gateway:
        return theirs, ask_all(gateway.port, batch.questions)


# The differences ----------------------------------------------------------------------------------------------------------------


def explanation(batch: Batch, world: World, question: Question, our: Seen, their: Seen) -> str | None:
    """The row of the table that explains a difference; None when nothing does."""
    name = question.name.removesuffix(f".{world.suffix}")
    if _wildcard_stops(batch, world, name):
        return "wildcard"
    if question.qtype not in ("A", "AAAA", "CNAME") and our.records and our.records < their.records and our.rcode == their.rcode:
        behind = their.records - our.records
        target = {rdata for _, rtype, rdata in our.records if rtype == "CNAME"}
        if {owner for owner, _, _ in behind} == target:
            return "type"
    if "al" in name.split(".") and _speaks_about_target(batch, world) and (_closes(our) or their.truncated):
        return "alias"
    return None


def _speaks_about_target(batch: Batch, world: World) -> bool:
    """Whether a zone has a rule for `a`, which all aliases lead to."""
    return any(_rule(batch, world, zone, "a", dns_rules=False) for zone in range(len(batch.overrides)))


def _closes(our: Seen) -> bool:
    """Whether we gave nothing of what the upstream said."""
    return our == SILENCE or all(rdata in ("0.0.0.0", "::") for _, _, rdata in our.records)


def _wildcard_stops(batch: Batch, world: World, name: str) -> bool:
    """Whether RFC 4592 stops a wildcard at a name that the zone holds, in a zone that is not disabled."""
    return any(
        _rule(batch, world, zone, name, dns_rules=False) != _rule(batch, world, zone, name, dns_rules=True)
        for zone in range(len(batch.overrides))
    )


def _rule(batch: Batch, world: World, zone: int, name: str, *, dns_rules: bool) -> str | None:
    """The owner in a zone that speaks about a name: the name itself, else the longest wildcard (by the rules of DNS: the closest)."""
    if batch.overrides[zone] == "disabled":
        return None
    owners = {owner for place, owner, _ in world.rules if place == zone}
    if name in owners:
        return name
    if dns_rules and _exists(name, owners):
        return None
    labels = name.split(".")
    for above in (".".join(labels[start:]) for start in range(1, len(labels))):
        if f"*.{above}" in owners:
            return f"*.{above}"
        if dns_rules and _exists(above, owners):
            return None
    return None


def _exists(name: str, owners: set[str]) -> bool:
    return any(owner == name or owner.endswith(f".{name}") for owner in owners)
