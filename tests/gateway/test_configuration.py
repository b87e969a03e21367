"""Reading the configuration file: the contract of the keys, every mistake at once, nothing half applied."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.configuration import check_gateway, load
from gateway.errors import SettingsError
from gateway.settings import Endpoint, GatewaySettings
from gateway.wire.name import key_from_text
from gateway.yamlfile import Document, parse

FULL = """
state_dir: ./var
dns:
  listen: ["127.0.0.1:5300", "[::1]:5300"]
  workers: 2
  allow_from: [127.0.0.0/8, "::1/128"]
upstreams:
  servers: ["udp://192.0.2.1", "tcp://192.0.2.2:5353"]
  strategy: parallel
  routes: {"lan.example": ["udp://192.168.1.1:53"]}
cache: {entries: 500, serve_stale: false, stale_max: 3600}
block: {mode: zero, ttl: 10, page_address: ["127.0.0.1"]}
rate_limit: {per_client: 0, exempt: [10.0.0.0/8]}
rebinding: {allow: [nas.example]}
records: [{name: may-in.home.arpa, type: a, data: 192.168.1.20}]
profiles: [{id: lop-3a, band: TH}]
clients: [{id: class-3a, profile: lop-3a, match: [10.1.0.0/16]}]
default_profile: lop-3a
lists: [{id: ads, category: ads, path: ads.txt}]
metrics: {listen: "127.0.0.1:9153"}
"""


@dataclass(frozen=True)
class Words:
    """A catalogue of one category and one service."""

    codes: frozenset[str] = frozenset({"game"})
    service_ids: frozenset[str] = frozenset({"youtube"})

    def is_delegable(self, code: str) -> bool:
        """Every category here may be switched."""
        return True


def resolve(text: str, path: Path | None = None) -> GatewaySettings:
    """Settings of a text that must be sound."""
    settings, mistakes = check_gateway(parse(text, path))
    assert settings is not None, mistakes
    return settings


def messages(text: str, words: Words | None = None) -> list[str]:
    """Every mistake of a text, as a person reads it."""
    settings, mistakes = check_gateway(parse(text), words)
    assert settings is None
    return [str(mistake) for mistake in mistakes]


def test_every_key_of_the_contract_arrives(tmp_path: Path) -> None:
    """What is written is what the gateway is told; relative paths start at the file."""
    path = tmp_path / "lachan.yaml"
    path.write_text(FULL)
    settings = load(path)
    assert tmp_path / "var" == settings.state_dir
    assert (Endpoint("127.0.0.1", 5300), Endpoint("::1", 5300)) == settings.dns.listen
    assert settings.dns.workers == 2
    assert [str(server) for server in settings.upstreams.servers] == ["udp://192.0.2.1:53", "tcp://192.0.2.2:5353"]
    assert (settings.upstreams.strategy, settings.upstreams.origin) == ("parallel", "file")
    assert [key_from_text("lan.example")] == list(settings.upstreams.routes)
    assert (settings.cache.entries, settings.cache.serve_stale, settings.cache.stale_max) == (500, False, 3600)
    assert (settings.block.mode, settings.block.ttl, settings.block.page_address) == ("zero", 10, ("127.0.0.1",))
    assert settings.rate_limit.per_client == 0
    assert (key_from_text("nas.example"),) == settings.rebinding_allow
    assert (settings.records[0].name, settings.records[0].type, settings.records[0].data) == ("may-in.home.arpa", "A", "192.168.1.20")
    assert Endpoint("127.0.0.1", 9153) == settings.metrics
    assert settings.policy["default_profile"] == "lop-3a"
    assert path == settings.source
    assert list(settings.other_sections) == ["lists"]


def test_empty_file_is_a_mistake() -> None:
    """As an editor leaves it on a full disk; `{}` asks for the defaults."""
    for text in ("", "\n", "# words\n", "---\n", "~\n"):
        assert messages(text) == ["text: this file is empty (write it again, or {} for the defaults)"]


def test_file_without_sections_has_sensible_defaults() -> None:
    """Nothing written still answers this machine and private networks, and nobody else."""
    settings = resolve("{}")
    assert (Endpoint("127.0.0.1", 5300), Endpoint("::1", 5300)) == settings.dns.listen
    assert settings.dns.workers >= 1
    assert "0.0.0.0/0" not in map(str, settings.dns.allow_from)
    assert settings.dns.link and not resolve("dns: {allow_from: [10.0.0.0/8]}").dns.link
    assert settings.upstreams.servers and settings.upstreams.origin in ("system", "fallback")
    assert None is settings.metrics


def test_every_mistake_of_every_section_is_reported_in_the_order_of_the_file() -> None:
    """One look is enough to mend a file."""
    text = """
dns: {wrkers: 2}
upstream: {}
cache: {entries: lots}
profiles: [{id: a, band: XX}]
block: {mode: page}
"""
    assert messages(text) == [
        "text:2: dns.wrkers: unknown key 'wrkers' (did you mean workers?)",
        "text:3: upstream: unknown key 'upstream' (did you mean upstreams?)",
        "text:4: cache.entries: must be a whole number",
        "text:5: profiles[0].band: must be MN, TH, CS, PT, NL or KH, not 'XX'",
        "text:6: block.page_address: is needed by mode page",
    ]


def test_a_mistake_in_one_row_hides_no_other_mistake() -> None:
    """A mistaken band, schedule or match leaves the rest of the people in the file to be checked, and makes up no mistake of its own."""
    text = """
