"""A real PostgreSQL server of a test's own: started in a folder, one migrated database, emptied for each test."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import asyncpg

from admin.migrate import migrate
from blocklists.database import open_database
from blocklists.tables import metadata
from tests.support.echogateway import free_port

BIN = Path("/usr/lib/postgresql/15/bin")
NAME = "lachan"


@dataclass
class Server:
    """A running server. `address` of the maintenance database; `fresh` gives the one migrated database, emptied."""

    port: int
    folder: Path
    _emptied: str = ""

    def address(self, name: str = "postgres") -> str:
        """The address of a database."""
        return f"postgresql+asyncpg://lachan@127.0.0.1:{self.port}/{name}"

    async def fresh(self, now: datetime) -> str:
        """A database with the current schema and no rows. One test at a time: the next call empties it again."""
        if not self._emptied:
            await self.execute(f"CREATE DATABASE {NAME}")
            opened = await open_database(self.address(NAME))
            await migrate(opened, Path("/nonexistent"))
            await opened.close()
            tables = [table for table in metadata.tables if table != "schema_marks"]
            # As a replica: neither foreign keys nor the triggers that keep the journal are looked at. Small tables: faster than TRUNCATE.
            self._emptied = "SET session_replication_role = replica;" + "".join(f"DELETE FROM {table};" for table in tables)
        await self.execute(self._emptied, NAME)
        return self.address(NAME)

    async def execute(self, statements: str, name: str = "postgres") -> None:
        """Statements outside any transaction of a test."""
        connection = await asyncpg.connect(host="127.0.0.1", port=self.port, user="lachan", database=name)
        try:
            await connection.execute(statements)
        finally:
            await connection.close()


@contextmanager
def postgres_server() -> Iterator[Server]:
    """Start one and stop it; everything it wrote goes with it."""
    folder, drop, port = tempfile.mkdtemp(prefix="lachan-pg-"), _become_postgres(), free_port()
    os.chmod(folder, 0o777)  # the server's own user writes there
    cluster = f"{folder}/cluster"
    subprocess.run([f"{BIN}/initdb", "-D", cluster, "-A", "trust", "-U", "lachan"], check=True, capture_output=True, preexec_fn=drop)
    options = ["listen_addresses=127.0.0.1", f"unix_socket_directories={folder}", "fsync=off", "full_page_writes=off", "autovacuum=off"]
    command = [f"{BIN}/postgres", "-D", cluster, "-p", str(port), *(part for option in options for part in ("-c", option))]
    running = subprocess.Popen(command, preexec_fn=drop, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        ready = [f"{BIN}/pg_isready", "-h", "127.0.0.1", "-p", str(port), "-t", "20"]
        for _ in range(200):
            if subprocess.run(ready, check=False, capture_output=True).returncode == 0:
                break
        yield Server(port, Path(cluster))
    finally:
        running.terminate()
        running.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


def is_installed() -> bool:
    """Whether there is a server to start."""
    return (BIN / "initdb").exists()


def _become_postgres() -> Callable[[], None] | None:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    user = pwd.getpwnam("postgres")

    def drop() -> None:
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)

    return drop
