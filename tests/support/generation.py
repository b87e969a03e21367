"""Generations made in a test: a few lists, policies and orders in, a state directory out.

    state_dir = make_generation(tmp_path, lists={"bet": category("gamb", "bet.example")}, policy=policy(profiles=[...]))
    snapshot = Snapshot.load(state_dir, 1)

The compiler here is plain and small, written from the format alone, so that it stands beside the real one as a second reader of it. Names
are written `x` (x and below), `=x` (alone), `*.x` (below only); `@@` in front makes an exception.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import marisa_trie

from gateway import release
from gateway.wire.name import key_from_text
from tests.support.catalogue import make_catalogue

Json = dict[str, Any]

START = 1_767_225_600.0
"""2026-01-01T00:00:00Z, the wall time at which test generations are made."""

_MATCH = {"=": 1, "*": 2}


def category(code: str, *names: str, **row: Any) -> Json:
    """A list that puts names into a category."""
    return {"kind": "category", "category": code, "names": names, **row}


def good(code: str, *names: str, **row: Any) -> Json:
    """A signed good list."""
    return {"kind": "good", "category": code, "names": names, **row}


def action(word: str, *names: str, level: str = "province", **row: Any) -> Json:
    """A list that allows or blocks names outright, for one level."""
    return {"kind": "action", "action": word, "names": names, "level": level, **row}


def zone(name: str, rules: Mapping[str, Any], *, level: str = "province", policy: str = "given", **row: Any) -> Json:
    """A response policy zone: owner (`x` for the name alone, `*.x` for what is below) → action.

    An action is its kind, or (kind, data): ("cname", target) or ("local", [[type, TTL, RDATA in hex]]).
    An owner `client:192.0.2.0/24` or `response:192.0.2.0/24` is a trigger on addresses.
    """
    groups = row.pop("groups", [])
    target = row.pop("target", "")
    return {
        "kind": "rpz",
        "rules": rules,
        "level": level,
        "rpz": {"zone": name, "policy": policy, "groups": groups, "target": target},
        **row,
    }


def order(identity: str, *names: str, **row: Any) -> Json:
    """An order and the names it binds, for `segment`."""
    return {
        "id": identity,
        "number": f"{identity}/QĐ",
        "issuer": "Sở thử nghiệm",
        "issued_on": "2025-12-31",
        "basis": ["điều 1"],
        "category": "order",
        "bands": None,
        "from": "2026-01-01T00:00:00Z",
        "until": None,
        "no_end": row.get("until") is None,
        "urgent": False,
        "appeal": None,
        "names": names,
        **row,
    }


def segment(*orders: Json, lifted: Iterable[tuple[str, str]] = ()) -> Json:
    """An order segment; lifted entries are (name, order id), an empty name lifts the whole order."""
    rows = [{key: value for key, value in row.items() if key != "names"} for row in orders]
    entries = [[*_read(name)[:2], number] for number, row in enumerate(orders) for name in row["names"]]
    return {
        "format": 1,
        "orders": rows,
        "entries": entries,
        "lifted": [[key_from_text(name) if name else "", identity] for name, identity in lifted],
    }


def policy(tenant: str = "local", kind: str = "operator", **members: Any) -> Json:
    """A policy file."""
    return {"format": 1, "tenant": tenant, "kind": kind, **members}


def profile(band: str, identity: str = "p", owner: str = "parent", **members: Any) -> Json:
    """A profile of a policy file."""
    return {"id": identity, "band": band, "owner": owner, **members}


def make_generation(
    state_dir: Path,
    lists: Mapping[str, Json] | None = None,
    policy: Json | Iterable[Json] | None = None,
    orders: Iterable[Json] | None = None,
    catalogue: Json | None = None,
) -> Path:
    """A state directory whose generation 1 holds these lists, policy files and order segments."""
    amend(state_dir, lists=lists or {}, policy=policy, orders=orders, catalogue=catalogue or make_catalogue())
    return state_dir


def amend(
    state_dir: Path,
    *,
    lists: Mapping[str, Json] | None = None,
    policy: Json | Iterable[Json] | None = None,
    orders: Iterable[Json] | None = None,
    catalogue: Json | None = None,
    serial: int = 1,
    now: float = START,
) -> int:
    """Commit a further generation in which only the given parts change; its number."""
    changes: release.Changes = {}
    if lists is not None:
        changes["index"] = write_index(state_dir, lists)
    if catalogue is not None:
        changes["catalogue"] = release.write_file(state_dir, catalogue)
    if policy is not None:
        documents = [policy] if isinstance(policy, dict) else list(policy)
        changes["policies"] = {document["tenant"]: release.write_file(state_dir, document) for document in documents}
    if orders is not None:
        names = [release.write_file(state_dir, document) for document in orders]
        changes["orders"] = {"serial": serial, "segments": names, "origin": "file"}
    return release.commit_generation(state_dir, changes, now)


def write_index(state_dir: Path, lists: Mapping[str, Json]) -> str:
    """Compile lists into an index folder and return its name."""
    sources: list[Json] = []
    actions: list[Json] = []
    addresses: list[Json] = []
    entries: dict[str, list[list[int]]] = {}
    for number, (identity, row) in enumerate(lists.items()):
        rules = row.get("rules") or dict.fromkeys(row.get("names", ()))
        for name, said in rules.items():
            deed = -1
            if said is not None:
                kind, data = (said, None) if isinstance(said, str) else said
                deed = _number_of(actions, {"kind": kind, "data": {"target": data} if kind == "cname" else data})
                trigger, _, network = name.partition(":")
                if network:
                    addresses.append({"trigger": f"{trigger}-ip", "network": network, "source": number, "action": deed})
                    continue
            key, match, exception = _read(name)
            if row["kind"] == "rpz" and match == 0:
                match = 1  # a zone's owner name means itself alone
            entries.setdefault(key, []).append([number, match, exception, deed])
        sources.append(_source(identity, row, len(rules)))
    keys = sorted(entries)
    trie = marisa_trie.Trie(keys)
    sets: list[list[list[int]]] = []
    records = [0] * len(keys)
    for key in keys:
        records[trie[key]] = _number_of(sets, sorted(entries[key]))
    width = 2 if len(sets) <= 65_535 else 4
    files = {"names.marisa": trie.tobytes(), "records.bin": struct.pack(f"<{len(records)}{'H' if width == 2 else 'I'}", *records)}
    header = release.canonical_bytes(
        {
            "format": 2 if any("when" in row for row in lists.values()) else 1,
            "width": width,
            "keys": len(keys),
            "digests": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
            "sources": sources,
            "sets": sets,
            "actions": actions,
            "addresses": addresses,
        }
    )
    folder = state_dir / "index" / release.index_name(header)
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in {**files, "index.json": header}.items():
        (folder / name).write_bytes(data)
    return folder.name


def _source(identity: str, row: Json, entries: int) -> Json:
    return {
        "id": identity,
        "kind": row["kind"],
        "category": row.get("category"),
        "action": row.get("action"),
        "rpz": row.get("rpz"),
        "level": row.get("level", "province"),
        "title": row.get("title", f"Danh sách {identity}"),
        "publisher": "",
        "licence": "CC0-1.0",
        "entries": entries,
        "rejected": {},
        **({"when": row["when"]} if "when" in row else {}),
    }


def _read(name: str) -> tuple[str, int, int]:
    """Key, match and exception of a written name."""
    exception = name.startswith("@@")
    bare = name.removeprefix("@@")
    match = _MATCH.get(bare[:1], 0)
    return key_from_text(bare.removeprefix("=").removeprefix("*.")), match, int(exception)


def _number_of(rows: list[Any], row: Any) -> int:
    if row not in rows:
        rows.append(row)
    return rows.index(row)
