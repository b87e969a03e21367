"""`lachan demo`: fill an empty database with a sample school and family, and tell their passwords once. Imported by `lachan` only."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from rich.console import Console

from admin.app import open_services
from admin.demo import SignIn, fill
from admin.errors import Conflict
from admin.settings import AdminSettings
from admin.setup import public_url
from gateway.clock import WallClock
from gateway.errors import LachanError
from lachan.configuration import find_file, load


def command(config: Path | None) -> int:
    """Fill the database of the configuration; the exit status. Raises LachanError with the remedy."""
    settings = load(find_file(config)).admin
    if settings is None:
        raise LachanError('the configuration has no section admin: add admin: {listen: "127.0.0.1:8080"}')
    made = asyncio.run(_fill(settings))
    console = Console(highlight=False)
    console.print("Dữ liệu mẫu đã sẵn sàng, mọi trang đều ghi rõ là mẫu. / Sample data is ready; every page says that it is a sample.")
    console.print(f"  {public_url(settings)}/sign-in", markup=False)
    for one in made:
        console.print(f"  {one.place}: {one.name}  {one.password}", markup=False)
    console.print("Mật khẩu chỉ hiện một lần. / The passwords are shown once.")
    return 0


async def _fill(settings: AdminSettings) -> list[SignIn]:
    services = await open_services(settings, WallClock.from_environment(os.environ).now)
    try:
        return await fill(services)
    except Conflict:
        raise LachanError("the database has real people or samples already: lachan demo fills an empty one only") from None
    finally:
        await services.database.close()
