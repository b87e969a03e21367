"""What `make run` says once names are answered: what runs, the exact lines to try, who sees the names. Only `lachan` imports this module.

Vietnamese first, English below it. The text is made from what the gateway really does: the status it reports and the upstreams it reaches.
"""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import segno

from gateway.errors import ControlError
from gateway.settings import Endpoint, UpstreamAddress, UpstreamSettings
from lachan.configuration import Configuration

BLOCKED, OPEN, REWRITTEN = "facebook.com", "vn-cop.vn", "www.google.com"
READY_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the greeting says something about. `silent` are the upstreams that did not answer."""

    dns: Endpoint
    child: bool
    adult: str | None
    metrics: Endpoint | None
    admin: str | None
    upstreams: UpstreamSettings
    silent: tuple[UpstreamAddress, ...]
    lan: Endpoint | None
    file: str


def greet_when_ready(configuration: Configuration, lan: Endpoint | None) -> None:
    """Leave a process behind that waits until names are answered, writes the greeting and ends. Called before anything else is started."""
    supervisor = os.getpid()
    if os.fork():
        os.wait()
        return
    if os.fork():
        os._exit(0)
    try:
        _wait_and_greet(configuration, lan, supervisor)
    finally:
        os._exit(0)


def _wait_and_greet(configuration: Configuration, lan: Endpoint | None, supervisor: int) -> None:
    from lachan.control import wait_until_ready

    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end:
        try:
            reply = wait_until_ready(configuration.gateway.state_dir, 1.0)
        except ControlError:
            reply = {}
        if not _is_alive(supervisor):
            return
        if reply.get("pid") != supervisor:  # nobody yet, or another gateway that runs there already
            time.sleep(0.05)
            continue
        silent = tuple(server for server in configuration.gateway.upstreams.servers if not answers(server))
        sys.stdout.write("\n".join(greeting(outlook(configuration, lan, silent))) + "\n")
        sys.stdout.flush()  # nobody waits for the picture to read how to ask
        if lan is not None and configuration.admin is not None:
            sys.stdout.write(_wait_for_picture(configuration, supervisor))
        sys.stdout.flush()
        return


def _wait_for_picture(configuration: Configuration, supervisor: int) -> str:
    """The picture once the pages have made their link; nothing when they made none, or the gateway ended."""
    for _ in range(300):  # a small machine takes its time to make the pages
        if picture := set_up_picture(configuration):
            return picture
        if not _is_alive(supervisor):
            break
        time.sleep(0.1)
    return ""


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def answers(server: UpstreamAddress) -> bool:
    """Whether an upstream answers a question for the root's name servers within two seconds."""
    import dns.exception
    import dns.message
    import dns.query

    question = dns.message.make_query(".", "NS")
    ask = dns.query.tcp if server.scheme == "tcp" else dns.query.udp
    try:
        ask(question, server.address, 2.0, server.port)
    except (OSError, EOFError, dns.exception.DNSException):
        return False
    return True


def outlook(configuration: Configuration, lan: Endpoint | None, silent: Sequence[UpstreamAddress]) -> Outlook:
    """Gather what the greeting needs from the settings."""
    gateway = configuration.gateway
    bands = {profile["id"]: profile["band"] for profile in gateway.policy["profiles"]}
    by_match = {match: bands.get(client["profile"]) for client in gateway.policy["clients"] for match in client["match"]}
    adult = next((match for match, band in by_match.items() if band == "NL" and match.startswith("127.")), None)
    loopback = next((endpoint for endpoint in gateway.dns.listen if endpoint.host == "127.0.0.1"), None)
    return Outlook(
        dns=loopback or gateway.dns.listen[0],
        child=by_match.get("127.0.0.1") == "TH",
        adult=adult,
        metrics=gateway.metrics,
        admin=_pages(configuration),
        upstreams=gateway.upstreams,
        silent=tuple(silent),
        lan=lan,
        file=os.path.relpath(configuration.path),
    )


def _pages(configuration: Configuration) -> str | None:
    """The address of the pages, None without them."""
    from lachan.run import has_admin

    if configuration.admin is None or not has_admin():
        return None
    from admin.setup import public_url

    return public_url(configuration.admin)


def set_up_picture(configuration: Configuration) -> str:
    """The one-time link as a QR for the terminal, with the certificate's fingerprint; empty when somebody has set up already."""
    from admin.owncertificate import terminal_lines
    from admin.setup import read_token, setup_link

    settings = configuration.admin
    token = read_token(settings.state_dir) if settings is not None else None
    if settings is None or token is None:
        return ""
    out = io.StringIO()
    segno.make(setup_link(settings, token), error="l").terminal(out, compact=True)
    text = "Quét bằng điện thoại để cài đặt / scan with a phone to set up:\n" + out.getvalue()
    own = terminal_lines(settings)
    return f"{text}\n{own}" if own else text


