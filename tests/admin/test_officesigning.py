"""The signing desk without a page: an office that keeps its keys elsewhere is left alone; what fails is said and tried again."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from admin.audit import Act, by_account
from admin.dependencies import Services
from admin.errors import InvalidInput
from admin.office import open_office
from admin.officesigning import KeysElsewhere
from blocklists.database import Database
from blocklists.tables import Role
from lachan.__main__ import app as command
from tests.support.office import make_officers


async def test_keys_made_by_command_are_left_to_the_commands(database: Database, services: Services, now: datetime, tmp_path: Path) -> None:
    """After `lachan release init` the page makes no key, asks for no passphrase and signs nothing by itself."""
    officers = await make_officers(database, now)
    config = tmp_path / "lachan.yaml"
    config.write_text('state_dir: .\nadmin: {listen: "127.0.0.1:0"}\n')
    assert CliRunner().invoke(command, ["release", "init", "-c", str(config)]).exit_code == 0
    desk = services.office.signing
    assert (await desk.standing()).by_command
    async with database.read() as connection:
        office = await open_office(connection, officers.tenant)
    act = Act(officers.tenant, by_account(officers.approver, Role.APPROVER), now)
    with pytest.raises(KeysElsewhere):
        await desk.make_key(office, act, officers.approver, "một cụm mật khẩu")
    assert await desk.unlock(officers.tenant, officers.approver, "") is None
    before = (services.settings.state_dir / "release/metadata/timestamp.json").read_bytes()
    await desk.settle(officers.tenant, now)
    assert (services.settings.state_dir / "release/metadata/timestamp.json").read_bytes() == before
    assert not await desk.is_behind(officers.tenant)


async def test_nobody_signs_without_a_key(database: Database, services: Services, now: datetime) -> None:
    """An officer without a key is refused in words, and the office's state stays as it was."""
    officers = await make_officers(database, now)
    async with database.read() as connection:
        office = await open_office(connection, officers.tenant)
    act = Act(officers.tenant, by_account(officers.approver, Role.APPROVER), now)
    with pytest.raises(InvalidInput):
        await services.office.signing.sign_what_waits(office, act, officers.approver, "một cụm mật khẩu")
    assert not (await services.office.signing.standing()).is_begun
