"""The inbox, an entry and the versions, as an officer meets them."""

from __future__ import annotations

from datetime import datetime

import pytest
from starlette.types import ASGIApp

from admin.dependencies import Services
from admin.office import open_office
from admin.officereads import find_entries
from blocklists.takedown import cases
from gateway.errors import ControlError
from tests.admin.test_officeduty import approve
from tests.support.office import OfficeGateway, make_officers, officer


@pytest.fixture
def gateway(office_gateway: OfficeGateway) -> OfficeGateway:
    """A gateway that keeps the orders it is given."""
    return office_gateway


async def test_an_entry_is_lifted_with_a_reason(app: ASGIApp, services: Services, gateway: OfficeGateway, now: datetime) -> None:
    """From the list of entries to the lift; the gateway forgets the name at once, the history keeps who and why."""
    people = await make_officers(services.database, now)
    await approve(services, people, "bad.example")
    await services.office.duty.settle()
    two = await officer(app, "approver")
    await two.get("/office/entries?q=bad.example")
    path = next(link for link in two.links if link.startswith("/office/entries/"))
    await two.get(path)
    assert (await two.submit(f"{path}/lift", {"reason": ""})).status_code == 409
    await two.submit(f"{path}/lift", {"reason": "Trang đã dọn sạch"})
    assert gateway.enforced() == set()
    assert "Trang đã dọn sạch" in two.text
    assert "Cán bộ approver" in two.text
    await two.get("/office/releases")
    assert "phiên bản 2" in two.text
    await two.get("/office/releases/2")
    assert "bad.example" in two.text
    await two.close()


async def test_a_verifier_has_no_button_to_lift(app: ASGIApp, services: Services, gateway: OfficeGateway, now: datetime) -> None:
    """Lifting loosens: only an approver, with the password."""
    people = await make_officers(services.database, now)
    await approve(services, people, "bad.example")
    await services.office.duty.settle()
    one = await officer(app, "verifier")
    await one.get("/office/entries")
    path = next(link for link in one.links if link.startswith("/office/entries/"))
    await one.get(path)
    assert not one.has_form(f"{path}/lift")
    token = dict(one.forms[0].fields).get("_form", "")
    assert (await one.post(f"{path}/lift", {"_form": token, "reason": "x"})).status_code == 403
    await one.close()


async def test_pages_say_when_the_gateway_is_away(app: ASGIApp, services: Services, now: datetime) -> None:
    """Nothing pretends to be in force while it is not."""
    people = await make_officers(services.database, now)
    await approve(services, people, "bad.example")
    await services.office.duty.settle()
    one = await officer(app, "verifier")
    await one.get("/office")
    assert "Cổng lọc chưa trả lời" in one.text
    await one.get("/office/entries")
    assert "đang phát hành" in one.text
    await one.close()


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("disk", "Đĩa ở đó đầy hoặc không ghi được."),
        ("gone", "Một phần của cổng lọc vừa dừng và đang tự chạy lại."),
        ("refused", "Cổng lọc không đọc được phiên bản này, hoặc đã có phiên bản mới hơn."),
    ],
)
async def test_a_refusal_is_told_in_the_readers_language(
    app: ASGIApp, services: Services, gateway: OfficeGateway, now: datetime, code: str, sentence: str
) -> None:
    """What it means stands there in Vietnamese; the gateway's own English line stands apart, marked as such, for who looks after it."""
    people = await make_officers(services.database, now)
    gateway.refuse = ControlError(code, "files/ab12: No space left on device")
    await approve(services, people, "bad.example")
    await services.office.duty.settle()
    one = await officer(app, "verifier")
    await one.get("/office")
    assert sentence in one.text and "máy sẽ tự thử lại" in one.text
    assert '<span class="mono" lang="en">files/ab12: No space left on device</span>' in one.response.text
    await one.close()


