"""The takedown file: a segment, a verdict per item, every mistake with its line."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocklists.guard import Guard
from blocklists.orders import OrdersReport, orders_of, read_orders
from blocklists.rejections import Reason
from gateway.errors import SettingsError
from gateway.policy.model import CHILD_BANDS, Band
from gateway.policy.overlay import Overlay
from gateway.yamlfile import Document, parse

CATALOGUE: dict[str, Any] = {
    "categories": [
        {"code": "order", "tier": "L", "order_only": True},
        {"code": "dist", "tier": "H", "order_only": True},
        {"code": "csam", "tier": "L", "order_only": False},
        {"code": "gamb", "tier": "H", "order_only": False},
    ],
    "help": ["tongdai111.vn"],
    "platforms": ["facebook.com", "youtube.com"],
    "infrastructure": [{"name": "time.example.net", "match": "exact"}],
    "protected": [{"name": "bank.example.vn", "match": "both"}],
}
GUARD = Guard.of(CATALOGUE, ["dns.upstream.example.net"])
ORDER = """\
- number: 12/QĐ-STTTT
  issuer: Sở Thông tin và Truyền thông
  issued_on: 2026-11-02
  basis: [Nghị định 147/2024/NĐ-CP, Luật 116/2025/QH15]
  scope: {bands: [CS, TH]}
  from: 2026-11-03
  until: 2027-05-03
  items:
    - bad.example
    - {name: worse.example, match: exact}
"""


def _read(text: str) -> tuple[dict[str, Any], OrdersReport]:
    return orders_of(parse(text), GUARD, CATALOGUE)


def _verdict(item: str) -> Reason | None:
    return _read(ORDER.split("  items:")[0] + f"  items: [{item}]")[1].verdicts[0].reason


def test_orders_become_a_segment_that_the_gateway_enforces() -> None:
    """Number, issuer, basis, bands and dates go over; the overlay finds the names in time and for the right clients."""
    segment, report = _read(ORDER)
    assert segment == {
        "format": 1,
        "orders": [
            {
                "id": "file:12/QĐ-STTTT",
                "number": "12/QĐ-STTTT",
                "issuer": "Sở Thông tin và Truyền thông",
                "issued_on": "2026-11-02",
                "basis": ["Nghị định 147/2024/NĐ-CP", "Luật 116/2025/QH15"],
                "category": "order",
                "bands": ["TH", "CS"],
                "from": "2026-11-03",
                "until": "2027-05-03",
                "no_end": False,
                "urgent": False,
                "appeal": None,
            }
        ],
        "entries": [["example.bad.", 0, 0], ["example.worse.", 1, 0]],
        "lifted": [],
    }
    assert (report.orders, report.enforced, report.rejected) == (1, 2, {})
    overlay = Overlay([("segment", segment)])

    def bound(moment: str, key: str, band: Band) -> bool:
        return bool(overlay.at(datetime.fromisoformat(moment).timestamp()).find(key, frozenset({band})))

    assert bound("2026-11-03T00:00+07:00", "example.bad.www.", Band.TH)
    assert not bound("2026-11-02T23:59+07:00", "example.bad.", Band.TH)
    assert bound("2027-05-03T23:59+07:00", "example.bad.", Band.TH)
    assert not bound("2027-05-04T00:00+07:00", "example.bad.", Band.TH)
    assert not bound("2026-12-01T00:00+07:00", "example.worse.www.", Band.TH)
    assert not bound("2026-12-01T00:00+07:00", "example.bad.", Band.PT)


@pytest.mark.parametrize("wrap", ["{}", "orders:\n{}", "format: 1\norders:\n{}"])
def test_orders_may_stand_alone_or_under_a_key(wrap: str) -> None:
    """A list of orders, the same under `orders:`, or one order alone."""
    assert _read(wrap.format(ORDER))[1].orders == 1
    alone = "\n".join(line[2:] for line in ORDER.split("\n"))
    assert _read(alone)[0] == _read(ORDER)[0]


@pytest.mark.parametrize("text", ["", "\n", "# nothing yet\n", "orders:\n"])
def test_file_that_says_nothing_is_a_mistake(text: str) -> None:
    """An editor on a full disk, a script with `>`: that is not the word that there are no orders, which would open every site."""
    with pytest.raises(SettingsError, match=r"there is nothing here \(write \[\] where there are no orders\)"):
        _read(text)


@pytest.mark.parametrize("text", ["[]", "orders: []"])
def test_word_that_there_are_no_orders_lifts_all(text: str) -> None:
    """A file without orders lifts everything it held before."""
    assert _read(text) == ({"format": 1, "orders": [], "entries": [], "lifted": []}, OrdersReport())


def test_order_without_bands_binds_children_and_moments_keep_their_offset() -> None:
    """No scope means every child band; a moment without an offset is Viet Nam's."""
    text = (
        ORDER.replace("  scope: {bands: [CS, TH]}\n", "")
        .replace("2026-11-03", "2026-11-03T08:00")
        .replace("until: 2027-05-03", "no_end: true")
    )
    segment, _ = _read(text)
    order = segment["orders"][0]
    assert (order["bands"], order["from"], order["until"], order["no_end"]) == (None, "2026-11-03T08:00:00+07:00", None, True)
    found = Overlay([("s", segment)]).at(datetime.fromisoformat("2040-01-01T00:00Z").timestamp()).find("example.bad.", frozenset({Band.KH}))
    assert found[0].bands == CHILD_BANDS


