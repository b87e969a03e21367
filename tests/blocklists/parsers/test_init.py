"""What parsers gather: keys by bucket, rejections with a few examples, nothing hostile in a report."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from blocklists.parsers import EXAMPLES, PLAIN, Bucket, Harvest, Match, shown
from blocklists.rejections import Reason


def test_harvest_counts_entries_errors_and_keeps_a_few_examples() -> None:
    """Every rejected line counts; only mistakes count as mistakes; only the first few are kept."""
    harvest = Harvest()
    harvest.bucket(PLAIN).append("example.a.")
    harvest.bucket(Bucket(match=Match.EXACT)).append("example.b.")
    harvest.pending = 3
    for line in range(1, 11):
        harvest.reject(Reason.NOT_A_RULE, line, f"line {line}")
    harvest.reject(Reason.IP_ONLY, 11, "192.0.2.1")
    assert (harvest.entries, harvest.errors) == (5, 10)
    assert harvest.rejected == {Reason.NOT_A_RULE: 10, Reason.IP_ONLY: 1}
    assert [example.line for example in harvest.examples[Reason.NOT_A_RULE]] == list(range(1, EXAMPLES + 1))


@given(st.text(max_size=300))
def test_shown_text_is_one_short_printable_line(text: str) -> None:
    """Whatever stands in a list, a report of it neither breaks the line nor moves the cursor."""
    cut = shown(text)
    assert cut.isprintable() and "\n" not in cut and len(cut) <= 80 * 6 + 1


def test_shown_text_says_that_it_was_cut() -> None:
    """A reader sees that the line went on."""
    assert shown("x" * 200).endswith("…") and not shown("x" * 20).endswith("…")
    assert shown("a\x1b[31m\u202eb") == "a\\u001b[31m\\u202eb"
