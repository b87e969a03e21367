"""`lachan explain`: the same judgement as the workers', in one line, with the ones that lost."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from gateway.policy.model import Block, Drop, Local, Pass, Reason, Rewrite, Rule, RuleOrigin, TcpOnly
from lachan.explaining import ExplainError, explain, line_of, outcome, parse_moment

RULE = Rule(RuleOrigin.PARENT, Reason.NAME, "deny a.example", "basis", "source", "v1")


def told(folder: Path, capsys: pytest.CaptureFixture[str], name: str, **given: str) -> str:
    """What the command prints."""
    qtype = given.pop("qtype", "A")
    explain(folder / "lachan.yaml", name, given.get("client"), given.get("profile"), given.get("at"), qtype)
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("facebook.com", {"profile": "be-9-tuoi", "at": "2026-09-01T16:00"}, ["BLOCKED (EDE 17)", "band TH", "category social"]),
        ("facebook.com", {"client": "may-me", "at": "2026-09-01T16:00"}, ["OPEN", "may-me → nguoi-lon (NL)"]),
        ("facebook.com", {"client": "127.0.0.1", "at": "2026-09-01T16:00"}, ["BLOCKED", "may-be → be-9-tuoi (TH)"]),
        ("game.example", {"profile": "be-9-tuoi", "at": "2026-09-01T16:00"}, ["game.example A: ", "games"]),
        ("www.denied.example", {"client": "may-be", "at": "2026-09-01T16:00"}, ["BLOCKED", "parent", "denied.example"]),
        ("open.example", {"client": "may-be", "at": "2026-09-01T21:30"}, ["BLOCKED", "giờ ngủ", "2026-09-01T21:30"]),
        ("open.example", {"client": "may-be", "at": "2026-09-01T20:30"}, ["OPEN"]),
        ("open.example", {"client": "may-be", "at": "2026-09-01T14:30+00:00"}, ["BLOCKED", "2026-09-01T21:30"]),
        ("vn-cop.vn", {"client": "may-be", "at": "2026-09-01T21:30"}, ["OPEN", "help"]),
        ("ordered.example", {"client": "may-be", "at": "2026-09-01T16:00"}, ["BLOCKED (EDE 16)", "12/QĐ-STTTT"]),
        ("www.google.com", {"client": "may-be", "at": "2026-09-01T16:00", "qtype": "AAAA"}, ["LED TO forcesafesearch.google.com"]),
        ("https://Facebook.com/groups/1", {"client": "may-be", "at": "2026-09-01T16:00"}, ["BLOCKED"]),
        ("open.example", {}, ["OPEN", "nguoi-lon"]),
        ("www.tiktok.com", {"client": "may-be"}, ["ứng dụng / app: TikTok: địa chỉ chưa kiểm hết / not all of its addresses were checked"]),
        ("shop.tiktok.com", {"client": "may-be"}, ["ứng dụng / app: TikTok Shop\n"]),
    ],
)
def test_verdict_is_told_with_who_decided(
    name: str, given: dict[str, str], expected: list[str], prepared_once: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name, a person and a moment give one verdict and its reason."""
    text = told(prepared_once, capsys, name, **given)
    for part in expected:
        assert part in text


