"""Following a list office beside a running gateway: round after round, each in a child process. Only `lachan` imports this module.

Between two rounds the office is asked whether it has news, where its server lets gateways ask (`lachan.looking`).
A round fetches and checks the office's newest release (`blocklists.follower`), puts its list into the state directory and asks the gateway
to switch. Whatever goes wrong, what is in force stays, and `state_dir/follow/status.json` says why and since when. At a start the
supervisor waits for one round, ten seconds at most; then the last good release answers.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from gateway import release
from gateway.clock import WallClock
from gateway.control import ask_now
from gateway.errors import ControlError, GenerationError, LachanError
from gateway.following import WORD, FollowState, read_state, write_state
from gateway.policy.segment import open_layer, write_mapped
from gateway.standing import OTHER_LIST, program_version
from lachan.configuration import Configuration, find_file, load
from lachan.healthcounts import count_health
from lachan.lastgood import load_or_last_good
from lachan.looking import Looker
from lachan.preparation import Changes, put_in_force

if TYPE_CHECKING:
    from blocklists.joined import Joined
    from blocklists.joining import Enforced
    from blocklists.settings import FollowSettings

log = logging.getLogger(__name__)

INTERVAL = 300.0
FIRST = 5.0
"""Seconds until the first round of the job; the start has just made one."""
JITTER = 0.2
LONGEST_ROUND = 900.0
START_SECONDS = 10.0
ORIGIN = "office"


def follow_for_ever(path: Path) -> int:
    """Round after round, five minutes apart, sooner where the office's server lets us look and has news; never many gateways at the same
    moment. Ends only by a signal, and a round with it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    follow = load_or_last_good(path)[0].lists.follow
    looker = Looker(follow.url if follow is not None else "")
    code = ""
    time.sleep(FIRST * random.uniform(1 - JITTER, 1 + JITTER))
    while True:
        looker.look()  # before the round, so that what comes while it lasts is news
        code = follow_once(path, code)
        wait_for_news(looker)


def wait_for_news(looker: Looker) -> None:
    """Sleep until the next round is due, or until the office has news."""
    due = time.monotonic() + INTERVAL * random.uniform(1 - JITTER, 1 + JITTER)
    while (left := due - time.monotonic()) > 0:
        pause = looker.pause
        time.sleep(left if pause is None else min(left, pause * random.uniform(1 - JITTER, 1 + JITTER)))
        if pause is not None and looker.look():
            return


def follow_once(path: Path, before: str) -> str:
    """One round in a child process; why it failed (empty when it did not). Only a change is logged."""
    command = [sys.executable, "-m", "lachan", "follow", "--report", "--commit", "-c", str(path)]
    try:
        report = json.loads(_output_of(command))
        code, problem = str(report["code"]), str(report["problem"])
    except (subprocess.TimeoutExpired, ValueError, KeyError, TypeError):
        code, problem = "disk", "the round gave no report"
    if code == WORD != before:
        log.warning("the word of the office's server cannot be used", extra={"event": "follow.word", "code": code, "reason": problem})
    elif code and code != before:
        log.warning("the office's release is not taken", extra={"event": "follow.failed", "code": code, "reason": problem})
    elif before and not code:
        log.info("the office's release is good again", extra={"event": "follow.restored"})
    return code


def _output_of(command: list[str]) -> bytes:
    """What a round wrote. It ends with us, also where we are asked to end at the very moment of its start (`subprocess.run` would leave it
    behind then). Raises TimeoutExpired."""
    child: subprocess.Popen[bytes] | None = None
    try:
        with _asked_to_end_later():
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        return child.communicate(timeout=LONGEST_ROUND)[0]
    finally:
        if child is not None:
            with child:
                child.kill()  # does nothing to one that ended


@contextlib.contextmanager
def _asked_to_end_later() -> Iterator[None]:
    """A SIGTERM that comes meanwhile is obeyed after the block."""
    asked: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        for number in asked[:1]:
            signal.raise_signal(number)


