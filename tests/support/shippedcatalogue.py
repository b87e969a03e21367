"""The shipped catalogue, read and checked once in a test process: for tests that only want to have it. Each caller gets its own copy."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from blocklists import catalogue


def load() -> dict[str, Any]:  # Any: the catalogue's JSON
    """The catalogue document that `blocklists.catalogue.load` reads from the product's own folder."""
    document: dict[str, Any] = json.loads(_text())
    return document


@cache
def _text() -> str:
    return json.dumps(catalogue.load())
