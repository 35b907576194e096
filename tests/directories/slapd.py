#!/usr/bin/env python3
"""Runs OpenLDAP with tidegate beside it, and shows what its users, its operators and its attackers see.

  tests/directories/slapd.py [CASE...]       all cases, about three minutes

Cases: docker (login, push, pull; rules for groups; STARTTLS; no TLS, no password on the wire), spellings,
refused (nothing is sent for an empty password), binds (one for a push, and what a login costs), locked
(100 guesses lock nobody), away (stopped and silent), groups (posixGroup, nested, a circle), revoked (what
ends an identity token), reload (with a wrong password of the account that searches), key (an identity token
as the password of podman), beside (the time of those who are in, beside what goes wrong).

Needs root, slapd, ldap-utils, docker-registry, docker, podman and tcpdump. Everything that it starts belongs to
namespaces and ends with them. After a failure the logs stay in the folder that it names.
"""

import base64
import json
import re
import socket
import ssl
import statistics
import threading
import time

from place import ADDRESS, ELSEWHERE, HOST, Place, basic, connects, expect, main, note, run, wait_until

NAME = "ldap.test"
BASE = "dc=example,dc=com"
PEOPLE = f"ou=people,{BASE}"
SEARCHER = "The searcher's passw0rd"
USERS = ["alice", "bob", "carol", "dora"] + [f"user{number}" for number in range(400)]
CONFIGURATION = f"""
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload ppolicy
pidfile WORK/slapd.pid
loglevel stats
%s
database mdb
suffix "{BASE}"
rootdn "cn=admin,{BASE}"
rootpw admin
directory WORK/db
maxsize 67108864
index objectClass,uid,member eq
access to attrs=userPassword by anonymous auth by * none
access to * by dn.base="cn=searcher,{BASE}" read by * none
overlay ppolicy
ppolicy_default "cn=policy,{BASE}"
"""
TLS = """
TLSCACertificateFile WORK/ca/ca.crt
TLSCertificateFile WORK/ldap/domain.crt
TLSCertificateKeyFile WORK/ldap/domain.key
"""
RULES = """
[[access]]
users = ["@ldap:developers"]
repositories = ["team/**"]
actions = ["pull", "push"]
[[access]]
users = ["*"]
repositories = ["${user}/**"]
actions = ["pull", "push"]
"""


def password(user):
    return f"The passw0rd of {user}"