profiles:
  - {id: a, band: THX, categories: {gaem: allow}, allow: ["/(?=x)/"]}
  - {id: b, band: CS, schedule: soon, deny: ["bad..name"]}
  - {id: b, band: PT}
clients:
  - {id: c, profile: nobody, match: 10.0.0.1}
default_profile: b
"""
    found = messages(text, Words())
    expected = ("profiles[0].band", "profiles[0].categories.gaem", "profiles[0].allow[0]", "profiles[1].schedule", "profiles[1].deny[0]")
    assert sorted(one for one in found if not any(place in one for place in (*expected, "profiles[2].id", "clients[0].profile"))) == [
        one for one in found if "clients[0].match" in one
    ], found
    assert all(any(place in one for one in found) for place in (*expected, "profiles[2].id", "clients[0].profile", "clients[0].match")), (
        found
    )


def test_a_section_that_cannot_be_read_hides_no_mistake_of_another() -> None:
    """Rules that are a number, a default profile that is a list: what profiles and clients say is judged all the same. Without profiles
    that can be read, nobody is told that they are missing."""
    text = """
rules: 5
default_profile: [a]
profiles: [{id: be, band: TH, deny: ["a..b"]}]
clients: [{id: may, profile: khac, match: ["10.0.0.300"]}]
"""
    said = "\n".join(messages(text, Words()))
    for part in ("rules", "default_profile", "profiles[0].deny[0]", "clients[0].match"):
        assert part in said, said
    alone = "\n".join(messages("profiles: 5\nclients: [{id: may, profile: be, match: ['10.0.0.3']}]\n", Words()))
    assert "profiles" in alone and "no profile" not in alone


def test_quic_without_its_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """The data plane runs without aioquic; who wants DoQ is told how to get it."""
    monkeypatch.setattr("gateway.configuration.find_spec", lambda name: None)
    found = messages('doq: {listen: ["127.0.0.1:8853"]}')
    assert any("doq needs the extra package aioquic (install it with: pip install 'lachan[doq]')" in line for line in found)


def test_path_of_an_upstream_stands_in_no_mistake_about_a_sound_one() -> None:
    """It may be the key of an account, and mistakes go into the log and the status when the last good settings stand in."""
    nobody = messages('upstreams: {servers: ["https://doh.example/abc123"]}')
    ourselves = messages('dns: {listen: ["127.0.0.1:443"]}\nupstreams: {servers: ["https://doh.example/abc123@127.0.0.1"]}')
    assert "nobody can be asked for the address of doh.example (write it behind an @, such as https://doh.example:443/…@192" in nobody[0]
    assert "https://doh.example:443 is this gateway's own address" in ourselves[0]
    assert "abc123" not in "".join([*nobody, *ourselves])


def test_own_address_as_upstream_is_refused() -> None:
    """A gateway that asks itself would never answer."""
    found = messages('dns: {listen: ["127.0.0.1:5300"]}\nupstreams: {servers: ["udp://127.0.0.1:5300"]}')
    remedy = "it would ask itself for ever: name your router's or provider's server, or another resolver"
    assert found == [f"text:2: upstreams.servers[0]: udp://127.0.0.1:5300 is this gateway's own address ({remedy})"]


def test_policy_mistakes_have_the_path_of_the_file() -> None:
    """What the policy package finds is told by line, as everything else."""
    found = messages("profiles:\n  - {id: a, band: TH}\nclients:\n  - {id: c, profile: b, match: [10.0.0.0/8]}\n")
    assert found == ["text:4: clients[0].profile: there is no profile b"]


def test_words_of_the_catalogue_are_checked_when_given() -> None:
    """A misspelt category or service is found before the gateway runs."""
    found = messages("profiles: [{id: a, band: TH, categories: {gmae: block}, services: {yotube: block}}]", Words())
    assert len(found) == 2
    assert "game" in found[0] and "youtube" in found[1]


def test_file_that_is_a_list_is_one_mistake() -> None:
    """A file must hold sections."""
    assert messages("- a") == ["text:1: the file must hold sections (key: value), not a list or a single value"]


def test_settings_error_carries_every_mistake(tmp_path: Path) -> None:
    """`load` raises once, with all of them."""
    path = tmp_path / "lachan.yaml"
    path.write_text("a: 1\nb: 2\n")
    with pytest.raises(SettingsError) as caught:
        load(path)
    assert len(caught.value.mistakes) == 2


def test_document_without_a_file_starts_at_the_working_directory() -> None:
    """Settings made in memory have no source."""
    settings, _ = check_gateway(Document(None, {}))
    assert settings is not None
    assert Path.cwd() / "var" == settings.state_dir
    assert None is settings.source


def test_encrypted_listener_without_a_certificate_is_refused() -> None:
    """With the section to add."""
    found = messages('doq: {listen: ["127.0.0.1:8853"]}')
    assert "text:1: doq: doq needs a certificate" in found[0]


def test_front_ends_are_read_as_networks() -> None:
    """Addresses and networks whose PROXY header is believed."""
    settings = resolve("proxy_protocol: {from: [127.0.0.1/32, 10.0.0.0/24]}")
    assert settings.proxy_protocol is not None
    assert [str(network) for network in settings.proxy_protocol.sources] == ["127.0.0.1/32", "10.0.0.0/24"]
