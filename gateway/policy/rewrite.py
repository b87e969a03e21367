"""Safe search: which names are answered through another one so that a search engine or YouTube shows its safe mode.

Only the listed names themselves are rewritten, nothing below them, and only the types that lead to a server; mail and text records of an
engine's domain stay as they are. The engine of this package imports this module.
"""

from __future__ import annotations

from typing import Final

from gateway.policy.catalogue import Catalogue
from gateway.policy.model import TTL_DEFAULT, Reason, Rewrite, Rule, RuleOrigin
from gateway.policy.tenant import YouTube

REWRITTEN_TYPES: Final = frozenset({1, 5, 28, 64, 65, 255})
"""A, CNAME, AAAA, SVCB, HTTPS and ANY are answered through the target; every other type is resolved as usual."""


def rewrites(catalogue: Catalogue, safe_search: bool, youtube: YouTube) -> dict[str, Rewrite]:
    """The rewritten names by key, for one choice of safe search and one level of YouTube's restricted mode."""
    table: dict[str, Rewrite] = {}
    for engine in catalogue.safe_search:
        if engine.youtube is None:
            if not safe_search:
                continue
            text = f"safe search {engine.engine}"
        elif engine.youtube == youtube:
            text = f"youtube {youtube}"
        else:
            continue
        rule = Rule(RuleOrigin.SYSTEM, Reason.SAFE_SEARCH, text, source=engine.engine, version=catalogue.version)
        rewrite = Rewrite(engine.target, engine.engine, engine.addresses, Reason.SAFE_SEARCH, rule, TTL_DEFAULT)
        for key in engine.keys:
            table[key] = rewrite
    return table
