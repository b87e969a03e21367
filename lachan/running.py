"""Commands that talk to a running gateway: status, reload, flush. Only `lachan` imports this module."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer

from gateway.configuration import check_gateway
from gateway.errors import ControlError, Mistake, SettingsError
from gateway.yamlfile import read
from lachan.configuration import find_file
from lachan.control import Reply, ask, wait_until_ready


def state_dir_of(config: Path | None) -> Path:
    """The state directory the file names, even when the file has mistakes elsewhere. Raises SettingsError."""
    path = find_file(config)
    document = read(path)
    settings, mistakes = check_gateway(document)
    if settings is not None:
        return settings.state_dir
    written = document.value.get("state_dir", "./var") if isinstance(document.value, dict) else "./var"
    if not isinstance(written, str):
        raise SettingsError(mistakes)
    return path.resolve().parent / written


def flush(config: Path | None, name: str | None) -> None:
    """Forget cached answers on every worker: all of them, or those of one name."""
    ask(state_dir_of(config), {"do": "flush", "name": name})
    typer.echo("Đã quên các câu trả lời đã nhớ. / The cached answers are forgotten.")


def reload(config: Path | None) -> None:
    """Apply the changed configuration file, or say why the old state stays. Raises SettingsError or ControlError."""
    path = find_file(config)
    try:
        reply = ask(state_dir_of(config), {"do": "reload"})
    except ControlError as error:
        if error.code == "not_running":
            raise
        kept = "Giữ nguyên trạng thái cũ. / The old state stays in force."
        raise ControlError(error.code, f"{error}\n{kept}", error.where) from None
    typer.echo(f"Đã áp dụng {path.name}: bản {reply.get('generation', '?')}. / Applied: generation {reply.get('generation', '?')}.")
    for note in reply.get("notes", ()):
        typer.echo(f"  {note}")


def status(config: Path | None, as_json: bool, wait: float | None) -> None:
    """Say how the gateway is. Raises ControlError when it does not run (or is not ready in time)."""
    state_dir = state_dir_of(config)
    reply = wait_until_ready(state_dir, wait) if wait is not None else ask(state_dir, {"do": "status"})
    if as_json:
        typer.echo(json.dumps({name: value for name, value in reply.items() if name != "ok"}, ensure_ascii=False, indent=2))
        return
    for line in describe(reply):
        typer.echo(line)


def describe(reply: Reply) -> list[str]:
    """The status in plain words, Vietnamese then English."""
    ready = bool(reply.get("ready"))
    workers: list[Any] = list(reply.get("workers", ()))  # Any: JSON of the control socket
    lines = ["Đang chạy và sẵn sàng. / Running and ready." if ready else "Đang chạy nhưng chưa sẵn sàng. / Running, but not ready."]
    generation = reply.get("generation")
    lines.append(f"  Bản chính sách / generation: {generation}")
    for number, worker in enumerate(workers):
        if isinstance(worker, dict):
            lines.append(
                f"  Tiến trình / worker {worker.get('worker', number)}: pid {worker.get('pid', '?')}, bản {worker.get('generation', '?')}"
            )
    lines += [f"  {problem}" for problem in reply.get("problems", ()) if isinstance(problem, str)]
    return lines


def mistakes_text(mistakes: tuple[Mistake, ...]) -> str:
    """Several mistakes, one a line, with a count on top."""
    count = len(mistakes)
    return f"{count} lỗi / {count} mistake{'' if count == 1 else 's'}:\n" + "\n".join(f"  {mistake}" for mistake in mistakes)