class Directory(Place):
    def prepare(self):
        super().prepare()
        self.names({"localhost": "127.0.0.1", HOST: ADDRESS, NAME: "192.0.2.20"})
        run("ip", "address", "add", "192.0.2.20/32", "dev", "lo")
        self.command("cert", "server", "--ca", "ca", "--out", "ldap", NAME)
        self.write("searcher", SEARCHER, 0o600)
        self.trust_in_docker()
        self.load()
        self.start_slapd()

    def load(self):
        """Groups are loaded without memberOf."""
        person = "objectClass: inetOrgPerson\nuid: {0}\ncn: {0}\nsn: {0}\nuserPassword: {1}\n"
        entries = {
            BASE: "objectClass: dcObject\nobjectClass: organization\no: example\n",
            PEOPLE: "objectClass: organizationalUnit\n",
            f"ou=groups,{BASE}": "objectClass: organizationalUnit\n",
            f"cn=policy,{BASE}": "objectClass: device\nobjectClass: pwdPolicy\npwdAttribute: userPassword\n"
                                 "pwdMaxFailure: 5\npwdLockout: TRUE\n",
            f"cn=searcher,{BASE}": f"objectClass: person\nsn: s\nuserPassword: {SEARCHER}\n",
        }
        for user in USERS:
            entries[f"uid={user},{PEOPLE}"] = person.format(user, password(user))
        entries[f"uid=two,{PEOPLE}"] = person.format("two", password("two")) + "uid: second\n"
        groups = {"developers": ["uid=alice," + PEOPLE], "inner": ["uid=carol," + PEOPLE],
                  "outer": [f"cn=inner,ou=groups,{BASE}", f"cn=circle,ou=groups,{BASE}"],
                  "circle": [f"cn=outer,ou=groups,{BASE}"]}
        for group, members in groups.items():
            entries[f"cn={group},ou=groups,{BASE}"] = (
                "objectClass: groupOfNames\n" + "".join(f"member: {member}\n" for member in members))
        entries[f"cn=posix,ou=groups,{BASE}"] = "objectClass: posixGroup\ngidNumber: 1\nmemberUid: bob\n"
        text = "\n".join(f"dn: {dn}\n{attributes}" for dn, attributes in entries.items())
        (self.work / "db").mkdir()
        self.write("entries.ldif", text)
        self.write("slapd.conf", CONFIGURATION.replace("WORK", str(self.work)) % TLS.replace("WORK", str(self.work)))
        run("slapadd", "-q", "-f", "slapd.conf", "-l", "entries.ldif", cwd=self.work)

    def start_slapd(self, has_tls=True):
        tls = TLS.replace("WORK", str(self.work)) if has_tls else ""
        self.write("slapd.conf", CONFIGURATION.replace("WORK", str(self.work)) % tls)
        addresses = f"ldap://{NAME}:389" + (f" ldaps://{NAME}:636" if has_tls else "")
        self.start("slapd", ["slapd", "-d", "stats", "-f", "slapd.conf", "-h", addresses])
        wait_until(lambda: connects(NAME, 389), 30, "slapd does not start")

    def start_with(self, more="", scheme="ldaps", remembered="5m", rules=RULES, mode="token", base=PEOPLE):
        self.start_tidegate(f"""
htpasswd = ""
cache_ttl = "{remembered}"
[auth.ldap]
servers = ["{scheme}://{NAME}"]
ca = "ca/ca.crt"
base = "{base}"
bind_dn = "cn=searcher,{BASE}"
bind_password = "searcher"
group_base = "ou=groups,{BASE}"
{more}
{rules}""", mode)

    def admin(self, text):
        run("ldapmodify", "-x", "-H", f"ldap://{NAME}", "-D", f"cn=admin,{BASE}", "-w", "admin", input=text)

    def asked(self, pattern):
        """How often slapd was asked something."""
        return len(re.findall(pattern, self.log("slapd")))

    def binds(self, user):
        return self.asked(rf'BIND dn="uid={user},{PEOPLE}" method=128')

    def is_locked(self, user):
        found = run("ldapsearch", "-LLL", "-x", "-H", f"ldap://{NAME}", "-D", f"cn=admin,{BASE}", "-w", "admin",
                    "-b", f"uid={user},{PEOPLE}", "pwdAccountLockedTime")
        return "pwdAccountLockedTime:" in found


# The cases.

def docker(place):
    place.start_with()
    place.start_docker()
    image = f"{HOST}/team/app:1"
    for scheme in ["ldaps", "ldap"]:
        place.start_with(scheme=scheme)
        place.must("docker", "login", "-u", "alice", "--password-stdin", HOST, text=password("alice"))
        place.must("docker", "push", image)
        place.must("docker", "pull", image)
        place.must("docker", "login", "-u", "bob", "--password-stdin", HOST, text=password("bob"))
        good, said = place.client("docker", "push", image)
        expect(not good and "denied" in said, f"bob pushes: {said}")
        note(f"{scheme}: alice pushes and pulls; bob is told: {said.strip().splitlines()[-1]}")
        good, said = place.client("docker", "login", "-u", "alice", "--password-stdin", HOST, text="wrong")
        expect(not good and "wrong user or password" in said, said)
    place.must("docker", "logout", HOST)

    place.stop("slapd")
    place.start_slapd(has_tls=False)
    place.start("tcpdump", ["tcpdump", "-i", "lo", "-U", "-w", "wire.pcap", "port", "389"])
    wait_until(lambda: "listening on" in place.log("tcpdump"), 10, "tcpdump does not start")
    place.start_with(scheme="ldap")
    answer = place.get("/v2/", "carol", password("carol"))
    answer.expect(503, source="ldap")
    expect("Retry-After" in answer.headers, "no Retry-After")
    wait_until(lambda: (place.work / "wire.pcap").stat().st_size > 500, 10, "nothing is on the wire")
    place.stop("tcpdump")
    wire = (place.work / "wire.pcap").read_bytes()
    for secret in [password("carol"), SEARCHER]:
        expect(secret.encode() not in wire, "a password is on the wire")
    expect(b"1.3.6.1.4.1.1466.20037" in wire, "nobody asks for STARTTLS")
    note(f"a server without TLS: {answer.status}, and no password among {len(wire)} bytes on the wire")
    place.stop("slapd")
    place.start_slapd()


