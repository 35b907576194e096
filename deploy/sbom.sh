#!/usr/bin/env bash
set -euo pipefail

usage() {
    cat <<'END'
Prints the software bill of materials of the program: CycloneDX 1.6, as JSON.

  deploy/sbom.sh [TARGET]       x86_64-unknown-linux-gnu, or the one of this machine

It lists every crate of Cargo.lock that is compiled for the program, with license and checksum, and
which crate needs which. Crates for tests alone are left out. The time in it is SOURCE_DATE_EPOCH, or
that of the last commit, so the same source gives the same bytes. Needs cargo and jq.
END
}

. "$(dirname "${BASH_SOURCE[0]}")/arguments.sh"
check_arguments 0 1 "$@"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=${1:-$(rustc -vV | sed -n 's/^host: //p')}
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}

# Only Cargo.lock knows the checksums.
checksums=$(awk -F '"' '
    /^name = / { name = $2 }
    /^version = / { version = $2 }
    /^checksum = / { printf "{\"%s@%s\":\"%s\"}\n", name, version, $2 }
' Cargo.lock | jq --slurp add)

# The metadata also have crates that only features need which are off.
compiled=$(cargo tree --locked --edges normal,build --target "$target" --prefix none --no-dedupe |
    awk '{ print $1 "@" substr($2, 2) }' | jq --raw-input --slurp 'split("\n")[:-1] | unique')

cargo metadata --locked --format-version 1 --filter-platform "$target" |
    jq --argjson checksums "$checksums" --argjson compiled "$compiled" --argjson epoch "$epoch" '
        # A crate as others name it.
        def purl: "pkg:cargo/\(.name)@\(.version | @uri)";
        # The older form with a slash means the same.
        def spdx: gsub(" ?/ ?"; " OR ");

        (.packages | map(select("\(.name)@\(.version)" | IN($compiled[]))) | INDEX(.id)) as $crates
        # What a crate needs, without what its tests need.
        | (.resolve.nodes | INDEX(.id) | map_values([
            .deps[] | select(any(.dep_kinds[]; .kind != "dev")) | $crates[.pkg] // empty | purl
          ] | sort)) as $needs
        | .resolve.root as $root
        | {
            bomFormat: "CycloneDX",
            specVersion: "1.6",
            version: 1,
            metadata: {
                timestamp: ($epoch | todate),
                component: ($crates[$root] | {
                    type: "application", name, version, description,
                    "bom-ref": purl, licenses: [{expression: .license}]
                })
            },
            components: [$crates[] | select(.id != $root) | {
                type: "library", name, version, description,
                "bom-ref": purl, purl: purl,
                hashes: [$checksums["\(.name)@\(.version)"] // empty | {alg: "SHA-256", content: .}],
                licenses: [.license // empty | {expression: spdx}],
                externalReferences: [.repository // empty | {type: "vcs", url: .}]
            }] | sort_by(.purl),
            dependencies: [$crates[] | {ref: purl, dependsOn: $needs[.id]}] | sort_by(.ref)
        }'
