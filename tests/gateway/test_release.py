"""Generations on disk: canonical, content addressed, verified, committed atomically, pruned with care."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path

import pytest

from gateway import release
from gateway.errors import GenerationError

NOW = 1_800_000_000.0


def put_index(state_dir: Path, names: bytes = b"trie", records: bytes = b"\0\0") -> str:
    """An index folder with two opaque files and a right header; its name."""
    header = {
        "format": 1,
        "digests": {"names.marisa": hashlib.sha256(names).hexdigest(), "records.bin": hashlib.sha256(records).hexdigest()},
    }
    data = release.canonical_bytes(header)
    folder = state_dir / "index" / release.index_name(data)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "index.json").write_bytes(data)
    (folder / "names.marisa").write_bytes(names)
    (folder / "records.bin").write_bytes(records)
    return folder.name


def first_changes(state_dir: Path) -> release.Changes:
    """What a first generation needs."""
    return {"index": put_index(state_dir), "catalogue": release.write_file(state_dir, {"format": 1})}


@pytest.mark.parametrize(
    ("document", "expected"),
    [({"b": 1, "a": "đ"}, '{"a":"đ","b":1}'), ([], "[]"), ({"x": [None, True, {"z": 1, "y": 2}]}, '{"x":[null,true,{"y":2,"z":1}]}')],
)
def test_canonical_bytes_same_content_gives_same_bytes(document: object, expected: str) -> None:
    """Keys are sorted, there are no spaces, Vietnamese letters stay themselves."""
    assert release.canonical_bytes(document) == expected.encode()


@pytest.mark.parametrize("document", [{"a": 1.5}, [float("nan")], {1: "a"}, {"a": {2: 3}}])
def test_canonical_bytes_without_one_spelling_is_refused(document: object) -> None:
    """A float or a key that is not text has no canonical form."""
    with pytest.raises(ValueError, match=r"float|text"):
        release.canonical_bytes(document)


def test_write_file_is_named_by_its_content_and_read_back(tmp_path: Path) -> None:
    """The same document gives the same name whatever the order of its keys, and comes back equal."""
    name = release.write_file(tmp_path, {"b": 1, "a": 2})
    assert release.write_file(tmp_path, {"a": 2, "b": 1}) == name
    assert name == hashlib.sha256(b'{"a":2,"b":1}').hexdigest() + ".json"
    assert release.read_file(tmp_path, name) == {"a": 2, "b": 1}
    assert [path.name for path in (tmp_path / "files").iterdir()] == [name]


def test_read_file_with_changed_content_is_refused(tmp_path: Path) -> None:
    """A file whose content does not match its name is never used; writing it again repairs it."""
    name = release.write_file(tmp_path, {"a": 2})
    (tmp_path / "files" / name).write_bytes(b'{"a":3}')
    with pytest.raises(GenerationError, match="does not match"):
        release.read_file(tmp_path, name)
    assert release.write_file(tmp_path, {"a": 2}) == name
    assert release.read_file(tmp_path, name) == {"a": 2}


@pytest.mark.parametrize("name", ["../../etc/passwd", "x.json", "0" * 64 + ".json/..", ""])
def test_read_file_with_a_foreign_name_is_refused(tmp_path: Path, name: str) -> None:
    """Only content-addressed names are opened."""
    with pytest.raises(GenerationError, match="content-addressed"):
        release.read_file(tmp_path, name)


def test_commit_first_generation_is_in_force_and_verifies(tmp_path: Path) -> None:
    """The first commit makes generation 1, writes its number and passes verification."""
    changes = first_changes(tmp_path)
    assert release.current_number(tmp_path) is None
    assert release.commit_generation(tmp_path, changes, NOW) == 1
    manifest = release.read_manifest(tmp_path)
    assert (manifest.number, manifest.parent, manifest.created_at) == (1, None, "2027-01-15T08:00:00Z")
    assert manifest.index_dir == changes["index"]
    assert (tmp_path / "current").read_text() == "1\n"
    release.verify(tmp_path, manifest)


def test_commit_changes_only_what_is_named(tmp_path: Path) -> None:
    """A later commit keeps everything it does not name; a tenant given as None goes."""
    release.commit_generation(tmp_path, first_changes(tmp_path), NOW)
    one, two = release.write_file(tmp_path, {"tenant": "a"}), release.write_file(tmp_path, {"tenant": "b"})
    release.commit_generation(tmp_path, {"policies": {"b": two, "a": one}}, NOW)
    segment = release.write_file(tmp_path, {"entries": []})
    release.commit_generation(tmp_path, {"orders": {"serial": 4, "segments": [segment], "origin": "office"}}, NOW)
    number = release.commit_generation(tmp_path, {"policies": {"a": None}}, NOW)
    manifest = release.read_manifest(tmp_path)
    assert (number, manifest.parent) == (4, 3)
    assert manifest.policies == (("b", two),)
    assert manifest.orders == release.Orders(4, (segment,), "office")
    assert release.read_manifest(tmp_path, 2).policies == (("a", one), ("b", two))


def test_commit_without_index_is_refused(tmp_path: Path) -> None:
    """There is no first generation without lists: listeners must not open on nothing."""
    with pytest.raises(GenerationError, match="first generation"):
        release.commit_generation(tmp_path, {"policies": {}}, NOW)
    assert release.current_number(tmp_path) is None


@pytest.mark.parametrize("part", ["names.marisa", "records.bin", "index.json"])
def test_commit_with_a_broken_index_leaves_the_old_generation(tmp_path: Path, part: str) -> None:
    """A damaged part is named, and the generation in force stays."""
    release.commit_generation(tmp_path, first_changes(tmp_path), NOW)
    other = put_index(tmp_path, names=b"other")
    (tmp_path / "index" / other / part).write_bytes(b"{}")
    with pytest.raises(GenerationError, match="does not match") as caught:
        release.commit_generation(tmp_path, {"index": other}, NOW)
    assert part in caught.value.where
    assert release.current_number(tmp_path) == 1


def test_commit_with_a_missing_policy_file_is_refused(tmp_path: Path) -> None:
    """A file that was never put in place cannot be put in force."""
    release.commit_generation(tmp_path, first_changes(tmp_path), NOW)
    with pytest.raises(GenerationError, match="No such file"):
        release.commit_generation(tmp_path, {"policies": {"a": "0" * 64 + ".json"}}, NOW)
    assert release.current_number(tmp_path) == 1


def test_commit_with_an_older_order_serial_is_refused(tmp_path: Path) -> None:
    """Orders never go back to an older serial of the same origin; another origin counts for itself."""
    release.commit_generation(tmp_path, first_changes(tmp_path), NOW)
    release.commit_generation(tmp_path, {"orders": {"serial": 4, "segments": [], "origin": "office"}}, NOW)
    with pytest.raises(GenerationError, match="older"):
        release.commit_generation(tmp_path, {"orders": {"serial": 3, "segments": [], "origin": "office"}}, NOW)
    release.commit_generation(tmp_path, {"orders": {"serial": 1, "segments": [], "origin": "file"}}, NOW)
    assert release.commit_generation(tmp_path, {"orders": None}, NOW) == 4
    assert release.read_manifest(tmp_path).orders is None


def test_commit_never_reuses_a_number(tmp_path: Path) -> None:
    """A manifest that was written but never put in force is stepped over."""
    release.commit_generation(tmp_path, first_changes(tmp_path), NOW)
    (tmp_path / "generations" / "7.json").write_text("left behind")
    assert release.commit_generation(tmp_path, {}, NOW) == 8


@pytest.mark.parametrize("text", ["", "x", "0", "-1", "1.5"])
def test_current_number_that_is_no_number_is_an_error(tmp_path: Path, text: str) -> None:
    """A damaged `current` is a fault to report, not an empty state."""
    (tmp_path / "current").write_text(text)
    with pytest.raises(GenerationError, match="number"):
        release.current_number(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda row: row.update(format=2),
        lambda row: row.update(number=9),
        lambda row: row.pop("policies"),
        lambda row: row["index"].update(digest="0" * 64),
        lambda row: row.update(policies=[1]),
    ],
)
def test_read_manifest_with_damage_is_an_error(tmp_path: Path, damage: object) -> None:
    """A manifest that is not one is refused with its path."""
    release.commit_generation(tmp_path, first_changes(tmp_path), NOW)
    path = tmp_path / "generations" / "1.json"
    row = json.loads(path.read_text())
    assert callable(damage)
    damage(row)
    path.write_text(json.dumps(row))
    with pytest.raises(GenerationError, match=r"generations/1\.json"):
        release.read_manifest(tmp_path)


@pytest.mark.parametrize("data", [b"[]", b"\xff", b"[" * 100_000])
def test_read_manifest_that_is_not_an_object_is_an_error(tmp_path: Path, data: bytes) -> None:
    """Any bytes give our error and nothing else."""
    release.commit_generation(tmp_path, first_changes(tmp_path), NOW)
    (tmp_path / "generations" / "1.json").write_bytes(data)
    with pytest.raises(GenerationError):
        release.read_manifest(tmp_path)


def test_read_manifest_before_the_first_generation_is_an_error(tmp_path: Path) -> None:
    """With no state there is nothing to read."""
    with pytest.raises(GenerationError, match="no generation"):
        release.read_manifest(tmp_path)


def test_prune_keeps_the_last_generations_and_what_they_need(tmp_path: Path) -> None:
    """Old manifests go, files only they needed go after their grace, everything in use stays."""
    release.commit_generation(tmp_path, first_changes(tmp_path), NOW)
    for turn in range(6):
        release.commit_generation(tmp_path, {"policies": {"a": release.write_file(tmp_path, {"turn": turn})}}, NOW)
    asked = release.write_file(tmp_path, {"just": "put in place"})
    stray_index = put_index(tmp_path, names=b"unused")
    old = release.write_file(tmp_path, {"turn": 0})
    for path in (*(tmp_path / "files").iterdir(), *(tmp_path / "index").iterdir()):
        os.utime(path, (NOW, NOW))
    os.utime(tmp_path / "files" / asked, (NOW + 7000, NOW + 7000))
    assert release.prune(tmp_path, NOW + 7200, keep=3) == 4
    assert sorted(path.name for path in (tmp_path / "generations").iterdir()) == ["5.json", "6.json", "7.json"]
    for number in (5, 6, 7):
        release.verify(tmp_path, release.read_manifest(tmp_path, number))
    names = {path.name for path in (tmp_path / "files").iterdir()}
    assert asked in names
    assert old not in names
    assert stray_index not in {path.name for path in (tmp_path / "index").iterdir()}


def test_prune_keeps_the_generation_in_force_whatever_its_number(tmp_path: Path) -> None:
    """Newer manifests that were never put in force do not push out the one in force; a broken old one does no harm."""
    release.commit_generation(tmp_path, first_changes(tmp_path), NOW)
    for number in range(2, 9):
        (tmp_path / "generations" / f"{number}.json").write_text("{}")
    release.prune(tmp_path, NOW + 1e9, keep=2)
    assert sorted(path.name for path in (tmp_path / "generations").iterdir()) == ["1.json", "7.json", "8.json"]
    release.verify(tmp_path, release.read_manifest(tmp_path))


def test_replace_file_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk leaves the old file whole and no temporary file."""
    target = tmp_path / "file"
    release.replace_file(target, b"old")

    def refuse(_number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space"):
        release.replace_file(target, b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_read_file_that_is_not_json_is_refused(tmp_path: Path) -> None:
    """Bytes under their own digest that are no JSON are an error of the generation, nothing else."""
    data = b"{"
    name = f"{hashlib.sha256(data).hexdigest()}.json"
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / name).write_bytes(data)
    with pytest.raises(GenerationError, match="is not JSON"):
        release.read_file(tmp_path, name)


@pytest.mark.parametrize("name", ["", "..", "abc", "0" * 31 + "/"])
def test_index_with_a_foreign_name_is_refused(tmp_path: Path, name: str) -> None:
    """Only content-addressed folders are opened."""
    with pytest.raises(GenerationError, match="folder name"):
        release.verify_index(tmp_path, name)


@pytest.mark.parametrize("part", ["names.marisa", "records.bin", "index.json"])
def test_index_with_a_missing_part_is_refused(tmp_path: Path, part: str) -> None:
    """A part that is gone is named."""
    name = put_index(tmp_path)
    (tmp_path / "index" / name / part).unlink()
    with pytest.raises(GenerationError, match="No such file") as caught:
        release.verify_index(tmp_path, name)
    assert caught.value.where.endswith(part)


def test_current_number_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """A folder in its place, or bytes that are no text, are faults to report."""
    (tmp_path / "current").write_bytes(b"\xff")
    with pytest.raises(GenerationError, match="cannot be read"):
        release.current_number(tmp_path)
    (tmp_path / "current").unlink()
    (tmp_path / "current").mkdir()
    with pytest.raises(GenerationError, match="cannot be read"):
        release.current_number(tmp_path)


def test_prune_with_a_broken_generation_in_force_removes_nothing_it_may_need(tmp_path: Path) -> None:
    """When what is in force cannot be read, nothing is thrown away."""
    changes = first_changes(tmp_path)
    release.commit_generation(tmp_path, changes, NOW)
    (tmp_path / "generations" / "1.json").write_text("{}")
    with pytest.raises(GenerationError):
        release.prune(tmp_path, NOW + 1e9)
    assert (tmp_path / "index" / changes["index"]).is_dir()
    assert (tmp_path / "files" / changes["catalogue"]).is_file()


def test_prune_before_the_first_generation_keeps_what_is_new(tmp_path: Path) -> None:
    """An empty state and files that were just put in place are left alone."""
    assert release.prune(tmp_path, NOW) == 0
    name = release.write_file(tmp_path, {"a": 1})
    os.utime(tmp_path / "files" / name, (NOW, NOW))
    assert release.prune(tmp_path, NOW + 10) == 0
    assert (tmp_path / "files" / name).is_file()


def test_files_are_for_this_user_alone_whatever_the_umask(tmp_path: Path) -> None:
    """Policies name children's devices; a file that an older version left readable is closed when it is wanted again."""
    before = os.umask(0)
    try:
        name = release.write_file(tmp_path, {"profiles": []})
        release.replace_file(tmp_path / "current", b"1\n")
        with release.replacing(tmp_path / "zone", mode=0o644) as file:
            file.write(b"for others")
    finally:
        os.umask(before)
    target = tmp_path / "files" / name
    assert [stat.S_IMODE(path.stat().st_mode) for path in (target, tmp_path / "current", tmp_path / "zone")] == [0o600, 0o600, 0o644]
    target.chmod(0o644)
    release.write_file(tmp_path, {"profiles": []})
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_file_that_is_not_finished_leaves_the_old_one(tmp_path: Path) -> None:
    """Half a file never takes a name."""
    target = tmp_path / "zone"
    release.replace_file(target, b"old")
    with pytest.raises(ZeroDivisionError), release.replacing(target) as file:
        file.write(b"new")
        raise ZeroDivisionError
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["zone"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_what_root_writes_belongs_to_the_owner_of_the_folder(tmp_path: Path) -> None:
    """`sudo lachan lists compile` leaves nothing that the gateway's user cannot read."""
    (tmp_path / "files").mkdir()
    os.chown(tmp_path / "files", 65534, 65534)
    name = release.write_file(tmp_path, {"profiles": []})
    found = (tmp_path / "files" / name).stat()
    assert (found.st_uid, found.st_gid) == (65534, 65534)
