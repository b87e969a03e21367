"""Whether names resolve here: the running gateway is asked for one real name. `status --ask`, which the installer asks before it says that
all is well. Only `lachan` imports this module.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

import dns.exception
import dns.message
import dns.query
import dns.rcode

from lachan.control import Reply

NAME: Final = "tongdai111.vn"
"""Open for everybody at any hour, and known to nobody but the servers that are asked in turn."""
TRIES: Final = 3
_WILDCARDS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}
ANSWERED: Final = f"  tên thật / a real name: {NAME} trả lời được / is answered"
UNANSWERED: Final = (
    f"  ! CHƯA TÊN MIỀN NÀO PHÂN GIẢI ĐƯỢC (đã hỏi {NAME}): không máy chủ nào trong upstreams.servers trả lời. Máy này có Internet chưa?"
    " Máy chủ ấy có phải chính máy này không? Trước khi sửa, đừng để bộ phát Wi-Fi phát máy này làm DNS. / NO NAME RESOLVES YET (asked for"
    f" {NAME}): no server of upstreams.servers answers. Is there a way to the Internet? Is that server this machine itself? Until it is"
    " mended, do not let the router hand out this machine as DNS."
)


def resolves(status: Reply) -> bool:
    """Whether the gateway of this status answers a real name; true, too, where it has no listener that could be asked."""
    address = _where(row["address"] for row in status.get("listen", ()) if row["transport"] == "udp")
    if address is None:
        return True
    for left in reversed(range(TRIES)):
        try:
            reply = dns.query.udp(dns.message.make_query(NAME, "A"), address[0], 5.0, address[1])
            if reply.rcode() != dns.rcode.SERVFAIL:
                return True
        except (OSError, dns.exception.DNSException):
            pass
        if left:
            time.sleep(1.0)
    return False


def _where(listen: Iterable[str]) -> tuple[str, int] | None:
    for text in listen:
        host, _, port = text.rpartition(":")
        host = host.strip("[]")
        return _WILDCARDS.get(host, host), int(port)
    return None
