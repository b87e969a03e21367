"""An office publishes with three commands: what its officers approved reaches whoever follows, signed."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from admin.office import open_office
from blocklists.database import open_database
from blocklists.follower import Release, follow
from blocklists.tables import metadata
from blocklists.takedown import publishing, store
from blocklists.takedown.documents import parse_symbol
from blocklists.takedown.model import SYSTEM, Actor, Capacity, Enforceability, Match
from blocklists.takedown.segments import merge
from blocklists.takedown.store import NewItem, NewOrder
from gateway.errors import LachanError
from lachan.__main__ import app
from tests.support.office import Officers, make_officers
from tests.support.publisher import serve

SETTINGS = 'state_dir: var\nadmin: {listen: "127.0.0.1:0"}\n'


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The configuration of an office's server."""
    path = tmp_path / "lachan.yaml"
    path.write_text(SETTINGS)
    (tmp_path / "var").mkdir()
    return path


class Desk:
    """What officers do on the pages, done in the database that the commands read."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.now = datetime.now(UTC)

    async def open(self) -> Officers:
        """An office with its officers."""
        database = await open_database(f"sqlite+aiosqlite:///{self.state_dir}/lachan.db")
        async with database.write() as connection:
            await connection.run_sync(metadata.create_all)
        officers = await make_officers(database, self.now)
        await database.close()
        return officers

    async def approve(self, officers: Officers, host: str) -> None:
        """An order about one name, verified, approved, published to this machine and enforced."""
        database = await open_database(f"sqlite+aiosqlite:///{self.state_dir}/lachan.db")
        item = NewItem(host, host, Match.BOTH, Enforceability.YES)
        until = self.now + timedelta(days=30)
        order = NewOrder(
            symbol=parse_symbol("12/QĐ-STTTT"), issuer="Sở", valid_from=self.now, valid_until=until, items=(item,)
        )  # fmt: skip
        async with database.write() as connection:
            office = await open_office(connection, officers.tenant)
            made = await store.register(connection, office, order, Actor(officers.verifier, Capacity.VERIFIER), self.now)
            await store.move_order(connection, office, made, "verify", Actor(officers.verifier, Capacity.VERIFIER), self.now)
            await store.move_order(connection, office, made, "approve", Actor(officers.approver, Capacity.APPROVER), self.now)
            version = await publishing.publish(connection, office, self.state_dir, self.now)
            assert version is not None
            await publishing.acknowledge(connection, office, version.serial, "local", self.now, self.now)
        await database.close()

    async def expire_all(self, officers: Officers) -> None:
        """The end of every entry has come."""
        database = await open_database(f"sqlite+aiosqlite:///{self.state_dir}/lachan.db")
        later = self.now + timedelta(days=40)
        async with database.write() as connection:
            office = await open_office(connection, officers.tenant)
            for entry in await store.due_to_expire(connection, office, later):
                await store.move_entry(connection, office, entry, "expire", SYSTEM, later)
            assert await publishing.publish(connection, office, self.state_dir, later) is not None
        await database.close()


def lachan(config: Path, *words: str, fails: bool = False) -> str:
    """Call `lachan release …` with nobody at a terminal; what it said, or the sentence of its refusal."""
    result = CliRunner().invoke(app, ["release", *words, "-c", str(config)])
    assert isinstance(result.exception, LachanError) is fails, result.exception or result.output
    return str(result.exception) if fails else result.output


def entries(release: Release) -> list[str]:
    """The keys a release blocks."""
    return [row[0] for row in merge(release.fresh.values(), is_base=True)["entries"]]


def test_approved_names_reach_whoever_follows_and_leave_again(config: Path, tmp_path: Path) -> None:
    """Three commands from keys to a signed list: published, refreshed without the approver, and empty again after the end."""
    state_dir, folder = tmp_path / "var", tmp_path / "www"
    desk = Desk(state_dir)
    officers = asyncio.run(desk.open())
    assert "SHA-256" in lachan(config, "init", "--to", str(folder))
    root = (folder / "metadata/1.root.json").read_bytes()

    def newest(enforced: int) -> Release | None:
        with serve(folder) as url:
            return follow(tmp_path / "gateway", url, root, enforced)

    assert newest(0) is None
    asyncio.run(desk.approve(officers, "bad.example"))
    asyncio.run(desk.approve(officers, "worse.example"))
    assert "Release 2 is published" in lachan(config, "publish", "--to", str(folder))
    release = newest(0)
    assert release is not None
    assert (release.serial, entries(release)) == (2, ["example.bad.", "example.worse."])
    assert {row["number"] for row in merge(release.fresh.values(), is_base=True)["orders"]} == {"12/QĐ-STTTT"}
    assert release.journal is not None and release.journal["seq"] > 0

    assert "Nothing new; release 2" in lachan(config, "publish", "--to", str(folder))
    assert "release 2" in lachan(config, "refresh", "--to", str(folder)).lower()
    again = newest(2)
    assert again is not None and (again.serial, again.newest) == (2, 2)

    asyncio.run(desk.expire_all(officers))
    assert "Release 3 is published" in lachan(config, "publish", "--to", str(folder))
    lifted = newest(2)
    assert lifted is not None and entries(lifted) == []


def test_second_root_and_missing_parts_are_refused(config: Path, tmp_path: Path) -> None:
    """A new root would cut off every follower; without keys, office or release there is a sentence that says what to do."""
    assert "lachan release init" in lachan(config, "publish", fails=True)
    lachan(config, "init")
    before = {path: path.read_bytes() for path in (tmp_path / "var/release").rglob("*.json")}
    assert "holds a release already" in lachan(config, "init", fails=True)
    asyncio.run(Desk(tmp_path / "var").open())
    (tmp_path / "var/keys/targets.pem").unlink()
    assert "there is no key" in lachan(config, "publish", fails=True)
    assert {path: path.read_bytes() for path in (tmp_path / "var/release").rglob("*.json")} == before
    assert {path.name for path in (tmp_path / "var/keys").iterdir()} == {"root.pem", "snapshot.pem", "timestamp.pem"}


def test_locked_key_needs_its_passphrase_for_approval_only(config: Path, tmp_path: Path) -> None:
    """Publishing needs the passphrase, from a file where nobody can be asked; the daily signature does not."""
    secret, wrong = tmp_path / "secret", tmp_path / "wrong"
    secret.write_text("một cụm mật khẩu\n")
    wrong.write_text("khác\n")
    asyncio.run(Desk(tmp_path / "var").open())
    assert "passphrase-file" in lachan(config, "init", "--lock", fails=True)
    lachan(config, "init", "--passphrase-file", str(secret))
    lachan(config, "refresh")
    assert "passphrase-file" in lachan(config, "publish", fails=True)
    refused = lachan(config, "publish", "--passphrase-file", str(wrong), fails=True)
    assert "is the passphrase right" in refused and "khác" not in refused
    assert "signed anew" in lachan(config, "publish", "--passphrase-file", str(secret))
