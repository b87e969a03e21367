"""A family moves from one machine to another by command."""

from __future__ import annotations

from pathlib import Path

import yaml
from typer.testing import CliRunner

from lachan.__main__ import app
from tests.lachan.test_people import settings

RUNNER = CliRunner()
FILE = """
format: 1
kind: family
name: Nhà mình
sites: [{name: Nhà, networks: [192.168.1.0/24]}]
profiles:
- {kind: child, label: Bi, band: TH, devices: [{label: Máy Bi, match: [192.168.1.31]}, {label: Điện thoại, phone: new}]}
- {kind: adult, label: Người lớn, band: NL}
- {kind: guest, label: Khách, band: KH}
"""


def test_family_moves_by_file(tmp_path: Path) -> None:
    """Made from a file, listed, written, changed after a dry run; mistakes are named with file, line and path in both languages."""
    config, path = settings(tmp_path), tmp_path / "family.yaml"
    path.write_text(FILE, encoding="utf-8")
    assert "None yet: open the set-up link." in RUNNER.invoke(app, ["tenant", "list", *config]).output
    made = RUNNER.invoke(app, ["tenant", "import", str(path), "--new", "mẹ", *config], input="mùa thu lá bay\nmùa thu lá bay\n")
    assert made.exit_code == 0, made.output
    assert "family  Nhà mình" in RUNNER.invoke(app, ["tenant", "list", *config]).output
    out = tmp_path / "out.yaml"
    assert RUNNER.invoke(app, ["tenant", "export", str(out), *config]).exit_code == 0
    assert out.stat().st_mode & 0o777 == 0o600
    document = yaml.safe_load(out.read_text(encoding="utf-8"))
    assert [profile["label"] for profile in document["profiles"]] == ["Bi", "Người lớn", "Khách"]
    assert "phone: new" in out.read_text(encoding="utf-8")
    again = RUNNER.invoke(app, ["tenant", "export", str(out), *config])
    assert again.exit_code == 1 and "File exists" in str(again.exception)

    document["profiles"][0]["deny"] = ["bad.example"]
    out.write_text(yaml.safe_dump(document), encoding="utf-8")
    for _ in range(2):  # a dry run changes nothing, so the second says the same
        dry = RUNNER.invoke(app, ["tenant", "import", str(out), "--dry-run", *config])
        assert "Bi: đổi tên trang (1). / Bi: sites by name change (1)." in dry.output
    done = RUNNER.invoke(app, ["tenant", "import", str(out), "--yes", *config])
    assert "Đã lưu; có hiệu lực khi cổng lọc chạy." in done.output
    assert "Không có gì đổi." in RUNNER.invoke(app, ["tenant", "import", str(out), *config]).output

    out.write_text(out.read_text(encoding="utf-8").replace("bad.example", "tongdai111.vn"), encoding="utf-8")
    refused = RUNNER.invoke(app, ["tenant", "import", str(out), *config])
    assert refused.exit_code == 1
    assert "out.yaml:" in str(refused.exception) and "profiles[0].deny[0]: " in str(refused.exception)
    assert " / sites of help and services that keep devices safe stay open" in str(refused.exception)
