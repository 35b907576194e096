#!/usr/bin/env python3
"""Runs oidc-provider, an OpenID Connect issuer, with tidegate beside it, and shows who signs in with which
tokens: as GitLab, GitHub and Kubernetes make them, and as nobody should make them.

  tests/directories/issuer.py [CASE...]     all cases, about two minutes
  tests/directories/issuer.py alone         the issuer itself, without tidegate

Cases: alone, docker (a job that outlives its token), ways (other clients and other ways), refused (wrong
tokens), systems (GitHub and Kubernetes, and a token that the provider signs itself), keys (rotated, made
up, away), two (issuers beside each other, and an htpasswd).

Needs root, node, npm, docker-registry, docker, podman, skopeo and curl. The packages of npm go into a
folder of this run. Everything that it starts belongs to namespaces and ends with them. After a failure the
logs stay in the folder that it names.
"""

import base64
import http.client
import json
import pathlib
import shutil
import socket
import subprocess
import time

from place import ADDRESS, HOST, Failed, Place, connects, expect, main, note, run, wait_until
from provider import Issuer, Listener, github, gitlab, header, kubernetes, own_token

PACKAGES = ["oidc-provider@9.13.3", "jose@6.2.18"]
GITLAB, OTHER = "gitlab.test", "other.test"
MADE_UP = 10_000
LEEWAY = 60
APART = 30  # seconds between two fetches of keys, at least
GITLAB_RULES = """
[[access]]
users = ["gitlab:*"]
repositories = ["${user}/**"]
actions = ["pull", "push"]
"""
CAROL = "carol's own password"


def rule(users, repositories):
    return f'[[access]]\nusers = ["{users}"]\nrepositories = ["{repositories}"]\nactions = ["pull"]\n'


class Issuers(Place):
    @staticmethod
    def prepare_outside(options, work):
        (work / "issuer").mkdir()
        script = pathlib.Path(__file__).with_name("issuer.mjs")
        shutil.copy(script, work / "issuer")
        # What npm says of the version of node is in the log of the issuer too.
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error",
                        "--prefix", work / "issuer", *PACKAGES], check=True, timeout=300, stdout=subprocess.DEVNULL)

    def prepare(self):
        super().prepare()
        addresses = {"localhost": "127.0.0.1", HOST: ADDRESS}
        for index, name in enumerate([GITLAB, OTHER]):
            addresses[name] = f"192.0.2.{20 + index}"
            run("ip", "address", "add", f"{addresses[name]}/32", "dev", "lo")
        self.names(addresses)
        for name in [GITLAB, OTHER]:
            self.command("cert", "server", "--ca", "ca", "--out", name, name)
            for old, new in [("domain.crt", "server.crt"), ("domain.key", "server.key")]:
                (self.work / name / old).rename(self.work / name / new)
        self.command("htpasswd", "add", "--cost", "4", "htpasswd", "carol", text=CAROL)
        self.write("secret", "the password of the searcher", 0o600)
        # Whoever connects to the directory has been sent a token as a password.
        self.directory = Listener("127.0.0.1", 636)
        self.gitlab, self.other = Issuer(self, GITLAB), Issuer(self, OTHER)
        self.trust_in_docker()

    def start_with(self, more="", mode="token", login_ttl="1h", first="", rules=GITLAB_RULES):
        self.start_tidegate(f"""
htpasswd = "htpasswd"
{first}
[[auth.issuer]]
name = "gitlab"
url = "{self.gitlab.url}"
audience = ["https://{HOST}", "another"]
require = {{ namespace_id = "72", ref_protected = "true" }}
user = "${{project_path}}"
groups = "groups_direct"
ca = "ca/ca.crt"
login_ttl = "{login_ttl}"
{more}
{rules}""", mode)


# The cases.


