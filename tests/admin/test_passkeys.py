"""Passkeys: made once, used by their owner on their own page, and every way to use one wrongly."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from admin.errors import Conflict
from admin.passkeys import (
    LIVES_SECONDS,
    MOST_EACH,
    Ceremony,
    Challenges,
    Passkeys,
    Place,
    Purpose,
    WrongPasskey,
    list_passkeys,
    place_of,
    remove_passkey,
)
from admin.tables import passkeys
from blocklists.database import Database
from blocklists.tables import AccountId, accounts
from tests.support.people import make_person
from tests.support.softkey import PRESENT, SoftKey, from_text, to_text

PLACE = Place("lachan.internal", "https://lachan.internal:8443")


@pytest.fixture
def keys() -> Passkeys:
    return Passkeys()


@pytest.fixture
def adding(now: datetime) -> Ceremony:
    return Ceremony(PLACE, Purpose.ADD, "session", now, 1000.0)


@pytest.fixture
def signing(now: datetime) -> Ceremony:
    return Ceremony(PLACE, Purpose.SIGN_IN, "", now + timedelta(hours=1), 2000.0)


async def add(database: Database, keys: Passkeys, account: AccountId, adding: Ceremony, device: SoftKey) -> str:
    """A passkey of an account, in a device."""
    options = keys.options_to_add(adding, account, "me", [])
    async with database.write() as connection:
        return await keys.add(connection, account, "điện thoại", device.add(options), adding)


async def use(database: Database, keys: Passkeys, answer: str, ceremony: Ceremony) -> AccountId:
    """Whose passkey answered."""
    shown = await keys.look(database, answer, ceremony)
    async with database.write() as connection:
        await keys.note(connection, shown, ceremony)
    return shown.account


async def test_a_passkey_is_added_and_signs_its_owner_in(
    database: Database, keys: Passkeys, adding: Ceremony, signing: Ceremony, now: datetime
) -> None:
    """The device's answer names the account; when it was used is noted; another time needs another challenge."""
    person, device = await make_person(database, now), SoftKey(PLACE.origin)
    await add(database, keys, person.account, adding, device)
    for _ in range(2):
        assert await use(database, keys, device.use(keys.options_to_use(signing, [])), signing) == person.account
    async with database.read() as connection:
        (own,) = await list_passkeys(connection, person.account)
        stored = (await connection.execute(select(passkeys))).one()
    assert (own.label, own.name, own.created_at, own.used_at) == ("điện thoại", PLACE.name, now, signing.now)
    assert stored.sign_count == 2
    named = json.loads(keys.options_to_use(replace(signing, purpose=Purpose.CONFIRM), [own]))["allowCredentials"]
    assert [from_text(one["id"]) for one in named] == [device.credential]
    elsewhere = replace(signing, place=Place("other.example", "https://other.example"))
    assert json.loads(keys.options_to_use(elsewhere, [own]))["allowCredentials"] == []


async def test_devices_that_count_nothing_are_taken(
    database: Database, keys: Passkeys, adding: Ceremony, signing: Ceremony, now: datetime
) -> None:
    """Passkeys that a phone keeps in step with a tablet have no counter."""
    person, device = await make_person(database, now), SoftKey(PLACE.origin, still=True)
    await add(database, keys, person.account, adding, device)
    for _ in range(2):
        assert await use(database, keys, device.use(keys.options_to_use(signing, [])), signing) == person.account


@pytest.mark.parametrize("back_to", [0, 1, 4])
async def test_a_counter_that_does_not_go_forward_is_a_copy(
    database: Database, keys: Passkeys, adding: Ceremony, signing: Ceremony, now: datetime, caplog: pytest.LogCaptureFixture, back_to: int
) -> None:
    """Refused, and told to the operator without a name."""
    person, device = await make_person(database, now), SoftKey(PLACE.origin)
    await add(database, keys, person.account, adding, device)
    device.count = 4
    await use(database, keys, device.use(keys.options_to_use(signing, [])), signing)
    device.count, device.still = back_to, True
    with pytest.raises(WrongPasskey):
        await use(database, keys, device.use(keys.options_to_use(signing, [])), signing)
    (told,) = caplog.records
    assert "counter" in told.message and told.__dict__.get("passkey") != "me"


