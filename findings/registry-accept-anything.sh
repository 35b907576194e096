#!/usr/bin/env bash
# docker-registry 2.8.2+ds1-1 (Debian 12): `Accept: */*` gets 404 for an OCI manifest that is there.
#
# `*/*` accepts every media type (RFC 9110, section 12.5.1), and a request without Accept does too.
# One would expect the manifest, or 406 at worst. The registry looks only for the exact name of the
# OCI type in Accept. Without it, it answers 404 MANIFEST_UNKNOWN to GET and HEAD, by tag and even
# by digest. So `curl` and health checks see a missing image, although docker pulls it. Seen:
#
#   by tag, with its type: 200
#   by tag, with */*: 404
#   by tag, without Accept: 404
#   by digest, with */*: 404
#   HEAD by digest, with */*: 404
#   it says: OCI manifest found, but accept header does not support OCI manifests
set -euo pipefail
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT

(cd "$work" && apt-get download -qq docker-registry=2.8.2+ds1-1 && dpkg -x docker-registry_*.deb .)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat > "$work/config.yml" <<YML
version: 0.1
log: { level: error, accesslog: { disabled: true } }
storage: { filesystem: { rootdirectory: "$work/data" } }
http: { addr: "127.0.0.1:$port" }
YML
"$work/usr/bin/docker-registry" serve "$work/config.yml" > "$work/log" 2>&1 &
server=$!
base=http://127.0.0.1:$port
curl -s -o /dev/null --retry 50 --retry-delay 0 --retry-connrefused "$base/v2/"

digest() { printf 'sha256:%s' "$(printf %s "$1" | sha256sum | cut -c1-64)"; }
upload() {
    local place
    place=$(curl -s -o /dev/null -w '%header{location}' -X POST "$base/v2/team/app/blobs/uploads/")
    curl -sf -X PUT -H 'Content-Type: application/octet-stream' --data-binary "$1" "$place&digest=$(digest "$1")"
}
config='{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'
layer=layer
upload "$config"
upload "$layer"
type=application/vnd.oci.image.manifest.v1+json
manifest=$(printf '{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"%s","size":%d},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"%s","size":%d}]}' \
    "$type" "$(digest "$config")" "${#config}" "$(digest "$layer")" "${#layer}")
manifests=$base/v2/team/app/manifests
curl -sf -X PUT -H "Content-Type: $type" --data-binary "$manifest" "$manifests/v1"

status() { curl -s -o "$work/body" -w '%{http_code}' "$@"; }
{
    echo "by tag, with its type: $(status -H "Accept: $type" "$manifests/v1")"
    echo "by tag, with */*: $(status -H 'Accept: */*' "$manifests/v1")"
    echo "by tag, without Accept: $(status -H 'Accept:' "$manifests/v1")"
    echo "by digest, with */*: $(status -H 'Accept: */*' "$manifests/$(digest "$manifest")")"
    echo "HEAD by digest, with */*: $(curl -sI -o /dev/null -w '%{http_code}' "$manifests/$(digest "$manifest")")"
    echo "it says: $(curl -s "$manifests/v1" | sed 's/.*"message":"\([^"]*\)".*/\1/')"
} | tee "$work/seen"
sed -n 's/^#   //p' "$0" | diff - "$work/seen" && echo 'as described'
