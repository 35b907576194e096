#!/usr/bin/env python3
"""Runs three tidegates in network namespaces behind Debian's haproxy, with one Redis or Valkey that they
share, and shows that they behave as one.

  tests/replicas/replicas.py [CASE...]                       all cases, about ten minutes
  tests/replicas/replicas.py --tidegate target/release/tidegate throttle revocation
  tests/replicas/replicas.py --engine "chroot /srv/trixie valkey-server"

Cases: throttle (1,000 wrong passwords), revocation, tags (100 pushes of one new immutable tag through two
replicas), directory (an ACME order, whose holder is killed), rolling (all are restarted under load), engine
(it is killed and started again under load). The engine is watched by MONITOR all the time: at the end,
nothing secret may have been seen.

Needs root, docker-registry, redis-server, haproxy, pebble, skopeo and curl. Everything that it starts
belongs to namespaces and ends with them. After a failure the logs stay in the folder that it names.
"""

import argparse
import base64
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.parse

import load
from load import MANIFEST, Load, digest, manifest
from place import ELSEWHERE, HERE, HOST, REPLICAS, USER, Failed, Place, basic, connects, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
GUESSES = 1000
PUSHES = 100
ONLY = {name: 4431 + index for index, name in enumerate(REPLICAS)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tidegate", default=ROOT / "target/debug/tidegate", type=pathlib.Path)
    parser.add_argument("--engine", default="redis-server", help="the command that starts Redis or Valkey")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="; ".join(CASES))
    options = parser.parse_args()
    unknown = [case for case in options.cases if case not in CASES]
    if unknown:
        parser.error(f"unknown case {unknown[0]}; there are {', '.join(CASES)}")
    if options.inside:
        options.work = options.inside
        sys.exit(0 if run_cases(options) else 1)
    if os.geteuid() != 0:
        sys.exit("tests/replicas/replicas.py needs root, for network namespaces")
    options.tidegate = options.tidegate.resolve()
    if not options.tidegate.is_file():
        sys.exit(f"{options.tidegate} is missing: run cargo build, or name another with --tidegate")
    subprocess.run([ROOT / "deploy/install-packages.sh", "docker-registry", "redis-server", "haproxy", "pebble",
                    "skopeo", "curl", "ip=iproute2"], check=True)
    work = tempfile.mkdtemp(prefix="tidegate-replicas-")
    command = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable,
               __file__, "--inside", work, "--tidegate", options.tidegate, "--engine", options.engine, *options.cases]
    try:
        code = subprocess.run(command, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}, timeout=3000).returncode
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        code = 1
    shutil.rmtree(f"{work}/images", ignore_errors=True)
    if code == 0:
        shutil.rmtree(work)
    else:
        print(f"FAILED; the logs are in {work}")
    sys.exit(code)


def run_cases(options):
    place, good = Place(options), True
    try:
        place.prepare()
        for case in options.cases or CASES:
            start = time.monotonic()
            try:
                if case != "directory":
                    place.start_replicas()
                CASES[case](place)
                note(f"{case}: passed ({time.monotonic() - start:.0f} s)")
            except Exception as error:
                good = False
                note(f"{case}: FAILED ({time.monotonic() - start:.0f} s): {error}")
                if not isinstance(error, Failed):
                    traceback.print_exc()
            place.stop_replicas()
            place.acme = False
        good &= nothing_secret_was_told(place) and nothing_panicked(place)
    finally:
        place.end()
    return good


def note(text):
    print(time.strftime("%H:%M:%S"), text, flush=True)


def expect(condition, complaint):
    if not condition:
        raise Failed(complaint)


# Wrong passwords.


