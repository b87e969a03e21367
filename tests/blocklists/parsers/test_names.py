"""One name in a line: taken, or counted with the reason; comments and the facts in a list's head."""

from __future__ import annotations

import pytest

from blocklists.parsers import PLAIN, Harvest
from blocklists.parsers.names import is_comment, note_fact, take_name, without_comment
from blocklists.rejections import Reason


@pytest.mark.parametrize(
    ("text", "key", "reason"),
    [
        ("a.example", "example.a.", None),
        ("*.a.example", "example.a.", None),
        ("https://a.example", "example.a.", None),
        ("https://a.example/page", None, Reason.URL_PATH),
        ("192.0.2.1", None, Reason.IP_ONLY),
        ("0.0.0.0", None, Reason.LOCAL_NAME),
        ("LOCALHOST", None, Reason.LOCAL_NAME),
        ("localhost.localdomain", None, Reason.LOCAL_NAME),
        ("ip6-allnodes", None, Reason.LOCAL_NAME),
        ("a..example", None, Reason.EMPTY_LABEL),
    ],
)
def test_name_in_a_line_is_taken_or_counted(text: str, key: str | None, reason: Reason | None) -> None:
    """A name goes into the bucket; everything else says why not."""
    harvest = Harvest()
    take_name(harvest, 7, text)
    assert harvest.buckets.get(PLAIN, []) == ([key] if key else [])
    assert harvest.rejected == ({reason: 1} if reason else {})


@pytest.mark.parametrize("line", ["", "# x", "! x", "; x", "// x"])
def test_comment_styles_of_lists_are_known(line: str) -> None:
    """Three styles and the fourth that some publishers invented."""
    assert is_comment(line) and not is_comment("a.example")


@pytest.mark.parametrize("line", ["a.example # x", "a.example#x", "a.example ; x", "a.example // x", "a.example\t! x"])
def test_comment_behind_a_name_is_cut_off(line: str) -> None:
    """What stands behind the name is for people."""
    assert without_comment(line) == "a.example"


def test_head_of_a_list_gives_its_facts_once_and_printable() -> None:
    """Title and licence come from the first lines; a later line, or one far down, changes nothing."""
    harvest = Harvest()
    for number, line in enumerate(["# Title: One\x1b[0m", "! License: MIT", "# Title: Two", "# Nothing: x"], 1):
        note_fact(harvest, number, line)
    note_fact(harvest, 500, "# Homepage: https://lists.example")
    assert harvest.facts == {"title": "One[0m", "licence": "MIT"}
