"""`lachan release init|publish|refresh|keys|export`: the office's newest version as a folder of signed files that any web server can serve.

Only `lachan` imports this module.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import typer

from blocklists.releasekeys import ROLES, UNATTENDED, is_locked, load_server, load_signers, make_keys
from blocklists.releases import Keys, Listing, ReleaseError, Repository
from blocklists.sealing import office_keys, write_keys
from blocklists.takedown.releasing import keys_in_use, segments_of
from gateway.clock import WallClock
from gateway.errors import LachanError, StartError
from lachan.configuration import Configuration, find_file, load


def initialise(config: Path | None, to: Path | None, *, lock: bool, passphrase_file: Path | None) -> None:
    """Make the keys and the first root. Raises LachanError, when there is a release already too."""
    configuration, folder = _places(config, to)
    repository = Repository(folder)
    if repository.is_begun():
        raise ReleaseError(f"{folder} holds a release already: a new root would cut off every gateway that follows it")
    keys = _keys_folder(configuration)
    passphrase = _passphrase(passphrase_file, again=True) if lock or passphrase_file else None
    make_keys(keys, passphrase)
    signers = load_signers(keys, ROLES, passphrase)
    appointed = Keys({role: [signer.public_key for signer in holders] for role, holders in signers.items()}, {})
    root = repository.initialise(appointed, signers, _now())
    typer.echo(f"Khóa / keys: {keys}")
    typer.echo(f"Gốc tin cậy, trao cho các cổng lọc / root of trust, for the gateways: {repository.metadata / '1.root.json'}")
    typer.echo(f"SHA-256: {hashlib.sha256(root).hexdigest()}")


def publish(config: Path | None, to: Path | None, passphrase_file: Path | None) -> None:
    """Sign the newest version; without a newer one, sign the same list anew. Raises LachanError; then the folder is as it was."""
    configuration, folder = _places(config, to)
    repository = _existing(folder)
    listing = asyncio.run(_read(configuration))
    keys = _keys_folder(configuration)
    roles = ("targets", *UNATTENDED)
    passphrase = _passphrase(passphrase_file) if is_locked(keys, roles) else None
    signers = load_signers(keys, roles, passphrase) | load_server(keys)
    published = repository.serial()
    read, in_use = segments_of(configuration.gateway.state_dir), keys_in_use(configuration.gateway.state_dir)
    if listing is None or listing.serial == published:
        repository.renew(signers, _now(), read, in_use)
        typer.echo(f"Không có gì mới; đã ký lại bản {published}. / Nothing new; release {published} is signed anew.")
        return
    repository.publish(listing, read, signers, _now(), in_use)
    typer.echo(f"Đã công bố bản {listing.serial}. / Release {listing.serial} is published.")


def refresh(config: Path | None, to: Path | None) -> None:
    """Sign that nothing is new, without the approver's key; for a timer, once a day. Raises LachanError."""
    configuration, folder = _places(config, to)
    repository = _existing(folder)
    repository.refresh(load_server(_keys_folder(configuration)), _now())
    typer.echo(f"Đã ký lại bản {repository.serial()}. / Release {repository.serial()} is signed anew.")


def hand_keys(config: Path | None, file: Path) -> None:
    """Write the keys of sealed segments for a gateway that cannot ask for them (`takedown.follow.keys`). Raises LachanError."""
    configuration, _ = _places(config, None)
    if file.exists():
        raise LachanError(f"{file} is there already: name another file")
    try:
        write_keys(file.absolute(), office_keys(configuration.gateway.state_dir))
    except OSError as error:
        raise LachanError(f"{file}: cannot be written ({error.strerror})") from None
    typer.echo(f"{file}: ai giữ tệp này thử được các tên được che, chỉ trao tận tay. / Hand it over in person.")


def export(config: Path | None, folder: Path, to: Path | None) -> None:
    """Copy the newest release to a folder, such as a stick. Raises LachanError."""
    _, source = _places(config, to)
    repository = _existing(source)
    try:
        count = repository.copy_to(folder)
        ends = repository.good_until()
    except OSError as error:
        raise LachanError(f"{folder}: cannot be written ({error.strerror}): is the stick full, or write-protected?") from None
    typer.echo(f"Bản {repository.serial()}: {count} tệp, dùng được đến {ends:%Y-%m-%d %H:%M} UTC. / {count} files, good until then.")


def _places(config: Path | None, to: Path | None) -> tuple[Configuration, Path]:
    configuration = load(find_file(config), require_files=False)
    return configuration, to.absolute() if to else configuration.gateway.state_dir / "release"


def _keys_folder(configuration: Configuration) -> Path:
    return configuration.gateway.state_dir / "keys"


def _existing(folder: Path) -> Repository:
    repository = Repository(folder)
    if not repository.is_begun():
        raise ReleaseError(f"{folder} holds no release yet: begin with lachan release init")
    return repository


async def _read(configuration: Configuration) -> Listing | None:
    from admin.office import find_office, open_office
    from blocklists.database import open_database
    from blocklists.takedown.releasing import read_listing

    if configuration.admin is None:
        raise StartError(f"{configuration.path.name} has no admin section: an office publishes what its officers approved there")
    database = await open_database(configuration.admin.database)
    try:
        async with database.read() as connection:
            tenant = await find_office(connection, _now())
            if tenant is None:
                raise LachanError("there is no list office in this database: set it up on the admin pages first")
            office = await open_office(connection, tenant)
            return await read_listing(connection, office)
    finally:
        await database.close()


def _passphrase(file: Path | None, *, again: bool = False) -> bytes:
    """From the file, or asked for on a terminal. Raises LachanError where nobody can be asked, or for an empty one."""
    if file is not None:
        try:
            text = file.read_text(encoding="utf-8").strip("\r\n")
        except (OSError, ValueError) as error:
            raise LachanError(f"{file}: the passphrase cannot be read ({type(error).__name__})") from None
    elif sys.stdin.isatty():
        text = typer.prompt("Cụm mật khẩu của khóa / passphrase of the keys", hide_input=True, confirmation_prompt=again)
    else:
        raise LachanError("the keys are locked: name a file with the passphrase (--passphrase-file), or call this on a terminal")
    if not text:
        raise LachanError("the passphrase is empty")
    return text.encode()


def _now() -> datetime:
    return datetime.fromtimestamp(WallClock.from_environment(os.environ).now(), UTC)