def command(config: Path | None, *, commit: bool, report: bool) -> int:
    """`lachan follow`: one round. With `report` the outcome is one line of JSON; the changes are in it unless they were put in force."""
    configuration, _ = load_or_last_good(find_file(config))
    state, changes = take_round(configuration, commit=commit)
    if report:
        sys.stdout.write(json.dumps({"code": state.code, "problem": state.problem, "changes": changes}) + "\n")
        return 0
    _say(state)
    return 0


def import_release(config: Path | None, folder: Path) -> None:
    """`lachan release import`: take the office's release out of a folder, with every check of following. Raises LachanError."""
    from blocklists.pairing import fingerprint_of, words_of

    configuration = load(find_file(config), require_files=False)
    state, _ = take_round(configuration, commit=True, stick=folder)
    _say(state)
    assert configuration.lists.follow is not None
    words = words_of(fingerprint_of(configuration.lists.follow.root.read_bytes()))
    typer.echo(f"Các từ của đơn vị, so với trang của họ / words of the office, compare with their page:\n  {words}")


def _say(state: FollowState) -> None:
    """Tell a person how a round ended. Raises LachanError for one that took nothing."""
    before = OTHER_LIST.format(serial=state.other)
    if state.code not in ("", WORD):
        stays = f"; giữ nguyên bản {state.serial} / release {state.serial} stays in force"
        raise LachanError(f"{state.problem} ({state.code}){before if state.other else stays}")
    if not state.serial:
        typer.echo("Cơ quan chưa có bản nào cho cổng lọc này. / The office has no release for this gateway yet.")
        if state.other:
            typer.echo(before.removeprefix("; "))
    else:
        typer.echo(f"Bản {state.serial} của cơ quan đang có hiệu lực. / The office's release {state.serial} is in force.")
    if state.code:
        typer.echo(f"! {state.problem} ({state.code})")


def take_round(configuration: Configuration, *, commit: bool, stick: Path | None = None) -> tuple[FollowState, Changes]:
    """Follow once, or take what somebody carried here on a `stick`; the state that was written, and the changes still to be put in force.
    Raises LachanError where nobody is followed."""
    from blocklists.copies import alone
    from blocklists.follower import FolderFetcher, FollowError, follow, good_until
    from blocklists.joined import read_joined
    from blocklists.joining import Enforced, JoinError, note_head
    from blocklists.pairing import fingerprint_of
    from blocklists.sealing import SealError

    settings, state_dir = configuration.lists.follow, configuration.gateway.state_dir
    if settings is None:
        raise LachanError("takedown.follow is not set: this gateway follows no office")
    url, fetcher = (settings.url, None) if stick is None else (FolderFetcher.BASE, FolderFetcher(stick))
    changes: Changes = {}
    code = problem = ""
    expires_at = waits_for = kept = other = 0
    lost: release.Orders | None = None
    joined = read_joined(state_dir)
    with alone(state_dir, "follow", wait=True):
        enforced = serial_in_force(state_dir)
        try:
            root = _root_bytes(state_dir, settings, joined)
            mark, folder = fingerprint_of(root), state_dir / "follow" / hashlib.sha256(root).hexdigest()[:16]
            if not is_of(state_dir, mark, folder):
                enforced, other = 0, enforced
            elif (lost := lost_list(state_dir, folder, mark)) is not None:
                enforced = lost.serial
            now = datetime.fromtimestamp(WallClock.from_environment(os.environ).now(), UTC)
            held, read, keys = holder(state_dir), reader(state_dir), key_source(state_dir, settings.keys)
            wanted = follow(
                folder, url, root, enforced, fetcher, held=held, read=read, now=now, keys=keys,
                gateway=joined.gateway if joined is not None else "", by_hand=stick is not None,
            )  # fmt: skip
            expires_at = good_until(folder)
            if wanted is not None:
                waits_for = wanted.newest if wanted.newest > wanted.serial else 0
                code, problem = (WORD if wanted.fault else ""), wanted.fault
            if wanted is not None and not wanted.stays:
                if wanted.serial > enforced:
                    note_head(state_dir, wanted.serial, wanted.journal)
                for segment in wanted.fresh.values():
                    write_mapped(state_dir, release.write_file(state_dir, segment), segment)
                segments, kept = without_withdrawn(state_dir, wanted.segments, wanted.withdrawn)
                orders = release.Orders(wanted.serial, segments, ORIGIN, mark)
                if orders != orders_in_force(state_dir):
                    changes = {"orders": {"serial": wanted.serial, "segments": list(segments), "origin": ORIGIN, "root": mark}}
                if commit:
                    put_in_force(state_dir, changes)
                    changes = {}
                enforced, other = wanted.serial, 0
        except FollowError as error:
            code, problem = error.code, str(error)
        except SealError as error:
            code, problem = "key", str(error)
        except JoinError as error:
            code, problem = "root", str(error)
        except (ControlError, GenerationError) as error:
            code, problem = "apply", str(error)
        except OSError as error:
            is_root = error.filename == str(settings.root)
            code, problem = "root" if is_root else "disk", f"{error.filename or state_dir}: {error.strerror}"
        if lost is not None and not changes and orders_in_force(state_dir) is None:
            again: Changes = {"orders": {"serial": lost.serial, "segments": list(lost.segments), "origin": ORIGIN, "root": lost.root}}
            try:
                changes = {} if commit and put_in_force(state_dir, again) else again
            except (LachanError, OSError) as error:
                enforced, code, problem = 0, code or "apply", problem or str(error)
        at = WallClock.from_environment(os.environ).now()
        state = (read_state(state_dir) or FollowState()).after(enforced, code, problem, at, expires_at, waits_for, other)
        write_state(state_dir, state)
        if commit and code not in ("unreachable", "root") and stick is None and joined is not None:
            health = count_health(state_dir, enforced, at)
            tell(state_dir, Enforced(enforced, code, state.waits_for, kept, health), at)
    return state, changes


