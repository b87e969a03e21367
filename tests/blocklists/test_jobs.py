"""A whole preparation: from settings to a change the gateway can put in force, over real sockets and files."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from pathlib import Path

import pytest

from blocklists.copies import alone
from blocklists.fetch import Fetcher, FetchLimits
from blocklists.jobs import Inputs, Prepared, accept_held, next_due, prepare
from blocklists.progress import Progress, silent
from blocklists.rejections import Reason
from blocklists.settings import BlocklistSettings, FetchSettings, FollowSettings, ListSettings
from blocklists.zonesettings import RpzSettings
from gateway import release
from gateway.policy.index import ListIndex, Listing
from tests.support.listserver import ListServer, Page

NOW = 1_767_225_600.0
REAL_LISTS = os.environ.get("LACHAN_TEST_LISTS", "")
ORDERS = """\
- {number: 1/QĐ, issuer: Sở, from: 2026-01-01, until: 2026-12-31, items: [ordered.example, facebook.com]}
"""


def _listing(prepared: Prepared, state_dir: Path, key: str) -> Listing:
    index = ListIndex(state_dir, prepared.changes["index"])
    return index.listing(index.lookup(key))


def _inputs(settings: BlocklistSettings, now: float, own_names: tuple[str, ...] = ()) -> Inputs:
    """A preparation without the seed lists, which would only cost time here."""
    return Inputs(settings, now, own_names, seed_dir=settings.state_dir / "no-seeds")


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_preparation_without_any_setting_compiles_what_is_shipped(tmp_path: Path) -> None:
    """A first start needs no download: seeds, services and good names are enough for a generation."""
    prepared = prepare(Inputs(BlocklistSettings(tmp_path), NOW))
    assert release.commit_generation(tmp_path, prepared.changes, NOW) == 1
    assert prepared.report.keys > 1000 and prepared.report.categories["gamb"] > 0
    assert not prepared.report.problems
    assert "social" in _listing(prepared, tmp_path, "com.facebook.www.").categories
    good = _listing(prepared, tmp_path, "vn.gov.moet.").good
    assert good is not None and good.kind == "good"
    assert not any(source.configured for source in prepared.report.sources)


def test_same_input_gives_the_same_change(tmp_path: Path) -> None:
    """Preparing twice, and in another place, names the same files."""
    own = _write(tmp_path / "own.txt", "a.example\nb.example\n")
    changes = []
    for state in ("one", "two", "one"):
        settings = BlocklistSettings(tmp_path / state, (ListSettings("own", category="gamb", path=own),))
        changes.append(prepare(_inputs(settings, NOW)).changes)
    assert changes[0] == changes[1] == changes[2]


def test_lists_zones_and_orders_of_the_settings_reach_the_gateway(tmp_path: Path) -> None:
    """Every kind of source does what the settings say it is for."""
    settings = BlocklistSettings(
        tmp_path / "state",
        lists=(
            ListSettings("bet", category="gamb", path=_write(tmp_path / "bet", "0.0.0.0 bet.example\n0.0.0.0 youtube.com\n10.0.0.1\n")),
            ListSettings("own", action="block", level="school", path=_write(tmp_path / "own", "||own.example^\n@@||good.own.example^\n")),
            ListSettings("books", category="edu", path=_write(tmp_path / "books", "books.example\n")),
        ),
        rpz=(
            RpzSettings("z.example", _write(tmp_path / "zone", "@ SOA . . 7 1 1 1 1\nzone.example CNAME .\n24.0.2.0.192.rpz-ip CNAME .\n")),
        ),
        orders_file=_write(tmp_path / "orders.yaml", ORDERS),
    )
    heard: list[Progress] = []
    prepared = prepare(_inputs(settings, NOW, ("dns.quad9.net",)), progress=heard.append)
    state = settings.state_dir
    assert release.commit_generation(state, prepared.changes, NOW) == 1
    assert "gamb" in _listing(prepared, state, "example.bet.www.").categories
    (block,) = _listing(prepared, state, "example.own.x.").actions
    assert (block.entry.source.level, block.entry.source.allows) == ("school", False)
    assert not _listing(prepared, state, "example.own.good.").actions
    (allow,) = _listing(prepared, state, "example.books.").actions
    assert allow.entry.source.allows
    (zone,) = _listing(prepared, state, "example.zone.").zones
    assert zone.entry.action is not None and zone.entry.action.kind == "nxdomain"
    assert ListIndex(state, prepared.changes["index"]).addresses.of_response(bytes([192, 0, 2, 9]))
    reports = {source.id: source for source in prepared.report.sources}
    assert reports["bet"].rejected == {Reason.IP_ONLY: 1, Reason.SHARED_PLATFORM: 1}
    assert [refusal.name for refusal in reports["bet"].refusals] == ["youtube.com"]
    orders = prepared.changes["orders"]
    assert orders is not None and (orders["serial"], orders["origin"]) == (1, "file")
    assert release.read_file(state, orders["segments"][0])["entries"] == [["example.ordered.", 0, 0]]
    assert prepared.report.orders is not None and prepared.report.orders.rejected == {Reason.SHARED_PLATFORM: 1}
    assert {step.stage for step in heard} == {"parse", "compile"}
    assert [step.done for step in heard if step.stage == "parse"] == list(range(1, len(prepared.report.sources) + 1))


def test_order_serial_grows_only_when_the_file_says_something_new(tmp_path: Path) -> None:
    """The same file is the same serial; a changed one the next; a broken one changes nothing; a removed one lifts all."""
    path = _write(tmp_path / "orders.yaml", ORDERS)
    settings = BlocklistSettings(tmp_path / "state", orders_file=path)

    def run(settings: BlocklistSettings = settings) -> Prepared:
        prepared = prepare(_inputs(settings, NOW))
        release.commit_generation(settings.state_dir, prepared.changes, NOW)
        return prepared

    run()
    assert "orders" not in run().changes
    _write(path, ORDERS.replace("ordered", "other"))
    changed = run().changes["orders"]
    assert changed is not None and changed["serial"] == 2
    _write(path, ORDERS.replace("until", "untill"))
    broken = run()
    assert "orders" not in broken.changes and broken.report.orders_problem is not None
    assert "untill" in broken.report.orders_problem.en
    in_force = release.read_manifest(settings.state_dir).orders
    assert in_force is not None and in_force.serial == 2
    assert run(BlocklistSettings(tmp_path / "state")).changes["orders"] is None
    assert release.read_manifest(settings.state_dir).orders is None


def test_takedown_file_is_refused_where_the_gateway_follows_an_office(tmp_path: Path) -> None:
    """One person's file never replaces what an office signed."""
    first = prepare(_inputs(BlocklistSettings(tmp_path), NOW))
    segment = release.write_file(tmp_path, {"format": 1, "orders": [], "entries": [], "lifted": []})
    release.commit_generation(tmp_path, {**first.changes, "orders": {"serial": 9, "segments": [segment], "origin": "office"}}, NOW)
    settings = BlocklistSettings(tmp_path, orders_file=_write(tmp_path / "orders.yaml", ORDERS))
    prepared = prepare(_inputs(settings, NOW))
    assert "orders" not in prepared.changes and prepared.report.orders_problem is not None
    assert "orders" not in prepare(_inputs(BlocklistSettings(tmp_path), NOW)).changes


