"""`python -m gateway STATE_DIR`: answer by the generation in force in a state directory, with nothing else installed or running.

For a machine that gets its generations from elsewhere and has no configuration file. Upstreams are those of the system or the ones
named; everything else has its default. `lachan gateway -c FILE` does the same with a configuration.
"""

from __future__ import annotations

import argparse
import sys
from ipaddress import ip_network
from pathlib import Path
from types import MappingProxyType

from gateway import logs, supervisor
from gateway.errors import StartError
from gateway.servers import FALLBACK, parse_server, system_servers
from gateway.settings import DnsSettings, Endpoint, GatewaySettings, UpstreamSettings

ALLOWED = ("127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fe80::/10")


async def nothing_to_prepare(_: supervisor.Occasion) -> supervisor.Prepared:
    """Generations come from elsewhere."""
    return supervisor.Prepared()


def settings_from(arguments: argparse.Namespace) -> GatewaySettings:
    """The settings of these arguments; ValueError with a sentence when one is wrong."""
    listen = tuple(_endpoint(text) for text in arguments.listen)
    servers = tuple(map(parse_server, arguments.upstream)) or system_servers(listen) or tuple(map(parse_server, FALLBACK))
    allowed = tuple(map(ip_network, ALLOWED))
    return GatewaySettings(
        state_dir=arguments.state_dir.absolute(),
        dns=DnsSettings(listen, arguments.workers, allowed, arguments.user, "lachan.internal"),
        upstreams=UpstreamSettings(servers, "fastest", MappingProxyType({}), 2.0),
        policy=MappingProxyType({}),
        metrics=_endpoint(arguments.metrics) if arguments.metrics else None,
    )


def main(words: list[str] | None = None) -> int:
    """The program; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m gateway", description="Chạy riêng phần phân giải / run the data plane alone")
    parser.add_argument("state_dir", type=Path, help="thư mục dữ liệu / state directory")
    parser.add_argument("--listen", action="append", default=[], metavar="HOST:PORT", help="UDP và TCP / UDP and TCP")
    parser.add_argument("--upstream", action="append", default=[], metavar="SERVER", help="udp://192.168.1.1")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="số tiến trình / processes")
    parser.add_argument("--user", help="tài khoản sau khi mở cổng / account once the ports are open")
    parser.add_argument("--metrics", metavar="HOST:PORT", help="số liệu / numbers")
    arguments = parser.parse_args(words)
    arguments.listen = arguments.listen or ["127.0.0.1:5300"]
    logs.set_up()
    try:
        return supervisor.run(settings_from(arguments), nothing_to_prepare)
    except (StartError, ValueError) as error:
        sys.stderr.write(f"lỗi / error: {error}\n")
        return 1


def _endpoint(text: str) -> Endpoint:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65_535:
        raise ValueError(f"{text!r} is not HOST:PORT, for example 127.0.0.1:5300")
    return Endpoint(host.strip("[]"), int(port))


if __name__ == "__main__":
    sys.exit(main())
