#!/usr/bin/env python3
"""Runs Samba as the domain controller of an Active Directory, with tidegate beside it, and shows that its
users log in as they should.

  tests/directories/samba.py --root DIR [CASE...]         all cases, about two minutes
  tests/directories/samba.py --root DIR directory         what Samba itself answers, without tidegate

  --root DIR   a tree of debootstrap; made from bookworm if it is missing, and Samba is installed in it

Cases: directory, names (sAMAccountName and its spellings), groups (nested), refusals (disabled, locked and
other accounts), guesses (wrong passwords lock nobody), logins (what ends an identity token), away (the
controller is stopped).

Needs root, debootstrap, docker-registry and ldap-utils. Everything that it starts belongs to namespaces and
ends with them. After a failure the logs stay in the folder that it names.
"""

import base64
import re
import subprocess
import time

from place import ELSEWHERE, HOST, ROOT, Place, connects, expect, main, note, run, wait_until

CONTROLLER = "192.0.2.10"
NAME = "dc1.ad.test"
BASE = "dc=ad,dc=test"
ADMIN, SEARCHER = "The first passw0rd", "The searcher's passw0rd"
THRESHOLD = 5
USABLE = "(&(objectClass=user)(sAMAccountName=${user})(!(userAccountControl:1.2.840.113556.1.4.803:=2)))"
EVERY = "(&(objectClass=user)(sAMAccountName=${user}))"
NESTED = "(member:1.2.840.113556.1.4.1941:=${dn})"
PACKAGES = "samba samba-ad-provision samba-dsdb-modules samba-vfs-modules winbind"


