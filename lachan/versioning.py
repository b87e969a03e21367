"""`lachan --version`. Only `lachan` imports this module."""

from __future__ import annotations

from typing import Annotated

import typer


def _print_version(wanted: bool) -> None:
    if wanted:
        from gateway.standing import program_version

        typer.echo(f"lachan {program_version()}")
        raise typer.Exit


#: The option: prints the version and ends the program.
VersionOption = Annotated[
    bool, typer.Option("--version", help="phiên bản của chương trình / the program's version", is_eager=True, callback=_print_version)
]
