"""Reading the file of a family or school: mistakes with their places, hostile files."""

from __future__ import annotations

import pytest

from admin.dependencies import Services
from admin.tenantreading import MOST_BYTES, read_tenant
from gateway.errors import SettingsError

MISTAKES = """
format: 1
kind: family
sites: [{name: Nhà, networks: [nowhere]}]
choices: {cooling_minutes: 7, mail: not a mail}
dates: [{kind: exam, from: 2026-12-25, to: 2026-12-21}]
profiles:
- id: a
  kind: child
  label: Bi
  band: TH
  hours: [{days: every, from: "07:00", to: "07:00", effect: rest}]
  categories: {porn: allow, nothing: block}
- {id: a, kind: class, label: 3A, band: NL, allow: [co.uk], deny: [tongdai111.vn, "x y"]}
- kind: child
  label: Út
  band: CS
  site: elsewhere
  devices:
  - {label: x, match: [zzz]}
  - {label: y}
  - {label: z, phone: abc, match: [192.168.1.4]}
  - {label: w, match: [192.168.1.4]}
"""


def test_every_mistake_is_named_with_its_path(services: Services) -> None:
    """All at once, each with line and path."""
    with pytest.raises(SettingsError) as raised:
        read_tenant(MISTAKES.encode(), services.shelves.current())
    found = {mistake.path.partition(": ")[2]: mistake.message for mistake in raised.value.mistakes}
    assert set(found) == {
        "profiles",
        "sites[0].networks[0]",
        "choices.cooling_minutes",
        "choices.mail",
        "dates[0].to",
        "profiles[0].hours[0].to",
        "profiles[0].categories.porn",
        "profiles[0].categories.nothing",
        "profiles[1].id",
        "profiles[1].kind",
        "profiles[1].band",
        "profiles[1].allow[0]",
        "profiles[1].deny[0]",
        "profiles[1].deny[1]",
        "profiles[2].site",
        "profiles[2].devices[0].match[0]",
        "profiles[2].devices[1].match",
        "profiles[2].devices[2].phone",
        "profiles[2].devices[3].match",
    }
    assert "guest" in found["profiles"] and "locked" in found["profiles[0].categories.porn"]
    assert all(mistake.path.startswith("text:") for mistake in raised.value.mistakes)


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (BOMB.encode(), "not allowed"),
        (b"x" * (MOST_BYTES + 1), "larger than"),
        (b"[" * 100_000, "nest"),
        (b"format: 1\nkind: \xff", "not UTF-8"),
        (b"!!python/object/apply:os.system [id]", "tag"),
        (b"", "must be a section"),
        (b"format: 2\nkind: family\nsites: []\nprofiles: []\n", "must be 1"),
        (b"format: 1\nkind: family\nsites: []\nprofiles: []\npassword: x\n", "unknown key"),
    ],
)
def test_hostile_files_are_refused(services: Services, data: bytes, words: str) -> None:
    """Bombs, other objects, other formats: one sentence, no memory, no time."""
    with pytest.raises(SettingsError, match=words):
        read_tenant(data, services.shelves.current())
