#!/usr/bin/env bash
set -euo pipefail

usage() {
    cat <<'END'
Counts how often each function of the program runs under load, for deploy/build.sh.

  deploy/profile.sh             writes deploy/tidegate.profdata.xz

Builds the program with counters, and has benches/side_by_side load it. To be run before a release:
a function that has changed since is compiled as if there were no counts. Takes a quarter of an hour.

Needs llvm-profdata of the LLVM version that `rustc -vV` names, such as that of Debian's package
llvm-22. LLVM_PROFDATA says where it is, if it is not in PATH.
END
}

. "$(dirname "${BASH_SOURCE[0]}")/arguments.sh"
check_arguments 0 0 "$@"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH=$PATH:${HOME:-}/.cargo/bin

version=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
merge=${LLVM_PROFDATA:-$(command -v "llvm-profdata-$version" || command -v llvm-profdata || true)}
if [[ -z $merge || $("$merge" --version) != *"version $version."* ]]; then
    printf 'llvm-profdata %s is missing. Install it, or set LLVM_PROFDATA.\n' "$version" >&2
    exit 1
fi

counts=$(mktemp -d)
trap 'rm -rf "$counts"' EXIT
TIDEGATE_COUNTS=$counts deploy/build.sh
cp target/release-build/release/tidegate "$counts/tidegate"
# What clients do, each in proportion to what it costs.
LLVM_PROFILE_FILE=$counts/load-%p.profraw cargo bench --bench side_by_side -- --quick --rounds 1 --peers tidegate \
    --program "$counts/tidegate" --output "$counts" --only docker-pull,docker-push,crane-pull \
    --only pull-h1,pull-h2,push-chunked,push-length,push-h2,get-open,get-cost-5,streams,handshake-go,handshake,resumed
# With the functions that never ran: they are compiled for size, and placed out of the way. Without
# what the build left: its scripts and macros count too.
"$merge" merge --output "$counts/tidegate.profdata" "$counts"/load-*.profraw
xz -9 --stdout "$counts/tidegate.profdata" >deploy/tidegate.profdata.xz
ls -l deploy/tidegate.profdata.xz
