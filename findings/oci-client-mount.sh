#!/usr/bin/env bash
# oci-client 0.18.0 (crates.io): `Client::mount_blob` never asks for a token of the source repository.
#
# A registry with token authentication needs two rights for a mount: push on the target and pull on
# the source. Its 401 names both, as docker-registry's does. One would expect the client to ask the
# token server for both, or to follow that challenge once. It takes the challenge of GET /v2/, asks
# for the scope of the target alone, and reports the 401 of the mount as an error. So no mount
# across repositories succeeds, whatever rights the user has. Seen (scopes asked, then the result):
#
#   asked: repository:target/app:pull,push
#   mount: Server error: url http://127.0.0.1:PORT/v2/target/app/blobs/uploads/?mount=…, code: 401
#
# The registry here is a fake of thirty lines that gives any token and wants both scopes for a mount.
set -euo pipefail
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT

cat > "$work/registry.py" <<'PY'
import http.server, json, sys, urllib.parse

class Registry(http.server.BaseHTTPRequestHandler):
    def answer(self, status, body=b"{}", **fields):
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def challenge(self, scope=""):
        realm = f"http://127.0.0.1:{self.server.server_port}/token"
        scope = f',scope="{scope}"' if scope else ""
        self.answer(401, WWW_Authenticate=f'Bearer realm="{realm}",service="fake"{scope}')

    def do_GET(self):
        path, _, query = self.path.partition("?")
        if path != "/token":
            return self.challenge()
        scopes = " ".join(urllib.parse.parse_qs(query).get("scope", []))
        print("asked:", scopes, flush=True)
        # The token is its own scopes: enough for a client, which must not look inside.
        self.answer(200, json.dumps({"token": urllib.parse.quote(scopes, safe="")}).encode())

    def do_POST(self):
        granted = urllib.parse.unquote(self.headers.get("Authorization", ""))
        if "source/app:pull" in granted and "target/app:pull,push" in granted:
            return self.answer(201, Location="/v2/target/app/blobs/sha256:" + "0" * 64)
        self.challenge("repository:target/app:pull,push repository:source/app:pull")

    def log_message(self, *_):
        pass

server = http.server.HTTPServer(("127.0.0.1", 0), Registry)
print(server.server_port, file=open(sys.argv[1], "w"), flush=True)
server.serve_forever()
PY

mkdir -p "$work/client/src"
cat > "$work/client/Cargo.toml" <<'TOML'
[package]
name = "client"
version = "0.0.0"
edition = "2021"
[dependencies]
oci-client = "=0.18.0"
tokio = { version = "=1.48.0", features = ["macros", "rt"] }
TOML
cat > "$work/client/src/main.rs" <<'RUST'
use oci_client::client::{Client, ClientConfig, ClientProtocol};
use oci_client::{secrets::RegistryAuth, Reference};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let host = std::env::args().nth(1).unwrap();
    let image = |name: &str| -> Reference { format!("{host}/{name}:1").parse().unwrap() };
    let client = Client::new(ClientConfig { protocol: ClientProtocol::Http, ..Default::default() });
    let login = RegistryAuth::Basic("user".into(), "password".into());
    client.store_auth_if_needed(&host, &login).await;
    let digest = format!("sha256:{}", "0".repeat(64));
    match client.mount_blob(&image("target/app"), &image("source/app"), &digest).await {
        Ok(()) => println!("mount: done"),
        Err(error) => println!("mount: {error}"),
    }
}
RUST

python3 "$work/registry.py" "$work/port" > "$work/asked" &
server=$!
cargo build -q --manifest-path "$work/client/Cargo.toml" --target-dir "$work/target"
"$work/target/debug/client" "127.0.0.1:$(cat "$work/port")" > "$work/result"
cat "$work/asked" "$work/result"
[ "$(cat "$work/asked")" = "asked: repository:target/app:pull,push" ]
grep -q '^mount: .*code: 401' "$work/result"
