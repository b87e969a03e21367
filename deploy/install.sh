#!/bin/sh
# Cài, nâng cấp hoặc gỡ Lá Chắn DNS trên Debian và Ubuntu. / Installs, upgrades or removes Lá Chắn DNS on Debian and Ubuntu.
#
#   sudo sh deploy/install.sh                  cài, hoặc nâng cấp nếu đã có / install, or upgrade what is there
#   sudo sh deploy/install.sh --config FILE    dùng cấu hình này khi cài lần đầu / first installation with this configuration
#   sudo sh deploy/install.sh --wheel FILE     cài từ tệp phát hành thay vì mã nguồn / from a release file instead of the source tree
#   sudo sh deploy/install.sh --remove         gỡ chương trình, giữ cấu hình và dữ liệu / remove the program, keep configuration and state
#   sudo sh deploy/install.sh --purge          gỡ tất cả / remove everything
#
# Chương trình: /opt/lachan · cấu hình: /etc/lachan · dữ liệu: /var/lib/lachan · tài khoản: lachan
set -eu

APP=/opt/lachan
ETC=/etc/lachan
STATE=/var/lib/lachan
UNITS=/etc/systemd/system
COMMAND=/usr/local/bin/lachan
RESOLVED=/etc/systemd/resolved.conf.d/lachan.conf
ACCOUNT=lachan
KEEP=2
READY_SECONDS=600
RESOLV=/etc/resolv.conf

say() { printf '%s\n' "$*"; }
fail() { printf 'lỗi / error: %s\n' "$*" >&2; exit 1; }

usage() { sed -n '2,11s/^# \{0,1\}//p' "$0"; }

main() {
    action=install
    config=""
    wheel=""
    while [ $# -gt 0 ]; do
        case "$1" in
            --remove) action=remove ;;
            --purge) action=purge ;;
            --config) shift; config="${1:-}"; [ -r "$config" ] || fail "không đọc được / cannot read: $config" ;;
            --wheel) shift; wheel="${1:-}"; [ -r "$wheel" ] || fail "không đọc được / cannot read: $wheel" ;;
            -h | --help) usage; exit 0 ;;
            *) usage >&2; exit 2 ;;
        esac
        shift
    done
    [ "$(id -u)" = 0 ] || fail "hãy chạy bằng / run with: sudo sh $0"
    command -v systemctl >/dev/null 2>&1 || fail "máy này không dùng systemd / this machine has no systemd: xem / see deploy/container"
    case "$action" in
        install) install_program ;;
        remove) remove_program ;;
        purge) remove_program; purge_state ;;
    esac
}

install_program() {
    source=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
    [ -f "$source/pyproject.toml" ] || fail "không thấy mã nguồn cạnh $0 / no source tree beside $0"
    python=$(find_python)
    was=$(readlink "$APP/current" 2>/dev/null || true)
    release="$APP/releases/$(date -u +%Y%m%dT%H%M%SZ)-$$"

    make_account
    install -d -m 0755 "$APP" "$APP/releases"
    install -d -m 0750 -o root -g "$ACCOUNT" "$ETC"
    install -d -m 0750 -o "$ACCOUNT" -g "$ACCOUNT" "$STATE"
    build_release "$python" "$source" "$release"
    write_config "$source"
    "$release/bin/lachan" check -c "$ETC/lachan.yaml" || {
        rm -rf "$release"
        fail "cấu hình có lỗi, không thay đổi gì / the configuration has mistakes, nothing was changed: $ETC/lachan.yaml"
    }

    had_pages=""
    if [ -n "$was" ] && answers "$was" 0 >/dev/null; then had_pages=1; fi
    make_room
    switch_to "$release"
    ln -sfn "$APP/current/bin/lachan" "$COMMAND"
    if listens_on_53; then
        systemctl enable --quiet --now lachan.socket || fail "cổng 53 bị chiếm / port 53 is taken: ss -lnptu 'sport = :53' cho biết bởi ai / says by whom"
    else
        systemctl disable --quiet --now lachan.socket 2>/dev/null || true
    fi
    systemctl enable --quiet lachan.service
    systemctl restart lachan.service || true
    status=0
    why=$(answers "$release") || status=$?
    # Các trang không chạy: quay về chỉ khi trước đó chúng chạy. / Pages that do not run are a reason to go back only where they did run.
    if [ "$status" = 0 ] || { [ "$status" = 2 ] && [ -z "$had_pages" ]; }; then
        drop_old_releases "$release" "$was"
        greet "$release" "$why"
        return
    fi
    if [ -n "$was" ] && [ -d "$was" ]; then
        go_back "$was" "$why"
    fi
    fail "chưa chạy được / it does not start ($why): journalctl -u lachan -n 50"
}

