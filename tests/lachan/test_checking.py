"""`lachan check` and `lachan config show`."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import SettingsError
from lachan.certificate import write
from lachan.checking import check
from lachan.errortext import explain_error


def test_sound_file_is_praised_in_both_languages(prepared_once: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, exit status 0."""
    check(prepared_once / "lachan.yaml")
    assert "hợp lệ, 2 hồ sơ, 1 danh sách thêm. / valid, 2 profiles, 1 lists of your own." in capsys.readouterr().out


def test_mistake_in_the_takedown_file_is_found(prepared: Path) -> None:
    """What would be refused at a reload is refused here."""
    (prepared / "orders.yaml").write_text("- {number: 1, isuer: x}\n")
    with pytest.raises(SettingsError, match=r"orders\.yaml"):
        check(prepared / "lachan.yaml")


TWO_SCHOOLS = """\
profiles: [{{id: th, band: TH}}, {{id: cs, band: CS}}, {{id: can-bo, band: NL}}]
default_profile: can-bo
sites:
  - {{id: truong-a, class: school, bands: [TH], networks: [10.1.0.0/16]}}
  - {{id: truong-b, class: school, bands: [CS], networks: [{network}]}}
clients:
  - {{id: hs-a, profile: th, site: truong-a, match: [10.1.0.0/16]}}
  - {{id: hs-b, profile: cs, site: truong-b, match: [{match}]}}
"""