def lost_list(state_dir: Path, folder: Path, mark: str) -> release.Orders | None:
    """The list that was in force before every generation was lost with the disk, as far as it is kept here whole: of the office whose
    releases are in `folder` and whose root has the fingerprint `mark`. None when a list is in force, or none was."""
    from blocklists.follower import kept_list
    from blocklists.turns import read_word

    state, newest = read_state(state_dir), kept_list(folder)
    if orders_in_force(state_dir) is not None or state is None or newest is None:
        return None
    one = next((one for one in (newest, *newest.before) if one.serial == state.serial), None)
    if one is None or not all(map(holder(state_dir), one.segments)):
        return None
    try:
        segments, _ = without_withdrawn(state_dir, one.segments, read_word(folder).statement.out_of(one.serial))
    except (GenerationError, OSError):
        return None
    return release.Orders(one.serial, segments, ORIGIN, mark)


def _root_bytes(state_dir: Path, settings: FollowSettings, joined: Joined | None) -> bytes:
    """The root of the office that is followed. Where a code was used and something else stands on the disk, or nothing (an older version
    kept the roots of all offices under one name), it is fetched again: the fingerprint says whether it is the one. Raises OSError, and
    JoinError."""
    from blocklists.joined import root_of
    from blocklists.joining import fetch_root
    from blocklists.pairing import fingerprint_of

    if joined is None or settings.root != root_of(state_dir, joined.fingerprint):
        return settings.root.read_bytes()
    with contextlib.suppress(FileNotFoundError):
        if fingerprint_of(root := settings.root.read_bytes()) == joined.fingerprint:
            return root
    return fetch_root(state_dir, joined.url, joined.fingerprint).read_bytes()


