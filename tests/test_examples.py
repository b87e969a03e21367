"""What people copy works: every example configuration, every block of the READMEs, every key of the reference."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.yamlfile import read
from lachan.configuration import load
from lachan.reference import keys

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted(path for path in (ROOT / "deploy").glob("example.*.yaml") if "orders" not in path.name)
PAGES = [ROOT / "README.md", *sorted((ROOT / "deploy").glob("*.md"))]


def test_there_is_an_example_for_each_kind_of_place() -> None:
    """A home, a school and a province."""
    assert {"example.home.yaml", "example.school.yaml", "example.province.yaml"} <= {path.name for path in EXAMPLES}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_example_passes_the_check(path: Path) -> None:
    """An example has no mistake and says nothing a person cannot copy."""
    configuration = load(path)
    assert configuration.gateway.policy["profiles"]
    assert configuration.gateway.policy["default_profile"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_example_explains_itself_in_both_languages(path: Path) -> None:
    """The first lines say what it is, in Vietnamese and English."""
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# ") and " / " in first


def test_every_key_that_works_appears_in_an_example() -> None:
    """Nobody has to guess how a key looks in a file."""
    shown: set[str] = set()
    for path in EXAMPLES:
        shown |= set(_paths(read(path).value))
    later = ("tls", "dot", "doh", "doq", "rpz", "takedown.follow", "block_page", "admin.tls", "admin.database_file")
    # … or they need a file of one's own
    alternatives = {"lists[].path", "profiles[].overrides", "sites[].listen"}  # shown in the reference only
    rare = re.compile(r"(?:rules|sites\[\]\.rules)\.|\.overrides\[\]\.|\.time_zone$|^lists\[\]\.allow_rewrites$|page_address$")
    missing = [
        key.path
        for key in keys()
        if not key.path.startswith(later) and key.path not in shown and key.path not in alternatives and not rare.search(key.path)
    ]
    assert missing == []


def _paths(value: object, prefix: str = "") -> list[str]:
    """Every key path of a parsed file, with `[]` for lists."""
    if isinstance(value, list):
        return [path for item in value for path in _paths(item, f"{prefix}[]" if prefix else "")]
    if not isinstance(value, dict):
        return []
    found = []
    for name, inner in value.items():
        path = f"{prefix}.{name}" if prefix else name
        found += [path, *_paths(inner, path)]
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_configuration_blocks_of_the_pages_are_sound(page: Path, tmp_path: Path) -> None:
    """A YAML block that begins with a section of the file is a configuration that passes the check."""
    known = {key.path for key in keys() if "." not in key.path}
    for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)):
        first = next((line for line in block.splitlines() if line and not line.startswith("#")), "")
        if first.partition(":")[0] in known:
            path = tmp_path / f"{page.stem}-{number}.yaml"
            path.write_text(block, encoding="utf-8")
            assert load(path).path == path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_named_by_the_pages_exist(page: Path) -> None:
    """A link within the repository leads somewhere."""
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
