#!/usr/bin/env bash
set -euo pipefail

usage() {
    cat <<'END'
Prints the licenses of the crates that are compiled into the program, as their authors ask for.

  deploy/notices.sh

A text that many crates share is printed once, below their names. The sources must be there, as
they are after `cargo build`. Needs cargo and jq.
END
}

. "$(dirname "${BASH_SOURCE[0]}")/arguments.sh"
check_arguments 0 0 "$@"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
compiled=$(deploy/sbom.sh | jq '[.components[] | "\(.name)@\(.version)"]')
target=$(rustc -vV | sed -n 's/^host: //p')
cargo metadata --locked --format-version 1 --filter-platform "$target" |
    jq --raw-output --argjson compiled "$compiled" '
        .packages[]
        | select("\(.name)@\(.version)" | IN($compiled[]))
        | [.name, .version, .license, (.manifest_path | rtrimstr("/Cargo.toml"))]
        | @tsv' |
    LC_ALL=C sort >"$work/crates"

# A file for each text, named by its checksum, and one with the crates that have it.
printf 'The licenses of what is compiled into tidegate.\n'
while IFS=$'\t' read -r name version license folder; do
    while IFS= read -r file; do
        sum=$(sha256sum <"$file")
        sum=${sum%% *}
        cp "$file" "$work/$sum.text"
        printf '%s %s (%s)\n' "$name" "$version" "$license" >>"$work/$sum.names"
    done < <(find "$folder" -maxdepth 1 -type f \
        '(' -iname 'license*' -o -iname 'licence*' -o -iname 'copying*' -o -iname 'notice*' ')')
done <"$work/crates"
for names in "$work"/*.names; do
    printf '\n%s\n\n' '----------------------------------------------------------------------'
    LC_ALL=C sort -u "$names"
    printf '\n'
    cat "${names%.names}.text"
done
