#!/usr/bin/env bash
set -euo pipefail

usage() {
    cat <<'END'
Installs the Debian packages of the commands that are missing.

  deploy/install-packages.sh COMMAND[=PACKAGE]...

Needs root or sudo, but only if something is missing. quickstart.sh and tests/run.sh
call it.
END
}

case ${1-} in
    -h | --help)
        usage
        exit 0
        ;;
    -*)
        printf 'install-packages: unknown argument %s\n\n' "$1" >&2
        usage >&2
        exit 64
        ;;
    '')
        usage >&2
        exit 64
        ;;
esac

die() {
    printf 'install-packages: %s\n' "$*" >&2
    exit 1
}

packages=()
for wanted in "$@"; do
    # Debian keeps some commands in sbin, which is not on every user's PATH.
    PATH="$PATH:/usr/sbin:/sbin" command -v "${wanted%%=*}" >/dev/null || packages+=("${wanted#*=}")
done
((${#packages[@]} > 0)) || exit 0

command -v apt-get >/dev/null ||
    die "these are missing and there is no apt-get to install them: ${packages[*]}"
as_root=()
if ((EUID != 0)); then
    command -v sudo >/dev/null ||
        die "these packages are missing; install them as root: apt-get install ${packages[*]}"
    as_root=(sudo)
fi

apt_get() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get --quiet=2 --yes "$@"
}

printf 'Installing %s\n' "${packages[*]}"
report=$(mktemp)
trap 'rm -f "$report"' EXIT
# An old package list names versions that the mirror no longer has, and a fresh image has
# no list at all. So a failed installation is tried once more with a new list.
if ! apt_get install "${packages[@]}" >"$report" 2>&1 &&
    ! { apt_get update && apt_get install "${packages[@]}"; } >"$report" 2>&1; then
    cat "$report" >&2
    die "could not install ${packages[*]}"
fi

# Debian starts a service when it installs one of these, on a port of all addresses. Nobody asked
# for those services, so they are disabled. The node exporter comes with Prometheus.
for service in docker-registry prometheus prometheus-node-exporter redis-server slapd; do
    if [[ " ${packages[*]} " == *" ${service%-node-exporter} "* && -d /run/systemd/system ]]; then
        "${as_root[@]}" systemctl --quiet disable --now "$service.service" || true
    fi
done
