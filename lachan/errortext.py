"""What a person reads when a command fails as it may: one sentence, with the remedy, in Vietnamese and English. `lachan.__main__` and
`preparation` import this module.

Errors are raised with an English sentence. `_WORDS` says those that the operator of a home or a school meets in Vietnamese, too: each row
is a part of a sentence and its translation, which is put before it; what no row knows stays English.
"""

from __future__ import annotations

import errno
import re
from typing import Final

from gateway.errors import LachanError, MistakesError

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_REMEDIES: Final = {
    **dict.fromkeys((errno.EACCES, errno.EPERM), "run it with sudo, or as the user of the gateway"),
    errno.EROFS: "choose a state_dir that can be written",
    errno.ENOTDIR: "choose another state_dir",
    **dict.fromkeys(_FULL, "make room on the disk"),
}
_SYSTEM: Final = {
    "Permission denied": "không có quyền",
    "Operation not permitted": "không được phép",
    "Is a directory": "là thư mục",
    "Not a directory": "không phải thư mục",
    "No space left on device": "hết chỗ trên đĩa",
    "Disk quota exceeded": "hết phần đĩa được dùng",
    "Read-only file system": "đĩa chỉ đọc",
    "Connection refused": "không ai nghe ở đó",
}
_WORDS: Final = tuple(
    (re.compile(english, re.MULTILINE), vietnamese)
    for english, vietnamese in (
        # The settings file
        (r"this file is not there", "không có tệp này"),
        (r"there is no (\S+) and no (\S+) in this folder, and no (\S+?)(?=$| \()", r"thư mục này không có \1, không có \2, và không có \3"),
        (r"go to the folder of make run, or name the file with -c FILE", "vào thư mục đã chạy make run, hoặc chỉ tệp bằng -c TỆP"),
        (r"(?<!make run, or )name the file with -c FILE", "chỉ tệp bằng -c TỆP"),
        (r"this file cannot be read(?: \((?P<system>[\w ]+)\))?", "không đọc được tệp này (%s)"),
        (r"not YAML: .*", r"tệp không đúng cách viết YAML"),
        (r"unknown key '([^']*)'", r"không có khóa '\1'"),
        (r"this file is empty", "tệp này trống, không có thiết lập nào"),
        (r"write it again, or \{\} for the defaults", "ghi lại, hoặc ghi {} để dùng mặc định"),
        (r"did you mean ([^?]+)\?", r"có phải \1?"),
        (r"this line is not UTF-8", "dòng này không phải UTF-8"),
        (r"save the file as UTF-8", "lưu tệp bằng mã UTF-8"),
        (r"this key is written twice, first on line (\d+)", r"khóa này viết hai lần, lần đầu ở dòng \1"),
        (r"keep one of them", "giữ một"),
        (r"there is no file ([^(\n]+?)(?= \(|$)", r"không có tệp \1"),
        (r"relative paths start at the configuration file", "đường dẫn tương đối tính từ tệp cấu hình"),
        (r"this key is needed here", "ở đây cần khóa này"),
        (r"must be ([^\n]+), not ('[^'\n]*')", r"phải là \1, không phải \2"),
        (r"('[^'\n]*') is not a server; write it as ([^\n]+)", r"\1 không phải máy chủ; viết \2"),
        (r"('[^'\n]*') is not an id: letters, digits and (.*?), 64 at most", r"\1 không phải mã: chữ, số và \2, nhiều nhất 64"),
        (r"(\S+) is this gateway's own address", r"\1 là địa chỉ của chính cổng lọc này"),
        (r"it would ask itself for ever: name your router's or provider's server, or another resolver",
         "nó sẽ hỏi chính mình mãi: ghi máy chủ của bộ phát hay nhà mạng, hoặc máy chủ khác"),
        (r"port (\d+) is above 65535", r"cổng \1 lớn hơn 65535"),
        (r"must be auto or a number from 1 to 64", "phải là auto hoặc một số từ 1 đến 64"),
        (r"must be a time of day", "phải là giờ trong ngày"),
        (r"must be true or false", "phải là true hoặc false"),
        (r"must be a whole number", "phải là số nguyên"),
        (r"must be a section \(key: value\)", "phải là một mục (khóa: giá trị)"),
        (r"must be a list$", "phải là một danh sách"),
        (r"must be text$", "phải là chữ"),
        (r"must be a number$", "phải là một số"),
        (r"must be an IP address(?=$| \()", "phải là địa chỉ IP"),
        (r"must be at least (\S+)$", r"ít nhất phải là \1"),
        (r"must be at most (\S+)$", r"nhiều nhất là \1"),
        (r"there is no profile ([^\s;]+)", r"không có hồ sơ \1"),
        (r"there is no site (\S+)", r"không có điểm \1"),
        (r"is not an address, a network, mac: or token:", "không phải địa chỉ, mạng, mac: hay token:"),
        (r"is not a MAC address", "không phải địa chỉ MAC"),
        (r"is not a time zone", "không phải múi giờ"),
        (r"is used twice", "dùng hai lần"),
        (r"is not a name: ", "không phải tên miền: "),
        (r"matches the same as client (\S+)", r"trùng với thiết bị \1"),
        (r"(\S+) is also a network of site (\S+): neither holds", r"\1 cũng là mạng của điểm \2: cả hai đều không có hiệu lực"),
        (r"(\S+) is also of client (\S+): neither holds", r"\1 cũng là của thiết bị \2: cả hai đều không có hiệu lực"),
        (r"site (\S+) listens at (\S+) for the same addresses: neither holds",
         r"điểm \1 cũng nghe ở \2 cho cùng những địa chỉ: cả hai đều không có hiệu lực"),
        (r"(\S+) is outside the networks of its site (\S+): it never holds",
         r"\1 nằm ngoài mạng của điểm \2 mà nó thuộc về: không bao giờ có hiệu lực"),
        (r"site (\S+) does not hold (\S+) of its client (\S+)", r"mạng của điểm \1 không chứa \2 của thiết bị \3"),
        (r"give each network to one of them, or each site an address of its own to ask \(listen\)",
         "mỗi mạng chỉ ghi ở một nơi, hoặc cho mỗi điểm một địa chỉ riêng để hỏi (listen)"),
        (r"give each site its own address to ask, or its own networks", "cho mỗi điểm một địa chỉ riêng để hỏi, hoặc mạng riêng"),
        (r"write (\S+) into networks of the site, or mend it", r"ghi \1 vào networks của điểm, hoặc sửa lại"),
        (r"add (\S+), or mend the client", r"thêm \1, hoặc sửa thiết bị"),
        (r"(?<=\()write it as ([^)\n]+)", r"viết \1"),
        # Ports
        (r"(\S+ \((?:UDP|TCP)\)) is taken by another program: find it with (`[^`]*`) and stop it, or choose another port",
         r"\1 đang do chương trình khác giữ: tìm bằng \2 rồi dừng nó, hoặc chọn cổng khác"),
        (r"(\S+ \((?:UDP|TCP)\)) is taken by (.+? \(pid \d+\)): .*",
         r"\1 đang do \2 giữ: dừng chương trình ấy hoặc chọn cổng khác"),
        (r"this user may not listen on (\S+ \(\w+\)): .*",
         r"người dùng này không được nghe ở \1: chạy bằng sudo và đặt dns.user, cho dịch vụ quyền CAP_NET_BIND_SERVICE, "
         r"hoặc chọn cổng trên 1023"),
        (r"this machine has no address (\S+): see .*",
         r"máy này không có địa chỉ \1: xem các địa chỉ bằng `ip address`, hoặc dùng 0.0.0.0 hay ::"),
        (r"opening port (\d+) needs root's right: run: (.*)", r"mở cổng \1 cần quyền root: chạy: \2"),
        (r"this machine has no address on a local network: .*", "máy này chưa có địa chỉ trong mạng nhà: nối vào bộ phát rồi chạy lại"),
        # The running gateway and its folder
        (r"no gateway is running for (.+?): start it with lachan run", r"không có cổng lọc nào đang chạy với \1: chạy bằng lachan run"),
        (r"no gateway runs with the state directory (.+)", r"không có cổng lọc nào chạy với thư mục \1"),
        (r"only the gateway's user and root may use (\S+)", r"chỉ người dùng của cổng lọc và root được dùng \1: chạy bằng sudo"),
        (r"the gateway did not answer within ([\d.]+) s", r"cổng lọc không trả lời trong \1 giây"),
        (r"there is no generation in (.+?) yet: make one with lachan lists compile",
         r"\1 chưa có bản danh sách nào: tạo bằng lachan lists compile"),
        (r"another gateway \(pid (\w+)\) uses (.+?): .*",
         r"một cổng lọc khác (pid \1) đang dùng \2: dừng nó (xem `lachan status`) hoặc chọn thư mục khác"),
        (r"cannot write to (.+?): (?P<system>[\w -]+?): .*",
         r"không ghi được vào \1 (%s): giao thư mục cho người dùng của cổng lọc (chown), hoặc chọn chỗ khác"),
        (r"run it with sudo, or as the user of the gateway", "chạy bằng sudo hoặc bằng người dùng của cổng lọc"),
        (r"choose a state_dir that can be written", "chọn state_dir ghi được"),
        (r"make room on the disk", "dọn chỗ trên đĩa"),
        # The database
        (r"cannot write (\S+) \((.+)\), so the schema was not changed: make room on the disk",
         r"không ghi được \1 (\2), nên cơ sở dữ liệu chưa được nâng cấp: dọn chỗ trên đĩa"),
        (r"written by a newer lachan \(schema (\d+), this program knows (\d+)\); .*",
         r"cơ sở dữ liệu do bản lachan mới hơn ghi (lược đồ \1, bản này biết tới \2); cài lại bản mới, "
         r"hoặc đưa về bản sao lưu trước khi nâng cấp"),
        (r"another program holds the database: .*",
         "một chương trình khác đang giữ cơ sở dữ liệu: chờ nó xong (sao lưu, một lệnh lachan khác) rồi thử lại"),
        (r"(\S+) is damaged \(.*",
         r"\1 bị hỏng; tên miền vẫn trả lời theo chính sách tốt gần nhất; dời tệp đi, rồi đưa bản sao lưu mới nhất về "
         r"(lachan restore FILE) hoặc bắt đầu lại"),
        (r"(\S+) cannot be opened \((?P<system>[\w ]+)\); .*", r"không mở được \1 (%s); cho người dùng của chương trình quyền ghi ở đó"),
        (r"(\S+) cannot be reached \(.*", r"không kết nối được \1: chạy PostgreSQL, hoặc sửa địa chỉ"),
        # A question
        (r"nobody listens at (\S+): .*", r"không ai nghe ở \1: cổng lọc đã chạy chưa (lachan run), cổng có đúng không?"),
        (r"(\S+)( \(\S+\))? did not answer within ([\d.]+) s: .*", r"\1 không trả lời trong \3 giây: nó có đang chạy, cổng có đúng không?"),
        (r"the address of ('[^']*') was not found: .*",
         r"không tìm thấy địa chỉ của \1: viết địa chỉ sau dấu @, như @tls://dns.example@192.0.2.1"),
    )
)  # fmt: skip


