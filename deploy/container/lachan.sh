#!/bin/sh
# Chạy, nâng cấp, gỡ Lá Chắn DNS trong vùng chứa; nâng cấp không mất câu hỏi nào. podman hoặc docker.
# Runs, upgrades, removes Lá Chắn DNS in containers; an upgrade loses no query. podman or docker.
#
#   podman build -f deploy/container/Containerfile -t lachan .
#   sh deploy/container/lachan.sh up [IMAGE]      chạy, hoặc nâng cấp lên ảnh này / run, or upgrade to this image (lachan)
#   sh deploy/container/lachan.sh remove          gỡ, giữ dữ liệu / remove, keep the state
#   sh deploy/container/lachan.sh purge           gỡ cả dữ liệu / remove the state, too
#
# Biến / variables:  LACHAN_CONFIG=FILE   cấu hình, mặc định trong ảnh / configuration, that of the image if unset
#                    LACHAN_PORTS="-p …"  cổng mở ra / published ports        LACHAN_ENGINE="podman --runtime runc"
#                    LACHAN_OPTIONS="…"   thêm tùy chọn cho run / more options of run
#
# Hai vùng chứa: lachan-net chỉ giữ mạng và các cổng, không bao giờ đổi khi nâng cấp; lachan-<lúc> là chương trình. Bản mới chạy cạnh bản cũ
# trong cùng mạng, nhận các cổng đang mở từ bản cũ (lachan run --take-over), rồi bản cũ được gỡ. Bản mới hỏng thì bản cũ chạy tiếp.
# Two containers: lachan-net only holds the network and its ports and stays during upgrades; lachan-<time> is the program. The new one starts beside the
# old in the same network, is given the open sockets by it (lachan run --take-over), and the old one is removed. When the new one fails, the old one goes on.
set -eu

NAME=${LACHAN_NAME:-lachan}
NET="$NAME-net"
READY_SECONDS=${LACHAN_READY_SECONDS:-600}
PORTS=${LACHAN_PORTS:-"-p 53:5300/udp -p 53:5300/tcp -p 127.0.0.1:8080:8080 -p 127.0.0.1:9153:9153"}
CLOSED="--read-only --cap-drop=all --security-opt=no-new-privileges"

say() { printf '%s\n' "$*"; }
fail() { printf 'lỗi / error: %s\n' "$*" >&2; exit 1; }

# shellcheck disable=SC2086 # lists of options
engine() { $ENGINE "$@"; }

find_engine() {
    for one in podman docker; do
        if command -v "$one" >/dev/null 2>&1; then echo "$one"; return; fi
    done
    fail "cần podman hoặc docker / podman or docker is needed"
}

programs() { engine ps -a --filter "label=lachan.program=$NAME" --format '{{.Names}}'; }

mounts() {
    echo "-v $NAME:/var/lib/lachan"
    [ -z "${LACHAN_CONFIG:-}" ] || echo "-v $(cd "$(dirname "$LACHAN_CONFIG")" && pwd)/$(basename "$LACHAN_CONFIG"):/etc/lachan/lachan.yaml:ro"
}

up() {
    image=$1
    [ -z "${LACHAN_CONFIG:-}" ] || [ -r "$LACHAN_CONFIG" ] || fail "không đọc được / cannot read: $LACHAN_CONFIG"
    # shellcheck disable=SC2046,SC2086 # lists of options
    engine run --rm $CLOSED --tmpfs /tmp ${LACHAN_OPTIONS:-} $(mounts) "$image" check -c /etc/lachan/lachan.yaml ||
        fail "cấu hình có lỗi, không thay đổi gì / the configuration has mistakes, nothing was changed"
    old=$(programs)
    if [ -z "$(engine ps -q --filter "name=^$NET\$")" ]; then
        engine rm -f -v "$NET" >/dev/null 2>&1 || true
        # shellcheck disable=SC2086 # lists of options
        engine run -d --name "$NET" --restart=always $CLOSED ${LACHAN_OPTIONS:-} $PORTS --entrypoint sleep "$image" infinity >/dev/null
    fi
    new="$NAME-$(date -u +%Y%m%d%H%M%S)"
    # shellcheck disable=SC2046,SC2086 # lists of options
    engine run -d --name "$new" --label "lachan.program=$NAME" --restart=always --network "container:$NET" $CLOSED --tmpfs /tmp \
        ${LACHAN_OPTIONS:-} $(mounts) "$image" run -c /etc/lachan/lachan.yaml --take-over >/dev/null
    if wait_until_ready "$new"; then
        for each in $old; do engine rm -f "$each" >/dev/null; done
        status=0
        why=$(engine exec "$new" python -m lachan.answering /etc/lachan/lachan.yaml /opt/lachan "$READY_SECONDS" 2>/dev/null) || status=$?
        if [ "$status" = 2 ]; then # 1: ảnh cũ chưa trả lời được câu này / an older image that cannot tell
            fail "$new: $why: $ENGINE logs $new; về ảnh trước / back to the image before: sh deploy/container/lachan.sh up IMAGE"
        fi
        say "Lá Chắn DNS đang chạy / is running: $new"
        say "  tình trạng / status:  $ENGINE exec $new lachan status -c /etc/lachan/lachan.yaml"
        say "  nhật ký / log:        $ENGINE logs $new"
        case $ENGINE in
            podman*) systemctl is-enabled --quiet podman-restart.service 2>/dev/null ||
                say "  sau khi mất điện, podman không tự chạy lại / after a power cut podman starts nothing by itself: sudo systemctl enable podman-restart.service" ;;
        esac
        return
    fi
    engine logs --tail 20 "$new" >&2 || true
    engine rm -f "$new" >/dev/null
    [ -z "$old" ] || fail "bản mới không chạy được, bản cũ vẫn trả lời / the new one does not start, the old one goes on answering: $old"
    fail "chưa chạy được / it does not start"
}

# Nhật ký của chính nó nói; không hỏi bản cũ cùng thư mục. / Its own log says so; asking the state directory would ask the old one.
wait_until_ready() {
    tries=$((READY_SECONDS * 5))
    while [ "$tries" -gt 0 ]; do
        if engine logs "$1" 2>&1 | grep -q '"start\.ready"'; then return 0; fi
        [ "$(engine inspect -f '{{.RestartCount}}' "$1")" = 0 ] || return 1
        tries=$((tries - 1))
        sleep 0.2
    done
    return 1
}

remove() {
    for each in $(programs) "$NET"; do engine rm -f -v "$each" >/dev/null 2>&1 || true; done
    say "Đã gỡ / removed."
    [ "$1" = purge ] || { say "Còn giữ / kept: volume $NAME. Xóa hết / remove it too: purge"; return; }
    engine volume rm "$NAME" >/dev/null
    say "Đã xóa dữ liệu / the state is removed."
}

ENGINE=${LACHAN_ENGINE:-$(find_engine)}
case "${1:-}" in
    up) up "${2:-lachan}" ;;
    remove | purge) remove "$1" ;;
    *) sed -n '2,14s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
