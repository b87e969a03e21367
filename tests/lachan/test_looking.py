"""Whether the office has news, asked of any web server in some hundred octets."""

from __future__ import annotations

import http.server
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from lachan import following, looking
from lachan.looking import LONGEST, SHORTEST, Looker
from tests.support.publisher import serve_by, serve_drips


@dataclass
class Answer:
    """What the office's server says, and what it was asked."""

    body: bytes = b"one"
    fields: dict[str, str] = field(default_factory=dict)
    status: int = 200
    asked: list[dict[str, str]] = field(default_factory=list)


@pytest.fixture
def office() -> Iterator[tuple[Answer, str]]:
    """A server of one file, and its address."""
    answer = Answer()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer.asked.append({"path": self.path, **{name.lower(): value for name, value in self.headers.items()}})
            known = self.headers.get("If-None-Match")
            same = known is not None and known == answer.fields.get("ETag")
            self.send_response(304 if same else answer.status)
            for name, value in answer.fields.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"" if same else answer.body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with serve_by(Handler) as url:
        yield answer, url


def test_only_another_file_is_news(office: tuple[Answer, str]) -> None:
    """The first look knows nothing before; then the same file is none, another one is, once."""
    answer, url = office
    looker = Looker(f"{url}/release/")
    assert [looker.look() for _ in range(2)] == [False, False]
    answer.body = b"two"
    assert [looker.look() for _ in range(2)] == [True, False]
    assert {row["path"] for row in answer.asked} == {"/release/metadata/timestamp.json"}


def test_what_is_known_is_not_sent_again(office: tuple[Answer, str]) -> None:
    """The tag of the last answer goes with the question; a time of change does not, two releases may have the same."""
    answer, url = office
    answer.fields = {"ETag": '"1"', "Last-Modified": "Thu, 26 Nov 2026 08:00:00 GMT", "Cache-Control": "max-age=20"}
    looker = Looker(url)
    assert [looker.look() for _ in range(2)] == [False, False]
    assert answer.asked[1]["if-none-match"] == '"1"' and "if-modified-since" not in answer.asked[1]
    assert looker.pause == 20
    answer.fields["ETag"], answer.body = '"2"', b"two"
    assert looker.look()


@pytest.mark.parametrize(
    ("said", "pause"),
    [
        ("max-age=20", 20.0), ("public, max-age=75, must-revalidate", 75.0), ("max-age=0", SHORTEST), ("max-age=86400", LONGEST),
        ("no-cache", None), ("s-maxage=9", None), ("max-age=x", None), ("max-age=-1", None), ("", None),
    ],
)  # fmt: skip
def test_the_server_says_how_often(office: tuple[Answer, str], said: str, pause: float | None) -> None:
    """Within bounds; a server that says nothing is asked with the rounds alone."""
    answer, url = office
    answer.fields = {"Cache-Control": said} if said else {}
    looker = Looker(url)
    assert looker.pause is None
    looker.look()
    assert looker.pause == pause


def test_who_cannot_be_asked_has_no_news(office: tuple[Answer, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody there, an error, something endless or something else than HTTP: none, and what was seen before is kept."""
    answer, url = office
    looker = Looker(url)
    looker.look()
    answer.status, answer.body = 503, b"two"
    assert not looker.look()
    answer.status, answer.body = 200, bytes(looking.MOST + 1)
    assert not looker.look()
    answer.body = b"one"
    assert not looker.look()
    assert not Looker("http://127.0.0.1:9").look() and not Looker("").look() and not Looker("http://[").look()
    monkeypatch.setattr(looking, "LOOK_SECONDS", 0.5)
    with serve_drips() as slow:
        began = time.monotonic()
        assert not Looker(slow).look()
        assert time.monotonic() - began < 5


def test_news_ends_the_wait_and_silence_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """With news the next round begins; without a word of the server, or without news, it begins when it is due."""
    slept: list[float] = []
    now = [0.0]

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    class Scripted(Looker):
        def __init__(self, pause: float | None, *said: bool) -> None:
            super().__init__("")
            self.said, self.seconds = list(said), pause

        @property
        def pause(self) -> float | None:
            return self.seconds

        def look(self) -> bool:
            return self.said.pop(0) if self.said else False

    monkeypatch.setattr(following.time, "sleep", sleep)
    monkeypatch.setattr(following.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(following.random, "uniform", lambda low, high: 1.0)
    for looker, wanted in ((Scripted(None), [300.0]), (Scripted(100.0), [100.0] * 3), (Scripted(20.0, False, True), [20.0] * 2)):
        slept.clear()
        following.wait_for_news(looker)
        assert slept == wanted