def refused_by_system(error: OSError) -> LachanError | None:
    """What this machine does not let the user do, with its remedy; None for what only a bug would meet. A full disk refuses a file that
    is open already, and does not say which."""
    remedy = _REMEDIES.get(error.errno or 0)
    place = error.filename2 or error.filename or ("state_dir" if error.errno in _FULL else "")
    return LachanError(f"{place}: {error.strerror}: {remedy}") if remedy and place else None


def refused_by_database(error: Exception) -> LachanError | None:
    """That somebody else writes to the database for too long, or that its disk is full; None for everything else. SQLAlchemy is known by
    name: it is large."""
    if not type(error).__module__.startswith("sqlalchemy."):
        return None
    if "database or disk is full" in str(error):
        return LachanError("admin.database: No space left on device: make room on the disk")
    if "database is locked" not in str(error):
        return None
    return LachanError("admin.database: another program holds the database: wait for it (a backup, another command), then try again")


def explain_error(error: LachanError) -> str:
    """The text a person reads for an expected error; control characters are escaped."""
    if isinstance(error, MistakesError) and len(error.mistakes) > 1:
        text = f"{len(error.mistakes)} lỗi / mistakes:\n{in_both(str(error))}"
    else:
        own = getattr(error, "vi", "")  # some carry their own Vietnamese
        text = f"lỗi / error: {own} / {error}" if own else f"lỗi / error: {in_both(str(error))}"
    return "".join(letter if letter.isprintable() or letter == "\n" else f"\\x{ord(letter):02x}" for letter in text)


def in_both(english: str) -> str:
    """A sentence with the Vietnamese for what `_WORDS` knows of it."""
    for expression, vietnamese in _WORDS:
        english = expression.sub(lambda found, words=vietnamese: _before(found, words), english)  # type: ignore[misc]
    return english


def _before(found: re.Match[str], vietnamese: str) -> str:
    system = found.groupdict().get("system")
    words = found.expand(vietnamese)
    if "%s" in words:
        words = words.replace("%s", _SYSTEM.get(system, system)) if system else words.replace(" (%s)", "")
    return f"{words} / {found[0]}"
