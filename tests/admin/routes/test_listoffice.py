"""The page where whoever looks after a gateway enters an office's code."""

from __future__ import annotations

from pathlib import Path

import pytest

from admin.settings import AdminSettings
from blocklists.joined import read_joined
from blocklists.pairing import JoinCode, fingerprint_of, words_of
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family
from tests.support.people import PASSWORD
from tests.support.publisher import Publisher, serve
from tests.support.visitor import Visitor


@pytest.fixture
async def parent(visitor: Visitor, family: Family) -> Visitor:
    """The one family of this machine, signed in."""
    await visitor.sign_in("me", PASSWORD)
    return visitor


async def test_code_is_entered_compared_and_left(
    parent: Visitor, settings: AdminSettings, gateway: ScriptedGateway, tmp_path: Path
) -> None:
    """A wrong code changes nothing and says what to copy; the right one shows the office's words; leaving is one button."""
    office = Publisher(tmp_path / "office")
    await parent.get("/more")
    assert "/list-office" in parent.links
    with serve(office.folder) as url:
        for text, words in (("abc", "Chép cả dòng"), (str(JoinCode(url, fingerprint_of(b"x"))), "không khớp mã: so lại mã")):
            await parent.get("/list-office")
            await parent.submit("/list-office", {"code": text})
            assert parent.response.status_code == 422 and words in parent.text
            assert read_joined(settings.state_dir) is None
        await parent.submit("/list-office", {"code": f"lachan join '{JoinCode(url, fingerprint_of(office.root))}'"})
    assert words_of(fingerprint_of(office.root)) in parent.text
    assert read_joined(settings.state_dir) is not None
    await parent.submit("/list-office/leave")
    assert read_joined(settings.state_dir) is None
