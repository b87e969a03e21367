"""Type names and numbers agree with dnspython's registry."""

from __future__ import annotations

import dns.rdatatype
import pytest

from gateway.wire.constants import type_name, type_number


@pytest.mark.parametrize("number", [*range(1, 70), 128, 255, 256, 257, 261, 65280, 65535])
def test_type_names_agree_with_dnspython(number: int) -> None:
    """A type is called the same everywhere, and can be read back."""
    name = type_name(number)
    assert type_number(name) == number
    assert type_number(name.lower()) == number
    assert int(dns.rdatatype.from_text(name)) == number


@pytest.mark.parametrize("name", ["", "TYPE", "TYPE65536", "TYPE-1", "TYPE99999999", "NOPE", "TYPE¹"])
def test_unknown_type_names(name: str) -> None:
    """What is no type is None."""
    assert type_number(name) is None