def test_file_orders_stay_until_the_first_release_of_the_office_to_follow(tmp_path: Path) -> None:
    """Turning to an office opens nothing in between."""
    first = prepare(_inputs(BlocklistSettings(tmp_path, orders_file=_write(tmp_path / "orders.yaml", ORDERS)), NOW))
    release.commit_generation(tmp_path, first.changes, NOW)
    follow = FollowSettings("https://office.example/", tmp_path / "root.json")
    assert "orders" not in prepare(_inputs(BlocklistSettings(tmp_path, follow=follow), NOW)).changes


def test_subscriptions_are_fetched_when_due_and_the_status_says_how_they_are(tmp_path: Path) -> None:
    """Fetched once, then only when the interval is over, and then conditionally; a dead server costs freshness only."""
    with ListServer() as server:
        server.pages["/l"] = Page(b"far.example\n", etag='"1"')
        item = ListSettings("far", category="gamb", url=server.url("/l"), refresh=3600.0)
        settings = BlocklistSettings(tmp_path, (item,), fetch=FetchSettings(allow_private=True))
        assert next_due(settings, NOW) == 0.0
        missing = prepare(_inputs(settings, NOW))
        assert missing.report.problems[0][0] == "far" and not server.requests
        heard: list[Progress] = []
        first = prepare(_inputs(settings, NOW), "due", heard.append)
        assert "gamb" in _listing(first, tmp_path, "example.far.").categories
        assert Progress("fetch", "far", 1, 1) in heard
        due = next_due(settings, NOW)
        assert NOW + 3600 * 0.9 <= due <= NOW + 3600 * 1.1
        prepare(_inputs(settings, due - 1), "due")
        assert len(server.requests) == 1
        again = prepare(_inputs(settings, due + 1), "due")
        assert server.requests[-1].headers["If-None-Match"] == '"1"' and again.changes["index"] == first.changes["index"]
    later = prepare(_inputs(settings, NOW + 9999), "all")
    assert "gamb" in _listing(later, tmp_path, "example.far.").categories
    (row,) = json.loads((tmp_path / "lists" / "status.json").read_bytes())["lists"]
    assert (row["id"], row["state"], row["entries"], row["fetched_at"]) == ("far", "kept", 1, int(NOW))
    assert row["checked_at"] == int(NOW + 9999) and row["problem"]["vi"]


