"""The composition: what the command line adds to the settings, how lists are prepared in a child."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from gateway import release
from gateway.errors import SettingsError, StartError
from gateway.settings import Endpoint
from lachan import fingerprint
from lachan.configuration import Configuration, load
from lachan.preparation import own_names, prepare, put_in_force
from lachan.run import Overrides, Preparer, _error_of, _refresh_process, give_state_dir, late_changes
from tests.support.gateway import Gateway, ede_codes


def test_lan_address_is_added_to_those_of_the_file(configuration: Configuration) -> None:
    """What the file says stays; the same address is not opened twice."""
    lan = Endpoint("192.0.2.8", 53)
    settings = Overrides(lan, "lan").apply(configuration.gateway)
    assert settings.dns.listen == (*configuration.gateway.dns.listen, lan)
    assert settings.dns.user == "lan"
    assert Overrides(lan, "lan").apply(settings) == settings
    assert Overrides().apply(configuration.gateway) == configuration.gateway


async def test_start_with_right_lists_on_disk_compiles_nothing(configuration: Configuration) -> None:
    """The second start takes no child process."""
    preparer = Preparer(configuration, Overrides())
    first = await preparer("reload")
    assert first.settings is not None
    assert (await preparer("start")).changes is None


async def test_reload_compiles_only_what_changed(configuration: Configuration, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reload whose lists are as they were takes no child process and brings the settings; one whose list has changed takes one."""
    preparer = Preparer(configuration, Overrides())
    first = await preparer("reload")
    release.commit_generation(configuration.gateway.state_dir, cast(release.Changes, first.changes or {}), 1_800_000_000.0)
    children = 0
    run_child = preparer._run_child

    async def counted(*words: str) -> Any:
        nonlocal children
        children += 1
        return await run_child(*words)

    monkeypatch.setattr(preparer, "_run_child", counted)
    configuration.path.write_text(configuration.path.read_text(encoding="utf-8") + "cache: {entries: 7}\n", encoding="utf-8")
    again = await preparer("reload")
    assert again.settings is not None and again.settings.cache.entries == 7
    assert (again.changes, children) == (None, 0)
    (configuration.path.parent / "games.txt").write_text("other.example\n")
    changed = await preparer("reload")
    assert children == 1
    assert changed.changes is not None and "index" in changed.changes


async def test_round_of_following_that_breaks_stops_no_start(configuration: Configuration, tmp_path: Path) -> None:
    """The child that asks the office before a start ends without a word: the last good release answers, and nothing is raised."""
    preparer = Preparer(configuration, Overrides())
    preparer._path = tmp_path / "none.yaml"
    assert await preparer._catch_up() == {}


async def test_reload_reads_the_file_again(configuration: Configuration) -> None:
    """A changed profile arrives as a change of the local policy; new settings come along, with the overrides of this run."""
    text = configuration.path.read_text(encoding="utf-8").replace("deny: [denied.example]", "deny: [other.example]")
    configuration.path.write_text(text + "cache: {entries: 7}\n", encoding="utf-8")
    prepared = await Preparer(configuration, Overrides(Endpoint("192.0.2.8", 53)))("reload")
    assert prepared.changes is not None and list(prepared.changes) == ["policies"]
    assert prepared.settings is not None
    assert prepared.settings.cache.entries == 7
    assert Endpoint("192.0.2.8", 53) in prepared.settings.dns.listen


async def test_broken_file_raises_every_mistake(configuration: Configuration) -> None:
    """The supervisor keeps the old state and tells the reasons."""
    configuration.path.write_text("dns: {wrkers: 2}\ncach: {}\n")
    with pytest.raises(SettingsError) as caught:
        await Preparer(configuration, Overrides())("reload")
    assert len(caught.value.mistakes) == 2


def test_report_of_the_child_becomes_an_error_with_its_text() -> None:
    """One sentence, or every mistake."""
    assert isinstance(_error_of({"message": "disk full"}), StartError)
    found = _error_of({"mistakes": [{"path": "a.yaml:1", "message": "wrong", "remedy": ""}]})
    assert str(found) == "a.yaml:1: wrong"


