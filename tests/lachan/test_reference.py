"""The reference of the keys is complete and up to date."""

from __future__ import annotations

from pathlib import Path

from lachan.reference import keys, page

FILE = Path(__file__).resolve().parents[2] / "deploy" / "configuration.md"


def test_reference_in_the_repository_is_the_one_the_code_makes() -> None:
    """`make docs` was run after the last change of a key."""
    assert page() == FILE.read_text(encoding="utf-8")


def test_reference_names_every_key_of_the_contract() -> None:
    """No section is forgotten."""
    sections = {key.path.split(".")[0] for key in keys()}
    contract = "state_dir dns tls dot doh doq proxy_protocol upstreams cache block"
    assert set(contract.split()) <= sections
    assert {"lists", "takedown", "rpz", "profiles", "clients", "default_profile", "admin", "metrics"} <= sections
    assert {"sites", "records", "rebinding", "rate_limit", "lists_fetch", "limits", "block_page"} <= sections
