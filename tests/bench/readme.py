"""The tables of README.md, ready to be pasted, from what a run measured. Imported by the bench only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.bench.peers import FLOORS

Figures = Mapping[str, Mapping[str, Mapping[str, float]]]
"""By kind of load and server: what `report.summary` says."""

SHOWN = {
    "lachan": "Lá Chắn",
    "dnsdist": "dnsdist",
    "unbound": "Unbound",
    "recursor": "Recursor",
    "bind": "BIND",
    "dnsmasq": "dnsmasq",
    "python": "Python, chỉ tra bảng / looks up, no more",
    "floor": "C, không làm gì / does nothing",
}
ROWS = {
    "hits": "đã biết, UDP / known",
    "hits over TCP": "đã biết, TCP / known",
    "hits over TLS": "đã biết, TLS / known",
    "hits over TLS, one at a time": "đã biết, TLS, từng câu một / known, one at a time",
    "hits over HTTPS": "đã biết, HTTPS / known",
    "hits over HTTPS, one at a time": "đã biết, HTTPS, từng câu một / known, one at a time",
    "misses": "chưa từng hỏi / never asked",
    "mixed": "một phần năm mới / one in five new",
}


def peers_table(figures: Figures, more: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Processor time for each answer, one column a server; `more` are further rows, by their words and the server."""
    found = {name for servers in (*figures.values(), *more.values()) for name in servers}
    names = [name for name in SHOWN if name in found]
    lines = [_row("CPU µs / câu trả lời, answer", [SHOWN[name] for name in names]), "|" + "---|" * (len(names) + 1)]
    for kind, words in ROWS.items():
        if kind in figures:
            best = min((row["micros"] for name, row in figures[kind].items() if name not in FLOORS), default=0.0)
            cells = [_cell(figures[kind].get(name), best) for name in names]
            lines.append(_row(words, cells))
    lines += [_row(words, [cells.get(name, "") for name in names]) for words, cells in more.items()]
    return lines


def _cell(row: Mapping[str, float] | None, best: float) -> str:
    if row is None:
        return ""
    text = f"{row['micros']:.1f}"
    return f"**{text}**" if row["micros"] == best else text


def _row(words: str, cells: Sequence[str]) -> str:
    return "| " + " | ".join((words, *cells)) + " |"


GROWTH_HEAD = (
    "| tên / names | hồ sơ / profiles | µs, đã biết / known | MiB | khởi động / start, s | biên dịch / compile, s |",
    "|---|---|---|---|---|---|",
)
WHOLE_HEAD = (
    "| cả hệ thống, hai nhân, có trang quản trị / a whole installation, two workers, admin on | đo được / measured | mục tiêu / goal |",
    "|---|---|---|",
)
