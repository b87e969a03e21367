"""What the pages change, programs can change, too, or it is said here why only a person may. A page that is added is found here."""

from __future__ import annotations

from starlette.types import ASGIApp

from admin.dependencies import Services
from admin.routes.api import create_api
from tests.admin.test_app import OPEN, OPEN_ROOMS, routes_of

#: A page's address and the operation of the API that does the same.
SAME = {
    "/choices": "PUT /choices",
    "/choices/wait": "POST /choices/wait",
    "/dates": "POST /dates",
    "/dates/{dates}/remove": "DELETE /dates/{dates}",
    "/devices": "POST /devices",
    "/devices/{device}": "PATCH /devices/{device}",
    "/devices/{device}/forget": "DELETE /devices/{device}",
    "/devices/{device}/back": "POST /devices/{device}/return",
    "/networks": "PUT /tenant",
    "/place": "PUT /place",
    "/place/name": "PATCH /organisation",
    "/profiles": "POST /profiles",
    "/profiles/{profile}/settings": "PATCH /profiles/{profile}",
    "/profiles/{profile}/retire": "DELETE /profiles/{profile}",
    "/profiles/{profile}/off": "POST /profiles/{profile}/overrides",
    "/profiles/{profile}/open": "POST /profiles/{profile}/overrides",
    "/profiles/{profile}/lesson": "POST /profiles/{profile}/overrides",
    "/profiles/{profile}/lesson/end": "DELETE /profiles/{profile}/overrides/{act}",
    "/profiles/{profile}/acts/{act}/end": "DELETE /profiles/{profile}/overrides/{act}",
    "/profiles/{profile}/watch": "POST /profiles/{profile}/watch",
    "/profiles/{profile}/watch/end": "DELETE /profiles/{profile}/watch",
    "/profiles/{profile}/hours": "PATCH /profiles/{profile}",
    "/profiles/{profile}/timetable": "PATCH /profiles/{profile}",
    "/profiles/{profile}/apps": "PUT /profiles/{profile}/service/{code}",
    "/profiles/{profile}/groups": "PUT /profiles/{profile}/category/{code}",
    "/profiles/{profile}/names": "POST /profiles/{profile}/names",
    "/profiles/{profile}/names/{rule}/remove": "DELETE /profiles/{profile}/names/{rule}",
    "/profiles/{profile}/phones": "POST /phones",
    "/phones/{device}/show": "GET /phones/{device}",
    "/phones/{device}/renew": "POST /phones/{device}/renew",
    "/phones/{device}/remove": "DELETE /devices/{device}",
    "/requests/{request}": "POST /requests/{request}/answer",
    "/transfer/export": "GET /tenant",
    "/transfer/read": "PUT /tenant",
    "/transfer/apply": "PUT /tenant",
    "/account/others": "POST /sessions/end",
    "/people": "POST /invitations",
    "/people/{assignment}/end": "DELETE /people/{assignment}",
    "/people/invitations/{invitation}/withdraw": "DELETE /invitations/{invitation}",
    "/staff": "POST /staff",
    "/staff/withdraw": "DELETE /staff",
    "/families/codes": "POST /families/sheets",
    "/families/codes/{code}/withdraw": "DELETE /families/sheets/{sheet}",
    "/profiles/{profile}/history/stop": "DELETE /profiles/{profile}/history",
    "/profiles/{profile}/erase": "POST /profiles/{profile}/erase",
    "/home-link": "POST /home",
    "/home-link/now": "PUT /home/address",
    "/home-link/stop": "DELETE /home/address",
    "/home-link/remove": "DELETE /home",
    "/backup": "POST /backups",
    "/office/orders": "POST /office/orders",
    "/office/orders/read": "POST /office/orders",
    "/office/orders/{order_id}/verify": "POST /office/orders/{order_id}/steps",
    "/office/orders/{order_id}/release": "POST /office/orders/{order_id}/steps",
    "/office/orders/{order_id}/approve": "POST /office/orders/{order_id}/steps",
    "/office/orders/{order_id}/items/{item_id}": "POST /office/orders/{order_id}/items/{item_id}",
    "/office/entries/{entry_id}/lift": "POST /office/entries/{entry_id}/lift",
    "/office/entries/{entry_id}/renew": "POST /office/entries/{entry_id}/renew",
    "/office/reviews/{review_id}/take": "POST /office/reviews/{review_id}/steps",
    "/office/reviews/{review_id}/decide": "POST /office/reviews/{review_id}/steps",
    "/office/reports/{report_id}": "POST /office/reports/{report_id}/steps",
    "/office/releases/{serial}/return": "POST /office/versions/{serial}/return",
    "/office/returns/{identity}": "POST /office/returns/{identity}",
    "/office/bulletins": "POST /office/bulletins",
    "/office/bulletins/{bulletin_id}/end": "POST /office/bulletins/{identity}/end",
    "/office/finding/{identity}": "POST /office/candidates/{identity}",
    "/office/agencies": "POST /office/agencies",
    "/office/agencies/{agency_id}": "POST /office/agencies/{agency_id}/rename",
    "/office/clocks": "PUT /office/clocks/{clock}",
    "/office/directives": "POST /office/directives",
    "/office/directives/{directive_id}/end": "POST /office/directives/{identity}/end",
    "/office/orders/{order_id}/items/{item_id}/forward": "POST /office/orders/{order_id}/items/{item_id}/forward",
    "/office/entries/{entry_id}/owner": "POST /office/entries/{entry_id}/owner",
    "/office/cases/{kind}/{case_id}": "POST /office/cases/{kind}/{case_id}/notes",
    "/office/finding/list": "POST /office/lists",
    "/office/finding/scan": "POST /office/scans",
    "/list-office": "PUT /list-office",
    "/list-office/leave": "DELETE /list-office",
    "/office/gateways": "POST /office/gateways",
    "/office/gateways/{gateway}/retire": "DELETE /office/gateways/{gateway}",
    "/office/rollout/rule": "PUT /office/rollout/rule",
    "/office/rollout/{serial}/hold": "POST /office/rollout/{serial}/hold",
    "/office/schools/rules": "POST /office/schools/rules",
    "/office/schools/rules/{rule}/lift": "POST /office/schools/rules/{identity}/lift",
}
#: Only a person at the page, by the beginning of the address (or the whole of it): why.
PERSON = {
    "/account/password": "a secret",
    "/account/pin": "a secret",
    "/account/factor": "a second factor is set up by its owner",
    "/account/passkeys": "a ceremony of a browser and a finger",
    "/account/recovery": "secrets on paper",
    "/account/second": "a second factor is shown by its owner",
    "/sign-out": "sessions of browsers",
    "/organisation": "a key has one organisation, which it reads",
    "/backup/restore": "replaces everything, and everybody signs in again",
    "/office/officers": "who has a role",
    "/office/roles/": "who has a role",
    "/families/pin": "a person stands there in person",
    "/tokens": "a key makes no keys",
    "/emergency": "one person, by a document; a program reads that somebody looks",
    "/pin": "a secret",
    "/renewal/stop": "a family answers in person",
    "/welcome": "the first minutes of a family",
    "/recovery": "a secret on paper",
    "/profiles/{profile}/history": "people agree, a code opens it",
    "/office/signing/": "a passphrase",
    "/office/orders/{order_id}/items/{item_id}/open": "a masked name is looked at by one person, noted",
    "/office/rollout/{serial}/on": "letting a held release go on reaches every gateway: a person looks; the API says so (`person_needed`)",
}

