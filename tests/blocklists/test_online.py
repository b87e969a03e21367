"""What an office's server says by itself: who takes a release already, what has ended; and nothing that cannot be read."""

from __future__ import annotations

import json

import pytest

from blocklists.online import MOST_WITHDRAWN, WHOLE, Statement, fitting, place_of, read_statement

STAGED = Statement({7: ((100, 500), (200, 2500), (300, WHOLE))}, (("example.bad.", 8), ("example.old.", 5)))


def test_statement_is_read_as_it_was_written() -> None:
    """The same bytes for the same content, and back."""
    assert read_statement(STAGED.to_bytes()) == Statement(STAGED.stages, tuple(sorted(STAGED.withdrawn)))
    assert read_statement(Statement().to_bytes()) == Statement()


@pytest.mark.parametrize(("now", "share"), [(99, 0), (100, 500), (299, 2500), (300, WHOLE)])
def test_share_grows_with_time(now: float, share: int) -> None:
    """Nobody before the first stage, all after the last; a serial that is not named is for everybody."""
    assert STAGED.share(7, now) == share
    assert STAGED.share(6, now) == WHOLE


def test_each_gateway_has_its_place_and_another_one_each_time() -> None:
    """A share of the gateways is about that share of them; the first are not always the same; one without an id comes last."""
    ids = [f"gateway-{number}" for number in range(4000)]
    first = {one for one in ids if place_of(one, 7) < 500}
    assert 120 < len(first) < 280
    second = {one for one in ids if place_of(one, 8) < 500}
    assert len(first & second) < 40
    assert not STAGED.admits(7, "", 299) and STAGED.admits(7, "", 300)


def test_withdrawal_ends_with_the_list_that_lacks_the_entry() -> None:
    """A list that was signed without the entry says for itself what is in it."""
    assert STAGED.out_of(4) == ("example.bad.", "example.old.")
    assert STAGED.out_of(7) == ("example.bad.",)
    assert STAGED.out_of(8) == ()


@pytest.mark.parametrize(
    "document",
    [
        [], {}, {"format": 2, "stages": [], "withdrawn": []}, {"format": 1, "stages": 5, "withdrawn": []},
        {"format": 1, "stages": [["7", []]], "withdrawn": []}, {"format": 1, "stages": [[7, [[1, WHOLE + 1]]]], "withdrawn": []},
        {"format": 1, "stages": [[7, [[True, 1]]]], "withdrawn": []}, {"format": 1, "stages": [], "withdrawn": [["example.bad", 1]]},
        {"format": 1, "stages": [], "withdrawn": [["example.bad.", -1]]}, {"format": 1, "stages": [], "withdrawn": [["x\n.", 1]]},
        {"format": 1, "stages": [], "withdrawn": [[".", 1]]},
        {"format": 1, "stages": [], "withdrawn": [[f"example.n{number}.", 1] for number in range(MOST_WITHDRAWN + 1)]},
        {"format": 1, "stages": [[number, []] for number in range(65)], "withdrawn": []},
    ],
)  # fmt: skip
def test_what_is_no_statement_is_refused(document: object) -> None:
    """Numbers that are none, shares of more than all, names that are no keys, endless lists."""
    with pytest.raises(ValueError):
        read_statement(json.dumps(document).encode())


def test_what_a_statement_cannot_hold_stays_out_of_it() -> None:
    """A key that no gateway could read, and what is too much: the others are told, the first come first."""
    assert fitting([("example.b.", 3), ("no key", 2), ("example.a.", 1), ("example.b.", 3)]) == (("example.a.", 1), ("example.b.", 3))
    many = [(f"{'x' * 60}.{'y' * 60}.{'z' * 60}.n{number:06}.", 7) for number in range(MOST_WITHDRAWN + 10)]
    held = fitting(many)
    assert 1000 < len(held) < MOST_WITHDRAWN and set(held) == set(many[: len(held)])
    assert read_statement(Statement(dict.fromkeys(range(64), ((1, 1),) * 64), held).to_bytes()).withdrawn == held
    assert len(fitting((f"n{number}.", 7) for number in range(9000))) == MOST_WITHDRAWN
    with pytest.raises(ValueError, match="more than"):
        read_statement(Statement({}, tuple(many)).to_bytes())
