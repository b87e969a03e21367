"""What a gateway knows of the office it joined."""

from __future__ import annotations

import json
from pathlib import Path

from blocklists.joined import OFFICE, Joined, leave, read_joined


def test_joined_office_is_read_and_left(tmp_path: Path) -> None:
    """None before joining, none for a file that is none, none after leaving."""
    assert read_joined(tmp_path) is None
    (tmp_path / "follow").mkdir()
    (tmp_path / OFFICE).write_text("{")
    assert read_joined(tmp_path) is None
    (tmp_path / OFFICE).write_text(
        json.dumps({"url": "https://a.example/release", "fingerprint": "f", "gateway": "g", "label": "A", "public": ""})
    )
    assert read_joined(tmp_path) == Joined("https://a.example/release", "f", "g", "A")
    leave(tmp_path)
    leave(tmp_path)
    assert read_joined(tmp_path) is None
