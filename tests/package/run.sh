#!/usr/bin/env bash
set -euo pipefail

usage() {
    cat <<'END'
Installs, upgrades, removes and purges the Debian package under a real systemd.

  tests/package/run.sh PACKAGE TREE...

  debootstrap --variant=minbase bookworm /srv/bookworm      such a tree
  deploy/debian/build.sh                                    such a package

In a copy of each tree it installs the package, writes settings with `tidegate init`, starts the unit,
and reads the manual and the completions. It upgrades while a client pulls, to a program that works
and to one that does not start. After the purge, the lists of files, users and units must be those of
before. At last, lintian must find no error.

Needs root and a network to install other packages in the copies, which are removed afterwards. With
KEEP=1 they stay in target/package-test.
END
}

. "$(dirname "${BASH_SOURCE[0]}")/../../deploy/arguments.sh"
check_arguments 2 99 "$@"
package=$(realpath "$1")
shift
mapfile -t trees < <(realpath "$@")
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
if ((EUID != 0)); then
    printf 'tests/package/run.sh: only root can boot a tree\n' >&2
    exit 1
fi
deploy/install-packages.sh lintian dpkg-deb=dpkg nsenter=util-linux pgrep=procps ip=iproute2
. tests/systemd/boot.sh

work=$PWD/target/package-test
rm -rf "$work"
mkdir -p "$work"
end() {
    local status=$?
    halt
    [[ ${KEEP-} == 1 ]] || rm -rf "$work"
    ((status == 0)) || printf '\ntests/package/run.sh: FAILED at "%s"\n' "$step" >&2
}
step=start
trap end EXIT

step() {
    step=$1
    printf -- '-- %s\n' "$step"
}

fail() {
    printf 'tests/package/run.sh: %s\n' "$*" >&2
    exit 1
}

# Another version of the package; FUNCTION changes its files.
repack() {
    local version=$1 change=$2 folder=$work/repacked
    rm -rf "$folder"
    dpkg-deb --raw-extract "$package" "$folder"
    sed -i "s/^Version: .*/Version: $version/" "$folder/DEBIAN/control"
    "$change" "$folder/usr/bin/tidegate"
    dpkg-deb --root-owner-group -Znone --build "$folder" "$work/$version.deb" >/dev/null
}
# A program with other bytes that does the same.
pad() { printf '\n' >>"$1"; }
# One that no kernel starts.
ruin() { head -c 4096 "$1" >"$1.part" && mv "$1.part" "$1" && chmod 755 "$1"; }

step 'other versions of the package'
version=$(dpkg-deb --field "$package" Version)
cp "$package" "$work/$version.deb"
repack "$version+next" pad
repack "$version+ruined" ruin
repack "$version+zlast" pad

# What the machine has: files, users, groups, and units with their state.
inventory() {
    inside bash -c '
        # What dpkg, apt, and everybody who adds a user keep for themselves; what the system writes as it runs.
        find / -xdev -printf "%p %y %M %U %G %l\n" |
            grep -vE "^/(var/(cache|log/(apt|journal)|lib/(apt|dpkg|systemd/(timers|random-seed|catalog)|private))|dev|run|tmp|proc|sys|test)(/|  *| )" |
            grep -vE "^/(etc/(passwd|group|shadow|gshadow|subuid|subgid)-?|var/log/(dpkg.log|alternatives.log|wtmp|lastlog|btmp)|etc/\.pwd\.lock|etc/ld\.so\.cache) " |
            sort
        sort /etc/passwd /etc/group
        cut -d: -f1 /etc/shadow /etc/gshadow | sort
        systemctl list-unit-files --no-pager --no-legend | sort
        systemctl list-units --all --no-pager --no-legend --plain --type service,socket,target | cut -d" " -f1 | grep tidegate
        :
    '
}

show() { inside systemctl show --value --property "$1" tidegate.service; }

for tree in "${trees[@]}"; do
    name=$(basename "$tree")
    printf '\n== %s\n' "$name"
    root=$work/$name

    step 'a copy of the tree'
    copy_tree "$tree" "$root" ca-certificates docker-registry curl man-db zsh bash-completion logrotate >"$work/apt" 2>&1 ||
        { cat "$work/apt" >&2; fail 'the packages cannot be installed'; }
    # A manual is what is tried.
    rm -f "$root/etc/dpkg/dpkg.cfg.d/docker" "$root/etc/dpkg/dpkg.cfg.d/excludes"
    mkdir "$root/test"
    cp "$work"/*.deb tests/package/inside.sh "$root/test/"
    boot "$root"
    inside systemctl --version | head -1
    inventory >"$work/before"

    step 'install'
    inside apt-get -q -y install "/test/$version.deb"
    [[ $(show ActiveState) == inactive ]] || fail 'the unit was started without settings'
    ! inside systemctl --failed --no-legend --plain | grep tidegate || fail 'a unit failed'

    step 'configure and serve'
    inside bash /test/inside.sh configure
    inside systemctl enable --now tidegate
    [[ $(show ActiveState) == active ]] || fail 'the unit is not active'
    inside bash /test/inside.sh push
    inside bash /test/inside.sh pull

    step 'the manual and the completions'
    inside bash /test/inside.sh manual
    inside bash /test/inside.sh completions

    step 'an upgrade during a pull'
    first=$(show MainPID)
    inside bash /test/inside.sh during apt-get -q -y install "/test/$version+next.deb"
    second=$(show MainPID)
    [[ $first != "$second" ]] || fail 'the former program is still the main process'
    [[ $(show NRestarts) == 0 && $(show ActiveState) == active ]] || fail 'the unit was restarted'

    step 'an upgrade to a program that does not start'
    inside bash /test/inside.sh during apt-get -q -y install "/test/$version+ruined.deb"
    [[ $(show MainPID) == "$second" && $(show NRestarts) == 0 && $(show ActiveState) == active ]] ||
        fail 'the former program does not go on'
    printf 'status: %s\n' "$(show StatusText)"

    step 'the next upgrade'
    inside bash /test/inside.sh during apt-get -q -y install "/test/$version+zlast.deb"
    [[ $(show MainPID) != "$second" ]] || fail 'the former program is still the main process'
    [[ $(show NRestarts) == 0 && $(show ActiveState) == active ]] || fail 'the unit was restarted'

    step 'remove, during a pull'
    inside bash /test/inside.sh leaving apt-get -q -y remove tidegate
    inside bash /test/inside.sh removed

    step 'purge'
    inside apt-get -q -y purge tidegate
    inventory >"$work/after"
    diff "$work/before" "$work/after" || fail 'the purge left something, or took too much'

    step 'halt'
    halt
done

step 'lintian'
lintian --fail-on error "$package"
printf '\ntests/package/run.sh: everything passed (%d s)\n' "$SECONDS"
