#!/usr/bin/env bash
set -euo pipefail

usage() {
    cat <<'END'
Runs tidegate in front of three registries for some minutes, under load and with a fault every
second, and checks that nothing is lost.

  tests/soak.sh [MINUTES]                               5 minutes; less than one is possible: 0.5
  TIDEGATE=target/release/tidegate tests/soak.sh 30     another program than the debug build

The registries share their storage. Clients push and pull over HTTP/1.1 and HTTP/2, skopeo among
them; some are slow, some vanish. Registries are killed, frozen and moved to other addresses; names
change; certificates, users and settings change, and are sometimes broken.

It fails when a digest is wrong, a request gets no answer, a request fails that no fault excuses, a
changed file is not taken up, memory, descriptors or threads grow, or tidegate panics or ends. The
summary counts everything. After a failure the logs stay in the folder that the last line names.

  TIDEGATE     the program; without it, target/debug/tidegate is built and run
  SEED         chooses the faults and the bytes; the one of a run is printed. The order of things
               also depends on the machine, so another run with it is similar, not the same
  REGISTRIES   how many, 1 to 3 (3). Alone, its faults reach every client

Needs docker-registry, skopeo, python3 and pip3. Names change in a mount namespace of its own, which
needs root or user namespaces. Without either, no name changes; the first lines say so. Nothing
outside the folder of the run is touched, and no port is fixed.
END
}

fail_usage() {
    printf 'tests/soak.sh: %s\n\n' "$1" >&2
    usage >&2
    exit 64
}

case ${1-} in
    -h | --help)
        usage
        exit 0
        ;;
esac
(($# <= 1)) || fail_usage "too many arguments: $*"
minutes=${1:-5}
[[ $minutes =~ ^[0-9]+(\.[0-9]+)?$ && $minutes =~ [1-9] ]] || fail_usage "not a number of minutes: $minutes"
registries=${REGISTRIES:-3}
[[ $registries =~ ^[123]$ ]] || fail_usage "REGISTRIES is not 1, 2 or 3: $registries"
seed=${SEED:-$RANDOM$RANDOM}

tidegate=${TIDEGATE:+$(realpath "$TIDEGATE")}
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [[ -z $tidegate ]]; then
    PATH=$PATH:${HOME:-}/.cargo/bin
    cargo build --locked
    tidegate=$PWD/target/debug/tidegate
fi
deploy/install-packages.sh docker-registry skopeo python3 pip3=python3-pip
if [[ ! -d target/soak-python/h2 || tests/soak/requirements.txt -nt target/soak-python ]]; then
    rm -rf target/soak-python
    pip3 install --quiet --root-user-action ignore --target target/soak-python --requirement tests/soak/requirements.txt
fi

work=$(mktemp -d)
run=
# Everything runs in a process namespace, if there is one, so it ends with the process killed here.
end() {
    local status=$?
    trap - EXIT
    if [[ -n $run ]]; then
        kill -TERM "$run" 2>/dev/null || true
        ((in_namespace == 0)) || kill -KILL "$run" 2>/dev/null || true
        wait "$run" 2>/dev/null || true
    fi
    rm -rf "$work/images"
    if ((status == 0)); then
        rm -rf "$work"
        printf 'tests/soak.sh: passed (%d s)\n' "$SECONDS"
    else
        printf 'tests/soak.sh: FAILED (%d s, seed %s); the logs are in %s\n' "$SECONDS" "$seed" "$work"
    fi
    exit "$status"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

namespace=(unshare --mount --net --pid --fork --kill-child --mount-proc)
((EUID == 0)) || namespace+=(--map-root-user)
in_namespace=1
if ! "${namespace[@]}" true 2>/dev/null; then
    namespace=()
    in_namespace=0
    printf 'No namespaces for this user: no name changes in this run.\n'
fi
printf '%s minutes, %s registries, seed %s, %s\n' "$minutes" "$registries" "$seed" "$tidegate"
SOAK_NAMESPACE=$in_namespace PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$PWD/target/soak-python \
    "${namespace[@]}" python3 tests/soak/soak.py --minutes "$minutes" --seed "$seed" --registries "$registries" \
    --tidegate "$tidegate" --work "$work" &
run=$!
wait "$run"