class Controller(Place):
    def __init__(self, options):
        super().__init__(options)
        self.root = options.root

    @staticmethod
    def prepare_outside(options, work):
        if not options.root.is_dir():
            note(f"a tree of bookworm in {options.root}")
            run_long("debootstrap", "--variant=minbase", "bookworm", options.root)
        if not (options.root / "usr/sbin/samba").exists():
            note("Samba is installed there")
            install = f"apt-get -q update && apt-get -q -y --no-install-recommends install {PACKAGES} && apt-get clean"
            run_long("bash", "-c", '. "$1"; in_tree "$2" bash -c "$3"', "bash", ROOT / "tests/systemd/boot.sh",
                     options.root, install)

    def prepare(self):
        super().prepare()
        run("ip", "address", "add", f"{CONTROLLER}/32", "dev", "lo")
        run("hostname", "dc1")
        self.names({"localhost": "127.0.0.1", HOST: "192.0.2.1", f"{NAME} dc1": CONTROLLER})
        # With a subjectAltName, which Samba's own certificate does not have.
        self.command("cert", "server", "--ca", "ca", "--out", "dc", NAME)
        (self.work / "dc/domain.key").chmod(0o600)
        self.write("searcher", SEARCHER, 0o600)
        run("mount", "--bind", self.work, self.root / "srv")
        run("mount", "--bind", self.work / "hosts", self.root / "etc/hosts")
        run("mount", "--bind", "/proc", self.root / "proc")
        run("mount", "--rbind", "/dev", self.root / "dev")
        for folder in ["run", "tmp", "var/log"]:
            run("mount", "-t", "tmpfs", "tmpfs", self.root / folder)
        for folder in ["run/samba", "var/log/samba"]:
            (self.root / folder).mkdir()
        start = time.monotonic()
        self.inside("samba-tool", "domain", "provision", "--realm=AD.TEST", "--domain=AD", "--server-role=dc",
                    "--dns-backend=NONE", "--host-name=dc1", f"--host-ip={CONTROLLER}", f"--adminpass={ADMIN}",
                    "--targetdir=/srv/domain", "--option=interfaces = lo", "--option=bind interfaces only = yes",
                    "--option=tls certfile = /srv/dc/domain.crt", "--option=tls keyfile = /srv/dc/domain.key",
                    "--option=tls cafile = /srv/ca/ca.crt", "--option=dns update command = /bin/true")
        self.tool("domain", "passwordsettings", "set", f"--account-lockout-threshold={THRESHOLD}",
                  "--account-lockout-duration=30", "--reset-account-lockout-after=30", "--min-pwd-age=0")
        for user in ["alice", "bob", "dora", "lou", "eve", "max"]:
            self.tool("user", "create", user, password(user))
        self.tool("user", "create", "tidegate", SEARCHER)
        for group in ["dev", "staff"]:
            self.tool("group", "add", group)
        self.tool("group", "addmembers", "dev", "alice")
        self.tool("group", "addmembers", "staff", "dev")
        self.tool("user", "disable", "dora")
        self.tool("user", "setexpiry", "eve", "--days=-1")
        self.tool("user", "setpassword", "max", f"--newpassword={password('max')}", "--must-change-at-next-login")
        self.start_controller()
        note(f"the controller stands after {time.monotonic() - start:.0f} s")

    def start_controller(self):
        self.start("samba", ["chroot", self.root, "samba", "--interactive", "--debug-stdout",
                             "--configfile=/srv/domain/etc/smb.conf"])
        wait_until(lambda: connects(CONTROLLER, 636) and self.search(("administrator", ADMIN))[0] == 0, 60,
                   "Samba does not start")

    def inside(self, *command):
        return run("chroot", self.root, "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", *command)

    def tool(self, *command):
        return self.inside("samba-tool", *command, "--configfile=/srv/domain/etc/smb.conf")

    def search(self, login, filter="(objectClass=*)", *attributes, base="", url=f"ldaps://{NAME}"):
        """What ldapsearch answers to a simple bind: its code and its text."""
        scope = "sub" if base else "base"
        done = subprocess.run(["ldapsearch", "-LLL", "-x", "-o", "ldif-wrap=no", "-o", "nettimeout=5", "-H", url,
                               "-D", f"{login[0]}@ad.test", "-w", login[1], "-b", base, "-s", scope, filter,
                               *attributes], text=True, capture_output=True, timeout=30,
                              env={"PATH": "/usr/bin", "LDAPTLS_CACERT": str(self.work / "ca/ca.crt")})
        return done.returncode, done.stdout + done.stderr

    def attribute(self, user, name):
        code, text = self.search(("administrator", ADMIN), f"(sAMAccountName={user})", name, base=BASE)
        expect(code == 0, text)
        found = re.search(rf"(?m)^{name}::? (.*)$", text)
        return found[1] if found else "0"

    def set_password(self, user, text):
        self.tool("user", "setpassword", user, f"--newpassword={text}")

    def start_with(self, filter=USABLE, group_filter=NESTED, nested=0, remembered="3s", scheme="ldaps"):
        self.start_tidegate(f"""
htpasswd = ""
cache_ttl = "{remembered}"
[auth.throttle]
failures = 1000
[auth.ldap]
servers = ["{scheme}://{NAME}"]
ca = "ca/ca.crt"
bind_dn = "CN=tidegate,CN=Users,DC=ad,DC=test"
bind_password = "searcher"
base = "{BASE}"
filter = "{filter}"
user_attribute = "sAMAccountName"
group_base = "{BASE}"
group_filter = "{group_filter}"
nested = {nested}
[[access]]
users = ["@ldap:staff"]
repositories = ["staff/**"]
actions = ["pull", "push"]
[[access]]
users = ["*"]
repositories = ["${{user}}/**"]
actions = ["pull", "push"]
""")


def password(user):
    return f"{user}'s 1st Password"


def run_long(*command):
    subprocess.run([str(word) for word in command], check=True, timeout=900, stdout=subprocess.DEVNULL)


# What Samba itself answers: the facts that tidegate relies on.


