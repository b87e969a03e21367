"""The state that following leaves: what a round makes of it, and files that cannot be read."""

from __future__ import annotations

from pathlib import Path

from gateway.following import FILE, WORD, FollowState, describe, forget_state, read_state, write_state


def test_failures_keep_what_was_good_and_count_from_the_first() -> None:
    """A failure keeps the time of the last good round; the first of several is remembered; a good round ends them."""
    good = FollowState().after(3, "", "", 100.0)
    assert good == FollowState(3, "", "", 100, 100, 0)
    failing = good.after(3, "unreachable", "nobody there", 160.9).after(3, "refused", "x" * 900, 220.0)
    assert (failing.serial, failing.code, failing.good_at, failing.failing_since, failing.checked_at) == (3, "refused", 100, 160, 220)
    assert len(failing.problem) == 500
    assert failing.after(4, "", "", 300.0) == FollowState(4, "", "", 300, 300, 0)


def test_good_release_with_a_broken_word_is_good_and_says_so() -> None:
    """The list is the newest, so its age begins anew; the fault is told, since when too, until it is gone."""
    state = FollowState().after(3, "", "", 100.0).after(4, WORD, "broken", 200.0, 999, 5).after(4, WORD, "broken", 300.0, 999, 5)
    assert state == FollowState(4, WORD, "broken", 300, 300, 200, 999, 5)
    assert state.after(4, "", "", 400.0).failing_since == 0


def test_age_counts_from_the_last_good_round() -> None:
    """Unknown before the first; never negative when the clock went back."""
    state = FollowState().after(0, "unreachable", "nobody there", 50.0)
    assert describe(state, 80.0) == {
        "serial": 0,
        "code": "unreachable",
        "problem": "nobody there",
        "age": None,
        "checked_at": 50,
        "good_at": None,
        "failing_since": 50,
        "expires_at": None,
        "old_days": None,
        "waits_for": None,
        "other": None,
    }
    good = state.after(1, "", "", 90.0)
    assert (describe(good, 100.0)["age"], describe(good, 10.0)["age"]) == (10, 0)


def test_release_is_old_once_what_the_office_signed_has_run_out() -> None:
    """Failures alone make nothing old; after the signed end the days since it was last found good count. No end known: three days."""
    day = 86_400
    good = FollowState().after(3, "", "", 10 * day, expires_at=12 * day)
    failing = good.after(3, "unreachable", "nobody there", 11 * day)
    assert failing.expires_at == 12 * day
    assert [failing.old_days(moment * day) for moment in (5, 11, 12, 15.5)] == [0, 0, 2, 5]
    assert FollowState(3, good_at=10 * day).old_days(12.9 * day) == 0
    assert FollowState(3, good_at=10 * day).old_days(14 * day) == 4
    assert FollowState().after(0, "unreachable", "", 50.0).old_days(1e9) == 0


def test_state_is_written_read_and_forgotten(tmp_path: Path) -> None:
    """What cannot be read says nothing, instead of something wrong."""
    assert read_state(tmp_path) is None
    state = FollowState(2, "shape", "…", 7, 5, 6)
    write_state(tmp_path, state)
    assert read_state(tmp_path) == state
    (tmp_path / FILE).write_text('{"serial":2,"code":"","problem":"","checked_at":7,"good_at":5,"failing_since":0}')
    assert read_state(tmp_path) == FollowState(2, "", "", 7, 5, 0)  # written by an older version
    for text in ("", "[]", "{}", '{"serial": "x"}', "[" * 100_000):
        (tmp_path / FILE).write_text(text)
        assert read_state(tmp_path) is None
    write_state(tmp_path, FollowState(2, "never heard of", "", 7, 5, 6))
    assert read_state(tmp_path) is None
    forget_state(tmp_path)
    forget_state(tmp_path)
    assert not (tmp_path / FILE).exists()
