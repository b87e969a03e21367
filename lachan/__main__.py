"""The commands of `lachan`. Each imports what it needs when it is called. Nobody imports this module.

An expected error is one clear sentence on standard error and exit status 1; only a bug shows a traceback.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway.errors import LachanError
from lachan.errortext import explain_error, refused_by_database, refused_by_system
from lachan.ownership import ConfigFile, hand_back_at_end
from lachan.versioning import VersionOption

app = typer.Typer(
    name="lachan",
    help="Lá Chắn DNS: lọc DNS bảo vệ trẻ em / a parental-control DNS gateway",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
config_app = typer.Typer(help="cấu hình / the configuration", no_args_is_help=True)
lists_app = typer.Typer(help="danh sách / the lists", no_args_is_help=True)
exits_app = typer.Typer(help="đóng lối vòng / closing the ways around", no_args_is_help=True)
app.add_typer(config_app, name="config")
app.add_typer(lists_app, name="lists")
release_app = typer.Typer(help="bản có chữ ký của cơ quan / the office's signed releases", no_args_is_help=True)
app.add_typer(release_app, name="release")
app.add_typer(exits_app, name="exits")
zone_app = typer.Typer(help="vùng RPZ / policy zones", no_args_is_help=True)
app.add_typer(zone_app, name="zone")
tenant_app = typer.Typer(help="một gia đình hoặc trường trong một tệp / a family or school as one file", no_args_is_help=True)
app.add_typer(tenant_app, name="tenant")


@app.callback()
def _program(context: typer.Context, version: VersionOption = False) -> None:
    """Lá Chắn DNS: lọc DNS bảo vệ trẻ em / a parental-control DNS gateway"""
    context.call_on_close(lambda: hand_back_at_end(context))

TakeOver = Annotated[
    bool,
    typer.Option(
        "--take-over",
        help="thay bản đang chạy, không mất câu hỏi nào / take the place of the one that runs, no query lost",
    ),
]


@app.command()
def run(
    config: ConfigFile = None,
    first: Annotated[
        bool, typer.Option("--first", help="viết cấu hình mẫu khi chưa có / write a sample configuration when there is none")
    ] = False,
    lan: Annotated[bool, typer.Option("--lan", help="nghe cổng 53 của mạng trong nhà / listen on port 53 of the local network")] = False,
    take_over: TakeOver = False,
) -> None:
    """Chạy tất cả trên một máy / run everything on one machine."""
    from lachan import run as running

    raise typer.Exit(running.run_all(config, first=first, lan=lan, takes_over=take_over))


@app.command()
def gateway(config: ConfigFile = None, take_over: TakeOver = False) -> None:
    """Chỉ chạy phần phân giải / run the data plane alone."""
    from lachan import run as running

    raise typer.Exit(running.run_gateway(config, takes_over=take_over))


@app.command()
def admin(config: ConfigFile = None) -> None:
    """Chỉ chạy trang quản trị / run the control plane alone."""
    from lachan import run as running

    raise typer.Exit(running.run_admin(config))


@app.command()
def check(config: ConfigFile = None) -> None:
    """Kiểm tra tất cả, không chạy / validate everything, run nothing."""
    from lachan import checking

    checking.check(config)


@config_app.command("show")
def config_show(config: ConfigFile = None) -> None:
    """Thiết lập đang có hiệu lực, bí mật được che / effective settings, secrets masked."""
    from lachan import showing

    showing.show(config)


@lists_app.command("update")
def lists_update(config: ConfigFile = None) -> None:
    """Tải các danh sách đăng ký và áp dụng / fetch subscriptions and put them in force."""
    from lachan import lists

    lists.update(config)


@lists_app.command("compile")
def lists_compile(config: ConfigFile = None) -> None:
    """Biên dịch các danh sách và áp dụng / compile the lists and put them in force."""
    from lachan import lists

    lists.compile_now(config)


@lists_app.command("show")
def lists_show(list_id: Annotated[str | None, typer.Argument(metavar="[ID]")] = None, config: ConfigFile = None) -> None:
    """Danh sách đang có hiệu lực, hay bản mới đang chờ của một danh sách / the lists in force, or the copy that waits at one."""
    from lachan import lists

    lists.look(config, list_id) if list_id else lists.show(config)


@lists_app.command("accept")
def lists_accept(
    list_id: Annotated[str, typer.Argument(metavar="ID", help="mã danh sách / id of the list")],
    config: ConfigFile = None,
    yes: Annotated[bool, typer.Option("--yes", help="không hỏi lại / do not ask")] = False,
) -> None:
    """Nêu bản mới đang chờ của một danh sách, hỏi rồi áp dụng / show the copy that waits at a list, ask, and put it in force."""
    from lachan import lists

    lists.accept(config, list_id, yes=yes)


@zone_app.command("pull")
def zone_pull(
    source: Annotated[str, typer.Option("--from", metavar="HOST:PORT", help="máy chủ chính / the primary")],
    zone: Annotated[str, typer.Option("--zone", metavar="NAME", help="tên vùng / name of the zone")],
    target: Annotated[Path, typer.Option("--to", metavar="FILE", help="tệp vùng được ghi / the zone file to write")],
    key: Annotated[Path | None, typer.Option("--key", metavar="FILE", help="tệp khóa TSIG, do tsig-keygen viết / TSIG key file")] = None,
) -> None:
    """Nhận vùng RPZ vào một tệp; có lỗi thì giữ tệp cũ / bring a policy zone into a file; on error the old file stays."""
    from lachan import zones

    zones.pull_zone(source, zone, key, target)


@zone_app.command("refresh")
def zone_refresh(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[ZONE]...", help="tên vùng; bỏ trống là tất cả / zones; all of them")
    ] = None,
    config: ConfigFile = None,
    quiet: Annotated[bool, typer.Option("--quiet", hidden=True)] = False,
) -> None:
    """Nhận ngay các vùng từ máy chủ chính và áp dụng / take the zones from their primaries now and put them in force."""
    from lachan import transfers

    transfers.refresh(config, names or [], quiet=quiet)


@app.command()
def certificate(
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="tên của cổng lọc / the gateway's name, dns.example.net")],
    address: Annotated[
        list[str] | None, typer.Option("--address", metavar="ADDRESS", help="địa chỉ cũng có trong chứng chỉ / an address to carry, too")
    ] = None,
    folder: Annotated[Path, typer.Option("--folder", help="nơi ghi cert.pem và key.pem / where both files go")] = Path("."),
) -> None:
    """Chứng chỉ tự ký để thử DoT, DoH, DoQ / a certificate signed by itself, for a first try of DoT, DoH and DoQ."""
    from lachan import certificate as making

    chain, key = making.write(name, address or [], folder)
    typer.echo(f"tls: {{certificate: {chain}, key: {key}, name: {name}}}")
    typer.echo("Điện thoại không tin chứng chỉ này; để thử / phones do not trust it; to try: kdig +tls +tls-ca=cert.pem", err=True)


@exits_app.callback()
def exits_group() -> None:
    """A group, although it has one command."""


@exits_app.command("export")
def exits_export(
    gateway: Annotated[
        list[str],
        typer.Option("--gateway", metavar="ADDRESS", help="địa chỉ của cổng lọc, IPv4 và cả IPv6 nếu có / the gateway's address"),
    ],
    form: Annotated[str, typer.Option("--format", help="nft, mikrotik, openwrt")] = "nft",
    interface: Annotated[
        str | None, typer.Option("--interface", help="tên mạng trong trên bộ định tuyến / the local network's name on the router")
    ] = None,
    same_network: Annotated[
        bool, typer.Option("--same-network/--other-network", help="cổng lọc ở cùng mạng với thiết bị / gateway and devices share a network")
    ] = True,
) -> None:
    """Luật cho bộ định tuyến: DNS đặt cứng trong máy cũng về cổng lọc / rules for a router: hard-coded DNS comes back to the gateway."""
    from lachan import exits

    exits.write(form, gateway, interface, same_network)


ReleaseFolder = Annotated[
    Path | None, typer.Option("--to", metavar="FOLDER", help="thư mục mà máy chủ web phục vụ / folder a web server serves (var/release)")
]
PassphraseFile = Annotated[
    Path | None, typer.Option("--passphrase-file", metavar="FILE", help="tệp chứa cụm mật khẩu / file that holds the passphrase")
]


@release_app.command("init")
def release_init(
    config: ConfigFile = None,
    to: ReleaseFolder = None,
    lock: Annotated[bool, typer.Option("--lock", help="khóa bằng cụm mật khẩu / lock the keys by a passphrase")] = False,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Tạo khóa và gốc tin cậy / make the keys and the root of trust."""
    from lachan import releasing

    releasing.initialise(config, to, lock=lock, passphrase_file=passphrase_file)


