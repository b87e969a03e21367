"""A prepared state directory, made once: compiling the shipped lists takes most of a second."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lachan.configuration import Configuration, load
from lachan.preparation import prepare, put_in_force

TEXT = """\
state_dir: var
upstreams: {servers: ["udp://192.0.2.1"]}
takedown: {file: orders.yaml}
lists: [{id: games, category: game, path: games.txt}]
profiles:
  - id: be-9-tuoi
    band: TH
    deny: [denied.example]
    schedule: [{name: giờ ngủ, from: "21:00", to: "06:00", effect: offline}]
  - {id: nguoi-lon, band: NL}
clients:
  - {id: may-be, profile: be-9-tuoi, match: [127.0.0.1]}
  - {id: may-me, profile: nguoi-lon, match: [127.0.0.2]}
default_profile: nguoi-lon
"""
ORDERS = """\
- number: 12/QĐ-STTTT
  issuer: Sở Thông tin và Truyền thông
  issued_on: 2020-01-02
  basis: ["Nghị định 147/2024/NĐ-CP"]
  from: 2020-01-03
  no_end: true
  items: [ordered.example]
"""


@pytest.fixture(scope="session")
def prepared_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a configuration and its first generation; not to be changed."""
    folder = tmp_path_factory.mktemp("prepared")
    (folder / "lachan.yaml").write_text(TEXT, encoding="utf-8")
    (folder / "orders.yaml").write_text(ORDERS, encoding="utf-8")
    (folder / "games.txt").write_text("game.example\n127.0.0.1 also.example\n-junk-\n", encoding="utf-8")
    configuration = load(folder / "lachan.yaml")
    put_in_force(configuration.gateway.state_dir, prepare(configuration, "none").changes)
    return folder


@pytest.fixture
def prepared(prepared_once: Path, tmp_path: Path) -> Path:
    """A copy of one's own."""
    folder = tmp_path / "own"
    shutil.copytree(prepared_once, folder)
    return folder


@pytest.fixture
def configuration(prepared: Path) -> Configuration:
    """The configuration of the copy."""
    return load(prepared / "lachan.yaml")
