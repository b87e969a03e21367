"""TSIG keys of the settings: the secret comes from its file and is shown nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from blocklists.transferkeys import TransferKeyFile, read_transfer_key


def test_secret_is_read_and_never_shown(tmp_path: Path) -> None:
    """Base64 in a file beside the configuration."""
    (tmp_path / "isp.key").write_text("MDEyMzQ1Njc4OWFiY2RlZg==\n")
    key, mistakes = read_transfer_key(TransferKeyFile(name="isp-a", secret_file="isp.key"), tmp_path, "here")
    assert key is not None and mistakes == []
    assert (key.name, key.algorithm, key.secret, key.secret_file) == ("isp-a", "hmac-sha256", b"0123456789abcdef", tmp_path / "isp.key")
    assert "0123" not in repr(key) and "MDEy" not in repr(key)


@pytest.mark.parametrize(("text", "said"), [(None, "cannot be read"), ("không", "does not hold base64"), ("YWJj", "fewer than 16 bytes")])
def test_mistake_names_the_place_and_the_remedy(text: str | None, said: str, tmp_path: Path) -> None:
    """And not what is in the file."""
    if text is not None:
        (tmp_path / "isp.key").write_text(text, encoding="utf-8")
    key, mistakes = read_transfer_key(TransferKeyFile(name="isp-a", secret_file="isp.key"), tmp_path, "here")
    assert key is None and [mistake.path for mistake in mistakes] == ["here"]
    assert said in mistakes[0].message and mistakes[0].remedy and (text or "?") not in str(mistakes[0])
