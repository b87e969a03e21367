"""The drawing of a QR code is the code that the library makes."""

from __future__ import annotations

import re

import segno

from admin.pages.qr import draw_qr


def test_draw_qr_covers_exactly_the_dark_modules() -> None:
    """Every dark module is inside one rectangle, no light one is; a quiet zone is around it."""
    text = "https://lachan.example.vn/family/abcde-fghjk"
    picture = draw_qr(text)
    dark = set()
    for x, y, width in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\d+z", picture.path):
        dark |= {(int(x) + step, int(y)) for step in range(int(width))}
    rows = list(segno.make(text, error="m", micro=False).matrix_iter(border=2))
    assert dark == {(x, y) for y, row in enumerate(rows) for x, module in enumerate(row) if module}
    assert picture.size == len(rows)
    assert not {(x, y) for x, y in dark if 0 in (x, y)}
