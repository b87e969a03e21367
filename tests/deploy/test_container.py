"""The container file, read as an auditor would."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from lachan.configuration import load

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
LINES = (DEPLOY / "container" / "Containerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()


def instructions(word: str) -> list[str]:
    return [line.split(maxsplit=1)[1] for line in LINES if line.startswith(word + " ")]


def test_container_is_not_root_and_needs_no_right() -> None:
    """A numeric user, ports above 1023, nothing fetched by ADD, one volume for the state."""
    assert instructions("USER") == ["65053:65053"]
    assert instructions("ADD") == []
    assert instructions("VOLUME") == ["/var/lib/lachan"]
    ports = {int(port) for text in instructions("EXPOSE") for port in re.findall(r"(\d+)/", text)}
    assert min(ports) > 1023
    assert "readyz" in instructions("HEALTHCHECK")[0]


def test_container_copies_what_exists() -> None:
    """Every COPY names something of this tree."""
    for text in instructions("COPY"):
        if text.startswith("--from"):
            continue
        *sources, _ = text.split()
        assert all((DEPLOY.parent / source).exists() for source in sources), text


def test_configuration_in_the_container_is_valid_and_fits_its_ports() -> None:
    """`check` accepts it; it listens where the file exposes."""
    configuration = load(DEPLOY / "container" / "lachan.yaml", require_files=False)
    assert {endpoint.port for endpoint in configuration.gateway.dns.listen} == {5300}
    assert configuration.gateway.metrics is not None
    assert configuration.gateway.metrics.port == 9153
    assert configuration.admin is not None
    assert str(configuration.admin.listen) == "0.0.0.0:8080", "an address of the container's own is reached by nobody outside"
    assert configuration.admin.url == "http://127.0.0.1:8080", "where the host shows it"


def test_compose_keeps_the_container_closed() -> None:
    """Read-only, no capability, no new rights, pages and metrics on the host's loopback only."""
    service = yaml.safe_load((DEPLOY / "container" / "compose.yaml").read_text(encoding="utf-8"))["services"]["lachan"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert [port for port in service["ports"] if not port.startswith("53:")] == ["127.0.0.1:8080:8080", "127.0.0.1:9153:9153"]
