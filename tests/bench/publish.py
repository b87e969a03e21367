"""`make bench BENCH="--publish"`: what a publish and a lift of one entry cost in an office of 10,000, 100,000 and 1,000,000 entries, and a
gateway that follows: cut from the database, sign, write; download, verify, put into the overlay of a worker.

The office's database is SQLite, filled with entries in force by plain rows; everything measured is the product's own code.
"""

from __future__ import annotations

import asyncio
import hashlib
import resource
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from sqlalchemy import insert, select, update

from blocklists.database import Database, open_database
from blocklists.follower import BoundedFetcher, follow
from blocklists.normalize import key_of_name
from blocklists.tables import accounts, metadata, organisations
from blocklists.takedown import publishing, store, tables
from blocklists.takedown.model import Enforceability, Match, State
from blocklists.takedown.releasing import read_listing, segments_of
from blocklists.takedown.segments import Chain, Piece, merge_apart
from blocklists.takedown.store import NewItem
from gateway import release
from gateway.policy.model import CHILD_BANDS
from gateway.policy.overlay import Overlay
from gateway.policy.segment import count_rows, open_layer, write_mapped
from tests.blocklists.takedown.test_store import APPROVER, NOW, OFFICE, VERIFIER, letter
from tests.support.publisher import Publisher, serve

ROUNDS = 15
ORDERS = 1000
"""Names that one document of the filling holds."""


def run(sizes: list[int], folder: Path, say: Callable[[str], None]) -> list[str]:
    """Measure each size; the lines of the report."""
    rows = []
    for size in sizes:
        say(f"an office with {size:,} entries …")
        place = folder / f"office-{size}"
        place.mkdir()
        rows.append((size, asyncio.run(_measure(size, place, say))))
    names = list(rows[0][1])
    lines = ["| | " + " | ".join(f"{size:,}" for size, _ in rows) + " |", "|---|" + "---|" * len(rows)]
    lines += [f"| {name} | " + " | ".join(found[name] for _, found in rows) + " |" for name in names]
    return lines


async def _measure(size: int, place: Path, say: Callable[[str], None]) -> dict[str, str]:
    database = await open_database(f"sqlite+aiosqlite:///{place}/office.db")
    async with database.write() as connection:
        await connection.run_sync(metadata.create_all)
        await connection.execute(insert(organisations).values(id=OFFICE.tenant, kind="office", name="office", valid_from=NOW))
        for person in ("one", "two", "three"):
            values = {"id": person, "sign_in": person, "name": person, "password_hash": "-", "password_set_at": NOW, "created_at": NOW}
            await connection.execute(insert(accounts).values(**values))
    state, office = place / "state", Publisher(place / "signed")
    found: dict[str, str] = {}
    started = time.perf_counter()
    await _fill(database, state, size)
    say(f"  filled in {time.perf_counter() - started:.0f} s")
    times: dict[str, list[float]] = {}
    overlay, held, serial = Overlay(), set[str](), 0
    received: list[int] = []
    with serve(office.folder) as url:
        for number in range(ROUNDS + 1):
            clock = _Clock(times if number else {})
            async with database.write() as connection:
                host = f"fresh{number}.example"
                order = await store.register(connection, OFFICE, letter(NewItem(host, host, Match.BOTH, Enforceability.YES)), VERIFIER, NOW)
                await store.move_order(connection, OFFICE, order, "verify", VERIFIER, NOW)
                await store.move_order(connection, OFFICE, order, "approve", APPROVER, NOW)
            clock.start()
            async with database.write() as connection:
                version = await publishing.publish(connection, OFFICE, state, NOW)
            assert version is not None
            clock.stop("office: cut from the database and write, ms")
            async with database.read() as connection:
                listing = await read_listing(connection, OFFICE)
            assert listing is not None
            office.repository.publish(listing, segments_of(state), office.signers, datetime.now(UTC))
            clock.stop("office: sign and write the release, ms")
            async with database.write() as connection:
                await publishing.acknowledge(connection, OFFICE, version.serial, "local", NOW, NOW)
            clock.stop("office: note that it is enforced, ms")
            fetcher = BoundedFetcher()
            taken = follow(place / "gateway", url, office.root, serial, fetcher, held=held.__contains__, read=_reader(state))
            assert taken is not None
            clock.stop("gateway: download and verify, ms")
            before = {layer.names: layer for layer in overlay.parts}
            overlay = Overlay(serial=taken.serial, layers=[before.get((one,)) or open_layer(state, one) for one in taken.segments])
            view = overlay.at(NOW.timestamp())
            clock.stop("each worker: put into the overlay, ms")
            assert view.find(key_of_name(host), CHILD_BANDS) and view.find(key_of_name(f"n{size // 2}.listed.example"), CHILD_BANDS)
            held, serial = set(taken.segments), taken.serial
            received.append(fetcher.received)
            if number == 0:
                found["first time: all of it, MB received"] = f"{fetcher.received / 1e6:.1f}"
    for name, values in times.items():
        found[name] = f"{median(values) * 1000:.1f}"
    found["gateway: received for one entry, kB"] = f"{median(received[1:]) / 1000:.1f}"
    found["segments in force"] = str(len(overlay.parts))
    keys = [key_of_name(f"nobody{number}.other.example") for number in range(20_000)]
    started = time.perf_counter()
    for key in keys:
        view.is_mapped(key)
    found["a name nobody lists, µs more"] = f"{(time.perf_counter() - started) / len(keys) * 1e6:.2f}"
    async with database.read() as connection:
        _, names = await publishing.current_segments(connection, OFFICE)
    started = time.perf_counter()
    await asyncio.to_thread(merge_apart, state, names, is_base=True)
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    found["merging everything once, beside, s"] = f"{time.perf_counter() - started:.1f}"
    found["memory of that process, MiB"] = f"{spent.ru_maxrss / 1024:.0f}"
    await database.close()
    return found