def spellings(place):
    place.start_with()
    for name in ["alice", "ALICE", " alice ", "\uff41\uff4c\uff49\uff43\uff45"]:
        place.get("/v2/alice/app/tags/list", name, password("alice")).expect(404, user="alice", source="ldap")
        identity = place.token(name, password("alice")).expect(200, user="alice").json()["refresh_token"]
        place.refresh(identity).expect(200, user="alice")
    place.start_with("failures = 0", rules="[auth.throttle]\nfailures = 3\n" + RULES)
    statuses = [place.get("/v2/", name, f"wrong {name}").status
                for name in ["bob", "BOB", " bob ", "\uff42\uff4f\uff42", "Bob", "bOb"]]
    expect(statuses == [401] * 3 + [429] * 3, f"{statuses}")
    place.get("/v2/", "bob", password("bob"), source=ELSEWHERE).expect(200, user="bob")


def refused(place):
    place.start_with()
    before = place.asked("BIND dn"), place.asked("SRCH base")
    place.get("/v2/", "alice", "").expect(401)
    place.get("/v2/", "alice", "a\0b").expect(401)
    expect((place.asked("BIND dn"), place.asked("SRCH base")) == before, "slapd was asked")
    for name in ["*", "*)(uid=*", "alice)(|(uid=*", "(", ")", "\\2a", "\\", "alice*"]:
        place.get("/v2/", name, password("alice")).expect(401, reason="there is no such user")
    place.get("/v2/", "second", password("two")).expect(401, reason="two values")


def binds(place):
    place.start_with()
    before, threads, statuses = place.binds("alice"), [], []

    def push():
        for _ in range(25):
            statuses.append(place.get("/v2/alice/app/tags/list", "alice", password("alice")).status)
    for _ in range(8):
        threads.append(threading.Thread(target=push))
        threads[-1].start()
    for thread in threads:
        thread.join()
    expect(set(statuses) == {404} and len(statuses) == 200, f"{statuses}")
    cost = place.binds("alice") - before
    expect(cost == 1, f"{cost} binds")
    note("200 requests in 8 threads: 1 bind")

    start = len(place.log("slapd"))
    taken = []
    with Kept(place) as kept:
        kept.get(basic("alice", password("alice")))
        remembered = [kept.get(basic("alice", password("alice")))[1] for _ in range(200)]
        for number in range(200):
            status, took = kept.get(basic(f"user{number}", password(f"user{number}")))
            expect(status == 200, f"{status}")
            taken.append(took)
    own = [float(took) for took in re.findall(r"etime=([0-9.]+)", place.log("slapd")[start:])]
    each = sum(own) / len(taken) * 1000
    middle, usual = statistics.median(taken), statistics.median(remembered)
    last = sorted(taken)[int(len(taken) * 0.99)]
    note(f"a login: median {middle:.2f} ms, p99 {last:.2f} ms; slapd's own time {each:.2f} ms; "
         f"a request with a remembered password {usual:.2f} ms")
    expect(middle - usual - each <= 5, "a login costs more than 5 ms over slapd's own time")


