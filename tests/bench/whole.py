"""What a whole installation does: memory with everything on, many clients and profiles at once, changes under load, two workers.

The load comes from `load.c`, which asks from many loopback addresses. Imported by the bench only.
"""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from gateway.control import ask_now
from gateway.release import write_file
from tests.bench import measure, peers, readme, workload
from tests.support.generation import order, segment

Say = Callable[[str], None]
CLIENTS = 10_000
EACH = 20_000
"""Questions a second for each worker when one is compared with two."""
STEADY = 15_000
"""Questions a second of the open loop while something changes: about a quarter of what one core answers when it shares the machine."""
ONE = measure.GENERATOR_CORE
BOTH = f"{measure.SERVER_CORE},{measure.GENERATOR_CORE}"
_ZERO = bytes(4)
"""How an answer ends that a closed name gets."""


def load(
    program: Path, peer: peers.Peer, queries: Path, seconds: float, *, addresses: int = 1, rate: float = 0, cores: tuple[str, ...] = (ONE,),
    workers: int = 0,
) -> measure.Run:  # fmt: skip
    """One run of load generators, one for each of `cores`, against a server of ours; together they ask `rate` times a second. The time
    counted is that of its `workers` busiest processes, 0 for all."""
    before = measure.cpu_each(peer.process.pid)
    tail = [str(peer.port), str(addresses), str(seconds), str(rate / len(cores)), str(queries)]
    asking = [subprocess.Popen(["taskset", "-c", core, str(program), *tail], stdout=subprocess.PIPE, text=True) for core in cores]
    told = [[float(figure) for figure in one.communicate(timeout=seconds + 30)[0].split()] for one in asking]
    after = measure.cpu_each(peer.process.pid)
    spent = sorted((seconds - before.get(member, 0.0) for member, seconds in after.items()), reverse=True)
    cpu = sum(spent[: workers or None])
    sent, answered = (int(sum(figures[which] for figures in told)) for which in (0, 1))
    return measure.Run(answered, max(figures[2] for figures in told), cpu, sent - answered, max(figures[3] for figures in told) / 100)


def run(folder: Path, names: int, rounds: int, seconds: float, say: Say) -> tuple[list[str], list[str]]:
    """Every measurement of this module; the lines of the report and the table of the README."""
    program = peers.compile_program(folder, "load")
    if program is None:
        return ["The whole installation is measured only where there is a C compiler (apt install gcc)."], []
    source = peers.upstream(folder, peers.free_port())
    try:
        table = _everything(folder / "whole", program, source.port, names, rounds, seconds, say)
        lines, row = _profiles(folder / "many", program, source.port, rounds, seconds, say)
        return lines, [*table, row]
    finally:
        source.stop()


def _prepare(place: Path, names: int) -> Path:
    place.mkdir()
    workload.write_list(place / "names.txt", names)
    workload.write_hits(place / "hits.txt", names)
    workload.write_warm(place / "warm.txt", place / "hits.txt")
    return place


def _everything(place: Path, program: Path, upstream: int, names: int, rounds: int, seconds: float, say: Say) -> list[str]:
    """Two workers with the admin pages, and one worker beside them for the comparison."""
    _prepare(place, names)
    one = place / "one"
    one.mkdir()
    (one / "names.txt").symlink_to(place / "names.txt")
    admin = peers.free_port()
    both = peers.ours(place, peers.free_port(), upstream, names, workers=2, core=BOTH, admin=admin)
    alone: peers.Peer | None = None
    hits = place / "hits.txt"
    try:
        alone = peers.ours(one, peers.free_port(), upstream, names)
        _open_page(admin)
        for peer in (both, alone):
            for _ in range(3):
                load(program, peer, hits, 2.0, addresses=200, rate=STEADY)
        lines = [*readme.WHOLE_HEAD]

        def row(what: str, figure: str, goal: str) -> None:
            lines.append(f"| {what} | {figure} | {goal} |")
            say(lines[-1])

        row(f"bộ nhớ mọi tiến trình / memory of all processes, {names:,} tên / names, MiB (PSS)",
            f"{measure.memory_mib(both.process.pid):.0f}", "300")  # fmt: skip
        row("một quyết định → mọi nhân / one order → all workers, ms", f"{median(_order(both, place, n) for n in range(5)):.0f}", "1000")
        for rate in (STEADY, 2 * STEADY):
            steady = load(program, both, hits, seconds, addresses=200, rate=rate)
            row(f"mất ở {rate:,}/s, vòng hở / lost, open loop", f"{steady.lost:,} / {steady.lost + steady.answered:,}", "0")
        for what, change in _changes(place, place / "lachan.yaml").items():
            change()
            took, lost, of = _reload(program, both, place / "lachan.yaml", hits)
            row(f"nạp lại / reload: {what}, s; mất ở / lost at {STEADY:,}/s", f"{took:.1f}; {lost:,} / {of:,}", "0")
        for each, goal in ((EACH, "≥ 1.8 ×"), (0, "")):
            row(*_compare(program, alone, both, hits, rounds, seconds, each), goal)
        return lines
    finally:
        both.stop()
        if alone is not None:
            alone.stop()


