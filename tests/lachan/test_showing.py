"""`lachan config show`: every key of the contract, and a file again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lachan.checking import check
from lachan.configuration import Configuration, load
from lachan.reference import keys
from lachan.showing import effective, show
from tests.support.certificates import Authority

EVERYTHING = """\
state_dir: own
dns: {listen: ["127.0.0.1:5300", "[::1]:5300"], workers: 3, allow_from: [127.0.0.0/8], user: nobody, name: gate.example, identity: cong-1}
tls: {certificate: server-1.pem, key: server-1.key, name: dns.example}
dot: {listen: ["127.0.0.1:8853"]}
doh: {listen: ["127.0.0.1:8443"], path: /hoi}
doq: {listen: ["127.0.0.1:8853"]}
proxy_protocol: {from: [127.0.0.9/32]}
dhcp: {leases: [leases]}
upstreams:
  servers: ["udp://192.0.2.1", "tls://dns.example@192.0.2.2", "https://dns.example/dns-query@192.0.2.3"]
  strategy: ordered
  routes: {lan.example: ["tcp://192.168.1.1:5353"]}
  timeout: 2s
cache: {entries: 7, bytes: 2MiB, serve_stale: false, stale_max: 1h, client_ttl_max: 60}
block: {mode: page, ttl: 12, page_address: [192.168.1.2]}
rate_limit: {per_client: 10, burst: 20, exempt: [10.0.0.0/8]}
structured_errors: {option: 65300, contact: ["tel:0123456789"], organisation: Trường A, language: en}
rebinding: {allow: [nas.example]}
records: [{name: may-in.home.arpa, type: TXT, data: '"hai tầng"', ttl: 60}]
rules: &full
  categories: {game: block}
  services: {youtube: block}
  allow: [good.example]
  deny: ["*.bad.example"]
  schedule:
    - {name: giờ ngủ, days: [mon], dates: [{from: 2026-06-01, to: 2026-08-31}], from: "21:00", to: "06:00", time_zone: Asia/Tokyo,
       effect: offline}
  overrides:
    - {id: o, kind: open, from: "2026-09-05T16:00:00+07:00", until: "2026-09-05T17:00:00+07:00",
       names: [a.example], categories: [game], services: [youtube]}
sites: [{id: truong, class: school, bands: [TH, NL], time_zone: Asia/Tokyo, listen: [192.168.1.2], networks: [10.1.0.0/16],
         place: "12.03385", rules: *full}]
profiles:
  - {<<: *full, id: lop, band: TH, owner: school, site: truong, safe_search: false, youtube: "off", uncategorised: block, canaries: false,
     block: {mode: page, ttl: 3, page_address: [192.168.1.3]}, activity: aggregate}
clients: [{id: may, profile: lop, group: g, site: truong, match: [10.1.0.9, "mac:02:00:00:00:00:01"]}]
default_profile: lop
place: "12"
metrics: {listen: "127.0.0.1:9153"}
limits: {tcp_connections: 2, tcp_per_client: 1, tcp_idle: 3s, tcp_query: 4s, tcp_in_flight: 5, tcp_write_bytes: 64KiB, misses: 6,
         misses_per_client: 2, clients: 300, answer_table_bytes: 2MiB}
lists:
  - {id: a, category: game, path: list.txt, format: hosts, title: Trò chơi}
  - {id: b, action: block, level: school, url: "https://lists.example/x", refresh: 2h, allow_rewrites: true}
lists_fetch: {allow_private: true, max_bytes: 1MiB, max_records: 1000}
rpz:
  - {name: z.example, file: zone, policy: "cname:walled.example", groups: [g]}
  - name: in.example
    primary: {address: "192.0.2.53:5399", tsig: {name: isp, algorithm: hmac-sha384, secret_file: secret},
              tls: {name: ns1.example, authorities: server-1.pem}}
takedown: {file: orders.yaml}
admin:
  listen: "127.0.0.1:8080"
  database: sqlite+aiosqlite:///x.db
  url: https://lachan.example
  tls: {certificate: server-1.pem, key: server-1.key}
  mail: {server: "smtps://mail.example:465", sender: a@example.vn, user: a, password_file: secret}
  trusted_proxies: [127.0.0.1/32]
block_page: {listen: "127.0.0.1:8081"}
rpz_out:
  listen: "127.0.0.1:5399"
  zone: out.example
  place: "12"
  bands: [TH, CS]
  organisation: s1
  categories: [scam]
  zones: [{zone: more.example, bands: [MN, TH, CS, PT, NL, KH], place: "12.03385", organisation: s2, categories: [gamb, dist]}]
  keys: [{name: isp, algorithm: hmac-sha512, secret_file: secret, zones: [out.example]}]
  open_to: [127.0.0.0/8]
  secondaries: [{address: 192.0.2.53, port: 54, key: isp}]
  category_zones: [porn, gamb]
  passing_on: [a]
  tls: {listen: "127.0.0.1:5398", certificate: server-1.pem, key: server-1.key}
