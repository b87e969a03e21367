"""Plain words: pages for parents, teachers and children use none of the trade's words, in either language.

Where somebody has to find a field in the settings of a router, a phone or a browser, the page names it as the maker does ("DNS server",
"Private DNS"): those pages are not on the list.
"""

from __future__ import annotations

import re
from datetime import datetime

from babel.messages.pofile import read_po

from admin.audit import Act
from admin.choices import Choices, set_choices
from admin.dependencies import Services
from admin.pages.words import LOCALES
from admin.passwords import Passwords
from admin.profiles import list_profiles, retire_profile
from admin.setup import NewChild, Owner, Plan, Words, make_tenant
from admin.switches import set_switch
from admin.values import ProfileKind, SwitchKind, SwitchState
from blocklists.tables import OrganisationKind
from gateway.policy.model import Band
from tests.support.controlsocket import ScriptedGateway
from tests.support.people import PASSWORD
from tests.support.visitor import Visitor

ROOMS = ("home", "profile", "requests", "child", "sign", "hosting", "account", "staff", "layout", "more/more", "more/choices",
         "more/digest", "more/place", "more/pin", "more/journal", "more/transfer")  # fmt: skip
JARGON = re.compile(
    r"\b(DNS|IPv?[46]?|TLS|DoH|DoT|QUIC|TCP|UDP|DHCP|MAC|API|JSON|CIDR|URL|SNI|NAT|HTTP|tls|dot|doh|resolver|cache|caching|query|queries|subnet|"
    r"proxy|VPN|token|payload|tenant|override|upstream|backend|server|webhook|truy vấn|phân giải|bộ nhớ đệm|giao thức|chứng chỉ|máy chủ)\b"
)
#: Sentences in which one of these words is what the reader knows it by.
ALLOWED = {
    "Webhook, for a program of yours",  # folded away, for people who write programs
    "This gateway sends no mail yet: the person who runs it writes a mail server into its settings.",
    # what the browser's own warning calls it, where the machine has no other
    "The browser first says “Your connection is not private”: this machine made its certificate itself. On any other page, stop there.",
    "In that warning open the certificate and compare its SHA-256 fingerprint. The same as here: go on. Another: close the page and ask.",
    "When the certificate has been renewed, the new fingerprint is read at the machine.",
    "With a name and a certificate of a public authority nobody sees this warning:",
    # for whoever looks after the machine alone, by the name that the remedy has
    "The certificate of this gateway ended: {time}.",
    "The certificate of this gateway ends soon: {time}.",
    "Renew the certificate and put both files in place. Nothing needs a restart.",
    "The certificate files on the machine cannot be used: they do not fit together, or the gateway may not read them. The one before is "
    "still served.",
    "A phone that is set all the same opens no page at all. Whoever runs the gateway first puts a certificate of a public authority in "
    "place:",
    # as the phone's own menu calls it
    "Set already, and nothing opens? Android: Private DNS, “Automatic”. iPhone: General, VPN & Device Management, remove Lá Chắn.",
}


def test_parents_read_no_jargon() -> None:
    """Every sentence of these rooms, English and Vietnamese."""
    with (LOCALES / "vi.po").open("rb") as file:
        catalogue = read_po(file, locale="vi")
    found = []
    for message in catalogue:
        rooms = [path.removeprefix("templates/") for path, _ in message.locations if path.startswith("templates/")]
        if not message.id or not any(room.startswith(ROOMS) for room in rooms):
            continue
        english = message.id if isinstance(message.id, tuple | list) else [message.id]
        if english[0] in ALLOWED:
            continue
        local = message.string if isinstance(message.string, tuple | list) else [message.string]
        found += [f"{rooms[0]}: {sentence}" for sentence in (*english, *local) if JARGON.search(sentence)]
    assert not found, "\n".join(found)


