"""Plain words: pages for parents, teachers and children use none of the trade's words, in either language.

Where somebody has to find a field in the settings of a router, a phone or a browser, the page names it as the maker does ("DNS server",
"Private DNS"): those pages are not on the list.
"""

from __future__ import annotations

import re

from babel.messages.pofile import read_po

from admin.pages.words import LOCALES

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
    assert found == []
