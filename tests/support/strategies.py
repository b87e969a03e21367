"""Random rule sets, schedules and names for property tests of the policy.

`random_world` makes the documents of one generation from a seeded generator, so that thousands of decisions cost little; the Hypothesis
strategies below it are for the parts that are small enough to shrink.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, TypeVar

from hypothesis import strategies as st

from tests.support.catalogue import SERVICES, make_catalogue, tiers
from tests.support.generation import START, action, category, good, order, policy, segment, zone
from tests.support.plainrules import DAYS, Json

T = TypeVar("T")

LABELS = ("a", "b", "www", "x-1")
ROOTS = ("one.example", "two.example", "talk.example", "songs.shared.example", "clips.example", "finder.example", "tube.example")
ALWAYS = ("help.example", "w.help.example", "time.example", "w.time.example", "canary.example", "_probe.one.example", "blocks.example")
TYPES = (1, 5, 28, 65)
CLIENTS = ("c0", "c1", "c2s1", "c3h1", "10.0.0.4/31", "10.1.0.0/16", "10.2.0.6/32")
CODES = ("porn", "gamb", "viol", "game", "game12", "social", "video", "chat", "ads", "occult", "search")
ZONES = ("Asia/Ho_Chi_Minh", "Europe/Paris", "America/New_York", "Australia/Lord_Howe", "UTC")
CLOCKS = (
    "00:00",
    "01:30",
    "02:00",
    "02:30",
    "03:00",
    "05:30",
    "06:00",
    "07:00",
    "11:30",
    "12:00",
    "13:15",
    "17:00",
    "21:00",
    "22:45",
    "23:59",
)
EXPRESSIONS = ("/^a\\./", "/example$/", "/x-[0-9]/", "/one/")


def names(random: Random, count: int) -> list[str]:
    """Names that the rules of a world are likely to speak about."""
    made = []
    for _ in range(count):
        if random.random() < 0.1:
            made.append(random.choice(ALWAYS))
            continue
        labels = [random.choice(LABELS) for _ in range(random.choice((0, 0, 1, 1, 2, 3)))]
        made.append(".".join([*labels, random.choice(ROOTS)]))
    return made


def rule(random: Random) -> str:
    """A written rule by name."""
    if random.random() < 0.08:
        return random.choice(EXPRESSIONS)
    return random.choice(("", "", "=", "*.")) + names(random, 1)[0]


def listed(random: Random) -> list[str]:
    """The names of one list, exceptions among them."""
    rows = []
    for _ in range(random.randint(1, 6)):
        written = random.choice(("", "", "", "=", "*.")) + names(random, 1)[0]
        rows.append("@@" + written if random.random() < 0.15 else written)
    return sorted(set(rows))


def window(random: Random) -> Json:
    """One row of a schedule."""
    begin, end = random.sample(CLOCKS, 2)
    row: Json = {"name": "w", "from": begin, "to": "24:00" if random.random() < 0.1 else end}
    if random.random() < 0.7:
        row["days"] = random.sample(DAYS, random.randint(1, 7))
    if random.random() < 0.2:
        row["dates"] = [{"from": "2026-01-03", "to": random.choice(("2026-01-03", "2026-03-30", "2026-12-31"))}]
    if random.random() < 0.3:
        row["time_zone"] = random.choice(ZONES)
    row["effect"] = random.choice(("offline", {"block": some(random, CODES, 3)}, {"only": some(random, (*CODES, "edu"), 3)}))
    return row


def override(random: Random, number: int, level: str) -> Json:
    """One timed override around the moments that tests ask about."""
    start = START + random.randint(-5, 400) * 86_400 + random.randint(0, 47) * 1800
    kind = random.choice(("off", "open", "exception", *(["window"] if level == "school" else [])))
    length = 5400 if kind == "window" else random.choice((3600, 86_400, 40 * 86_400, 400 * 86_400))
    row: Json = {"id": f"o{number}", "kind": kind, "from": iso(start), "until": iso(start + length)}
    if kind != "window" and random.random() < 0.3:
        row["from"] = None
    if kind == "exception":
        row["names"] = [rule(random) for _ in range(random.randint(1, 2))]
    elif kind == "window":
        row["categories"] = some(random, [code for code in CODES if tiers()[code] == "D"], 2)
    elif kind == "open":
        row["categories"] = some(random, CODES, 2)
        row["services"] = some(random, [service["id"] for service in SERVICES], 1)
    return row


def ruleset(random: Random, level: str) -> Json:
    """One owner's rules; most members are often empty, as in life."""
    rules: Json = {}
    if random.random() < 0.6:
        rules["categories"] = {code: random.choice(("allow", "block")) for code in some(random, CODES, 4)}
    if random.random() < 0.4:
        rules["services"] = {row["id"]: random.choice(("allow", "block")) for row in random.sample(SERVICES, 2)}
    if random.random() < 0.5:
        rules["allow"] = [rule(random) for _ in range(random.randint(1, 4))]
    if random.random() < 0.5:
        rules["deny"] = [rule(random) for _ in range(random.randint(1, 4))]
    if random.random() < 0.5:
        rules["schedule"] = [window(random) for _ in range(random.randint(1, 3))]
    if random.random() < 0.4:
        rules["overrides"] = [override(random, number, level) for number in range(random.randint(1, 3))]
    return rules


