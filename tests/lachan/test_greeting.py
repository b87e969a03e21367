"""What `make run` says: the lines to try, who sees the names, the router setting."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from gateway.servers import parse_server
from gateway.settings import Endpoint, UpstreamSettings
from lachan.configuration import load
from lachan.first_run import write_default
from lachan.greeting import Outlook, answers, greeting, outlook
from tests.support.gateway import RunningUpstream


def seen(**changes: object) -> Outlook:
    """A first run as it usually is."""
    upstreams = UpstreamSettings((parse_server("udp://192.0.2.1"),), "fastest", {}, 1.5, "system")
    base = Outlook(Endpoint("127.0.0.1", 5300), True, "127.0.0.2", Endpoint("127.0.0.1", 9153), None, upstreams, (), None, "lachan.yaml")
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


def test_lines_to_try_are_exact() -> None:
    """One blocked, one open, one rewritten, and one from the adult's address."""
    text = "\n".join(greeting(seen()))
    for line in [
        "dig @127.0.0.1 -p 5300 facebook.com ",
        "dig @127.0.0.1 -p 5300 vn-cop.vn ",
        "dig @127.0.0.1 -p 5300 www.google.com ",
        "dig @127.0.0.1 -p 5300 -b 127.0.0.2 facebook.com ",
    ]:
        assert line in text


def test_it_says_who_sees_the_names_in_both_languages() -> None:
    """The upstream is named, and how to choose another."""
    text = "\n".join(greeting(seen()))
    assert "Ai thấy các tên miền được hỏi: udp://192.0.2.1:53" in text
    assert "Who sees the names that are asked: udp://192.0.2.1:53" in text
    assert "upstreams.servers" in text
    assert "NOTE" not in text


def test_silent_upstream_is_named() -> None:
    """A person learns at once that nothing can be resolved yet."""
    text = "\n".join(greeting(seen(silent=(parse_server("udp://192.0.2.1"),))))
    assert "NOTE: no answer from: udp://192.0.2.1:53. Open names cannot be resolved yet" in text


def test_lan_prints_the_router_setting() -> None:
    """The number to type into the router stands there."""
    text = "\n".join(greeting(seen(lan=Endpoint("192.168.1.2", 53))))
    assert "set the DNS server to 192.168.1.2" in text
    assert "đặt máy chủ DNS là 192.168.1.2" in text
    assert "đang chạy ở 127.0.0.1:5300 và 192.168.1.2:53 " in text
    assert "thêm từng máy ở mục clients" in text
    pages = "\n".join(greeting(seen(lan=Endpoint("192.168.1.2", 53), admin="https://192.168.1.2:8443")))
    assert "Máy nào của ai: chọn ở trang quản trị." in pages and "clients" not in pages


@pytest.mark.parametrize(
    ("child", "adult", "expected"), [(False, None, "as this machine's profile says"), (True, "127.0.0.9", "-b 127.0.0.9")]
)
def test_lines_follow_the_profiles_of_the_file(child: bool, adult: str | None, expected: str) -> None:
    """Nothing is promised that the file does not say."""
    assert expected in "\n".join(greeting(seen(child=child, adult=adult)))


def test_outlook_is_read_from_the_first_configuration(tmp_path: Path) -> None:
    """The sample file has a child on 127.0.0.1 and an adult on 127.0.0.2."""
    found = outlook(load(write_default(tmp_path / "lachan.yaml")), None, ())
    assert (True, "127.0.0.2", Endpoint("127.0.0.1", 5300)) == (found.child, found.adult, found.dns)


def test_upstream_is_probed_by_a_real_question() -> None:
    """One that answers is told from one that does not."""
    with RunningUpstream() as upstream:
        assert answers(parse_server(f"udp://127.0.0.1:{upstream.port}"))
        assert answers(parse_server(f"tcp://127.0.0.1:{upstream.port}"))
    assert not answers(parse_server(f"tcp://127.0.0.1:{upstream.port}"))
