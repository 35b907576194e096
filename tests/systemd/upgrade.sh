#!/usr/bin/env bash
set -euo pipefail

usage() {
    cat <<'END'
Tries the units of deploy/systemd with a real systemd and a real registry: upgrades under load, new
programs that cannot start, a process that hangs, and what systemd-analyze says of the sandbox.

  tests/systemd/upgrade.sh --root DIR --tidegate PROGRAM [--suite SUITE]

  --root DIR           a tree of debootstrap; made from SUITE if it is missing, and changed by the test
  --tidegate PROGRAM   a release build: a debug build is too slow for the load
  --suite SUITE        bookworm (the default, systemd 252), trixie (257) or another one

Needs root, debootstrap and cgroups of version 2, and takes some five minutes. systemd runs in
namespaces of its own, and its network leads nowhere.
END
}

fail_usage() {
    printf 'tests/systemd/upgrade.sh: %s\n\n' "$1" >&2
    usage >&2
    exit 64
}

root='' program='' suite=bookworm
while (($#)); do
    case $1 in
        -h | --help)
            usage
            exit 0
            ;;
        --root | --tidegate | --suite) (($# > 1)) || fail_usage "$1 needs a value" ;;
        *) fail_usage "unknown argument $1" ;;
    esac
    case $1 in
        --root) root=$2 ;;
        --tidegate) program=$(realpath "$2") ;;
        --suite) suite=$2 ;;
    esac
    shift 2
done
[[ -n $root && -n $program ]] || fail_usage '--root and --tidegate are needed'

root=$(realpath "$root")
cd "$(dirname "$0")/../.."
# shellcheck source=tests/systemd/boot.sh
. tests/systemd/boot.sh

failed=0
say() { printf '\n== %s\n' "$*"; }
check() {
    if [[ $2 == "$3" ]]; then
        printf 'ok    %s: %s\n' "$1" "$2"
    else
        printf 'WRONG %s: %s instead of %s\n' "$1" "$2" "$3"
        failed=1
    fi
}
property() { inside systemctl show --property "$1" --value tidegate; }
# Whether a request is answered as it should be.
answers() {
    inside curl -sk -o /dev/null -w '%{http_code}' --max-time 10 -u user:password https://127.0.0.1/v2/ || true
}
# A file of its own each time, as a package does it.
install_program() {
    install -m 755 "$1" "$root/usr/bin/tidegate.new"
    mv "$root/usr/bin/tidegate.new" "$root/usr/bin/tidegate"
}

if [[ ! -d $root ]]; then
    say "a tree of $suite"
    debootstrap --variant=minbase "$suite" "$root"
fi
if [[ ! -x $root/usr/bin/docker-registry || ! -x $root/sbin/init ]]; then
    say 'packages'
    in_tree "$root" bash -c 'apt-get -q update && apt-get -q -y --no-install-recommends install \
        systemd systemd-sysv dbus docker-registry curl python3 procps' >"$root.packages.log" 2>&1
fi

say 'settings'
id=$(in_tree "$root" id -u tidegate 2>/dev/null) || {
    in_tree "$root" useradd --system --no-create-home --home-dir / --shell /usr/sbin/nologin tidegate
    id=$(in_tree "$root" id -u tidegate)
}
install_program "$program"
install -m 644 deploy/systemd/* "$root/etc/systemd/system/"
rm -rf "$root/etc/tidegate" "$root/var/lib/registry" "$root/ca"
mkdir -p "$root"/etc/tidegate/{certs,auth} "$root/var/lib/registry"
in_tree "$root" tidegate cert ca --out /ca
in_tree "$root" tidegate cert server --ca /ca --out /etc/tidegate/certs localhost
in_tree "$root" sh -c 'echo password | tidegate htpasswd add /etc/tidegate/auth/htpasswd user'
write_settings() {
    cat >"$root/etc/tidegate/proxy.toml" <<'SETTINGS'
[server]
admin = ["127.0.0.1:9443"]
[tls]
certificate = "certs/domain.crt"
key = "certs/domain.key"
[upstream]
servers = ["http://127.0.0.1:5000"]
[auth]
htpasswd = "auth/htpasswd"
[log]
access = "/var/log/tidegate/access.log"
audit = "/var/log/tidegate/audit.log"
SETTINGS
}
write_settings
chown -R "$id:$id" "$root/etc/tidegate"
cat >"$root/etc/docker/registry/config.yml" <<'CONFIG'
version: 0.1
storage:
  filesystem:
    rootdirectory: /var/lib/registry
http:
  addr: 127.0.0.1:5000
CONFIG
chmod 777 "$root/var/lib/registry"
install -m 755 tests/systemd/load.py "$root/usr/local/bin/load"
rm -rf "$root"/etc/systemd/system/tidegate.service.d "$root"/var/log/tidegate
for unit in docker-registry.service tidegate.service; do
    in_tree "$root" systemctl -q enable "$unit"
done

say 'the start'
trap halt EXIT
boot "$root"
inside systemctl --version | head -n 1
# The first request may come before the registry listens.
inside curl -s --retry 20 --retry-connrefused --retry-delay 1 -o /dev/null http://127.0.0.1:5000/v2/
check 'state' "$(property ActiveState)" active
check 'status' "$(property StatusText)" serving
check 'answer' "$(answers)" 200

say 'the sandbox'
inside systemd-analyze security --no-pager tidegate | tail -n 1
exposure=$(inside systemd-analyze security --no-pager tidegate | sed -n 's/.*tidegate.service: \([0-9.]*\) .*/\1/p')
check 'exposure of at most 1.2' "$(awk -v e="$exposure" 'BEGIN { print (e != "" && e <= 1.2) }')" 1

