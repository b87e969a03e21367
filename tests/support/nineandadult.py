"""A child of nine and an adult on one network: settings, lists and records of tests that start the whole program. For tests only."""

from __future__ import annotations

from pathlib import Path

CHILD, ADULT = "127.0.0.1", "127.0.0.2"
GOOGLE, RESTRICT = "216.239.38.120", "216.239.38.119"
RECORDS = {
    ("facebook.com", "A"): ["192.0.2.10"],
    ("open.example", "A"): ["192.0.2.20"],
    ("open.example", "AAAA"): ["2001:db8::20"],
    ("vn-cop.vn", "A"): ["192.0.2.30"],
    ("www.google.com", "A"): ["192.0.2.40"],
    ("forcesafesearch.google.com", "A"): [GOOGLE],
    ("restrict.youtube.com", "A"): [GOOGLE],
    ("www.youtube.com", "A"): ["192.0.2.50"],
    ("ordered.example", "A"): ["192.0.2.60"],
    ("game.example", "A"): ["192.0.2.70"],
    ("lesson.example", "A"): ["192.0.2.80"],
    ("bet.example", "A"): ["192.0.2.90"],
}
SETTINGS = """
state_dir: var
dns: {listen: ["127.0.0.1:0"], workers: 2}
upstreams: {servers: ["udp://127.0.0.1:{upstream}"], timeout: 0.3s}
cache: {client_ttl_max: 60}
metrics: {listen: "127.0.0.1:{metrics}"}
lists:
  - {id: games, category: game, path: games.txt}
  - {id: bets, category: gamb, path: bets.hosts.txt}
takedown: {file: orders.yaml}
profiles:
  - id: be-9-tuoi
    band: TH
    youtube: strict
    schedule:
      - {name: giờ ngủ, from: "21:00", to: "06:00", effect: offline}
      - {name: giờ học, days: [mon, tue, wed, thu, fri], from: "07:00", to: "11:30", effect: {block: [game, video, social]}}
  - {id: nguoi-lon, band: NL}
clients:
  - {id: may-be, profile: be-9-tuoi, match: [127.0.0.1]}
  - {id: may-me, profile: nguoi-lon, match: [127.0.0.2]}
default_profile: be-9-tuoi
"""
ORDERS = """
- number: 12/QĐ-STTTT
  issuer: Sở Thông tin và Truyền thông
  issued_on: 2020-01-02
  basis: ["Nghị định 147/2024/NĐ-CP"]
  scope: {bands: [MN, TH, CS, PT, NL, KH]}
  from: 2020-01-03T00:00+07:00
  no_end: true
  items: [{name: ordered.example}]
"""


def prepare(folder: Path) -> None:
    """Put the lists and the orders beside the configuration."""
    (folder / "games.txt").write_text("game.example\n")
    (folder / "bets.hosts.txt").write_text("0.0.0.0 bet.example\n")
    (folder / "orders.yaml").write_text(ORDERS, encoding="utf-8")
