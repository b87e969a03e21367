"""The whole file: three packages, one list of mistakes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.errors import SettingsError
from lachan.configuration import find_file, load
from tests.support.gateway import ROOT


def test_mistakes_of_every_package_are_reported_together(tmp_path: Path) -> None:
    """Gateway, lists and admin pages in one go."""
    path = tmp_path / "lachan.yaml"
    path.write_text(
        """\
dns: {workers: none}
lists: [{id: a, category: gmab, url: "https://lists.example/a"}]
profiles: [{id: a, band: TH, services: {yotube: block}}]
admin: {listen: here}
""",
        encoding="utf-8",
    )
    with pytest.raises(SettingsError) as caught:
        load(path)
    found = str(caught.value)
    for part in ["lachan.yaml:1: dns.workers", "lachan.yaml:2: lists[0].category", "did you mean gamb?"]:
        assert part in found
    path.write_text(path.read_text().replace("workers: none", "workers: 1"), encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load(path)
    assert "profiles[0].services" in str(caught.value)


def test_file_without_sections_is_sound(tmp_path: Path) -> None:
    """Every section may be left out."""
    path = tmp_path / "lachan.yaml"
    path.write_text("{}")
    found = load(path)
    assert None is found.admin
    assert found.lists.lists == ()


def test_file_is_found_where_people_put_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one named, then the variable, then the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LACHAN_CONFIG", raising=False)
    assert Path("x.yaml") == find_file(Path("x.yaml"))
    with pytest.raises(SettingsError, match="name the file with -c FILE"):
        find_file(None)
    (tmp_path / "var").mkdir()
    (tmp_path / "var/lachan.yaml").touch()  # as the first `make run` leaves it: what it printed ("lachan reload") works as it is
    assert Path("var/lachan.yaml") == find_file(None)
    (tmp_path / "lachan.yaml").touch()
    assert Path("lachan.yaml") == find_file(None)
    monkeypatch.setenv("LACHAN_CONFIG", "other.yaml")
    assert Path("other.yaml") == find_file(None)


def test_file_in_a_closed_folder_is_the_one_that_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The installed file lies in a folder that only root and the service may look into: reading it then says what to do."""

    def refuse(_: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LACHAN_CONFIG", raising=False)
    monkeypatch.setattr("lachan.configuration.PLACES", (Path("lachan.yaml"), Path("var/lachan.yaml"), tmp_path / "closed" / "lachan.yaml"))
    with monkeypatch.context() as inside:
        inside.setattr(Path, "is_file", lambda place: refuse(place) if "closed" in str(place) else False)
        assert find_file(None) == tmp_path / "closed" / "lachan.yaml"


def test_file_of_a_first_run_is_found_without_naming_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`lachan reload` in the folder of `make run` means the file that it wrote; a file of one's own comes first."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LACHAN_CONFIG", raising=False)
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "lachan.yaml").write_text("")
    assert find_file(None) == Path("var/lachan.yaml")
    (tmp_path / "lachan.yaml").write_text("")
    assert find_file(None) == Path("lachan.yaml")


def test_settings_are_read_without_the_database_library() -> None:
    """Every command and every round of following reads the settings: what only the pages need would double what that costs."""
    run = "import sys, lachan.configuration; sys.exit('sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", run], cwd=ROOT, check=False).returncode == 0
