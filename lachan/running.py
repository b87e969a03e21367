"""Commands that talk to a running gateway: status, reload, flush. Only `lachan` imports this module."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from gateway.configuration import check_gateway
from gateway.errors import ControlError, SettingsError
from gateway.standing import OTHER_LIST
from gateway.upstreams import Fault
from gateway.upstreams.conclusion import is_about_certificate
from gateway.upstreams.tls import CERTIFICATE
from gateway.yamlfile import Document, parse, read_text
from lachan.configuration import find_file
from lachan.control import Reply, ask, wait_until_ready


def state_dir_of(config: Path | None) -> Path:
    """The state directory the file names, even when the file has mistakes elsewhere. Raises SettingsError."""
    path = find_file(config)
    text = read_text(path)
    try:
        document = parse(text, path)
    except SettingsError:
        document = _line_of("state_dir", text, path)
    settings, mistakes = check_gateway(document)
    if settings is not None:
        return settings.state_dir
    if document.value is None and not (path.resolve().parent / "var").is_dir():
        raise SettingsError(mistakes)  # nothing says where the state is
    written = document.value.get("state_dir", "./var") if isinstance(document.value, dict) else "./var"
    if not isinstance(written, str):
        raise SettingsError(mistakes)
    return path.resolve().parent / written


def _line_of(key: str, text: str, path: Path) -> Document:
    """A file that is no YAML, as far as one line of it is: enough to ask the gateway that still runs with what it read before. Raises
    SettingsError when that line is wrong, too."""
    line = next((line for line in text.splitlines() if line.startswith(f"{key}:")), "")
    return parse(line or "{}", path)


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


def status(config: Path | None, as_json: bool, wait: float | None, try_name: bool = False) -> None:
    """Say how the gateway is, with `try_name` whether a real name resolves, too. Raises ControlError when it does not run (or is not ready
    in time), and typer.Exit with status 1 when no name resolves."""
    state_dir = state_dir_of(config)
    reply = wait_until_ready(state_dir, wait) if wait is not None else ask(state_dir, {"do": "status"})
    if as_json:
        typer.echo(json.dumps({name: value for name, value in reply.items() if name != "ok"}, ensure_ascii=False, indent=2))
        return
    for line in describe(reply):
        typer.echo(line)
    if try_name:
        from lachan.realname import ANSWERED, UNANSWERED, resolves

        is_well = resolves(reply)
        typer.echo(ANSWERED if is_well else UNANSWERED)
        if not is_well:
            raise typer.Exit(1)


STATES = {
    "ready": ("Đang chạy và sẵn sàng.", "Running and ready."),
    "starting": ("Đang khởi động.", "Starting."),
    "degraded": ("Đang chạy, có phần chưa ổn.", "Running, with a fault."),
    "leaving": (
        "Vẫn trả lời; đang trao chỗ cho chương trình mới, hoặc đang lấy lại.",
        "Answering; giving its place to a new program, or taking it back.",
    ),
    "stopping": ("Đang dừng.", "Stopping."),
}


def describe(reply: Reply) -> list[str]:
    """The status in plain words, Vietnamese then English."""
    vi, en = STATES.get(str(reply.get("state")), ("Không rõ.", "Unknown."))
    lines = [f"{vi} / {en}", *(f"  ! {fault}" for fault in reply.get("faults", ()))]
    listen = ", ".join(f"{row['address']} ({row['transport']})" for row in reply.get("listen", ()))
    lines.append(f"  nghe ở / listening on: {listen}")
    lines.append(f"  bản chính sách / generation: {reply.get('generation')}, từ / since {reply.get('generation_in_force_since')}")
    for worker in reply.get("workers", ()):
        restarts = f", khởi động lại / restarts {worker['restarts']}" if worker.get("restarts") else ""
        lines.append(f"  tiến trình / worker {worker['index']}: pid {worker['pid']}, bản / generation {worker['generation']}{restarts}")
    for upstream in reply.get("upstreams", ()):
        lines.append(f"  máy chủ DNS ngoài / upstream {upstream['upstream']}: {_describe_upstream(upstream)}")
    entries = sum(int(row["entries"]) for row in reply.get("lists", ()))
    lines.append(f"  danh sách / lists: {len(reply.get('lists', ()))}, {f'{entries:,}'.replace(',', '.')} mục / entries")
    if reply.get("follow"):
        lines.append(_describe_follow(reply["follow"]))
    lines += [_describe_zone(zone) for zone in reply.get("zones") or ()]
    if (reply.get("clock") or {}).get("test"):
        lines.append("  CHÚ Ý: đồng hồ thử nghiệm đang bật. / NOTE: the test clock is on.")
    last = reply.get("last_change") or {}
    if last.get("error"):
        lines.append(
            f"  lần thay đổi gần nhất bị từ chối / the last change was refused: {last['error']} {last.get('where') or ''}".rstrip()
        )
    return lines + [f"  {note}" for note in reply.get("notes", ())]


def _describe_upstream(row: Reply) -> str:
    """How one upstream is, and why nothing comes from it where that is so."""
    if not row.get("asked") and not row.get("failed"):
        return "chưa được hỏi / not asked yet"
    if row.get("up") and row.get("answered", True):
        return f"{row['rtt']} ms"
    detail = str(row.get("detail") or "")
    if row.get("fault") == Fault.TLS.value:
        certificate = is_about_certificate(Fault.TLS, detail)
        why = "chứng chỉ không đáng tin / certificate not trusted" if certificate else "lỗi kết nối mã hóa / no encrypted connection"
        return f"không trả lời / does not answer: {why} ({detail.removeprefix(CERTIFICATE)})"
    return f"không trả lời / does not answer{f' ({detail})' if detail else ''}"


def _describe_follow(follow: Reply) -> str:
    """The office's list in one line: its serial and, when it is not renewed, why and how old what is known of it is."""
    line = f"  danh sách của cơ quan / the office's list: {follow['serial']}"
    if not follow["serial"]:
        line = "  CHƯA CÓ danh sách nào của cơ quan / NONE of the office's lists is in force"
        line += OTHER_LIST.format(serial=follow["other"]) if follow.get("other") else ""
    if not follow.get("code"):
        return line
    if follow["code"] == "word":
        return f"{line}; lời của máy chủ cơ quan hỏng / the word of the office's server cannot be used: {follow['problem']}"
    age = "chưa bao giờ / never" if follow.get("age") is None else f"{follow['age']} s"
    return f"{line}, không nhận được bản mới / nothing newer is taken ({follow['code']}); lần tốt gần nhất / last good: {age}"


def _describe_zone(zone: Reply) -> str:
    """A zone taken from a primary in one line: its serial, and whether and why nothing newer is taken."""
    serial = "chưa có / none yet" if zone.get("serial") is None else str(zone["serial"])
    line = f"  vùng / zone {zone['name']} ({zone['primary']}): {serial}"
    if zone.get("code"):
        age = "chưa bao giờ / never" if zone.get("age") is None else f"{zone['age']} s"
        line += (
            f", không nhận được bản mới / nothing newer is taken ({zone['code']}: {zone['problem']}); lần tốt gần nhất / last good: {age}"
        )
    if zone.get("expired"):
        line += "; quá hạn trong SOA, các quy tắc vẫn giữ / past its SOA's expiry, its rules stay"
    return line
