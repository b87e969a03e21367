"""What no list may close, tried by lists of a person on the real program: answers, and what is told of the refusals."""

from __future__ import annotations

from pathlib import Path

from tests.support.client import answers
from tests.support.gateway import Gateway, RunningUpstream
from tests.test_list_rewrites import lachan

REAL, CLOSED = "192.0.2.10", "0.0.0.0"
LOCKED = ("facebook.com", "www.facebook.com", "tongdai111.vn", "github.io", "vietcombank.com.vn", "time.google.com", "dns.ours.example")
"""What a list of a locked category (tier H) names beside a name that it may."""
SETTINGS = """
state_dir: var
dns: {listen: ["127.0.0.1:0"], workers: 1}
upstreams: {servers: ["udp://127.0.0.1:{upstream}"], timeout: 0.3s, routes: {"far.example": ["tls://dns.ours.example"]}}
metrics: {listen: "127.0.0.1:{metrics}"}
lists:
  - {id: locked, category: porn, path: locked.txt}
  - {id: delegable, category: game, path: delegable.txt}
  - {id: own, action: block, path: own.txt}
profiles:
  - {id: open, band: TH, categories: {social: allow, game: allow}}
  - {id: closed, band: TH, categories: {social: allow, game: block}}
clients:
  - {id: one, profile: open, match: [127.0.0.1]}
  - {id: two, profile: closed, match: [127.0.0.2]}
default_profile: open
"""


def test_lists_close_nothing_that_is_protected_and_every_refusal_is_told(tmp_path: Path) -> None:
    """Suffixes, help, infrastructure, our own upstream; platforms and banks for a locked category; a delegable one may name a platform."""
    (tmp_path / "locked.txt").write_text("\n".join(["bad.example", *LOCKED]) + "\n")
    (tmp_path / "delegable.txt").write_text("facebook.com\ntongdai111.vn\n")
    (tmp_path / "own.txt").write_text("ours.example\ncom.vn\n")
    asked = [*LOCKED, "bad.example", "shop.com.vn", "page.github.io", "ours.example", "www.ours.example"]
    records = {(name, "A"): [REAL] for name in asked}
    with RunningUpstream(records) as upstream, Gateway(tmp_path, SETTINGS, upstream=upstream.port) as gateway:
        found = {name: answers(gateway.ask(name)) for name in asked}
        closed = {"bad.example", "ours.example", "www.ours.example"}
        assert found == {name: [CLOSED if name in closed else REAL] for name in asked}
        assert answers(gateway.ask("www.facebook.com", source="127.0.0.2")) == [CLOSED]
        assert answers(gateway.ask("tongdai111.vn", source="127.0.0.2")) == [REAL]
        shown = lachan(gateway.path, "lists", "show", COLUMNS="250").splitlines()
        told = {name: next(line for line in shown if line.startswith(f"│ {name} ")) for name in ("locked", "delegable", "own")}
        for reason in ("shared_platform 2", "help_name 1", "infrastructure 1", "own_name 1", "protected 1"):
            assert reason in told["locked"]
        assert "help_name 1" in told["delegable"] and "shared_platform" not in told["delegable"]
        assert "public_suffix 1" in told["own"]