@pytest.mark.parametrize("path", ["/office/entries/x", "/office/orders/x", "/office/reviews/x", "/office/reports/x", "/office/releases/9"])
async def test_what_does_not_exist_is_not_found(app: ASGIApp, services: Services, now: datetime, path: str) -> None:
    """Old links say so."""
    await make_officers(services.database, now)
    one = await officer(app, "verifier")
    assert (await one.get(path)).status_code == 404
    await one.close()


async def test_an_approver_writes_a_bulletin_and_takes_it_down(app: ASGIApp, services: Services, now: datetime) -> None:
    """A person's data and an address with a path are refused beside their field; the rest shows until it is taken down."""
    await make_officers(services.database, now)
    two = await officer(app, "approver")
    await two.get("/office/more")
    good = {"kind": "advisory", "title": "Cẩn thận trang giả", "symbol": "412/QĐ-SVHTTDL", "host": "gia.example", "ends_on": "2026-12-31"}
    for wrong in ({"text": "em ở lớp 7A"}, {"text": "xem gia.example/bai-viet"}, {"host": "không có"}, {"ends_on": "2020-01-01"}):
        await two.submit("/office/bulletins", good | wrong)
        assert two.response.status_code == 422, wrong
        await two.get("/office/more")
    await two.submit("/office/bulletins", good)
    assert "Cẩn thận trang giả" in two.text
    assert "đến hết 31/12/2026" in two.text
    await two.submit(next(form.action for form in two.forms if form.action.endswith("/end")))
    assert "Cẩn thận trang giả" not in two.text
    await two.close()


async def test_a_return_to_an_earlier_version_takes_two_approvers(
    app: ASGIApp, services: Services, gateway: OfficeGateway, now: datetime
) -> None:
    """The page of a version shows what would leave; it leaves at once; the same person cannot confirm, another one does."""
    people = await make_officers(services.database, now)
    for host in ("one.example", "two.example"):
        await approve(services, people, host)
        await services.office.duty.settle()
    first, second = await officer(app, "approver"), await officer(app, "second", "192.168.1.33")
    await first.get("/office/releases/1")
    assert "two.example" in first.text
    await first.submit("/office/releases/1/return", {"reason": "phát hành nhầm"})
    assert gateway.enforced() == {"example.one."}
    assert "Quay lại phiên bản 1" in first.text
    assert [form.action for form in first.forms if "/office/returns/" in form.action] == []
    await second.get("/office")
    action = next(form.action for form in second.forms if "/office/returns/" in form.action)
    await second.submit(action, button=("step", "refuse"))
    assert gateway.enforced() == {"example.one.", "example.two."}
    assert "Quay lại phiên bản 1" not in second.text
    await first.close()
    await second.close()


async def test_a_decided_report_blocks_for_a_week(app: ASGIApp, services: Services, gateway: OfficeGateway, now: datetime) -> None:
    """A verifier proposes, an approver approves: in force without a document for seven days; a protected name is refused in words."""
    people = await make_officers(services.database, now)
    async with services.database.write() as connection:
        office = await open_office(connection, people.tenant)
        codes = [
            await cases.receive_report(connection, office, cases.NewReport("web", "harmful", "parent", host, "gamb"), now)
            for host in ("bet.example", "olm.vn")
        ]
    one, two = await officer(app, "verifier"), await officer(app, "approver", "192.168.1.33")
    answers = []
    for code in codes:
        await one.get("/office")
        path = next(link for link in one.links if link.startswith("/office/reports/") and code in one.response.text.split(link)[1][:300])
        await one.get(path)
        await one.submit(path, button=("step", "triage"))
        await one.submit(path, button=("step", "start"))
        await one.submit(path, {"reason": "trang cá cược"}, ("step", "propose"))
        await two.get(path)
        await two.submit(path, button=("step", "approve"))
        answers.append((two.response.status_code, two.text))
    await one.close()
    await two.close()
    assert answers[0][0] == 200
    assert answers[1][0] == 409
    assert "olm.vn" in answers[1][1]
    assert gateway.enforced() == {"example.bet."}
    async with services.database.read() as connection:
        (entry,) = await find_entries(connection, office, "bet.example", "")
    assert (entry["valid_until"] - now).days == 7
