"""Lists that lead names to addresses of their own, and lists compiled twice: the real program on files of a person."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.client import answers
from tests.support.gateway import ROOT, Gateway, RunningUpstream

REAL, FOREIGN = "192.0.2.10", "203.0.113.66"
NAMES = ("unasked", "asked", "named", "blocked")
SETTINGS = """
state_dir: var
dns: {listen: ["127.0.0.1:0"], workers: 1}
upstreams: {servers: ["udp://127.0.0.1:{upstream}"], timeout: 0.3s}
metrics: {listen: "127.0.0.1:{metrics}"}
lists:
  - {id: unasked, action: block, path: unasked.txt}
  - {id: asked, action: block, path: asked.txt, allow_rewrites: true}
  - {id: named, category: gamb, path: named.txt, allow_rewrites: true}
profiles:
  - {id: be, band: TH}
default_profile: be
"""


def test_list_leads_names_elsewhere_with_the_operators_yes_only(tmp_path: Path) -> None:
    """Without it such a line does nothing and is counted with its reason; of a category it only names what the matrix decides."""
    for name in ("unasked", "asked", "named"):
        (tmp_path / f"{name}.txt").write_text(f"{FOREIGN} {name}.example\n0.0.0.0 {name}-blocked.example\n")
    records = {(f"{name}.example", "A"): [REAL] for name in NAMES}
    with RunningUpstream(records) as upstream, Gateway(tmp_path, SETTINGS, upstream=upstream.port) as gateway:
        found = {name: answers(gateway.ask(f"{name}.example")) for name in ("unasked", "asked", "named")}
        assert found == {"unasked": [REAL], "asked": [FOREIGN], "named": ["0.0.0.0"]}
        assert answers(gateway.ask("unasked-blocked.example")) == ["0.0.0.0"]
        shown = lachan(gateway.path, "lists", "show", COLUMNS="250").splitlines()
        assert "foreign" in next(line for line in shown if "│ unasked " in line)
        assert "foreign" not in next(line for line in shown if "│ asked " in line)


def test_two_programs_compile_the_same_lists_to_the_same_bytes(tmp_path: Path) -> None:
    """With the starter lists and files of every kind, whatever order Python's hashes have in each program."""
    compiled = []
    for seed in ("1", "2"):
        folder = tmp_path / seed
        folder.mkdir()
        (folder / "unasked.txt").write_text("0.0.0.0 b.example\n0.0.0.0 a.example\n0.0.0.0 a.example\n")
        (folder / "asked.txt").write_text("||c.example^\n@@||x.c.example^\n||d.example^$important\n||e.example^$denyallow=f.e.example\n")
        (folder / "named.txt").write_text("name,category\nh.example,gamb\ni.example,social\nj.example,porn\n")
        (folder / "lachan.yaml").write_text(SETTINGS.replace("{upstream}", "53").replace("{metrics}", "9153"))
        lachan(folder / "lachan.yaml", "lists", "compile", PYTHONHASHSEED=seed)
        made = sorted(path for path in (folder / "var" / "index").rglob("*") if path.is_file())
        compiled.append({str(path.relative_to(folder)): path.read_bytes() for path in made})
    assert len(compiled[0]) >= 3 and compiled[0] == compiled[1]


def lachan(settings: Path, *words: str, **environment: str) -> str:
    """What the program says."""
    command = [sys.executable, "-m", "lachan", *words, "-c", str(settings)]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
