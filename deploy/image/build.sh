#!/usr/bin/env bash
set -euo pipefail

usage() {
    cat <<'END_OF_USAGE'
Makes the image of a program that is built already, without pulling anything.

  deploy/image/build.sh PROGRAM [TAG]

  deploy/build.sh && deploy/image/build.sh target/release-build/release/tidegate

The program runs with the libraries of this machine. TAG is tidegate if it is left out.
END_OF_USAGE
}

. "$(dirname "${BASH_SOURCE[0]}")/../arguments.sh"
check_arguments 1 2 "$@"
here=$(dirname "${BASH_SOURCE[0]}")
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT

"$here/assemble.sh" "$1" "$context/image"
# The last stage alone, because not every builder leaves out the image for compiling.
sed -n '/^FROM scratch$/,$ { s#--from=build ##; s# /image/# #; p }' "$here/Dockerfile" >"$context/Dockerfile"
docker build --file "$context/Dockerfile" --tag "${2-tidegate}" "$context/image"
