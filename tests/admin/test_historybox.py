"""The box of a history: anybody puts in, only the code takes out, a damaged seal opens for nobody."""

from __future__ import annotations

from admin.historybox import new_box, read_code, seal, show_code, take_out, unlock


def test_box_opens_with_its_code_alone() -> None:
    """What was sealed with the public half comes out with the code, typed in any fashion; another code opens nothing."""
    box, code = new_box()
    sealed = seal(box.public, b"scratch.mit.edu")
    assert b"scratch" not in sealed
    assert seal(box.public, b"scratch.mit.edu") != sealed
    private = unlock(box, show_code(code).lower().replace("-", " "))
    assert private is not None
    assert take_out(private, box.public, sealed) == b"scratch.mit.edu"
    _, other = new_box()
    assert unlock(box, other) is None
    assert unlock(box, "") is None


def test_seal_of_another_box_or_a_damaged_one_stays_closed() -> None:
    """Nothing comes out, and nothing breaks."""
    box, code = new_box()
    private = unlock(box, code)
    assert private is not None
    sealed = seal(box.public, b"x")
    assert take_out(private, box.public, sealed[:-1] + bytes([sealed[-1] ^ 1])) is None
    assert take_out(private, box.public, b"short") is None
    assert take_out(private, box.public, seal(new_box()[0].public, b"x")) is None


def test_code_has_eighty_bits_and_no_sign_that_is_mistaken() -> None:
    """Sixteen signs out of thirty-two, in groups of four."""
    _, code = new_box()
    assert len(code) == 16
    assert not set(code) & set("01IO")
    assert read_code(show_code(code)) == code