async def test_hostile_answers_are_refused(database: Database, keys: Passkeys, adding: Ceremony, signing: Ceremony, now: datetime) -> None:
    """Replayed, too late, for another purpose or session, from another origin, another key, no finger shown, another name, altered."""
    person, device = await make_person(database, now), SoftKey(PLACE.origin)
    await add(database, keys, person.account, adding, device)
    confirming = replace(signing, purpose=Purpose.CONFIRM, session="session")

    async def refused(answer: str, ceremony: Ceremony) -> None:
        with pytest.raises(WrongPasskey):
            await use(database, keys, answer, ceremony)

    once = device.use(keys.options_to_use(signing, []))
    await use(database, keys, once, signing)
    await refused(once, signing)  # replayed
    await refused(device.use(keys.options_to_use(signing, [])), replace(signing, monotonic=signing.monotonic + LIVES_SECONDS + 1))
    await refused(device.use(keys.options_to_use(signing, [])), confirming)
    await refused(device.use(keys.options_to_use(confirming, [])), replace(confirming, session="another"))
    await refused(device.use(Passkeys().options_to_use(signing, [])), signing)  # a challenge of another process
    await refused(device.use(json.dumps({"rpId": PLACE.name, "challenge": to_text(bytes(56))})), signing)
    device.origin = "https://lachan.internal.evil.example"
    await refused(device.use(keys.options_to_use(signing, [])), signing)
    device.origin = PLACE.origin
    await refused(device.use(json.dumps({**json.loads(keys.options_to_use(signing, [])), "rpId": "evil.example"})), signing)
    device.flags = PRESENT
    await refused(device.use(keys.options_to_use(signing, [])), signing)  # whoever holds the phone, without its finger
    device.flags |= 0x04
    device.user = b"somebody else"
    await refused(device.use(keys.options_to_use(signing, [])), signing)
    device.user = person.account.encode()
    stranger = SoftKey(PLACE.origin)
    stranger.credential = device.credential
    await refused(stranger.use(keys.options_to_use(signing, [])), signing)  # the right id, the wrong key
    await refused(SoftKey(PLACE.origin).use(keys.options_to_use(signing, [])), signing)  # unknown here
    answer = json.loads(device.use(keys.options_to_use(signing, [])))
    answer["response"]["signature"] = to_text(b"0" * 70)
    await refused(json.dumps(answer), signing)
    await refused("x" * 20_000, signing)
    assert await use(database, keys, device.use(keys.options_to_use(signing, [])), signing) == person.account, "none of this locks out"


async def test_what_is_taken_away_or_closed_signs_nobody_in(
    database: Database, keys: Passkeys, adding: Ceremony, signing: Ceremony, now: datetime
) -> None:
    """A closed account; another account's attempt to remove it; then it is gone."""
    person, other, device = await make_person(database, now), await make_person(database, now, "ba"), SoftKey(PLACE.origin)
    made = await add(database, keys, person.account, adding, device)
    async with database.write() as connection:
        await connection.execute(update(accounts).where(accounts.c.id == person.account).values(disabled_at=now))
    with pytest.raises(WrongPasskey):
        await use(database, keys, device.use(keys.options_to_use(signing, [])), signing)
    async with database.write() as connection:
        await connection.execute(update(accounts).where(accounts.c.id == person.account).values(disabled_at=None))
        assert not await remove_passkey(connection, other.account, made)
        assert await remove_passkey(connection, person.account, made)
    with pytest.raises(WrongPasskey):
        await use(database, keys, device.use(keys.options_to_use(signing, [])), signing)


