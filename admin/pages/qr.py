"""A QR code as the outline of a drawing, so that a page can carry it without a second request: secrets shown once have no address."""

from __future__ import annotations

from dataclasses import dataclass

import segno


@dataclass(frozen=True, slots=True)
class QrPicture:
    """Draw `path` in a box of `size` by `size`; the quiet zone is included."""

    size: int
    path: str


def draw_qr(text: str) -> QrPicture:
    """The code for a text, rows of dark modules as rectangles one unit high."""
    code = segno.make(text, error="m", micro=False)
    border = 2
    parts: list[str] = []
    rows = [list(row) for row in code.matrix_iter(border=border)]
    for y, row in enumerate(rows):
        x = 0
        while x < len(row):
            if row[x]:
                end = x
                while end < len(row) and row[end]:
                    end += 1
                parts.append(f"M{x} {y}h{end - x}v1h-{end - x}z")
                x = end
            x += 1
    return QrPicture(len(rows), "".join(parts))
