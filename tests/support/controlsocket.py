"""A control socket that answers as a gateway does, on a real Unix socket: for tests of the pages without a running gateway.

It speaks through the product's own server, so that framing, limits and refusals are the real ones. What it was asked is kept in `asked`.
"""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import Any

from gateway.control import ControlServer, Request
from gateway.errors import ControlError
from gateway.release import commit_generation, current_number, forget_tenant

Fields = dict[str, Any]  # Any: JSON values


class ScriptedGateway:
    """A gateway of one's own: says what a test told it to."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.asked: list[Fields] = []
        self.generation = 1
        self.devices: list[Fields] = []
        self.blocks: dict[str, list[Fields]] = {}
        self.probes: dict[str, Fields] = {}
        self.elsewhere: set[str] = set()
        self.policies: dict[str, str | None] = {}
        self.batches: list[Fields] = []
        self.homes: list[list[object]] = []
        self.refuse: ControlError | None = None
        self.status: Fields = {}
        requests = {
            "status": self._status,
            "apply": self._apply,
            "forget": self._forget,
            "devices": self._devices,
            "recent_blocks": self._blocks,
            "probe": self._probe,
            "activity": self._activity,
            "homes": self._homes,
        }
        self._server = ControlServer(state_dir, {name: Request(answer, 5.0) for name, answer in requests.items()})

    async def start(self) -> None:
        """Begin to listen."""
        await self._server.start()

    async def stop(self) -> None:
        """Go away, as a dead gateway does."""
        await self._server.stop()

    def see(
        self,
        address: str,
        at: datetime,
        *,
        mac: str | None = None,
        client: str | None = None,
        tenant: str | None = None,
        name: str = "",
        by_token: bool = False,
    ) -> None:
        """A device asked, and perhaps told the router how it calls itself; `by_token`: by its private name."""
        seconds = at.timestamp()
        self.devices.append(
            {
                "address": address,
                "mac": mac,
                "client": client,
                "tenant": tenant,
                "name": name,
                "by_token": by_token,
                "profile": "",
                "first_seen": seconds,
                "last_seen": seconds,
            }
        )

    def block(self, address: str, name: str, category: str, at: datetime, rule: str = "") -> None:
        """A name was blocked for an address."""
        row = {"at": at.timestamp(), "name": name, "category": category, "rule": rule or f"category {category}"}
        self.blocks.setdefault(address, []).insert(0, row)

    async def _status(self, fields: Fields) -> Fields:
        self.asked.append(fields)
        return {"state": "ready", "ready": True, "generation": self.generation, **self.status}

    async def _apply(self, fields: Fields) -> Fields:
        self.asked.append(fields)
        if self.refuse is not None:
            raise self.refuse
        self.policies.update(fields["changes"].get("policies", {}))
        if current_number(self.state_dir) is None:
            self.generation += 1
        else:  # a real state directory: put it in force as the supervisor does
            self.generation = commit_generation(self.state_dir, fields["changes"], time.time())
        return {"generation": self.generation}

    async def _forget(self, fields: Fields) -> Fields:
        self.asked.append(fields)
        return {"files": 0 if current_number(self.state_dir) is None else forget_tenant(self.state_dir, str(fields["tenant"]))}

    async def _devices(self, fields: Fields) -> Fields:
        self.asked.append(fields)
        found = [row for row in self.devices if fields.get("tenant") in (None, row["tenant"])]
        if "address" in fields:  # a device has several addresses; a hardware address makes them one, as at a real gateway
            here = {row["mac"] for row in found if row["address"] == fields["address"]} - {None}
            found = [row for row in found if row["address"] == fields["address"] or row["mac"] in here]
        return {"devices": found}

    async def _blocks(self, fields: Fields) -> Fields:
        self.asked.append(fields)
        return {"blocks": self.blocks.get(fields["address"], [])}

    async def _probe(self, fields: Fields) -> Fields:
        self.asked.append(fields)
        # A test that names one name of a check means all of them, but for those that it says went elsewhere.
        nonce = fields["nonce"]
        found = None if nonce in self.elsewhere else self.probes.get(nonce) or self.probes.get(nonce[:24])
        return {"seen": True, "kinds": ["A", "AAAA"], **found} if found else {"seen": False}

    async def _homes(self, fields: Fields) -> Fields:
        self.asked.append(fields)
        return {"homes": self.homes}

    async def _activity(self, fields: Fields) -> Fields:
        self.asked.append(fields)
        return {"batches": [batch for batch in self.batches if batch["serial"] > fields.get("after", 0)]}