def test_list_from_the_inner_network_needs_the_setting(tmp_path: Path) -> None:
    """Without `lists_fetch.allow_private` nothing is connected to, and the reason names the setting."""
    with ListServer() as server:
        settings = BlocklistSettings(tmp_path, (ListSettings("far", category="gamb", url=server.url("/l")),))
        prepared = prepare(_inputs(settings, NOW), "all")
        assert not server.requests
    assert "allow_private" in prepared.report.problems[0][1].en


def test_held_copy_is_used_after_somebody_agreed(tmp_path: Path) -> None:
    """`lists update` finds a sudden change, holds it, and uses it once a person said yes; asking again brings nothing new."""
    with ListServer() as server:
        names = [f"n{number}.example\n" for number in range(2000)]
        server.pages["/l"] = Page("".join(names).encode(), etag='"1"')
        settings = BlocklistSettings(tmp_path, (ListSettings("far", category="gamb", url=server.url("/l")),), fetch=FetchSettings(True))
        fetcher = Fetcher(FetchLimits(allow_private=True))

        def entries() -> tuple[str, int]:
            report = next(source for source in prepare(_inputs(settings, NOW), "all", silent, fetcher).report.sources if source.id == "far")
            return report.state, report.entries

        assert entries() == ("fresh", 2000)
        assert accept_held(tmp_path, "far") is None
        server.pages["/l"] = Page("".join(names[:500]).encode(), etag='"2"')
        assert entries() == ("held", 2000)
        assert accept_held(tmp_path, "far") == 500
        assert entries() == ("fresh", 500)
        server.pages["/l"] = Page("".join(names[:499]).encode(), etag='"3"')
        assert entries() == ("fresh", 499)


