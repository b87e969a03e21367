"""Finding on its page: a list of others and a search make a queue that blocks nothing until two people did their part."""

from __future__ import annotations

from datetime import datetime

import pytest
from starlette.types import ASGIApp

from admin.dependencies import Services
from admin.settings import AdminSettings
from blocklists.takedown import candidates
from tests.support.office import OfficeGateway, make_officers, officer


async def test_a_list_that_is_too_large_is_not_cut_in_silence(
    app: ASGIApp, services: Services, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a million letters: refused with what to do, as by the API, and nothing of it is queued. More names than the queue takes at once:
    the page says how many are left, and that the same list brings them."""
    await make_officers(services.database, now)
    browser = await officer(app, "verifier")
    long = "\n".join(f"trang-danh-bac-tren-mang-so-{n}.example" for n in range(28_000))
    await browser.get("/office/finding")
    await browser.submit("/office/finding/list", {"source": "Danh sách A", "category": "gamb", "text": long})
    assert browser.response.status_code == 422
    assert "Danh sách này dài hơn một triệu chữ" in browser.text
    await browser.get("/office/finding")
    assert not [form for form in browser.forms if ("step", "take") in form.buttons]
    monkeypatch.setattr(candidates, "MOST_AT_ONCE", 2)
    few = "\n".join(f"ca-do-{n}.example" for n in range(5))
    for added, left in ((2, "Còn 3 tên chưa nhận"), (2, "Còn 1 tên chưa nhận"), (1, "")):
        await browser.submit("/office/finding/list", {"source": "Danh sách A", "category": "gamb", "text": few})
        assert f"{added} tên mới" in browser.text
        assert left in browser.text and (left or "chưa nhận" not in browser.text)
    await browser.close()


async def test_a_list_of_others_waits_for_a_person(app: ASGIApp, services: Services, settings: AdminSettings, now: datetime) -> None:
    """Names queue with their source; one taken up goes the road of a report; one refused counts as a mistake of the source."""
    await make_officers(services.database, now)
    gateway = OfficeGateway(settings.state_dir)
    await gateway.start()
    browser = await officer(app, "verifier")
    await browser.get("/office/finding")
    await browser.submit("/office/finding/list", {"source": "", "category": "gamb", "text": "x"})
    assert browser.response.status_code == 422
    pasted = "ca-do-1.example\nhttps://ca-do-2.example/\nhttps://site.example/mot-trang\nfacebook.com"
    await browser.submit("/office/finding/list", {"source": "Danh sách A", "category": "gamb", "text": pasted})
    assert "2 tên mới" in browser.text and "1 tên được bảo vệ" in browser.text and "đã biết" not in browser.text
    await browser.submit("/office/finding/list", {"source": "Danh sách A", "category": "gamb", "text": pasted})
    assert "0 tên mới" in browser.text and "2 tên đã biết" in browser.text
    assert "Nguồn này chưa có quyết định nào" in browser.text
    assert "facebook.com" not in browser.text
    actions = [form.action for form in browser.forms if ("step", "take") in form.buttons]
    await browser.submit(actions[1], {"reason": "trang bán hàng"}, ("step", "refuse"))
    assert "0 đã nhận, 1 sai" in browser.text
    await browser.submit(actions[0], button=("step", "take"))
    assert browser.response.url.path.startswith("/office/reports/")
    assert "ca-do-1.example" in browser.text
    await browser.get("/office/finding")
    await browser.submit("/office/finding/scan")
    assert "0 tên mới" in browser.text
    assert gateway.orders is None
    await browser.close()
    await gateway.stop()