def directory(dc):
    codes = [("alice", 0, ""), ("dora", 49, "data 533"), ("eve", 49, "data 701"), ("max", 49, "data 773")]
    for user, code, data in codes:
        said = dc.search((user, password(user)))
        note(f"{user}: {said[0]} {last_line(said[1]) if said[0] else ''}")
        expect(said[0] == code and data in said[1], f"{user}: {said}")
    wrong = dc.search(("alice", "wrong"))
    note(f"wrong password: {wrong[0]} {last_line(wrong[1])}")
    expect(wrong[0] == 49 and "data 52e" in wrong[1], f"{wrong}")
    nobody = dc.search(("nobody", "wrong"))
    note(f"nobody: {nobody[0]} {last_line(nobody[1])}")
    for _ in range(THRESHOLD):
        dc.search(("lou", "wrong"))
    locked = dc.search(("lou", password("lou")))
    note(f"locked: {locked[0]} {last_line(locked[1])}")
    expect(locked[0] == 49 and "data 775" in locked[1], f"{locked}")
    dc.tool("user", "unlock", "lou")
    plain = dc.search(("alice", password("alice")), url=f"ldap://{NAME}")
    note(f"without TLS: {plain[0]} {last_line(plain[1])}")
    expect(plain[0] == 8, f"{plain}")
    nested = NESTED.replace("${dn}", f"CN=alice,CN=Users,{BASE}")
    code, text = dc.search(("tidegate", SEARCHER), nested, "cn", base=BASE)
    groups = sorted(re.findall(r"(?m)^cn: (.*)$", text))
    note(f"nested groups of alice: {groups}")
    expect({"dev", "staff"} <= set(groups), text)
    for name in ["objectGUID", "pwdLastSet", "badPwdCount", "lockoutTime"]:
        note(f"{name} of alice: {dc.attribute('alice', name)}")


def last_line(text):
    return text.strip().splitlines()[-1] if text.strip() else ""


# What tidegate makes of it.


def names(dc):
    # Once with STARTTLS.
    for scheme in ["ldap", "ldaps"]:
        dc.start_with(scheme=scheme)
        for spelling in ["alice", "ALICE", "alice "]:
            dc.get("/v2/", spelling, password("alice")).expect(200, user="alice", source="ldap")
    # Samba does not find full-width letters, and the filter finds no other names of a user.
    for name in ["ａｌｉｃｅ", "alice@ad.test", "nobody", "*", "al*", "alice)(cn=*"]:
        dc.get("/v2/", name, password("alice")).expect(401, user=None, source="ldap")
    dc.get("/v2/", "alice", "").expect(401)
    expect(dc.attribute("alice", "badPwdCount") == "0", "an empty password was sent to the controller")


def groups(dc):
    for filter, nested, allowed in [(NESTED, 0, True), ("(member=${dn})", 2, True), ("(member=${dn})", 0, False)]:
        dc.start_with(group_filter=filter, nested=nested)
        answer = dc.get("/v2/staff/app/tags/list", "alice", password("alice"))
        answer.expect(404 if allowed else 403, user="alice")
        dc.get("/v2/staff/app/tags/list", "bob", password("bob")).expect(403, user="bob")
        dc.get("/v2/alice/app/tags/list", "ALICE", password("alice")).expect(404, user="alice")
    shown = dc.command("check", "--config", "proxy.toml", "--login", "ALICE", text=password("alice"))
    note(f"tidegate check --login ALICE:\n{shown.strip()}")
    expect("CN=alice,CN=Users,DC=ad,DC=test" in shown and "dev" in shown, "it does not show entry and groups")
    dc.start_with()
    shown = dc.command("check", "--config", "proxy.toml", text="")
    note(f"tidegate check: {shown.strip()}")


def refusals(dc):
    dc.start_with(filter=EVERY)
    for _ in range(THRESHOLD):
        dc.search(("lou", "wrong"))
    wrong = dc.get("/v2/", "alice", "wrong").expect(401)
    reasons = {"dora": "disabled", "lou": "locked", "eve": "expired", "max": "password"}
    for user, reason in reasons.items():
        answer = dc.get("/v2/", user, password(user)).expect(401, source="ldap", reason=reason)
        note(f"{user}: {answer.line['reason']}")
        expect(answer.text.replace(user, "alice") == wrong.text, f"the answer tells {user} apart: {answer.text}")
    dc.tool("user", "unlock", "lou")
    dc.start_with(filter=USABLE)
    answer = dc.get("/v2/", "dora", password("dora")).expect(401, source="ldap")
    note(f"dora, whom the filter leaves out: {answer.line['reason']}")