def greeting(seen: Outlook) -> Iterator[str]:
    """The text, line by line."""
    yield ""
    places = [str(seen.dns), *([str(seen.lan)] if seen.lan and seen.lan != seen.dns else [])]
    yield f"Lá Chắn DNS đang chạy ở {' và '.join(places)} (UDP và TCP). Dừng: Ctrl-C."
    yield f"Lá Chắn DNS is running on {' and '.join(places)} (UDP and TCP). Stop it with Ctrl-C."
    if seen.metrics:
        yield f"  số liệu / numbers: http://{seen.metrics}/metrics    tình trạng / status: http://{seen.metrics}/api/v1/status"
    if seen.admin:
        yield f"  trang quản trị / admin pages: {seen.admin}/"
    yield f"  cấu hình / configuration: {seen.file} (sửa rồi / change it, then: {_own_command()} reload)"
    yield ""
    yield from _lines_to_try(seen)
    yield ""
    yield from _who_sees(seen)
    if seen.lan:
        yield ""
        yield from _router(seen.lan, has_pages=seen.admin is not None)
    yield ""


def _lines_to_try(seen: Outlook) -> Iterator[str]:
    dig = f"dig @{seen.dns.host} -p {seen.dns.port}"
    yield "Thử ngay, từ một cửa sổ khác / try it, from another window:"
    if seen.child:
        yield f"  {dig} {BLOCKED}".ljust(64) + "# bị chặn với em bé chín tuổi / blocked for a nine-year-old"
    else:
        yield f"  {dig} {BLOCKED}".ljust(64) + "# theo hồ sơ của máy này / as this machine's profile says"
    yield f"  {dig} {OPEN}".ljust(64) + "# luôn mở: trang trợ giúp / always open: a help site"
    yield f"  {dig} {REWRITTEN}".ljust(64) + "# tìm kiếm an toàn / led to safe search"
    if seen.adult:
        yield f"  {dig} -b {seen.adult} {BLOCKED}".ljust(64) + "# mở với người lớn / open for an adult"
    yield f"  không có dig / without dig: {_own_command()} query {BLOCKED} @{seen.dns}"


def _own_command() -> str:
    path = os.path.relpath(sys.argv[0])
    return path if not path.startswith("..") else "lachan"


def _who_sees(seen: Outlook) -> Iterator[str]:
    names = ", ".join(server.label for server in seen.upstreams.servers)
    origin = {
        "file": ("do tệp cấu hình chọn", "chosen in the configuration file"),
        "system": ("máy chủ của hệ thống này, nên không thêm ai thấy", "this system's own resolver, so nobody new sees them"),
        "fallback": ("hệ thống không có máy chủ nào", "the system has no resolver of its own"),
    }[seen.upstreams.origin]
    yield f"Ai thấy các tên miền được hỏi: {names} ({origin[0]})."
    yield f"Who sees the names that are asked: {names} ({origin[1]})."
    yield "  Máy chủ công cộng ở nước ngoài thấy mọi tên; máy chủ của nhà mạng có thể tự chặn thêm; chọn máy chủ khác: upstreams.servers."
    yield "  A public resolver abroad sees every name; an ISP's may block on its own; choose another with upstreams.servers."
    if seen.silent:
        silent = ", ".join(server.label for server in seen.silent)
        everyone = len(seen.silent) == len(seen.upstreams.servers)
        yield f"  CHÚ Ý: không trả lời: {silent}." + (" Tên được mở sẽ chưa phân giải được; tên bị chặn vẫn bị chặn." if everyone else "")
        yield f"  NOTE: no answer from: {silent}." + (" Open names cannot be resolved yet; blocked names stay blocked." if everyone else "")


def _router(lan: Endpoint, *, has_pages: bool) -> Iterator[str]:
    yield f"Trên bộ phát Wi-Fi (phần DHCP hoặc LAN), đặt máy chủ DNS là {lan.host}, và để trống máy chủ thứ hai."
    yield f"On the router (under DHCP or LAN), set the DNS server to {lan.host} and leave the second one empty."
    if has_pages:
        yield "  Máy nào của ai: chọn ở trang quản trị. Máy chưa ai đặt tên theo quy định chặt nhất."
        yield "  Whose device it is: say so in the admin pages. A device that nobody has named gets the strictest rules."
    else:
        yield "  Máy chưa khai báo dùng hồ sơ mặc định; thêm từng máy ở mục clients."
        yield "  Devices that are not listed use the default profile; add each of them under clients."
