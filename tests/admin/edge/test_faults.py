"""Errors become answers, once: a sentence for people, a code for programs, nothing of what went wrong inside."""

from __future__ import annotations

import logging

import pytest
from fastapi import FastAPI
from starlette.types import ASGIApp

from admin.app import at_the_edge
from admin.dependencies import Services
from admin.edge.faults import answer
from admin.errors import AdminError, Conflict, FieldMistake, InvalidInput, TooManyTries
from admin.pages.phrases import FAULTS
from tests.support.visitor import Visitor

SECRET = "secret-host.example"


@pytest.fixture
def broken(services: Services) -> ASGIApp:
    """An application whose routes fail in every way."""
    app = FastAPI(openapi_url=None)
    app.state.services = services
    for kind in (AdminError, Exception):
        app.add_exception_handler(kind, answer)
    for status in (404, 405):
        app.add_exception_handler(status, answer)

    async def fail(kind: str) -> None:
        errors: dict[str, Exception] = {
            "bug": ZeroDivisionError(SECRET),
            "conflict": Conflict("sign_in_taken", "sign_in"),
            "invalid": InvalidInput(FieldMistake("label", "required"), FieldMistake("band", "unknown")),
            "tries": TooManyTries(61.2),
        }
        raise errors[kind]

    app.get("/page/{kind}")(fail)
    app.get("/api/{kind}")(fail)
    return at_the_edge(app, services, frozenset())


async def test_a_bug_is_a_page_that_says_nothing_of_itself(broken: ASGIApp, caplog: pytest.LogCaptureFixture) -> None:
    """The person reads that nothing was changed; what went wrong goes to the log."""
    browser = Visitor(broken)
    with caplog.at_level(logging.ERROR):
        response = await browser.get("/page/bug")
    assert response.status_code == 500
    assert SECRET not in response.text
    assert "Traceback" not in response.text
    assert any(getattr(record, "event", "") == "admin.failed" for record in caplog.records)
    await browser.close()


async def test_api_errors_have_a_code_and_the_field(broken: ASGIApp) -> None:
    """Programs get stable codes, every mistake with its field, and how long to wait."""
    browser = Visitor(broken)
    conflict, invalid = await browser.get("/api/conflict"), await browser.get("/api/invalid")
    tries, missing = await browser.get("/api/tries"), await browser.get("/api/x/y")
    await browser.close()
    assert (conflict.status_code, conflict.json()) == (409, {"error": {"code": "sign_in_taken", "field": "sign_in"}})
    assert [one["code"] for one in invalid.json()["error"]["fields"]] == ["required", "unknown"]
    assert (tries.status_code, tries.headers["retry-after"]) == (429, "62")
    assert missing.json() == {"error": {"code": "not_found", "field": None}}


async def test_pages_say_what_to_do_in_the_readers_language(broken: ASGIApp) -> None:
    """A fault is one headline and one way on, in Vietnamese and in English."""
    vietnamese, english = Visitor(broken), Visitor(broken, language="en")
    await vietnamese.get("/page/tries")
    await english.get("/page/tries")
    assert "Thử quá nhiều lần" in vietnamese.text
    assert "2 phút" in vietnamese.text
    assert "Too many tries" in english.text
    await vietnamese.close()
    await english.close()


async def test_hostile_paths_are_not_echoed(visitor: Visitor) -> None:
    """A script in an address never comes back in the page that says there is none."""
    response = await visitor.get("/<script>alert(1)</script>")
    assert response.status_code == 404
    assert "<script>alert" not in response.text


async def test_every_code_that_reaches_a_person_has_words() -> None:
    """No error falls back to the words for a bug."""
    kinds = [kind for kind in AdminError.__subclasses__() if kind.__module__ == "admin.errors"]
    shown = {kind.code for kind in kinds} - {"not_signed_in", "confirmation_needed"}
    assert shown <= set(FAULTS)
