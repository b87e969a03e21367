"""What a parent's box is called and where it keeps the DNS of its network: the common boxes of providers in Viet Nam, MikroTik, OpenWrt,
and one computer alone. And where this gateway is, to be filled in: its own addresses as a box or a computer must be told them.

The ways through the menus follow what makers and providers publish; none was pressed on a real box, and the pages say so. To add a box: one
row of `PROVIDERS`, and a label in `BOXES`; what is drawn follows from the row. Only `admin.routes.boxes` imports this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from admin.pages.words import mark as _
from gateway.links import may_ask
from gateway.settings import GatewaySettings

#: Where the router of a home is when nothing else is known; printed in the guides as an example as well.
USUAL_ROUTER, EXAMPLE = "192.168.1.1", "192.168.1.2"
DNS_PORT = 53


@dataclass(frozen=True, slots=True)
class Menu:
    """One kind of box: the models it is for, the way to its field as its own page names it, and what to untick first.

    `kind` is how its page looks: a `tree` of names at the side, or `tabs` above.
    """

    models: str
    kind: str
    path: tuple[str, ...]
    first: str = "Primary DNS"
    second: str = "Secondary DNS"
    untick: str = ""
    save: str = "Save"


#: The boxes that providers hand out, by the last part of their address here.
PROVIDERS: dict[str, tuple[Menu, ...]] = {
    "viettel": (
        Menu("ZTE F670L, F670Y", "tree", ("Network", "LAN", "DHCP Server"), untick="ISP DNS", save="Submit"),
        Menu("Huawei HG8145V5", "tabs", ("Advanced", "LAN", "DHCP Server"), "Primary DNS Server", "Secondary DNS Server", save="Apply"),
    ),
    "vnpt": (Menu("iGate GW020, GW040", "tree", ("Network", "LAN", "DHCP Server"), save="Apply"),),
    "fpt": (Menu("G-97RG6M, G-97D2", "tabs", ("Network", "LAN", "DHCP"), save="Save"),),
    "other": (Menu("TP-Link Archer", "tree", ("Advanced", "Network", "DHCP Server"), save="Save"),),
}
#: Every guide, in the order of the list: its name there and the words under it.
BOXES: dict[str, tuple[str, str]] = {
    "viettel": ("Viettel", _("the box that Viettel put up")),
    "vnpt": ("VNPT", _("the box that VNPT put up")),
    "fpt": ("FPT", _("the box that FPT put up")),
    "other": ("TP-Link, Tenda, Mercusys…", _("a box bought in a shop, or one that is not named here")),
    "mikrotik": ("MikroTik", _("with rules that lead every device back here")),
    "openwrt": ("OpenWrt", _("with rules that lead every device back here")),
    "windows": ("Windows 11", _("one computer, every program on it")),
    "chrome": ("Chrome, Edge, Cốc Cốc", _("one browser alone")),
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where this gateway is, for filling in: its addresses (`None` where it has none that others reach), the router's likely one, and the
    port it answers on. `is_here`: whoever asks is in a network that the gateway serves."""

    ipv4: str | None
    ipv6: str | None
    router: str
    port: int
    is_here: bool

    @property
    def address(self) -> str:
        """What to write into a field for one address; the example of the guides where nothing better is known."""
        return self.ipv4 or EXAMPLE

    def addresses(self) -> tuple[IPv4Address | IPv6Address, ...]:
        """The gateway's addresses, IPv4 first."""
        return tuple(ip_address(text) for text in (self.ipv4, self.ipv6) if text)

    @property
    def is_public(self) -> bool:
        """Whether a computer reaches `address` from anywhere."""
        return self.ipv4 is not None and ip_address(self.ipv4).is_global

    @property
    def is_known(self) -> bool:
        """Whether `address` is really this gateway's."""
        return self.ipv4 is not None


def find_place(settings: GatewaySettings, candidates: list[str], visitor: str) -> Place:
    """Where the gateway is. `candidates` are hosts by which it may be known, best first: names among them are of no use to a box, which
    needs an address."""
    found = [address for text in candidates if (address := _reachable(text)) is not None]
    four = next((address for address in found if address.version == 4), None)
    six = next((address for address in found if address.version == 6), None)
    near = four or _reachable(visitor)
    router = f"{str(near).rpartition('.')[0]}.1" if isinstance(near, IPv4Address) and near.is_private else USUAL_ROUTER
    port = settings.dns.listen[0].port if settings.dns.listen else DNS_PORT
    return Place(str(four) if four else None, str(six) if six else None, router, port, may_ask(settings.dns, visitor))


def _reachable(text: str) -> IPv4Address | IPv6Address | None:
    """An address that other machines can be told, else None."""
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return None if found.is_loopback or found.is_unspecified or found.is_link_local else found
