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


ZONE = "$TTL 60\n@ SOA . . 1 1 1 1 1\nbad.example CNAME .\n"


def _with_zone(folder: Path, text: str, **more: str) -> Path:
    (folder / "z.rpz").write_text(text)
    extra = "".join(f", {name}: {value}" for name, value in more.items())
    path = folder / "lachan.yaml"
    path.write_text(path.read_text(encoding="utf-8") + f"rpz: [{{name: z.example, file: z.rpz{extra}}}]\n", encoding="utf-8")
    return path


def test_policy_zone_is_shown_as_it_is_written(prepared: Path) -> None:
    """The override keeps its one word, also the one that leads to a name."""
    configuration = load(_with_zone(prepared, ZONE, policy='"cname:walled.example"', groups="[school]"))
    (zone,) = effective(configuration)["rpz"]
    assert zone == {"name": "z.example", "file": str(prepared / "z.rpz"), "policy": "cname:walled.example", "groups": ["school"]}


def test_group_that_no_client_has_is_said(prepared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A zone for nobody is allowed, and never silent."""
    check(_with_zone(prepared, ZONE, groups="[school]"))
    assert "rpz[0].groups" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("bad.example CNAME .\n", "is no policy zone .*no SOA"),
        ("<html>\n", "is no policy zone .*line 1: <html>"),
        (ZONE + "worse.example A 1.2.3.999\n", "1 records .*line 4: worse.example A 1.2.3.999"),
    ],
)
def test_file_that_is_no_policy_zone_is_found(text: str, where: str, prepared: Path) -> None:
    """Before it is in force, with the line."""
    with pytest.raises(SettingsError, match=r"rpz\[0\]\.file.*" + where):
        check(_with_zone(prepared, text))