def test_an_address_is_judged_by_its_name_and_a_bare_address_of_a_client_is_told(
    prepared_once: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The name that was judged stands there, not the address that was pasted; where no running gateway tells who is at an address, that
    is said before anything else."""
    text = told(prepared_once, capsys, "https://Facebook.com/groups/1", client="10.9.9.9")
    assert text.startswith("! không biết máy nào ở 10.9.9.9") and "\nfacebook.com A: " in text
    assert text.index("ask by --client ID or --profile") < text.index("facebook.com A: ")
    assert "ask by --client ID" not in told(prepared_once, capsys, "facebook.com", client="may-be")


def test_open_name_says_that_its_answer_is_judged_too(prepared_once: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An alias of a blocked name is open by its own name only; a name that help stands behind is open whatever it leads to."""
    text = told(prepared_once, capsys, "open.example", client="may-be", at="2026-09-01T16:00")
    assert "the answer is judged, too" in text and "lachan query open.example @" in text
    for name, client in (("facebook.com", "may-be"), ("vn-cop.vn", "may-be")):
        assert "the answer is judged" not in told(prepared_once, capsys, name, client=client, at="2026-09-01T16:00")


def test_address_that_may_not_ask_is_refused(prepared_once: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the gateway does with it comes first, then what the rules would say."""
    text = told(prepared_once, capsys, "facebook.com", client="8.8.4.4")
    assert text.startswith("facebook.com A: TỪ CHỐI (EDE 18) / REFUSED (EDE 18)\n") and "outside dns.allow_from" in text
    for client in ("127.0.0.1", "may-me", "192.168.1.77"):
        assert "REFUSED" not in told(prepared_once, capsys, "facebook.com", client=client)


def test_address_of_the_own_link_may_ask(prepared_once: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A phone with the provider's IPv6 is answered (`link` in `dns.allow_from`), and told so; one of another network is not."""
    monkeypatch.setattr("gateway.links.own_networks", lambda: (ip_network("2001:db8:5::/64"),))
    assert "REFUSED" not in told(prepared_once, capsys, "facebook.com", client="2001:db8:5::77")
    assert "REFUSED" in told(prepared_once, capsys, "facebook.com", client="2001:db8:6::77")


def test_rules_that_lost_are_listed(prepared_once: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Safe search comes before what the band says about the name."""
    text = told(prepared_once, capsys, "www.google.com", client="may-be", at="2026-09-01T16:00")
    assert "thua / lost: bảng độ tuổi / the band's matrix" in text


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("a.example", {"profile": "none"}, "there is no profile 'none'; there are: be-9-tuoi, nguoi-lon"),
        ("a.example", {"client": "none"}, "there is no client 'none'; there are: may-be, may-me"),
        ("a.example", {"client": "may-be", "profile": "nguoi-lon"}, "either --client or --profile"),
        ("a.example", {"at": "tonight"}, "write it as 2026-09-01T21:30"),
        ("a.example", {"qtype": "NOPE"}, "is not a record type"),
        ("a b", {}, "is not a domain name"),
        ("a..b", {}, "not a domain name"),
    ],
)
def test_impossible_question_is_one_sentence(name: str, given: dict[str, str], expected: str, prepared_once: Path) -> None:
    """The sentence says what would be right."""
    with pytest.raises(Exception, match=expected) as caught:
        explain(prepared_once / "lachan.yaml", name, given.get("client"), given.get("profile"), given.get("at"), given.get("qtype", "A"))
    assert "\n" not in str(caught.value)


def test_nothing_prepared_yet_is_one_sentence(tmp_path: Path) -> None:
    """The remedy is named."""
    (tmp_path / "lachan.yaml").write_text("state_dir: var\n")
    with pytest.raises(ExplainError, match="lachan lists compile"):
        explain(tmp_path / "lachan.yaml", "a.example", None, None, None, "A")


def test_moment_without_a_zone_is_viet_nam_time() -> None:
    """Schedules are thought of in local time."""
    assert parse_moment("2026-09-01T21:30") == parse_moment("2026-09-01T14:30+00:00")


def test_every_verdict_has_words_in_both_languages() -> None:
    """The family of verdicts is closed."""
    verdicts = [
        Pass(),
        Block(Reason.NAME, "", RULE, 17, 10),
        Rewrite("safe.example", "google"),
        Local((), Reason.OWN_NAME),
        Drop(RULE),
        TcpOnly(RULE, Pass()),
    ]
    for verdict in verdicts:
        vi, en = outcome(verdict)
        assert vi and en and vi != en


def test_line_of_a_rule_cannot_move_the_cursor() -> None:
    """A title of a list is a stranger's text."""
    line = line_of(Rule(RuleOrigin.PROVINCE, Reason.LIST, "category gamb", "title\x1b[2J", "list", "v"))
    assert line.isprintable()
    assert "province" in line and "\\x1b" in line
