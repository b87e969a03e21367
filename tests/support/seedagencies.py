"""The bodies and places that the five seed documents name, then and now: office and capacity, never a person.

What is known from memory only is marked so in the research; here it is a fixture that tests use, not something the product prints.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from blocklists.places import MERGED_ON
from blocklists.takedown.agencies import NewAgency, add_agency, end_agency
from blocklists.takedown.agencytables import AgencyKind
from blocklists.takedown.model import Actor
from blocklists.takedown.store import Office

REFORM = date(2025, 3, 1)
"""The departments of provinces were merged in spring 2025."""


@dataclass(frozen=True, slots=True)
class SeedAgency:
    """A body of a seed: the place it was in, until when, and who followed it (names of this table)."""

    name: str
    kind: AgencyKind
    place: str
    until: date | None = None
    since: date | None = None
    successors: tuple[str, ...] = ()


COMMITTEE, POLICE, DEPARTMENT = AgencyKind.COMMITTEE, AgencyKind.POLICE, AgencyKind.DEPARTMENT
SEED_AGENCIES = (
    SeedAgency("Ủy ban nhân dân tỉnh Tuyên Quang", COMMITTEE, "08"),
    SeedAgency("Ủy ban nhân dân huyện Vị Xuyên", COMMITTEE, "02.030", MERGED_ON, successors=("Ủy ban nhân dân tỉnh Tuyên Quang",)),
    SeedAgency("Ủy ban nhân dân tỉnh Thái Nguyên", COMMITTEE, "19"),
    SeedAgency("Ủy ban nhân dân thành phố Bắc Kạn", COMMITTEE, "06.058", MERGED_ON, successors=("Ủy ban nhân dân tỉnh Thái Nguyên",)),
    SeedAgency("Ủy ban nhân dân tỉnh Lai Châu", COMMITTEE, "12"),
    SeedAgency("Sở Khoa học và Công nghệ tỉnh Lai Châu", DEPARTMENT, "12", since=REFORM),
    SeedAgency("Sở Văn hóa, Thể thao và Du lịch tỉnh Lai Châu", DEPARTMENT, "12"),
    SeedAgency("Công an tỉnh Lai Châu", POLICE, "12"),
    SeedAgency(
        "Sở Thông tin và Truyền thông tỉnh Lai Châu", DEPARTMENT, "12", REFORM,
        successors=(
            "Sở Khoa học và Công nghệ tỉnh Lai Châu", "Sở Văn hóa, Thể thao và Du lịch tỉnh Lai Châu", "Công an tỉnh Lai Châu",
        ),
    ),
    SeedAgency("Công an tỉnh Quảng Trị", POLICE, "44", since=MERGED_ON),
    SeedAgency("Công an tỉnh Quảng Bình", POLICE, "44", MERGED_ON, successors=("Công an tỉnh Quảng Trị",)),
    SeedAgency("Sở Y tế tỉnh Quảng Trị", DEPARTMENT, "44", since=MERGED_ON),
    SeedAgency("Sở Lao động - Thương binh và Xã hội tỉnh Quảng Bình", DEPARTMENT, "44", REFORM, successors=("Sở Y tế tỉnh Quảng Trị",)),
    SeedAgency("Công an tỉnh Đắk Lắk", POLICE, "66"),
)  # fmt: skip


async def keep_seed_agencies(connection: AsyncConnection, office: Office, actor: Actor, now: datetime) -> dict[str, str]:
    """Every body of the seeds in an office; ids by name."""
    ids = {
        one.name: await add_agency(connection, office, actor, NewAgency(one.name, one.kind, "", one.place, one.since), now)
        for one in SEED_AGENCIES
    }
    for one in SEED_AGENCIES:
        if one.until is not None:
            after = tuple(ids[name] for name in one.successors)
            await end_agency(connection, office, actor, ids[one.name], one.until, after, "202/2025/QH15", now)
    return ids
