"""The published schema of the API against the API itself: schemathesis asks what the schema allows and what not, over a real socket.

A family's key asks everything of a family, an officer's everything of the office. Values that only the catalogue or the family itself knows
(codes, names of sites) are allowed by the schema and refused with 422 and the field, so that one check is left out.
"""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from admin.audit import MACHINE, Act
from admin.permissions import Scope
from admin.sessions import create_token
from admin.tenants import grant_role
from blocklists.tables import Role
from tests.browser.conftest import Place
from tests.support.family import make_family
from tests.support.office import make_officers

pytestmark = pytest.mark.full


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
        scopes = frozenset({Scope.READ, Scope.POLICY, Scope.LIST})
        tenant, account = (family.tenant, family.account) if whose == "family" else (officers.tenant, officers.approver)
        async with place.services.database.write() as connection:
            if whose == "office":
                await grant_role(connection, Act(tenant, MACHINE, place.now), account, Role.VERIFIER)
            ends = place.now + timedelta(days=30)
            return (await create_token(connection, tenant, account, "test", scopes, place.now, ends))[1]

    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "run", f"{place.address}/api/v1/openapi.json"),
        *("--url", f"{place.address}/api/v1", "--header", f"Authorization: Bearer {place.run(make)}"),
        *("--phases", phases, "--max-examples", str(examples), "--seed", "20261126", "--no-color"),
        *("--exclude-path-regex" if whose == "family" else "--include-path-regex", "^/office"),
        *("--exclude-checks", "positive_data_acceptance"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "COLUMNS": "120"}, timeout=900)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
