"""What is wrong with a file is said in the reader's language, whatever is wrong."""

from __future__ import annotations

import pytest

from admin.catalogue import read_shipped
from admin.pages.filefaults import PLAIN, WITH_VALUES, say
from admin.pages.render import Pages
from admin.tenantreading import MOST_BYTES, read_tenant
from gateway.errors import Mistake, SettingsError
from tests.admin.test_tenantreading import BOMB, MISTAKES

HEAD = "format: 1\nkind: family\nsites: [{name: Nhà}]\n"
LONG = "x" * 200
MANY = [{"kind": "guest", "label": "x", "band": "KH"}] * 401
FILES = (
    MISTAKES.encode(),
    BOMB.encode(),
    b"x" * (MOST_BYTES + 1),
    b"[" * 1000,
    b"[" * 100_000,
    b"format: 1\nkind: \xff",
    b"!!python/object/apply:os.system [id]",
    b"",
    b"- 1",
    b"a: 1\na: 2\n",
    b"a: 1\n---\nb: 2\n",
    b"? [1]\n: 2\n",
    b"<<: {a: 1}\n",
    b"a: 'open",
    b"format: 2\nkind: horse\nsites: []\nprofiles: []\npassword: x\n",
    f"{HEAD}profiles: [{{id: 'a b', kind: child, label: {LONG}, band: XX, safe_search: 5, hours: 3, categories: []}}]\n".encode(),
    f"{HEAD}profiles: [{{kind: child, label: '', band: TH, hours: [{{days: every, from: 7, to: '25:00', effect: nap}}]}}]\n".encode(),
    f"{HEAD}profiles: {MANY}\ndates: [{{kind: exam, from: hôm nay, to: 2026-01-01}}]\n".encode(),
    f"{HEAD}name: {LONG}\ndates: [{{kind: exam, label: {LONG}, from: 2026-01-01, to: 2027-12-01}}]\nprofiles: []\n".encode(),
    f"{HEAD}profiles: [{{kind: child, label: x, band: TH, allow: [a.example, a.example]}}, {{kind: guest, label: y, band: KH}}]\n".encode(),
)


def mistakes_of(data: bytes) -> list[Mistake]:
    """What the reader says about a file."""
    with pytest.raises(SettingsError) as raised:
        read_tenant(data, read_shipped())
    return list(raised.value.mistakes)


def test_no_sentence_about_a_file_stays_in_english(pages: Pages) -> None:
    """Every mistake of twenty broken files, and every remedy: other words in Vietnamese than in English, with the same values."""
    said = {text for data in FILES for mistake in mistakes_of(data) for text in (mistake.message, mistake.remedy) if text}
    assert len(said) > 40
    same = sorted(sentence for sentence in said if say(pages.words["vi"], sentence) == sentence)
    assert same == []
    assert all(say(pages.words["en"], sentence) == sentence for sentence in said)


def test_values_stay_as_they_were_written(pages: Pages) -> None:
    """A key, a number, a hostile brace: the value is put in, never read as a placeholder."""
    vietnamese = pages.words["vi"]
    assert say(vietnamese, "unknown key '{0.__class__}'") == "không có khóa '{0.__class__}'"
    assert say(vietnamese, "at most 2000 devices") == "nhiều nhất 2000 thiết bị"
    assert say(vietnamese, "") == ""
    assert say(vietnamese, "something new") == "something new"
    assert len({*PLAIN, *WITH_VALUES}) == len(PLAIN) + len(WITH_VALUES)
