"""`lachan tenant`: list families and schools, write one as a file, put a file in place. Only `lachan` imports this module."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer

from gateway.clock import WallClock
from gateway.errors import Mistake, SettingsError, StartError
from lachan.people import settings_of

if TYPE_CHECKING:
    from admin.dependencies import Services
    from admin.importing import Change
    from admin.tenantreading import Wanted
    from blocklists.tables import OrganisationId

_T = TypeVar("_T")


def list_tenants(config: Path | None) -> None:
    """One line for each: id, kind, name."""
    found = list(_with_services(config, _find))
    for tenant, kind, name in found:
        typer.echo(f"{tenant}  {kind:8}{name}")
    if not found:
        typer.echo("Chưa có gia đình hay trường nào: mở liên kết thiết lập (lachan setup-link). / None yet: open the set-up link.")


def write(config: Path | None, tenant: str | None, path: Path | None, secrets: bool) -> None:
    """Write the file, only for its owner to read; never over another file."""

    async def work(services: Services) -> str:
        from admin.audit import MACHINE, Act
        from admin.importing import export_tenant

        chosen, _, name = await _choose(services, tenant)
        act = Act(chosen, MACHINE, services.now())
        return await export_tenant(services.database, act, name, services.shelves.current(), secrets=secrets)

    text = _with_services(config, work)
    if path is None:
        typer.echo(text, nl=False)
        return
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise StartError(f"cannot write {path}: {error.strerror}: choose another place or name") from None
    typer.echo(f"Đã ghi / written: {path}")


def bring_in(config: Path | None, path: Path, tenant: str | None, new: str | None, dry_run: bool, yes: bool) -> None:
    """Say what the file would change; then, after one question, change it."""
    data = _read_file(path)

    async def look(services: Services) -> Sequence[Change]:
        return await _import(services, data, path, tenant, dry_run=True)

    if new is not None:
        _found(config, data, path, new, dry_run)
        return
    changes = _with_services(config, look)
    _show(changes)
    if dry_run or not changes:
        return
    if not yes:
        typer.confirm("Áp dụng? / Put it in place?", abort=True)

    async def work(services: Services) -> bool:
        await _import(services, data, path, tenant, dry_run=False)
        chosen, _, _ = await _choose(services, tenant)
        return (await services.applier.settle(chosen)).is_pending

    if _with_services(config, work):
        typer.echo("Đã lưu; có hiệu lực khi cổng lọc chạy. / Stored; in force when the gateway runs.")
    else:
        typer.echo("Đã có hiệu lực. / In force.")


def _found(config: Path | None, data: bytes, path: Path, sign_in: str, dry_run: bool) -> None:
    """A new family or school from the file, with its first account."""
    from admin.passwords import Passwords, judge_new
    from admin.setup import Owner
    from admin.tenants import fold_sign_in

    password = ""
    if not dry_run:
        password = typer.prompt(f"Mật khẩu cho {sign_in} / password for {sign_in}", hide_input=True, confirmation_prompt=True)
        for mistake in judge_new(password, fold_sign_in(sign_in)):
            from admin.commands import REFUSALS

            raise StartError(REFUSALS.get(mistake.code, mistake.code))

    async def work(services: Services) -> OrganisationId | None:
        from admin.importing import found_tenant

        wanted = _read(services, data, path)
        if dry_run:
            return None
        owner = Owner(sign_in, await Passwords().hash(password), "vi")
        async with services.database.write() as connection:
            made = await found_tenant(connection, wanted, owner, services.shelves.current(), services.now())
        await services.applier.settle(made.tenant)
        return made.tenant

    made = _with_services(config, work)
    if made is None:
        typer.echo("Tệp không có lỗi. / The file has no mistakes.")
    else:
        typer.echo(f"Đã tạo / made: {made}")


async def _import(services: Services, data: bytes, path: Path, tenant: str | None, *, dry_run: bool) -> Sequence[Change]:
    from admin.audit import MACHINE, Act
    from admin.importing import import_tenant

    chosen, _, _ = await _choose(services, tenant)
    act = Act(chosen, MACHINE, services.now())
    return await import_tenant(services.database, act, _read(services, data, path), services.shelves.current(), dry_run=dry_run)


def _read(services: Services, data: bytes, path: Path) -> Wanted:
    from admin.tenantreading import read_tenant

    try:
        return read_tenant(data, services.shelves.current())
    except SettingsError as error:
        words = services.pages.words["vi"]
        raise SettingsError([_both(mistake, words.gettext(mistake.message), path) for mistake in error.mistakes]) from None


def _both(mistake: Mistake, translated: str, path: Path) -> Mistake:
    """A mistake in both languages, with the file's own name."""
    message = mistake.message if translated == mistake.message else f"{translated} / {mistake.message}"
    return Mistake(f"{path.name}{mistake.path.removeprefix('text')}", message, mistake.remedy)


def _show(changes: Sequence[Change]) -> None:
    from admin.pages.phrases import CHANGES
    from admin.pages.words import load_words

    words = load_words()["vi"]
    for one in changes:
        sentence = CHANGES[(one.part.value, one.what.value)]
        both = [text.format(label=one.label, of=one.of, n=one.number) for text in (words.gettext(sentence), sentence)]
        typer.echo(f"  {' / '.join(both)}")
    if not changes:
        typer.echo("Không có gì đổi. / Nothing changes.")


def _read_file(path: Path) -> bytes:
    from admin.tenantreading import MOST_BYTES

    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise StartError(f"cannot read {path}: {error.strerror}") from None


async def _find(services: Services) -> list[tuple[OrganisationId, str, str]]:
    from admin.tenants import list_tenants as listed

    async with services.database.read() as connection:
        return [(one.id, one.kind.value, one.name) for one in await listed(connection, services.now())]


async def _choose(services: Services, tenant: str | None) -> tuple[OrganisationId, str, str]:
    """The one that was named, or the only one there is. Raises StartError that lists them."""
    found = await _find(services)
    chosen = [one for one in found if one[0] == tenant] if tenant is not None else found
    if len(chosen) != 1:
        listed = ", ".join(f"{one[0]} ({one[2]})" for one in found[:20]) or "none"
        raise StartError(f"say which family or school, by its id (--tenant ID; there are: {listed})")
    return chosen[0]


def _with_services(config: Path | None, work: Callable[[Services], Awaitable[_T]]) -> _T:
    settings = settings_of(config)

    async def run() -> _T:
        from admin.app import open_services

        services = await open_services(settings, WallClock.from_environment(os.environ).now)
        try:
            return await work(services)
        finally:
            await services.database.close()

    return asyncio.run(run())