#: What a page of a list office shows, and the operations that tell the same to a program.
READS = {
    "/office": ("GET /office/inbox", "GET /office/orders", "GET /office/reviews", "GET /office/reports", "GET /office/returns"),
    "/office/entries": ("GET /office/entries",),
    "/office/entries/{entry_id}": ("GET /office/entries/{entry_id}",),
    "/office/orders/{order_id}": ("GET /office/orders/{order_id}", "GET /office/orders/{order_id}/preview"),
    "/office/reviews/{review_id}": ("GET /office/reviews/{review_id}",),
    "/office/reports/{report_id}": ("GET /office/reports/{report_id}",),
    "/office/releases": ("GET /office/versions", "GET /office/receipts"),
    "/office/releases/{serial}": ("GET /office/versions/{serial}",),
    "/office/more": ("GET /office/officers", "GET /office/proposals", "GET /office/directives", "GET /office/bulletins"),
    "/office/agencies": ("GET /office/agencies", "GET /office/agencies/{agency_id}"),
    "/office/clocks": ("GET /office/clocks", "GET /office/clocks/{clock}"),
    "/office/finding": ("GET /office/candidates", "GET /office/scans", "GET /office/scans/{scan}"),
    "/office/gateways": ("GET /office/gateways", "GET /office/gateways/{gateway}"),
    "/office/rollout": ("GET /office/rollout",),
    "/office/signing": ("GET /office/signing",),
    "/office/cases": ("GET /office/cases",),
    "/office/cases/{kind}/{case_id}": ("GET /office/cases/{kind}/{case_id}",),
    "/office/figures": ("GET /office/figures",),
    "/office/schools": ("GET /office/schools", "GET /office/schools/rules"),
    "/list-office": ("GET /list-office",),
    "/transparency": ("GET /office/transparency",),
    "/transparency/lookup": ("GET /office/lookup",),
}
#: Pages of a list office that tell a program nothing, and why.
READ_BY_PERSONS = {
    "/office/orders/new": "an empty form",
    "/office/orders/readings/{reading_id}": "a letter between two pages; a program sends its letter with what it says about it",
    "/office/gateways/code.svg": "the code as a picture; a program has it as text",
    "/transparency/answer": "by the code of whoever asked, who has no key",
}


