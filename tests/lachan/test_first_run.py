"""The configuration of a first run: sound, explained, and never written over."""

from __future__ import annotations

from pathlib import Path

import pytest

from lachan.configuration import load
from lachan.first_run import write_default


@pytest.mark.parametrize("has_system_resolver", [True, False])
def test_first_configuration_is_sound(has_system_resolver: bool, tmp_path: Path) -> None:
    """A child and an adult on the same machine, whoever is asked in turn."""
    configuration = load(write_default(tmp_path / "var" / "lachan.yaml", has_system_resolver))
    gateway = configuration.gateway
    assert tmp_path / "var" == gateway.state_dir
    assert {row["id"]: row["band"] for row in gateway.policy["profiles"]} == {"be-9-tuoi": "TH", "nguoi-lon": "NL", "khach": "KH"}
    assert gateway.policy["default_profile"] == "khach"
    assert [str(endpoint) for endpoint in gateway.dns.listen] == ["127.0.0.1:5300", "[::1]:5300"]
    assert str(gateway.metrics) == "127.0.0.1:9153"
    assert configuration.admin is not None and str(configuration.admin.listen) == "127.0.0.1:8080"
    if not has_system_resolver:
        assert gateway.upstreams.origin == "file"


def test_existing_file_is_left_as_it_is(tmp_path: Path) -> None:
    """What a person changed stays."""
    path = tmp_path / "lachan.yaml"
    path.write_text("# mine\n")
    assert write_default(path).read_text() == "# mine\n"


def test_file_explains_itself_in_both_languages(tmp_path: Path) -> None:
    """Where to change what, and who sees the names."""
    text = write_default(tmp_path / "lachan.yaml", False).read_text(encoding="utf-8")
    assert "lachan check" in text and "Quad9" in text
    assert "Sửa tệp này" in text and "Change it here" in text
