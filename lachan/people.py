"""The commands for people's side: the one-time link, a forgotten password, the journal. Only `lachan` imports this module."""

from __future__ import annotations

import asyncio
from pathlib import Path

import typer

from admin.settings import AdminSettings
from gateway.errors import StartError
from lachan.configuration import find_file, load


def show_link(config: Path | None) -> None:
    """Print the one-time link again."""
    from admin.commands import show_link as show

    typer.echo(show(_settings(config)))


def reset_password(config: Path | None, sign_in: str | None) -> None:
    """Ask for a new password twice and store it; without a name, say which there are."""
    from admin.commands import list_sign_ins
    from admin.commands import reset_password as reset

    settings = _settings(config)
    if sign_in is None:
        names = asyncio.run(list_sign_ins(settings))
        if len(names) != 1:
            raise StartError(f"say whose password: lachan reset-password NAME (there are: {', '.join(names) or 'none'})")
        sign_in = names[0]
    password = typer.prompt(f"Mật khẩu mới cho {sign_in} / new password for {sign_in}", hide_input=True, confirmation_prompt=True)
    asyncio.run(reset(settings, sign_in, password))
    typer.echo("Đã đổi. Mọi trình duyệt đều phải đăng nhập lại. / Changed. Every browser has to sign in again.")


def verify_journal(config: Path | None) -> int:
    """Walk the journal; 0 when every row follows the one before, else 1 with the first that does not."""
    from admin.commands import verify_journal as verify

    found = asyncio.run(verify(_settings(config)))
    if found.first_bad is not None:
        typer.echo(f"HỎNG / DAMAGED: {found.reason}", err=True)
        return 1
    typer.echo(f"Nguyên vẹn / whole: {found.head.seq} dòng / rows, {found.head.digest.hex()[:16]}…")
    return 0


def _settings(config: Path | None) -> AdminSettings:
    configuration = load(find_file(config))
    if configuration.admin is None:
        raise StartError(f"{configuration.path.name} has no admin section, so there is nobody to sign in")
    return configuration.admin