# Về bản trước đó; nói đã quay về chỉ khi chính nó trả lời. / To the release before; that it is back is said only when it answers itself.
go_back() {
    switch_to "$1"
    systemctl restart lachan.service || true
    status=0
    now=$(answers "$1") || status=$?
    rm -rf "$release"
    [ "$status" != 1 ] ||
        fail "bản mới không chạy được, bản cũ đặt lại cũng chưa trả lời / neither the new release nor the old one put back answers ($now): journalctl -u lachan -n 50"
    fail "bản mới không chạy được, đã quay về bản cũ / the new release does not run as it should, the old one is back ($2)${now:+; $now}: journalctl -u lachan -n 50"
}

# Trong PATH trước, rồi của hệ thống: PATH của root có thể dẫn đến một Python khác. / In PATH first, then the system's own: root's PATH may
# lead to another one.
find_python() {
    pick_python && return
    command -v apt-get >/dev/null 2>&1 || fail "$(lacking)"
    say "Cài Python / installing Python ..." >&2
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3 python3-venv ca-certificates >&2
    pick_python || fail "$(lacking)"
}

pick_python() {
    for candidate in python3.13 python3.12 python3.11 python3; do
        for place in "$(command -v "$candidate" 2>/dev/null)" "/usr/bin/$candidate" "/usr/local/bin/$candidate"; do
            if [ -x "$place" ] && judge_python "$place"; then printf '%s\n' "$place"; return; fi
        done
    done
    return 1
}

# 0: dùng được / can be used; 3: cũ / old; 4: không có venv / no venv; 5: tài khoản lachan không đọc được / not readable by the account lachan
judge_python() {
    "$1" -c 'import os, sys
from pathlib import Path
if sys.version_info < (3, 11): sys.exit(3)
try: import ensurepip, venv
except ImportError: sys.exit(4)
sys.exit(0 if all(p.stat().st_mode & 1 for p in Path(os.__file__).resolve().parents) else 5)' 2>/dev/null
}

# Vì sao không dùng được từng Python một. / Why none of the Pythons here can be used.
lacking() {
    say "cần Python 3.11 có venv / Python 3.11 with venv is needed (Debian 12, Ubuntu 24.04, hoặc mới hơn / or newer)"
    for candidate in python3.13 python3.12 python3.11 python3; do
        for place in "$(command -v "$candidate" 2>/dev/null)" "/usr/bin/$candidate" "/usr/local/bin/$candidate"; do
            [ -x "$place" ] || continue
            status=0
            judge_python "$place" || status=$?
            case $status in
                3) say "  $place: cũ hơn 3.11 / older than 3.11" ;;
                4) say "  $place: không có venv / has no venv: apt install $(basename "$place")-venv" ;;
                5) say "  $place: tài khoản $ACCOUNT không đọc được thư mục của nó / the account $ACCOUNT cannot read its folder" ;;
                *) say "  $place: không chạy được / does not run" ;;
            esac
        done
    done | sort -u
}

make_account() {
    getent passwd "$ACCOUNT" >/dev/null && return
    useradd --system --user-group --home-dir "$STATE" --no-create-home --shell /usr/sbin/nologin "$ACCOUNT"
}

build_release() {
    say "Cài đặt / installing: $3"
    build=$(mktemp -d)
    trap 'rm -rf "$build"' EXIT
    old_umask=$(umask)
    umask 022
    if [ -z "$wheel" ]; then
        (cd "$2" && cp -R gateway blocklists admin lachan pyproject.toml README.md LICENSE "$build/")
        find "$build" -name __pycache__ -type d -prune -exec rm -rf {} +
    fi
    "$1" -m venv "$3"
    # shellcheck disable=SC2086 # a list of options
    "$3/bin/pip" install --quiet --disable-pip-version-check ${LACHAN_PIP_OPTIONS:-} "${wheel:-$build}"
    install -d "$3/share/deploy"
    cp "$2/README.md" "$2/LICENSE" "$3/share/"
    cp -R "$2/deploy/." "$3/share/deploy/"
    umask "$old_umask"
    rm -rf "$build"
    trap - EXIT
}

