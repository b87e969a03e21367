"""When a start may use what is on disk: only if nothing it was made from has changed."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from blocklists.settings import ListSettings
from gateway import release
from lachan import fingerprint
from lachan.configuration import Configuration, load
from lachan.preparation import own_names, prepare, prepare_provisionally, prepare_quickly, put_in_force


def is_current(configuration: Configuration) -> bool:
    """Whether the generation on disk is right for this configuration."""
    return fingerprint.is_current(configuration.lists, own_names(configuration.gateway))


def test_a_copy_elsewhere_is_prepared_again(configuration: Configuration) -> None:
    """Other paths, other files: the fingerprint does not match, so nothing wrong is used."""
    assert not is_current(configuration)
    put_in_force(configuration.gateway.state_dir, prepare(configuration, "none").changes)
    assert is_current(configuration)


@pytest.fixture
def current(configuration: Configuration) -> Configuration:
    """A configuration whose lists are on disk."""
    put_in_force(configuration.gateway.state_dir, prepare(configuration, "none").changes)
    assert is_current(configuration)
    return configuration


def test_changed_list_file_is_noticed(current: Configuration) -> None:
    """Content, size or time of a file."""
    path = current.lists.lists[0].path
    assert path is not None
    before = path.stat()
    path.write_text(path.read_text().replace("game", "play"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert not is_current(current)


def test_missing_file_changed_settings_and_own_names_are_noticed(current: Configuration) -> None:
    """Whatever the compiler would see differently."""
    more = dataclasses.replace(current.lists, lists=(*current.lists.lists, ListSettings("b", category="ads", path=Path("/nowhere"))))
    assert not is_current(dataclasses.replace(current, lists=more))
    assert not fingerprint.is_current(current.lists, ("other.example",))
    assert current.lists.orders_file is not None
    current.lists.orders_file.unlink()
    assert not is_current(current)


def test_another_generation_in_force_is_noticed(current: Configuration) -> None:
    """A catalogue put in force by somebody else is not taken for ours."""
    state_dir = current.gateway.state_dir
    other = release.write_file(state_dir, {**release.read_file(state_dir, release.read_manifest(state_dir).catalogue), "note": "x"})
    release.commit_generation(state_dir, {"catalogue": other}, 1_800_000_000)
    assert not is_current(current)


def test_newer_program_is_told_from_changed_lists(current: Configuration, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version on the same settings and files may answer with what is there; with another list, or a note of old, it may not."""
    lists, names = current.lists, own_names(current.gateway)
    monkeypatch.setattr(fingerprint, "_version", lambda: "9.9.9")
    assert not is_current(current) and fingerprint.is_only_older(lists, names)
    provisional = prepare_provisionally(current)
    assert provisional is not None and provisional.changes == {}
    note = current.gateway.state_dir / fingerprint.FILE
    whole = note.read_text()
    note.write_text(whole.replace('"own"', '"other"'))
    assert not fingerprint.is_only_older(lists, names)
    note.write_text(whole)
    (current.path.parent / "games.txt").write_text("another.example\n")
    assert not fingerprint.is_only_older(lists, names) and prepare_provisionally(current) is None


@pytest.mark.parametrize("content", [b"", b"[]", b"{"])
def test_broken_note_is_no_match(current: Configuration, content: bytes) -> None:
    """Doubt means preparing again."""
    (current.gateway.state_dir / fingerprint.FILE).write_bytes(content)
    assert not is_current(current)


def test_quick_preparation_takes_a_changed_policy_along(current: Configuration) -> None:
    """A profile changed while the gateway was down counts at the next start, without compiling."""
    quick = prepare_quickly(current)
    assert quick is not None and quick.changes == {}
    current.path.write_text(
        current.path.read_text(encoding="utf-8").replace("deny: [denied.example]", "deny: [other.example]"), encoding="utf-8"
    )
    quick = prepare_quickly(load(current.path))
    assert quick is not None and list(quick.changes) == ["policies"]


def test_what_there_was_to_say_is_said_again(current: Configuration) -> None:
    """A start or reload that compiles nothing still tells the problems of the lists in force; a note of an older form is no note."""
    names = own_names(current.gateway)
    manifest = release.read_manifest(current.gateway.state_dir)
    assert manifest.catalogue is not None
    fingerprint.note(current.lists, names, manifest.index_dir, manifest.catalogue, ("games: cũ / games: old",))
    outcome = prepare_quickly(current)
    assert outcome is not None and outcome.notes == ("games: cũ / games: old",)
    path = current.gateway.state_dir / fingerprint.FILE
    path.write_text(path.read_text().replace('"notes"', '"words"'))
    assert prepare_quickly(current) is None
