"""The API of finding: a list of somebody else's is brought in, this machine's lists are searched; names then wait for a person."""

from __future__ import annotations

from fastapi import APIRouter

from admin.errors import FieldMistake, InvalidInput, NotFound
from admin.officefinding import Scan
from admin.officefindschemas import ListIn, ListTakenOut, ScanOut
from admin.routes.api import PAGE, After, Limit, page_of
from admin.routes.apioffice import Reader, Refused, actor_in
from admin.routes.apiofficework import Worker
from admin.schemas import PageOf
from blocklists.takedown.model import TransitionRefused

router = APIRouter(prefix="/office", tags=["list office"])


@router.post("/lists")
async def bring(who: Worker, wanted: ListIn) -> ListTakenOut:
    """Bring in a list: its names become candidates of that source, and nothing is blocked. Brought again it adds nothing."""
    finder = who.services.office.finder
    try:
        names, became = await finder.bring(who.tenant_id, actor_in(who), wanted.source, wanted.category, wanted.text, who.now)
    except TransitionRefused as refused:
        raise Refused(refused.code) from refused
    if not names:
        raise InvalidInput(FieldMistake("text", "no_address"))
    return ListTakenOut(names=names, **became._asdict())


@router.post("/scans", status_code=202)
async def begin(who: Worker) -> ScanOut:
    """Begin to search: names reported more than once, relatives and look-alikes of what is blocked. While one runs it is the same one."""
    return _out(who.services.office.finder.begin(who.tenant_id, actor_in(who), who.now))


@router.get("/scans")
async def list_scans(who: Reader, limit: Limit = PAGE, after: After = None) -> PageOf[ScanOut]:
    """The searches of the last hour, the newest first."""
    return page_of([_out(one) for one in who.services.office.finder.of(who.tenant_id, who.now)], after, limit)


@router.get("/scans/{scan}")
async def show_scan(who: Reader, scan: str) -> ScanOut:
    """How far a search has come."""
    found = next((one for one in who.services.office.finder.of(who.tenant_id, who.now) if one.id == scan), None)
    if found is None:
        raise NotFound
    return _out(found)


def _out(one: Scan) -> ScanOut:
    return ScanOut(
        id=one.id, state=one.state, begun_at=one.begun_at, looked_at=one.looked_at, found=one.found, added=one.added,
    )  # fmt: skip