def test_order_takes_effect_on_its_day_when_nothing_else_is_said() -> None:
    """`from` left out is the day of issue."""
    assert _read(ORDER.replace("  from: 2026-11-03\n", ""))[0]["orders"][0]["from"] == "2026-11-02"


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ("Bad.Example.", None),
        ('"hxxp://bad[.]example"', None),
        ("tiền.example", None),
        ('"https://site.example/one-bad-page"', Reason.URL_PATH),
        ('"https://www.facebook.com/groups/1"', Reason.SHARED_PLATFORM),
        ('"youtube.com/watch?v=1"', Reason.SHARED_PLATFORM),
        ("m.facebook.com", Reason.SHARED_PLATFORM),
        ("103.1.2.3", Reason.IP_ONLY),
        ('"103.1.2.3:8080"', Reason.IP_ONLY),
        ("com.vn", Reason.PUBLIC_SUFFIX),
        ("hanoi.vn", Reason.PUBLIC_SUFFIX),
        ("a.gov.vn", Reason.SECOND_APPROVER),
        ("thpt.edu.vn", Reason.SECOND_APPROVER),
        ("www.bank.example.vn", Reason.SECOND_APPROVER),
        ("tongdai111.vn", Reason.HELP_NAME),
        ("time.example.net", Reason.INFRASTRUCTURE),
        ("upstream.example.net", Reason.OWN_NAME),
        ("github.io", Reason.SHARED_SUFFIX),
        ("bad.github.io", None),
        ('"exa mple.com"', Reason.BAD_CHARACTER),
        ('"a@mail.example"', Reason.EMAIL),
        ("2026", Reason.NUMERIC_END),
    ],
)
def test_item_has_a_verdict_of_its_own(item: str, reason: Reason | None) -> None:
    """One item that cannot be enforced costs its own row, never the order; nothing is widened to a platform."""
    assert _verdict(item) is reason


def test_verdicts_say_what_became_of_each_item_and_keep_no_path() -> None:
    """The report has a row per item in order; of an address of a page only the host part is kept."""
    items = '[bad.example, "https://small.example/child/photo?id=7", "http://10.0.0.1/x/y", bad.example., "what? /secret"]'
    segment, report = _read(ORDER.split("  items:")[0] + f"  items: {items}")
    assert [(verdict.position, verdict.name, verdict.reason) for verdict in report.verdicts[:4]] == [
        (0, "bad.example", None),
        (1, "small.example", Reason.URL_PATH),
        (2, "", Reason.IP_ONLY),
        (3, "bad.example", Reason.DUPLICATE),
    ]
    assert report.verdicts[2].written == "10.0.0.1"
    assert not any("photo" in str(verdict) or "/x/y" in str(verdict) or "secret" in str(verdict) for verdict in report.verdicts)
    assert segment["entries"] == [["example.bad.", 0, 0]]
    assert report.rejected == {Reason.URL_PATH: 1, Reason.IP_ONLY: 1, Reason.DUPLICATE: 1, report.verdicts[4].reason: 1}