async def test_adding_is_refused_when_it_does_not_fit(database: Database, keys: Passkeys, adding: Ceremony, now: datetime) -> None:
    """Another origin, a replay, no finger shown, a key somebody has already, too many."""
    person, other = await make_person(database, now), await make_person(database, now, "ba")
    device = SoftKey(PLACE.origin)
    answer = device.add(keys.options_to_add(adding, person.account, "me", []))
    async with database.write() as connection:
        await keys.add(connection, person.account, "một", answer, adding)
    for hostile in (SoftKey("https://evil.example"), SoftKey(PLACE.origin)):
        hostile.flags = PRESENT if hostile.origin == PLACE.origin else hostile.flags
        with pytest.raises(WrongPasskey):
            await add(database, keys, person.account, adding, hostile)
    with pytest.raises(WrongPasskey):
        async with database.write() as connection:
            await keys.add(connection, person.account, "hai", answer, adding)
    with pytest.raises(Conflict):
        await add(database, keys, other.account, adding, device)
    for _ in range(MOST_EACH - 1):
        await add(database, keys, person.account, adding, SoftKey(PLACE.origin))
    with pytest.raises(Conflict):
        await add(database, keys, person.account, adding, SoftKey(PLACE.origin))


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8), lambda inner: st.lists(inner, max_size=3))
FIELDS = st.sampled_from(["id", "rawId", "type", "clientDataJSON", "authenticatorData", "signature", "userHandle", "attestationObject"])
READ_TO_ADD = {"id", "rawId", "type", "clientDataJSON", "attestationObject"}
READ_TO_USE = {"id", "rawId", "type", "clientDataJSON", "authenticatorData", "signature"}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(field=FIELDS, value=JSON | st.binary(max_size=40).map(to_text), adds=st.booleans())
async def test_broken_answers_are_refusals_never_faults(
    database: Database, adding: Ceremony, signing: Ceremony, field: str, value: object, adds: bool
) -> None:
    """Whatever stands in one field of an answer with a good challenge, it is refused; it is taken only when nobody reads it."""
    keys, device = Passkeys(), SoftKey(PLACE.origin)
    async with database.write() as connection:
        await connection.execute(passkeys.delete())
        account = (await connection.execute(select(accounts.c.id).limit(1))).scalar_one_or_none()
    if account is None:
        account = (await make_person(database, adding.now)).account
    if not adds:
        await add(database, keys, AccountId(account), adding, device)
    options = keys.options_to_add(adding, AccountId(account), "me", []) if adds else keys.options_to_use(signing, [])
    answer = json.loads(device.add(options) if adds else device.use(options))
    (answer if field in answer else answer["response"])[field] = value
    try:
        if adds:
            async with database.write() as connection:
                await keys.add(connection, AccountId(account), "x", json.dumps(answer), adding)
        else:
            await use(database, keys, json.dumps(answer), signing)
    except WrongPasskey:
        return
    assert field not in (READ_TO_ADD if adds else READ_TO_USE), "taken with a field that is not what the device made"


def test_challenges_remember_only_what_was_answered(signing: Ceremony) -> None:
    """Making many keeps nothing; answered ones are forgotten when they would be too old."""
    challenges = Challenges()
    made = [challenges.make(signing) for _ in range(100)]
    assert len(set(made)) == 100 and not challenges._used
    challenges.close(made[0], signing.monotonic)
    assert [challenges.is_open(one, signing) for one in made[:2]] == [False, True]
    challenges.close(made[1], signing.monotonic + LIVES_SECONDS + 1)
    assert list(challenges._used) == [made[1]]
    for broken in (b"", made[2][:-1], made[2] + b"x", bytes(56)):
        assert not challenges.is_open(broken, signing)


@pytest.mark.parametrize(
    ("scheme", "host", "place"),
    [
        ("https", "lachan.truong.example", Place("lachan.truong.example", "https://lachan.truong.example")),
        ("https", "Lachan.Truong.example:8443", Place("lachan.truong.example", "https://lachan.truong.example:8443")),
        ("http", "localhost:8080", Place("localhost", "http://localhost:8080")),
        ("http", "lachan.truong.example", None),
        ("https", "192.168.1.2:8443", None),
        ("https", "[2001:db8::1]:8443", None),
        ("https", "[2001:db8::1]", None),
        ("https", "", None),
        ("https", "lachan.truong.example.", None),
    ],
)
def test_passkeys_need_a_name_over_tls(scheme: str, host: str, place: Place | None) -> None:
    """At a bare address, or without TLS anywhere but on this machine, browsers offer none."""
    assert place_of(scheme, host) == place
