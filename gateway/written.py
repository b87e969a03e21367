"""The data plane's sections of the configuration file, as a person writes them, with the help of every key.

`configuration.py` turns them into `settings.py`. The help texts, in Vietnamese and English, are the source of
deploy/configuration.md. Only `configuration.py` and the reference of the keys may import this module.
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, PlainValidator

from gateway.sections import (
    AskerText,
    ContactText,
    EndpointText,
    Identifier,
    NameText,
    NetworkText,
    Seconds,
    Section,
    Size,
    Text,
    key,
)
from gateway.servers import parse_server
from gateway.settings import LINK, Endpoint, UpstreamAddress
from gateway.written_policy import BlockFile, ClientFile, ProfileFile, RulesFile, SiteFile

LISTEN = [Endpoint("127.0.0.1", 5300), Endpoint("::1", 5300)]
PRIVATE = [
    ip_network(text) for text in ("127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fe80::/10")
]


def _workers(value: object) -> int | None:
    if value == "auto":
        return None
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 64:
        return int(value)
    raise ValueError("must be auto or a number from 1 to 64")


def _server(value: object) -> UpstreamAddress:
    if not isinstance(value, str):
        raise ValueError("must be text such as udp://192.168.1.1")
    return parse_server(value)


def _timeout(value: float) -> float:
    if value <= 0:
        raise ValueError("must be more than 0")
    return value


ServerText = Annotated[UpstreamAddress, PlainValidator(_server)]
Workers = Annotated[Any, PlainValidator(_workers)]  # Any: int | None, made by the validator


class DnsFile(Section):
    """dns:"""

    listen: list[EndpointText] = key(
        LISTEN,
        "Địa chỉ và cổng nhận truy vấn DNS (UDP và TCP).",
        "Addresses and ports for DNS over UDP and TCP.",
        '["127.0.0.1:5300", "[::1]:5300"]',
        min_length=1,
    )
    workers: Workers = key(
        None,
        "Số tiến trình phân giải: auto (bằng số nhân máy) hoặc một số.",
        "Resolver processes: auto (one for each core) or a number.",
        "auto",
    )
    allow_from: list[AskerText] = key(
        [*PRIVATE, LINK],
        "Mạng được phép hỏi. Máy ngoài các mạng này bị từ chối, trừ khi có mã nhận dạng (token) đúng."
        " `link` là các mạng IPv6 của chính các cổng mạng máy này"
        " (tiền tố mà nhà mạng cấp, theo kịp khi đổi; không rộng hơn /48, không kể đường điểm nối điểm).",
        "Networks that may ask. Anyone else is refused, unless a valid token is given."
        " `link` is the IPv6 networks of this machine's own links (the"
        " provider's prefix, followed when it changes; none wider than /48, no point-to-point link).",
        "[127.0.0.0/8, 192.168.0.0/16, link]",
    )
    user: Text | None = key(
        None,
        "Tài khoản hệ thống để chạy sau khi mở cổng (khi khởi động bằng root).",
        "System account to continue as after the ports are open (when started as root).",
        "lachan",
    )
    name: NameText = key(
        "lachan.internal",
        "Tên riêng của cổng lọc; health.<tên> trả lời khi máy còn chạy.",
        "The gateway's own name; health.<name> answers while it runs.",
        "lachan.internal",
    )
    identity: Text | None = key(
        None,
        "Cổng lọc nào đã trả lời: nói với ai hỏi bằng tùy chọn NSID (dig +nsid, RFC 5001) hay TXT lớp CH của id.server và hostname.bind"
        " (RFC 4892). Hữu ích khi nhiều cổng lọc đứng sau một địa chỉ. Bỏ trống: không nói.",
        "Which gateway answered: told to whoever asks by the option NSID (dig +nsid, RFC 5001) or for TXT of class CH at id.server and"
        " hostname.bind (RFC 4892). Useful where several gateways stand behind one address. Left out: it is not told.",
        "lachan-1",
        pattern=r"^[!-~](?:[ -~]{0,61}[!-~])?$",
    )


class TlsFile(Section):
    """tls:"""

    certificate: Text = key(..., "Tệp chứng chỉ (PEM, cả chuỗi).", "Certificate file (PEM, the whole chain).", "cert.pem")
    key_file: Text = key(..., "Tệp khóa bí mật (PEM).", "Private key file (PEM).", "key.pem", alias="key")
    name: Text | None = key(None, "Tên máy chủ ghi trong chứng chỉ.", "Server name in the certificate.", "dns.example.net")


class DotFile(Section):
    """dot: and doq:"""

    listen: list[EndpointText] = key(..., "Địa chỉ và cổng.", "Addresses and ports.", '["127.0.0.1:8853"]', min_length=1)


class DohFile(DotFile):
    """doh:"""

    path: Text = key("/dns-query", "Đường dẫn nhận truy vấn.", "Path that takes queries.", "/dns-query")


class StructuredErrorsFile(Section):
    """structured_errors:"""

    option: int | None = key(
        None,
        "Số của tùy chọn EDNS mà máy dùng để hỏi lý do (ngoài EDE rỗng).",
        "Number of the EDNS option by which clients ask (besides an empty EDE).",
        "65300",
        ge=16,
        le=65_534,
    )
    contact: list[ContactText] = key(
        [], "Báo cho ai khi chặn nhầm: tel: hoặc mailto:.", "Whom to tell of a wrong block: tel: or mailto:.", '["tel:0123456789"]'
    )
    organisation: Text = key("", "Tên đơn vị đặt bộ lọc.", "Who runs the filter.", "Trường A", max_length=80)
    language: Literal["vi", "en"] = key("vi", "Ngôn ngữ của lý do.", "Language of the reasons.", "vi")


class DhcpFile(Section):
    """dhcp:"""

    leases: list[Text] = key(
        ...,
        "Tệp cấp địa chỉ của dnsmasq, ISC dhcpd hoặc Kea.",
        "Lease files of dnsmasq, ISC dhcpd or Kea.",
        "[/var/lib/misc/dnsmasq.leases]",
    )


class ProxyProtocolFile(Section):
    """proxy_protocol:"""

    sources: list[NetworkText] = key(
        ...,
        "Máy đứng trước (dnsdist, HAProxy…) được tin khi gửi kèm PROXY v2 (TCP: cả v1).",
        "Front ends (dnsdist, HAProxy …) whose PROXY v2 header (TCP: v1 too) is believed.",
        "[127.0.0.1/32]",
        alias="from",
        min_length=1,
    )


class UpstreamsFile(Section):
    """upstreams:"""

    servers: list[ServerText] = key(
        [],
        "Máy chủ DNS được hỏi tiếp: giao_thức://tên[:cổng][/đường_dẫn][@địa_chỉ]. "
        "Máy chủ này thấy mọi tên miền được hỏi. Bỏ trống: dùng máy chủ mà hệ thống đang dùng, trừ chính máy này. Máy chủ DoT có chứng chỉ "
        "tự ký: ghim khóa, tls://tên/pin-sha256=BASE64@địa_chỉ (SHA-256 của khóa công khai; cách tính ở deploy/README.md).",
        "Resolvers that are asked in turn: scheme://name[:port][/path][@address]. "
        "They see every name asked. Left out: those the system uses at the time, unless that is this machine itself. A DoT server with a "
        "certificate of its own: pin its key, tls://name/pin-sha256=BASE64@address "
        "(SHA-256 of the public key; deploy/README.md says how it is made).",
        '["udp://192.168.1.1", "tcp://192.168.1.1:53"]',
    )
    strategy: Literal["fastest", "parallel", "ordered"] = key(
        "fastest",
        "Cách chọn máy chủ: nhanh nhất, hỏi song song, hoặc theo thứ tự.",
        "How one is chosen: the fastest, all at once, or in the order written.",
        "fastest",
    )
    routes: dict[NameText, list[ServerText]] = key(
        {},
        "Miền nào hỏi máy chủ nào (thắng cả tên dành riêng).",
        "Which domain asks which servers (wins over special-use names).",
        '{"lan.example": ["udp://192.168.1.1:53"]}',
    )
    timeout: Annotated[Seconds, AfterValidator(_timeout)] = key(1.5, "Chờ mỗi lần hỏi bao lâu.", "How long one attempt may take.", "1.5s")


class CacheFile(Section):
    """cache:"""

    entries: int = key(50_000, "Số câu trả lời giữ lại, mỗi tiến trình.", "Answers kept, in each worker.", "50000", ge=0, le=10_000_000)
    bytes: Size = key(64 * 1024 * 1024, "Bộ nhớ đệm tối đa, mỗi tiến trình.", "Most memory the cache takes, in each worker.", "64MiB")
    serve_stale: bool = key(
        True,
        "Khi mọi máy chủ DNS ngoài đều im lặng, dùng câu trả lời cũ.",
        "When no upstream answers, give the expired answer (RFC 8767).",
        "true",
    )
    stale_max: Seconds = key(86_400.0, "Câu trả lời cũ được dùng trong bao lâu.", "How long past its end an answer may be given.", "24h")
    client_ttl_max: int = key(
        300,
        "TTL tối đa gửi cho thiết bị (giây): thay đổi thiết lập có hiệu lực chậm nhất sau chừng ấy.",
        "Largest TTL given to devices (seconds): a change of settings reaches every device within it.",
        "300",
        ge=1,
        le=86_400,
    )


class RateLimitFile(Section):
    """rate_limit:"""

    per_client: int = key(
        1000,
        "Số truy vấn mỗi giây của một địa chỉ, mỗi tiến trình; 0 là không hạn chế.",
        "Queries per second of one address, in each worker; 0 is no limit.",
        "1000",
        ge=0,
    )
    burst: int = key(5000, "Số truy vấn dồn tối đa.", "Queries it may save up.", "5000", ge=0)
    exempt: list[NetworkText] = key([], "Mạng không bị hạn chế.", "Networks without a limit.", "[10.0.0.0/8]")


class RebindingFile(Section):
    """rebinding:"""

    allow: list[NameText] = key(
        [], "Miền công cộng được phép trả về địa chỉ nội bộ.", "Public domains that may lead to private addresses.", "[nas.example]"
    )


class RecordFile(Section):
    """records[]"""

    name: NameText = key(..., "Tên của bản ghi riêng.", "Name of the record.", "may-in.home.arpa")
    type: Text = key("A", "Loại bản ghi.", "Type of the record.", "A")
    data: Text = key(..., "Nội dung bản ghi, như trong tệp vùng.", "Data of the record, as in a zone file.", "192.168.1.20")
    ttl: int = key(300, "TTL (giây).", "TTL (seconds).", "300", ge=0, le=86_400)


class MetricsFile(Section):
    """metrics:"""

    listen: EndpointText = key(
        ...,
        "Địa chỉ cho Prometheus và trang trạng thái (/metrics, /healthz, /readyz, /api/v1/status).",
        "Address for Prometheus and status (/metrics, /healthz, /readyz, /api/v1/status).",
        '"127.0.0.1:9153"',
    )


class LimitsFile(Section):
    """limits:"""

    tcp_connections: int = key(1000, "Kết nối TCP tối đa, mỗi tiến trình.", "TCP connections in each worker.", "1000", ge=1)
    tcp_per_client: int = key(
        20,
        "Kết nối TCP mà một địa chỉ luôn được có khi còn chỗ; nhiều hơn (cả trường sau một địa chỉ) khi nó giữ ít hơn số chỗ còn trống.",
        "TCP connections an address may always have while there is a place; more (a school behind it) while it holds fewer than are free.",
        "20",
        ge=1,
    )
    tcp_idle: Seconds = key(10.0, "Đóng kết nối rảnh sau bao lâu.", "An idle connection is closed after this.", "10s")
    tcp_query: Seconds = key(
        5.0,
        "Một truy vấn, hay bắt tay TLS, phải đến trọn vẹn trong bao lâu; máy khách không đọc trả lời bị ngắt sau chừng ấy.",
        "A query, or a handshake, must arrive whole within this; a client that does not read its answers is cut after it.",
        "5s",
    )
    tcp_in_flight: int = key(100, "Truy vấn đang chờ trên một kết nối.", "Queries waiting on one connection.", "100", ge=1)
    tcp_write_bytes: Size = key(
        256 * 1024, "Dữ liệu chờ gửi trên một kết nối trước khi ngắt.", "Bytes waiting to be sent before a connection is cut.", "256KiB"
    )
    misses: int = key(
        4096, "Truy vấn đang chờ máy chủ ngoài, mỗi tiến trình.", "Queries waiting for upstreams in each worker.", "4096", ge=1
    )
    misses_per_client: int = key(1000, "Trong đó của một địa chỉ.", "Of these, from one address.", "1000", ge=1)
    clients: int = key(65_536, "Số địa chỉ được nhớ, mỗi tiến trình.", "Addresses remembered in each worker.", "65536", ge=256)
    answer_table_bytes: Size = key(
        32 * 1024 * 1024, "Bảng câu trả lời sẵn, mỗi tiến trình.", "Table of finished answers in each worker.", "32MiB"
    )


class GatewayFile(Section):
    """The data plane's sections, by name."""

    state_dir: Text = key(
        "./var",
        "Thư mục dữ liệu: các bản chính sách, cơ sở dữ liệu, khóa, danh sách đã tải.",
        "State: generations, database, keys, downloaded lists.",
        "./var",
    )
    dns: DnsFile = key(DnsFile(), "DNS thường.", "Plain DNS.", '{listen: ["127.0.0.1:5300"]}')
    tls: TlsFile | None = key(
        None, "Chứng chỉ cho các cổng mã hóa.", "Certificate of the encrypted listeners.", "{certificate: cert.pem, key: key.pem}"
    )
    dot: DotFile | None = key(None, "DNS qua TLS.", "DNS over TLS.", '{listen: ["127.0.0.1:8853"]}')
    doh: DohFile | None = key(None, "DNS qua HTTPS.", "DNS over HTTPS.", '{listen: ["127.0.0.1:8443"], path: /dns-query}')
    doq: DotFile | None = key(None, "DNS qua QUIC.", "DNS over QUIC.", '{listen: ["127.0.0.1:8853"]}')
    proxy_protocol: ProxyProtocolFile | None = key(
        None, "Nhận địa chỉ thật từ máy đứng trước.", "Take the real address from a front end.", "{from: [127.0.0.1/32]}"
    )
    dhcp: DhcpFile | None = key(
        None,
        "Nhận ra thiết bị sau bộ định tuyến trong mạng nhờ tệp cấp địa chỉ.",
        "Know devices behind a router inside the network by the lease files.",
        "{leases: [/var/lib/misc/dnsmasq.leases]}",
    )
    upstreams: UpstreamsFile = key(
        UpstreamsFile(), "Máy chủ DNS được hỏi tiếp.", "Resolvers that are asked in turn.", '{servers: ["udp://192.168.1.1"]}'
    )
    cache: CacheFile = key(CacheFile(), "Bộ nhớ đệm.", "Cache.", "{entries: 50000}")
    block: BlockFile = key(BlockFile(), "Cách trả lời khi chặn.", "How a block is answered.", "{mode: zero, ttl: 10}")
    rate_limit: RateLimitFile = key(RateLimitFile(), "Hạn chế số truy vấn.", "Rate limit.", "{per_client: 1000, burst: 5000}")
    structured_errors: StructuredErrorsFile = key(
        StructuredErrorsFile(),
        "Lý do chặn dạng JSON, chỉ cho chương trình nào hỏi.",
        "The reason of a block as JSON, only for programs that ask.",
        '{contact: ["mailto:quantri@truong.example"], organisation: Trường A}',
    )
    rebinding: RebindingFile = key(
        RebindingFile(),
        "Chống trỏ tên công cộng vào mạng trong.",
        "Protection against public names that lead inside.",
        "{allow: [nas.example]}",
    )
    records: list[RecordFile] = key([], "Bản ghi riêng.", "Records of our own.", "[{name: may-in.home.arpa, type: A, data: 192.168.1.20}]")
    rules: RulesFile | None = key(
        None,
        "Quy định của đơn vị vận hành (cấp tỉnh), trên mọi hồ sơ.",
        "The operator's rules (level province), above every profile.",
        "{deny: [bad.example]}",
    )
    sites: list[SiteFile] = key([], "Các điểm sử dụng.", "Sites.", "[{id: truong-a, class: school, bands: [TH], networks: [10.1.0.0/16]}]")
    profiles: list[ProfileFile] = key([], "Hồ sơ theo độ tuổi.", "Profiles by age band.", "[{id: lop-3a, band: TH}]")
    clients: list[ClientFile] = key(
        [], "Thiết bị và nhóm thiết bị.", "Devices and groups of devices.", "[{id: class-3a, profile: lop-3a, match: [10.1.0.0/16]}]"
    )
    default_profile: Identifier | None = key(
        None,
        "Hồ sơ cho máy chưa biết; bỏ trống là độ tuổi nhỏ nhất của điểm đó.",
        "Profile of unknown devices; left out, the strictest band of the site.",
        "khach",
    )
    place: Text | None = key(
        None,
        "Cổng lọc này ở đâu (mã tỉnh, hoặc mã tỉnh.mã xã): quyết định chỉ cho nơi khác thì không áp dụng; bỏ trống thì áp dụng hết.",
        "Where this gateway is (code of the province, or province.commune): orders for other places only do not apply; left out, all do.",
        '"12"',
    )
    metrics: MetricsFile | None = key(None, "Số liệu và trạng thái.", "Numbers and status.", '{listen: "127.0.0.1:9153"}')
    limits: LimitsFile = key(LimitsFile(), "Giới hạn tài nguyên.", "Budgets.", "{tcp_connections: 1000}")