def alone(place):
    """The facts about the provider that tidegate relies on."""
    def get(path):
        connection = http.client.HTTPSConnection(GITLAB, 8443, context=place.trust, timeout=10)
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer, json.loads(answer.read())

    answer, discovery = get("/.well-known/openid-configuration")
    expect(discovery["issuer"] == place.gitlab.url, f"{discovery}")
    expect(discovery["jwks_uri"] == f"{place.gitlab.url}/jwks", f"{discovery}")
    answer, keys = get("/jwks")
    note(f"keys: {answer.headers['Content-Type']}, Cache-Control {answer.headers['Cache-Control']}")
    before = [key["kid"] for key in keys["keys"]]
    place.gitlab.ask("rotate", kid="alone")
    expect([key["kid"] for key in get("/jwks")[1]["keys"]] == ["alone", *before], "the new key is not the first")
    expect(header(own_token(place))["kid"] == "alone", "the provider does not sign with the first key")
    note(f"a token of a job: {len(place.gitlab.job())} bytes")


def docker(place):
    """A job logs in, pushes, outlives its token, and ends with `login_ttl`."""
    place.start_docker()
    login_ttl = 30
    place.start_with(login_ttl=f"{login_ttl}s")
    # Within the leeway for a few more seconds.
    token = place.gitlab.job({"exp": int(time.time()) - LEEWAY + 8})
    start = time.monotonic()
    place.must("docker", "login", "-u", "oidc", "--password-stdin", HOST, text=token)
    kept = json.loads((place.work / "home/docker/config.json").read_text())["auths"][HOST]
    expect(kept.get("identitytoken"), f"docker keeps {list(kept)}")
    expect(token not in json.dumps(kept) + base64.b64decode(kept["auth"]).decode(), "docker keeps the token")
    place.must("docker", "push", f"{HOST}/team/app:1")
    good, said = place.client("docker", "push", f"{HOST}/elsewhere/app:1")
    expect(not good and "denied" in said, said)
    wait_until(lambda: place.get("/v2/", "oidc", token).status == 401, LEEWAY, "the token of the job does not expire")
    place.must("docker", "push", f"{HOST}/team/app:1")
    note(f"docker pushes {time.monotonic() - start:.0f} s after its login; its token has expired")
    users = {line.get("user") for line in place.lines() if line["method"] in ("PUT", "PATCH")}
    expect(users == {"gitlab:team/app"}, f"users of pushes: {users}")
    wait_until(lambda: place.refresh(kept["identitytoken"]).status == 401, login_ttl + 10, "the login does not end")
    expect(time.monotonic() - start > login_ttl - 2, "the login ended early")
    good, said = place.client("docker", "push", f"{HOST}/team/app:1")
    expect(not good, "docker pushes after the end of its login")
    note(f"after {time.monotonic() - start:.0f} s docker says: {said.strip().splitlines()[-1]}")


def ways(place):
    """One token in every way, in both modes."""
    place.start_docker()
    image = f"{HOST}/team/app"
    for mode in ["token", "basic"]:
        place.start_with(mode=mode)
        token = place.gitlab.job()
        for user in ["oidc", "gitlab", "carol"]:
            place.get("/v2/", user, token).expect(200, user="gitlab:team/app", source="gitlab")
        place.get("/v2/", bearer=token).expect(200, user="gitlab:team/app", source="gitlab")
        place.get("/v2/elsewhere/app/tags/list", bearer=token).expect(403, user="gitlab:team/app")
        place.must("docker", "login", "-u", "oidc", "--password-stdin", HOST, text=token)
        place.must("docker", "push", f"{image}:1")
        for client in ["podman", "skopeo"]:
            login = ["login", "-u", "oidc", "--password-stdin", HOST]
            place.must(*(place.podman(*login) if client == "podman" else [client, *login]), text=token)
            if client == "skopeo":
                place.must("skopeo", "copy", f"docker://{image}:1", f"docker://{image}:skopeo")
            else:
                place.must(*place.podman("pull", f"{image}:1"))
                place.must(*place.podman("push", f"{image}:1", f"docker://{image}:podman"))
        curl = ["curl", "--silent", "--show-error", "--fail", "--cacert", "ca/ca.crt"]
        listed = f"https://{HOST}/v2/team/app/tags/list"
        for login in [["--user", f"oidc:{token}"], ["--header", f"Authorization: Bearer {token}"]]:
            tags = json.loads(place.must(*curl, *login, listed))["tags"]
            expect(sorted(tags) == ["1", "podman", "skopeo"], f"{tags}")
        many = [f"company/division-{index:03}/team-of-many-words" for index in range(200)]
        long = place.gitlab.job({"groups_direct": many})
        place.get("/v2/", "oidc", long).expect(200, user="gitlab:team/app")
        place.get("/v2/", bearer=long).expect(200, user="gitlab:team/app")
        place.must(*place.podman("logout", "--all"))
        note(f"mode {mode}: passed; a long token has {len(long)} bytes")
    place.start_with(rules=GITLAB_RULES + rule("@gitlab:team/leads", "leads/**"))
    place.get("/v2/leads/app/tags/list", bearer=place.gitlab.job()).expect(404, user="gitlab:team/app")
    outside = place.gitlab.job({"groups_direct": ["ops"]})
    place.get("/v2/leads/app/tags/list", bearer=outside).expect(403, user="gitlab:team/app")


