"""The code that a gateway joins by: read back as it was written, however it was typed; and the words both sides show."""

from __future__ import annotations

import pytest

from blocklists.pairing import WORDS, CodeError, JoinCode, fingerprint_of, parse_code, words_of

PRINT = fingerprint_of(b"root")
TICKET = "abcdefghjkmnpqrstuvwxyz2"


@pytest.mark.parametrize("ticket", ["", TICKET])
def test_code_is_read_as_it_was_written(ticket: str) -> None:
    """Line breaks, spaces and capital letters of a typed code do not matter."""
    code = JoinCode("https://danhsach.example.vn/release", PRINT, ticket)
    text = str(code)
    assert parse_code(text) == parse_code(f"lachan join '{text}'") == parse_code(f"sudo lachan join {text}\n") == code
    address, _, rest = text.partition("#")
    assert parse_code(f"  {address}#\n{rest[:10].upper()} {rest[10:]} ") == code


@pytest.mark.parametrize(
    "text",
    [
        "",
        "https://a.example",
        f"ftp://a.example#{PRINT}",
        f"https://u@a.example#{PRINT}",
        f"https://a.example#{PRINT[:-1]}",
        f"https://a.example#{PRINT}-x",
    ],
)
def test_text_that_is_no_code_is_refused_with_the_remedy(text: str) -> None:
    """Cut, from elsewhere, or with a user name: refused, and it says what to copy."""
    with pytest.raises(CodeError, match="copy the whole line"):
        parse_code(text)


def test_words_tell_fingerprints_apart() -> None:
    """The same on both sides, others for others; sixty-four different words."""
    assert words_of(PRINT) == words_of(PRINT)
    assert len({words_of(fingerprint_of(bytes([number]))) for number in range(200)}) == 200
    assert len(set(WORDS)) == 64