write_config() {
    [ ! -e "$ETC/lachan.yaml" ] || return 0
    if [ -n "$config" ]; then
        cp "$config" "$ETC/lachan.yaml"
    else
        servers=$(system_servers)
        if [ -z "$servers" ]; then
            servers='"udp://9.9.9.9", "udp://149.112.112.112"'
            say "Máy này không có máy chủ DNS nào ngoài chính nó: sẽ hỏi Quad9 (Thụy Sĩ), Quad9 thấy mọi tên miền. Đổi trong $ETC/lachan.yaml."
            say "This machine has no resolver but itself: Quad9 (Switzerland) will be asked and sees every name. Change it in $ETC/lachan.yaml."
        fi
        sed "s|@SERVERS@|$servers|" "$1/deploy/installed.yaml" >"$ETC/lachan.yaml"
    fi
    chown root:"$ACCOUNT" "$ETC/lachan.yaml"
    chmod 0640 "$ETC/lachan.yaml"
}

# Máy chủ DNS của hệ thống, IPv4 và IPv6, trừ chính máy này: bản vừa cài cho biết. / The system's resolvers, IPv4 and IPv6, but this machine
# itself: the new release says which.
system_servers() { (cd / && "$release/bin/python" -m lachan.systemservers) | sed 's|.*|"&"|' | paste -sd, - | sed 's/,/, /'; }

listens_on_53() { grep -Eq '^ *listen:.*"0\.0\.0\.0:53".*"\[::\]:53"' "$ETC/lachan.yaml"; }

# systemd-resolved giữ cổng 53 của 127.0.0.53 và chặn 0.0.0.0:53: tắt phần đó, giữ phần còn lại.
# systemd-resolved holds port 53 of 127.0.0.53, which blocks 0.0.0.0:53: switch that part off, keep the rest.
make_room() {
    [ -e "$RESOLVED" ] && return
    listens_on_53 || return 0
    systemctl is-active --quiet systemd-resolved 2>/dev/null || return 0
    install -d "$(dirname "$RESOLVED")"
    printf '# Lá Chắn DNS (deploy/install.sh --remove bỏ tệp này / removes this file)\n[Resolve]\nDNSStubListener=no\n' >"$RESOLVED"
    case "$(readlink "$RESOLV" 2>/dev/null || true)" in
        *stub-resolv.conf) ln -sfn ../run/systemd/resolve/resolv.conf "$RESOLV"; : >"$ETC/.resolv-was-stub" ;;
        "") # viết tay / written by hand
            if grep -qs '^ *nameserver  *127\.0\.0\.53' "$RESOLV" && cp -p "$RESOLV" "$ETC/.resolv.conf-was"; then
                ln -sfn ../run/systemd/resolve/resolv.conf "$RESOLV" || rm -f "$ETC/.resolv.conf-was"
            fi ;;
    esac
    systemctl restart systemd-resolved
    say "Đã tắt DNSStubListener của systemd-resolved để nhường cổng 53. / DNSStubListener of systemd-resolved is off, port 53 is free."
}

give_room_back() {
    [ -e "$RESOLVED" ] || return 0
    rm -f "$RESOLVED"
    if [ -e "$ETC/.resolv-was-stub" ]; then
        ln -sfn ../run/systemd/resolve/stub-resolv.conf "$RESOLV"
        rm -f "$ETC/.resolv-was-stub"
    elif [ -e "$ETC/.resolv.conf-was" ]; then
        rm -f "$RESOLV"
        mv "$ETC/.resolv.conf-was" "$RESOLV"
    fi
    systemctl restart systemd-resolved || true
}

# Chương trình và unit của cùng một bản, cả khi quay về. / The program and the units of one release, on the way back, too.
switch_to() {
    ln -sfn "$1" "$APP/.next" # còn lại từ lần bị ngắt thì thay / one that an interrupted upgrade left is replaced
    mv -T "$APP/.next" "$APP/current"
    install -m 0644 "$1/share/deploy/systemd/lachan.service" "$1/share/deploy/systemd/lachan.socket" "$UNITS/"
    systemctl daemon-reload
}

