"""Static files: named by their content, kept by browsers, and nothing else on the disk."""

from __future__ import annotations

import pytest

from admin.pages.assets import FOLDER, Assets
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