def test_every_page_of_an_office_can_be_read_by_a_program(app: ASGIApp, services: Services) -> None:
    """Each page that shows something is in one of the tables, and each operation that is named exists."""
    schema = create_api(services).openapi()["paths"]
    offered = {f"{method.upper()} {path}" for path, acts in schema.items() for method in acts}
    named = {one for operations in READS.values() for one in operations}
    assert sorted(named - offered) == []
    ours = [route for route in routes_of(app) if not route.endpoint.__module__.startswith("admin.routes.api")]
    pages = {route.path for route in ours if "GET" in (route.methods or ())}
    office = {path for path in pages if path.startswith(("/office", "/list-office", "/transparency"))}
    assert sorted(office) == sorted(READS | READ_BY_PERSONS)
    mine = {one for one in offered if one.startswith(("GET /office", "GET /list-office"))}
    assert sorted(mine - named) == ["GET /office/directives/{identity}"], "read for its tag only"


def test_every_change_of_the_pages_is_in_the_api_or_a_persons(app: ASGIApp, services: Services) -> None:
    """Nothing is in both tables, nothing in neither, and every operation that is named exists."""
    schema = create_api(services).openapi()["paths"]
    offered = {f"{method.upper()} {path}" for path, acts in schema.items() for method in acts}
    assert sorted(set(SAME.values()) - offered) == []
    ours = [route for route in routes_of(app) if not route.endpoint.__module__.startswith("admin.routes.api")]
    pages = {route.path for route in ours if "POST" in (route.methods or ())}
    asked = {path for path in pages if path not in OPEN and not path.startswith(OPEN_ROOMS)}
    assert sorted(path for path in asked if path not in SAME and not path.startswith(tuple(PERSON))) == []
    assert sorted(set(SAME) - pages) == [], "pages that are no more"
    both = [path for path in SAME if path.startswith(tuple(PERSON))]
    assert both == ["/profiles/{profile}/history/stop"], "what begins or opens one is a person's; what ends it is not"
    assert [start for start in PERSON if not any(path.startswith(start) for path in asked)] == []
