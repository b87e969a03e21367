"""The reference of every configuration key, made from the declarations: `python -m lachan.reference deploy/configuration.md`.

A test compares the file with what is made here. Only `lachan` imports this module.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from gateway.sections import KeyHelp, reference

INTRODUCTION = """\
# Cấu hình / Configuration

Một tệp YAML, đọc theo quy tắc YAML 1.2: `off`, `on`, `no` và `21:00` là chữ; khóa viết hai lần, neo (`&`, `*`) và thẻ (`!`) là lỗi.
Đường dẫn tương đối tính từ thư mục của tệp này. `lachan check` nêu mọi lỗi cùng lúc, mỗi lỗi kèm dòng và đường dẫn của khóa.

One YAML file, read by YAML 1.2 rules: `off`, `on`, `no` and `21:00` are text; keys written twice, anchors (`&`, `*`) and tags (`!`) are
mistakes. Relative paths start at the folder of the file. `lachan check` names every mistake at once, each with its line and path.

`lachan reload` (or SIGHUP) applies a changed file; `dns.listen`, `dns.workers`, `dns.user`, `metrics` and `admin` need a restart, and
`reload` says so. A file with a mistake changes nothing. `lachan config show` prints what is in force, secrets masked.

This page is made by `make docs` from the declarations in the code. `[]` marks a list of sections.
"""


def keys() -> Iterator[KeyHelp]:
    """Every key of every package, in the order of the declarations."""
    from admin.settings import AdminFile
    from blocklists.settings import BlocklistsFile
    from gateway.written import GatewayFile

    return chain(reference(GatewayFile), reference(BlocklistsFile), reference(AdminFile))


def page() -> str:
    """The whole page."""
    lines = [INTRODUCTION]
    section = ""
    for key in keys():
        top = key.path.split(".")[0].removesuffix("[]")
        if top != section:
            section = top
            lines += [f"\n## `{top}`\n", "| khóa / key | nghĩa / meaning | mặc định / default | ví dụ / example |", "|---|---|---|---|"]
        lines.append(f"| `{key.path}` | {_cell(key.vi)}<br>{_cell(key.en)} | {_code(key.default)} | {_code(key.example)} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace(">", "&gt;")


def _code(text: str) -> str:
    return f"`{text.replace('|', chr(92) + '|')}`" if text else ""


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