def throttle(place):
    """As many guesses are checked by three replicas as by one, and all refuse then."""
    counts = {}
    for user, port in [("guessed", 443), ("compared", ONLY["one"])]:
        place.command("htpasswd", "add", "--cost", "4", place.work / "htpasswd", user, text=place.password)
        for name in REPLICAS:
            shutil.copy(place.work / "htpasswd", place.work / name / "htpasswd")
        time.sleep(2)
        counts[user] = guess(place, user, port)
        note(f"  {GUESSES} wrong passwords of one user {'through all' if port == 443 else 'through one'}: {counts[user]}")
    wrong = {user: found.get(401, 0) for user, found in counts.items()}
    expect(set(wrong.values()) == {10}, f"not ten were checked: {wrong}")
    for name in REPLICAS:
        headers = basic("guessed", place.password)
        status, fields, _ = place.request("GET", "/v2/", headers=headers, login=False, port=ONLY[name])
        expect(status == 429 and fields["Retry-After"], f"{name} checks a password of a throttled user: {status}")
        status, _, _ = place.request("GET", "/v2/", headers=headers, login=False, port=ONLY[name], source=ELSEWHERE)
        expect(status == 200, f"{name} refuses the same user at another address: {status}")
        status, _, _ = place.request("GET", "/v2/", port=ONLY[name])
        expect(status == 200, f"{name} refuses another user: {status}")


def guess(place, user, port):
    place.private["a wrong password"] = "a-wrong-guess"
    numbers, counts, lock = iter(range(GUESSES)), {}, threading.Lock()

    def guesses():
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            try:
                headers = basic(user, f"a-wrong-guess-{number}")
                found = place.request("GET", "/v2/", headers=headers, login=False, port=port)[0]
            except OSError as error:
                found = repr(error)
            with lock:
                counts[found] = counts.get(found, 0) + 1
    together([guesses] * 30)
    return counts


