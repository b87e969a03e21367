"""Until when the certificate of the encrypted listeners holds, and why files that replaced it are not taken over: for status and gauges.

A phone with Private DNS (strict) loses every name in the minute the certificate ends, and nothing else does. So the end is told before, to
whoever looks after the machine. Files are looked at when somebody asks (never on the answer path) and read only when they have changed.
`standing` keeps one watch, `lachan check` asks for the end; any package may import this module for its words.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from gateway.errors import StartError
from gateway.settings import TlsSettings
from gateway.tls import Marks, marks_of, try_files

Stage = Literal["good", "soon", "ended", "refused"]
SOON_SECONDS: Final = 14 * 86_400
"""How long before its end a certificate is told: ACME clients renew 30 days before, so they have failed for a fortnight by then."""
REFUSED: Final = (
    "các tệp chứng chỉ trên đĩa không dùng được ({reason}); chứng chỉ cũ còn dùng{vi}. Cho tài khoản của cổng lọc quyền đọc hai tệp, hoặc"
    " đặt lại cặp đúng; không phải khởi động lại / the certificate files on the disk cannot be used; the one before is still served{en}."
    " Let the gateway's account read both files, or put the right pair in place; no restart is needed (deploy/certificates.md)"
)
ENDED: Final = (
    "CHỨNG CHỈ ĐÃ HẾT HẠN ngày {day}: điện thoại dùng DNS riêng tư mất mọi tên miền. Gia hạn, đặt hai tệp vào chỗ; không phải khởi động lại"
    " / THE CERTIFICATE ENDED on {day}: phones with Private DNS lose every name. Renew it and put the two files in place; no restart is"
    " needed (deploy/certificates.md)"
)
ENDS: Final = (
    "chứng chỉ hết hạn ngày {day}: từ lúc ấy điện thoại dùng DNS riêng tư mất mọi tên miền. Gia hạn ngay; không phải khởi động lại / the"
    " certificate ends on {day}: from then on phones with Private DNS lose every name. Renew it now; no restart is needed"
    " (deploy/certificates.md)"
)


@dataclass(frozen=True, slots=True)
class CertificateState:
    """`ends_at`: when the certificate that is served ends (unix seconds), 0 while that is not known. `refused`: why the files on the disk
    are not taken over, empty when they are."""

    ends_at: float
    refused: str = ""

    def sentences(self, now: float) -> list[str]:
        """What a person should hear of it, in both languages; nothing while all is well."""
        told, day = [], day_of(self.ends_at)
        if self.refused:
            vi, en = (f", đến ngày {day}", f", until {day}") if self.ends_at else ("", "")
            told.append(REFUSED.format(reason=self.refused.removeprefix("tls: "), vi=vi, en=en))
        standing = self.standing(now)
        return told + ([ENDED.format(day=day)] if standing == "ended" else [ENDS.format(day=day)] if standing == "soon" else [])

    def standing(self, now: float) -> Stage:
        """The worst that holds."""
        if self.ends_at and self.ends_at - now < SOON_SECONDS:
            return "ended" if self.ends_at <= now else "soon"
        return "refused" if self.refused else "good"

    def describe(self, now: float) -> dict[str, Any]:  # Any: JSON values
        """For programs."""
        return {"ends_at": int(self.ends_at) or None, "standing": self.standing(now), "refused": self.refused or None}


class CertificateWatch:
    """Remembers the certificate that is served, as its files were when they were last good."""

    def __init__(self) -> None:
        self._read: tuple[TlsSettings, Marks] | None = None
        self._state: CertificateState | None = None

    def look(self, settings: TlsSettings | None) -> CertificateState | None:
        """How the certificate stands now; None where no listener has one. Reads files only when they have changed."""
        if settings is None:
            self._read = self._state = None
            return None
        marks = marks_of(settings)
        if self._state is None or self._read != (settings, marks):
            is_same = self._read is not None and self._read[0] == settings
            before = self._state.ends_at if self._state is not None and is_same else 0.0
            try:
                try_files(settings)
                self._state = CertificateState(end_of(settings.certificate))
            except StartError as error:
                self._state = CertificateState(before, str(error))
            self._read = settings, marks
        return self._state


def end_of(path: Path) -> float:
    """When the first certificate of a PEM file ends, in unix seconds; 0 when that cannot be read out of it."""
    from cryptography import x509  # only where there is a certificate

    try:
        return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc.timestamp()
    except (OSError, ValueError):
        return 0.0


def day_of(moment: float) -> str:
    """A day and hour as people write it, by this machine's time zone."""
    return datetime.fromtimestamp(moment).strftime("%d/%m/%Y %H:%M")
