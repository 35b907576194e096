#!/usr/bin/env bash
set -euo pipefail

usage() {
    cat <<'END'
Builds the program for a release. The same source and compiler give the same bytes in every folder.

  deploy/build.sh               the program is target/release-build/release/tidegate

It is optimised for the requests of deploy/tidegate.profdata.xz, which deploy/profile.sh makes.

The names of this folder and of cargo's are left out of it, and a time in it is SOURCE_DATE_EPOCH, or
that of the last commit. It knows the commit that it was built from, as `revision` in its metrics.
Takes some minutes.
END
}

. "$(dirname "${BASH_SOURCE[0]}")/arguments.sh"
check_arguments 0 0 "$@"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH=$PATH:${HOME:-}/.cargo/bin

cargo_home=$(realpath "${CARGO_HOME:-$HOME/.cargo}")
# Each registry has a folder of its own there, whose name depends on where it was reached.
remapped=("$PWD=/tidegate" "$cargo_home=/cargo")
for registry in "$cargo_home"/registry/src/*/; do
    remapped+=("${registry%/}=/crates")
done
# With the component rust-src, the standard library has paths of this machine too.
commit=$(rustc -vV | sed -n 's/^commit-hash: //p')
remapped+=("$(rustc --print sysroot)/lib/rustlib/src/rust=/rustc/$commit")

# The last entry that fits counts, for rustc as for the C compiler.
rust=() c=()
for entry in "${remapped[@]}"; do
    rust+=(--remap-path-prefix "$entry")
    c+=("-ffile-prefix-map=$entry")
done
# Rust's own linker, which is the default there: relocations take a thousandth of their room (glibc
# 2.36 reads them), and functions with the same code are one.
if [[ $(rustc -vV) == *'host: x86_64-unknown-linux-gnu'* ]]; then
    rust+=(-C link-arg=-Wl,-z,pack-relative-relocs -C link-arg=-Wl,--icf=all)
fi
# How often each function runs: the usual ones lie side by side, and the others out of their way.
if [[ -n ${TIDEGATE_COUNTS-} ]]; then
    rust+=(-C "profile-generate=$TIDEGATE_COUNTS")
else
    # With another name for other counts, because cargo compares only the names.
    counts=target/tidegate-$(sha256sum deploy/tidegate.profdata.xz | cut -c-12).profdata
    mkdir -p target
    # Written once: everything is compiled again after a change of it.
    if [[ ! -e $counts ]]; then
        xz --decompress --stdout deploy/tidegate.profdata.xz >"$counts.part"
        mv "$counts.part" "$counts"
    fi
    rust+=(-C "profile-use=$PWD/$counts")
fi
# Separated by a character that no path has.
CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f' && printf '%s' "${rust[*]}")
export CARGO_ENCODED_RUSTFLAGS
# Nothing unwinds through C, so it needs no tables for that.
export CFLAGS="${c[*]} -fno-asynchronous-unwind-tables ${CFLAGS-}"
# mimalloc has the time of its compilation in it, unless it is given one.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
export CARGO_TARGET_DIR=target/release-build
TIDEGATE_REVISION=${TIDEGATE_REVISION:-$(git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)}
export TIDEGATE_REVISION
cargo build --release --locked --bin tidegate
