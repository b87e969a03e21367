"""Names of the masked category as they are stored: a mask that works, a sealed copy that one key opens."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from blocklists.takedown.masking import KEY_FILE, hide, is_hidden, key_of_host, mask_host, names_key, reveal
from blocklists.takedown.model import Enforceability, Match, TransitionRefused
from blocklists.takedown.store import NewItem
from gateway.policy.masked import mask

ROW = NewItem("www.bad.example", "www.bad.example", Match.BOTH, Enforceability.YES)
REJECTED = NewItem("103.1.2.3:80", None, Match.BOTH, Enforceability.IP_ONLY, "ip_only")


@pytest.mark.parametrize(("row", "name"), [(ROW, "www.bad.example"), (REJECTED, "103.1.2.3:80")])
def test_a_hidden_row_tells_nothing_and_opens_with_its_key(row: NewItem, name: str, tmp_path: Path) -> None:
    """Neither host nor text; the same name never looks the same twice, its mask always does."""
    key = names_key(tmp_path)
    hidden, again = hide(row, key), hide(row, key)
    assert is_hidden(hidden) and not is_hidden(row)
    assert name not in f"{hidden.as_written}{hidden.host}"
    assert hidden.as_written != again.as_written and hidden.host == again.host
    assert reveal(hidden.as_written, key) == name
    assert hide(hidden, key) == hidden


def test_the_key_lies_beside_the_database_and_is_its_owners(tmp_path: Path) -> None:
    """Made once; another server's key opens nothing, and the sentence names the file."""
    key = names_key(tmp_path)
    assert names_key(tmp_path) == key
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600
    with pytest.raises(TransitionRefused, match=KEY_FILE):
        reveal(hide(ROW, key).as_written, names_key(tmp_path / "elsewhere"))
    with pytest.raises(TransitionRefused):
        reveal("sealed:!", key)


def test_a_mask_goes_where_a_key_goes() -> None:
    """Publishing takes either."""
    masked = mask_host("www.bad.example")
    assert masked is not None and mask_host(masked) == masked
    assert key_of_host(masked) == mask("example.bad.www.")
    assert key_of_host("www.bad.example") == "example.bad.www."