def profile(random: Random, number: int) -> Json:
    """One profile with its own rules."""
    owner = random.choice(("province", "school", "parent", "parent"))
    row: Json = {"id": f"p{number}", "band": random.choice(("MN", "TH", "CS", "PT", "NL", "KH")), "owner": owner, **ruleset(random, owner)}
    if owner == "school" and random.random() < 0.5:
        row["site"] = "s1"
    for name, values in (("safe_search", (True, False)), ("youtube", ("strict", "moderate", "off")), ("uncategorised", ("allow", "block"))):
        if random.random() < 0.2:
            row[name] = random.choice(values)
    if random.random() < 0.2:
        row["canaries"] = random.choice((True, False))
    return row


def zone_rules(random: Random) -> Json:
    """The triggers of one policy zone."""
    actions: Sequence[Any] = (
        "nxdomain",
        "nodata",
        "passthru",
        "drop",
        "tcp-only",
        ("cname", "walled.example"),
        ("cname", "*.garden.example"),
        ("local", [[1, 30, "c0000263"]]),
    )
    return {random.choice(("", "*.")) + name: random.choice(actions) for name in names(random, random.randint(1, 4))}


def condition(random: Random, others: Sequence[str]) -> Json:
    """Which queries a list is for (`$dnstype`, `$client`), and which other rows its exceptions undo."""
    when: Json = {}
    if random.random() < 0.6:
        when[random.choice(("types", "types", "not_types"))] = some(random, TYPES, 2)
    if not when or random.random() < 0.5:
        when[random.choice(("clients", "clients", "not_clients"))] = some(random, CLIENTS, 2)
    if random.random() < 0.4:
        when["spares"] = some(random, others, 3)
    return when


