"""Hours, apps, groups of content and names of a child."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from admin.dependencies import Services
from tests.admin.conftest import Clock
from tests.admin.routes.test_profiles import in_force
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family
from tests.support.people import PASSWORD
from tests.support.visitor import Visitor


@pytest.fixture
async def parent(visitor: Visitor, services: Services, family: Family, gateway: ScriptedGateway, lists: Path) -> Visitor:
    """A parent who signed in a moment ago, with real lists in force."""
    await services.applier.settle(family.tenant)
    await visitor.sign_in("me", PASSWORD, kept=True)
    return visitor


async def test_hours_are_edited_as_rows(parent: Visitor, services: Services, family: Family, gateway: ScriptedGateway) -> None:
    """A second window, over midnight, in summer too; the picture and the words follow."""
    path = f"/profiles/{family.bi.id}/hours"
    await parent.get(path)
    await parent.submit(path, button=("add", "1"))
    fields = {"days": ["every", "school"], "starts": ["20h30", "14:00"], "ends": ["6:00", "16:00"], "effect": ["rest", "study"]}
    await parent.submit(path, fields)
    assert "Hằng ngày 20:30–06:00: nghỉ trò chơi, video · Ngày học 14:00–16:00: chỉ mở phần học" in parent.text
    schedule = in_force(services, gateway, family, family.bi.id)["schedule"]
    assert [(row["from"], row["to"]) for row in schedule] == [("20:30", "06:00"), ("14:00", "16:00")]


async def test_hours_with_mistakes_keep_what_was_typed(parent: Visitor, family: Family) -> None:
    """A slip is told; nothing that was typed is lost, nothing changes."""
    path = f"/profiles/{family.bi.id}/hours"
    await parent.get(path)
    response = await parent.submit(path, {"starts": "buổi tối", "ends": "06:00"})
    assert response.status_code == 422
    assert 'value="buổi tối"' in response.text


async def test_mistake_of_hours_stands_in_its_own_window(parent: Visitor, family: Family) -> None:
    """With two windows the wrong one is marked, the right one is not; the cursor is in the field."""
    path = f"/profiles/{family.bi.id}/hours"
    await parent.get(path)
    typed = {"days": ["every", "weekend"], "effect": ["rest", "rest"], "starts": ["21:00", "xx"], "ends": ["06:00", "15:00"]}
    response = await parent.submit(path, typed)
    assert response.status_code == 422
    first, second = response.text.split('<fieldset class="person">')[1:]
    assert "aria-invalid" not in first
    assert "Xin ghi giờ, ví dụ 21:00." in second and 'id="starts-2" name="starts" value="xx"' in second and " autofocus" in second


async def test_taking_hours_away_needs_the_password(
    parent: Visitor, services: Services, family: Family, gateway: ScriptedGateway, clock: Clock
) -> None:
    """Less rest is loosening."""
    clock.forward(minutes=15)
    path = f"/profiles/{family.bi.id}/hours"
    await parent.get(path)
    response = await parent.submit(path, {"remove": "0"})
    assert response.status_code == 401
    await parent.submit(path, {"_password": PASSWORD})
    assert in_force(services, gateway, family, family.bi.id)["schedule"] == []


async def test_group_switch_follows_the_band_and_its_locks(
    parent: Visitor, services: Services, family: Family, gateway: ScriptedGateway
) -> None:
    """Games open by one press and back to the band's default; what is locked has no switch and says why."""
    path = f"/profiles/{family.bi.id}/groups"
    await parent.get(path)
    assert not parent.has_form(path, ("set", "gamb allow"))
    assert "Theo pháp luật" in parent.text and "116/2025/QH15" in parent.text  # and the number of the document
    await parent.submit(path, button=("set", "game allow"))
    assert in_force(services, gateway, family, family.bi.id)["categories"] == {"game": "allow"}
    await parent.submit(path, button=("set", "game block"))
    assert in_force(services, gateway, family, family.bi.id)["categories"] == {}


async def test_locked_group_cannot_be_opened_by_hand(parent: Visitor, services: Services, family: Family) -> None:
    """A form made by hand opens nothing either."""
    path = f"/profiles/{family.bi.id}/groups"
    await parent.get(path)
    token = next(value for form in parent.forms for name, value in form.fields if name == "_form")
    for wanted in ("gamb allow", "order allow", "nothing allow", "game open", "game"):
        response = await parent.post(path, {"_form": token, "set": wanted})
        assert response.status_code == 422, wanted


