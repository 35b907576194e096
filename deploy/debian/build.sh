#!/usr/bin/env bash
set -euo pipefail

usage() {
    cat <<'END'
Builds the Debian package, and one with the debug symbols of the program.

  deploy/debian/build.sh
  TIDEGATE=target/debug/tidegate deploy/debian/build.sh      of a program that is there already
  VERSION=0.2.0-2 deploy/debian/build.sh                     another version than that of Cargo.toml

The packages are in target/debian; the last lines name them. cargo-deb is built once, into
target/tools. Every time in the packages is SOURCE_DATE_EPOCH, or that of the last commit, so the same
source gives the same bytes. Build on the oldest Debian that the package is for.
END
}

. "$(dirname "${BASH_SOURCE[0]}")/../arguments.sh"
check_arguments 0 0 "$@"
program=${TIDEGATE:+$(realpath "$TIDEGATE")}
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
PATH=$PATH:${HOME:-}/.cargo/bin
deploy/install-packages.sh jq cc=build-essential dpkg-shlibdeps=dpkg-dev

cargo_deb=3.8.0
if [[ $(target/tools/bin/cargo-deb --version 2>/dev/null) != "cargo-deb $cargo_deb" ]]; then
    CARGO_TARGET_DIR=target/tools/build cargo install --locked --quiet --force --root target/tools "cargo-deb@$cargo_deb"
    rm -rf target/tools/build
fi

SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
version=${VERSION:-$(cargo metadata --locked --no-deps --format-version 1 | jq --raw-output '.packages[0].version')-1}

# What cargo-deb takes as cargo's target folder: the program, and beside it what is made with it.
staging=target/debian-staging
rm -rf "$staging"
options=(--strip)
mkdir -p "$staging/release/made"
if [[ -z $program ]]; then
    deploy/build.sh
    program=target/release-build/release/tidegate
    options=(--dbgsym)
fi
cp "$program" "$staging/release/tidegate"
made=$staging/release/made
"$program" generate "$made"
gzip -9n "$made"/man/*
deploy/sbom.sh >"$made/tidegate.cdx.json"
deploy/notices.sh | gzip -9n >"$made/notices.gz"
gzip -9n <CHANGELOG.md >"$made/changelog.gz"
cat >"$made/changelog.Debian" <<END
tidegate ($version) unstable; urgency=medium

  * The changes are listed in /usr/share/doc/tidegate/changelog.gz.

 -- The tidegate authors <tidegate@users.noreply.github.com>  $(date --utc --date="@$SOURCE_DATE_EPOCH" +'%a, %d %b %Y %T +0000')
END

CARGO_TARGET_DIR=$staging target/tools/bin/cargo-deb --no-build --locked --deb-version "$version" \
    --output target/debian "${options[@]}"
