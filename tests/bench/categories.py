"""`make bench BENCH="--zones"`: a category of a million names as a policy zone: made, compared with the version before, transferred.

The zone is made in the process that the product starts for it; the transfer is read over a real socket with a key, server and reader in one
process, so its processor time is that of both.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import dns.message
import dns.rrset
import dns.tsig

from blocklists import catalogue
from blocklists.categoryzone import CategoryZone, Offer, folder_of, read_state
from blocklists.compile import IndexWriter, Shape, SourceRow
from blocklists.xfr import Feed, TransferServer
from gateway import release
from gateway.policy.model import Band

ZONE = "porn.rpz.test"
CHANGED = 1000
"""One name of so many leaves, and another comes."""
_CHILD = (
    "import re, sys; from blocklists.categorybuild import main; main();"
    "sys.stderr.write(str(int(re.search('VmHWM:.*?([0-9]+)', open('/proc/self/status').read()).group(1)) // 1024))"
)
"""The peak of the process itself: what `getrusage` says begins with that of the process that started it."""


def run(names: int, folder: Path, say: Callable[[str], None]) -> list[str]:
    """The lines of the report."""
    lines = [f"| a category of {names:,} names as a zone | seconds | MiB or octets |", "|---|---|---|"]
    before = 0
    for number, word in enumerate(("made", "made anew and compared, two names of a thousand changed")):
        say(f"a category: {word} …")
        _compile(folder, names, number)
        state = read_state(folder_of(folder, ZONE))
        before = state.serial if state else 0
        seconds, memory = _build(folder, time.time() + number)
        lines.append(f"| {word}, in a process of its own | {seconds:.1f} | {memory} MiB |")
    for kind, serial in (("AXFR", None), ("IXFR", before)):
        say(f"{kind} …")
        octets, seconds, processor = asyncio.run(_transfer(folder, kind, serial))
        lines.append(f"| {kind}, processor time of both sides {processor:.2f} s | {seconds:.2f} | {octets:,} octets |")
    return lines


def _compile(folder: Path, names: int, left_out: int) -> None:
    writer = IndexWriter()
    keys = sorted(f"com.name{number:07d}." for number in range(names) if number % CHANGED != left_out)
    writer.add(SourceRow("big", "category", "porn", licence="MIT"), {Shape(): keys})
    index = writer.write(folder).name
    release.commit_generation(folder, {"index": index, "catalogue": release.write_file(folder, catalogue.load(None))}, time.time())


def _build(folder: Path, now: float) -> tuple[float, str]:
    task = json.dumps({"now": now, "zones": [Offer(ZONE, "porn", frozenset({Band.TH})).to_json()]})
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", _CHILD, str(folder)], input=task, capture_output=True, text=True, check=True)
    return time.monotonic() - began, done.stderr.split()[-1]


async def _transfer(folder: Path, kind: str, serial: int | None) -> tuple[int, float, float]:
    place = folder_of(folder, ZONE)
    state = read_state(place)
    assert state is not None
    zone, key = CategoryZone(ZONE, place, state), dns.tsig.Key("follower", "c2VjcmV0IG9mIHR3ZW50eS1mb3VyIQ==", "hmac-sha256")
    server = TransferServer(Feed({zone.origin: zone}, {key.name: key}))
    port = await server.start("127.0.0.1", 0)
    query = dns.message.make_query(ZONE, kind)
    if serial is not None:
        query.authority.append(dns.rrset.from_text(f"{ZONE}.", 0, "IN", "SOA", f". . {serial} 0 0 0 0"))
    query.use_tsig(key)
    wire = query.to_wire()
    began, processor = time.monotonic(), time.process_time()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(len(wire).to_bytes(2) + wire)
    writer.write_eof()
    octets = 0
    while part := await reader.read(65536):
        octets += len(part)
    writer.close()
    await server.stop()
    return octets, time.monotonic() - began, time.process_time() - processor