say 'two upgrades while 100 connections a second come, and a push and a pull of a minute run'
inside sh -c 'head -c 60000000 /dev/urandom >/tmp/pushed && head -c 60000000 /dev/urandom >/tmp/stored'
cat >"$root/usr/local/bin/transfers" <<'SCRIPT'
#!/bin/sh
# Pushes one blob and pulls another, each at a rate at which it takes a minute.
set -eu
ask() { curl -sSfk -u user:password "$@"; }
place() { ask -o /dev/null -D - -X POST "https://127.0.0.1/v2/test/blobs/uploads/" | tr -d '\r' | sed -n 's/^[Ll]ocation: //p'; }
digest() { sha256sum "$1" | cut -d ' ' -f 1; }
stored=$(digest /tmp/stored) pushed=$(digest /tmp/pushed)
ask -o /dev/null -T /tmp/stored "$(place)&digest=sha256:$stored"
ask --limit-rate 1M -o /dev/null -T /tmp/pushed "$(place)&digest=sha256:$pushed" &
push=$!
ask --limit-rate 1M -o /tmp/pulled "https://127.0.0.1/v2/test/blobs/sha256:$stored" &
pull=$!
wait $push && wait $pull
ask -o /tmp/back "https://127.0.0.1/v2/test/blobs/sha256:$pushed"
[ "$(digest /tmp/pulled)" = "$stored" ] && [ "$(digest /tmp/back)" = "$pushed" ]
SCRIPT
chmod 755 "$root/usr/local/bin/transfers"
inside /usr/local/bin/transfers &
transfers=$!
inside /usr/local/bin/load 75 100 443 'Basic dXNlcjpwYXNzd29yZA==' &
load=$!
processes=("$(property MainPID)")
for _ in 1 2; do
    sleep 20
    install_program "$program"
    result=0
    inside systemctl reload tidegate || result=$?
    check 'reload' "$result" 0
    processes+=("$(property MainPID)")
done
check 'different processes' "$(printf '%s\n' "${processes[@]}" | sort -u | wc -l)" 3
result=0
wait "$transfers" || result=$?
check 'push and pull' "$result" 0
result=0
wait "$load" || result=$?
check 'connections' "$result" 0
check 'restarts' "$(property NRestarts)" 0
check 'state' "$(property ActiveState)" active
check 'numbers of the audit log' "$(inside sh -c "sed 's/.*\"seq\":\([0-9]*\).*/\1/' /var/log/tidegate/audit.log | sort -n | uniq -c | awk '\$1 != 1 || \$2 != NR { wrong++ } END { print wrong + 0 }'")" 0

say 'programs that cannot start'
# What a reload says, and what the status says then.
try() {
    local name=$1 before result=0
    before=$(property MainPID)
    inside systemctl reload tidegate >/dev/null 2>&1 || result=$?
    check "$name: reload fails" "$((result != 0))" 1
    # A reload that fails ends before a new program that hangs has been given up.
    for _ in $(seq 120); do
        [[ $(property ActiveState) == reloading ]] || break
        sleep 0.5
    done
    check "$name: state" "$(property ActiveState)" active
    check "$name: process" "$(property MainPID)" "$before"
    check "$name: answer" "$(answers)" 200
    printf '      status: %s\n' "$(property StatusText)"
    check "$name: status says why" "$([[ $(property StatusText) == *"$2"* ]] && echo yes)" yes
}
broken=$(mktemp)
echo 'this is no program' >"$broken"
install_program "$broken"
try 'no program' 'cannot be started'
printf '#!/bin/sh\necho "it is broken" >&2\nexit 3\n' >"$broken"
install_program "$broken"
try 'one that ends' 'exit status: 3'
printf '#!/bin/sh\nsleep 1000\n' >"$broken"
install_program "$broken"
chmod 644 "$root/usr/bin/tidegate"
try 'one that may not be run' 'cannot be started'
head -c 100000 "$program" >"$broken"
install_program "$broken"
try 'half a program' 'the new program'
# "check" ends: systemctl waits for it.
# shellcheck disable=SC2016
printf '#!/bin/sh\n[ "$1" = check ] && exit 1\nsleep 1000\n' >"$broken"
install_program "$broken"
try 'one that hangs' 'was not ready within'
install_program "$program"
sed -i 's/^\[server\]/[sarver]/' "$root/etc/tidegate/proxy.toml"
try 'wrong settings' 'sarver'
write_settings
rm "$broken"
result=0
inside systemctl reload tidegate || result=$?
check 'the right program again' "$result" 0
check 'state' "$(property ActiveState)" active
check 'status' "$(property StatusText)" serving
check 'restarts' "$(property NRestarts)" 0

say 'a process that hangs'
stopped=$(property MainPID)
inside kill -STOP "$stopped"
for _ in $(seq 100); do
    [[ $(property NRestarts) == 0 || $(property ActiveState) != active ]] || break
    sleep 0.5
done
check 'restarts' "$(property NRestarts)" 1
check 'answer' "$(answers)" 200

say 'the stop'
inside systemctl stop tidegate.socket tidegate
check 'result' "$(property Result)" success
((failed == 0)) && say 'everything passed'
exit "$failed"
