#!/usr/bin/env bash
set -euo pipefail

usage() {
    cat <<'END'
Renders deploy/kubernetes with kustomize, and checks the result against the schemas of Kubernetes 1.29
to 1.37. A field that one of them does not know is an error.

  tests/kubernetes/validate.sh
  KUBECTL=/opt/kubectl tests/kubernetes/validate.sh     another kubectl than the one on the PATH

Needs kubectl 1.27 or newer, python3 and pip3. It fetches the schemas once (120 MB), and takes about a
minute. The examples are of kinds that clusters add themselves, so only their form is checked.
END
}

. "$(dirname "${BASH_SOURCE[0]}")/../../deploy/arguments.sh"
check_arguments 0 0 "$@"
kubectl=${KUBECTL:-kubectl}
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
deploy/install-packages.sh yamllint python3 pip3=python3-pip
if ! "$kubectl" kustomize --help >/dev/null 2>&1; then
    printf 'tests/kubernetes/validate.sh: %s is missing; name one with KUBECTL\n' "$kubectl" >&2
    exit 1
fi
packages=$PWD/target/kubernetes-python
if [[ ! -d $packages/kubernetes_validate || tests/kubernetes/requirements.txt -nt $packages ]]; then
    rm -rf "$packages"
    pip3 install --quiet --root-user-action ignore --target "$packages" --requirement tests/kubernetes/requirements.txt
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
yamllint --strict -d '{rules: {key-duplicates: enable}}' deploy/kubernetes
for folder in base sidecar tier; do
    "$kubectl" kustomize "deploy/kubernetes/$folder" >"$work/$folder.yaml"
done
for minor in {29..37}; do
    PYTHONPATH=$packages python3 -m kubernetes_validate --strict --quiet -k "1.$minor.0" "$work"/*.yaml
    printf '1.%d: all of them are valid\n' "$minor"
done