def locked(place):
    for last in range(100, 120):
        run("ip", "address", "add", f"192.0.2.{last}/32", "dev", "lo")
    place.start_with()
    place.get("/v2/", "alice", password("alice")).expect(200)
    seen = {}
    for number in range(100):
        status = place.get("/v2/", "alice", f"guess {number}", source=f"192.0.2.{100 + number % 20}").status
        seen[status] = seen.get(status, 0) + 1
        place.get("/v2/", "alice", password("alice")).expect(200)
    expect(not place.is_locked("alice"), "alice is locked")
    note(f"100 guesses for alice from 20 addresses: {seen}; she is not locked and stays in")
    place.start_with('filter = "(|(uid=${user})(cn=${user}))"\nuser_attribute = "cn"', base=BASE)
    before = place.asked(f'BIND dn="cn=searcher,{BASE}" method=128')
    for number in range(100):
        answer = place.get("/v2/", "searcher", f"guess {number}", source=f"192.0.2.{100 + number % 20}")
        expect(answer.status in [401, 429], f"{answer.status}")
    cost = place.asked(f'BIND dn="cn=searcher,{BASE}" method=128') - before
    expect(cost <= 4, f"{cost} binds as the account that searches")
    place.get("/v2/", "dora", password("dora")).expect(200, user="dora")
    note(f"100 guesses for the account that searches: it was bound {cost} times by tidegate itself; logins go on")


def away(place):
    place.start_with("timeout = \"2s\"", remembered="10s")
    place.get("/v2/", "alice", password("alice")).expect(200)
    place.stop("slapd")
    begun = time.monotonic()
    place.get("/v2/alice/app/tags/list", "alice", password("alice")).expect(404, user="alice")
    for number in range(12):
        answer = place.get("/v2/", "bob", f"guess {number}").expect(503)
        expect(answer.headers["Retry-After"] == "5", "no Retry-After")
    expect(time.monotonic() - begun < 9, "it took too long")
    wait_until(lambda: place.get("/v2/", "alice", password("alice")).status == 503, 15, "alice stays in for ever")
    place.start_slapd()
    took = wait_until(lambda: place.get("/v2/", "bob", password("bob")).status == 200, 5, "bob does not get in")
    note(f"slapd is stopped: 503, and nothing is counted; {took:.2f} s after it is back, bob is in")
    expect(took < 1, "it took more than a second")

    place.start_with("timeout = \"2s\"")
    place.get("/v2/", "alice", password("alice")).expect(200)
    run("kill", "-STOP", place.children["slapd"].pid)
    place.get("/v2/", "alice", password("alice")).expect(200)
    begun = time.monotonic()
    place.get("/v2/", "carol", password("carol")).expect(503)
    took = time.monotonic() - begun
    expect(took < 3, f"{took} s")
    run("kill", "-CONT", place.children["slapd"].pid)
    back = wait_until(lambda: place.get("/v2/", "carol", password("carol")).status == 200, 5, "carol does not get in")
    note(f"a silent slapd: 503 after {took:.2f} s; {back:.2f} s after it speaks again, carol is in")


def groups(place):
    rule = '[[access]]\nusers = ["@ldap:{0}"]\nrepositories = ["{0}/**"]\nactions = ["pull"]\n'
    rules = "".join(rule.format(name) for name in ["developers", "inner", "outer", "circle", "posix"])

    def groups_of(user):
        return [name for name in ["developers", "inner", "outer", "circle", "posix"]
                if place.get(f"/v2/{name}/app/tags/list", user, password(user)).status == 404]
    for more, user, wanted in [
        ("", "alice", ["developers"]),
        ("", "carol", ["inner"]),
        ("nested = 1", "carol", ["inner", "outer"]),
        ("nested = 2", "carol", ["inner", "outer", "circle"]),
        ("nested = 5", "carol", ["inner", "outer", "circle"]),
        ('group_filter = "(memberUid=${user})"', "bob", ["posix"]),
    ]:
        place.start_with(more, rules=rules, mode="basic")
        found = groups_of(user)
        expect(found == wanted, f"{more}: {user} is in {found}")
    note("groups of groupOfNames, nested ones, a circle and posixGroup")
    place.start_with()
    for name in ["alice", "ALICE"]:
        said = place.command("check", "--login", name, "--config", "proxy.toml", text=password("alice") + "\n")
        note("check --login: " + " | ".join(" ".join(line.split()) for line in said.splitlines()))


