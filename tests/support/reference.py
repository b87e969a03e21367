"""The judgement once more, plain and slow, written from the text of the design and its review and from nothing else.

It reads the same documents as the product (lists, policy files, order segments, the catalogue), works on names as tuples of labels, and
shares no code with `gateway.policy`. Where several rules close a name for different reasons, every reason is an acceptable one, so it
answers with the set of acceptable outcomes. An outcome is a tuple: `("pass",)`, `("block", reason)`, `("local", reason)`,
`("rewrite", target)`, `("drop",)`, `("tcp", *outcome)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.plainrules import Json, Labels, covers, host_rule, is_on, is_undone, moment, speaks, specificity, split, zone_covers

Outcome = tuple[str, ...]

ORDER = ["override", "offline", "name", "overlay", "service", "category"]
LEVELS = ["province", "school", "parent"]
CHILD_BANDS = {"MN", "TH", "CS", "PT", "KH"}


@dataclass(frozen=True)
class Who:
    """A client: its profile (a row of the policy file), the site where it is, if any, its id and its address."""

    profile: Json
    site: Json | None = None
    group: str | None = None
    client: str | None = None
    address: str = ""


@dataclass(frozen=True)
class Opinion:
    """What one level says: allow or block, from which place in the order of line 5, for which reason, and an outcome of its own."""

    allows: bool
    place: str
    reason: str
    outcome: Outcome | None = None


@dataclass
class World:
    """The documents of one generation, and the judgement over them."""

    lists: Mapping[str, Json]
    operator: Json
    orders: list[Json]
    catalogue: Json
    tiers: dict[str, str] = field(init=False)
    hosts: list[tuple[Json, str]] = field(init=False)
    seen: dict[Labels, list[str]] = field(default_factory=dict)
    views: dict[tuple[str, ...], World] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.hosts = [(service, host_rule(host)) for service in self.catalogue["services"] for host in service["hosts"]]
        self.tiers = {row["code"]: row["tier"] for row in self.catalogue["categories"]}

    def view(self, qtype: int, who: Who, *, is_target: bool = False) -> World:
        """The world without the lists whose condition on types or clients does not hold."""
        speaking = tuple(
            identity
            for identity, row in self.lists.items()
            if speaks(row.get("when") or {}, qtype, who.client, who.address, is_target=is_target)
        )
        if speaking not in self.views:
            lists = {identity: self.lists[identity] for identity in speaking}
            self.views[speaking] = World(lists, self.operator, self.orders, self.catalogue)
        return self.views[speaking]

    # the order of the judgement

    def judge(self, name: str, qtype: int, who: Who, now: float) -> set[Outcome]:
        """Every acceptable outcome of a query."""
        return self.view(qtype, who).decide(split(name), qtype, who, now)

    def decide(self, labels: Labels, qtype: int, who: Who, now: float) -> set[Outcome]:
        """The outcomes where every list speaks."""
        band_defaults = self.catalogue["extras"]["band_defaults"]
        if self.setting(who, "canaries", band_defaults["canaries"]) and self.is_canary(labels):
            return {("local", "canary")}
        outcomes = self.lines_2_to_7(labels, who, now)
        if outcomes == {("pass",)} and not self.is_always_open(labels):
            target = self.safe_search(labels, qtype, who)
            if target:
                outcomes = {("rewrite", target)}
        opened = all(outcome[0] in ("pass", "rewrite") for outcome in outcomes) and ("rewrite", "walled.example") not in outcomes
        if opened and not self.is_always_open(labels) and not self.good_code(labels):
            for level in self.list_levels(who):
                if self.by_name(labels, level, who) is None and self.zones_say(labels, level, who) == ("tcp-only",):
                    return {("tcp", *outcome) for outcome in outcomes}
        return outcomes

    def lines_2_to_7(self, labels: Labels, who: Who, now: float) -> set[Outcome]:
        """Lines 2 to 7 of the design, for a query name."""
        if self.is_always_open(labels):
            return {("pass",)}
        final = self.line_3(labels, who, now)
        if final:
            return final
        if self.good_code(labels):
            return {("block", "name")} if self.closes_good(labels, who, now) else {("pass",)}
        return self.weigh(labels, who, now, None)

    def line_3(self, labels: Labels, who: Who, now: float) -> set[Outcome]:
        """Takedown orders in force and categories of tier L."""
        if self.orders_on(labels, who, now):
            return {("block", "order")}
        legal = [code for code in self.categories(labels) if self.tiers[code] == "L" and self.cell(code, who)["default"] == "block"]
        return {("block", "legal")} if legal else set()

    def weigh(self, labels: Labels, who: Who, now: float, opened: list[tuple[str, str, str | None]] | None) -> set[Outcome]:
        """Lines 5 to 7. `opened` is None for a query name; for a target, the Allows of the query name (level, place, category or None)."""
        blocked: set[Outcome] = set()
        for code in self.codes(labels):
            opinions: dict[str, Opinion] = {}
            for level in LEVELS:
                said = self.opinion(labels, code, level, who, now, is_target=opened is not None)
                for at, place, category in opened or []:
                    if at == level and category in (None, code) and (said is None or ORDER.index(said.place) > ORDER.index(place)):
                        said = Opinion(True, place, "grant")
                if said is not None:
                    opinions[level] = said
            standing = [
                said
                for level, said in opinions.items()
                if not said.allows
                and not any(
                    other.allows and LEVELS.index(above) < LEVELS.index(level) and ORDER.index(other.place) <= ORDER.index(said.place)
                    for above, other in opinions.items()
                )
            ]
            if standing:
                blocked |= {said.outcome or ("block", said.reason) for said in standing}
                continue
            default, locked, reason = self.default(code, who)
            if opened is not None and code is None:
                default = "allow"
            if default == "block" and (locked or not any(said.allows for said in opinions.values())):
                blocked.add(("block", reason))
        return blocked or {("pass",)}

    def opinion(self, labels: Labels, code: str | None, level: str, who: Who, now: float, *, is_target: bool) -> Opinion | None:
        """Line 5: what one level says about a name in one category, the first in the order."""
        rulesets = self.rulesets(level, who)
        timed: list[tuple[float, bool, Opinion]] = []
        for rules in rulesets:
            for row in rules.get("overrides", []):
                start, until = moment(row["from"]), moment(row["until"])
                if not start <= now < until:
                    continue
                if row["kind"] == "off" and not is_target:
                    timed.append((start, True, Opinion(False, "override", "override")))
                if any(self.opens(row, labels, code)):
                    timed.append((start, False, Opinion(True, "override", "override")))
        if timed:
            return max(timed, key=lambda item: (item[0], item[1]))[2]
        windows = [(window, zone) for rules, zone in self.rulesets_with_zone(level, who) for window in rules.get("schedule", [])]
        active = [window for window, zone in windows if is_on(window, now, zone)]
        if not is_target and any(window["effect"] == "offline" for window in active):
            return Opinion(False, "offline", "offline")
        named = self.by_name(labels, level, who)
        if named is not None:
            return named
        for window in active:
            effect = window["effect"]
            if effect == "offline":
                continue
            if code in effect.get("block", []):
                return Opinion(False, "overlay", "schedule")
            if "only" in effect and code not in effect["only"] and not is_target:
                return Opinion(False, "overlay", "schedule")
        for words in (self.merged(rulesets, "services", service) for service in self.services(labels)):
            if words == "allow":
                return Opinion(True, "service", "service")
        if any(self.merged(rulesets, "services", service) == "block" for service in self.services(labels)):
            return Opinion(False, "service", "service")
        switch = self.merged(rulesets, "categories", code)
        return None if switch is None else Opinion(switch == "allow", "category", "switch")

    def by_name(self, labels: Labels, level: str, who: Who) -> Opinion | None:
        """A level's rules by name: the most specific of its own names and its action lists; without one, its policy zones."""
        found: list[tuple[tuple[int, int], bool, Opinion]] = []
        for rules in self.rulesets(level, who):
            for word in ("allow", "deny"):
                for rule in rules.get(word, []):
                    if covers(rule, labels):
                        found.append((specificity(rule), word == "deny", Opinion(word == "allow", "name", "name")))
        if level in self.list_levels(who):
            for identity, row in self.lists.items():
                is_good = row["kind"] == "category" and self.tiers[row["category"]] == "G"
                word = "allow" if is_good else str(row.get("action") or "")
                if word and row["level"] == level and not self.undone(identity, labels):
                    for rule in row["names"]:
                        if covers(rule, labels):
                            found.append((specificity(rule), word == "block", Opinion(word == "allow", "name", "list")))
        if found:
            return min(found, key=lambda item: (item[0], item[1]))[2]
        said = self.zones_say(labels, level, who) if level in self.list_levels(who) else None
        if said is None or said == ("tcp-only",):
            return None
        return Opinion(False, "name", "rpz", said)

    def closes_good(self, labels: Labels, who: Who, now: float) -> bool:
        """Line 4's exception: a name that a school or a parent wrote, not undone by a timed exception or by a level above."""
        undone_above = False
        for level in LEVELS:
            excepted = any(
                row["kind"] == "exception"
                and moment(row["from"]) <= now < moment(row["until"])
                and any(covers(rule, labels) for rule in row["names"])
                for rules in self.rulesets(level, who)
                for row in rules.get("overrides", [])
            )
            said = self.by_name(labels, level, who)
            if level != "province" and said is not None and said.reason == "name" and not said.allows and not excepted and not undone_above:
                return True
            undone_above = undone_above or excepted or (said is not None and said.allows)
        return False

    # answers

    def judge_target(self, target: str, name: str, qtype: int, who: Who, now: float) -> set[Outcome]:
        """Whether an open query name is closed by a target of its answer (review 5)."""
        asked = split(name)
        before = self.view(qtype, who)
        opened = []
        for level in LEVELS:
            for code in before.codes(asked):
                said = before.opinion(asked, code, level, who, now, is_target=False)
                if said is not None and said.allows:
                    opened.append((level, said.place, code if before.is_about_category(said, asked, code, level, who, now) else None))
        after = self.view(qtype, who, is_target=True)
        if before.is_always_open(asked):
            return {("pass",)}
        return after.decide_target(split(target), who, now, opened, is_good=before.good_code(asked) is not None)

    def decide_target(
        self, labels: Labels, who: Who, now: float, opened: list[tuple[str, str, str | None]], *, is_good: bool
    ) -> set[Outcome]:
        """The outcomes of a target where every list speaks; `is_good`: whether a good list opened the query name."""
        if self.is_always_open(labels):
            return {("pass",)}
        final = self.line_3(labels, who, now)
        if final:
            return final
        if is_good or self.good_code(labels):
            return {("block", "name")} if self.closes_good(labels, who, now) else {("pass",)}
        outcomes = self.weigh(labels, who, now, opened)
        return {("block", "rpz") if outcome[0] in ("local", "rewrite", "drop") else outcome for outcome in outcomes}

    def is_about_category(self, said: Opinion, asked: Labels, code: str | None, level: str, who: Who, now: float) -> bool:
        """Whether an Allow speaks of one category only (a category switch, or a timed opening of categories that led)."""
        if said.place == "category":
            return True
        if said.place != "override":
            return False
        leading: list[tuple[float, bool]] = []
        for rules in self.rulesets(level, who):
            for row in rules.get("overrides", []):
                start = moment(row["from"])
                if not start <= now < moment(row["until"]):
                    continue
                by_name, by_category = self.opens(row, asked, code)
                if by_name or by_category:
                    leading.append((start, not by_name))
        return max(leading)[1]

    def opens(self, row: Json, labels: Labels, code: str | None) -> tuple[bool, bool]:
        """Whether a timed override opens the name as a whole (by name or service), and whether it opens it in this category."""
        if row["kind"] == "exception":
            return any(covers(rule, labels) for rule in row["names"]), False
        if row["kind"] == "open":
            return bool(set(self.services(labels)) & set(row.get("services", []))), code in row.get("categories", [])
        return False, row["kind"] == "window" and code in row["categories"] and self.tiers.get(code or "") == "D"

    # what is known about a name

    def undone(self, identity: str, labels: Labels) -> bool:
        """Whether an exception undoes a list for a name: one of its own, or of a list with a condition that says it spares this one."""
        return is_undone(self.lists[identity], labels) or any(
            identity in (row.get("when") or {}).get("spares", ()) and is_undone(row, labels) for row in self.lists.values()
        )

    def categories(self, labels: Labels) -> list[str]:
        """Every category of the name: lists, and the services whose hosts cover it. Orders alone fill `order` and `dist`."""
        found = self.seen.get(labels)
        if found is None:
            codes = {
                row["category"]
                for identity, row in self.lists.items()
                if row["kind"] == "category" and not self.undone(identity, labels) and any(covers(rule, labels) for rule in row["names"])
            }
            for service, host in self.hosts:
                if covers(host, labels):
                    codes.update(service["categories"])
            found = self.seen[labels] = sorted(code for code in codes if code not in ("order", "dist") and self.tiers[code] != "G")
        return found

    def codes(self, labels: Labels) -> list[str | None]:
        """The categories to be judged one by one; None stands for a name in no category."""
        return list(self.categories(labels)) or [None]

    def services(self, labels: Labels) -> list[str]:
        """The services of the longest host name that covers the name."""
        best: dict[str, int] = {}
        for service, host in self.hosts:
            if covers(host, labels):
                best[service["id"]] = max(best.get(service["id"], 0), len(split(host)))
        return [service for service, size in best.items() if size == max(best.values())]

    def good_code(self, labels: Labels) -> str | None:
        """The good list that holds the name."""
        for identity, row in self.lists.items():
            if row["kind"] == "good" and not self.undone(identity, labels) and any(covers(rule, labels) for rule in row["names"]):
                return str(row["category"])
        return None

    def is_always_open(self, labels: Labels) -> bool:
        """Line 2."""
        rows = [*self.catalogue["help"], *self.catalogue["infrastructure"]]
        return any(covers(row if isinstance(row, str) else host_rule(row), labels) for row in rows)

    def is_canary(self, labels: Labels) -> bool:
        """The names that browsers ask to find out whether they are filtered."""
        return ".".join(labels) in self.catalogue["canaries"] or (
            len(labels) > 1 and labels[0] in self.catalogue["extras"]["canary_labels"]
        )

    def orders_on(self, labels: Labels, who: Who, now: float) -> list[Json]:
        """The orders in force that bind this client."""
        orders: dict[str, Json] = {}
        entries: dict[tuple[str, str], int] = {}
        for segment in self.orders:
            for row in segment["orders"]:
                orders[row["id"]] = row
            for key, identity in segment["lifted"]:
                entries = {entry: match for entry, match in entries.items() if not (entry[1] == identity and key in ("", entry[0]))}
            for key, match, number in segment["entries"]:
                entries[key, segment["orders"][number]["id"]] = match
        bound = []
        for (key, identity), match in entries.items():
            row = orders[identity]
            rule = ("", "=", "*.")[match] + ".".join(reversed(key[:-1].split(".")))
            bands = set(row["bands"]) if row["bands"] is not None else CHILD_BANDS
            if covers(rule, labels) and bands & self.bands(who) and moment(row["from"]) <= now < moment(row["until"], last=True):
                bound.append(row)
        return bound

    def zones_say(self, labels: Labels, level: str, who: Who) -> Outcome | None:
        """The first zone of a level that has a trigger for the name: its action as an outcome; None for nothing or PASSTHRU."""
        for row in self.lists.values():
            if row["kind"] != "rpz" or row["level"] != level or row["rpz"]["policy"] == "disabled":
                continue
            if row["rpz"]["groups"] and who.group not in row["rpz"]["groups"]:
                continue
            hits = [(owner, said) for owner, said in row["rules"].items() if ":" not in owner and zone_covers(owner, labels)]
            if not hits:
                continue
            _, said = min(hits, key=lambda hit: (hit[0].startswith("*."), -len(split(hit[0]))))
            kind, data = (said, "") if isinstance(said, str) else said
            if row["rpz"]["policy"] != "given":
                kind, data = row["rpz"]["policy"], row["rpz"]["target"]
            if kind == "passthru":
                return None
            if kind == "cname":
                return ("rewrite", ".".join(labels) + str(data)[1:] if data.startswith("*.") else str(data))
            return {"drop": ("drop",), "local": ("local", "rpz"), "tcp-only": ("tcp-only",)}.get(kind, ("block", "rpz"))
        return None

    # what holds for a client

    def bands(self, who: Who) -> set[str]:
        """The band of the client; for a guest also the strictest band of its site."""
        own = str(who.profile["band"])
        served = (who.site or self.own_site(who) or {}).get("bands", [])
        strictest = next((band for band in ("MN", "TH", "CS", "PT", "NL") if band in served), None)
        return {own, strictest} if own == "KH" and strictest else {own}

    def cell(self, code: str, who: Who) -> Json:
        """The matrix cell; a guest gets the stricter of its own and of the strictest band's."""
        cells = [self.catalogue["matrix"][code][band] for band in self.bands(who)]
        return max(cells, key=lambda cell: (cell["default"] == "block", cell["locked"], cell["default"] == "safe"))

    def default(self, code: str | None, who: Who) -> tuple[str, bool, str]:
        """Line 6: default, locked, and the reason a block would have."""
        if code is not None:
            cell = self.cell(code, who)
            return cell["default"], cell["locked"], "matrix"
        own = who.profile.get("uncategorised")
        if own is None:
            own = "block" if self.catalogue["matrix"]["uncategorised"][who.profile["band"]] == "allowlist" else "allow"
        return own, False, "uncategorised"

    def is_school(self, who: Who) -> bool:
        """Whether the school's rules apply: at a school site, or under a profile of the school."""
        return (who.site or {}).get("class") == "school" or who.profile["owner"] == "school"

    def list_levels(self, who: Who) -> list[str]:
        """The levels whose lists and zones apply."""
        return [level for level in LEVELS if level != "school" or self.is_school(who)]

    def rulesets(self, level: str, who: Who) -> list[Json]:
        """The rulesets of one level."""
        return [rules for rules, _ in self.rulesets_with_zone(level, who)]

    def rulesets_with_zone(self, level: str, who: Who) -> list[tuple[Json, str]]:
        """The same with the time zone their windows are read in."""
        found = []
        own_site = self.own_site(who)
        near = own_site or who.site
        zone = (near or {}).get("time_zone") or "Asia/Ho_Chi_Minh"
        if level == "province" and self.operator.get("rules"):
            found.append((self.operator["rules"], zone))
        if level == "school":
            site = who.site if (who.site or {}).get("class") == "school" else own_site if who.profile["owner"] == "school" else None
            if site is not None and site.get("rules"):
                found.append((site["rules"], site.get("time_zone") or "Asia/Ho_Chi_Minh"))
        if who.profile["owner"] == level:
            found.append((who.profile, zone))
        return found

    def own_site(self, who: Who) -> Json | None:
        """The site that the profile names."""
        return next((site for site in self.operator.get("sites", []) if site["id"] == who.profile.get("site")), None)

    def merged(self, rulesets: list[Json], kind: str, name: str | None) -> str | None:
        """A switch over several rulesets of one level: the stricter holds."""
        words = {rules.get(kind, {}).get(name) for rules in rulesets}
        return "block" if "block" in words else "allow" if "allow" in words else None

    def setting(self, who: Who, name: str, defaults: Mapping[str, Any]) -> Any:
        """A setting of the profile, or of its band; a guest gets the stricter of two bands."""
        own = who.profile.get(name)
        if own is not None:
            return own
        found = [defaults[band] for band in self.bands(who)]
        if all(isinstance(value, bool) for value in found):
            return any(found)
        return min(found, key=["strict", "moderate", "off"].index)

    def safe_search(self, labels: Labels, qtype: int, who: Who) -> str | None:
        """The target of an engine's safe mode, when it applies."""
        defaults = self.catalogue["extras"]["band_defaults"]
        if qtype not in (1, 5, 28, 64, 65, 255):
            return None
        target = None
        for row in self.catalogue["safesearch"]:
            wanted = self.setting(who, "safe_search", defaults["safe_search"])
            if row["youtube"] is not None:
                wanted = self.setting(who, "youtube", defaults["youtube"]) == row["youtube"]
            if wanted and ".".join(labels) in row["names"]:
                target = row["target"]
        return target