def together(actions):
    threads = [threading.Thread(target=action, daemon=True) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
        expect(not thread.is_alive(), "a client waits for more than five minutes")


# Identity tokens.


def token(place, form, name):
    body = urllib.parse.urlencode({"service": HOST, "client_id": "replicas"} | form)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    status, _, answer = place.request("POST", "/auth/token", body, headers, login=False, port=ONLY[name])
    return status, json.loads(answer)


def log_in(place, name):
    status, answer = token(place, {"grant_type": "password", "username": USER, "password": place.password,
                                   "access_type": "offline"}, name)
    expect(status == 200 and "refresh_token" in answer, f"no identity token: {status} {answer}")
    place.private["an access token"] = answer["access_token"].split(".")[2]
    place.private["an identity token"] = answer["refresh_token"].split(".")[-1]
    return answer["refresh_token"]


def revocation(place):
    """A login that is ended at one replica ends at all of them within a second."""
    slowest = []
    for turn, name in enumerate(REPLICAS):
        identity = log_in(place, REPLICAS[turn - 1])
        form = {"grant_type": "refresh_token", "refresh_token": identity}
        for other in REPLICAS:
            status, answer = token(place, form, other)
            expect(status == 200, f"{other} refuses a good identity token: {status} {answer}")
        time.sleep(1.1)  # a token is revoked if it was made in an earlier second
        place.command("token", "revoke", place.work / name / "token.key", USER)
        start, refused = time.monotonic(), {}

        def ask(other):
            while token(place, form, other)[0] == 200 and time.monotonic() - start < 10:
                time.sleep(0.01)
            refused[other] = time.monotonic() - start
        together([lambda other=other: ask(other) for other in REPLICAS])
        slowest.append(max(refused.values()))
        note(f"  revoked at {name}: " + ", ".join(f"{other} after {took:.2f} s" for other, took in refused.items()))
        time.sleep(1.1)
    expect(max(slowest) <= 1, f"it took {max(slowest):.2f} s")


# Immutable tags.


class Ahead:
    """A connection that is made beforehand."""

    def __init__(self, place, name):
        raw = socket.create_connection(("198.51.100.2", ONLY[name]), timeout=30)
        self.connection = http.client.HTTPSConnection(HOST, timeout=30)
        self.connection.sock = place.trust.wrap_socket(raw, server_hostname=HOST)
        self.headers = basic(USER, place.password) | {"Connection": "close"}

    def put(self, tag, content):
        self.connection.request("PUT", f"/v2/team/app/manifests/{tag}", content, self.headers | {"Content-Type": MANIFEST})
        answer = self.connection.getresponse()
        return answer.status, answer.headers, answer.read()


def tags(place):
    """Of two pushes of one new immutable tag through two replicas, one is accepted."""
    curl = load.Curl(place, "tags")
    curl.push_blob("team/app", load.CONFIG)
    # An engine that has just started gives out no lease for a moment.
    first = ["PUT", "/v2/team/app/manifests/v-first", "-H", f"Content-Type: {MANIFEST}"]
    wait_until(lambda: curl.run(*first, content=manifest([]))[0] == 201, 3, "the first push is refused")
    seen, took = {}, []
    for number in range(PUSHES):
        pair = [REPLICAS[number % 3], REPLICAS[(number + 1) % 3]]
        contents = [manifest([], f"{number} through {name}") for name in pair]
        answers, barrier = {}, threading.Barrier(2)
        ahead = {name: Ahead(place, name) for name in pair}

        def push(name, content):
            barrier.wait(10)
            start = time.monotonic()
            answers[name] = ahead[name].put(f"v{number}", content)
            took.append(time.monotonic() - start)
        together([lambda name=name, content=content: push(name, content) for name, content in zip(pair, contents)])
        statuses = tuple(sorted(answer[0] for answer in answers.values()))
        seen[statuses] = seen.get(statuses, 0) + 1
        expect(statuses.count(201) == 1 and not set(statuses) - {201, 409}, f"push {number}: {answers}")
        winner = contents[[answers[name][0] for name in pair].index(201)]
        with_registry = http.client.HTTPConnection(HERE, 5000, timeout=10)
        with_registry.request("HEAD", f"/v2/team/app/manifests/v{number}", headers={"Accept": MANIFEST})
        found = with_registry.getresponse().headers["Docker-Content-Digest"]
        expect(found == digest(winner), f"push {number}: the registry holds what was refused")
    note(f"  {PUSHES} pairs of pushes: {seen}, median {statistics.median(took) * 1000:.0f} ms, longest {max(took) * 1000:.0f} ms")


# The directory.


def directory(place):
    """Three replicas order one certificate; when the one that orders is killed, another finishes."""
    place.acme = True
    start_pebble(place)
    place.start_replicas(wait=False)
    took = wait_until(lambda: all(certificate(place, name) for name in REPLICAS), 120, "not all have the certificate")
    same_certificate(place)
    note(f"  a certificate everywhere after {took:.1f} s, {orders(place)} order, validated through {validators(place)[0]}")
    expect(orders(place) == 1, f"{orders(place)} orders instead of one")
    place.stop_replicas()
    for name in REPLICAS:
        shutil.rmtree(place.work / name / "acme")
    forget(place)
    before, (_, sent) = orders(place), validators(place)
    place.start_replicas(wait=False)
    wait_until(lambda: orders(place) > before, 60, "no order")
    holder = next(name for name in REPLICAS if is_holder(place, name))
    killed = time.monotonic()
    place.stop(holder, signal.SIGKILL)
    note(f"  {holder} is killed in the middle of its order")
    others = [name for name in REPLICAS if name != holder]
    wait_until(lambda: all(certificate(place, name) for name in others), 180, "the others do not finish")
    took = time.monotonic() - killed
    place.start_replica(holder, wait=False)
    again = wait_until(lambda: certificate(place, holder), 60, f"{holder} does not get the certificate")
    same_certificate(place)
    note(f"  finished by another {took:.1f} s later, {orders(place) - before} order, validated through "
         f"{validators(place, sent)[0]}; {holder} has it {again:.1f} s after its start")
    expect(orders(place) - before == 1, f"{orders(place) - before} orders instead of one")
    place.stop("pebble", signal.SIGKILL)


def start_pebble(place):
    place.command("cert", "server", "--ca", place.work / "ca", "--out", place.work / "pebble", HERE)
    place.write("pebble.json", json.dumps({"pebble": {
        "listenAddress": f"{HERE}:14000", "managementListenAddress": f"{HERE}:15000",
        "certificate": str(place.work / "pebble/domain.crt"), "privateKey": str(place.work / "pebble/domain.key"),
        "httpPort": 80, "tlsPort": 443,
    }}))
    place.start("pebble", ["pebble", "-config", "pebble.json", "-strict"],
                environment={"PEBBLE_VA_SLEEPTIME": "4", "PEBBLE_WFE_NONCEREJECT": "5", "PEBBLE_AUTHZREUSE": "0"})
    wait_until(lambda: connects(HERE, 14000) and connects(HERE, 15000), 30, "pebble does not start")
    place.roots = ssl.create_default_context(cafile=place.work / "ca/ca.crt")
    connection = http.client.HTTPSConnection(HERE, 15000, context=place.roots, timeout=10)
    connection.request("GET", "/roots/0")
    place.roots = ssl.create_default_context(cadata=connection.getresponse().read().decode())


def orders(place):
    return place.log("pebble").count("Added order")


def validators(place, before=0):
    """The replicas that the balancer has sent the directory to, and how often it has done so."""
    found = re.findall(r" directory/(\w+) ", place.log("balancer"))
    return sorted(set(found[before:])), len(found)


def is_holder(place, name):
    return place.metric(name, "tidegate_acme_holder") == 1


def certificate(place, name):
    """The certificate from the directory, if the replica shows it."""
    try:
        raw = socket.create_connection(("198.51.100.2", ONLY[name]), timeout=5)
        with raw, place.roots.wrap_socket(raw, server_hostname=HOST) as tls:
            return tls.getpeercert(binary_form=True)
    except OSError:
        return None


def same_certificate(place):
    expect(len({certificate(place, name) for name in REPLICAS}) == 1, "replicas show different certificates")


def forget(place):
    """A new engine, which knows of no certificate."""
    place.stop("engine", signal.SIGKILL)
    place.start_engine()


# Restarts.


def rolling(place):
    """All replicas are restarted, one after the other, under load; nothing fails."""
    under = Load(place)
    under.start()
    time.sleep(5)
    for name in REPLICAS:
        took, code = place.stop(name)
        expect(code == 0, f"{name} ended with {code}")
        place.start_replica(name)
        place.wait_for_balancer()
        note(f"  {name} ended after {took:.1f} s and is back")
    time.sleep(5)
    report(place, under)


def report(place, under):
    counts = under.stop()
    note("  done under load: " + ", ".join(f"{number} × {name}" for name, number in counts.items()))
    expect(len(counts) >= 7, f"something was never done: {counts}, {under.failures[:3]}")
    for failure in under.failures[:20]:
        note(f"  {failure}")
    expect(not under.failures, f"{len(under.failures)} failed")


# The engine.


def engine(place):
    """The engine is killed and started again; only first pushes of immutable tags are refused meanwhile."""
    curl = load.Curl(place, "engine")
    curl.push_blob("team/app", load.CONFIG)
    pushes = []

    def first_push(curl, number):
        start = time.monotonic()
        status, fields, body = curl.run("PUT", f"/v2/team/app/manifests/v1-{number}", "-H", f"Content-Type: {MANIFEST}",
                                        content=manifest([], f"first {number}"))
        pushes.append((start, time.monotonic(), status))
        if status != 201 and not (status == 503 and fields.get("retry-after")):
            raise Failed(f"{status}: {body[:300]!r}")
    identity = log_in(place, "one")
    time.sleep(1.1)
    place.command("token", "revoke", place.work / "one/token.key", USER)
    form = {"grant_type": "refresh_token", "refresh_token": identity}
    wait_until(lambda: all(token(place, form, name)[0] != 200 for name in REPLICAS), 5, "not revoked everywhere")
    under = Load(place)
    under.start([("first push of an immutable tag", first_push)])
    time.sleep(5)
    for silent in [False, True]:
        away = time.monotonic()
        if silent:
            place.children["engine"].send_signal(signal.SIGSTOP)
        else:
            place.stop("engine", signal.SIGKILL)
        wait_until(lambda: any(start > away and status == 503 for start, _, status in pushes), 10, "no push is refused")
        time.sleep(8)
        for name in REPLICAS:
            status, text = place.admin(name, "/readyz")
            expect(status == 200, f"{name} is not ready without the engine: {text}")
            expect(place.metric(name, "tidegate_shared_up") == 0, f"{name} says that the engine is there")
            expect(token(place, form, name)[0] != 200, f"{name} forgot a revoked identity token")
        if silent:
            place.children["engine"].send_signal(signal.SIGCONT)
        else:
            place.start_engine()
        back = time.monotonic()
        wait_until(lambda: all(place.metric(name, "tidegate_shared_up") == 1 for name in REPLICAS), 10, "not used again")
        used = time.monotonic() - back
        time.sleep(3)
        refused = [end - start for start, end, status in pushes if status == 503 and away < start < back]
        late = [start - back for start, _, status in pushes if status == 503 and start > back]
        note(f"  {'silent' if silent else 'killed'} for {back - away:.0f} s: {len(refused)} first pushes refused, the "
             f"slowest after {max(refused) * 1000:.0f} ms; used again {used:.2f} s after its return")
        expect(used <= 1.2, f"used again after {used:.2f} s")
        expect(all(after <= 1 for after in late), f"still refused {max(late, default=0):.2f} s after its return")
        for name in REPLICAS:
            expect(token(place, form, name)[0] != 200, f"{name} forgot a revoked identity token")
    counts = {status: sum(push[2] == status for push in pushes) for status in (201, 503)}
    note(f"  first pushes of immutable tags: {counts}")
    report(place, under)


# At the end.


def nothing_secret_was_told(place):
    # What is told in clear is found. Without quotes: Valkey 8.1 shows them as they are, Redis escapes them.
    control = b"told \x00\xff\r\n in clear"
    with socket.create_connection((HERE, 6379), timeout=10) as connection:
        connection.sendall(f"AUTH {place.engine_password}\r\n*2\r\n$4\r\nECHO\r\n${len(control)}\r\n".encode() + control + b"\r\n")
        wait_until(lambda: any(control in unescaped(line) for line in place.monitor.lines[-100:]), 10, "MONITOR shows nothing")
    told = b"\n".join(map(unescaped, place.monitor.lines))
    for name in REPLICAS:
        for file in (place.work / name).glob("acme/*"):
            if file.is_file():
                for number, found in enumerate(re.findall(r"[A-Za-z0-9+/_-]{60,}", file.read_text(errors="replace"))):
                    place.private[f"{file.name} of {name}, {number}"] = found[:48]
    needles = {"a key in PEM": b"PRIVATE KEY", "a token": b"eyJ"}
    for name, text in place.private.items():
        raw = text.encode()
        needles |= {name: raw, f"{name} in base64": base64.b64encode(raw).rstrip(b"=")[:-1], f"{name} in hex": raw.hex().encode()}
    token_key = base64.b64decode("".join((place.work / "token.key").read_text().split("-----")[2].split()))
    needles["the token key in DER"] = token_key[36:60]
    found = sorted(name for name, needle in needles.items() if needle in told)
    commands = {}
    for line in place.monitor.lines:
        words = line.split(b'"')
        if len(words) > 1:
            commands[words[1].decode(errors="replace").upper()] = commands.get(words[1].decode(errors="replace").upper(), 0) + 1
    note(f"  MONITOR: {len(place.monitor.lines)} commands, {commands}; {len(needles)} secrets were looked for")
    if found or not commands:
        (place.work / "monitor.log").write_bytes(b"".join(place.monitor.lines))
        note(f"monitor: FAILED: seen in clear: {found}; see monitor.log")
        return False
    note("monitor: passed")
    return True


def unescaped(line):
    """What MONITOR has quoted, as bytes."""
    def byte(match):
        escape = match[1]
        if escape.startswith(b"x"):
            return bytes([int(escape[1:], 16)])
        return {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b"}.get(escape, escape)
    return re.sub(rb"\\(x[0-9a-f]{2}|.)", byte, line)


def nothing_panicked(place):
    bad = [name for name in REPLICAS if "panicked" in place.log(name)]
    if bad:
        note(f"panics: FAILED: see the logs of {bad}")
    return not bad


CASES = {"throttle": throttle, "revocation": revocation, "tags": tags, "directory": directory,
         "rolling": rolling, "engine": engine}

if __name__ == "__main__":
    main()
