"""The picture of a week shows what the hours say."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from admin.catalogue import read_shipped
from admin.hours import Hours, paint_week
from admin.pages.weekgrid import LEFT, WIDTH, draw_week, monday_of, short_day
from admin.pages.words import load_words
from admin.values import Days, HoursEffect

WORDS = load_words()
HERE = datetime(2026, 10, 14, 5, 0, tzinfo=UTC).astimezone(ZoneInfo("Asia/Ho_Chi_Minh"))


def test_draw_week_covers_every_day_from_edge_to_edge() -> None:
    """Seven rows without gaps, coloured where hours hold, over midnight too."""
    rows = [Hours(Days.EVERY, "21:00", "06:00", HoursEffect.REST), Hours(Days.WEEKEND, "12:00", "13:00", HoursEffect.OFFLINE)]
    grid = paint_week(rows, read_shipped(), date(2026, 10, 12))
    picture = draw_week(grid, WORDS["vi"], HERE)
    for day in range(7):
        y = {block.y for block in picture.blocks}
        own = [block for block in picture.blocks if block.y == sorted(y)[day]]
        assert sum(block.width for block in own) == WIDTH
        kinds = [block.kind for block in own]
        assert kinds == (["rest", "free", "off", "free", "rest"] if day >= 5 else ["rest", "free", "rest"])
    assert (picture.now_x, picture.now_y) == (LEFT + WIDTH // 2, sorted({block.y for block in picture.blocks})[2])


def test_days_have_their_short_names() -> None:
    """T2 to CN, Mo to Su."""
    assert [short_day(day, WORDS["vi"]) for day in range(7)] == ["T2", "T3", "T4", "T5", "T6", "T7", "CN"]
    assert short_day(0, WORDS["en"]) == "Mo"
    assert monday_of(date(2026, 10, 18)) == date(2026, 10, 12)
