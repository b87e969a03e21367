"""Keys as files: made once, for their owner alone, locked where that is wanted."""

from __future__ import annotations

from pathlib import Path

import pytest

from blocklists.releasekeys import ROLES, UNATTENDED, KeyFileError, is_locked, key_file, load_signers, make_keys


def test_keys_are_made_once_for_their_owner_alone(tmp_path: Path) -> None:
    """Nobody else may read them, and a second call replaces none."""
    folder = tmp_path / "keys"
    make_keys(folder, None)
    before = {role: key_file(folder, role).read_bytes() for role in ROLES}
    assert folder.stat().st_mode & 0o077 == 0
    assert all(key_file(folder, role).stat().st_mode & 0o777 == 0o600 for role in ROLES)
    make_keys(folder, b"secret")
    assert {role: key_file(folder, role).read_bytes() for role in ROLES} == before
    signers = load_signers(folder, ROLES)
    assert len({signers[role][0].public_key.keyid for role in ROLES}) == len(ROLES)


def test_passphrase_locks_root_and_approver_but_not_the_timer(tmp_path: Path) -> None:
    """Without the right passphrase there is no signature of an approver; the daily one needs none."""
    make_keys(tmp_path, b"secret")
    assert is_locked(tmp_path, ["root"]) and is_locked(tmp_path, ["targets"]) and not is_locked(tmp_path, UNATTENDED)
    assert set(load_signers(tmp_path, UNATTENDED)) == set(UNATTENDED)
    assert load_signers(tmp_path, ["targets"], b"secret")
    for wrong in (None, b"other"):
        with pytest.raises(KeyFileError, match="passphrase"):
            load_signers(tmp_path, ["targets"], wrong)


def test_key_that_others_may_read_is_not_used(tmp_path: Path) -> None:
    """The sentence says what to do."""
    make_keys(tmp_path, None)
    key_file(tmp_path, "targets").chmod(0o640)
    with pytest.raises(KeyFileError, match="chmod 600"):
        load_signers(tmp_path, ["targets"])


def test_missing_and_broken_keys_are_told(tmp_path: Path) -> None:
    """A sentence for each, not a traceback."""
    with pytest.raises(KeyFileError, match="lachan release init"):
        load_signers(tmp_path, ["root"])
    path = key_file(tmp_path, "root")
    path.touch(mode=0o600)
    with pytest.raises(KeyFileError, match="cannot be opened"):
        load_signers(tmp_path, ["root"])
    (tmp_path / "file").touch()
    with pytest.raises(KeyFileError, match="cannot be written"):
        make_keys(tmp_path / "file", None)
