"""`lachan join CODE` on the real gateway: in force at once, followed from then on without a restart or a line in the file."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from blocklists.pairing import JoinCode, fingerprint_of, words_of
from gateway.errors import LachanError
from lachan.__main__ import app
from tests.lachan.test_following import RECORDS, SETTINGS, is_blocked
from tests.support.gateway import Gateway, RunningUpstream
from tests.support.publisher import Publisher, serve

ALONE = SETTINGS.replace('takedown: {follow: {url: "{url}", root: root.json}}\n', "")


def test_join_follow_and_leave(tmp_path: Path) -> None:
    """The words are shown, the list blocks at once, the follower runs; after leaving, what is in force stays."""
    office = Publisher(tmp_path / "office")
    office.publish(1, "bad.example")
    with serve(office.folder) as url, RunningUpstream(RECORDS) as upstream, Gateway(tmp_path, ALONE, upstream=upstream.port) as gateway:
        assert not is_blocked(gateway, "bad.example")
        wrong = gateway.command("join", f"{url}#{fingerprint_of(b'other')}")
        assert wrong.returncode == 1 and "does not fit the code" in wrong.stderr
        done = gateway.command("join", str(JoinCode(url, fingerprint_of(office.root))))
        assert done.returncode == 0, done.stderr
        assert words_of(fingerprint_of(office.root)) in done.stdout and "release 1 is in force" in done.stdout
        assert is_blocked(gateway, "bad.example")
        until = time.monotonic() + 20
        while not any(row["name"] == "follow" and row["pid"] for row in gateway.status()["processes"]):
            assert time.monotonic() < until
            time.sleep(0.1)
        office.publish(2, "bad.example", "worse.example")
        assert gateway.command("follow").returncode == 0
        assert is_blocked(gateway, "worse.example")
        assert gateway.command("leave").returncode == 0
        assert is_blocked(gateway, "worse.example")
        assert "no office" in gateway.command("leave").stderr


def test_file_that_names_a_source_is_not_overruled(tmp_path: Path) -> None:
    """A takedown section and a code contradict each other: the remedy is said."""
    (tmp_path / "orders.yaml").write_text("orders: []\n")
    config = tmp_path / "lachan.yaml"
    config.write_text("state_dir: var\ntakedown: {file: orders.yaml}\n")
    result = CliRunner().invoke(app, ["join", "x", "-c", str(config)])
    assert isinstance(result.exception, LachanError) and "takedown section" in str(result.exception)
    config.write_text("state_dir: var\n")
    with pytest.raises(LachanError, match="not a code"):
        CliRunner().invoke(app, ["join", "x", "-c", str(config)], catch_exceptions=False)