def refused(place):
    """Nobody gets in with a wrong token, and no directory is told one."""
    directory = """
[auth.ldap]
servers = ["ldaps://localhost:636"]
ca = "ca/ca.crt"
bind_dn = "cn=searcher"
bind_password = "secret"
base = "dc=test"
"""
    place.start_with(first="[auth.throttle]\nfailures = 0", more=directory)
    now = int(time.time())
    good = place.gitlab.job()
    wrong = {
        "another audience": place.gitlab.job({"aud": "https://elsewhere.test"}),
        "an audience that begins like ours": place.gitlab.job({"aud": f"https://{HOST}.evil.test"}),
        "no audience": place.gitlab.job({"aud": None}),
        "a number as audience": place.gitlab.job({"aud": 7}),
        "an audience in an object": place.gitlab.job({"aud": {"0": f"https://{HOST}"}}),
        "another issuer": place.gitlab.job({"iss": "https://elsewhere.test"}),
        "the issuer with a slash": place.gitlab.job({"iss": place.gitlab.url + "/"}),
        "the issuer in a list": place.gitlab.job({"iss": [place.gitlab.url]}),
        "expired": place.gitlab.job({"exp": now - LEEWAY - 1}),
        "no exp": place.gitlab.job({"exp": None}),
        "exp as a text": place.gitlab.job({"exp": str(now + 300)}),
        "not before": place.gitlab.job({"nbf": now + LEEWAY + 30}),
        "issued later": place.gitlab.job({"iat": now + LEEWAY + 30}),
        "no subject": place.gitlab.job({"sub": None}),
        "another namespace": place.gitlab.job({"namespace_id": "73"}),
        "the namespace as a number": place.gitlab.job({"namespace_id": 72}),
        "no namespace": place.gitlab.job({"namespace_id": None}),
        "an unprotected branch": place.gitlab.job({"ref_protected": "false"}),
        "true instead of a text": place.gitlab.job({"ref_protected": True}),
        "no name of the project": place.gitlab.job({"project_path": None}),
        "a list as the name": place.gitlab.job({"project_path": ["team/app"]}),
        "a key that is not published": place.gitlab.job(by="strange"),
        "the same, with a kid of ours": place.gitlab.job(by="strange", kid=header(good)["kid"]),
        "no signature": place.gitlab.job(alg="none"),
        "HMAC with the public key": place.gitlab.job(alg="HS256"),
        "another payload": ".".join([good.split(".")[0], place.gitlab.job({"project_path": "team/other"}).split(".")[1],
                                     good.split(".")[2]]),
        "half a signature": good[:-20],
    }
    # The keys are known before the first wrong token.
    wait_until(lambda: place.get("/v2/", bearer=good).status == 200, 5, "a right token is refused")
    failures = []
    for what, token in wrong.items():
        for way, answer in [("password", place.get("/v2/", "oidc", token)), ("Bearer", place.get("/v2/", bearer=token)),
                            ("login", place.token("oidc", token))]:
            try:
                answer.expect(401, user=None)
                told = [claim for claim in ["73", "elsewhere.test", "evil"] if claim in answer.line.get("reason", "")]
                expect(not told, f"the log holds the value of a claim: {answer.line['reason']}")
            except Failed as failed:
                failures.append(f"{what}, as {way}: {failed}")
        note(f"{what}: {answer.line.get('reason')}")
    late = place.gitlab.job({"exp": int(time.time()) - LEEWAY + 10})
    place.get("/v2/", bearer=late).expect(200)
    expect(place.directory.count == 0, "a token was sent to the directory")
    # The directory is asked about names that are neither tokens nor in the htpasswd.
    place.get("/v2/", "somebody", "a password").expect(503, source="ldap")
    expect(place.directory.count > 0, "the directory is never asked")
    expect(not failures, "\n".join(failures))


