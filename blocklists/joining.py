"""A gateway joins an office by one code, and later tells it what it enforces. The gateway's side; runs in commands and job processes.

`join` fetches the office's first root and believes it only when its fingerprint is the one in the code; with the code's ticket it leaves
the office its own public key, and asks for the keys of sealed segments. What was joined stands in `state_dir/follow/`: `office.json`, which
is written last and names the root, `root-<fingerprint>.json`, `gateway.key`, `release.keys`. Every fault leaves what was in force.
`report` sends a signed receipt after a change, and each hour that everything is as it was; the office may answer with names it asks about,
and gets counts for those, never for others.
"""

from __future__ import annotations

import contextlib
import json
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import urllib3
from tuf.api.exceptions import DownloadError

from blocklists.follower import AS_IT_IS, check_root, is_packed, pieces_of
from blocklists.joined import OFFICE, Joined, forget_missing, read_joined
from blocklists.pairing import JoinCode, fingerprint_of
from blocklists.receipts import MOST_QUESTIONS, Counts, Receipt, join_bytes, load_key, public_of, seal
from blocklists.sealing import HELD_FILE, SealError, ask, read_keys, unwrap, write_keys
from gateway.errors import LachanError, SettingsError
from gateway.release import canonical_bytes, replace_file

KEY: Final = "follow/gateway.key"
HEAD: Final = "follow/head.json"
SENT: Final = "follow/sent.json"
MOST_ROOT = 256_000
SECONDS = 10.0
WHOLE_SECONDS: Final = 30.0
EVERY: Final = 3600.0
"""Seconds after which a receipt is sent although nothing changed."""


class JoinError(LachanError):
    """The gateway did not join; nothing changed. One sentence with the remedy, in English (`en`) and in Vietnamese (`vi`)."""

    def __init__(self, en: str, vi: str) -> None:
        self.en, self.vi = en, vi
        super().__init__(en)


def join(state_dir: Path, code: JoinCode) -> Joined:
    """Join the office of a code. Raises JoinError; then nothing changed."""
    fetch_root(state_dir, code.url, code.fingerprint)
    try:
        joined = _introduce(state_dir, code) if code.ticket else Joined(code.url, code.fingerprint)
        replace_file(state_dir / OFFICE, canonical_bytes({"format": 1} | asdict(joined)))
        for name in (HEAD, SENT):
            (state_dir / name).unlink(missing_ok=True)
        forget_missing(state_dir)
        with contextlib.suppress(JoinError, SealError):
            fetch_keys(state_dir)  # asked for again when a release needs one
    except (OSError, ValueError) as error:
        raise _unwritten(state_dir, error) from None
    return joined


def fetch_root(state_dir: Path, url: str, fingerprint: str) -> Path:
    """Fetch an office's first root, which must have this fingerprint, and keep it under that name; where it is. Raises JoinError."""
    root = _get(f"{url}/metadata/1.root.json")
    if fingerprint_of(root) != fingerprint:
        raise JoinError(
            "what this address offers does not fit the code: compare the code with the office's page, and who answers there",
            "nội dung ở địa chỉ này không khớp mã: so lại mã với trang của đơn vị, và xem ai đang trả lời ở đó",
        )
    try:
        path = state_dir / "follow" / f"root-{fingerprint}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        trial = path.with_name("root.new.json")
        try:
            replace_file(trial, root)
            check_root(trial)
            trial.replace(path)
        finally:
            trial.unlink(missing_ok=True)
    except SettingsError:
        raise JoinError("this address offers no root of a list office", "địa chỉ này không phải của một đơn vị lập danh sách") from None
    except OSError as error:
        raise _unwritten(state_dir, error) from None
    return path


def _unwritten(state_dir: Path, error: Exception) -> JoinError:
    """What is said when this machine cannot keep what it was given."""
    place = state_dir / "follow"
    return JoinError(f"{place}: cannot be written ({error})", f"{place}: không ghi được ({error})")


