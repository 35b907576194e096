# shellcheck shell=bash
# Boots the systemd of a Debian tree in namespaces of its own, with a network of its own. To be
# sourced, as root:
#
#   . tests/systemd/boot.sh
#   copy_tree TREE COPY PACKAGE...   copies a tree of debootstrap and installs packages in the copy
#   boot COPY                        returns when systemd has started everything
#   inside COMMAND [ARGUMENT...]     runs a command there, as root
#   halt                             also in a trap on EXIT: it ends what is left of the machine
#
# The tree is used in place. Nothing else of this machine changes, except one folder for control
# groups, which `halt` removes.

machine=
machine_cgroup=

copy_tree() {
    local tree=$1 copy=$2
    shift 2
    mkdir -p "$(dirname "$copy")"
    cp -a "$tree" "$copy"
    in_tree "$copy" bash -c 'apt-get -q update && apt-get -q -y --no-install-recommends install "$@" && apt-get clean' \
        bash systemd systemd-sysv dbus init-system-helpers "$@"
}

# Runs a command in a tree that is not booted.
in_tree() {
    # The variables are those of the inner shell.
    # shellcheck disable=SC2016
    unshare --mount bash -c '
        mount --make-rprivate /
        mount -t proc proc "$0/proc"
        mount --rbind /dev "$0/dev"
        exec chroot "$0" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
    ' "$@"
}

boot() {
    local root=$1 parent
    # Beside the cgroups of version 1, the hierarchy of version 2 is elsewhere.
    parent=$(findmnt --noheadings --first-only --types cgroup2 --output TARGET)
    machine_cgroup=$parent/tidegate-test-$$
    mkdir "$machine_cgroup"
    # shellcheck disable=SC2016
    bash -euo pipefail -c '
        echo $$ >"$2/cgroup.procs"
        exec unshare --mount --pid --fork --kill-child --uts --ipc --net --cgroup bash -euo pipefail -c "$0" bash "$1"
    ' "$machine_script" "$root" "$machine_cgroup" </dev/null >"$root.boot.log" 2>&1 &
    machine=$!

    local end=$((SECONDS + 90)) state=
    while ((SECONDS < end)); do
        # "degraded" is usual: a unit of the system itself cannot load kernel modules.
        state=$(inside systemctl is-system-running 2>&1) || true
        if [[ $state == running || $state == degraded ]]; then
            return
        fi
        kill -0 "$machine" 2>/dev/null || break
        sleep 0.2
    done
    printf 'systemd did not start: %s\n' "$state" >&2
    cat "$root.boot.log" >&2
    return 1
}

# What runs in the new namespaces, until it becomes process 1.
# shellcheck disable=SC2016
machine_script='
    root=$1
    mount --make-rprivate /
    mount --bind "$root" "$root"
    cd "$root"
    mount -t proc proc proc
    mount -t sysfs -o ro sysfs sys
    mount -t cgroup2 cgroup2 sys/fs/cgroup
    mount -t tmpfs -o mode=755 tmpfs dev
    for device in null zero full random urandom tty; do
        touch "dev/$device"
        mount --bind "/dev/$device" "dev/$device"
    done
    mkdir dev/pts dev/shm
    mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
    mount -t tmpfs tmpfs dev/shm
    ln -s pts/ptmx dev/ptmx
    ln -s /proc/self/fd dev/fd
    ln -s fd/0 dev/stdin
    ln -s fd/1 dev/stdout
    ln -s fd/2 dev/stderr
    mount -t tmpfs -o mode=755 tmpfs run
    mount -t tmpfs -o mode=1777 tmpfs tmp
    ip link set lo up
    pivot_root . .
    umount --lazy .
    cd /
    exec env -i container=private PATH=/usr/sbin:/usr/bin:/sbin:/bin /sbin/init
'

inside() {
    local first
    # Process 1 of the machine is the only child of unshare.
    first=$(pgrep --parent "$machine") || {
        echo 'the machine is not running' >&2
        return 1
    }
    nsenter --target "$first" --mount --uts --ipc --net --pid --cgroup --root --wd \
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/ LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
}

halt() {
    [[ -n $machine ]] || return 0
    local first
    if first=$(pgrep --parent "$machine"); then
        # systemd powers off on SIGRTMIN+4.
        kill -s RTMIN+4 "$first" || true
        timeout 20 tail --pid="$machine" -f /dev/null || kill -9 "$machine" || true
    fi
    wait "$machine" 2>/dev/null || true
    find "$machine_cgroup" -depth -type d -exec rmdir {} + || true
    machine=
}