"""
INSTEAD = {
    "database: sqlite+aiosqlite:///x.db": "database_file: database",
    "name: ns1.example, authorities: server-1.pem": 'pin: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="',
    "{file: orders.yaml}": '{follow: {url: "https://office.example/", root: root.json, keys: list.txt}}',
}
"""The other way to say the same: both at once is a mistake."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every file the settings name."""
    folder = tmp_path_factory.mktemp("shown")
    Authority(folder).vouch("dns.example")
    files = {
        "list.txt": "game.example\n", "zone": "$TTL 60\n@ SOA . . 1 1 1 1 1\nbad.example CNAME .\n", "orders.yaml": "[]\n",
        "leases": "", "secret": "MDEyMzQ1Njc4OWFiY2RlZg==\n", "database": "postgresql+asyncpg://u:s3cr3t@db.example/a\n", "root.json": "{}",
    }  # fmt: skip
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def paths(value: Any, prefix: str = "") -> Iterator[str]:  # Any: parsed YAML
    """Every key that is set, as deploy/configuration.md writes it."""
    if isinstance(value, list):
        for inner in value:
            yield from paths(inner, f"{prefix}[]")
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield (path := f"{prefix}.{name}" if prefix else name)
            yield from paths(inner, path)


def meaning(configuration: Configuration) -> tuple[object, ...]:
    """What a configuration says, wherever it was read."""
    gateway = dataclasses.replace(configuration.gateway, source=None, other_sections={})
    admin = dataclasses.replace(configuration.admin, gateway=gateway) if configuration.admin else None
    return gateway, configuration.lists, admin


def written(folder: Path, changes: dict[str, str]) -> Path:
    """A configuration file without anchors, which only keep this test short."""
    text = EVERYTHING
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    path = folder / "lachan.yaml"
    path.write_text(yaml.safe_dump(without_anchors(yaml.safe_load(text)), allow_unicode=True), encoding="utf-8")
    return path


def without_anchors(value: Any) -> Any:  # Any: parsed YAML
    """The same with nothing shared, so that it is written without anchors; dates become text."""
    if isinstance(value, dict):
        return {name: without_anchors(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [without_anchors(inner) for inner in value]
    return value if isinstance(value, bool | int) else str(value)


def test_every_key_of_the_contract_is_set_here(folder: Path) -> None:
    """A key that is added must be added to this file, so that the tests below speak of it."""
    found = {path for changes in ({}, INSTEAD) for path in paths(yaml.safe_load(written(folder, changes).read_text(encoding="utf-8")))}
    assert {key.path for key in keys()} - found == set()


@pytest.mark.parametrize("changes", [{}, INSTEAD], ids=["one", "the other"])
def test_every_key_that_is_set_is_shown_and_reads_back(
    changes: dict[str, str], folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is printed names every key of the file, passes `check`, and means the same."""
    path = written(folder, changes)
    show(path)
    text = capsys.readouterr().out
    again = folder / "again.yaml"
    again.write_text(text, encoding="utf-8")
    assert set(paths(yaml.safe_load(path.read_text(encoding="utf-8")))) - set(paths(yaml.safe_load(text))) == set()
    if not changes:
        check(again)
    assert meaning(load(again)) == meaning(load(path))


@pytest.mark.parametrize("example", ["home", "school", "province"])
def test_examples_read_back(example: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What people copy, with its defaults filled in."""
    path = Path(__file__).parents[2] / "deploy" / f"example.{example}.yaml"
    first = load(path, require_files=False)
    again = tmp_path / "again.yaml"
    again.write_text(yaml.safe_dump(effective(first), allow_unicode=True, sort_keys=False), encoding="utf-8")
    assert meaning(load(again, require_files=False)) == meaning(first)


def test_who_chose_the_upstreams_is_said_and_defaults_read_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty file: the servers are those of the system, said in a comment, and every default is printed."""
    path = tmp_path / "lachan.yaml"
    path.write_text("profiles: [{id: a, band: TH}]\n")
    show(path)
    text = capsys.readouterr().out
    assert text.startswith("# upstreams.servers: máy chủ ")
    again = tmp_path / "again.yaml"
    again.write_text(text, encoding="utf-8")
    assert effective(load(again)) == effective(load(path))


def test_secrets_are_masked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither a token nor the password of a database is printed, and that they are not is said."""
    path = tmp_path / "lachan.yaml"
    path.write_text(
        """\
profiles: [{id: a, band: TH}]
clients: [{id: c, profile: a, match: ["token:k3j9"]}]
admin: {listen: "127.0.0.1:8080", database: "postgresql+asyncpg://u:s3cr3t@db.example/a"}
"""
    )
    show(path)
    text = capsys.readouterr().out
    assert "k3j9" not in text and "s3cr3t" not in text
    assert "token:***" in text and "u:***@db.example" in text and "secrets are not printed" in text


def test_secrets_of_files_are_not_printed(folder: Path) -> None:
    """The file is named, what it holds is not."""
    text = str(effective(load(written(folder, INSTEAD))))
    assert "s3cr3t" not in text and "0123456789abcdef" not in text and "MDEyMzQ1" not in text
