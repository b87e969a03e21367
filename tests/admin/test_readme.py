"""The README's promises: its client runs as it stands, its files exist."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from admin.dependencies import Services
from admin.permissions import Scope
from admin.sessions import create_token
from gateway.settings import Endpoint
from tests.admin.test_process import listener, start, wait_for
from tests.support.family import Family

ADMIN = Path(__file__).parents[2] / "admin"
README = (ADMIN / "README.md").read_text(encoding="utf-8")


@pytest.fixture
async def running(services: Services, family: Family, tmp_path: Path) -> Iterator[tuple[str, str]]:  # type: ignore[misc]
    """The program on the family's database, and a key for it."""
    now = datetime.now(UTC)
    async with services.database.write() as connection:
        scopes = frozenset({Scope.READ, Scope.POLICY})
        _, key = await create_token(connection, family.tenant, family.account, "x", scopes, now, now + timedelta(days=1))
    await services.database.close()
    pages = listener()
    own = replace(services.settings, listen=Endpoint("127.0.0.1", pages.getsockname()[1]))
    child = start(own, [pages], tmp_path / "output")
    pages.close()
    address = f"http://{own.listen}"
    wait_for(f"{address}/sign-in")
    yield address, key
    child.terminate()
    child.wait(15)


async def test_client_of_the_readme_runs(running: tuple[str, str], tmp_path: Path) -> None:
    """Copied from the page, it lists the children and sends one to rest."""
    (client,) = re.findall(r"```python\n(import json\n.*?)```", README, re.DOTALL)
    path = tmp_path / "client.py"
    path.write_text(client, encoding="utf-8")
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    environment = {**os.environ, "LACHAN_URL": running[0], "LACHAN_KEY": running[1], "UNTIL": until, "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, str(path)]
    found = await asyncio.to_thread(subprocess.run, command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert found.returncode == 0, found.stderr
    assert re.search(r"Bi TH (free|rest)", found.stdout)
    assert re.search(r"off 20\S+ True", found.stdout)


def test_files_the_readme_names_exist() -> None:
    """A table that points nowhere helps nobody."""
    named = re.findall(r"`((?:[a-z]+/)*[a-z]+\.py)`", README)
    assert [name for name in named if not (ADMIN / name).exists() and not (ADMIN.parent / name).exists()] == []
