"""The part of adblock syntax that means something to DNS."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocklists.parsers import PLAIN, Bucket, Harvest, Match, Options, When, adblock
from blocklists.rejections import Reason

ALLOWED = Bucket(exception=True)
IMPORTANT = Bucket(group="important")
IMPORTANT_ALLOWED = Bucket(group="important", exception=True)


def _parse(text: str) -> Harvest:
    harvest = Harvest()
    adblock.parse(text.split("\n"), harvest, Options())
    return harvest


def _buckets(text: str) -> dict[Bucket, list[str]]:
    return {bucket: keys for bucket, keys in _parse(text).buckets.items() if keys}


@pytest.mark.parametrize(
    ("rule", "bucket"),
    [
        ("||x.example^", PLAIN),
        ("||X.Example^|", PLAIN),
        ("||x.example", PLAIN),
        ("x.example", PLAIN),
        ("x.example^", PLAIN),
        ("0.0.0.0 x.example", PLAIN),
        ("||x.example^$all", PLAIN),
        ("||x.example^$document", PLAIN),
        ("||*.x.example^", Bucket(match=Match.BELOW)),
        ("@@||x.example^", ALLOWED),
        ("@@||x.example^|", ALLOWED),
    ],
)
def test_adblock_rule_on_a_name_gives_the_name(rule: str, bucket: Bucket) -> None:
    """A rule on a whole name is an entry, an `@@` rule an exception."""
    assert _buckets(rule) == {bucket: ["example.x."]}


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("example.com##.ad", Reason.COSMETIC),
        ("##.ad", Reason.COSMETIC),
        ("example.com#@#.ad", Reason.COSMETIC),
        ("example.com#?#div:has(a)", Reason.COSMETIC),
        ("example.com#%#//scriptlet('x')", Reason.COSMETIC),
        ("example.com$$script[x]", Reason.COSMETIC),
        ("/ads[0-9]+/", Reason.REGEX),
        ("@@/ads[0-9]+/$important", Reason.REGEX),
        ("||x.example/path^", Reason.PATTERN),
        ("||x.example/path", Reason.PATTERN),
        ("|https://x.example/", Reason.PATTERN),
        ("||ads*.example^", Reason.PATTERN),
        ("||x.example:8080^", Reason.PATTERN),
        ("&ad_box_", Reason.NOT_A_RULE),
        ("/banner/ads/*", Reason.PATTERN),
        ("||^", Reason.PATTERN),
        ("||x.example^$third-party", Reason.MODIFIER),
        ("||x.example^$script,domain=y.example", Reason.MODIFIER),
        ("||x.example^$dnstype=NONSENSE", Reason.MODIFIER),
        ("||x.example^$dnstype=", Reason.MODIFIER),
        ("||x.example^$dnstype=A|", Reason.MODIFIER),
        ("||x.example^$client=192.0.2.1", Reason.MODIFIER),
        ("||x.example^$dnsrewrite=192.0.2.1", Reason.MODIFIER),
        ("||x.example^$denyallow=a..b", Reason.MODIFIER),
        ("||192.0.2.1^", Reason.IP_ONLY),
    ],
)
def test_adblock_rule_that_is_no_name_is_counted_never_widened(rule: str, reason: Reason) -> None:
    """What applies to a page, a pattern or a condition must not become a block of the whole name."""
    harvest = _parse(rule)
    if reason is Reason.NOT_A_RULE:
        assert harvest.errors == 1
    else:
        assert harvest.rejected == {reason: 1}
    assert harvest.entries == 0


def test_adblock_comments_are_no_rules() -> None:
    """Heads, `!` and `#` comments and empty lines count as nothing."""
    harvest = _parse("[Adblock Plus 2.0]\n! Title: T\n# a comment\n\n; x\n")
    assert not harvest.rejected and not harvest.entries and harvest.facts == {"title": "T"}


def test_adblock_important_rules_are_kept_from_plain_exceptions() -> None:
    """`$important` beats `@@` of its list; `@@…$important` beats both."""
    assert _buckets("||a.example^$important\n||b.example^\n@@||a.example^\n@@||b.example^$important") == {
        IMPORTANT: ["example.a."],
        PLAIN: ["example.b."],
        ALLOWED: ["example.a.", "example.b."],
        IMPORTANT_ALLOWED: ["example.b."],
    }


def test_adblock_badfilter_switches_the_same_rule_off() -> None:
    """`$badfilter` takes out the rule it repeats, wherever it stands, and nothing else."""
    text = "||a.example^$badfilter\n||a.example^\n||b.example^\n||c.example^$important\n||c.example^$badfilter\n"
    harvest = _parse(text)
    assert _buckets(text) == {PLAIN: ["example.b."], IMPORTANT: ["example.c."]}
    assert harvest.rejected == {Reason.SWITCHED_OFF: 1}


def test_adblock_denyallow_excepts_names_for_its_own_rule() -> None:
    """`$denyallow` opens names under its rule only; other rules of the list still hold for them, and `@@` holds for all."""
    group = "denyallow=example.net.x.|example.net.y."
    assert _buckets("||example^$denyallow=y.net.example|x.net.example\n||x.net.example^\n@@||z.example^") == {
        PLAIN: ["example.net.x."],
        ALLOWED: ["example.z."],
        Bucket(group=group): ["example."],
        Bucket(group=group, exception=True): ["example.net.x.", "example.net.y.", "example.z."],
    }


@pytest.mark.parametrize(
    ("rule", "when"),
    [
        ("||x.example^$dnstype=AAAA", When(types=(28,))),
        ("||x.example^$dnstype=aaaa|A|TYPE65", When(types=(1, 28, 65))),
        ("||x.example^$dnstype=~A|~HTTPS", When(not_types=(1, 65))),
        ("||x.example^$client=may-be", When(clients=("may-be",))),
        ("||x.example^$client='may-be'|192.0.2.1|~2001:db8::/32", When(clients=("192.0.2.1/32", "may-be"), not_clients=("2001:db8::/32",))),
        ("||x.example^$client=~cha-me,dnstype=A", When(types=(1,), not_clients=("cha-me",))),
    ],
)
def test_adblock_rule_with_a_condition_keeps_it(rule: str, when: When) -> None:
    """`$dnstype` and `$client` name who and what a rule is for; the rule is never read as one for all."""
    harvest = Harvest()
    adblock.parse([rule], harvest, Options(clients=True))
    assert {bucket: keys for bucket, keys in harvest.buckets.items() if keys} == {Bucket(when=when): ["example.x."]}


@pytest.mark.parametrize("value", ["a b", "192.0.2.1/99", "a||b", "~"])
def test_adblock_client_that_nobody_can_be_is_counted(value: str) -> None:
    """A client that is neither an id nor an address gives no rule."""
    harvest = Harvest()
    adblock.parse([f"||x.example^$client={value}"], harvest, Options(clients=True))
    assert harvest.rejected == {Reason.MODIFIER: 1} and not harvest.entries


def test_adblock_badfilter_takes_out_the_rule_with_the_same_condition_only() -> None:
    """A condition is part of what a rule is."""
    text = "||a.example^\n||a.example^$dnstype=A\n||a.example^$dnstype=A,badfilter"
    assert _buckets(text) == {PLAIN: ["example.a."]}


def test_adblock_denyallow_groups_are_bounded() -> None:
    """A list cannot make ever more groups."""
    harvest = _parse("\n".join(f"||a.example^$denyallow=n{number}.example" for number in range(100)))
    assert harvest.rejected == {Reason.TOO_MANY_GROUPS: 100 - adblock.MAX_GROUPS}


@given(st.lists(st.text(alphabet="ab.|@^$*#!=,/: \u1ec1", max_size=40), max_size=20))
def test_adblock_any_text_raises_nothing(lines: list[str]) -> None:
    """No line makes the parser raise."""
    harvest = Harvest()
    adblock.parse(lines, harvest, Options())
    assert all(key.endswith(".") for keys in harvest.buckets.values() for key in keys)


@given(
    st.lists(
        st.builds(
            "{}||{}^{}".format,
            st.sampled_from(["", "@@"]),
            st.sampled_from(["a.example", "b.example", "*.c.example"]),
            st.sampled_from(
                [
                    "",
                    "$important",
                    "$badfilter",
                    "$important,badfilter",
                    "$denyallow=a.example|d.example",
                    "$dnstype=A",
                    "$dnstype=A,important",
                    "$all",
                ]
            ),
        ),
        max_size=20,
    )
)
def test_adblock_order_of_lines_does_not_matter(lines: list[str]) -> None:
    """A list means the same whatever order its rules stand in."""
    there, back = Harvest(), Harvest()
    adblock.parse(lines, there, Options())
    adblock.parse(lines[::-1], back, Options())
    assert {b: set(keys) for b, keys in there.buckets.items() if keys} == {b: set(keys) for b, keys in back.buckets.items() if keys}
