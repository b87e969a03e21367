"""What the list office's rooms work with, in one place: the publishing duty, the guard, and the budgets of people without an account."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from admin.link import GatewayLink
from admin.officealarm import JournalAlarm
from admin.officebudget import Budget
from admin.officedemand import FarDemand
from admin.officeduty import OfficeDuty
from admin.officefinding import Finder
from admin.officeguard import GuardShelf, own_names
from admin.officereadings import ReadingRoom
from admin.officesigning import SigningDesk
from admin.settings import AdminSettings
from blocklists.database import Database
from blocklists.takedown.assertions import AssertionCheck

RECEIPTS_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class OfficeDesk:
    """One per process. `lookups`, `asking` and `knocking` bound questions about names, reports and reviews, and what gateways send; each by
    network. Many schools may sit behind one address, and each tells some twenty things in ten busy minutes. `receiving`: the receipts that
    are written at a time; one too many comes again with its gateway's next round, so that pages keep their places."""

    duty: OfficeDuty
    guard: GuardShelf
    lookups: Budget
    asking: Budget
    assertions: AssertionCheck
    signing: SigningDesk
    knocking: Budget
    alarm: JournalAlarm
    readings: ReadingRoom
    demand: FarDemand
    finder: Finder
    receiving: asyncio.Semaphore


def make_desk(settings: AdminSettings, database: Database, link: GatewayLink, now: Callable[[], datetime]) -> OfficeDesk:
    """The desk of this process."""
    assertions = AssertionCheck(settings.state_dir)
    guard = GuardShelf(settings.state_dir, own_names(settings))
    return OfficeDesk(
        duty=OfficeDuty(database, link, settings.state_dir, now, elsewhere=settings.orders_from, assertions=assertions),
        guard=guard,
        lookups=Budget(most=30, seconds=60.0),
        asking=Budget(most=3, seconds=86_400.0),
        assertions=assertions,
        signing=SigningDesk(database, settings.state_dir),
        knocking=Budget(most=600, seconds=600.0),
        alarm=JournalAlarm(settings.state_dir),
        readings=ReadingRoom(),
        demand=FarDemand(),
        finder=Finder(database, settings.state_dir, guard),
        receiving=asyncio.Semaphore(RECEIPTS_AT_ONCE),
    )
