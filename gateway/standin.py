"""When what says which generation is in force is damaged: the newest whole one stands in. `gateway` and `lachan` import this module.

`current`, or the manifest that it names, is a small file, and a disk that loses a block may take it while older generations are whole.
Whoever may commit (the supervisor at its start, a preparing command while none runs) puts the newest whole generation in force and says so.
Numbers only grow: the next generation gets one past every name found, damaged ones too.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from gateway import release
from gateway.errors import GenerationError


@dataclass(frozen=True, slots=True)
class StandIn:
    """What was damaged, and what is in force instead: `number` and `created_at` of a generation, None where none is whole."""

    error: GenerationError
    number: int | None = None
    created_at: str = ""

    def __str__(self) -> str:
        """What a person has to know, in both languages."""
        if self.number is None:
            return (
                f"KHÔNG CÒN BẢN NÀO NGUYÊN VẸN ({self.error}): bản đầu được làm lại; quyết định của cơ quan và quy tắc của các nhà, các"
                " trường có lại khi cơ quan và trang quản trị gửi đến; xem lại ổ đĩa"
                " / NO generation is whole: a first one is made anew; orders of the office that is followed and rules of homes and"
                " schools are back when the office and the pages bring them; look at the disk"
            )
        return (
            f"BẢN ĐANG DÙNG BỊ HỎNG ({self.error}): bản {self.number} ({self.created_at}) dùng thay; quyết định, danh sách và quy tắc"
            " mới hơn được áp dụng lại khi đến; xem lại ổ đĩa, rồi lachan reload"
            f" / the generation in force is damaged: generation {self.number} stands in; newer orders, lists and rules are put in force"
            " again as they arrive; look at the disk, then lachan reload"
        )


def fault(state_dir: Path) -> GenerationError | None:
    """Why nobody can say which generation is in force; None when it can be read, or there never was one."""
    try:
        if release.current_number(state_dir) is None:
            return GenerationError("current", "is missing") if release.numbers(state_dir) else None
        release.read_manifest(state_dir)
    except GenerationError as error:
        return error
    return None


def stand_in(state_dir: Path) -> StandIn | None:
    """Put the newest whole generation in force where `fault` finds something; None when all is well, or nothing has changed since no
    generation was whole. For whoever holds the state lock. Raises OSError."""
    error = fault(state_dir)
    if error is None:
        return None
    for number in sorted(release.numbers(state_dir), reverse=True):
        with contextlib.suppress(GenerationError):
            manifest = release.read_manifest(state_dir, number)
            release.verify(state_dir, manifest)
            release.put_in_force(state_dir, number)
            return StandIn(error, number, manifest.created_at)
    (state_dir / "current").unlink(missing_ok=True)
    return StandIn(error)


def write_again(state_dir: Path, manifest: release.Manifest) -> GenerationError | None:
    """What was damaged while a gateway runs, written again from what it holds in memory: `manifest` is the one in force. Raises OSError."""
    error = fault(state_dir)
    if error is not None:
        release.write_manifest(state_dir, manifest)
        release.put_in_force(state_dir, manifest.number)
    return error