async def _fill(database: Database, state: Path, size: int) -> None:
    """Entries in force of many documents, and the version that brought them: one large segment."""
    table = tables.entries
    end = NOW + timedelta(days=300)
    async with database.write() as connection:
        template = await store.register(connection, OFFICE, letter(), VERIFIER, NOW)
        await store.move_order(connection, OFFICE, template, "verify", VERIFIER, NOW)
        await store.move_order(connection, OFFICE, template, "approve", APPROVER, NOW)
        row = dict((await connection.execute(select(table))).mappings().one())
        order = dict((await connection.execute(select(tables.orders))).mappings().one())
        orders, entries = [], []
        for number in range(max(1, size // ORDERS)):
            identity = f"filled{number}"
            await connection.execute(insert(tables.orders).values({**order, "id": identity}))
            shape = {**row, "order_id": identity, "valid_until": end, "state": State.ACTIVE.value, "serial_in": 1, "first_serial": 1}
            published = publishing.overlay_id(shape)  # type: ignore[arg-type]  # a mapping with the same columns
            orders.append(
                {
                    "id": published, "number": "12/QĐ-STTTT", "issuer": "Sở", "issued_on": "2026-11-01", "basis": [], "bands": None,
                    "category": "order", "from": "2026-01-01T00:00:00Z", "until": end.strftime("%Y-%m-%dT%H:%M:%SZ"), "no_end": False,
                }
            )  # fmt: skip
            rows = []
            for place in range(number * ORDERS, min(size, (number + 1) * ORDERS)):
                host = f"n{place}.listed.example"
                rows.append({**shape, "id": f"e{place}", "host": host, "published_as": published})
                entries.append([key_of_name(host), 0, number])
            await connection.execute(insert(table), rows)
        segment = {"format": 1, "orders": orders, "entries": sorted(entries), "lifted": []}
        name = release.write_file(state, segment)
        write_mapped(state, name, segment)
        await connection.execute(update(table).where(table.c.order_id == template).values(state=State.LIFTED.value))
        await connection.execute(
            insert(tables.versions).values(
                serial=1, tenant_id=OFFICE.tenant, created_at=NOW, entries=size, added=size, removed=0, segment=name, is_base=1,
                chain=Chain((Piece(name, count_rows(segment)),)).to_text(), digest=hashlib.sha256(b"").hexdigest(), previous_digest="",
                journal_seq=0, applied_at=NOW,
            )
        )  # fmt: skip


class _Clock:
    def __init__(self, times: dict[str, list[float]]) -> None:
        self._times = times
        self._since = 0.0

    def start(self) -> None:
        """Begin."""
        self._since = time.perf_counter()

    def stop(self, name: str) -> None:
        """One part is done; the next begins."""
        now = time.perf_counter()
        self._times.setdefault(name, []).append(now - self._since)
        self._since = time.perf_counter()


def _reader(state: Path) -> Callable[[str], dict[str, object]]:
    return lambda name: release.read_file(state, name)