def random_world(random: Random) -> Json:
    """Lists, an operator's policy with sites, profiles and clients, orders and a catalogue."""
    lists: dict[str, Json] = {}
    for number, code in enumerate([*random.sample(CODES, 7), random.choice(("scam", "malware", "order", "edu"))]):
        lists[f"c{number}"] = category(code, *listed(random), level=random.choice(("province", "school", "parent")))
    for number in range(random.randint(0, 3)):
        lists[f"a{number}"] = action(
            random.choice(("allow", "block")), *listed(random), level=random.choice(("province", "school", "parent"))
        )
    for identity in random.sample(sorted(lists), random.randint(0, 4)):
        lists[identity]["when"] = condition(random, [other for other in lists if other != identity])
    for number in range(random.randint(0, 3)):
        override_word = random.choice(("given",) * 6 + ("disabled", "passthru", "nxdomain", "nodata", "drop", "tcp-only", "cname"))
        lists[f"z{number}"] = zone(
            f"z{number}.example",
            zone_rules(random),
            level=random.choice(("province", "school", "parent")),
            policy=override_word,
            target="walled.example" if override_word == "cname" else "",
            groups=["lab"] if random.random() < 0.2 else [],
        )
    if random.random() < 0.7:
        lists["good"] = good(random.choice(("edu", "health", "gov")), *listed(random))
    profiles = [profile(random, number) for number in range(6)]
    clients = [
        {
            "id": f"c{number}{site}",
            "profile": row["id"],
            "match": [f"10.{place}.0.{number + 1}"],
            "group": random.choice((None, "lab")),
            "site": site or None,
        }
        for number, row in enumerate(profiles)
        for place, site in enumerate(("", "s1", "h1"))
    ]
    sites = [
        {
            "id": "s1",
            "class": "school",
            "bands": some(random, ("MN", "TH", "CS", "PT", "NL"), 3),
            "time_zone": random.choice(ZONES),
            "rules": ruleset(random, "school"),
        },
        {"id": "h1", "class": "home", "bands": random.choice(([], ["TH"], ["NL"]))},
    ]
    operator = policy(sites=sites, profiles=profiles, clients=clients, rules=ruleset(random, "province") if random.random() < 0.5 else None)
    return {"lists": lists, "operator": operator, "orders": orders(random), "catalogue": make_catalogue()}


def orders(random: Random) -> list[Json]:
    """Order segments: dates, bands, exact and below, an order replaced and entries lifted."""
    segments: list[Json] = []
    for number in range(random.randint(0, 3)):
        rows = [
            order(
                f"q{random.randint(0, 3)}",
                *(random.choice(("", "=", "*.")) + name for name in names(random, random.randint(1, 2))),
                **{
                    "bands": random.choice((None, None, ["NL"], ["TH", "NL"])),
                    "from": random.choice(("2025-12-01T00:00:00Z", "2026-02-01T00:00:00+07:00")),
                    "until": random.choice((None, "2026-03-01T00:00:00Z", "2026-09-01T00:00:00Z")),
                    "issued_on": f"2025-12-0{number + 1}",
                },
            )
        ]
        lifted = []
        if segments and random.random() < 0.5:
            before = segments[-1]
            key, _, place = random.choice(before["entries"])
            name = ".".join(reversed(key[:-1].split(".")))
            lifted.append((random.choice((name, "")), before["orders"][place]["id"]))
        segments.append(segment(*rows, lifted=lifted))
    return segments


def some(random: Random, values: Sequence[T], most: int) -> list[T]:
    """Between one and `most` different values."""
    return random.sample(values, random.randint(1, most))


def iso(moment: float) -> str:
    """A moment as policy files write it."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# Hypothesis

moments = st.datetimes(datetime(2025, 1, 1), datetime(2027, 12, 31)).map(lambda moment: moment.replace(tzinfo=UTC).timestamp() // 1)
clocks = st.integers(0, 1439).map(lambda minute: f"{minute // 60:02}:{minute % 60:02}")
labels = st.text("abcxyz019-_", min_size=1, max_size=8)
hosts = st.lists(labels, min_size=1, max_size=5).map(".".join)


@st.composite
def windows(draw: st.DrawFn) -> Json:
    """One row of a schedule, any clock, days, dates and zone."""
    begin = draw(clocks)
    end = draw(st.one_of(clocks, st.just("24:00")).filter(lambda clock: clock != begin and not (begin == "00:00" and clock == "00:00")))
    row: Json = {"name": "w", "from": begin, "to": end, "effect": "offline"}
    row["days"] = draw(st.lists(st.sampled_from(DAYS), unique=True))
    if draw(st.booleans()):
        first = draw(st.dates(datetime(2025, 1, 1).date(), datetime(2027, 12, 31).date()))
        row["dates"] = [{"from": first.isoformat(), "to": (first + timedelta(days=draw(st.integers(0, 40)))).isoformat()}]
    row["time_zone"] = draw(st.sampled_from(ZONES))
    return row
