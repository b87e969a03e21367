"""The published schema of the API against the API itself: schemathesis asks what the schema allows and what not, over a real socket.

A family's key asks everything of a family, an officer's everything of the office.
"""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from admin.audit import MACHINE, Act, by_account
from admin.office import open_office
from admin.permissions import Scope
from admin.sessions import create_token
from admin.tenants import grant_role
from blocklists.tables import Role
from tests.browser.conftest import Place
from tests.support.family import make_family
from tests.support.office import make_officers

pytestmark = pytest.mark.full

#: A precondition may fail whatever else is right or wrong (412); made-up tags would keep every change from being tried, so `*` is sent.
CONFIG = """
[parameters]
"header.If-Match" = "*"
[checks.positive_data_acceptance]
expected-statuses = ["2xx", 304, 401, 403, 404, 409, 412, 429]
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 409, 412, 413, 415, 422, 429]
"""
#: Where what the schema allows may still be refused (422, with the field), and why no schema can say so.
JUDGED = {
    "PATCH /profiles/{profile}": "only children and classes have another band; a window does not end where it begins",
    "POST /profiles/{profile}/names": "what is a name, and which are never blocked",
    "POST /profiles/{profile}/overrides": "the end lies ahead, at most a day; targets are the catalogue's",
    "POST /devices": "what is an address; whose profile",
    "PATCH /devices/{device}": "whose profile",
    "POST /phones": "whose profile",
    "POST /requests/{request}/answer": "whose profile",
    "POST /dates": "the last day is not before the first",
    "POST /invitations": "a family has no teachers, a school no parents; the last day lies ahead",
    "POST /home": "whose profile",
    "POST /profiles/{profile}/erase": "the id of the profile once more",
    "PUT /tenant": "a file with a grammar of its own",
    "POST /office/orders": "the letter says what the fields leave out",
    "POST /office/agencies": "which places there are",
    "POST /office/directives": "what is a number of a document",
    "POST /office/lists": "what is an address",
    "PUT /office/rollout/rule": "stages grow",
    "GET /office/lookup": "what is a name",
    "PUT /list-office": "what is a code of an office",
    "POST /office/bulletins": "the last day lies ahead; what is a number of a document",
}
CONFIG += "".join(f'[[operations]]\ninclude-name = "{name}"\nchecks.positive_data_acceptance.enabled = false\n' for name in JUDGED)


@pytest.mark.parametrize("whose", ["family", "office"])
@pytest.mark.parametrize(
    ("phases", "examples"),
    [("fuzzing,stateful", 3), pytest.param("coverage,fuzzing,stateful", 50, marks=pytest.mark.soak)],
)
def test_schemathesis_finds_nothing(place: Place, tmp_path: Path, phases: str, examples: int, whose: str) -> None:
    """No undocumented answer, no error of ours, nothing taken that the schema forbids."""

    async def make() -> str:
        family = await make_family(place.services)
        officers = await make_officers(place.services.database, place.now)
        scopes = frozenset(Scope) - {Scope.TENANT}
        tenant, account = (family.tenant, family.account) if whose == "family" else (officers.tenant, officers.approver)
        async with place.services.database.write() as connection:
            if whose == "office":
                await grant_role(connection, Act(tenant, MACHINE, place.now), account, Role.VERIFIER)
                office = await open_office(connection, tenant)
            ends = place.now + timedelta(days=30)
            key = (await create_token(connection, tenant, account, "test", scopes, place.now, ends))[1]
        if whose == "office":  # a signed list, so that codes for gateways can be made
            act = Act(tenant, by_account(account, Role.APPROVER), place.now)
            await place.services.office.signing.make_key(office, act, account, "bốn từ không liên quan")
        return key

    (tmp_path / "schemathesis.toml").write_text(CONFIG, encoding="utf-8")
    command = [
        *(
            str(Path(sys.executable).with_name("schemathesis")),
            "--config-file",
            str(tmp_path / "schemathesis.toml"),
            "run",
            f"{place.address}/api/v1/openapi.json",
        ),
        *("--url", f"{place.address}/api/v1", "--header", f"Authorization: Bearer {place.run(make)}"),
        *("--phases", phases, "--max-examples", str(examples), "--seed", "20261126", "--no-color"),
        *("--exclude-path-regex" if whose == "family" else "--include-path-regex", "^/office"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "COLUMNS": "120"}, timeout=900)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
