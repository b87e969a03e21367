"""Every code of the domain has words, in both languages."""

from __future__ import annotations

import pytest

from admin.officereads import DECISIONS
from admin.officewords import STATES, VERDICTS, OfficeWords
from admin.pages.words import load_words
from blocklists.takedown.model import Enforceability, State
from blocklists.takedown.workflow import TABLE, TransitionRefused


def say(language: str) -> OfficeWords:
    """The words of a language; categories as their codes."""
    return OfficeWords(load_words()[language], str)


def test_every_state_verdict_and_step_has_words() -> None:
    """A page never shows a code."""
    assert set(STATES) == {state.value for state in State}
    assert set(VERDICTS) == {*Enforceability, *DECISIONS}
    words = say("vi")
    shown = {row.verb for row in TABLE} - {"parse", "publish", "receipts", "all_receipts", "renew"}
    assert not [verb for verb in shown if words.verb(verb) == verb]


@pytest.mark.parametrize(("language", "said"), [("vi", "không"), ("en", "no")])
def test_refusals_speak_the_readers_language(language: str, said: str) -> None:
    """The table's own sentence, in the language of the page."""
    assert say(language).refusal(TransitionRefused("x", "không", "no")) == said


def test_unknown_codes_come_back() -> None:
    """A new code is shown rather than hidden."""
    assert say("vi").state("mới lạ") == "mới lạ"
    assert say("vi").reason("") == ""