# Chính bản này trả lời, và các trang của nó chạy? Chờ tới $2 giây; 0, 1 (không), 2 (các trang không). / Is it this release that answers, and do
# its pages run? Waits for $2 seconds; 0, 1 (no), 2 (the pages do not).
answers() { (cd / && "$release/bin/python" -m lachan.answering "$ETC/lachan.yaml" "$1" "${2:-${LACHAN_READY_SECONDS:-$READY_SECONDS}}") 2>/dev/null; }

# Giữ vài bản gần nhất để quay lại. / A few releases stay, to go back to.
drop_old_releases() {
    find "$APP/releases" -mindepth 1 -maxdepth 1 -type d | sort -r | tail -n "+$((KEEP + 1))" | while read -r old; do
        [ "$old" = "$1" ] || [ "$old" = "$2" ] || rm -rf "$old"
    done
}

greet() {
    say ""
    if asked=$("$1/bin/lachan" status -c "$ETC/lachan.yaml" --ask 2>&1); then asked=""; fi
    if [ -z "$2$asked" ]; then
        say "Lá Chắn DNS đang chạy. / Lá Chắn DNS is running."
    else
        say "Lá Chắn DNS đã cài xong, NHƯNG: / Lá Chắn DNS is installed, BUT:"
        [ -z "$2" ] || say "  ! $2: journalctl -u lachan -n 50"
        [ -z "$asked" ] || printf '%s\n' "$asked" | tail -n 1
    fi
    tell_firewall
    say "  thiết lập lần đầu / first:  sudo lachan setup-link   (trang / pages: http://127.0.0.1:8080; ssh -L 8080:127.0.0.1:8080 …)"
    say "  tình trạng / status:        sudo lachan status"
    say "  cấu hình / configuration:   $ETC/lachan.yaml   (sửa rồi / after a change: systemctl reload lachan)"
    say "  nhật ký / log:              journalctl -u lachan"
    say "  gỡ / remove:                sh $APP/current/share/deploy/install.sh --remove   (--purge: cả dữ liệu / the state, too)"
}

# Tường lửa của máy đóng cổng 53 thì cả nhà không có tên miền. / A firewall that keeps port 53 shut leaves the whole house without names.
tell_firewall() {
    listens_on_53 || return 0
    if command -v ufw >/dev/null 2>&1 && ufw status 2>/dev/null | grep -q '^Status: active'; then
        ! ufw status | grep -qE '^53(/(tcp|udp))? +ALLOW' || return 0
        say "  TƯỜNG LỬA ufw đang bật, hãy mở cổng 53 / the FIREWALL ufw is on, open port 53:  sudo ufw allow 53"
    elif command -v firewall-cmd >/dev/null 2>&1 && firewall-cmd --quiet --state 2>/dev/null; then
        ! firewall-cmd --quiet --query-service=dns || return 0
        say "  TƯỜNG LỬA firewalld đang bật, hãy mở cổng 53 / the FIREWALL firewalld is on, open port 53:"
        say "    sudo firewall-cmd --permanent --add-service=dns && sudo firewall-cmd --reload"
    fi
}

remove_program() {
    say "Bộ phát Wi-Fi hoặc máy chủ DHCP còn ghi DNS là máy này? Hãy trả về như cũ, nếu không cả mạng mất tên miền."
    say "Does the router or DHCP server still hand out this machine as DNS? Give it its old servers back, or the whole network loses names."
    systemctl disable --quiet --now lachan.service lachan.socket 2>/dev/null || true
    rm -f "$UNITS/lachan.service" "$UNITS/lachan.socket" "$COMMAND"
    rm -rf "$UNITS/lachan.service.d" "$APP"
    systemctl daemon-reload
    systemctl reset-failed lachan.service 2>/dev/null || true
    give_room_back
    say "Đã gỡ chương trình. / The program is removed."
    [ "$action" = purge ] || say "Còn giữ / kept: $ETC, $STATE. Xóa hết / remove them too: sudo rm -rf $ETC $STATE && sudo userdel $ACCOUNT"
}

purge_state() {
    rm -rf "$ETC" "$STATE"
    if getent passwd "$ACCOUNT" >/dev/null; then userdel "$ACCOUNT"; fi
    if getent group "$ACCOUNT" >/dev/null; then groupdel "$ACCOUNT"; fi
    say "Đã xóa cấu hình, dữ liệu và tài khoản. / Configuration, state and account are removed."
}

main "$@"
