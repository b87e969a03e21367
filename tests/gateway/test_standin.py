"""Damage to the small files that say which generation is in force: the real program, real files, real questions."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway import release
from gateway.errors import GenerationError
from gateway.standin import fault, stand_in, write_again
from tests.support.gateway import Gateway, RunningUpstream, run_command
from tests.support.generation import category, make_generation
from tests.support.nineandadult import ADULT, CHILD, ORDERS, RECORDS, SETTINGS, prepare

SECOND = ORDERS + ORDERS.replace("12/QĐ", "13/QĐ").replace("ordered.example", "lesson.example")
DAMAGES: dict[str, Callable[[Path], object]] = {
    "current is empty": lambda var: (var / "current").write_bytes(b""),
    "current is gone": lambda var: (var / "current").unlink(),
    "its manifest is empty": lambda var: (var / "generations" / "2.json").write_bytes(b""),
    "its manifest is gone": lambda var: (var / "generations" / "2.json").unlink(),
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[RunningUpstream]:
    """The resolver that is asked in turn."""
    with RunningUpstream(RECORDS) as running:
        yield running


@pytest.fixture(scope="module")
def two(upstream: RunningUpstream, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two generations; the second one has a further order, and nothing else is new in it."""
    folder = tmp_path_factory.mktemp("two")
    prepare(folder)
    with Gateway(folder, SETTINGS, upstream=upstream.port) as running:
        (folder / "orders.yaml").write_text(SECOND, encoding="utf-8")
        assert running.command("reload").returncode == 0
        assert running.addresses("lesson.example", source=ADULT) == ["0.0.0.0"]
    assert release.current_number(folder / "var") == 2
    return folder


@pytest.mark.parametrize("what", DAMAGES)
def test_newest_whole_generation_stands_in_and_says_so(what: str, two: Path, upstream: RunningUpstream, tmp_path: Path) -> None:
    """A memory card loses a block at night: names and protection are there, the order of yesterday, too, and somebody is told."""
    folder = tmp_path / "home"
    shutil.copytree(two, folder)
    DAMAGES[what](folder / "var")
    with Gateway(folder, SETTINGS, upstream=upstream.port) as again:
        assert again.addresses("open.example", source=ADULT) == ["192.0.2.20"]
        assert again.addresses("bet.example", source=CHILD) == ["0.0.0.0"]
        end = time.monotonic() + 60
        while again.addresses("lesson.example", source=ADULT) != ["0.0.0.0"] and time.monotonic() < end:
            time.sleep(0.2)
        assert again.addresses("lesson.example", source=ADULT) == ["0.0.0.0"]
        said = again.command("status").stdout
        assert "BẢN ĐANG DÙNG BỊ HỎNG" in said and "stands in" in said
        assert "generation.stands_in" in again.written()
        assert again.metric("lachan_last_reload_successful") == 0  # the alert of deploy/prometheus
        assert again.status()["generation"] >= (2 if what in ("current is empty", "current is gone", "its manifest is gone") else 3)
        assert again.http("/readyz")[0] == 200
        assert again.command("reload").returncode == 0  # somebody has looked
        assert "BẢN ĐANG DÙNG BỊ HỎNG" not in again.command("status").stdout
        assert again.metric("lachan_last_reload_successful") == 1


def test_compiling_by_hand_works_beside_a_damaged_generation(two: Path, upstream: RunningUpstream, tmp_path: Path) -> None:
    """What the old message named as the remedy: it says what stands in, and the program starts after it with every order."""
    folder = tmp_path / "home"
    shutil.copytree(two, folder)
    gateway = Gateway(folder, SETTINGS, upstream=upstream.port)
    (folder / "var" / "generations" / "2.json").write_bytes(b"")
    done = run_command("lists", "compile", "-c", str(gateway.path))
    assert done.returncode == 0 and "generation 1 stands in" in " ".join(done.stderr.split()) and "generation 3: " in done.stdout
    with gateway as again:
        assert again.addresses("lesson.example", source=ADULT) == ["0.0.0.0"]
        assert "BẢN ĐANG DÙNG BỊ HỎNG" not in again.command("status").stdout


def test_no_generation_is_whole(two: Path, upstream: RunningUpstream, tmp_path: Path) -> None:
    """A first one is made anew, as on an empty disk; its number is a new one, and what may be missing is said."""
    folder = tmp_path / "home"
    shutil.copytree(two, folder)
    for path in (folder / "var" / "generations").iterdir():
        path.write_bytes(b"")
    with Gateway(folder, SETTINGS, upstream=upstream.port) as again:
        assert again.addresses("bet.example", source=CHILD) == ["0.0.0.0"]
        assert again.addresses("lesson.example", source=ADULT) == ["0.0.0.0"]
        assert "NO generation is whole" in " ".join(again.command("status").stdout.split())
        assert again.status()["generation"] == 3


def test_a_running_gateway_writes_again_what_the_disk_lost(two: Path, upstream: RunningUpstream, tmp_path: Path) -> None:
    """Its next change is not refused, and its next start finds everything."""
    folder = tmp_path / "home"
    shutil.copytree(two, folder)
    with Gateway(folder, SETTINGS, upstream=upstream.port) as running:
        number = running.status()["generation"]
        (folder / "var" / "current").write_bytes(b"")
        (folder / "var" / "generations" / f"{number}.json").unlink()
        assert running.command("reload").returncode == 0
        assert "generation.mended" in running.written() and release.current_number(folder / "var") == number


def test_whole_is_what_verifies(tmp_path: Path) -> None:
    """A manifest that reads but whose lists are damaged does not stand in; nor does anything where all is well."""
    state_dir = make_generation(tmp_path, lists={"bet": category("gamb", "bet.example")})
    assert fault(state_dir) is None and stand_in(state_dir) is None and fault(tmp_path / "nowhere") is None
    manifest = release.read_manifest(state_dir)
    (state_dir / "current").write_bytes(b"0\n")
    assert isinstance(write_again(state_dir, manifest), GenerationError) and release.read_manifest(state_dir) == manifest
    (state_dir / "current").write_bytes(b"\xff")
    (state_dir / "index" / manifest.index_dir / release.INDEX_RECORDS).write_bytes(b"")
    found = stand_in(state_dir)
    assert found is not None and found.number is None and not (state_dir / "current").exists()
