"""One client before one generation: the shortest way to ask "what becomes of this name" in a test.

desk = make_desk(tmp_path, lists={"bet": category("gamb", "bet.example")}, profile=profile("TH"))
assert desk.ask("bet.example") == "block matrix"
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from gateway.policy.model import AnswerFacts, Block, Decision, Drop, EffectivePolicy, Local, Pass, Rewrite, TcpOnly, Verdict
from gateway.policy.snapshot import Snapshot
from gateway.wire.name import key_from_text
from tests.support.generation import make_generation, policy, profile

Json = dict[str, Any]

NOON = "2026-03-04T12:00:00+07:00"
"""A Wednesday."""
ADDRESS = bytes((10, 0, 0, 1))
AT_SCHOOL = bytes((10, 1, 0, 1))
AT_HOME = bytes((10, 2, 0, 1))
STRANGER = bytes((10, 9, 0, 1))


@dataclass
class Desk:
    """A loaded generation and the client that asks."""

    snapshot: Snapshot
    address: bytes = ADDRESS

    def policy(self, at: str = NOON) -> EffectivePolicy:
        """What holds for the client at a moment."""
        return self.snapshot.effective(self.snapshot.identify(self.address), seconds(at))

    def judge(self, name: str, qtype: int = 1, at: str = NOON) -> Verdict:
        """The verdict for a name."""
        return self.snapshot.judge(key_from_text(name), qtype, self.policy(at))

    def ask(self, name: str, qtype: int = 1, at: str = NOON) -> str:
        """The verdict in a word or two."""
        return word(self.judge(name, qtype, at))

    def explain(self, name: str, qtype: int = 1, at: str = NOON) -> Decision:
        """The verdict with what lost."""
        return self.snapshot.explain(key_from_text(name), qtype, self.policy(at))

    def chain(self, name: str, *targets: str, addresses: tuple[bytes, ...] = (), at: str = NOON) -> str:
        """The verdict after an answer that leads to these targets and addresses."""
        facts = AnswerFacts(tuple(key_from_text(target) for target in targets), addresses)
        policy = self.policy(at)
        key = key_from_text(name)
        return word(self.snapshot.judge_answer(facts, self.snapshot.judge(key, 1, policy), policy, key))


def make_desk(
    state_dir: Path,
    *,
    lists: Mapping[str, Json] | None = None,
    profile: Json | None = None,
    rules: Json | None = None,
    school: Json | None = None,
    bands: Iterable[str] = (),
    orders: Iterable[Json] | None = None,
    catalogue: Json | None = None,
    address: bytes = ADDRESS,
    group: str | None = None,
) -> Desk:
    """A client with this profile; `rules` are the province's, `school` those of a school site. Its address says where it is.

    ADDRESS: nowhere in particular. AT_SCHOOL: at a school that serves `bands`. AT_HOME: at a home. STRANGER: nobody knows it.
    """
    own = profile or default_profile()
    document = policy(
        rules=rules,
        sites=[
            {"id": "school", "class": "school", "bands": list(bands), "networks": ["10.1.0.0/16"], "rules": school},
            {"id": "home", "class": "home", "networks": ["10.2.0.0/16"]},
        ],
        profiles=[own],
        clients=[{"id": "c", "profile": own["id"], "group": group, "match": ["10.0.0.1", "10.1.0.1", "10.2.0.1"]}],
    )
    return Desk(Snapshot.load(make_generation(state_dir, lists=lists, policy=document, orders=orders, catalogue=catalogue), 1), address)


def default_profile() -> Json:
    """A primary-school child's profile without rules, the parent's."""
    return profile("TH")


def word(verdict: Verdict) -> str:
    """A verdict in a word or two: its kind and its reason."""
    match verdict:
        case Pass(reason=reason):
            return f"pass {reason}"
        case Block(reason=reason):
            return f"block {reason}"
        case Rewrite(target=target):
            return f"rewrite {target}"
        case Local(reason=reason):
            return f"local {reason}"
        case Drop():
            return "drop"
        case TcpOnly(then=then):
            return f"tcp {word(then)}"


def seconds(at: str) -> float:
    """An ISO moment in unix seconds."""
    return datetime.fromisoformat(at).timestamp()
