"""Help numbers and addresses: one table (`helplines.yaml`), each row with the day somebody looked at it. Pages show nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gateway.errors import StartError
from gateway.yamlfile import read

FILE = Path(__file__).parent / "helplines.yaml"


@dataclass(frozen=True, slots=True)
class Helpline:
    """One way to help: a number to call, an address, or both."""

    id: str
    number: str
    url: str
    checked: str


@dataclass(frozen=True, slots=True)
class Helplines:
    """All of them by id, and where "leave quickly" goes."""

    lines: Mapping[str, Helpline]
    exit: str

    def number(self, name: str) -> str:
        """A number to call."""
        return self.lines[name].number

    def url(self, name: str) -> str:
        """An address to open."""
        return self.lines[name].url


@cache
def load_helplines(path: Path = FILE) -> Helplines:
    """Read the table. Raises StartError when it is not one: without help numbers no page for children is shown."""
    document = read(path).value
    try:
        assert isinstance(document, dict)
        rows = [Helpline(row["id"], row["number"], row["url"], row["checked"]) for row in document["helplines"]]
        return Helplines({row.id: row for row in rows}, str(document["exit"]))
    except (AssertionError, KeyError, TypeError) as error:
        raise StartError(f"{path.name}: not a table of help numbers") from error