@release_app.command("publish")
def release_publish(config: ConfigFile = None, to: ReleaseFolder = None, passphrase_file: PassphraseFile = None) -> None:
    """Ký và công bố bản mới nhất đã được duyệt / sign and publish the newest approved version."""
    from lachan import releasing

    releasing.publish(config, to, passphrase_file)


@release_app.command("refresh")
def release_refresh(config: ConfigFile = None, to: ReleaseFolder = None) -> None:
    """Ký lại, mỗi ngày một lần, khi không có gì mới / sign anew, once a day, when nothing is new."""
    from lachan import releasing

    releasing.refresh(config, to)


@release_app.command("keys")
def release_keys(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="tệp mới, chỉ chủ đọc được / a new file, for its owner alone")],
    config: ConfigFile = None,
) -> None:
    """Khóa của các tên được che, cho cổng lọc không có mạng / keys of masked names, for a gateway that is never online."""
    from lachan import releasing

    releasing.hand_keys(config, file)


@release_app.command("export")
def release_export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="thư mục, như một USB / a folder, such as a stick")],
    config: ConfigFile = None,
    to: ReleaseFolder = None,
) -> None:
    """Chép bản mới nhất ra một thư mục, như một USB / copy the newest release to a folder, such as a stick."""
    from lachan import releasing

    releasing.export(config, folder, to)


