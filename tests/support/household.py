"""A household before the pipeline: a child, an adult, a few lists, an upstream that follows a function. For tests only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.generation import category, good, profile
from tests.support.scripts import Asked
from tests.support.upstream import ScriptedUpstream

OPEN = {("www.example.com", "A"): ["198.51.100.1"], ("www.example.com", "AAAA"): ["2001:db8:1::1"], ("www.example.com", "TXT"): ['"x"']}
LISTS = {
    "bets": category("gamb", "bet.example"),
    "virus": category("malware", "virus.example"),
    "social": category("social", "social.example"),
    "school": good("edu", "learn.example"),
}
CHILD = profile("TH", "child")
ADULT = profile("NL", "adult")


def two_people(**members: Any) -> dict[str, Any]:
    """A child at 127.0.0.2 and an adult at 127.0.0.3."""
    return {
        "profiles": [ADULT, {**CHILD, **members}],
        "clients": [
            {"id": "kid", "profile": "child", "match": ["127.0.0.2"]},
            {"id": "mum", "profile": "adult", "match": ["127.0.0.3", "127.0.0.1"]},
        ],
    }


class Script(ScriptedUpstream):
    """An upstream that answers by a function."""

    def __init__(self, script: Callable[[Asked], Any]) -> None:
        super().__init__()
        self.script = script

    def handle(self, asked: Asked) -> Any:
        """The function's reply; health questions are answered as usual."""
        return super().handle(asked) if asked.is_probe else self.script(asked)
