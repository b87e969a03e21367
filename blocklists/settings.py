"""Settings of the lists: `lists`, `lists_fetch`, `rpz` and `takedown`, as written and resolved.

`blocklists` and the packages above may import this module.
Paths are absolute after resolution; times are seconds, sizes are bytes. Whether a category exists is judged against the catalogue by
`check_lists`, so that a typo is found by `lachan check` and not by the first compilation.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Field

from blocklists.zonesettings import RpzFile, RpzSettings, copy_of_zone, read_primary
from gateway.errors import Mistake
from gateway.sections import Identifier, Seconds, Section, Size, Text, check, key, nearest
from gateway.yamlfile import Document, Keys

Level = Literal["province", "school", "parent"]
Action = Literal["block", "allow"]
ListFormat = Literal["auto", "hosts", "domains", "adblock", "rpz", "csv"]

ORDER_ONLY = frozenset({"order", "dist"})
"""Categories that only numbered orders fill (never a list)."""

Item = TypeVar("Item", bound=Section)


@dataclass(frozen=True, slots=True)
class ListSettings:
    """One list: a file (`path`) or a subscription (`url`), either feeding a `category` or stating the `action` of a `level`."""

    id: str
    category: str | None = None
    action: Action | None = None
    level: Level = "province"
    path: Path | None = None
    url: str | None = None
    format: ListFormat = "auto"
    refresh: float = 86_400.0
    allow_rewrites: bool = False
    title: str = ""


@dataclass(frozen=True, slots=True)
class FetchSettings:
    """How subscriptions are fetched. `allow_private` permits addresses of the inner network; `max_bytes` caps one download,
    `max_records` one transfer of a zone."""

    allow_private: bool = False
    max_bytes: int = 64 * 1024 * 1024
    max_records: int = 2_000_000


@dataclass(frozen=True, slots=True)
class FollowSettings:
    """The office whose signed releases this gateway enforces: where they are, the file of the root that began the trust, and the file of
    keys of sealed segments where no code was used to join."""

    url: str
    root: Path
    keys: Path | None = None


@dataclass(frozen=True, slots=True)
class BlocklistSettings:
    """Everything list preparation is told. `orders_file` is the takedown file, or `follow` an office; `state_dir` holds fetched copies and
    what is compiled."""

    state_dir: Path
    lists: tuple[ListSettings, ...] = ()
    rpz: tuple[RpzSettings, ...] = ()
    orders_file: Path | None = None
    fetch: FetchSettings = FetchSettings()
    follow: FollowSettings | None = None


def _url(text: str) -> str:
    if not re.fullmatch(r"https?://[^\s/@]+(/\S*)?", text):
        raise ValueError(f"'{text[:60]}' is not an address such as https://example.net/list.txt (no user name or password)")
    return text


class ListFile(Section):
    """lists[]"""

    id: Identifier = key(..., "Mã của danh sách.", "Id of the list.", "gambling-vn")
    category: Text | None = key(
        None, "Nhóm mà danh sách này bổ sung tên; bảng độ tuổi quyết định.", "Category the names go into; the matrix decides.", "gamb"
    )
    action: Action | None = key(
        None,
        "Thay cho category: chặn hoặc mở, là ý kiến của cấp level.",
        "Instead of category: block or allow, an opinion of level.",
        "block",
    )
    level: Level = key("province", "Cấp của ý kiến đó.", "Level of that opinion.", "school")
    path: Text | None = key(None, "Tệp danh sách.", "File of the list.", "lists/gambling.hosts.txt")
    url: Annotated[Text, AfterValidator(_url)] | None = key(
        None, "Địa chỉ tải danh sách (thay cho path).", "Address to fetch it from (instead of path).", '"https://example.net/list.txt"'
    )
    format: ListFormat = key("auto", "Định dạng; auto tự nhận ra.", "Format; auto finds out.", "auto")
    refresh: Seconds = key(86_400.0, "Tải lại sau bao lâu.", "Fetched again after this.", "24h")
    allow_rewrites: bool = key(
        False, "Cho phép danh sách chuyển tên sang địa chỉ khác.", "Whether the list may lead names to foreign addresses.", "false"
    )
    title: Text = key("", "Tên gọi của danh sách.", "Title of the list.", "Cờ bạc Việt Nam")


class FetchFile(Section):
    """lists_fetch:"""

    allow_private: bool = key(False, "Cho phép tải từ mạng nội bộ.", "Whether lists may come from the inner network.", "false")
    max_bytes: Size = key(64 * 1024 * 1024, "Kích thước tối đa một lần tải.", "Largest download.", "64MiB")
    max_records: Annotated[int, Field(ge=1, le=20_000_000)] = key(
        2_000_000, "Số bản ghi tối đa của một vùng nhận từ máy chính.", "Most records of a zone taken from a primary.", "2000000"
    )


class FollowFile(Section):
    """takedown.follow:"""

    url: Annotated[Text, AfterValidator(_url)] = key(
        ..., "Nơi cơ quan công bố các bản có chữ ký.", "Where the office publishes its signed releases.", '"https://danhsach.example.vn/"'
    )
    root: Text = key(
        ..., "Tệp gốc tin cậy do cơ quan trao (root.json).", "File of the root of trust, handed over by the office.", "root.json"
    )
    keys: Text | None = key(
        None,
        "Tệp khóa của các tên được che (lachan release keys ở cơ quan), khi máy này không kết nối bằng mã.",
        "File of the keys of masked names (lachan release keys at the office), where no code was used to join.",
        "release.keys",
    )


class TakedownFile(Section):
    """takedown:"""

    file: Text | None = key(
        None, "Tệp các quyết định gỡ chặn theo yêu cầu (một người, không ký).", "File of orders (one person, unsigned).", "orders.yaml"
    )
    follow: FollowFile | None = key(
        None,
        "Theo danh sách có chữ ký của một cơ quan (thay cho file); mất liên lạc thì giữ bản tốt gần nhất.",
        "Follow the signed list of an office (instead of file); out of touch, the last good release stays in force.",
        '{url: "https://danhsach.example.vn/", root: root.json}',
    )


class BlocklistsFile(Section):
    """The sections of the lists, by name."""

    lists: list[ListFile] = key([], "Các danh sách tên miền.", "Lists of names.", "[{id: ads, category: ads, path: ads.txt}]")
    lists_fetch: FetchFile = key(FetchFile(), "Cách tải danh sách.", "How lists are fetched.", "{max_bytes: 64MiB}")
    rpz: list[RpzFile] = key(
        [], "Vùng RPZ, theo thứ tự ưu tiên.", "RPZ zones, in order of precedence.", "[{name: rpz.example, file: rpz.zone}]"
    )
    takedown: TakedownFile | None = key(None, "Quyết định gỡ chặn.", "Takedown orders.", "{file: orders.yaml}")


def check_lists(
    document: Document,
    state_dir: Path,
    categories: Collection[str] = (),
    good: Collection[str] = (),
    *,
    require_files: bool = True,
) -> tuple[BlocklistSettings | None, list[Mistake]]:
    """Check the sections of the lists. `categories` are the known codes (empty: not judged), `good` those of tier G. Without
    `require_files` a file that is not there is no mistake: at a start the last good copy of it is in force.

    Returns the settings, or None with every mistake.
    """
    value = document.value if isinstance(document.value, dict) else {}
    folder = document.path.resolve().parent if document.path else Path.cwd()
    judge = _Judge(document, folder, state_dir, set(categories), set(good), require_files)
    lists = tuple(judge.read_list(item, keys) for item, keys in judge.items(value, "lists", ListFile))
    zones = tuple(judge.read_zone(item, keys) for item, keys in judge.items(value, "rpz", RpzFile))
    judge.distinct("lists", [item.id for item in lists], "id")
    judge.distinct("rpz", [zone.name for zone in zones], "name")
    rest, found = check(BlocklistsFile, {name: value.get(name) for name in ("lists_fetch", "takedown")}, document)
    judge.mistakes += found
    rest = rest or BlocklistsFile()
    orders, follow = judge.takedown(rest.takedown) if rest.takedown else (None, None)
    if judge.mistakes:
        return None, judge.mistakes
    fetch = FetchSettings(rest.lists_fetch.allow_private, rest.lists_fetch.max_bytes, rest.lists_fetch.max_records)
    return BlocklistSettings(state_dir, lists, zones, orders, fetch, follow), []


class _Judge:
    """What only shows when the keys of an item meet each other, the catalogue and the disk."""

    def __init__(
        self, document: Document, folder: Path, state_dir: Path, categories: set[str], good: set[str], require_files: bool
    ) -> None:
        self.document = document
        self.folder = folder
        self.state_dir = state_dir
        self.categories = categories
        self.good = good
        self.require_files = require_files
        self.mistakes: list[Mistake] = []

    def items(self, value: dict[str, Any], section: str, model: type[Item]) -> Iterator[tuple[Item, Keys]]:  # Any: parsed YAML
        """Check the items of a section one by one, so that a mistake in one hides none in the next."""
        written = value.get(section)
        if written is None:
            return
        if not isinstance(written, list):
            self._mistake((section,), "must be a list")
            return
        for index, entry in enumerate(written):
            item, found = check(model, entry, self.document, (section, index))
            self.mistakes += found
            if item is not None:
                yield item, (section, index)

    def read_list(self, item: ListFile, keys: Keys) -> ListSettings:
        if (item.category is None) == (item.action is None):
            self._mistake(keys, "a list has either a category or an action", "write one of the two")
        if (item.path is None) == (item.url is None):
            self._mistake(keys, "a list has either a path or a url", "write one of the two")
        if item.category is not None:
            self._category(item.category, item.url is not None, (*keys, "category"))
            if item.level != "province":
                self._mistake((*keys, "level"), "level belongs to a list with an action", "the matrix decides about a category")
        path = self.file(item.path, (*keys, "path")) if item.path is not None else None
        return ListSettings(
            item.id, item.category, item.action, item.level, path, item.url, item.format, item.refresh, item.allow_rewrites, item.title
        )

    def _category(self, code: str, by_url: bool, keys: Keys) -> None:
        if code in ORDER_ONLY:
            self._mistake(keys, f"category '{code}' is filled by numbered orders only", "write the names in the takedown file")
        elif code == "help":
            self._mistake(keys, "category 'help' is not filled by lists", "use action: allow for names that must stay open")
        elif self.categories and code not in self.categories:
            self._mistake(keys, f"there is no category '{code[:40]}'", nearest(code, sorted(self.categories - ORDER_ONLY - {"help"})))
        elif code in self.good and by_url:
            self._mistake(keys, f"category '{code}' is never filled from a url", "keep the names in a file of your own (path)")

    def read_zone(self, item: RpzFile, keys: Keys) -> RpzSettings:
        path, primary = self.folder, None
        if (item.file is None) == (item.primary is None):
            self._mistake(keys, "a zone has either its file or a primary", "write one of file: and primary:")
        elif item.primary is not None:
            primary, found = read_primary(item.primary, self.document, self.folder, (*keys, "primary"))
            self.mistakes += found
            path = copy_of_zone(self.state_dir, item.name)
        elif item.file is not None:
            path = self.file(item.file, (*keys, "file"))
        policy, _, target = item.policy.partition(":")
        return RpzSettings(item.name, path, policy, tuple(item.groups), target, primary)

    def takedown(self, written: TakedownFile) -> tuple[Path | None, FollowSettings | None]:
        if (written.file is None) == (written.follow is None):
            self._mistake(("takedown",), "orders come from a file or from an office", "write one of file: and follow:")
        orders = self.file(written.file, ("takedown", "file")) if written.file is not None else None
        if written.follow is None:
            return orders, None
        keys = self.file(written.follow.keys, ("takedown", "follow", "keys")) if written.follow.keys else None
        return orders, FollowSettings(written.follow.url, self.file(written.follow.root, ("takedown", "follow", "root")), keys)

    def file(self, text: str, keys: Keys) -> Path:
        path = (self.folder / text).absolute()
        if self.require_files and not path.is_file():
            self._mistake(keys, f"there is no file {path}", "relative paths start at the configuration file")
        return path

    def distinct(self, section: str, names: list[str], label: str) -> None:
        for index, name in enumerate(names):
            if name in names[:index]:
                self._mistake((section, index, label), f"'{name}' is used twice", f"give each its own {label}")

    def _mistake(self, keys: Keys, message: str, remedy: str = "") -> None:
        self.mistakes.append(Mistake(self.document.place(keys), message, remedy))
