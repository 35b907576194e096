#!/usr/bin/env bash
# skopeo 1.9.3+ds1-1+b10 (Debian 12): login fails where docker has logged in with an identity token.
#
# A registry may answer `docker login` with an identity token, which docker keeps instead of the password.
# skopeo reads docker's file too, and one would expect `skopeo login` with a user and a password to log in,
# as it does where docker keeps a password. It gives up before it asks the registry: if an identity token is
# found for the host, that is an error. `--authfile` with a new file does not help, because docker's file
# is read after it. What helps is a DOCKER_CONFIG without that login, or `skopeo logout`, which takes docker's
# login away. podman login shares the code. Seen:
#
#   docker keeps a password: Login Succeeded!; the registry was asked
#   docker keeps an identity token: currently logged in, auth file contains an Identity token; not asked
#   the same with --authfile new.json: currently logged in, auth file contains an Identity token; not asked
#   with another DOCKER_CONFIG: Login Succeeded!; the registry was asked
set -euo pipefail
self=$(realpath "$0")
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT

cd "$work"
apt-get download -qq skopeo=1.9.3+ds1-1+b10 libgpgme11 libassuan0 libdevmapper1.02.1 2> apt
for package in *.deb; do dpkg -x "$package" .; done
export LD_LIBRARY_PATH=$work/usr/lib/x86_64-linux-gnu:$work/lib/x86_64-linux-gnu
export HOME=$work/home XDG_RUNTIME_DIR=$work/run DOCKER_CONFIG=$work/docker
unset REGISTRY_AUTH_FILE
mkdir home run docker elsewhere

# A registry whose users are all that have the password "right".
cat > registry.py <<'PYTHON'
import base64, http.server

class Registry(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        open("asked", "w").close()
        login = base64.b64decode(self.headers.get("Authorization", "").partition("Basic ")[2])
        self.send_response(200 if login.endswith(b":right") else 401)
        self.send_header("WWW-Authenticate", 'Basic realm="registry"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass

server = http.server.HTTPServer(("127.0.0.1", 0), Registry)
open("port", "w").write(str(server.server_port))
server.serve_forever()
PYTHON
python3 registry.py 2> log &
server=$!
until [ -s port ]; do kill -0 "$server"; sleep 0.1; done
host=localhost:$(cat port)

login() { # TITLE OPTION...
    local said asked='the registry was asked'
    rm -f asked
    said=$(echo right | usr/bin/skopeo login --tls-verify=false -u bob --password-stdin "${@:2}" "$host" 2>&1) || true
    [ -e asked ] || asked='not asked'
    said=${said##*msg=\"}
    echo "$1: ${said%\"}; $asked"
}
{
    alice=$(printf alice:right | base64)
    echo "{\"auths\": {\"$host\": {\"auth\": \"$alice\"}}}" > docker/config.json
    login 'docker keeps a password'
    rm -f run/containers/auth.json
    alice=$(printf alice: | base64)
    echo "{\"auths\": {\"$host\": {\"auth\": \"$alice\", \"identitytoken\": \"a.b.c\"}}}" > docker/config.json
    login 'docker keeps an identity token'
    login 'the same with --authfile new.json' --authfile new.json
    export DOCKER_CONFIG=$work/elsewhere
    login 'with another DOCKER_CONFIG'
} > seen
cat seen
sed -n 's/^#   //p' "$self" | diff - seen && echo 'as described'
