"""The local policy as written becomes a policy file that the policy package accepts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.policy.tenant import parse_policy_file
from gateway.release import canonical_bytes
from gateway.sections import check
from gateway.written import GatewayFile
from gateway.written_policy import policy_of
from gateway.yamlfile import parse

EVERYTHING = """
block: {mode: page, page_address: [192.168.1.2], ttl: 20}
rules: {deny: [bad.example], categories: {game: block}}
sites:
  - {id: truong-a, class: school, bands: [TH, NL], networks: [10.1.0.0/16], listen: [192.168.1.2], rules: {allow: [lesson.example]}}
profiles:
  - id: 007
    band: TH
    site: truong-a
    categories: {game: allow}
    services: {youtube: block}
    allow: [taphuan.example, =exact.example]
    deny: ["*.bad.example", "/^ads[0-9]+\\\\./"]
    safe_search: true
    youtube: off
    canaries: true
    uncategorised: block
    block: {mode: nxdomain}
    schedule:
      - name: giờ ngủ
        days: [mon, tue]
        dates: [{from: 2026-06-01, to: 2026-08-31}]
        from: 21:00
        to: 06:00
        effect: {block: [social, game]}
      - {name: thi, days: [wed], from: 08:00, to: "24:00", time_zone: Asia/Ho_Chi_Minh, effect: offline}
    overrides:
      - {id: thuong, kind: open, until: "2026-09-05T17:00:00+07:00", categories: [game]}
clients:
  - {id: lop, profile: 007, site: truong-a, group: school, match: [10.1.0.0/16, 02:00:00:00:00:01, "token:k3j9"]}
default_profile: 007
"""


def policy(text: str) -> dict[str, Any]:
    """The policy file of a configuration text."""
    document = parse(text)
    written, mistakes = check(GatewayFile, document.value, document)
    assert written is not None, mistakes
    return policy_of(written)


def test_everything_a_person_can_write_reaches_the_policy() -> None:
    """Ids stay text, `off` stays off, windows and overrides arrive."""
    found = policy(EVERYTHING.replace(", 02:00:00:00:00:01", ', "mac:02:00:00:00:00:01"'))
    parsed = parse_policy_file(found)
    profile = parsed.profiles["007"]
    assert profile.youtube == "off"
    assert profile.uncategorised == "block"
    assert parsed.default_profile == "007"
    assert profile.owner.value == "school"
    assert parsed.clients[0].macs == ("02:00:00:00:00:01",)
    assert parsed.block is not None and parsed.block.page_address == ("192.168.1.2",)
    assert [window["name"] for window in found["profiles"][0]["schedule"]] == ["giờ ngủ", "thi"]


def test_policy_file_is_canonical_json() -> None:
    """The same file gives the same bytes, and numbers written in YAML are plain numbers."""
    text = EVERYTHING.replace(", 02:00:00:00:00:01", "")
    assert canonical_bytes(policy(text)) == canonical_bytes(policy(text))
    assert json.loads(canonical_bytes(policy(text)))["block"]["ttl"] == 20


@pytest.mark.parametrize(("profile", "owner"), [("{id: a, band: TH}", "parent"), ("{id: a, band: TH, owner: province}", "province")])
def test_profile_belongs_to_the_parent_unless_it_says_otherwise(profile: str, owner: str) -> None:
    """At home a profile is the parent's."""
    assert owner == policy(f"profiles: [{profile}]")["profiles"][0]["owner"]


@pytest.mark.parametrize("effect", ["{blck: [game]}", "online", "{block: game}", "{block: [game], only: [edu]}", "[offline]"])
def test_effect_is_one_of_three(effect: str) -> None:
    """A misspelt effect is a mistake, never a window that does nothing."""
    document = parse(f"rules: {{schedule: [{{name: a, from: '21:00', to: '22:00', effect: {effect}}}]}}")
    _, mistakes = check(GatewayFile, document.value, document)
    assert [mistake.message for mistake in mistakes] == ["must be offline, {block: [categories]} or {only: [categories]}"]


@pytest.mark.parametrize(("written", "expected"), [("false", "off"), ("off", "off"), ("strict", "strict"), ("moderate", "moderate")])
def test_youtube_takes_false_for_off(written: str, expected: str) -> None:
    """A person may write false."""
    assert expected == policy(f"profiles: [{{id: a, band: TH, youtube: {written}}}]")["profiles"][0]["youtube"]
