"""`lachan check` and `lachan config show`."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from gateway.errors import SettingsError
from lachan.checking import check, effective, show
from lachan.configuration import load


def test_sound_file_is_praised_in_both_languages(prepared_once: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, exit status 0."""
    check(prepared_once / "lachan.yaml")
    assert "hợp lệ, 2 hồ sơ, 1 danh sách. / valid, 2 profiles, 1 lists." in capsys.readouterr().out


def test_mistake_in_the_takedown_file_is_found(prepared: Path) -> None:
    """What would be refused at a reload is refused here."""
    (prepared / "orders.yaml").write_text("- {number: 1, isuer: x}\n")
    with pytest.raises(SettingsError, match=r"orders\.yaml"):
        check(prepared / "lachan.yaml")


def test_shown_settings_read_back_as_the_same_settings(prepared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is printed is a configuration file (apart from where the upstreams come from)."""
    show(prepared / "lachan.yaml")
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["upstreams"].pop("origin") == "file"
    (prepared / "again.yaml").write_text(yaml.safe_dump(shown, allow_unicode=True), encoding="utf-8")
    first, second = load(prepared / "lachan.yaml").gateway, load(prepared / "again.yaml").gateway
    assert (first.dns, first.upstreams, first.cache, first.limits, first.policy) == (
        second.dns,
        second.upstreams,
        second.cache,
        second.limits,
        second.policy,
    )


def test_secrets_are_masked(tmp_path: Path) -> None:
    """Neither a token nor the password of a database is printed."""
    path = tmp_path / "lachan.yaml"
    path.write_text(
        """\
profiles: [{id: a, band: TH}]
clients: [{id: c, profile: a, match: ["token:k3j9"]}]
admin: {listen: "127.0.0.1:8080", database: "postgresql+asyncpg://u:s3cr3t@db.example/a"}
"""
    )
    text = str(effective(load(path)))
    assert "k3j9" not in text and "s3cr3t" not in text
    assert "token:***" in text and "u:***@db.example" in text
