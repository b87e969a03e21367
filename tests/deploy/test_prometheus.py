"""Scrape configuration, alerts and runbooks."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.metrics import METRICS

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "alerts.yml"
RUNBOOK = DEPLOY / "runbooks" / "README.md"
WANTED = {  # what an operator must hear of, and the alert that says it
    "generations differ": "LachanGenerationsDiffer",
    "generation old": "LachanGenerationOld",
    "list stale": "LachanListStale",
    "blocked share falls to zero": "LachanBlockedShareZero",
    "unknown clients": "LachanUnknownClients",
    "upstream blocks": "LachanUpstreamBlocks",
    "upstreams down": "LachanUpstreamsDown",
    "worker restarts": "LachanWorkerRestarts",
    "disk": "LachanDiskFull",
    "a certificate that ends": "LachanCertificateEnds",
    "a renewed certificate that is not taken": "LachanCertificateRefused",
    "a network that two claim": "LachanDisputedClaims",
    "clock": "LachanClock",
    "a test clock in earnest": "LachanTestClock",
}
EXPORTED = re.compile(r"lachan_[a-z0-9_]+")


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def exported_names() -> set[str]:
    names: set[str] = set()
    for metric in METRICS.values():
        if metric.kind == "counter":
            names.add(f"{metric.name}_total")
        elif metric.kind == "gauge":
            names.add(metric.name)
        else:
            names |= {f"{metric.name}{suffix}" for suffix in ("_bucket", "_sum", "_count")}
    return names


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed")
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, cwd=DEPLOY / "prometheus", check=False)


@pytest.mark.full
def test_promtool_accepts_configuration_and_rules() -> None:
    """Both files are valid for the real Prometheus."""
    done = promtool("check", "config", "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", "alerts.yml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.full
def test_every_alert_fires_when_it_should_and_keeps_quiet_when_not() -> None:
    """promtool runs each alert over numbers that mean trouble and numbers that do not."""
    done = promtool("test", "rules", "alerts.test.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    tests = yaml.safe_load((DEPLOY / "prometheus" / "alerts.test.yml").read_text(encoding="utf-8"))["tests"]
    named = {test["name"] for test in tests}
    assert named == {f"{rule['alert']} {what}" for rule in rules() for what in ("fires", "keeps quiet")}


def test_alerts_speak_of_metrics_that_exist() -> None:
    """A renamed metric would silence an alert for ever."""
    for rule in rules():
        names = set(EXPORTED.findall(rule["expr"]))
        assert names <= exported_names(), rule["alert"]
        assert names or "up{" in rule["expr"]


@pytest.mark.parametrize("alert", WANTED.values())
def test_every_trouble_an_operator_must_hear_of_has_its_alert(alert: str) -> None:
    """The list of the design."""
    assert alert in {rule["alert"] for rule in rules()}


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_alert_has_both_languages_and_a_runbook_entry(rule: dict[str, Any]) -> None:
    """Summary in Vietnamese and English; an entry that says what it means, what children lose and the first command, in both."""
    notes = rule["annotations"]
    assert notes["summary"] and notes["tom_tat"]
    assert rule["labels"]["severity"] in ("page", "warn")
    assert notes["runbook"] == f"deploy/runbooks/README.md#{rule['alert'].lower()}"
    text = RUNBOOK.read_text(encoding="utf-8")
    entry = re.search(rf"^## {rule['alert']}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert entry, "no entry"
    for heading in ("**Nghĩa là.**", "**Trẻ em mất gì.**", "**Lệnh đầu tiên", "**It means.**", "**What children lose.**", "**Then.**"):
        assert heading in entry[1]
    assert re.search(r"```\n\S.*\n```", entry[1]), "no command"


def test_name_that_people_give_a_gateway_stands_in_its_alerts() -> None:
    """The example names a school by a label; no alert about one gateway loses it, and each sentence says it."""
    text = (RULES.parent / "prometheus.yml").read_text(encoding="utf-8").replace("      # - targets", "      - targets")
    jobs = yaml.safe_load(text.replace("      #   labels", "        labels"))["scrape_configs"]
    (given,) = [set(each["labels"]) for job in jobs for each in job["static_configs"] if "labels" in each]
    for rule in rules():
        for kept in re.findall(r"by \(([^)]*)\)", rule["expr"]):
            assert kept == "job" or given <= set(kept.split(", ")), rule["alert"]
        assert "$labels" not in rule["annotations"]["tom_tat"] or any(f"$labels.{one}" in rule["annotations"]["tom_tat"] for one in given)
    entry = RUNBOOK.read_text(encoding="utf-8").partition("## LachanGatewayDown\n")[2].partition("\n## ")[0]
    assert all(entry.count(f"labels: {{{one}: ") == 2 for one in given), "in both languages"
    for word in ("metrics.listen", "systemctl restart lachan", "nft 'add rule"):
        assert word in entry


def test_runbook_has_no_entry_without_alert() -> None:
    """What nobody can be sent to is not kept."""
    headings = set(re.findall(r"^## (\w+)$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE))
    assert headings == {rule["alert"] for rule in rules()}


def test_commands_of_the_runbook_exist() -> None:
    """Every `lachan` command named there is a command of the program."""
    from typer.main import get_command

    from lachan.__main__ import app

    used = set(re.findall(r"(?:^|`)lachan ([a-z-]+)", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE))
    assert used
    assert used <= set(get_command(app).commands)  # type: ignore[attr-defined]
