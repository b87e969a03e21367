"""A gateway goes from one list office to another, or to the same one set up anew, whose numbers begin again."""

from __future__ import annotations

from pathlib import Path

import pytest

from blocklists.joining import join
from blocklists.pairing import JoinCode, fingerprint_of
from gateway import release
from gateway.following import describe, read_state
from lachan.configuration import Configuration, load
from lachan.following import ORIGIN, orders_in_force, take_round
from tests.lachan.test_following import RECORDS, comes_true, is_blocked
from tests.lachan.test_joining import ALONE
from tests.support.catalogue import make_catalogue
from tests.support.gateway import Gateway, RunningUpstream
from tests.support.generation import make_generation
from tests.support.publisher import Publisher, serve


def code_of(office: Publisher, url: str) -> str:
    """The code on the office's page."""
    return str(JoinCode(url, fingerprint_of(office.root)))


def test_the_first_list_of_another_office_takes_the_place_of_the_old_one_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it is there and verifies, what the first office closed stays closed, and that is said; then its serial counts, though smaller,
    over a restart too, and going back is refused as ever."""
    one, two = Publisher(tmp_path / "one"), Publisher(tmp_path / "two")
    one.publish(50, "bad.example")
    with serve(one.folder) as first, serve(two.folder) as second, RunningUpstream(RECORDS) as upstream:
        gateway = Gateway(tmp_path, ALONE, upstream=upstream.port)
        with gateway:
            assert gateway.command("join", code_of(one, first)).returncode == 0
            assert is_blocked(gateway, "bad.example")
            joined = gateway.command("join", code_of(two, second))
            assert joined.returncode == 0 and "list 50 of the office before stays in force" in joined.stdout, joined.stdout + joined.stderr
            assert is_blocked(gateway, "bad.example"), "nothing has taken its place"
            follow = gateway.status()["follow"]
            assert (follow["serial"], follow["other"], follow["code"]) == (0, 50, None)
            assert "list 50 of the office before stays in force" in gateway.command("status").stdout
            assert gateway.metric("lachan_release_in_force") == 0

            two.publish(3, "worse.example")
            path = two.folder / "metadata/timestamp.json"
            good = path.read_bytes()
            path.write_bytes(good.replace(b'"version":', b'"version": 9'))
            refused = gateway.command("follow")
            assert refused.returncode == 1 and "list 50 of the office before stays in force" in refused.stderr, refused.stderr
            assert is_blocked(gateway, "bad.example") and not is_blocked(gateway, "worse.example")
            path.write_bytes(good)
            taken = gateway.command("follow")
            assert taken.returncode == 0, taken.stderr
            assert is_blocked(gateway, "worse.example") and not is_blocked(gateway, "bad.example")
            assert (gateway.status()["order_serial"], gateway.status()["follow"]["other"]) == (3, None)
            assert gateway.metric("lachan_release_in_force") == 1
        with gateway:
            assert is_blocked(gateway, "worse.example")
            two.publish(4, "worse.example", "lifted.example")
            assert gateway.command("follow").returncode == 0
            assert is_blocked(gateway, "lifted.example")
            monkeypatch.setattr(two.repository, "serial", lambda: None)
            two.publish(2)
            back = gateway.command("follow")
            assert back.returncode == 1 and "(rollback)" in back.stderr and "release 4 stays in force" in back.stderr, back.stderr
            assert is_blocked(gateway, "worse.example")
            one.publish(51, "bad.example")
            assert gateway.command("join", code_of(one, first)).returncode == 0
            assert comes_true(lambda: is_blocked(gateway, "bad.example"))
            assert not is_blocked(gateway, "worse.example")


@pytest.fixture
def standing(tmp_path: Path) -> Path:
    """A state directory without a running gateway, and its settings beside it."""
    state_dir = tmp_path / "var"
    state_dir.mkdir()
    make_generation(state_dir, catalogue=make_catalogue())
    (tmp_path / "lachan.yaml").write_text("state_dir: var\n")
    return state_dir


def settings(state_dir: Path) -> Configuration:
    """The settings as a round reads them."""
    return load(state_dir.parent / "lachan.yaml", require_files=False)


def as_an_older_version(state_dir: Path, serial: int, segments: tuple[str, ...]) -> None:
    """Put a list in force as an older version of the program did: nothing says which office it is of."""
    release.commit_generation(state_dir, {"orders": None}, 0.0)
    release.commit_generation(state_dir, {"orders": {"serial": serial, "segments": list(segments), "origin": ORIGIN}}, 0.0)


def in_force(state_dir: Path) -> release.Orders:
    """The list in force."""
    orders = orders_in_force(state_dir)
    assert orders is not None
    return orders


def follows(state_dir: Path, office: Publisher, url: str) -> tuple[str, int, int]:
    """Join an office and take a round: what went wrong, the office's serial in force, and another office's that stays."""
    join(state_dir, JoinCode(url, fingerprint_of(office.root)))
    state, _ = take_round(settings(state_dir), commit=True)
    return state.code, state.serial, state.other


def test_equal_number_of_another_office_is_another_list(tmp_path: Path, standing: Path) -> None:
    """A list of the same number, of the very same content even, is the new office's from then on."""
    one, two = Publisher(tmp_path / "one"), Publisher(tmp_path / "two")
    for office in (one, two):
        office.publish(5, "bad.example")
    with serve(one.folder) as first, serve(two.folder) as second:
        assert follows(standing, one, first) == ("", 5, 0)
        before = in_force(standing)
        assert follows(standing, two, second) == ("", 5, 0)
    after = in_force(standing)
    assert (before.root, after.root) == (fingerprint_of(one.root), fingerprint_of(two.root))
    assert before.segments == after.segments


def test_orders_of_an_older_version_are_of_whoever_published_them(tmp_path: Path, standing: Path) -> None:
    """What an older version put in force says of no office: that of the office followed is taken as its own, so nothing older is; that of
    another office, or of this machine when it was an office itself, holds nothing up."""
    one, two = Publisher(tmp_path / "one"), Publisher(tmp_path / "two")
    one.publish(50, "bad.example")
    two.publish(3, "worse.example")
    with serve(one.folder) as first, serve(two.folder) as second:
        assert follows(standing, one, first) == ("", 50, 0)
        segments = in_force(standing).segments
        as_an_older_version(standing, 51, segments)
        for _ in range(2):
            assert follows(standing, one, first) == ("rollback", 51, 0)
        for _ in range(2):  # heard for the first time, and refused by that version at every round
            as_an_older_version(standing, 50, segments)
            assert follows(standing, two, second) == ("", 3, 0)
        as_an_older_version(standing, 3, in_force(standing).segments)
        assert follows(standing, two, second) == ("", 3, 0)
    assert in_force(standing).root == fingerprint_of(two.root)


def test_age_of_what_stays_is_told_while_the_new_office_gives_nothing(tmp_path: Path, standing: Path) -> None:
    """Nobody renews the old office's list: once its signatures have run out, its age is told as ever."""
    one, two = Publisher(tmp_path / "one"), Publisher(tmp_path / "two")
    one.publish(50, "bad.example")
    with serve(one.folder) as first:
        assert follows(standing, one, first) == ("", 50, 0)
    with serve(two.folder) as second:
        join(standing, JoinCode(second, fingerprint_of(two.root)))
    state, _ = take_round(settings(standing), commit=True)
    assert (state.code, state.serial, state.other) == ("unreachable", 0, 50)
    assert read_state(standing) == state
    assert describe(state, state.expires_at + 5 * 86_400)["old_days"]