@release_app.command("import")
def release_import(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="thư mục, như một USB / a folder, such as a stick")],
    config: ConfigFile = None,
) -> None:
    """Nhận bản mới từ một thư mục, kiểm như khi tải / take a release from a folder, with the checks of following."""
    from lachan import following

    following.import_release(config, folder)


@app.command()
def explain(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    config: ConfigFile = None,
    client: Annotated[str | None, typer.Option("--client", help="mã thiết bị hoặc địa chỉ / client id or address")] = None,
    profile: Annotated[str | None, typer.Option("--profile", help="mã hồ sơ / profile id")] = None,
    at: Annotated[str | None, typer.Option("--at", help="lúc nào, như 2026-09-01T21:30 / at what time")] = None,
    qtype: Annotated[str, typer.Option("--type", help="loại bản ghi / record type")] = "A",
) -> None:
    """Vì sao tên này bị chặn hay mở / why a name is blocked or open."""
    from lachan import explaining

    explaining.explain(config, name, client, profile, at, qtype)


@app.command()
def query(
    words: Annotated[list[str], typer.Argument(metavar="NAME [TYPE] @SERVER")],
    source: Annotated[str | None, typer.Option("-b", "--source", help="hỏi từ địa chỉ này / ask from this address")] = None,
    dnssec: Annotated[bool, typer.Option("--dnssec", help="xin chữ ký / ask for signatures")] = False,
    timeout: Annotated[float, typer.Option("--timeout", help="giây / seconds", min=0.1, max=60)] = 5.0,
    insecure: Annotated[bool, typer.Option("--insecure", help="không kiểm tra chứng chỉ / do not check the certificate")] = False,
) -> None:
    """Hỏi một máy chủ DNS và giải thích câu trả lời / ask a DNS server and explain the answer."""
    from lachan.query import run as ask

    for line in ask(words, source, dnssec, timeout, insecure):
        typer.echo(line)


@app.command()
def flush(name: Annotated[str | None, typer.Argument(metavar="[NAME]")] = None, config: ConfigFile = None) -> None:
    """Quên câu trả lời đã nhớ / forget cached answers."""
    from lachan import running

    running.flush(config, name)


@app.command()
def reload(config: ConfigFile = None) -> None:
    """Đọc lại cấu hình; có lỗi thì giữ nguyên / read the configuration again; on error everything stays."""
    from lachan import running

    running.reload(config)


@app.command()
def status(
    config: ConfigFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="cho máy đọc / for programs")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="chờ đến khi sẵn sàng / wait until ready")] = False,
    timeout: Annotated[float, typer.Option("--timeout", help="chờ tối đa chừng này giây / wait at most these seconds")] = 60.0,
    ask: Annotated[bool, typer.Option("--ask", help="hỏi thử một tên thật / ask for one real name, too")] = False,
) -> None:
    """Tình trạng / status."""
    from lachan import running

    running.status(config, as_json, timeout if wait else None, ask)


@app.command("setup-link")
def setup_link(config: ConfigFile = None) -> None:
    """In lại liên kết cài đặt dùng một lần / print the one-time set-up link again."""
    from lachan import people

    people.show_link(config)


@app.command("reset-password")
def reset_password(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="tên đăng nhập / sign-in name")] = None, config: ConfigFile = None
) -> None:
    """Đặt mật khẩu mới cho một tài khoản / give an account a new password."""
    from lachan import people

    people.reset_password(config, name)


