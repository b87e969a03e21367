"""Static files: named by their content, kept by browsers, and nothing else on the disk."""

from __future__ import annotations

import re

import pytest

from admin.pages.assets import FOLDER, Assets
from admin.pages.render import TEMPLATES
from tests.support.visitor import Visitor


async def test_versioned_file_is_kept_for_a_year(visitor: Visitor) -> None:
    """The address changes with the content, so the copy in the browser never lies."""
    response = await visitor.http.get(Assets().address("lachan.css"))
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/css")
    assert "immutable" in response.headers["cache-control"]


async def test_file_without_its_version_is_asked_again(visitor: Visitor) -> None:
    """An old address gives the new content, and says when nothing changed."""
    response = await visitor.http.get("/static/lachan.css")
    assert response.headers["cache-control"] == "public, no-cache"
    again = await visitor.http.get("/static/lachan.css", headers={"If-None-Match": response.headers["etag"]})
    assert again.status_code == 304


async def test_text_files_go_compressed_and_pages_never(visitor: Visitor) -> None:
    """An old phone gets a quarter of the letters; a page carries a secret beside other people's words, so it is sent as it is."""
    plain = await visitor.http.get("/static/lachan.css", headers={"Accept-Encoding": "gzip;q=0, br"})
    packed = await visitor.http.get("/static/lachan.css", headers={"Accept-Encoding": "br, gzip"})
    assert (plain.headers.get("content-encoding"), packed.headers["content-encoding"]) == (None, "gzip")
    assert packed.content == plain.content
    assert int(packed.headers["content-length"]) * 3 < int(plain.headers["content-length"])
    assert plain.headers["etag"] != packed.headers["etag"]
    assert plain.headers["vary"] == packed.headers["vary"] == "Accept-Encoding"
    assert "content-encoding" not in (await visitor.http.get("/static/icon-192.png", headers={"Accept-Encoding": "gzip"})).headers
    assert "content-encoding" not in (await visitor.http.get("/sign-in", headers={"Accept-Encoding": "gzip"})).headers


@pytest.mark.parametrize("path", ["/static/nothing.css", "/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static/"])
async def test_nothing_else_is_served(visitor: Visitor, path: str) -> None:
    """No path of the disk is built from a request."""
    assert (await visitor.http.get(path)).status_code == 404


def test_files_stay_small() -> None:
    """An old phone on a slow line gets everything in one breath."""
    assert sum(path.stat().st_size for path in FOLDER.iterdir() if path.suffix in (".css", ".js", ".svg")) < 80_000
    assert (FOLDER / "child.css").stat().st_size < 8_000


def test_address_of_a_missing_file_is_a_mistake() -> None:
    """A template that names a file that is not there fails its test."""
    with pytest.raises(KeyError):
        Assets().address("missing.css")


def test_every_picture_that_a_page_names_is_in_the_sprite() -> None:
    """A picture with a wrong name is an empty gap that no error tells."""
    drawn = set(re.findall(r'id="([\w-]+)"', (FOLDER / "icons.svg").read_text(encoding="utf-8")))
    named: dict[str, str] = {}
    for path in sorted(TEMPLATES.rglob("*.html")):
        text = path.read_text(encoding="utf-8")
        for call in re.findall(r"\bicon\(((?:[^()]|\([^()]*\))*)\)", text):
            literals = re.findall(r'"([\w-]+)"(?!\s*:)', re.sub(r', "(big|huge)"$|\[[^\]]*\]|[=!]= "\w+"', "", call))
            named |= dict.fromkeys(literals, path.name)
        named |= dict.fromkeys(re.findall(r'\b(?:tab|item)\("[^"]*", "([\w-]+)"', text), path.name)
    assert {"home", "moon", "search", "journal"} <= set(named)
    assert {name: where for name, where in named.items() if name not in drawn} == {}
