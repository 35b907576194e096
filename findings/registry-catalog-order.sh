#!/usr/bin/env bash
# docker-registry 2.8.2+ds1-1 (Debian 12): the order of its catalog is not that of its names.
#
# One would expect /v2/_catalog sorted byte by byte, so that `last` is the greatest name so far and
# the lists of two registries can be merged. But `/` comes before every other character: app/web
# stands before app-tools, although "-" is less than "/". `last` is compared in that order too:
# after the name that is last as a text, two more come. So a merge by text skips names or repeats
# them. A repository that only ever got a blob is listed, and its tags are 404. Seen:
#
#   as texts: app app-tools app.old app/web
#   the catalog: app app/web app-tools app.old
#   by pages of two: app app/web, then app-tools app.old
#   after app/web, the last as a text: app-tools app.old
#   tags of app/web: NAME_UNKNOWN
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

blob=hello
digest=sha256:$(printf %s "$blob" | sha256sum | cut -c1-64)
for repository in app app-tools app.old app/web; do
    place=$(curl -s -o /dev/null -w '%header{location}' -X POST "$base/v2/$repository/blobs/uploads/")
    curl -sf -X PUT -H 'Content-Type: application/octet-stream' --data-binary "$blob" "$place&digest=$digest"
done
names() { curl -s "$base/v2/_catalog?$1" | jq -r '.repositories | join(" ")'; }
as_texts=$(printf '%s\n' $(names n=100) | LC_ALL=C sort | xargs)
{
    echo "as texts: $as_texts"
    echo "the catalog: $(names n=100)"
    echo "by pages of two: $(names n=2), then $(names "n=2&last=app/web")"
    echo "after ${as_texts##* }, the last as a text: $(names "n=100&last=${as_texts##* }")"
    echo "tags of app/web: $(curl -s "$base/v2/app/web/tags/list" | jq -r '.errors[0].code')"
} | tee "$work/seen"
sed -n 's/^#   //p' "$0" | diff - "$work/seen" && echo 'as described'
