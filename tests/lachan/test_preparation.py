"""Preparing and putting in force, without a running gateway."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway import release
from gateway.errors import StartError
from gateway.statelock import StateLock
from lachan.configuration import Configuration, load
from lachan.preparation import Outcome, command, own_names, prepare, put_in_force


def test_first_generation_holds_lists_orders_and_the_local_policy(prepared_once: Path) -> None:
    """Everything the file says is on disk."""
    manifest = release.read_manifest(prepared_once / "var")
    assert manifest.number == 1
    assert dict(manifest.policies).keys() == {"local"}
    assert manifest.orders is not None and manifest.orders.origin == "file"
    header = release.read_index_header(prepared_once / "var", manifest.index_dir)
    rows = {row["id"]: row for row in header["sources"]}
    assert rows["games"]["entries"] == 2
    assert sum(rows["games"]["rejected"].values()) == 1
    assert rows["seed:gamb"]["entries"] > 100


def test_preparing_again_changes_nothing(configuration: Configuration) -> None:
    """The same input gives the same bytes, so there is nothing to commit."""
    assert prepare(configuration, "none").changes == {}
    assert put_in_force(configuration.gateway.state_dir, {}) == 1


def test_only_what_changed_is_committed(configuration: Configuration) -> None:
    """A new profile leaves the index alone."""
    text = configuration.path.read_text(encoding="utf-8").replace("deny: [denied.example]", "deny: [other.example]")
    configuration.path.write_text(text, encoding="utf-8")
    changes = prepare(load(configuration.path), "none").changes
    assert list(changes) == ["policies"]
    assert put_in_force(configuration.gateway.state_dir, changes) == 2


def test_removed_takedown_file_lifts_its_orders(configuration: Configuration) -> None:
    """What the file no longer says is no longer in force."""
    configuration.path.write_text(configuration.path.read_text(encoding="utf-8").replace("takedown:", "# takedown:"), encoding="utf-8")
    changes = prepare(load(configuration.path), "none").changes
    put_in_force(configuration.gateway.state_dir, changes)
    assert release.read_manifest(configuration.gateway.state_dir).orders is None


def test_list_that_disappeared_keeps_its_last_good_copy_and_says_so(configuration: Configuration) -> None:
    """Protection never weakens because a file is gone."""
    path = configuration.lists.lists[0].path
    assert path is not None
    prepare(configuration, "none")
    path.unlink()
    outcome = prepare(load(configuration.path, require_files=False), "none")
    assert outcome.report is not None
    assert {row.id: row.entries for row in outcome.report.sources}["games"] == 2
    assert any(note.startswith("games: ") for note in outcome.notes)


def test_own_names_are_the_upstreams_and_the_gateway(configuration: Configuration) -> None:
    """No list may cut the gateway off from what it needs."""
    assert own_names(configuration.gateway) == ("lachan.internal", "192.0.2.1")


def test_commit_is_refused_while_somebody_holds_the_state_directory(configuration: Configuration) -> None:
    """A gateway that is starting must not find another generation half way."""
    with StateLock(configuration.gateway.state_dir), pytest.raises(StartError, match="another gateway"):
        put_in_force(configuration.gateway.state_dir, {"policies": {"local": None}})


def test_report_is_one_line_of_json_also_when_it_failed(prepared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The supervisor reads what its child found."""
    path = prepared / "lachan.yaml"
    assert command(path, commit=False, fetch=False, report=True) == 0
    assert json.loads(capsys.readouterr().out) == {"ok": True, "changes": {}, "notes": []}
    path.write_text("profiles: [{id: a, bnd: TH}]\n")
    assert command(path, commit=False, fetch=False, report=True) == 1
    refusal = json.loads(capsys.readouterr().out)
    assert not refusal["ok"]
    assert {"path", "message", "remedy"} == refusal["mistakes"][0].keys()


def test_prepare_for_a_person_commits_or_raises(prepared: Path) -> None:
    """Without a gateway the command puts the generation in force itself."""
    path = prepared / "lachan.yaml"
    (prepared / "games.txt").write_text("more.example\ngame.example\n")
    assert command(path, commit=True, fetch=True, report=False) == 0
    assert release.current_number(prepared / "var") == 2
    path.write_text("a: 1\n")
    with pytest.raises(StartError, match="unknown key"):
        command(path, commit=True, fetch=False, report=False)


def test_outcome_without_a_report_has_no_notes() -> None:
    """A quick start compiled nothing."""
    assert Outcome({}).notes == ()
