"""Reading a JSON document that a person or a program wrote: every mistake is collected with its path, none is raised on the way.

Only the parsers of this package import this module. A value that is wrong is reported once and replaced by a neutral one, so that the
rest of the document is still checked.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection
from datetime import datetime
from typing import Any

from gateway.errors import Mistake

Json = dict[str, Any]  # Any: JSON values, checked one by one
_EMPTY: Json = {}


class Reading:
    """The mistakes found so far, and the checks that find them."""

    __slots__ = ("mistakes",)

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []

    def fault(self, path: str, message: str, remedy: str = "") -> None:
        """Report one mistake."""
        self.mistakes.append(Mistake(path, message, remedy))

    def table(self, value: object, path: str, known: Collection[str], required: Collection[str] = ()) -> Json:
        """`value` as an object with no key outside `known` and every key of `required`; an empty one when it is not."""
        if not isinstance(value, dict):
            self.fault(path or "$", "must be an object")
            return _EMPTY
        for key in value.keys() - known:
            near = difflib.get_close_matches(str(key), known, 1)
            self.fault(join(path, str(key)), "is not a known key", f"did you mean {near[0]}?" if near else "")
        for key in required:
            if key not in value:
                self.fault(join(path, key), "is missing")
        return value

    def rows(self, value: object, path: str) -> list[Any]:  # Any: JSON values
        """`value` as a list; None counts as empty."""
        if value is None:
            return []
        if not isinstance(value, list):
            self.fault(path, "must be a list")
            return []
        return value

    def texts(self, value: object, path: str) -> tuple[str, ...]:
        """`value` as a list of texts; None counts as empty."""
        if not value and (value is None or value == []):
            return ()
        rows = self.rows(value, path)
        for number, item in enumerate(rows):
            if not isinstance(item, str) or not item:
                self.fault(f"{path}[{number}]", "must be text")
        return tuple(item for item in rows if isinstance(item, str) and item)

    def text(self, value: object, path: str, default: str = "") -> str:
        """`value` as text that is not empty."""
        if isinstance(value, str) and value:
            return value
        self.fault(path, "must be text")
        return default

    def optional_text(self, value: object, path: str) -> str | None:
        """`value` as text, or None."""
        return None if value is None else self.text(value, path)

    def flag(self, value: object, path: str) -> bool | None:
        """`value` as true, false or None."""
        if value is None or isinstance(value, bool):
            return value
        self.fault(path, "must be true or false")
        return None

    def choice(self, value: object, path: str, choices: Collection[str], default: str) -> str:
        """`value` as one of `choices`; None gives the default."""
        if value is None:
            return default
        if isinstance(value, str) and value in choices:
            return value
        self.fault(path, f"must be one of {', '.join(choices)}")
        return default

    def moment(self, value: object, path: str) -> float | None:
        """`value` as an absolute moment: ISO 8601 with an offset or Z, in unix seconds."""
        if not isinstance(value, str):
            self.fault(path, "must be a moment", "write it as 2026-09-01T21:30:00+07:00")
            return None
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fault(path, "is not a moment", "write it as 2026-09-01T21:30:00+07:00")
            return None
        if moment.tzinfo is None:
            self.fault(path, "does not say its time zone", "add an offset, such as +07:00")
            return None
        return moment.timestamp()


def join(path: str, key: str) -> str:
    """The path of `key` inside the object at `path`."""
    return f"{path}.{key}" if path else key
