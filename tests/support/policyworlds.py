"""Generated worlds of policy zones, a BIND that enforces them, and questions asked in bulk. For differential tests only.

A world is a small tree of names below a suffix of its own, with rules about them spread over the zones of its batch. Worlds of one batch
share the zones and their overrides and cannot meet each other, so one server process enforces many of them.
"""

from __future__ import annotations

import os
import random
import select
import socket
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

from tests.support.scripts import Asked, Script, negative, reply_to, wire
from tests.support.upstream import ScriptedUpstream

LABELS = ("a", "b.a", "c.b.a", "d.c.b.a", "x.a", "e", "f.e", "x.y.e", "al", "deep.al", "missing", "quiet")
"""Names of a world, below its suffix. `al` and `deep.al` are aliases of `a`; `missing` does not exist."""

ACTIONS = (
    "CNAME .",
    "CNAME *.",
    "CNAME rpz-passthru.",
    "CNAME rpz-drop.",
    "CNAME rpz-tcp-only.",
    "CNAME walled.garden.example.",
    "CNAME *.garden.example.",
    "A 192.0.2.77",
    'TXT "policy"',
    "AAAA 2001:db8::77",
)
OVERRIDES = ("given", "disabled", "passthru", "drop", "tcp-only", "nxdomain", "nodata", "cname:walled.garden.example")
TYPES = ("A", "A", "AAAA", "TXT", "CNAME", "MX")
QUESTIONS = 12
WINDOW = 48
PATIENCE = 1.0
"""Seconds after which a question without an answer counts as dropped; it is asked twice."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question to both servers."""

    name: str
    qtype: str
    tcp: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """What a client sees of an answer: TTLs, sections after the answer and flags other than TC are left out."""

    rcode: str
    truncated: bool = False
    records: frozenset[tuple[str, str, str]] = frozenset()

    def __str__(self) -> str:
        return " ".join([self.rcode, *(["TC"] if self.truncated else []), *(f"{n} {t} {r};" for n, t, r in sorted(self.records))])


SILENCE = Seen("silence")


