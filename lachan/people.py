"""The commands for people's side: the one-time link, a forgotten password, the journal. Only `lachan` imports this module."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer

from admin.settings import AdminSettings
from gateway.errors import StartError
from lachan.configuration import find_file, load

if TYPE_CHECKING:
    from admin.stricter import Gone
    from blocklists.database import Database

_T = TypeVar("_T")


def show_link(config: Path | None) -> None:
    """Print the one-time link again."""
    from admin.commands import show_link as show

    typer.echo(show(settings_of(config)))


def reset_password(config: Path | None, sign_in: str | None) -> None:
    """Ask for a new password twice and store it; without a name, or for one that nobody has, say which there are."""
    from admin.commands import list_sign_ins
    from admin.commands import reset_password as reset
    from admin.tenants import fold_sign_in

    settings = settings_of(config)
    names = asyncio.run(list_sign_ins(settings))
    there = f"các tên đang có / there are: {', '.join(names) or 'chưa có ai / none'}"
    if sign_in is None:
        if len(names) != 1:
            raise StartError(f"mật khẩu của ai / say whose password: lachan reset-password NAME ({there})")
        sign_in = names[0]
    elif fold_sign_in(sign_in) not in names:
        raise StartError(f"không có tên đăng nhập {sign_in[:64]} / there is no sign-in name {sign_in[:64]} ({there})")
    question = f"Mật khẩu mới cho {sign_in} / new password for {sign_in}"
    password = typer.prompt(question, hide_input=True, confirmation_prompt="Gõ lại lần nữa / once more")
    asyncio.run(reset(settings, sign_in, password))
    typer.echo("Đã đổi. Mọi trình duyệt đều phải đăng nhập lại. / Changed. Every browser has to sign in again.")


def verify_journal(config: Path | None) -> int:
    """Walk the journal; 0 when every row follows the one before, else 1 with the first that does not."""
    from admin.commands import verify_journal as verify

    found = asyncio.run(verify(settings_of(config)))
    if found.first_bad is not None:
        typer.echo(f"HỎNG / DAMAGED: {found.reason}", err=True)
        return 1
    typer.echo(f"Nguyên vẹn / whole: {found.head.seq} dòng / rows, {found.head.digest.hex()[:16]}…")
    return 0


def back_up(config: Path | None, path: Path | None) -> None:
    """Write a backup, by default named after the moment, in the folder where the command runs."""
    from admin.backup import back_up as write

    settings = settings_of(config)
    now = datetime.now(UTC)
    path = path or Path(f"lachan-{now:%Y%m%dT%H%M%S}.backup")
    info = asyncio.run(_with_database(settings, lambda database: write(database, settings.state_dir, path.absolute(), now)))
    typer.echo(f"Đã sao lưu / backed up: {path} ({path.stat().st_size:,} octets, schema {info.schema})")
    typer.echo("Tệp này chứa dữ liệu riêng tư; hãy cất nơi kín. / It holds private data; keep it where nobody else reads it.")


def restore(config: Path | None, path: Path, yes: bool) -> None:
    """Put a backup back after one question."""
    from admin.backup import read_info
    from admin.backup import restore as put_back

    settings = settings_of(config)
    info = read_info(path)
    typer.echo(f"Bản sao lưu lúc / backup made at {info.made_at:%d/%m/%Y %H:%M} UTC, schema {info.schema}")
    if not yes:
        typer.confirm("Thay thế dữ liệu đang có? / Replace what is there now?", abort=True)
    done = asyncio.run(_with_database(settings, lambda database: put_back(database, settings.state_dir, path, datetime.now(UTC))))
    typer.echo("Xong; dữ liệu trước đó còn trong thư mục dữ liệu. / Done; what was there before is kept in the state directory.")
    typer.echo("Chương trình đang chạy đưa vào hiệu lực trong một phút. / A running program puts it in force within a minute.")
    typer.echo("Mọi người đăng nhập lại, bằng mật khẩu hiện nay. / Everybody signs in again, with the password of today.")
    again = done.again
    told = (
        (again.erased, "hồ sơ đã xóa: xóa lại", "erased profiles: erased again"),
        (again.roles, "vai trò đã hết: vẫn hết", "roles that had ended: ended again"),
        (again.keys, "khóa cho phần mềm đã thu: vẫn thu", "revoked keys for programs: still worthless"),
        (again.passkeys, "khóa truy cập đã bỏ: vẫn bỏ", "passkeys taken away: still gone"),
        (again.phones, "tên riêng của điện thoại đã bỏ: vẫn bỏ", "names of phones that were given up: still worthless"),
    )
    for number, text, english in told:
        if number:
            typer.echo(f"  {number} {text} / {english}")
    if again.histories:
        typer.echo(f"  {again.histories} lịch sử của trẻ: kết thúc, muốn giữ thì đồng ý lại / histories of children: ended, agree anew")
    if again.closures:
        typer.echo(f"  {again.closures} nhóm sở giáo dục đã đóng: vẫn đóng / groups the education department closed: still closed")
    if again.lifted:
        typer.echo(f"  {again.lifted} mục của danh sách đã gỡ: vẫn gỡ / entries of the office's list that were lifted: still lifted")
    if again.reviews:
        typer.echo(f"  {again.reviews} đề nghị xem lại đã quyết định: vẫn thế / reviews that were decided: still decided")
    if again.returned:
        typer.echo(f"! {again.returned} mục lại có hiệu lực: lần quay lại bản trước chưa ai xác nhận đã mất; vẫn cần thì quay lại lần nữa.")
        typer.echo(f"! {again.returned} entries are in force again: the return that took them out was confirmed by nobody, and is lost.")
    for line in weaker(done.gone):
        typer.echo(line)
    if done.office:
        typer.echo(f"! Máy của bản sao lưu theo danh sách của {done.office}; máy này CHƯA theo. Xin đơn vị một mã mới: lachan join …")
        typer.echo("! The machine of this backup followed that list office; this one does NOT. Ask it for a new code: lachan join …")
    if again.papers:
        typer.echo("Mã khôi phục in trên giấy không còn giá trị: in mã mới ở trang Tài khoản của tôi.")
        typer.echo("Recovery codes on paper are worth nothing any more: print new ones under My account.")
    if again.locked:
        typer.echo("Mật khẩu đã đổi sau bản sao này; đặt mật khẩu mới cho: / Their passwords changed after this backup; give new ones:")
        for name in again.locked:
            typer.echo(f"  lachan reset-password {name}")


#: What was stricter before a restore, for a terminal.
STRICTER = {
    "names": "tên trang đã chặn / names of sites that were denied",
    "switches": "nhóm, ứng dụng đã chặn / groups and apps that were blocked",
    "hours": "khung giờ nghỉ, giờ học / hours of rest and study",
    "off": "lần tắt mạng còn hiệu lực / internet off that still ran",
    "ages": "mức tuổi nhỏ hơn đã chọn / younger ages chosen",
    "search": "tìm kiếm an toàn đã bật / safe search switched on",
    "waits": "thời gian chờ dài hơn / longer waits before opening",
    "devices": "máy đã chuyển từ người lớn sang trẻ / devices that went from the adults to a child",
    "entries": "mục trong danh sách của đơn vị / entries of the office's list",
}


def weaker(gone: Sequence[Gone] | None) -> list[str]:
    """What is to be said of rules that were stricter before a restore: nothing silently weakens."""
    if gone is None:
        return [
            "Những gì siết thêm sau bản sao này đã mất cùng cơ sở dữ liệu; hãy xem lại quy tắc của từng trẻ, từng lớp.",
            "What was made stricter after this backup is lost with the database of that time; look through the rules of every child.",
        ]
    if not gone:
        return []
    lines = [
        "Vừa rồi còn chặt hơn, nay không còn; hãy đóng lại nếu vẫn cần: / Stricter a moment ago, no longer; close again what is meant:"
    ]
    for one in gone:
        where = [*one.places, *([f"{one.families} gia đình / families"] if one.families else [])]
        lines.append(f"  {one.count} {STRICTER[one.kind]}" + (f" ({', '.join(where)})" if where else ""))
    return lines


async def _with_database(settings: AdminSettings, work: Callable[[Database], Awaitable[_T]]) -> _T:
    from blocklists.database import open_database

    database = await open_database(settings.database)
    try:
        return await work(database)
    finally:
        await database.close()


def settings_of(config: Path | None) -> AdminSettings:
    """The settings of people's side. Raises StartError where there is none."""
    configuration = load(find_file(config))
    if configuration.admin is None:
        raise StartError(
            f"{configuration.path.name} has no admin section, so there are no accounts and no database: to back up a gateway alone, copy"
            f" this file and {configuration.gateway.state_dir}",
            f"{configuration.path.name} không có mục admin, nên không có tài khoản, cơ sở dữ liệu: để sao lưu riêng cổng lọc, chép tệp"
            f" này và {configuration.gateway.state_dir}",
        )
    return configuration.admin