def revoked(place):
    place.start_with(remembered="2s")

    def identity(user):
        return place.token(user, password(user)).expect(200).json()["refresh_token"]
    alice, bob = identity("user1"), identity("user2")
    place.refresh(alice).expect(200, user="user1")
    place.admin(f"dn: uid=user1,{PEOPLE}\nchangetype: delete\n")
    took = wait_until(lambda: place.refresh(alice).status == 401, 5, "the login of a removed user goes on")
    note(f"a removed user's login ends after {took:.1f} s")
    place.refresh(bob).expect(200, user="user2")
    place.admin(f"dn: uid=user2,{PEOPLE}\nchangetype: modify\nreplace: userPassword\nuserPassword: another passw0rd\n")
    took = wait_until(lambda: place.refresh(bob).status == 401, 5, "the login goes on with another password")
    note(f"with a new password the login ends after {took:.1f} s")
    dora = identity("dora")
    scope = "repository:team/app:pull"

    def may_pull():
        token = place.refresh(dora, scope).expect(200).json()["token"]
        return place.get("/v2/team/app/tags/list", bearer=token).status != 401
    expect(not may_pull(), "dora is no developer")
    place.admin(f"dn: cn=developers,ou=groups,{BASE}\nchangetype: modify\nadd: member\nmember: uid=dora,{PEOPLE}\n")
    took = wait_until(may_pull, 5, "dora is no developer yet")
    note(f"a new group counts after {took:.1f} s")


def reload(place):
    """A wrong password of the account that searches keeps what runs, and is not tried again and again."""
    place.start_with()
    place.write("searcher", "another password", 0o600)
    wait_until(lambda: "not reloaded" in place.log("tidegate"), 15, "the file is not noticed")
    before = place.asked("err=49")
    place.get("/v2/", "user3", password("user3")).expect(200)
    time.sleep(25)  # longer than the pause between two attempts to reload
    expect(place.asked("err=49") == before, "the account is tried again")
    place.get("/v2/", "user4", password("user4")).expect(200)
    said = [line for line in place.log("tidegate").splitlines() if "refused" in line][-1]
    note(f"a wrong bind_password keeps what runs: {said[:300]}")
    place.write("searcher", SEARCHER, 0o600)
    wait_until(lambda: "reloaded" in place.log("tidegate").rsplit("not reloaded", 1)[1], 15, "it is not reloaded")
    place.get("/v2/", "user5", password("user5")).expect(200)


def key(place):
    """An identity token is a password for clients that keep passwords, and ends at once when it is revoked."""
    place.start_with()
    identity = place.token("alice", password("alice")).expect(200).json()["refresh_token"]
    place.start_docker()
    place.must("docker", "login", "-u", "alice", "--password-stdin", HOST, text=password("alice"))
    place.must("docker", "push", f"{HOST}/team/app:1")
    place.must("docker", "logout", HOST)
    place.must(*place.podman("login", "-u", "alice", "--password-stdin", HOST),
               text=identity)
    pull = place.podman("pull", f"{HOST}/team/app:1")
    place.must(*pull)
    place.get("/v2/team/app/tags/list", "alice", identity).expect(200, user="alice", source="token")
    place.get("/v2/", "bob", identity).expect(401)
    place.command("token", "revoke", "token.key", "alice")
    place.get("/v2/", "alice", identity).expect(401, reason="revoked")
    good, said = place.client(*pull)
    expect(not good and "revoked" in said, f"podman goes on: {said}")
    note(f"podman with an identity token as its password; revoked, it says: {said.strip().splitlines()[-1][:200]}")


