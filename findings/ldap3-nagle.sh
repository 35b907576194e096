#!/usr/bin/env bash
# ldap3 0.12.1 (crates.io): the first bind of a connection by ldaps takes 40 ms longer than it has to.
#
# One would expect a bind on loopback to take less than a ms. ldap3 does not set TCP_NODELAY on its
# sockets, and TLS makes two small writes in a row: the end of the handshake, then the bind. So Nagle's
# algorithm keeps the bind until the server acknowledges the first write, and the server waits 40 ms with
# that. Without TLS nothing waits, and neither does the second bind of a connection. What helps is a socket
# of one's own, with set_nodelay, in LdapConnSettings::set_std_stream. Seen, as the fastest of ten:
#
#   the first bind by ldap://: less than 30 ms
#   the first bind by ldaps://: more than 30 ms
#   the same with set_nodelay: less than 30 ms
#   the second bind by ldaps://: less than 30 ms
#
# The server is slapd 2.5.13+dfsg-5 of Debian 12.
set -euo pipefail
self=$(realpath "$0")
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT

cd "$work"
apt-get download -qq slapd=2.5.13+dfsg-5 libldap-2.5-0=2.5.13+dfsg-5 libltdl7 libodbc2 2> apt
for package in *.deb; do dpkg -x "$package" .; done
port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
plain=$(port) tls=$(port)
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost \
    -keyout key.pem -out certificate.pem 2> openssl
mkdir data src
cat > slapd.conf <<CONF
include $work/etc/ldap/schema/core.schema
modulepath $work/usr/lib/ldap
moduleload back_mdb
TLSCertificateFile $work/certificate.pem
TLSCertificateKeyFile $work/key.pem
database mdb
directory $work/data
suffix dc=test
rootdn cn=root,dc=test
rootpw right
CONF
LD_LIBRARY_PATH=$work/usr/lib/x86_64-linux-gnu usr/sbin/slapd -d 0 -f slapd.conf \
    -h "ldap://127.0.0.1:$plain ldaps://127.0.0.1:$tls" > log 2>&1 &
server=$!

cat > Cargo.toml <<'TOML'
[package]
name = "nagle"
version = "0.0.0"
edition = "2021"
[dependencies]
ldap3 = "=0.12.1"
TOML
cat > src/main.rs <<'RUST'
use ldap3::{LdapConn, LdapConnSettings, StdStream};
use std::net::TcpStream;
use std::time::{Duration, Instant};

fn bind(connection: &mut LdapConn) -> Duration {
    let start = Instant::now();
    connection.simple_bind("cn=root,dc=test", "right").unwrap().success().unwrap();
    start.elapsed()
}
fn settings() -> LdapConnSettings { LdapConnSettings::new().set_no_tls_verify(true) }
fn fastest(what: &str, mut login: impl FnMut() -> Duration) {
    let time = (0..10).map(|_| login()).min().unwrap();
    eprintln!("{what}: {time:?}");
    let word = if time < Duration::from_millis(30) { "less" } else { "more" };
    println!("{what}: {word} than 30 ms");
}
fn main() {
    let mut ports = std::env::args().skip(1);
    let (plain, tls) = (ports.next().unwrap(), ports.next().unwrap());
    let first = |settings: LdapConnSettings, url: &str| {
        let mut connection = LdapConn::with_settings(settings, url).unwrap();
        (bind(&mut connection), connection)
    };
    let url = format!("ldap://127.0.0.1:{plain}");
    fastest("the first bind by ldap://", || first(settings(), &url).0);
    let url = format!("ldaps://127.0.0.1:{tls}");
    fastest("the first bind by ldaps://", || first(settings(), &url).0);
    fastest("the same with set_nodelay", || {
        let socket = TcpStream::connect(("127.0.0.1", tls.parse().unwrap())).unwrap();
        socket.set_nodelay(true).unwrap();
        first(settings().set_std_stream(StdStream::Tcp(socket)), &url).0
    });
    let mut connection = first(settings(), &url).1;
    fastest("the second bind by ldaps://", || bind(&mut connection));
}
RUST
cargo build -q && kill -0 "$server"
target/debug/nagle "$plain" "$tls" 2> times | tee seen || true # The comparison tells.
sed -n 's/^#   //p' "$self" | diff - seen && echo 'as described' || { cat times >&2; exit 1; }
