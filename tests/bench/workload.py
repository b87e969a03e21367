"""The names and queries of the benchmark, the same for every server and every run. Imported by the bench only."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

ENDINGS = ("com", "net", "vn", "top", "xyz", "com.vn", "info", "org", "club", "site")
SEED = 20260901


def listed_name(number: int) -> str:
    """The listed name with this number: ten letters and digits before one of ten endings."""
    digest = hashlib.blake2b(str(number).encode(), digest_size=5).hexdigest()
    return f"b{digest}.{ENDINGS[number % len(ENDINGS)]}"


def write_list(path: Path, count: int) -> None:
    """Write `count` listed names, one a line."""
    with path.open("w") as out:
        out.writelines(listed_name(number) + "\n" for number in range(count))


def write_rpz(path: Path, count: int) -> None:
    """Write the same names as a response policy zone: the name and everything below it answer NXDOMAIN."""
    with path.open("w") as out:
        out.write("$TTL 60\n@ SOA localhost. root.localhost. 1 3600 600 86400 60\n@ NS localhost.\n")
        for number in range(count):
            name = listed_name(number)
            out.write(f"{name} CNAME .\n*.{name} CNAME .\n")


def write_hits(path: Path, listed: int, distinct: int = 10_000, blocked_share: float = 0.3, lines: int = 100_000) -> None:
    """Write queries that repeat: `distinct` names, `blocked_share` of them listed, in a fixed random order."""
    chance = random.Random(SEED)
    blocked = int(distinct * blocked_share)
    names = [listed_name(chance.randrange(listed)) for _ in range(blocked)]
    names += [f"www{number}.open-{number % 997}.example" for number in range(distinct - blocked)]
    with path.open("w") as out:
        out.writelines(f"{chance.choice(names)} A\n" for _ in range(lines))


def write_warm(path: Path, hits: Path) -> None:
    """Write each distinct query of `hits` once, so that caches can be filled before the clock starts."""
    with path.open("w") as out:
        out.writelines(sorted(set(hits.open())))


def write_misses(path: Path, part: int, lines: int = 400_000) -> None:
    """Write names that were never asked; every `part` has names of its own."""
    with path.open("w") as out:
        out.writelines(f"m{part}x{number}.never-{number % 9973}.example A\n" for number in range(lines))


def mix(path: Path, hits: Path, every: int) -> None:
    """Put known names between the lines of a file: one line in `every` stays new."""
    with hits.open() as file:
        known = file.readlines()
    with path.open() as file:
        new = file.readlines()
    with path.open("w") as out:
        for number, line in enumerate(new):
            out.write(line)
            for step in range(every - 1):
                out.write(known[(number * (every - 1) + step) % len(known)])
