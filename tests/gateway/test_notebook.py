"""What is written down about queries: counts always right, names bounded, histories only with consent."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.activity import Activity
from gateway.answers import Note
from gateway.clients import Account, Record
from gateway.metrics import Counters
from gateway.notebook import MOST_RECENT, UPSTREAM, Notebook, registered_name
from gateway.policy.model import Band, Match

WALL = 1_767_225_600.0


class Policy:
    """What the notebook and the activity read of a policy."""

    def __init__(self, activity: str = "aggregate") -> None:
        self.profile_id = "kid"
        self.tenant = "local"
        self.site_class = "home"
        self.band = Band.TH
        self.activity = activity


class Clients:
    """The accounts of the worker."""

    def __init__(self, *accounts: Account) -> None:
        self._accounts = accounts

    def accounts(self) -> tuple[Account, ...]:
        """Every account."""
        return self._accounts


def make(activity: str = "aggregate") -> tuple[Notebook, Activity, Counters, Record, Any]:
    """A notebook, and one record with its account."""
    memory, counters = Activity(bytes(16)), Counters()
    record = Record(bytes((10, 0, 0, 7)), None, None)
    policy: Any = Policy(activity)
    record.policy = policy
    record.match = Match(None, None, None, None, True)
    record.account = Account(policy, "site", True)
    return Notebook(memory, counters), memory, counters, record, Clients(record.account)


def counts(activity: Activity) -> dict[tuple[str, str], int]:
    """Aggregates by outcome and category."""
    rows: Any = activity.harvest()["counts"]
    return {(row[5], row[6]): row[7] for row in rows}


def test_blocks_and_the_rest_add_up() -> None:
    """What the sweep brought in less what was blocked or rewritten is what was allowed, also when the sweep comes later."""
    notebook, activity, counters, record, clients = make()
    for note in (
        Note("blocked", "gamb", "a.example", "r"),
        Note("blocked", "gamb", "b.example", "r"),
        Note("rewritten", "", "c.example", "r"),
    ):
        notebook.write(record, note)
    notebook.hand_over(clients, WALL)
    assert counts(activity) == {("blocked", "gamb"): 2, ("rewritten", ""): 1}
    record.account.spent = 10
    notebook.hand_over(clients, WALL)
    assert counts(activity) == {("allowed", ""): 7}
    identified = {labels[0]: number for name, labels, number in counters.harvest() if name == "lachan_identified_queries"}  # type: ignore[index]
    assert identified["yes"] == 10


def test_a_block_of_the_upstreams_own_is_remembered_but_never_counted() -> None:
    """The device that asked can be told whose block it was; it is allowed traffic in every figure."""
    notebook, memory, _, record, clients = make()
    record.account.spent = 1
    notebook.write(record, Note(UPSTREAM, "", "closed.example", UPSTREAM))
    notebook.hand_over(clients, WALL)
    assert [(row["name"], row["rule"]) for row in memory.recent_blocks(record.address, WALL)] == [("closed.example", "upstream")]
    assert {key[5]: number for key, number in memory._counts.items()} == {"allowed": 1}


def test_recent_blocks_carry_names_and_are_bounded() -> None:
    """Names of blocks are remembered for their address, a bounded number a second; the counts stay right beyond."""
    notebook, activity, _, record, clients = make()
    for number in range(MOST_RECENT * 2):
        notebook.write(record, Note("blocked", "gamb", f"n{number}.example", "category gamb"))
    notebook.hand_over(clients, WALL)
    assert counts(activity) == {("blocked", "gamb"): MOST_RECENT * 2}
    rows = activity.recent_blocks(record.address, WALL)
    assert 0 < len(rows) <= MOST_RECENT
    assert rows[0]["rule"] == "category gamb"


@pytest.mark.parametrize(("level", "names"), [("history", [["www-less", 1]]), ("aggregate", [])])
def test_visits_are_written_only_for_a_consented_history(level: str, names: list[Any]) -> None:
    """The registered name of a visit leaves the worker only for a profile that keeps a history."""
    notebook, activity, _, record, clients = make(level)
    notebook.write(record, Note("visited", "video", "www.news.example.com.vn"))
    notebook.hand_over(clients, WALL)
    rows: Any = activity.harvest()["names"]
    assert [row[3] for row in rows] == (["example.com.vn"] if names else [])


@pytest.mark.parametrize(
    ("name", "registered"),
    [
        ("www.example.com", "example.com"),
        ("a.b.example.com.vn", "example.com.vn"),
        ("a.b.example.vn", "example.vn"),
        ("example.com", "example.com"),
        ("com.vn", "com.vn"),
        ("localhost", "localhost"),
        ("x.school.edu.vn", "school.edu.vn"),
    ],
)
def test_registered_name(name: str, registered: str) -> None:
    """Two labels, or three under the public second levels of a country."""
    assert registered_name(name) == registered
