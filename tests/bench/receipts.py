"""`make bench BENCH="--receipts"`: gateways by the ten thousand tell a list office what they enforce, at the rates worked out in README.md.

The real control plane (`lachan admin`) in a process of its own with a database of 40,000 joined gateways: SQLite, then PostgreSQL (without
fsync) where it is installed. Every gateway signs its own receipts and comes on a connection and from an address of its own, as from 40,000
schools. Its first receipts say that a new version is in force, which writes one row more.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import insert

from admin.app import open_services
from admin.office import open_office
from admin.officetables import gateways
from blocklists.receipts import Receipt, seal
from blocklists.tables import OrganisationId, accounts, organisations
from blocklists.takedown import publishing
from lachan.configuration import load
from tests.bench.measure import cpu_seconds, memory_mib
from tests.support.echogateway import free_port
from tests.support.postgres import is_installed, postgres_server

RATES = (11, 27, 100, 133)
TENANT = OrganisationId("office")
SETTINGS = 'state_dir: {folder}/var\ndns: {listen: ["127.0.0.1:0"]}\nadmin: {listen: "127.0.0.1:{port}"{database}}\n'
VERSIONS = 2


@dataclass
class Run:
    """What came of one rate: answers by status, and the seconds each took."""

    statuses: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)


def run(number: int, seconds: float, folder: Path, say: Callable[[str], None]) -> list[str]:
    """Each rate for so many seconds; the lines of the report."""
    head = f"| {number:,} gateways | rate | answered | other | ms, median | ms, 99 of 100 | core | MiB |"
    lines = [head, "|---|---|---|---|---|---|---|---|"]
    for name in ("SQLite", "PostgreSQL"):
        with ExitStack() as stack:
            place = folder / name
            (place / "var").mkdir(parents=True)
            database = ""
            if name == "PostgreSQL":
                if not is_installed():
                    continue
                server = stack.enter_context(postgres_server())
                database = f', database: "{asyncio.run(server.fresh(datetime.now(UTC)))}"'
            say(f"{name}: {number:,} gateways …")
            lines += _measure(name, number, seconds, place, database, say)
    return lines


def _measure(name: str, number: int, seconds: float, place: Path, database: str, say: Callable[[str], None]) -> list[str]:
    port = free_port()
    path = place / "lachan.yaml"
    path.write_text(SETTINGS.replace("{folder}", str(place)).replace("{port}", str(port)).replace("{database}", database))
    keys = asyncio.run(_fill(path, number))
    with (place / "log").open("wb") as log:
        program = subprocess.Popen([sys.executable, "-m", "lachan", "admin", "-c", str(path)], stdout=log, stderr=log)
    lines = []
    try:
        asyncio.run(_answers(port, program))
        counters = [0] * number
        for rate in RATES:
            before = cpu_seconds(program.pid)
            began = time.monotonic()
            found = asyncio.run(_send(port, keys, counters, rate, seconds))
            core = (cpu_seconds(program.pid) - before) / (time.monotonic() - began)
            other = ", ".join(f"{status}: {count}" for status, count in sorted(found.statuses.items()) if status != "200") or "–"
            slow = quantiles(found.seconds, n=100)[98]
            lines.append(
                f"| {name} | {rate} | {found.statuses['200']:,} | {other} | {median(found.seconds) * 1000:.0f} | {slow * 1000:.0f} "
                f"| {core:.2f} | {memory_mib(program.pid):.0f} |"
            )
            say(lines[-1])
    finally:
        program.terminate()
        program.wait(30)
    return lines


async def _fill(path: Path, number: int) -> list[Ed25519PrivateKey]:
    settings = load(path).admin
    assert settings is not None
    services = await open_services(settings, time.time)
    now = datetime.now(UTC)
    keys = [Ed25519PrivateKey.generate() for _ in range(number)]
    async with services.database.write() as connection:
        await connection.execute(insert(organisations).values(id=TENANT, kind="office", name="office", valid_from=now))
        person = {"id": "one", "sign_in": "one", "name": "one", "password_hash": "-", "password_set_at": now, "created_at": now}
        await connection.execute(insert(accounts).values(**person))
        office = await open_office(connection, TENANT)
        for _ in range(VERSIONS):
            await publishing.publish(connection, office, settings.state_dir, now, whole=True)
        for first in range(0, number, 1000):
            rows = [
                {
                    "id": identity(place), "tenant_id": TENANT, "label": f"Trường {place}", "ticket_hash": place.to_bytes(32),
                    "ticket_ends_at": now, "created_by": "one", "created_at": now, "joined_at": now, "counter": 0, "serial": 0,
                    "public": keys[place].public_key().public_bytes_raw().hex(),
                }
                for place in range(first, min(first + 1000, number))
            ]  # fmt: skip
            await connection.execute(insert(gateways), rows)
    await services.database.close()
    return keys


def identity(place: int) -> str:
    """The id of a gateway."""
    return f"gateway{place:017d}"


async def _answers(port: int, program: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end and program.poll() is None:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.2)
            continue
        writer.close()
        return
    raise AssertionError("the control plane did not come up")


async def _send(port: int, keys: list[Ed25519PrivateKey], counters: list[int], rate: int, seconds: float) -> Run:
    """Receipts at a steady rate, each on time whatever becomes of those before."""
    found = Run()
    began = time.monotonic()
    tasks = []
    for turn in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, began + turn / rate - time.monotonic()))
        place = random.randrange(len(keys))
        counters[place] += 1
        serial = min(VERSIONS, 1 + counters[place] // 2)
        told = Receipt(identity(place), counters[place], serial, int(time.time()), None, "1.0", int(time.time()))
        tasks.append(asyncio.create_task(_tell(port, place, seal(told, keys[place]), found)))
    await asyncio.gather(*tasks)
    return found


async def _tell(port: int, place: int, body: bytes, found: Run) -> None:
    began = time.monotonic()
    source = f"127.{1 + place // 62500}.{place // 250 % 250}.{1 + place % 250}"
    try:
        async with asyncio.timeout(30):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
            own = f"127.0.0.1:{port}"
            lines = [f"Host: {own}", f"Origin: http://{own}", "Connection: close", f"Content-Length: {len(body)}", "", ""]
            head = "\r\n".join(["POST /release/receipts HTTP/1.1", *lines])
            writer.write(head.encode() + body)
            answer = await reader.read()
            writer.close()
        found.statuses[answer[9:12].decode() or "cut"] += 1
    except (OSError, TimeoutError) as error:
        found.statuses[type(error).__name__] += 1
    found.seconds.append(time.monotonic() - began)
