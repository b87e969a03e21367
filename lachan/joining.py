"""`lachan join CODE`, `lachan leave`: a gateway follows a list office without a line in its file. Only `lachan` imports this."""

from __future__ import annotations

import time
from pathlib import Path

import typer

from blocklists.joined import leave, read_joined
from blocklists.joining import join
from blocklists.pairing import fingerprint_of, parse_code, words_of
from gateway.errors import ControlError, LachanError
from gateway.following import WORD
from gateway.standing import OTHER_LIST
from gateway.yamlfile import read
from lachan.configuration import find_file, load
from lachan.control import ask
from lachan.following import take_round
from lachan.running import state_dir_of


def join_office(config: Path | None, code: str) -> None:
    """Join, take the newest list, and have the running gateway follow. Raises LachanError; then nothing changed."""
    path = find_file(config)
    document = read(path).value
    if isinstance(document, dict) and document.get("takedown"):
        raise LachanError(f"{path.name} has a takedown section, which says where orders come from: take it out, then join")
    state_dir = state_dir_of(path)
    joined = join(state_dir, parse_code(code))
    typer.echo(f"Đơn vị lập danh sách / list office: {joined.url}")
    typer.echo(f"Các từ của đơn vị, so với trang của họ / words of the office, compare with their page:\n  {words_of(joined.fingerprint)}")
    if joined.public:
        typer.echo(f"Các từ của cổng lọc này / words of this gateway ({joined.label}):\n  {own_words(joined.public)}")
    state, _ = take_round(load(path, require_files=False), commit=True)
    if state.other:
        stays = (f": {state.problem}" if state.problem else "") + OTHER_LIST.format(serial=state.other)
        typer.echo(f"Đã kết nối; danh sách của đơn vị này chưa có / joined; the list of this office comes later{stays}")
    elif state.code in ("", "apply", WORD):
        typer.echo(f"Đã kết nối; bản {state.serial} đang có hiệu lực. / Joined; release {state.serial} is in force.")
    else:
        typer.echo(f"Đã kết nối; chưa lấy được danh sách ({state.code}), sẽ tự thử lại. / Joined; the list comes later: {state.problem}")
    _reload(state_dir)


def leave_office(config: Path | None) -> None:
    """Follow no office any more; the list of the office is no longer renewed. Raises LachanError."""
    state_dir = state_dir_of(find_file(config))
    if read_joined(state_dir) is None:
        raise LachanError("this gateway has joined no office")
    leave(state_dir)
    typer.echo("Không theo đơn vị nào nữa; bản đang có vẫn giữ. / No office is followed any more; what is in force stays.")
    _reload(state_dir)


def own_words(public: str) -> str:
    """The words of a gateway's key."""
    return words_of(fingerprint_of(bytes.fromhex(public)))


def _reload(state_dir: Path) -> None:
    """Ask the running gateway to look again; without one, the next start does."""
    for _ in range(2):
        try:
            ask(state_dir, {"do": "reload"})
            return
        except ControlError as error:
            if error.code != "not_ready":
                return
            time.sleep(2.0)