def note_head(state_dir: Path, serial: int, journal: dict[str, Any] | None) -> None:
    """Remember the head of the journal that came with a release. Raises OSError."""
    replace_file(state_dir / HEAD, canonical_bytes({"serial": serial, "journal": journal}))


@dataclass(frozen=True, slots=True)
class Enforced:
    """What a receipt tells (`blocklists.receipts.Receipt`): the serial in force and how it came to be the one."""

    serial: int
    fault: str = ""
    waits_for: int = 0
    kept: int = 0
    health: tuple[Counts, Counts] | None = None


def report(
    state_dir: Path, told: Enforced, version: str, now: float, count: Callable[[list[str]], dict[str, int]] | None = None
) -> bool | None:
    """Send a receipt when one is due; whether the office took it, None when none was due. A fault is tried again at the next round.

    `count` says how often each of these names is asked for here, where it may be told; the answers to what the office asks about leave with
    a second receipt, at once, and are kept nowhere."""
    joined = read_joined(state_dir)
    if joined is None or not joined.gateway:
        return None
    sent, head = _read(state_dir / SENT), _read(state_dir / HEAD)
    is_same = sent.get("serial") == told.serial
    in_force_at = int(sent.get("in_force_at", now)) if is_same else int(now)
    note: dict[str, Any] = {"serial": told.serial, "fault": told.fault, "waits_for": told.waits_for, "kept": told.kept}
    note["health"] = told.health is not None or (is_same and bool(sent.get("health")))
    is_news = any(sent.get(name, 0 if name != "fault" else "") != value for name, value in note.items())
    wait = EVERY * float(sent.get("wait", 1000)) / 1000
    if not is_news and sent.get("taken") and 0 <= now - float(sent.get("at", 0)) < wait:
        return None
    journal = head.get("journal") if head.get("serial") == told.serial else None
    seen = None if not journal else (int(journal["seq"]), str(journal["digest"]))
    counter = int(sent.get("counter", 0))
    receipt = Receipt(joined.gateway, counter, told.serial, in_force_at, seen, version, int(now), **_rest(told))
    try:
        receipt, answer = _send(state_dir, joined, receipt, note, now)
        questions = _questions(answer) if count is not None else {}
        if count is not None and questions:
            counts = count(list(questions.values()))
            asked = tuple((identity, counts[name]) for identity, name in questions.items() if name in counts)
            _send(state_dir, joined, replace(receipt, asked=asked), note, now)
    except (JoinError, ValueError, OSError):
        return False
    return True


def fetch_keys(state_dir: Path) -> None:
    """Ask the office for the keys of sealed segments, and keep them with those that are here. Raises JoinError, SealError, OSError; then
    those that are here stay."""
    joined = read_joined(state_dir)
    if joined is None or not joined.gateway:
        raise SealError("keys are for gateways that joined by a code of their own: ask the office for one, or for its file of keys")
    question, moment = ask(joined.gateway, load_key(state_dir / KEY))
    given = unwrap(_post(f"{joined.url}/keys", question), moment)
    held = read_keys(state_dir / HELD_FILE)
    if not given.keys() <= held.keys():
        write_keys(state_dir / HELD_FILE, given | held)


def _rest(told: Enforced) -> dict[str, Any]:
    return {"fault": told.fault, "waits_for": told.waits_for, "kept": told.kept, "health": told.health}


def _send(state_dir: Path, joined: Joined, receipt: Receipt, note: dict[str, Any], now: float) -> tuple[Receipt, bytes]:
    """Send it under the next number; the receipt as it went out and the office's answer. Raises JoinError, ValueError, OSError."""
    counter = max(receipt.counter + 1, int(now * 1000))
    receipt = replace(receipt, counter=counter)
    # The counter is kept before anything is sent: a number is never used twice, also when the answer is lost.
    kept = note | {"in_force_at": receipt.in_force_at, "counter": counter, "at": int(now), "taken": False}
    replace_file(state_dir / SENT, canonical_bytes(kept))
    answer = _post(f"{joined.url}/receipts", seal(receipt, load_key(state_dir / KEY)))
    replace_file(state_dir / SENT, canonical_bytes(kept | {"taken": True, "wait": random.randint(800, 1200)}))
    return receipt, answer