def without_withdrawn(state_dir: Path, segments: tuple[str, ...], keys: tuple[str, ...]) -> tuple[tuple[str, ...], int]:
    """A list's segments and, above them, one that takes out what the office's server says has ended; how many of these stay in force
    because an order number stands behind them. Raises GenerationError, OSError."""
    from blocklists.withdrawing import withdraw

    if not keys:
        return segments, 0
    segment, kept = withdraw([open_layer(state_dir, name) for name in segments], keys)
    if kept:
        log.warning("the office's server may not take this out", extra={"event": "withdrawal.kept", "names": kept})
    return (segments if segment is None else (*segments, release.write_file(state_dir, segment))), kept


def tell(state_dir: Path, told: Enforced, now: float) -> None:
    """Send the office a receipt when one is due; that it cannot be sent never disturbs what is in force."""
    from blocklists.joining import report

    try:
        if report(state_dir, told, program_version(), now, asked_here(state_dir)) is False:
            log.warning("the office did not take the receipt", extra={"event": "receipt.refused", "serial": told.serial})
    except OSError as error:
        log.warning("no receipt sent", extra={"event": "receipt.failed", "reason": str(error)})


def asked_here(state_dir: Path) -> Callable[[list[str]], dict[str, int]]:
    """Says how often at least names are asked for here, of those that at least five clients asked for; nothing while nobody answers."""

    def asked(names: list[str]) -> dict[str, int]:
        try:
            rows = ask_now(state_dir, {"do": "asked", "names": names}, 10.0)["names"]
        except (ControlError, KeyError):
            return {}
        return {name: int(row["asked"]["at_least"]) for name, row in rows.items() if row["asked"] is not None}

    return asked


def holder(state_dir: Path) -> Callable[[str], bool]:
    """Whether this gateway has a segment already: one that is in force, or a good file from a round before."""
    orders = orders_in_force(state_dir)
    in_force = frozenset(orders.segments if orders is not None else ())

    def held(name: str) -> bool:
        if name in in_force:
            return True
        try:
            release.read_verified(state_dir, name)
        except GenerationError:
            return False
        return True

    return held


def key_source(state_dir: Path, file: Path | None) -> Callable[[str], bytes | None]:
    """Finds the key of sealed segments: in the settings' file, among those the office gave, or by asking the office now."""
    from blocklists.joining import fetch_keys
    from blocklists.sealing import HELD_FILE, SealError, read_keys

    def find(name: str) -> bytes | None:
        try:
            for path in (file, state_dir / HELD_FILE):
                if path is not None and (key := read_keys(path).get(name)) is not None:
                    return key
            fetch_keys(state_dir)
            return read_keys(state_dir / HELD_FILE).get(name)
        except (LachanError, ValueError, OSError) as error:
            raise SealError(f"the release has masked names, and this gateway has no key for them: {error}") from None

    return find


def reader(state_dir: Path) -> Callable[[str], dict[str, Any]]:
    """Reads a segment that this gateway holds. Raises GenerationError when it is damaged."""
    return lambda name: release.read_file(state_dir, name)


def orders_in_force(state_dir: Path) -> release.Orders | None:
    """The orders in force, wherever they come from."""
    try:
        return release.read_manifest(state_dir).orders
    except GenerationError:
        return None


def serial_in_force(state_dir: Path) -> int:
    """The serial of the list in force, of whichever office; 0 when none is."""
    orders = orders_in_force(state_dir)
    return orders.serial if orders is not None and orders.origin == ORIGIN else 0


def is_of(state_dir: Path, mark: str, folder: Path) -> bool:
    """Whether the list in force is of the office whose root has the fingerprint `mark`, and whose releases are kept in `folder`. What an
    older version put in force says of no office: it is of the one that is followed, where that has been heard before, unless another
    folder holds it."""
    from blocklists.follower import kept_list

    orders = orders_in_force(state_dir)
    if orders is None or orders.root:
        return orders is None or orders.root == mark
    kept = {each: kept_list(each) for each in folder.parent.iterdir() if each.is_dir()} if folder.is_dir() else {}
    if kept.pop(folder, None) is None:
        return False
    lists = [one for newest in kept.values() if newest is not None for one in (newest, *newest.before)]
    return not any(one.serial == orders.serial and orders.segments[: len(one.segments)] == one.segments for one in lists)