@app.command("verify-journal")
def verify_journal(config: ConfigFile = None) -> None:
    """Kiểm tra nhật ký có nguyên vẹn không / check that nobody changed the journal."""
    from lachan import people

    raise typer.Exit(people.verify_journal(config))


@app.command()
def backup(
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="tệp mới / a new file")] = None, config: ConfigFile = None
) -> None:
    """Sao lưu cơ sở dữ liệu khi đang chạy / back the database up while everything runs."""
    from lachan import people

    people.back_up(config, file)


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="tệp sao lưu / the backup")],
    config: ConfigFile = None,
    yes: Annotated[bool, typer.Option("--yes", help="không hỏi lại / do not ask")] = False,
) -> None:
    """Đưa một bản sao lưu trở lại / put a backup back."""
    from lachan import people

    people.restore(config, file, yes)


TenantId = Annotated[str | None, typer.Option("--tenant", metavar="ID", help="gia đình hoặc trường nào / which family or school")]


@tenant_app.command("list")
def tenant_list(config: ConfigFile = None) -> None:
    """Các gia đình và trường ở đây / the families and schools here."""
    from lachan import tenants

    tenants.list_tenants(config)


@tenant_app.command("export")
def tenant_export(
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="tệp mới; bỏ trống: in ra / a new file; empty: print")] = None,
    config: ConfigFile = None,
    tenant: TenantId = None,
    secrets: Annotated[
        bool, typer.Option("--with-secrets", help="kèm tên riêng của điện thoại / with the private names of phones")
    ] = False,
) -> None:
    """Ghi mọi thiết lập vào một tệp YAML / write everything that was set into one YAML file."""
    from lachan import tenants

    tenants.write(config, tenant, file, secrets)


@tenant_app.command("import")
def tenant_import(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="tệp / the file")],
    config: ConfigFile = None,
    tenant: TenantId = None,
    new: Annotated[
        str | None, typer.Option("--new", metavar="NAME", help="tạo mới, với tên đăng nhập này / make a new one, with this sign-in name")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="chỉ nói sẽ đổi gì / only say what would change")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="không hỏi lại / do not ask")] = False,
) -> None:
    """Áp dụng một tệp như thế: tất cả, hoặc không gì cả / put such a file in place: all of it, or nothing."""
    from lachan import tenants

    tenants.bring_in(config, file, tenant, new, dry_run, yes)


@app.command(hidden=True)
def prepare(
    config: ConfigFile = None,
    commit: Annotated[bool, typer.Option("--commit", help="put in force when no gateway runs")] = False,
    fetch: Annotated[bool, typer.Option("--fetch", help="fetch subscriptions first")] = False,
    report: Annotated[bool, typer.Option("--report", help="write the outcome as JSON")] = False,
) -> None:
    """Bring the lists and the local policy into the state directory; `lachan run` calls this in a process of its own."""
    from lachan import preparation

    raise typer.Exit(preparation.command(config, commit=commit, fetch=fetch, report=report))


@app.command()
def follow(
    config: ConfigFile = None,
    commit: Annotated[bool, typer.Option("--commit/--no-commit", hidden=True)] = True,
    report: Annotated[bool, typer.Option("--report", hidden=True)] = False,
) -> None:
    """Lấy ngay bản mới của cơ quan mà cổng lọc này theo / take the newest release of the office this gateway follows, now."""
    from lachan import following

    raise typer.Exit(following.command(config, commit=commit, report=report))


@app.command()
def join(
    code: Annotated[str, typer.Argument(metavar="CODE", help="mã do trang của đơn vị tạo / the code made on the office's page")],
    config: ConfigFile = None,
) -> None:
    """Theo danh sách của một đơn vị, bằng mã của họ / follow the list of an office, by its code."""
    from lachan import joining

    joining.join_office(config, code)


@app.command()
def leave(config: ConfigFile = None) -> None:
    """Thôi theo đơn vị đã kết nối / follow the joined office no more."""
    from lachan import joining

    joining.leave_office(config)


@app.command()
def demo(config: ConfigFile = None) -> None:
    """Đổ dữ liệu mẫu vào cơ sở dữ liệu trống / fill an empty database with samples."""
    from lachan import sampling

    raise typer.Exit(sampling.command(config))


def main() -> None:
    """The entry point."""
    try:
        app()
    except LachanError as error:
        sys.stderr.write(f"{explain_error(error)}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
    except Exception as error:
        refused = refused_by_system(error) if isinstance(error, OSError) else refused_by_database(error)
        if refused is None:
            raise
        sys.stderr.write(f"{explain_error(refused)}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
