"""The configuration of a first run: written when there is none, so that `make run` filters at once. Only `lachan` imports this module."""

from __future__ import annotations

from pathlib import Path

from gateway.servers import FALLBACK

LISTEN = ("127.0.0.1:5300", "[::1]:5300")
FILE = Path("var/lachan.yaml")

TEMPLATE = """\
# Lá Chắn DNS: cấu hình lần chạy đầu. Sửa tệp này, hoặc chép thành lachan.yaml ở thư mục gốc rồi sửa ở đó.
# Configuration of the first run. Change it here, or copy it to lachan.yaml beside the Makefile and change it there.
# Kiểm tra / check: .venv/bin/lachan check · áp dụng / apply: .venv/bin/lachan reload · mọi khóa / every key: deploy/configuration.md
state_dir: .

dns:
  listen: [{listen}]
  workers: auto
{upstreams}
profiles:
  - {{id: be-9-tuoi, band: TH, youtube: strict}}      # một em bé chín tuổi / a nine-year-old
  - {{id: nguoi-lon, band: NL}}                       # một người lớn / an adult
  - {{id: khach, band: KH}}                           # máy chưa biết là của ai / nobody knows whose

clients:
  - {{id: may-cua-be, profile: be-9-tuoi, match: ["127.0.0.1", "::1"]}}
  - {{id: may-nguoi-lon, profile: nguoi-lon, match: ["127.0.0.2"]}}

default_profile: khach

admin: {{listen: "127.0.0.1:8080"}}
metrics: {{listen: "127.0.0.1:9153"}}
"""

SYSTEM = """
# Máy chủ DNS được hỏi tiếp: đang dùng máy chủ của hệ thống, nên không thêm ai thấy các tên miền. Muốn chọn máy chủ khác, bỏ dấu # và sửa.
# Who is asked in turn: the system's own resolver, so nobody new sees the names. To choose another, remove the # and change it.
# upstreams: {servers: ["udp://192.168.1.1"]}
"""
FALLBACK_TEXT = """
# Máy này không có máy chủ DNS nào, nên dùng Quad9 (một quỹ ở Thụy Sĩ): Quad9 sẽ thấy mọi tên miền được hỏi. Hãy chọn máy chủ bạn tin.
# This machine has no resolver of its own, so Quad9 (a foundation in Switzerland) is asked: it sees every name. Choose whom you trust.
upstreams: {{servers: [{servers}]}}
"""


def write_default(path: Path = FILE, has_system_resolver: bool = True) -> Path:
    """Write the first configuration; an existing file is left as it is."""
    if not path.exists():
        upstreams = SYSTEM if has_system_resolver else FALLBACK_TEXT.format(servers=", ".join(f'"{server}"' for server in FALLBACK))
        path.parent.mkdir(parents=True, exist_ok=True)
        listen = ", ".join(f'"{endpoint}"' for endpoint in LISTEN)
        path.write_text(TEMPLATE.format(listen=listen, upstreams=upstreams), encoding="utf-8")
    return path
