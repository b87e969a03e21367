"""The commands that a family's own machine offers: link, password, journal."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from typer.testing import CliRunner

from admin.migrate import migrate
from blocklists.database import open_database
from lachan.__main__ import app

RUNNER = CliRunner()


def settings(folder: Path, admin: bool = True) -> list[str]:
    path = folder / "lachan.yaml"
    path.write_text(f"state_dir: {folder}/var\n" + ('admin: {listen: "127.0.0.1:0"}\n' if admin else ""), encoding="utf-8")
    (folder / "var").mkdir(exist_ok=True)
    return ["-c", str(path)]


def test_setup_link_without_one_is_a_sentence(tmp_path: Path) -> None:
    """Nothing to show is told, not traced."""
    found = RUNNER.invoke(app, ["setup-link", *settings(tmp_path)])
    assert found.exit_code == 1
    assert "no open set-up link" in str(found.exception)


def test_setup_link_is_printed(tmp_path: Path) -> None:
    """What the program printed is printed again."""
    arguments = settings(tmp_path)
    (tmp_path / "var" / "setup.token").write_text("abc\n")
    found = RUNNER.invoke(app, ["setup-link", *arguments])
    assert found.output.strip().endswith("/setup/abc")


def test_verify_journal_of_an_empty_database(tmp_path: Path) -> None:
    """A journal without rows is whole; one that is not there is told."""
    found = RUNNER.invoke(app, ["verify-journal", *settings(tmp_path, admin=False)])
    assert found.exit_code == 1
    assert "no admin section" in str(found.exception)


def test_reset_password_without_accounts_says_so(tmp_path: Path) -> None:
    """Nobody to give a password to."""
    arguments = settings(tmp_path)

    async def make() -> None:
        database = await open_database(f"sqlite+aiosqlite:///{tmp_path}/var/lachan.db")
        await migrate(database, tmp_path, datetime.now(UTC))
        await database.close()

    asyncio.run(make())
    found = RUNNER.invoke(app, ["reset-password", *arguments])
    assert "there are: none" in str(found.exception)
    whole = RUNNER.invoke(app, ["verify-journal", *arguments])
    assert whole.exit_code == 0
