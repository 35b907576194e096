#!/usr/bin/env bash
set -euo pipefail

usage() {
    cat <<'END'
Fuzzes what reads untrusted input: builds the fuzzer, and runs each target for some seconds.

  fuzz/run.sh [SECONDS [TARGET...]]     10 seconds, all targets
  fuzz/run.sh --merge TARGET...         adds what was found to be new to fuzz/corpus, as little
                                        as covers the same

Needs no other compiler than the build itself. For each target it prints the executions, the
covered edges of tidegate's code (cov), the features (ft: edges with how often they are taken), and
whether a promise was broken. New inputs are kept in target/fuzz/TARGET, and an input that breaks a
promise is kept in target/fuzz/TARGET.found. Exits with 1 if there is one. To run it again:

  target/debug/tidegate-fuzz --target=TARGET target/fuzz/TARGET.found/crash-...
END
}

cd "$(dirname "${BASH_SOURCE[0]}")/.."
merge=false
case ${1:-} in
    -h | --help)
        usage
        exit 0
        ;;
    --merge)
        merge=true
        shift
        ;;
esac
seconds=10
if ! $merge && (($# > 0)); then
    seconds=$1
    shift
fi
if [[ ! $seconds =~ ^[0-9]+$ ]]; then
    printf 'fuzz/run.sh: not a number of seconds: %s\n\n' "$seconds" >&2
    usage >&2
    exit 64
fi
targets=("$@")
if ((${#targets[@]} == 0)); then
    for folder in fuzz/corpus/*/; do
        targets+=("$(basename "$folder")")
    done
fi
for target in "${targets[@]}"; do
    if [[ ! -d fuzz/corpus/$target ]]; then
        printf 'fuzz/run.sh: there is no target %s; those there are:\n' "$target" >&2
        (cd fuzz/corpus && printf '  %s\n' *) >&2
        exit 64
    fi
done

built=$PWD/target
export CARGO_TARGET_DIR=$built RUSTC_WRAPPER=$PWD/fuzz/rustc.sh
# Not locked: a change of tidegate's own dependencies may have left the other lock file behind.
cargo build --quiet --manifest-path fuzz/Cargo.toml
fuzzer=$built/debug/tidegate-fuzz
# The fuzzer ends without removing its temporary files.
TMPDIR=$(mktemp -d)
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT

found=0
$merge || printf '%-22s %12s %8s %8s  %s\n' target executions cov ft finding
for target in "${targets[@]}"; do
    inputs=$built/fuzz/$target log=$built/fuzz/$target.log
    mkdir -p "$inputs" "$inputs.found"
    if $merge; then
        "$fuzzer" "--target=$target" -merge=1 -max_len=2048 "fuzz/corpus/$target" "$inputs" >"$log" 2>&1
        printf '%s: %d inputs\n' "$target" "$(find "fuzz/corpus/$target" -type f | wc -l)"
        continue
    fi
    finding=none
    if ! "$fuzzer" "--target=$target" -max_total_time="$seconds" -timeout=10 -print_final_stats=1 \
        -artifact_prefix="$inputs.found/" "$inputs" "fuzz/corpus/$target" >"$log" 2>&1; then
        finding="see $log"
        found=1
    fi
    last=$(grep --text -E '^#[0-9]+.* cov: ' "$log" | tail -n 1 || true)
    executions=$(sed -E 's/^#([0-9]+).*/\1/' <<<"$last")
    cov=$(sed -E 's/.* cov: ([0-9]+).*/\1/' <<<"$last")
    ft=$(sed -E 's/.* ft: ([0-9]+).*/\1/' <<<"$last")
    printf '%-22s %12s %8s %8s  %s\n' "$target" "$executions" "$cov" "$ft" "$finding"
done
exit "$found"
