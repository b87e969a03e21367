"""Anybody reads the guides, before there is an account; pictures come from here."""

from __future__ import annotations

from tests.support.visitor import Visitor


async def test_guides_are_read_without_an_account(visitor: Visitor) -> None:
    """From the list to each guide and its first picture."""
    await visitor.get("/guide")
    guides = [link for link in visitor.links if link.startswith("/guide/") and link != "/guide/box"]
    assert len(guides) == 4
    for guide in guides:
        assert (await visitor.get(guide)).status_code == 200
        assert "Khi" in visitor.text
        name = visitor.response.text.partition("/guide/pictures/")[2].partition('"')[0]
        assert (await visitor.get(f"/guide/pictures/{name}")).headers["content-type"] == "image/webp"
    assert (await visitor.get("/guide/khac")).status_code == 404
    assert (await visitor.get("/guide/pictures/khac.webp")).status_code == 404