def systems(place):
    place.write("cluster.json", json.dumps(place.other.ask("jwks")))
    before = place.other.ask("counts")
    more = f"""
[[auth.issuer]]
name = "cluster"
url = "{place.other.url}"
keys = "cluster.json"
audience = ["https://{HOST}"]
require = {{ "/kubernetes.io/namespace" = ["shop", "prod-*"] }}
user = "${{/kubernetes.io/namespace}}/${{/kubernetes.io/serviceaccount/name}}"
"""
    place.start_with(more, rules=GITLAB_RULES + rule("cluster:shop/web", "shop/**"))
    pod = kubernetes(place.other.url)
    token = place.other.mint(pod)
    place.get("/v2/shop/app/tags/list", bearer=token).expect(404, user="cluster:shop/web", source="cluster")
    place.get("/v2/team/app/tags/list", bearer=token).expect(403, user="cluster:shop/web")
    pod["kubernetes.io"]["namespace"] = "test"
    place.get("/v2/", bearer=place.other.mint(pod)).expect(401, user=None)
    expect(place.other.ask("counts") == before, "keys of a file were fetched")

    place.start_tidegate(f"""
htpasswd = "htpasswd"
[[auth.issuer]]
name = "github"
url = "{place.gitlab.url}"
audience = ["https://{HOST}"]
require = {{ repository_owner_id = "65", repository_id = ["74", "75"], environment = "prod" }}
user = "${{repository}}"
ca = "ca/ca.crt"
[[access]]
users = ["github:*"]
repositories = ["${{user}}/**"]
actions = ["pull", "push"]
""")
    job = github(place.gitlab.url)
    # Its token says nothing of groups; a new `sub` changes nothing.
    answer = place.get("/v2/octo-org/octo-repo/tags/list", bearer=place.gitlab.mint(job))
    answer.expect(404, user="github:octo-org/octo-repo")
    wrong = [("environment", None), ("environment", "test"), ("repository_id", "76"), ("repository_owner_id", "66")]
    for changes in [{claim: value} for claim, value in wrong]:
        place.get("/v2/", bearer=place.gitlab.mint(job | changes)).expect(401, user=None)

    place.start_tidegate(f"""
htpasswd = "htpasswd"
[[auth.issuer]]
name = "own"
url = "{place.gitlab.url}"
audience = ["https://{HOST}"]
require = {{ client_id = "workload" }}
ca = "ca/ca.crt"
[[access]]
users = ["own:workload"]
repositories = ["team/**"]
actions = ["pull"]
""")
    place.get("/v2/", bearer=own_token(place)).expect(200, user="own:workload")
    place.get("/v2/", bearer=own_token(place, "https://elsewhere.test")).expect(401, user=None)


def keys(place):
    place.start_with(first="[auth.throttle]\nfailures = 0")
    old = place.gitlab.job()
    wait_until(lambda: place.get("/v2/", bearer=old).status == 200, 5, "a right token is refused")

    before, start = place.gitlab.ask("counts"), time.monotonic()
    statuses = flood(place, MADE_UP)
    after, took = place.gitlab.ask("counts"), time.monotonic() - start
    fetched = after["keys"] - before["keys"]
    note(f"{MADE_UP} tokens with made-up keys in {took:.0f} s: {statuses}; keys were fetched {fetched} times")
    expect(fetched <= 1 + took / APART, "they were fetched too often")
    place.get("/v2/", bearer=place.gitlab.job()).expect(200)

    # Keys are not fetched more often, whoever asks.
    pause = time.monotonic() + APART + 1
    wait_until(lambda: time.monotonic() > pause, APART + 5, "the clock stands still")
    place.gitlab.ask("rotate", kid="second", alg="ES256")
    new, start = place.gitlab.job(), time.monotonic()
    place.get("/v2/", bearer=new).expect(200)
    took = time.monotonic() - start
    note(f"the first token of a new key is accepted after {took:.3f} s")
    expect(took < 3, "a new key came late")
    place.get("/v2/", bearer=place.gitlab.job(by="first")).expect(200)

    fresh = place.gitlab.job({"jti": "another"})
    place.stop(GITLAB)
    expect(not connects(GITLAB, 8443), "the issuer is still there")
    for token in [new, fresh]:
        place.get("/v2/", bearer=token).expect(200)
    note("the issuer is away: tokens of known keys are accepted")

    # A start without the issuer: no keys at all.
    start = time.monotonic()
    place.start_with()
    note(f"a start without the issuer takes {time.monotonic() - start:.1f} s")
    answer = place.get("/v2/", bearer=fresh).expect(503)
    expect("Retry-After" in answer.headers, f"{answer.headers}")
    place.get("/v2/", "carol", CAROL).expect(200, source="htpasswd")
    place.gitlab.start()
    took = wait_until(lambda: place.get("/v2/", bearer=fresh).status == 200, 45, "keys are not fetched")
    note(f"{took:.1f} s after the issuer is back, its tokens are accepted")