#: Words of a home. A school's pages say class and pupil; "trang con" and "con số" are other words.
HOME = re.compile(
    r"(?<!trang )(?<!các )\bcon\b(?! số)|\b(gia đình|nhà mình|ở nhà|ra khỏi nhà|trong nhà|cả nhà|bé|ba mẹ|cha mẹ|bố mẹ|phụ huynh)\b", re.I
)
PLACES = Words("Trường Hoa Sen", "Trường", "Giáo viên", "Khách", "Máy của {name}", "Mạng của {name}")
#: What a school reads about families, or that speaks to both in one sentence.
OF_BOTH = ("Gia đình dùng cổng lọc này", "Cho cha mẹ", "Mời và kết thúc người, gia đình", "Xóa một con hoặc một lớp",
           "Phụ huynh, thầy cô quyết định", "Gia đình và nhà trường không mở được các nhóm này")  # fmt: skip
SENTENCE = re.compile(r"</?(?:p|li|h\d|label|button|a|div|td|th|summary|option|strong|legend|title|br|span)\b[^>]*>")
TAG = re.compile(r"<[^>]+>")
#: Pages about the families that a school helps, and the long guides, each for its own readers.
ABOUT_FAMILIES = re.compile(r"/families|/family|/guide/(?!box)|/static|/sign-out|/language|/api|/check")


async def test_a_school_is_not_spoken_to_as_a_home(visitor: Visitor, services: Services, gateway: ScriptedGateway, now: datetime) -> None:
    """Whatever a school's administrator reaches by pressing links, from a class that was changed to the guides of boxes, says nothing of a
    home, a child or parents; nor does the first page before there is a class."""
    owner = Owner("truong", await Passwords().hash(PASSWORD), "vi")
    classes = (NewChild("3A", Band.TH), NewChild("7B", Band.CS))
    plan = Plan(OrganisationKind.SCHOOL, owner, classes, (), ("10.1.0.0/16",), False, PLACES)
    async with services.database.write() as connection:
        made = await make_tenant(connection, plan, services.shelves.current(), now)
        act = Act(made.tenant, made.by, now)
        profiles = await list_profiles(connection, made.tenant)
        for one in profiles[:2]:
            await set_switch(connection, act, one.id, SwitchKind.CATEGORY, "game", SwitchState.ALLOW)
        await set_choices(connection, act, Choices(cooling_minutes=15))
    await services.applier.settle(made.tenant)
    for number, address in enumerate(("192.168.1.20", "10.1.0.7")):
        gateway.see(address, now, mac=f"da:22:fb:00:00:7{number}", tenant=made.tenant)
    await visitor.sign_in("truong", PASSWORD)
    known = {one.id: f"<{one.kind.value} {one.label}>" for one in profiles}
    seen, queue, found = set(), ["/", "/setup-check", "/choices?why=1"], []
    while queue:
        path = queue.pop(0)
        kept = re.sub(r"[a-z0-9]{24}", lambda one: known.get(one[0], "<id>"), path)
        if kept in seen or ABOUT_FAMILIES.match(path):
            continue
        seen.add(kept)
        await visitor.get(path)
        said = [text for text in SENTENCE.split(visitor.response.text) if HOME.search(TAG.sub("", text))]
        found += [f"{kept}: {' '.join(TAG.sub(' ', text).split())}" for text in said if not any(one in text for one in OF_BOTH)]
        queue += [link.partition("#")[0] for link in visitor.links if link.startswith("/")]
    assert not found, "\n".join(found)
    assert (await visitor.get("/digest")).status_code == 404
    assert {"/cards/way-in", "/guide/box/windows", "/devices", "/journal", "/profiles/<class 3A>/phones/new"} <= seen, seen
    await visitor.get("/check")
    for nonce in re.findall(r"check-([0-9a-f]{24})", visitor.response.text):
        gateway.probes[nonce] = {"address": "192.168.1.20", "transport": "udp", "kinds": ["A", "AAAA"]}
    await visitor.get(visitor.response.url.path)
    assert "Lối vào cho học sinh" in visitor.text and not HOME.search(visitor.text), visitor.text
    async with services.database.write() as connection:
        for one in profiles:
            if one.kind is ProfileKind.CLASS:
                await retire_profile(connection, act, one)
    await visitor.get("/")
    assert "Chưa có lớp nào" in visitor.text and not HOME.search(visitor.text)