def test_names_of_child_abuse_orders_are_masked() -> None:
    """Names in `csam` never stand in a report."""
    segment, report = _read(ORDER.replace("  scope:", "  category: csam\n  scope:"))
    assert {verdict.written for verdict in report.verdicts} == {"***"} and not any(verdict.name for verdict in report.verdicts)
    assert segment["entries"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("number: 12/QĐ-STTTT\n  issuer", "issuer", "[0].number"),
        ("number: 12/QĐ-STTTT", 'number: ""', "[0].number"),
        ("  issuer: Sở Thông tin và Truyền thông\n", "", "[0].issuer"),
        ("issued_on: 2026-11-02", "issued_on: 2/11/2026", "issued_on"),
        ("issued_on: 2026-11-02", "issued_on: 2026-13-02", "issued_on"),
        ("basis: [Nghị", "basis: [[Nghị]", "not YAML"),
        ("basis: [Nghị định 147/2024/NĐ-CP, Luật 116/2025/QH15]", "basis: [{a: b}]", "basis"),
        ("bands: [CS, TH]", "bands: [CS, XX]", "scope.bands"),
        ("bands: [CS, TH]", "bands: []", "scope.bands"),
        ("scope: {bands: [CS, TH]}", "scope: {band: [CS]}", "scope"),
        ("from: 2026-11-03", "from: tomorrow", "from"),
        ("from: 2026-11-03", "from: 2028-11-03", "not after from"),
        ("  until: 2027-05-03\n", "", "has no end"),
        ("until: 2027-05-03", "until: 2027-05-03\n  no_end: true", "both until and no_end"),
        ("until: 2027-05-03", 'no_end: "yes"', "no_end"),
        ("until: 2027-05-03", "untill: 2027-05-03", "until"),
        ("  scope:", "  category: gamb\n  scope:", "category"),
        ("  scope:", "  category: dist\n  scope:", "90 days"),
        ("    - bad.example", "    - {nam: bad.example}", "items[0]"),
        ("match: exact", "match: some", "items[1]"),
        ("    - bad.example\n    - {name: worse.example, match: exact}\n", "", "items"),
        ("- number", "- just text\n- number", "[0]"),
    ],
)
def test_mistake_in_the_form_refuses_the_file_with_its_place(old: str, new: str, said: str) -> None:
    """The orders in force stay while the file has a mistake, and the message leads to it."""
    text = ORDER.replace(old, new, 1)
    assert text != ORDER
    with pytest.raises(SettingsError) as caught:
        _read(text)
    assert any(said in str(mistake) for mistake in caught.value.mistakes), caught.value.mistakes


def test_order_on_distorted_information_needs_law_and_an_end_within_ninety_days() -> None:
    """`dist` is narrow on purpose: a number, a named law, ninety days."""
    good = ORDER.replace("  scope:", "  category: dist\n  scope:").replace("2027-05-03", "2027-02-01")
    assert _read(good)[1].enforced == 2
    for broken in (good.replace("2027-02-01", "2027-02-03"), good.replace("[Nghị định 147/2024/NĐ-CP, Luật 116/2025/QH15]", "[]")):
        with pytest.raises(SettingsError):
            _read(broken)


def test_same_number_of_one_issuer_twice_is_a_mistake_of_two_issuers_not() -> None:
    """A number names one document of one office."""
    with pytest.raises(SettingsError, match="written twice"):
        _read(ORDER + ORDER)
    other = ORDER.replace("Sở Thông tin và Truyền thông", "Ủy ban nhân dân tỉnh")
    assert [order["id"] for order in _read(ORDER + other)[0]["orders"]] == ["file:12/QĐ-STTTT", "file:12/QĐ-STTTT#2"]


def test_all_mistakes_are_told_at_once_with_the_file_and_line(tmp_path: Path) -> None:
    """A person mends the file in one go."""
    path = tmp_path / "orders.yaml"
    path.write_text(ORDER.replace("until: 2027-05-03", "until: never").replace("match: exact", "match: some"), encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        read_orders(path, GUARD, CATALOGUE)
    assert [str(mistake.path).split(":")[:2] for mistake in caught.value.mistakes] == [["orders.yaml", "7"], ["orders.yaml", "10"]]


KEYS = ["orders", "number", "issuer", "items", "from", "until", "no_end", "scope", "bands", "basis", "name", "match", "x"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=20,
)


@given(VALUES)
def test_any_document_gives_a_segment_or_mistakes(value: Any) -> None:
    """Whatever stands in the file, nothing but our error is raised."""
    try:
        segment, report = orders_of(Document(None, value), GUARD, CATALOGUE)
    except SettingsError as error:
        assert error.mistakes
    else:
        Overlay([("segment", segment)])
        assert report.orders == len(segment["orders"])