def flood(place, number):
    """Tokens of one connection whose keys the issuer does not have."""
    token = place.gitlab.job(kid="KID").split(".")
    raw = socket.create_connection((ADDRESS, 443), timeout=30)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    seen = {}
    with raw, place.trust.wrap_socket(raw, server_hostname=HOST) as tls:
        connection = http.client.HTTPSConnection(HOST)
        connection.sock = tls
        for index in range(number):
            head = json.dumps({"alg": "ES256", "kid": f"made-up-{index}"}).encode()
            token[0] = base64.urlsafe_b64encode(head).decode().rstrip("=")
            connection.request("GET", "/v2/", headers={"Authorization": "Bearer " + ".".join(token)})
            answer = connection.getresponse()
            answer.read()
            seen[answer.status] = seen.get(answer.status, 0) + 1
            expect(answer.status != 200, "a token with a made-up key is accepted")
    return seen


def two(place):
    """Each issuer speaks for its own jobs only."""
    more = f"""
[[auth.issuer]]
name = "other"
url = "{place.other.url}"
audience = ["https://{HOST}"]
require = {{ project_path = "**" }}
user = "${{project_path}}"
ca = "ca/ca.crt"
"""
    place.start_with(more, rules=GITLAB_RULES + rule("*", "shared/**") + rule("carol", "carol/**"))
    place.get("/v2/", bearer=place.other.job()).expect(200, user="other:team/app", source="other")
    place.get("/v2/team/app/tags/list", bearer=place.other.job()).expect(403, user="other:team/app")
    # Signed by one, in the name of the other.
    for signer, named in [(place.gitlab, place.other), (place.other, place.gitlab)]:
        kid = named.ask("jwks")["keys"][0]["kid"]
        for options in [{}, {"kid": kid}]:
            token = signer.mint(gitlab(named.url), **options)
            place.get("/v2/", bearer=token).expect(401, user=None)
            place.get("/v2/", "carol", token).expect(401, user=None)
    carol = place.other.job({"project_path": "carol", "sub": "carol"})
    place.get("/v2/carol/app/tags/list", bearer=carol).expect(403, user="other:carol")
    place.get("/v2/carol/app/tags/list", "carol", carol).expect(403, user="other:carol")
    place.get("/v2/shared/app/tags/list", bearer=carol).expect(403, user="other:carol")
    place.get("/v2/shared/app/tags/list", "carol", CAROL).expect(404, user="carol", source="htpasswd")
    identity = place.token("carol", carol).expect(200, user="other:carol").json()["refresh_token"]
    place.refresh(identity).expect(200, user="other:carol")
    # It is the login of the job, whatever the user name says.
    answer = place.token("carol", identity, scope="repository:carol/app:pull").expect(200, user="other:carol")
    place.get("/v2/carol/app/tags/list", bearer=answer.json()["token"]).expect(401, user="other:carol")


CASES = {"alone": alone, "docker": docker, "ways": ways, "refused": refused, "systems": systems, "keys": keys,
         "two": two}

if __name__ == "__main__":
    main(__file__, __doc__, Issuers, CASES,
         ["node=nodejs", "npm", "docker-registry", "docker=docker.io", "podman", "skopeo", "curl", "ip=iproute2"])