def test_subscriptions_have_a_process_of_their_own(configuration: Configuration, tmp_path: Path) -> None:
    """Only where there are any."""
    assert _refresh_process(configuration) == []
    path = tmp_path / "urls.yaml"
    path.write_text('lists: [{id: a, category: ads, url: "https://lists.example/a.txt"}]\n')
    assert [process.name for process in _refresh_process(load(path))] == ["lists"]


def test_state_directory_is_made_and_unknown_users_are_told(configuration: Configuration, tmp_path: Path) -> None:
    """The remedy is named."""
    give_state_dir(configuration.gateway)
    if os.geteuid() == 0:
        with pytest.raises(StartError, match="there is no user 'nobody-here'"):
            give_state_dir(Overrides(None, "nobody-here").apply(configuration.gateway))
    path = tmp_path / "blocked.yaml"
    path.write_text("state_dir: file/var\n")
    (tmp_path / "file").touch()
    with pytest.raises(StartError, match="cannot be used"):
        give_state_dir(load(path).gateway)


def test_changes_that_wait_for_a_restart_are_told(tmp_path: Path) -> None:
    """The admin section; anything else is silent, also an office that was joined meanwhile: what listens to others begins at a reload."""
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text('state_dir: var\nadmin: {listen: "127.0.0.1:8080"}\n')
    second.write_text('state_dir: var\nlists: [{id: a, category: ads, url: "https://lists.example/a.txt"}]\n')
    (note,) = late_changes(load(first), load(second))
    assert "admin has changed" in note
    second.write_text(first.read_text() + "cache: {entries: 7}\n")
    assert late_changes(load(first), load(second)) == []
    admin = load(first).admin
    assert admin is not None
    assert late_changes(load(first), replace(load(first), admin=replace(admin, orders_from="follow"))) == []


async def test_what_listens_to_others_begins_at_a_reload_without_new_lists(configuration: Configuration) -> None:
    """An office that was joined: the lists are as they were, and it is followed at once."""
    path = configuration.path
    path.write_text(path.read_text(encoding="utf-8").replace("takedown: {file: orders.yaml}\n", ""), encoding="utf-8")
    preparer = Preparer(load(path), Overrides())
    first = await preparer("reload")
    assert first.processes == ()
    release.commit_generation(configuration.gateway.state_dir, cast(release.Changes, first.changes or {}), 1_800_000_000.0)
    root = configuration.gateway.state_dir / "follow/root.json"
    root.parent.mkdir(parents=True)
    root.write_text("{}")
    office = {"url": "http://127.0.0.1:9/release", "fingerprint": "f", "gateway": "g", "label": "A", "public": ""}
    (root.parent / "office.json").write_text(json.dumps(office))
    prepared = await preparer("reload")
    assert [process.name for process in prepared.processes] == ["follow"]
    assert prepared.notes == ()


@pytest.mark.parametrize("is_usable", [True, False])
def test_upgraded_program_answers_at_once_and_prepares_anew(is_usable: bool, configuration: Configuration) -> None:
    """With what the program before prepared, where it can be used; either way what this program makes of the lists is soon in force."""
    folder, path = configuration.path.parent, configuration.path
    path.write_text(path.read_text(encoding="utf-8") + 'dns: {listen: ["127.0.0.1:0"], workers: 1}\n', encoding="utf-8")
    configuration = load(path)
    put_in_force(folder / "var", prepare(configuration, "none").changes)
    note = folder / "var" / fingerprint.FILE
    noted = json.loads(note.read_bytes())
    if not is_usable:
        noted["catalogue"] = release.write_file(folder / "var", {"format": 99})
        release.commit_generation(folder / "var", {"catalogue": noted["catalogue"]}, 1_800_000_000)
    note.write_text(json.dumps({**noted, "fingerprint": "that of another program"}))
    with Gateway(folder, path.read_text(encoding="utf-8")) as gateway:
        assert ede_codes(gateway.ask("ordered.example")) == [16]
        end = time.monotonic() + 60
        while json.loads(note.read_bytes())["fingerprint"] == "that of another program" and time.monotonic() < end:
            time.sleep(0.1)
        assert fingerprint.is_current(load(path).lists, own_names(configuration.gateway)), gateway.written()
        assert ede_codes(gateway.ask("ordered.example")) == [16] and gateway.status()["state"] == "ready"