@dataclass(frozen=True, slots=True)
class World:
    """Rules (zone number, owner below the suffix, record) and the questions about them."""

    suffix: str
    rules: tuple[tuple[int, str, str], ...]
    questions: tuple[Question, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """Worlds under the same zones: the override of each zone, in their order of precedence."""

    overrides: tuple[str, ...]
    worlds: tuple[World, ...]

    def zone_text(self, number: int) -> str:
        """The master file of one zone."""
        lines = ["$TTL 60", "@ SOA localhost. admin.localhost. 1 3600 600 86400 60", "@ NS localhost."]
        for world in self.worlds:
            lines += [f"{owner}.{world.suffix} {record}" for place, owner, record in world.rules if place == number]
        return "\n".join(lines) + "\n"

    @property
    def questions(self) -> list[Question]:
        """The questions of all worlds."""
        return [question for world in self.worlds for question in world.questions]


def make_batches(seed: int, batches: int, worlds: int) -> list[Batch]:
    """Worlds by chance, the same for the same seed."""
    chance = random.Random(seed)
    made = []
    for batch in range(batches):
        count = chance.randint(1, 5)
        overrides = tuple(chance.choice(OVERRIDES) if chance.random() < 0.5 else "given" for _ in range(count))
        made.append(Batch(overrides, tuple(_world(chance, f"w{batch}-{number}.example", count) for number in range(worlds))))
    return made


def _world(chance: random.Random, suffix: str, zones: int) -> World:
    rules: dict[tuple[int, str], str] = {}
    for _ in range(chance.randint(1, 9)):
        owner = chance.choice(LABELS)
        if chance.random() < 0.4:
            owner = f"*.{owner}"
        rules.setdefault((chance.randrange(zones), owner), chance.choice(ACTIONS))
    questions = {
        Question(
            f"{chance.choice(('', '', '', 'q.', 'q.q.'))}{chance.choice(LABELS)}.{suffix}", chance.choice(TYPES), chance.random() < 0.1
        )
        for _ in range(QUESTIONS)
    }
    found = tuple((zone, owner, record) for (zone, owner), record in rules.items())
    return World(suffix, found, tuple(sorted(questions, key=lambda question: (question.name, question.qtype, question.tcp))))


class WorldUpstream(ScriptedUpstream):
    """Answers every name of every world: an address, a text, an alias, or that the name does not exist."""

    REAL: ClassVar = {"A": "192.0.2.1", "AAAA": "2001:db8::1", "TXT": '"real"'}

    def handle(self, asked: Asked) -> Script:
        """The same answer for the same question, whoever asks."""
        name, qtype = asked.qname.lower(), asked.qtype
        labels = name.split(".")
        lines = []
        if "al" in labels and labels[-1] == "example" and "garden" not in labels:
            lines.append(f"{name}. 300 IN CNAME a.{'.'.join(labels[-2:])}.")
            name = f"a.{'.'.join(labels[-2:])}"
        if "missing" in labels and "garden" not in labels:
            return negative(asked, zone="example.", rcode="NXDOMAIN")
        if qtype in self.REAL:
            return wire(reply_to(asked, *lines, f"{name}. 300 IN {qtype} {self.REAL[qtype]}"))
        if lines:
            return wire(reply_to(asked, *lines))
        return negative(asked, zone="example.", rcode="NOERROR")


class Bind:
    """A real BIND with the zones of a batch as its response policy, forwarding to the upstream."""

    def __init__(self, folder: Path, batch: Batch, upstream: int, port: int) -> None:
        self.folder, self.port = folder, port
        folder.mkdir(parents=True)
        zones = policies = ""
        for number, override in enumerate(batch.overrides):
            (folder / f"z{number}.zone").write_text(batch.zone_text(number))
            zones += f'zone "z{number}.rpz" {{ type primary; file "z{number}.zone"; check-names ignore; notify no; }};\n'
            word, _, target = override.partition(":")
            policies += f'zone "z{number}.rpz" policy {word} {target and f"{target}."}; '
        (folder / "named.conf").write_text(f"""
options {{
  directory "{folder}"; pid-file "{folder}/named.pid"; session-keyfile "{folder}/session.key"; managed-keys-directory "{folder}";
  listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
  recursion yes; allow-query {{ any; }}; allow-recursion {{ any; }}; dnssec-validation no; empty-zones-enable no;
  forward only; forwarders {{ 127.0.0.1 port {upstream}; }}; minimal-responses yes; max-cache-size 32m;
  response-policy {{ {policies} }} break-dnssec yes qname-wait-recurse no;
}};
controls {{ }};
{zones}
""")

    def __enter__(self) -> Self:
        command = ["named", "-g", "-c", str(self.folder / "named.conf"), "-n", "1"]
        if os.geteuid() == 0:
            os.chmod(self.folder, 0o777)
        with (self.folder / "named.log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        end = time.monotonic() + 20
        probe = dns.message.make_query("ready.garden.example", "A")
        while time.monotonic() < end:
            try:
                if dns.query.udp(probe, "127.0.0.1", 0.5, self.port).answer:
                    return self
            except OSError:
                time.sleep(0.05)
            except dns.exception.DNSException:
                time.sleep(0.05)
            if self._process.poll() is not None:
                break
        log_text = (self.folder / "named.log").read_text()[-3000:]
        self._stop()
        raise AssertionError(f"BIND did not answer:\n{log_text}")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop()

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)


def ask_all(port: int, questions: Sequence[Question]) -> dict[Question, Seen]:
    """Ask everything; a question that stays without an answer twice was dropped."""
    found = _ask_datagrams(port, [question for question in questions if not question.tcp], PATIENCE)
    found |= _ask_datagrams(port, [question for question in questions if not question.tcp and question not in found], PATIENCE)
    for question in questions:
        if question.tcp:
            found[question] = _ask_stream(port, question)
    return {question: found.get(question, SILENCE) for question in questions}


def _ask_datagrams(port: int, questions: Iterable[Question], patience: float) -> dict[Question, Seen]:
    """Keep a window of questions under way; ids tell the answers apart."""
    waiting: dict[int, tuple[Question, float]] = {}
    found: dict[Question, Seen] = {}
    left = list(enumerate(questions, 1))[::-1]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", port))
        while left or waiting:
            while left and len(waiting) < WINDOW:
                number, question = left.pop()
                message = dns.message.make_query(question.name, question.qtype, use_edns=0, payload=1232, id=number)
                client.send(message.to_wire())
                waiting[number] = question, time.monotonic() + patience
            if select.select([client], [], [], 0.05)[0]:
                reply = dns.message.from_wire(client.recv(4096))
                answered = waiting.pop(reply.id, None)
                if answered is not None:
                    found[answered[0]] = read(reply)
                continue
            now = time.monotonic()
            for number in [number for number, (_, end) in waiting.items() if end < now]:
                del waiting[number]
    return found


def _ask_stream(port: int, question: Question) -> Seen:
    message = dns.message.make_query(question.name, question.qtype, use_edns=0)
    try:
        return read(dns.query.tcp(message, "127.0.0.1", PATIENCE, port))
    except (OSError, EOFError, dns.exception.DNSException):
        return SILENCE


def read(reply: dns.message.Message) -> Seen:
    """What a client sees of a reply."""
    records = frozenset(
        (str(rrset.name).lower(), dns.rdatatype.to_text(rrset.rdtype), str(rdata)) for rrset in reply.answer for rdata in rrset
    )
    return Seen(dns.rcode.to_text(reply.rcode()), bool(reply.flags & dns.flags.TC), records)