def test_compiling_goes_on_while_another_process_downloads(tmp_path: Path) -> None:
    """A reload in the middle of a slow download compiles what is on disk and fetches nothing itself."""
    with ListServer() as server, alone(tmp_path, "fetch", wait=False) as busy:
        assert busy
        settings = BlocklistSettings(tmp_path, (ListSettings("far", category="gamb", url=server.url("/l")),), fetch=FetchSettings(True))
        prepared = prepare(_inputs(settings, NOW), "all")
        assert not server.requests and prepared.changes["index"]


def test_servers_that_lists_come_from_are_never_blocked(tmp_path: Path) -> None:
    """A list that names the home of the lists would cut the gateway off from its updates."""
    own = _write(tmp_path / "own", "lists.example\nother.example\n")
    lists = (ListSettings("own", category="gamb", path=own), ListSettings("far", category="gamb", url="https://lists.example/l"))
    prepared = prepare(_inputs(BlocklistSettings(tmp_path / "state", lists), NOW))
    report = next(source for source in prepared.report.sources if source.id == "own")
    assert report.rejected == {Reason.OWN_NAME: 1} and report.entries == 1


def plainly(path: Path) -> tuple[str, list[str], int]:
    """Format, names and how many addresses stand alone, read by a rule of thumb that shares nothing with the parsers."""
    form = path.name.split(".")[1] if path.name.count(".") > 1 else "domains"
    names, alone = [], 0
    for line in path.read_text(encoding="utf-8-sig").splitlines():
        text = line.strip()
        if not text or text[0] in "#!;[":
            continue
        words = text.partition(" #")[0].split()
        if form == "hosts":
            words = words[1:]
        elif form == "adblock":
            words = [text.removeprefix("||").removesuffix("^")]
        for word in words:
            if re.fullmatch(r"[0-9.]+|[0-9a-f:]*:[0-9a-f:]*", word):
                alone += 1
            else:
                name = word.lower().rstrip(".")
                names.append(name if name.isascii() else name.encode("idna").decode())  # some stand in both spellings
    return form, names, alone


def _folders() -> list[object]:
    given = pytest.param(REAL_LISTS, marks=pytest.mark.given("LACHAN_TEST_LISTS"), id="given")
    return [pytest.param(str(Path(release.__file__).parent.parent / "blocklists" / "seed"), id="shipped"), given]


@pytest.mark.parametrize("folder", _folders())
def test_every_real_list_loads_by_its_looks(tmp_path: Path, folder: str) -> None:
    """Each published list is recognised, gives exactly the names a plain reading finds, and says of every other line why not."""
    paths = [path for path in sorted(Path(folder).rglob("*.txt")) if path.with_suffix(".yaml").is_file() or folder == REAL_LISTS]
    assert paths
    lists = tuple(ListSettings(f"l{number}", category="social", path=path) for number, path in enumerate(paths))
    prepared = prepare(_inputs(BlocklistSettings(tmp_path, lists), NOW))
    for path, report in zip(paths, [source for source in prepared.report.sources if source.configured], strict=True):
        form, names, alone = plainly(path)
        distinct = set(names)
        covered = sum(any(name.split(".", cut)[cut] in distinct for cut in range(1, name.count(".") + 1)) for name in distinct)
        rejected = Counter(report.rejected)
        repeated = rejected.pop(Reason.DUPLICATE, 0) + rejected.pop(Reason.COVERED, 0)  # a repeat below a listed name is either
        refused = len(report.refusals)
        assert report.state == "fresh" and report.problem is None, path.name
        if folder == REAL_LISTS:
            assert report.format == form, path.name
        assert repeated == len(names) - len(distinct) + covered, path.name
        assert rejected == +Counter({Reason.IP_ONLY: alone, Reason.PUBLIC_SUFFIX: refused}), path.name
        assert report.entries == len(distinct) - covered - refused > 0, path.name
        assert {refusal.reason for refusal in report.refusals} <= {Reason.PUBLIC_SUFFIX}, path.name
        assert rejected[Reason.IP_ONLY] == 0 or report.examples[Reason.IP_ONLY], "where to look is told, too"
