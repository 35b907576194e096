#!/usr/bin/env bash
set -euo pipefail

usage() {
    cat <<'END_OF_USAGE'
Starts deploy/compose with a real Docker engine and Compose, and uses it as people do.

  tests/compose/run.sh TREE [PROGRAM]

  debootstrap --variant=minbase trixie /srv/trixie      such a tree, of Debian 13 or newer
  deploy/build.sh                                       makes the default PROGRAM

In a copy of the tree it installs the engine, makes the images without pulling anything, and runs
`docker compose up` in a copy of the checkout. Then it logs in, pushes and pulls, and restarts each
container while a client pulls. It also looks at the size and the history of the image.

Needs root and a network to install packages in the copy, which is removed afterwards. With KEEP=1
it stays in target/compose-test, and the next run uses it again.
END_OF_USAGE
}

. "$(dirname "${BASH_SOURCE[0]}")/../../deploy/arguments.sh"
check_arguments 1 2 "$@"
tree=$(realpath "$1")
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
program=$(realpath "${2-target/release-build/release/tidegate}")
if ((EUID != 0)); then
    printf 'tests/compose/run.sh: only root can start an engine in a tree\n' >&2
    exit 1
fi
. tests/systemd/boot.sh

work=$PWD/target/compose-test
root=$work/$(basename "$tree")
end() {
    local status=$?
    [[ ${KEEP-} == 1 ]] || rm -rf "$work"
    ((status == 0)) || printf '\ntests/compose/run.sh: FAILED\n' >&2
}
trap end EXIT

if [[ ! -d $root ]]; then
    mkdir -p "$work"
    printf -- '-- a copy of the tree\n'
    copy_tree "$tree" "$root" docker.io docker-cli docker-compose docker-buildx docker-registry busybox-static \
        iptables iproute2 binutils curl procps ca-certificates >"$work/apt" 2>&1 ||
        { tail -n 20 "$work/apt" >&2; exit 1; }
fi
rm -rf "$root/checkout" "$root/program"
mkdir "$root/checkout"
git ls-files -z --cached --others --exclude-standard | tar --null --files-from - --ignore-failed-read -c 2>/dev/null |
    tar -x -C "$root/checkout"
cp "$program" "$root/program"

# The variables are those of the inner shell.
# shellcheck disable=SC2016
unshare --mount --net --pid --fork --kill-child bash -euo pipefail -c '
    mount --make-rprivate /
    mount --bind "$0" "$0"
    mount -t proc proc "$0/proc"
    mount --rbind /sys "$0/sys"
    mount --rbind /dev "$0/dev"
    mount -t tmpfs tmpfs "$0/run"
    ip link set lo up
    ip address add 192.0.2.1/32 dev lo
    # Not chroot: a container inherits the root of the namespace.
    mkdir -p "$0/mnt/before"
    cd "$0"
    pivot_root . mnt/before
    umount --lazy /mnt/before
    exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/ LANG=C.UTF-8 bash /checkout/tests/compose/inside.sh
' "$root"
printf '\ntests/compose/run.sh: everything passed (%d s)\n' "$SECONDS"
