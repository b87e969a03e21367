"""Commands that talk to a running gateway, against a real supervisor with workers that only say their generation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import ControlError, SettingsError
from lachan.running import describe, flush, reload, state_dir_of, status
from tests.support.echogateway import EchoGateway


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[EchoGateway]:
    """Two workers; the configuration file leads to their state directory."""
    with EchoGateway(tmp_path, workers=2) as started:
        (tmp_path / "lachan.yaml").write_text(f"state_dir: {started.state_dir}\n")
        yield started.start()


def test_status_is_told_in_plain_words(echo: EchoGateway, capsys: pytest.CaptureFixture[str]) -> None:
    """Both languages, every worker with its generation."""
    status(echo.folder / "lachan.yaml", False, None)
    text = capsys.readouterr().out
    assert "Đang chạy và sẵn sàng. / Running and ready." in text
    assert text.count("tiến trình / worker") == 2


def test_status_for_programs_is_json_with_every_worker(echo: EchoGateway, capsys: pytest.CaptureFixture[str]) -> None:
    """The generation in force on every worker."""
    status(echo.folder / "lachan.yaml", True, 10.0)
    document = json.loads(capsys.readouterr().out)
    assert document["state"] == "ready"
    assert {worker["generation"] for worker in document["workers"]} == {document["generation"]}


def test_reload_tells_the_new_generation(echo: EchoGateway, capsys: pytest.CaptureFixture[str]) -> None:
    """What was asked for is in force when the command returns."""
    before = echo.status()["generation"]
    echo.want(text="second")
    reload(echo.folder / "lachan.yaml")
    assert echo.status()["generation"] == before + 1
    assert f"generation {before + 1}" in capsys.readouterr().out


def test_refused_reload_says_why_and_that_nothing_changed(echo: EchoGateway) -> None:
    """The old state stays, and the person is told so."""
    before = echo.status()["generation"]
    echo.want(bad=True)
    with pytest.raises(ControlError, match="The old state stays in force"):
        reload(echo.folder / "lachan.yaml")
    assert echo.status()["generation"] == before


def test_flush_reaches_every_worker(echo: EchoGateway, capsys: pytest.CaptureFixture[str]) -> None:
    """One name or everything."""
    flush(echo.folder / "lachan.yaml", "a.example")
    flush(echo.folder / "lachan.yaml", None)
    assert capsys.readouterr().out.count("forgotten") == 2
    with pytest.raises(ControlError, match="not a domain name"):
        flush(echo.folder / "lachan.yaml", "a..b")


def test_state_directory_is_found_in_a_file_with_mistakes_elsewhere(tmp_path: Path) -> None:
    """A broken file must not keep a person from asking how the gateway is."""
    path = tmp_path / "lachan.yaml"
    path.write_text("state_dir: here\ncache: {entries: lots}\n")
    assert state_dir_of(path) == tmp_path / "here"
    path.write_text("state_dir: [a]\n")
    with pytest.raises(SettingsError):
        state_dir_of(path)


def test_description_names_what_is_wrong() -> None:
    """Faults, dead upstreams, the test clock, the refused change."""
    lines = "\n".join(
        describe(
            {
                "state": "degraded",
                "faults": ["worker 1 does not answer"],
                "upstreams": [
                    {"upstream": "udp://192.0.2.1:53", "up": False, "rtt": 0.0, "asked": 3},
                    {"upstream": "udp://192.0.2.2:53", "up": True, "rtt": 0.0, "asked": 0, "failed": 0},
                    {"upstream": "udp://192.0.2.3:53", "up": True, "rtt": 4.2, "asked": 2, "answered": 2, "failed": 0},
                    {"upstream": "tcp://192.0.2.4:53", "up": False, "failed": 3, "fault": "network", "detail": "Connection refused"},
                    {"upstream": "tls://192.0.2.5:853", "up": False, "failed": 3, "fault": "tls", "detail": "certificate: too old"},
                    {"upstream": "tls://192.0.2.6:853", "up": True, "answered": 0, "failed": 1, "fault": "tls", "detail": "EOF"},
                ],
                "clock": {"test": True},
                "follow": {"serial": 7, "code": "unreachable", "age": 90},
                "last_change": {"error": "broken", "where": "files/x"},
                "notes": ["a note"],
            }
        )
    )
    for part in [
        "worker 1 does not answer",
        "192.0.2.1:53: không trả lời / does not answer",
        "192.0.2.2:53: chưa được hỏi / not asked yet",
        "192.0.2.3:53: 4.2 ms",
        "192.0.2.4:53: không trả lời / does not answer (Connection refused)",
        "192.0.2.5:853: không trả lời / does not answer: chứng chỉ không đáng tin / certificate not trusted (too old)",
        "192.0.2.6:853: không trả lời / does not answer: lỗi kết nối mã hóa / no encrypted connection (EOF)",
        "test clock is on",
        "broken files/x",
        "a note",
        "the office's list: 7",
        "(unreachable); lần tốt gần nhất / last good: 90 s",
    ]:
        assert part in lines


def test_description_of_a_followed_office() -> None:
    """Its serial alone when all is well; never before a good release, it says so."""
    assert "  danh sách của cơ quan / the office's list: 3" in describe({"follow": {"serial": 3, "code": None, "age": 4}})
    assert "never" in "\n".join(describe({"follow": {"serial": 0, "code": "refused", "age": None}}))
