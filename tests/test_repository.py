"""The repository keeps its own rules: sizes, names, docstrings, tests beside sources, imports, clocks, tasks."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("gateway", "blocklists", "admin", "lachan")
CEILING = 500
BANNED = {"util", "utils", "helper", "helpers", "common", "misc", "manager", "processor", "data", "info"}
FOREIGN = ("../shared", "/work/", "/tmp/team")
WALL_CLOCK = {("time", "time"), ("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today")}
EDGES = {
    "gateway/clock.py": "the clock itself",
    "gateway/logs.py": "the time of a log line",
    "admin/commands.py": "a command that a person gives now",
    "lachan/people.py": "when a backup is made, and what a restored one is judged by",
    "lachan/run.py": "the life of a certificate, which the test clock never moves",
    "lachan/checking.py": "the life of a certificate, which the test clock never moves",
    "lachan/certificate.py": "the life of a certificate, which the test clock never moves",
    "gateway/supervisor.py": "the start time of the process, serials that only grow",
    "gateway/vitals.py": "compares the wall clock with the monotonic one",
    "gateway/standing.py": "ages of lists and of the process as Prometheus counts them",
    "blocklists/xfr.py": "the time of a signature, which the other side compares with its own clock",
    "gateway/switch.py": "compares with the age of files, which the test clock does not move",
}
"""Modules that may look at the wall clock, and why. Everything else is given the time."""


def sources() -> list[Path]:
    """Every source file of the product."""
    files = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return [path for path in files if "migrations/versions" not in path.as_posix()]


def written_tests() -> list[Path]:
    """Every test file and everything that supports tests."""
    return sorted((ROOT / "tests").rglob("*.py"))


def named(path: Path) -> str:
    """The path within the repository."""
    return path.relative_to(ROOT).as_posix()


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function of a tree."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def expected_test(path: Path) -> Path:
    """Where the test of a source file stands."""
    name = {"__main__": "main", "__init__": "init"}.get(path.stem, path.stem)
    return ROOT / "tests" / path.relative_to(ROOT).parent / f"test_{name}.py"


def has_code(path: Path) -> bool:
    """Whether a file holds more than a docstring and imports; a package's face (`__init__`) may also declare its protocols."""
    kinds: tuple[type[ast.stmt], ...] = (ast.FunctionDef, ast.AsyncFunctionDef)
    if path.stem != "__init__":
        kinds = (*kinds, ast.ClassDef)
    return any(isinstance(node, kinds) for node in parsed(path).body)


def test_no_source_file_is_longer_than_the_ceiling() -> None:
    """A module that grows beyond five hundred lines is two modules."""
    long = {named(path): lines for path in sources() if (lines := len(path.read_text(encoding="utf-8").splitlines())) > CEILING}
    assert long == {}


def test_no_module_or_class_has_an_empty_name() -> None:
    """Names say what a thing is: none is a helper, a manager or data."""
    wrong = [named(path) for path in sources() if BANNED & set(path.stem.lower().split("_"))]
    for path in sources():
        classes = [node.name for node in ast.walk(parsed(path)) if isinstance(node, ast.ClassDef)]
        words = {name: [word.lower() for word in re.findall(r"[A-Z][a-z]*|[a-z]+", name)] for name in classes}
        wrong += [f"{named(path)}: {name}" for name in classes if words[name] and words[name][-1] in BANNED]
    assert wrong == []


def test_every_module_says_what_lives_there() -> None:
    """A module opens with its docstring."""
    assert [
        named(path) for path in [*sources(), *written_tests()] if not ast.get_docstring(parsed(path)) and path.read_bytes().strip()
    ] == []


def test_every_public_class_and_function_has_a_sentence() -> None:
    """What can be imported is explained where it stands."""
    silent = []
    for path in sources():
        for node in parsed(path).body:
            is_public = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_")
            if is_public and not ast.get_docstring(node):
                silent.append(f"{named(path)}: {node.name}")
    assert silent == []


def test_every_source_file_has_its_test_file() -> None:
    """One test file for each source file, at the same path."""
    missing = [f"{named(path)} → {named(expected_test(path))}" for path in sources() if has_code(path) and not expected_test(path).exists()]
    assert missing == []


def test_every_test_says_what_must_hold() -> None:
    """A test has a one-line docstring."""
    silent = [
        f"{named(path)}: {node.name}"
        for path in written_tests()
        if path.name.startswith("test_")
        for node in functions(parsed(path))
        if node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert silent == []


def test_no_task_is_created_and_forgotten() -> None:
    """A task without a reference may be collected while it runs, and its error is lost."""
    naked = []
    for path in sources():
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                called = node.value.func
                name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
                if name in ("create_task", "ensure_future"):
                    naked.append(f"{named(path)}:{node.lineno}")
    assert naked == []


def test_nobody_asks_the_wall_clock_but_the_edges() -> None:
    """Decisions are given the time, so that the test clock moves all of them."""
    asked = []
    for path in sources():
        if named(path) in EDGES:
            continue
        for node in ast.walk(parsed(path)):
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) and (called.value.id, called.attr) in WALL_CLOCK:
                asked.append(f"{named(path)}:{node.lineno}")
    assert asked == []