def guesses(dc):
    """A hundred wrong passwords from two addresses do not reach the threshold of the controller."""
    dc.start_with(remembered="5m")
    dc.get("/v2/", "bob", password("bob")).expect(200)
    seen = []
    for guess in range(100):
        source = {"source": ELSEWHERE} if guess % 2 else {}
        seen.append(dc.get("/v2/", "BOB" if guess % 3 else "bob", f"guess {guess}", **source).status)
    note(f"answers: { {status: seen.count(status) for status in sorted(set(seen))} }")
    counted = int(dc.attribute("bob", "badPwdCount"))
    note(f"wrong passwords that the controller has counted: {counted}")
    expect(0 < counted < THRESHOLD and dc.attribute("bob", "lockoutTime") == "0", "bob is locked")
    dc.get("/v2/", "bob", password("bob")).expect(200)
    for guess in range(100):
        dc.get("/v2/", "tidegate", f"guess {guess}")
    expect(dc.attribute("tidegate", "badPwdCount") == "0", "wrong passwords of the search account were sent")
    dc.get("/v2/", "alice", password("alice")).expect(200)


def logins(dc):
    dc.start_with()
    scope = "repository:staff/app:pull,push"

    def login(user):
        answer = dc.token(user, password(user)).expect(200, user=user).json()
        dc.refresh(answer["refresh_token"]).expect(200, user=user)
        return answer["refresh_token"]

    def granted(identity_token):
        payload = dc.refresh(identity_token, scope).expect(200).json()["token"].split(".")[1]
        return b"push" in base64.urlsafe_b64decode(payload + "===")

    def ended(identity_token):
        return dc.refresh(identity_token).status == 401

    alice = login("alice")
    expect(granted(alice), "alice has no right to push")
    dc.tool("group", "removemembers", "staff", "dev")
    note(f"a changed group counts after {wait_until(lambda: not granted(alice), 10, 'it does not count'):.1f} s")
    dc.tool("group", "addmembers", "staff", "dev")
    wait_until(lambda: granted(alice), 10, "a group does not come back")

    # As a password it is a key, for its own user only.
    dc.get("/v2/", "alice", alice).expect(200, user="alice")
    dc.get("/v2/", "bob", alice).expect(401, user=None)

    dc.set_password("alice", "Another passw0rd")
    note(f"a new password ends it after {wait_until(lambda: ended(alice), 10, 'it does not end'):.1f} s")
    dc.get("/v2/", "alice", "Another passw0rd").expect(200)
    dc.get("/v2/", "alice", alice).expect(401, user=None)
    # The controller itself accepts the old one for an hour, unless it is told otherwise.
    note(f"with the old password: {dc.get('/v2/', 'alice', password('alice')).status}")
    dc.set_password("alice", "A third passw0rd")
    dc.set_password("alice", password("alice"))

    bob = login("bob")
    dc.tool("user", "disable", "bob")
    note(f"a disabled account ends it after {wait_until(lambda: ended(bob), 10, 'it does not end'):.1f} s")
    dc.get("/v2/", "bob", password("bob")).expect(401)
    dc.tool("user", "enable", "bob")


def away(dc):
    dc.start_with(remembered="5m")
    dc.get("/v2/", "alice", password("alice")).expect(200)
    dc.stop("samba")
    start = time.monotonic()
    for name, secret in [("bob", password("bob")), ("alice", "wrong")]:
        answer = dc.get("/v2/", name, secret).expect(503, source="ldap")
        expect("Retry-After" in answer.headers, f"{answer.headers}")
    expect(time.monotonic() - start < 8, "the answers came late")
    dc.get("/v2/", "alice", password("alice")).expect(200)
    dc.start_controller()
    took = wait_until(lambda: dc.get("/v2/", "bob", password("bob")).status == 200, 5, "bob is not let in again")
    note(f"bob is in {took:.1f} s after the controller")
    expect(dc.attribute("alice", "badPwdCount") == "0", "something was counted")


CASES = {"directory": directory, "names": names, "groups": groups, "refusals": refusals, "guesses": guesses,
         "logins": logins, "away": away}

if __name__ == "__main__":
    main(__file__, __doc__, Controller, CASES,
         ["debootstrap", "docker-registry", "ldapsearch=ldap-utils", "ip=iproute2"],
         [("--root", "a tree of debootstrap")])
