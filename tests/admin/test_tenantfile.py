"""Writing the file of a family."""

from __future__ import annotations

from admin.audit import Act
from admin.dependencies import Services
from tests.admin.test_importing import SECRET_HOOK, furnish, write
from tests.support.family import Family


async def test_file_carries_no_secret_unless_chosen(services: Services, family: Family, act: Act) -> None:
    """Neither the private name of a phone nor the webhook stands in it; with them, on demand. The same rows give the same text."""
    token = await furnish(services, family, act)
    text = await write(services, family.tenant)
    assert token not in text and SECRET_HOOK not in text and "argon2" not in text and "phone: new" in text
    assert await write(services, family.tenant) == text
    with_secrets = await write(services, family.tenant, secrets=True)
    assert token in with_secrets and SECRET_HOOK in with_secrets