def _compare(
    program: Path, alone: peers.Peer, both: peers.Peer, hits: Path, rounds: int, seconds: float, each: int
) -> tuple[str, str]:  # fmt: skip
    """Two workers against one, a generator beside each on its core. With `each` questions a second for every worker processor time is
    compared, which says what two workers do on cores of their own; with 0 as many answers as fit, which the generators share here."""
    ones: list[measure.Run] = []
    twos: list[measure.Run] = []
    for _ in range(2 * rounds if each else rounds):
        ones.append(load(program, alone, hits, seconds, addresses=200, rate=each, cores=(measure.SERVER_CORE,), workers=1))
        twos.append(load(program, both, hits, seconds, addresses=200, rate=2 * each, cores=(measure.SERVER_CORE, ONE), workers=2))
    if each:
        one, two = (median(run.micros for run in runs) for runs in (ones, twos))
        words = (
            f"hai nhân so với một, từ µs mỗi câu ở {each:,}/s mỗi nhân / two workers against one, from µs per answer at so many for each"
        )
        return words, f"{one:.2f} → {two:.2f}: {2 * one / two:.2f} ×"
    one, two = (median(run.rate for run in runs) for runs in (ones, twos))
    words = "cùng chia lõi với chương trình hỏi, câu/s / sharing the cores with the generators, answers/s"
    return words, f"{one:,.0f} → {two:,.0f}: {two / one:.2f} ×"


def _changes(place: Path, settings: Path) -> dict[str, Callable[[], object]]:
    """What is changed before a reload."""
    text = settings.read_text()
    return {
        "thiết lập / settings": lambda: settings.write_text(text.replace("cache: {entries: 500000}", "cache: {entries: 400000}")),
        "thêm một tên / one name more": lambda: (place / "names.txt").open("a").write("added.example\n"),
    }


def _open_page(port: int) -> None:
    """Have the admin pages serve one page, so that what they need is loaded."""
    deadline = time.monotonic() + 60
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("GET", "/")
            connection.getresponse().read()
            connection.close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _order(peer: peers.Peer, place: Path, number: int) -> float:
    """Milliseconds from an order that is handed to the gateway until no question of 64 clients is answered openly any more."""
    name = f"www{number + 20}.open-{number + 20}.example"
    query = b"\x12\x34\1\0\0\1\0\0\0\0\0\0" + b"".join(bytes((len(part),)) + part.encode() for part in name.split(".")) + b"\0\0\1\0\1"
    askers = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(64)]
    try:
        for asker in askers:
            asker.settimeout(2)
            asker.connect(("127.0.0.1", peer.port))
        if any(_is_closed(asker, query) for asker in askers):
            raise RuntimeError(f"{name} is closed before the order")
        began = time.monotonic()
        document = segment(order(f"bench-{number}", name))
        change = {"orders": {"serial": number + 1, "segments": [write_file(place / "state", document)], "origin": "file"}}
        ask_now(place / "state", {"do": "apply", "changes": change})
        while not all(_is_closed(asker, query) for asker in askers):
            if time.monotonic() - began > 10:
                raise RuntimeError("an order was not enforced within ten seconds")
        return (time.monotonic() - began) * 1000
    finally:
        for asker in askers:
            asker.close()


def _is_closed(asker: socket.socket, query: bytes) -> bool:
    asker.send(query)
    return asker.recv(4096).endswith(_ZERO)


def _reload(program: Path, peer: peers.Peer, settings: Path, hits: Path) -> tuple[float, int, int]:
    """Seconds of `lachan reload` until every worker has switched, and what an open loop lost meanwhile, of how many questions."""
    command = ["taskset", "-c", BOTH, str(program), str(peer.port), "200", "600", str(STEADY), str(hits)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as asking:
        time.sleep(0.5)
        began = time.monotonic()
        subprocess.run([sys.executable, "-m", "lachan", "reload", "-c", str(settings)], check=True, capture_output=True, timeout=300)
        took = time.monotonic() - began
        time.sleep(0.5)
        asking.terminate()
        sent, answered, _, _ = asking.communicate(timeout=20)[0].split()
    return took, int(sent) - int(answered), int(sent)


def _profiles(place: Path, program: Path, upstream: int, rounds: int, seconds: float, say: Say) -> tuple[list[str], str]:
    """Known names, asked by one client, by many clients of one profile, and by many profiles: the report, and its last word as a row."""
    place.mkdir()
    running: dict[int, peers.Peer] = {}
    try:
        for profiles in (1, CLIENTS):
            running[profiles] = peers.ours(_prepare(place / str(profiles), 100_000), peers.free_port(), upstream, 100_000, profiles)
        hits = place / "1" / "hits.txt"
        cases = ((1, 1), (1, CLIENTS), (CLIENTS, 1), (CLIENTS, CLIENTS))
        for profiles, clients in cases:
            load(program, running[profiles], hits, 15.0, addresses=clients)
        runs: dict[tuple[int, int], list[float]] = {case: [] for case in cases}
        for _ in range(rounds):
            for profiles, clients in cases:
                runs[profiles, clients].append(load(program, running[profiles], hits, seconds, addresses=clients).micros)
        figures = {case: median(found) for case, found in runs.items()}
        said = "Every client asks ten names again and again; each profile has five names of its own."
        head = ["| profiles | clients asking | CPU µs per known name | MiB (PSS) |", "|---|---|---|---|"]
        lines = ["### Many clients, many profiles", "", said, "", *head]
        for (profiles, clients), micros in figures.items():
            lines.append(f"| {profiles:,} | {clients:,} | {micros:.2f} | {measure.memory_mib(running[profiles].process.pid):.0f} |")
            say(lines[-1])
        grown = figures[CLIENTS, CLIENTS] / figures[1, CLIENTS] - 1
        last = f"{figures[1, CLIENTS]:.2f} → {figures[CLIENTS, CLIENTS]:.2f} ({grown:+.0%})"
        row = f"| {CLIENTS:,} hồ sơ cùng hỏi so với một / profiles asking instead of one, µs | {last} | +15 % |"
        say(row)
        return [*lines, ""], row
    finally:
        for peer in running.values():
            peer.stop()