def beside(place):
    """p99 of one who is in, by itself and beside each trouble. Requests come at a steady rate."""
    place.start_with('timeout = "3s"')
    place.get("/v2/", "alice", password("alice")).expect(200)
    alone = min(p99(place) for _ in range(3))
    note(f"alone: p99 {alone:.2f} ms")

    def wrong(stop):
        with Kept(place, ELSEWHERE) as kept:
            number = 0
            while not stop.is_set():
                number += 1
                kept.get(basic(f"user{number % 300}", f"guess {number}"))
    flooded = with_trouble(place, wrong, 8)
    note(f"beside a flood of wrong passwords: p99 {flooded:.2f} ms, {flooded / alone:.2f} times")

    run("kill", "-STOP", place.children["slapd"].pid)

    def silence(stop):
        number = 0
        while not stop.is_set():
            number += 1
            place.get("/v2/", f"user{number % 300}", f"new {number}", source=ELSEWHERE)
    silent = with_trouble(place, silence, 8)
    run("kill", "-CONT", place.children["slapd"].pid)
    note(f"beside a silent directory: p99 {silent:.2f} ms, {silent / alone:.2f} times")

    endless = Endless(place)
    place.start_with(f"""
[[auth.issuer]]
name = "endless"
url = "{endless.url}"
audience = ["anybody"]
require = {{ sub = "*" }}
ca = "ca/ca.crt"
""")
    place.get("/v2/", "alice", password("alice")).expect(200)
    usual = min(p99(place) for _ in range(3))

    def tokens(stop):
        with Kept(place, ELSEWHERE) as kept:
            number = 0
            while not stop.is_set():
                number += 1
                head = {"alg": "ES256", "kid": f"{number}"}
                claims = {"iss": endless.url, "sub": "a", "aud": "anybody", "exp": int(time.time()) + 60}
                parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
                         for part in [head, claims]]
                kept.get({"Authorization": f"Bearer {'.'.join(parts)}.c2ln"})
    asked = with_trouble(place, tokens, 8)
    note(f"beside an issuer that answers 1 GiB: p99 {asked:.2f} ms, {asked / usual:.2f} times; it has sent "
         f"{endless.sent >> 10} KiB to {endless.requests} requests")
    expect(max(flooded / alone, silent / alone, asked / usual) <= 2, "those who are in wait for others")


class Endless:
    """An issuer whose answers have 1 GiB."""

    def __init__(self, place):
        self.sent = self.requests = 0
        self.url = f"https://{NAME}:8443"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(place.work / "ldap/domain.crt", place.work / "ldap/domain.key")
        self.listener = context.wrap_socket(socket.create_server((NAME, 8443)), server_side=True)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
                self.requests += 1
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
                for _ in range(16384):
                    connection.sendall(bytes(65536))
                    self.sent += 65536
            except OSError:
                pass


def with_trouble(place, trouble, threads):
    stop, running = threading.Event(), []
    for _ in range(threads):
        running.append(threading.Thread(target=trouble, args=[stop]))
        running[-1].start()
    try:
        return min(p99(place) for _ in range(3))
    finally:
        stop.set()
        for thread in running:
            thread.join()


def p99(place):
    """Milliseconds, as tidegate's access log has them: the time of this script does not count."""
    before = len(place.lines())
    with Kept(place) as kept:
        for _ in range(1000):
            kept.get(basic("alice", password("alice")))
    lines = [line for line in place.lines()[before:] if line.get("user") == "alice"]
    taken = sorted(line["first_byte_ms"] - line["upstream_ms"] for line in lines)
    return taken[int(len(taken) * 0.99)]


class Kept:
    """A connection for many requests."""

    def __init__(self, place, source=ADDRESS):
        raw = socket.create_connection((ADDRESS, 443), timeout=30, source_address=(source, 0))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.tls = place.trust.wrap_socket(raw, server_hostname=HOST)

    def get(self, headers):
        """The status, and milliseconds."""
        start = time.perf_counter()
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.tls.sendall(f"GET /v2/ HTTP/1.1\r\nHost: {HOST}\r\n{lines}\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            read = self.tls.recv(65536)
            if not read:
                return 0, 0
            head += read
        head, _, body = head.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        while length and len(body) < int(length[1]):
            body += self.tls.recv(65536)
        return int(head.split()[1]), (time.perf_counter() - start) * 1000

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tls.close()


CASES = {"docker": docker, "spellings": spellings, "refused": refused, "binds": binds, "locked": locked,
         "away": away, "groups": groups, "revoked": revoked, "reload": reload, "key": key, "beside": beside}

if __name__ == "__main__":
    main(__file__, __doc__, Directory, CASES,
         ["slapd", "ldapsearch=ldap-utils", "docker-registry", "docker=docker.io", "podman", "tcpdump", "ip=iproute2"])
