"""Resolved settings: values that cannot change and read back as they are written."""

from __future__ import annotations

import dataclasses

import pytest

from gateway import settings
from gateway.settings import CacheSettings, Endpoint, UpstreamAddress


def test_every_settings_value_is_frozen_and_slotted() -> None:
    """Nobody can change a setting after it was resolved."""
    found = [value for value in vars(settings).values() if dataclasses.is_dataclass(value) and isinstance(value, type)]
    assert len(found) > 10
    for each in found:
        assert each.__dataclass_params__.frozen, each  # type: ignore[attr-defined]
        assert "__slots__" in vars(each), each
    with pytest.raises(dataclasses.FrozenInstanceError):
        CacheSettings().entries = 1  # type: ignore[misc]


def test_every_settings_value_has_a_docstring() -> None:
    """Units and meanings stand beside the value."""
    for each in vars(settings).values():
        if dataclasses.is_dataclass(each) and isinstance(each, type):
            assert (each.__doc__ or "").strip().endswith("."), each


@pytest.mark.parametrize(("endpoint", "text"), [(Endpoint("127.0.0.1", 53), "127.0.0.1:53"), (Endpoint("::1", 53), "[::1]:53")])
def test_endpoint_is_written_as_in_the_file(endpoint: Endpoint, text: str) -> None:
    """IPv6 addresses get their brackets."""
    assert text == str(endpoint)


def test_upstream_shows_the_address_only_when_it_differs_from_the_name() -> None:
    """What a person reads is short."""
    assert str(UpstreamAddress("udp", "192.0.2.1", 53, "", "192.0.2.1")) == "udp://192.0.2.1:53"
    assert str(UpstreamAddress("https", "dns.example", 443, "/dns-query", "192.0.2.1")) == "https://dns.example:443/dns-query@192.0.2.1"
