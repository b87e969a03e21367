"""Bodies of the state on their page, and orders for some: chosen on the page, published with their scope, binding only there."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import text
from starlette.types import ASGIApp

from admin.dependencies import Services
from admin.officeform import read_chain
from admin.settings import AdminSettings
from admin.tenants import create_organisation
from blocklists.tables import OrganisationKind
from gateway import release
from gateway.policy.model import Band
from gateway.policy.overlay import Overlay
from gateway.wire.name import key_from_text
from tests.support.office import LETTER, OfficeGateway, officer
from tests.support.visitor import Visitor


@pytest.fixture
def gateway(office_gateway: OfficeGateway) -> OfficeGateway:
    """A gateway that keeps the orders it is given."""
    return office_gateway


async def keep(two: Visitor, name: str, **fields: str) -> None:
    await two.get("/office/agencies")
    await two.submit("/office/agencies", {"name": name, "kind": "department", **fields}, ("step", "add"))


async def test_a_body_ends_and_its_successors_are_asked_for(two: Visitor) -> None:
    """One department was divided in two: a directive to it is refused with both names, and nobody is picked."""
    for name in ("Sở Thông tin và Truyền thông", "Sở Khoa học và Công nghệ", "Sở Văn hóa"):
        await keep(two, name, place="Lai Châu")
    # The folds stand by name.
    actions = [form.action for form in two.forms if form.action.startswith("/office/agencies/")]
    others, old = [actions[0].rpartition("/")[2], actions[2].rpartition("/")[2]], actions[1]
    await two.submit(old, {"on": "2025-03-01", "basis": "15/NQ-HĐND", "successor": others}, ("step", "end"))
    assert "kế nhiệm: Sở Khoa học và Công nghệ, Sở Văn hóa" in two.text
    await two.get("/office/more")
    fields = {"symbol": "3008/KH-UBND", "title": "Phối hợp", "lead": "Công an tỉnh", "focal_point": "Sở Thông tin và Truyền thông"}
    await two.submit("/office/directives", fields)
    assert two.response.status_code == 409
    assert "Hãy chọn cơ quan kế nhiệm: Sở Khoa học và Công nghệ, Sở Văn hóa." in two.text
    await two.submit("/office/directives", fields | {"focal_point": "Sở Văn hóa"})
    assert "3008/KH-UBND" in two.text
    await two.get("/office/agencies?on=2024-08-01")
    assert "kế nhiệm: " not in two.text


async def test_an_order_for_some_binds_those_only(
    app: ASGIApp, two: Visitor, gateway: OfficeGateway, services: Services, settings: AdminSettings, now: datetime
) -> None:
    """Ages, a province and one school are chosen on the page; the published segment carries them and the gateway's own overlay obeys."""
    async with services.database.write() as connection:
        school = await create_organisation(connection, OrganisationKind.SCHOOL, "Trường Hoa Ban", "vi", now)
        await connection.execute(text("UPDATE organisations SET place_code = '44' WHERE id = :id"), {"id": school})
    one = await officer(app, "verifier")
    await one.get("/office/orders/new")
    await one.submit("/office/orders/read", {"text": LETTER, "category": "order"})
    scope: dict[str, str | list[str]] = {"scope": "bands", "band": ["TH", "CS"], "places": "Lai Châu, 08.00706", "school": school}
    await one.submit("/office/orders", scope | {"basis": "116/2025/QH15\n531/KH-UBND ← 830/QĐ-TTg", "places": "Nơi Nào"})
    assert "viết tên hoặc mã tỉnh" in one.text
    await one.submit("/office/orders", scope | {"basis": "116/2025/QH15\n531/KH-UBND ← 830/QĐ-TTg"})
    assert "chỉ 08.00706 (Tuyên Quang), Lai Châu, Trường Hoa Ban" in one.text
    path = one.response.url.path
    form = next(form for form in one.forms if ("decision", "leave") in form.buttons)
    await one.submit(form.action, {"reason": "x"}, ("decision", "leave"))
    await one.submit(f"{path}/verify")
    await one.close()
    await two.get(path)
    await two.submit(f"{path}/approve", button=("step", "approve"))
    orders = gateway.orders
    assert orders is not None
    segment = release.read_file(settings.state_dir, orders.segments[0])
    assert [row["scope"] for row in segment["orders"]] == [{"places": ["08.00706", "12"], "organisations": [school]}]
    assert segment["orders"][0]["basis"] == ["116/2025/QH15", "531/KH-UBND", "830/QĐ-TTg"]
    view = Overlay([("s", segment)]).at((now + timedelta(minutes=1)).timestamp())
    key, child, adult = key_from_text("game-doi-the.example"), frozenset({Band.TH}), frozenset({Band.NL})

    def binds(bands: frozenset[Band], place: str, organisation: str) -> bool:
        return bool(view.find(key, bands, view.scopes_at(place, organisation)))

    assert binds(child, "12.03385", "family")
    assert binds(child, "44", school)
    assert binds(child, "", "")
    assert not binds(child, "44", "another")
    assert not binds(adult, "12", "family")


def test_a_chain_of_documents_is_read_line_by_line() -> None:
    """Who stands on whom; a line without an arrow stands under the order itself."""
    assert read_chain(["531/KH-UBND ← 830/QĐ-TTg <- 116/2025/QH15", "05/QC-BCA"]) == (
        ("531/KH-UBND", "830/QĐ-TTg", "116/2025/QH15", "05/QC-BCA"),
        (None, 0, 1, None),
    )