@pytest.mark.parametrize(
    ("network", "match", "lines"),
    [("10.1.0.0/16", "10.1.0.0/16", {4, 5, 7, 8}), ("10.22.0.0/16", "10.2.0.0/16", {5, 8}), ("10.2.0.0/16", "10.2.0.0/16", set())],
)
def test_network_written_for_two_schools_or_outside_its_own_is_a_mistake(
    network: str, match: str, lines: set[int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One slip took a school's rules away while the file was praised: both places are named, with what to do."""
    path = tmp_path / "lachan.yaml"
    path.write_text(TWO_SCHOOLS.format(network=network, match=match), encoding="utf-8")
    if not lines:
        return check(path)
    with pytest.raises(SettingsError) as refused:
        check(path)
    assert {int(mistake.path.split(":")[1].split(" ")[0]) for mistake in refused.value.mistakes} == lines
    assert all(mistake.remedy for mistake in refused.value.mistakes)
    told = explain_error(refused.value)
    assert "có hiệu lực" in told and "hoặc " in told


def test_network_that_may_not_ask_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file is valid, and devices there would get no answer: the line that mends it is given."""
    path = tmp_path / "lachan.yaml"
    text = TWO_SCHOOLS.format(network="113.160.10.0/24", match="113.160.10.0/24")
    path.write_text(f"dns: {{allow_from: [10.0.0.0/8]}}\n{text}", encoding="utf-8")
    check(path)
    told = capsys.readouterr().out
    assert "local hs-b" in told and "local truong-b" in told and "local hs-a" not in told
    assert "allow_from: [10.0.0.0/8, 113.160.10.0/24]" in told


@pytest.mark.parametrize(
    ("pages", "told"),
    [
        ('admin: {listen: "127.0.0.1:8080"}', True),
        ('admin: {listen: "192.168.1.2:8080"}', False),
        ('admin: {listen: "127.0.0.1:8080"}\nblock_page: {listen: "192.168.1.2:80"}', False),
        ("", False),
    ],
)
def test_pages_that_no_child_can_open_are_told(pages: str, told: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file is valid; a card with an address that opens nothing would be printed. The line that serves the page is given."""
    path = tmp_path / "lachan.yaml"
    path.write_text(f'dns: {{listen: ["192.168.1.2:53"]}}\n{pages}\n', encoding="utf-8")
    check(path)
    assert ('block_page: {listen: "192.168.1.2:80"}' in capsys.readouterr().out) == told


ZONE = "$TTL 60\n@ SOA . . 1 1 1 1 1\nbad.example CNAME .\n"


def _with_zone(folder: Path, text: str, **more: str) -> Path:
    (folder / "z.rpz").write_text(text)
    extra = "".join(f", {name}: {value}" for name, value in more.items())
    path = folder / "lachan.yaml"
    path.write_text(path.read_text(encoding="utf-8") + f"rpz: [{{name: z.example, file: z.rpz{extra}}}]\n", encoding="utf-8")
    return path


def test_group_that_no_client_has_is_said(prepared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A zone for nobody is allowed, and never silent."""
    check(_with_zone(prepared, ZONE, groups="[school]"))
    assert "rpz[0].groups" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("bad.example CNAME .\n", "is no policy zone .*no SOA"),
        ("<html>\n", "is no policy zone .*line 1: <html>"),
        (ZONE + "worse.example A 1.2.3.999\n", "1 records .*line 4: worse.example A 1.2.3.999"),
    ],
)
def test_file_that_is_no_policy_zone_is_found(text: str, where: str, prepared: Path) -> None:
    """Before it is in force, with the line."""
    with pytest.raises(SettingsError, match=r"rpz\[0\]\.file.*" + where):
        check(_with_zone(prepared, text))


@pytest.mark.parametrize(
    ("profiles", "default", "is_told"),
    [
        ("[{id: lan, band: NL}, {id: be, band: TH}]", "lan", True),
        ("[{id: lan, band: NL}, {id: be, band: TH}]", "be", False),
        ("[{id: lan, band: NL}, {id: hai, band: NL}]", "lan", False),
        ("[{id: lan, band: NL}, {id: be, band: TH}]", None, False),
    ],
)
def test_adults_rules_for_unknown_devices_beside_children_are_told(
    profiles: str, default: str | None, is_told: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is allowed, and said: a child's new phone would be an adult's until somebody names it."""
    path = tmp_path / "lachan.yaml"
    line = f"default_profile: {default}\n" if default else ""
    path.write_text(f"state_dir: {tmp_path}/var\nprofiles: {profiles}\n{line}", encoding="utf-8")
    check(path)
    assert ("default_profile: thiết bị chưa đặt tên được luật của người lớn" in capsys.readouterr().out) is is_told


PLAIN = """\
upstreams: {servers: ["udp://192.0.2.1"], timeout: %s}
profiles: [{id: lon, band: NL}]
default_profile: lon
"""


def test_values_that_are_hardly_ever_meant_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever drops the "ms" would wait twenty-five minutes; a list inside is only fetched where that is meant."""
    path = tmp_path / "lachan.yaml"
    lists = 'lists: [{id: far, category: ads, url: "http://10.0.0.1/x"}, {id: near, category: ads, url: "https://lists.example/x"}]\n'
    path.write_text(PLAIN % "1500" + lists)
    check(path)
    told = capsys.readouterr().out
    assert "upstreams.timeout: 1500 GIÂY" in told and "1500 SECONDS" in told
    assert "lists[0].url: 10.0.0.1" in told and "lists[1]" not in told
    path.write_text(PLAIN % "1500ms" + lists + "lists_fetch: {allow_private: true}\n")
    check(path)
    assert "!" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("sections", "found"),
    [
        ('dns: {listen: ["127.0.0.1:5300"]}\nmetrics: {listen: "127.0.0.1:5300"}\n', "metrics.listen: 127.0.0.1:5300 is taken"),
        ('dns: {listen: ["0.0.0.0:5300"]}\nmetrics: {listen: "127.0.0.1:5300"}\n', "metrics.listen: 127.0.0.1:5300 is taken"),
        ('metrics: {listen: "127.0.0.1:9153"}\nadmin: {listen: "127.0.0.1:9153"}\n', "admin.listen: 127.0.0.1:9153 is taken"),
        ('dns: {listen: ["[::]:5300"]}\nmetrics: {listen: "127.0.0.1:5300"}\n', ""),
        ('dns: {listen: ["127.0.0.2:5300", "127.0.0.1:5300"]}\nmetrics: {listen: "127.0.0.1:9153"}\n', ""),
    ],
)
def test_port_that_two_sections_want_is_a_mistake(sections: str, found: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The program would not start."""
    path = tmp_path / "lachan.yaml"
    path.write_text(PLAIN % "1.5s" + sections)
    if not found:
        check(path)
        return
    with pytest.raises(SettingsError) as refused:
        check(path)
    assert found in str(refused.value)


def test_certificate_that_phones_refuse_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Valid, and whoever sets a phone to it loses the Internet: the check says so where phones would ask, and only there."""
    certificate, key = write("dns.example", [], tmp_path / "own")
    text = f"tls: {{certificate: {certificate}, key: {key}, name: dns.example}}\nprofiles: [{{id: a, band: NL}}]\n"
    path = tmp_path / "lachan.yaml"
    path.write_text(text, encoding="utf-8")
    check(path)
    assert "tls.certificate" not in capsys.readouterr().out
    path.write_text(text + 'dot: {listen: ["127.0.0.1:8853"]}\n', encoding="utf-8")
    check(path)
    told = capsys.readouterr().out
    assert "! tls.certificate: điện thoại" in told and "nó tự ký" in told and "has no Internet" in told


@pytest.mark.parametrize(
    ("networks", "match", "told"),
    [
        ("10.1.0.0/16", "10.0.0.0/8", True),
        ("10.1.0.0/17, 10.1.128.0/17", "10.1.0.0/16", False),
        ("10.1.0.0/17, 10.1.0.0/18", "10.1.0.0/16", True),
        ("10.1.0.0/16", "10.1.3.0/24", False),
    ],
)
def test_client_wider_than_its_site_is_told(
    networks: str, match: str, told: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who asks from the part outside is not that client: a slip of one digit is named with both remedies, and the file still holds."""
    path = tmp_path / "lachan.yaml"
    text = f"""\
profiles: [{{id: th, band: TH}}]
default_profile: th
sites: [{{id: truong, class: school, bands: [TH], networks: [{networks}]}}]
clients: [{{id: hs, profile: th, site: truong, match: [{match}]}}]
"""
    path.write_text(text, encoding="utf-8")
    check(path)
    out = capsys.readouterr().out
    assert ("! clients[0].match" in out and f"{match} is wider than the networks of its site" in out) == told