def _questions(answer: bytes) -> dict[str, str]:
    """The names that the office asks about, by the id of the question; none where there is nothing that can be read."""
    try:
        rows = json.loads(answer)["questions"][:MOST_QUESTIONS]
        return {identity: name for identity, name in rows if isinstance(identity, str) and isinstance(name, str) and len(name) < 254}
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}


def _introduce(state_dir: Path, code: JoinCode) -> Joined:
    """Leave the office the public key; what it calls this gateway."""
    key = load_key(state_dir / KEY)
    public = public_of(key)
    message = {"ticket": code.ticket, "public": public, "proof": key.sign(join_bytes(code.ticket, public)).hex()}
    try:
        answer = json.loads(_post(f"{code.url}/join", canonical_bytes(message)))
        return Joined(code.url, code.fingerprint, str(answer["gateway"])[:64], str(answer["label"])[:160], public)
    except (ValueError, KeyError, TypeError):
        raise JoinError(
            "the office gave no answer that can be read: is the address right?", "đơn vị trả lời không đọc được: địa chỉ có đúng không?"
        ) from None


def _get(url: str) -> bytes:
    return _ask("GET", url, None)


def _post(url: str, body: bytes) -> bytes:
    return _ask("POST", url, body)


def _ask(method: str, url: str, body: bytes | None) -> bytes:
    parts = urlsplit(url)
    headers = AS_IT_IS | ({"Content-Type": "application/json", "Origin": f"{parts.scheme}://{parts.netloc}"} if body is not None else {})
    pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(total=SECONDS))
    until = time.monotonic() + WHOLE_SECONDS
    try:
        answer = pool.request(method, url, body=body, headers=headers, redirect=False, preload_content=False)
        try:
            packed = is_packed(answer)
            content = b""
            for piece in () if packed else pieces_of(answer, until):
                content += piece
                if len(content) > MOST_ROOT:
                    break
        finally:
            answer.close()
    except urllib3.exceptions.SSLError:
        raise JoinError(
            f"this gateway does not trust the certificate of {parts.netloc}: the office needs one of a public authority "
            "(deploy/certificates.md), or an http:// address, for the list carries its own signature",
            f"cổng lọc này không tin chứng chỉ của {parts.netloc}: đơn vị cần chứng chỉ công cộng (deploy/certificates.md), hoặc địa chỉ http://,"
            " vì danh sách tự mang chữ ký",
        ) from None
    except (urllib3.exceptions.HTTPError, DownloadError) as error:
        raise JoinError(
            f"the office cannot be reached at {parts.netloc} ({type(error).__name__}): is the network up, is the code right?",
            f"không nối được với đơn vị ở {parts.netloc} ({type(error).__name__}): mạng có thông không, mã có đúng không?",
        ) from None
    finally:
        pool.clear()
    if answer.status == 404 and method == "POST":
        raise JoinError(
            "the office does not know this code any more: a code works once, for a week; ask for a new one",
            "đơn vị không còn nhận mã này: mỗi mã dùng một lần, trong một tuần; hãy xin mã mới",
        )
    if packed or len(content) > MOST_ROOT:
        raise JoinError(
            f"{parts.netloc} sends more than an office would, or sends it compressed: is the code right?",
            f"{parts.netloc} gửi nhiều hơn một đơn vị cần gửi, hoặc gửi dạng nén: mã có đúng không?",
        )
    if answer.status != 200:
        raise JoinError(
            f"the office answers {answer.status} at {parts.netloc}: ask for a new code, or try again later",
            f"đơn vị trả lời {answer.status} ở {parts.netloc}: xin mã mới, hoặc thử lại sau",
        )
    return content


def _read(path: Path) -> dict[str, Any]:  # Any: JSON that this module wrote
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