async def test_one_switch_closes_the_ways_around_the_filter(
    parent: Visitor, services: Services, family: Family, gateway: ScriptedGateway, clock: Clock
) -> None:
    """VPN, proxies, encrypted DNS go together: one press closes them, the password opens them; a child has no such switch."""
    clock.forward(minutes=15)
    path = f"/profiles/{family.adults.id}/groups"
    await parent.get(path)
    assert "Lối vòng qua bộ lọc" in parent.text
    assert not parent.has_form(path, ("set", "bypass block"))
    assert (await parent.submit(path, button=("set", "exits block"))).status_code == 200
    assert in_force(services, gateway, family, family.adults.id)["categories"] == {"bypass": "block", "encdns": "block"}
    assert (await parent.submit(path, button=("set", "exits allow"))).status_code == 401
    await parent.submit(path, {"_password": PASSWORD})
    assert in_force(services, gateway, family, family.adults.id)["categories"] == {}
    child = f"/profiles/{family.bi.id}/groups"
    await parent.get(child)
    assert not parent.has_form(child, ("set", "exits allow"))
    token = next(value for form in parent.forms for name, value in form.fields if name == "_form")
    assert (await parent.post(child, {"_form": token, "set": "exits allow"})).status_code == 422


async def test_empty_lists_say_so(parent: Visitor, family: Family) -> None:
    """A group that no list fills is not shown as if it were filtered: said once for all of them, not at each."""
    await parent.get(f"/profiles/{family.bi.id}/groups")
    assert "nhóm nữa chưa có danh sách" in parent.text
    assert "Cũng bị khóa, nhưng chưa có danh sách nên mới chặn được ít:" in parent.text
    assert parent.text.count("chưa có danh sách") == 3
    assert "chỉ một phần" in parent.text
    assert "lọc theo tên không tới được" in parent.text


@pytest.mark.parametrize(("typed", "found", "absent"), [("lien quan", "Liên Quân", "TikTok"), ("TIKTÔK", "TikTok", "Liên Quân")])
async def test_app_is_found_whatever_its_marks(parent: Visitor, family: Family, typed: str, found: str, absent: str) -> None:
    """People type without diacritics, or with a wrong one, in capitals; other apps are out of the way, and one press brings all back."""
    path = f"/profiles/{family.bi.id}/apps"
    await parent.get(f"{path}?q={typed}")
    assert found in parent.text and absent not in parent.text
    assert path in parent.links
    await parent.get(f"{path}?q=khong-co-ung-dung-nay")
    assert "0 ứng dụng có" in parent.text


async def test_one_group_of_apps_is_open_at_a_time(parent: Visitor, family: Family) -> None:
    """The others are a line with how many are open, which opens them; a change comes back to the group it was made in."""
    path = f"/profiles/{family.bi.id}/apps"
    await parent.get(path)
    assert 'value="tiktok block"' in parent.response.text and 'value="zalo block"' not in parent.response.text
    assert "0 đang mở · 8 ứng dụng" in parent.text and "?group=chat#group-chat" in parent.response.text
    await parent.get(f"{path}?group=chat")
    assert 'value="zalo block"' in parent.response.text and 'value="tiktok block"' not in parent.response.text
    await parent.submit(path, button=("set", "zalo block"))
    assert 'value="zalo block"' in parent.response.text and 'value="tiktok block"' not in parent.response.text
    await parent.get(f"{path}?group=no-such-group")
    assert 'value="tiktok block"' in parent.response.text


@pytest.mark.parametrize(("typed", "called"), [("Facebook", "Facebook"), ("youtube", "YouTube"), ("tik tok", "TikTok")])
async def test_a_word_that_means_an_app_leads_to_the_app(parent: Visitor, family: Family, typed: str, called: str) -> None:
    """A mother types what she calls it: the page keeps it and leads to that app of this child; an address asks no such question."""
    path = f"/profiles/{family.bi.id}"
    await parent.get(f"{path}/names?name={typed}")
    assert f'value="{typed}"' in parent.response.text
    assert f"{path}/apps?q={called}" in parent.links and "Có phải ý bạn là ứng dụng" in parent.text
    await parent.get(f"{path}/names?name=scratch.mit.edu")
    assert "Có phải ý bạn" not in parent.text


async def test_what_was_opened_for_a_while_is_open_on_the_page_of_apps(
    parent: Visitor, services: Services, family: Family, clock: Clock
) -> None:
    """Counted as open now, with its end in the row and in its group; afterwards all is as before."""
    path = f"/profiles/{family.bi.id}"
    await parent.get(path)
    await parent.submit(f"{path}/open", {"what": "chat"}, ("until", "1h"))
    await parent.get(f"{path}/apps?group=chat")
    rows = {
        app: re.sub(r"<[^>]*>", "", found[0])
        for app in ("messenger", "zalo")
        if (found := re.search(rf'id="{app}">.*?</div>', parent.response.text, re.DOTALL))
    }
    assert "Mở đến 20:30" in rows["messenger"] and "đến" not in rows["zalo"], "Zalo is a social network, too, and that stays closed"
    await parent.get(f"{path}/apps")
    counts = re.search(r"Nhắn tin[^·]*?([0-9]+) đang mở", parent.text)
    assert counts is not None and counts[1] != "0"
    await parent.get(f"{path}/groups")
    assert parent.text.count("Mở đến 20:30") == 1
    clock.forward(hours=1)
    await parent.get(f"{path}/apps?group=chat")
    assert "đến 20:30" not in parent.text