def test_repository_speaks_of_the_product_only() -> None:
    """No file names a folder of the place where it was written."""
    files = [*sources(), *written_tests(), *ROOT.glob("*.md"), *(ROOT / "deploy").rglob("*"), ROOT / "Makefile", ROOT / "pyproject.toml"]
    found = []
    for path in files:
        if path.is_file() and path != Path(__file__) and path.suffix not in (".png", ".ico", ".woff2"):
            text = path.read_text(encoding="utf-8", errors="replace")
            found += [f"{named(path)}: {word}" for word in FOREIGN if word in text]
    assert found == []


def test_packages_import_in_one_direction_only() -> None:
    """lachan → admin → blocklists → gateway, and the data plane needs no database."""
    linter = Path(sys.executable).with_name("lint-imports")
    if not linter.exists():
        pytest.skip("import-linter is not installed")
    result = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stdout[-3000:]


def imported(path: Path) -> set[str]:
    """The top-level packages that a file imports, at its head or inside a function."""
    names: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}


def test_every_import_is_declared() -> None:
    """What the product imports by itself is named in pyproject.toml, not only brought along by something else."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = [requirement for name, extra in project["optional-dependencies"].items() if name != "test" for requirement in extra]
    declared = {re.split(r"[\[<>=!~; ]", text)[0].lower().replace("_", "-") for text in [*project["dependencies"], *optional]}
    providers = packages_distributions()
    undeclared: dict[str, str] = {}
    for path in [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]:
        for name in imported(path) - set(PACKAGES) - sys.stdlib_module_names:
            known = {distribution.lower().replace("_", "-") for distribution in providers.get(name, [name])}
            if not known & declared:
                undeclared.setdefault(name, named(path))
    assert undeclared == {}


def test_data_files_of_the_packages_are_shipped() -> None:
    """What a module reads beside itself is named in pyproject.toml."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for package, patterns in {
        "blocklists": ["catalog/*.yaml", "seed/**/*"],
        "admin": ["templates/**/*", "static/**/*", "locale/**/*"],
    }.items():
        for pattern in patterns:
            assert f'"{pattern}"' in text, f"{package}: {pattern}"


def test_every_test_that_the_table_names_exists() -> None:
    """`tests/README.md` leads from each sentence of an issue to a file, and to a test in it, that is there."""
    missing, before = [], ROOT / "tests"
    rows = [line for line in (ROOT / "tests/README.md").read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    for word in re.findall(r"`([^` ]+)`", "\n".join(rows)):
        name, _, test = word.partition("::")
        if not (name.endswith(".py") or name == "…") or "*" in name or not (test or "/" in name or name.startswith("test_")):
            continue
        if name.startswith("…/"):
            path = next((folder / name[2:] for folder in before.parents if (folder / name[2:]).exists()), before.parent / name[2:])
        else:
            path = before if name == "…" else ROOT / "tests" / name
        before = path
        if not path.exists() or (test and f"def {test}(" not in path.read_text(encoding="utf-8")):
            missing.append(word)
    assert missing == []


def test_full_check_ends_with_the_written_tests() -> None:
    """`.ci/run` is a program whose last command is `make test`, so that pytest's closing line is the last."""
    path = ROOT / ".ci" / "run"
    assert path.stat().st_mode & 0o111
    commands = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    assert commands[-1].startswith("make test")
    assert "LACHAN_FULL=1" in path.read_text(encoding="utf-8")


def test_full_run_allows_no_skip(tmp_path: Path) -> None:
    """With LACHAN_FULL=1 a skipped test is a failure; without it, it is a skip. Expected failures stay what they are."""
    (tmp_path / "test_sample.py").write_text(
        "import pytest\n\ndef test_a():\n    pytest.skip('no dig')\n\n@pytest.mark.xfail\ndef test_b():\n    assert False\n\n"
        "def test_c():\n    import socket\n    with pytest.raises(AssertionError):\n        socket.socket().connect(('198.51.100.1', 53))\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.conftest",
        "-p",
        "no:cacheprovider",
        "-c",
        "/dev/null",
        "--rootdir",
        str(tmp_path),
    ]
    for full, expected in (("0", "1 passed, 1 skipped, 1 xfailed"), ("1", "1 failed, 1 passed, 1 xfailed")):
        environment = {**os.environ, "LACHAN_FULL": full, "PYTHONPATH": str(ROOT)}
        result = subprocess.run(
            [*command, str(tmp_path)], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert expected in result.stdout, result.stdout
