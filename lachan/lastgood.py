"""The settings that were in force last, kept for a start that meets a file with mistakes: names keep resolving, and it is said. Only
`lachan` imports this module.

A service manager starts the program again after a power failure, an upgrade, a crash, when nobody is there to read one clear sentence.
So the service names a file in `LACHAN_LAST_GOOD` (`deploy/systemd`, `deploy/container`): what is in force is kept there, and used while
the file of the person cannot be. Without that variable, as by hand, a file with mistakes is refused.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from gateway.errors import SettingsError
from gateway.release import replace_file
from gateway.yamlfile import parse, read_text
from lachan.configuration import Configuration, load, load_text
from lachan.serveraddresses import is_about_an_address, known_addresses, read_addresses, with_addresses

VARIABLE = "LACHAN_LAST_GOOD"
_MARK = "# lachan: last good settings of "
log = logging.getLogger(__name__)


def load_or_last_good(path: Path, *, require_files: bool = False) -> tuple[Configuration, SettingsError | None]:
    """What the file says; while it has mistakes and the last good settings are kept, those, and the mistakes. Raises SettingsError when
    the file has mistakes and nothing that can be used is kept, and with `require_files` when only files of lists are missing."""
    try:
        written = load(path, require_files=False)
    except SettingsError as refused:
        kept = _stand_in(path, require_files)
        if kept is None:
            raise
        return kept, refused
    return load(path) if require_files else written, None


def keep(configuration: Configuration) -> None:
    """Keep the settings that are now in force, where the service manager wants that; a disk that takes nothing is logged."""
    file = _file()
    if file is None:
        return
    data = f"{_MARK}{configuration.path}\n{configuration.text}".encode()
    wanted = [(file, data)]
    try:
        if (tls := configuration.gateway.tls) is not None:
            wanted += zip(_copies(file), (tls.certificate.read_bytes(), tls.key.read_bytes()), strict=True)
        if addresses := known_addresses(configuration.gateway.upstreams):
            wanted.append((_addresses(file), json.dumps(addresses, sort_keys=True).encode()))
        for each, content in wanted:
            if not each.is_file() or each.read_bytes() != content:
                replace_file(each, content)
    except OSError as error:
        log.warning("the settings in force cannot be kept", extra={"event": "settings.unkept", "reason": str(error)})


def describe(refused: SettingsError) -> str:
    """The sentence for whoever asks how the gateway is: that older settings are in force, since when, and the first mistake."""
    file = _file()
    since = "?"
    if file is not None and file.is_file():
        since = datetime.fromtimestamp(file.stat().st_mtime, UTC).isoformat(timespec="minutes").replace("+00:00", "Z")
    first, more = refused.mistakes[0], len(refused.mistakes) - 1
    rest = f" (+{more})" if more else ""
    if all(": tls." in mistake.path for mistake in refused.mistakes):
        return (
            "CHỨNG CHỈ KHÔNG DÙNG ĐƯỢC, đang dùng bản sao gần nhất của nó, hoặc chỉ DNS thường: sửa rồi lachan reload"
            f" / the certificate cannot be used: its last copy answers, or plain DNS alone: mend it, then lachan reload: {first}{rest}"
        )
    if all(map(is_about_an_address, refused.mistakes)):
        return (
            "KHÔNG TÌM ĐƯỢC ĐỊA CHỈ của máy chủ ngoài, đang dùng địa chỉ đã biết, hoặc chỉ các máy chủ còn lại: ghi địa chỉ sau dấu @, rồi"
            " lachan reload / the address of an upstream server was not found: the one known last is asked, or only the other servers:"
            f" write it behind an @, then lachan reload: {first}{rest}"
        )
    return (
        f"TỆP CẤU HÌNH CÓ LỖI, đang dùng cấu hình tốt gần nhất ({since}): sửa tệp, rồi lachan reload"
        f" / the settings file has mistakes, the last good settings are used: mend the file, then lachan reload: {first}{rest}"
    )


def is_service() -> bool:
    """Whether a service manager started this program: nobody is there to read a sentence, so what can wait does not end the start."""
    return _file() is not None


def _file() -> Path | None:
    named = os.environ.get(VARIABLE)
    return Path(named) if named else None


def _copies(file: Path) -> tuple[Path, Path]:
    """Where the last certificate and key that could be used are kept."""
    return file.with_name(f"{file.name}.certificate"), file.with_name(f"{file.name}.key")


def _addresses(file: Path) -> Path:
    """Where the addresses of upstream servers written by name are kept."""
    return file.with_name(f"{file.name}.addresses")


def _stand_in(path: Path, require_files: bool) -> Configuration | None:
    """What can be used instead of a file with mistakes: the file with the last certificate that could be used, when that is all; the
    settings that were in force last; either of them without encryption, so that at least plain DNS answers. In all of them an upstream
    server whose name cannot be looked up has its address of last time, or is left out beside another one."""
    file = _file()
    if file is None:
        return None
    certificate, key = _copies(file)
    pair: dict[str, object] = {"tls": {"certificate": str(certificate), "key": str(key)}}
    bare: dict[str, object] = dict.fromkeys(("tls", "dot", "doh", "doq"))
    known = read_addresses(_addresses(file))
    written, kept = _text(path), _kept_text(file, path)
    nothing: dict[str, object] = {}
    for text, instead in ((written, nothing), (written, pair), (kept, nothing), (kept, pair), (written, bare), (kept, bare)):
        if text is not None:
            with contextlib.suppress(SettingsError):
                return load_text(text, path, require_files=require_files, instead={**_upstreams(text, path, known), **instead})
    return None


def _upstreams(text: str, path: Path, known: Mapping[str, str]) -> dict[str, object]:
    """The section `upstreams` of this text, with known addresses where they are needed. Raises SettingsError when it is not YAML."""
    document = parse(text, path).value
    if not isinstance(document, dict) or "upstreams" not in document:
        return {}
    return {"upstreams": with_addresses(document["upstreams"], known)}


def _text(path: Path) -> str | None:
    try:
        return read_text(path)
    except SettingsError:
        return None


def _kept_text(file: Path, path: Path) -> str | None:
    """The kept settings, if they are of this file: its relative paths begin where the file stands."""
    head, _, text = (_text(file) or "").partition("\n")
    return text if head == f"{_MARK}{path.resolve()}" else None