async def test_app_with_addresses_from_memory_says_so(parent: Visitor, family: Family) -> None:
    """In the row of the app and once what it means; not where every address was looked up."""
    await parent.get(f"/profiles/{family.bi.id}/apps?q=tiktok")
    row = re.search(r'id="tiktok">.*?</div>', parent.response.text, re.DOTALL)
    assert row is not None and "địa chỉ chưa kiểm hết" in row[0]
    assert "chặn có thể còn sót" in parent.text
    await parent.get(f"/profiles/{family.bi.id}/apps?q=zalo")
    assert "chưa kiểm hết" not in parent.text


async def test_app_switch_needs_the_password_only_to_open(
    parent: Visitor, services: Services, family: Family, gateway: ScriptedGateway, clock: Clock
) -> None:
    """Zalo opens for a nine-year-old only with the password; closing YouTube for Na needs none."""
    clock.forward(minutes=15)
    path = f"/profiles/{family.bi.id}/apps"
    await parent.get(f"{path}?group=chat")
    assert (await parent.submit(path, button=("set", "zalo allow"))).status_code == 401
    await parent.submit(path, {"_password": PASSWORD})
    assert in_force(services, gateway, family, family.bi.id)["services"] == {"zalo": "allow"}
    clock.forward(minutes=15)
    path = f"/profiles/{family.na.id}/apps"
    await parent.get(f"{path}?group=video")
    await parent.submit(path, button=("set", "youtube block"))
    assert in_force(services, gateway, family, family.na.id)["services"] == {"youtube": "block"}


@pytest.mark.parametrize(
    ("typed", "state", "allow", "deny"),
    [
        ("https://play.example/game?x=1", "Đang chặn với Bi", "Sẽ được mở.", "Đang bị chặn rồi"),
        ("bet.example", "Đang chặn với Bi", "Vẫn bị chặn: khóa", "Đang bị chặn rồi"),
        ("free.example", "Đang mở với Bi", "Đang mở rồi", "Sẽ bị chặn."),
        ("tongdai111.vn", "Đang mở với Bi", "Đang mở rồi", "Vẫn mở: trang trợ giúp"),
        ("ordered.example", "Đang chặn với Bi", "Vẫn bị chặn: khóa", "Đang bị chặn rồi"),
    ],
)
async def test_name_shows_what_would_happen_before_it_is_listed(
    parent: Visitor, family: Family, typed: str, state: str, allow: str, deny: str
) -> None:
    """What holds now, and what either list would bring: told before anything is pressed."""
    path = f"/profiles/{family.bi.id}/names"
    await parent.get(f"{path}?name={typed}")
    for words in (state, allow, deny):
        assert words in parent.text, words


async def test_name_is_listed_and_taken_off(
    parent: Visitor, services: Services, family: Family, gateway: ScriptedGateway, clock: Clock
) -> None:
    """Denying is one press; opening and taking a denial off need the password."""
    path = f"/profiles/{family.bi.id}/names"
    await parent.get(f"{path}?name=free.example")
    await parent.submit(path, button=("effect", "deny"))
    assert in_force(services, gateway, family, family.bi.id)["deny"] == ["free.example"]
    clock.forward(minutes=15)
    (remove,) = [form.action for form in parent.forms if form.action.endswith("/remove")]
    assert (await parent.submit(remove)).status_code == 401
    await parent.submit(remove, {"_password": PASSWORD})
    assert in_force(services, gateway, family, family.bi.id)["deny"] == []
    clock.forward(minutes=15)
    await parent.get(f"{path}?name=play.example")
    assert (await parent.submit(path, button=("effect", "allow"))).status_code == 401


async def test_name_that_is_none_is_told_beside_the_field(parent: Visitor, family: Family) -> None:
    """Endings and nonsense are refused with a sentence."""
    path = f"/profiles/{family.bi.id}/names"
    assert (await parent.get(f"{path}?name=com.vn")).status_code == 422
    assert "cả một đuôi tên miền" in parent.text
    response = await parent.get(f"{path}?name=<script>alert(1)</script>.example")
    assert "<script>alert" not in response.text


async def test_guests_rules_can_be_seen(parent: Visitor, family: Family) -> None:
    """What holds for unnamed devices is open to the parent's eyes."""
    for path in ("", "/groups", "/apps", "/names"):
        assert (await parent.get(f"/profiles/{family.guests.id}{path}")).status_code == 200
