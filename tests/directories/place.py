"""tidegate before a registry, in namespaces of its own, for the scripts that try real directories and
issuers beside it.
"""

import argparse
import base64
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from asking import Failed, basic, connects, wait_until  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
ADDRESS = "192.0.2.1"  # not loopback: docker treats 127.0.0.0/8 otherwise
ELSEWHERE = "192.0.2.99"  # a client of another address
HOST = "registry.test"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def main(script, description, place, cases, packages, options=()):
    """Runs the cases that the command line names, in namespaces: `script` starts itself again there."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tidegate", default=ROOT / "target/debug/tidegate", type=pathlib.Path)
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    for name, help in options:
        parser.add_argument(name, help=help, required=True, type=pathlib.Path)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="; ".join(cases))
    chosen = parser.parse_args()
    unknown = [case for case in chosen.cases if case not in cases]
    if unknown:
        parser.error(f"unknown case {unknown[0]}; there are {', '.join(cases)}")
    if chosen.inside:
        chosen.work = pathlib.Path(chosen.inside)
        sys.exit(0 if run_cases(place(chosen), cases, chosen.cases or cases) else 1)
    if os.geteuid() != 0:
        sys.exit(f"{script} needs root, for namespaces")
    chosen.tidegate = chosen.tidegate.resolve()
    if not chosen.tidegate.is_file():
        sys.exit(f"{chosen.tidegate} is missing: run cargo build, or name another with --tidegate")
    subprocess.run([ROOT / "deploy/install-packages.sh", *packages], check=True)
    work = tempfile.mkdtemp(prefix="tidegate-directories-")
    given = [word for name, _ in options for word in [name, getattr(chosen, name.strip("-")).resolve()]]
    try:
        place.prepare_outside(chosen, pathlib.Path(work))
        command = ["unshare", "--mount", "--net", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc",
                   sys.executable, script, "--inside", work, "--tidegate", chosen.tidegate, *given, *chosen.cases]
        environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
        code = subprocess.run(command, env=environment, timeout=1500).returncode
    except (subprocess.SubprocessError, KeyboardInterrupt) as error:
        print(error)
        code = 1
    if code == 0:
        shutil.rmtree(work)
    else:
        print(f"FAILED; the logs are in {work}")
    sys.exit(code)


def run_cases(place, cases, names):
    good = True
    try:
        place.prepare()
        for name in names:
            start = time.monotonic()
            try:
                cases[name](place)
                note(f"{name}: passed ({time.monotonic() - start:.0f} s)")
            except Exception as error:
                good = False
                note(f"{name}: FAILED ({time.monotonic() - start:.0f} s): {error}")
                if not isinstance(error, Failed):
                    traceback.print_exc()
            place.stop("tidegate")
        if "panicked" in place.log("tidegate"):
            good = False
            note("tidegate panicked")
    finally:
        place.end()
    return good


class Place:
    """Everything that runs ends with this process, which is the first one of its namespace."""

    def __init__(self, options):
        self.work, self.tidegate, self.children = options.work, options.tidegate, {}
        self.requests = 0

    @staticmethod
    def prepare_outside(options, work):
        """What needs a network, before there is none."""

    def prepare(self):
        run("ip", "link", "set", "lo", "up")
        for address in [ADDRESS, ELSEWHERE]:
            run("ip", "address", "add", f"{address}/32", "dev", "lo")
        self.names({"localhost": "127.0.0.1", HOST: ADDRESS})
        self.command("cert", "ca", "--out", "ca")
        self.command("cert", "server", "--ca", "ca", "--out", "certs", HOST, ADDRESS)
        self.command("token", "token.key")
        self.trust = ssl.create_default_context(cafile=self.work / "ca/ca.crt")
        self.write("registry.yml", json.dumps({
            "version": 0.1, "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(self.work / "images")}},
            "http": {"addr": "127.0.0.1:5000", "secret": "one secret"},
        }))
        self.start("registry", ["docker-registry", "serve", "registry.yml"], OTEL_TRACES_EXPORTER="none")
        wait_until(lambda: connects("127.0.0.1", 5000), 30, "the registry does not start")

    def names(self, names):
        hosts = self.write("hosts", "".join(f"{address} {name}\n" for name, address in names.items()))
        run("mount", "--bind", hosts, "/etc/hosts")

    def write(self, name, text, mode=0o644):
        path = self.work / name
        path.write_text(text)
        path.chmod(mode)
        return path

    def command(self, *arguments, text=""):
        return run(self.tidegate, *arguments, input=text, cwd=self.work)

    # Processes.

    def start(self, name, command, **environment):
        log = open(self.work / f"{name}.log", "ab")
        self.children[name] = subprocess.Popen(
            [str(word) for word in command], stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.work,
            env=os.environ | environment)
        log.close()

    def stop(self, name, how=signal.SIGTERM):
        child = self.children.pop(name, None)
        if child:
            child.send_signal(how)
            try:
                child.wait(30)
            except subprocess.TimeoutExpired:
                child.kill()
                raise Failed(f"{name} does not end within 30 s") from None

    def end(self):
        for child in self.children.values():
            child.kill()
        for child in self.children.values():
            child.wait()

    def log(self, name):
        path = self.work / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    # tidegate.

    def start_tidegate(self, settings, mode="token"):
        """`settings` begin with keys of `[auth]`; sections follow."""
        self.stop("tidegate")
        token = '[token]\nkey = "token.key"\n' if mode == "token" else ""
        self.write("proxy.toml", f"""
[server]
listen = ["{ADDRESS}:443"]
drain_timeout = "1s"
[tls]
certificate = "certs/domain.crt"
key = "certs/domain.key"
[upstream]
servers = ["http://127.0.0.1:5000"]
[log]
access = "access.log"
{token}
[auth]
mode = "{mode}"
{settings}
""")
        self.start("tidegate", [self.tidegate, "serve", "--config", "proxy.toml"], RUST_BACKTRACE="1")

        def is_ready():
            if self.children["tidegate"].poll() is not None:
                raise Failed(f"tidegate has ended:\n{self.log('tidegate')[-3000:]}")
            return connects(ADDRESS, 443)
        wait_until(is_ready, 30, "tidegate does not start")

    def lines(self):
        """The access log so far."""
        path = self.work / "access.log"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def request(self, method, path, headers={}, body=None, source=ADDRESS):
        """One request on a connection of its own, with a name by which its line is found."""
        self.requests += 1
        name = f"request-{self.requests}"
        raw = socket.create_connection((ADDRESS, 443), timeout=30, source_address=(source, 0))
        with raw, self.trust.wrap_socket(raw, server_hostname=HOST) as tls:
            connection = http.client.HTTPSConnection(HOST)
            connection.sock = tls
            connection.request(method, path, body, {"Connection": "close", "User-Agent": name} | headers)
            answer = connection.getresponse()
            return Answer(self, name, answer.status, answer.headers, answer.read().decode(errors="replace"))

    def get(self, path, user=None, password=None, bearer=None, **options):
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else basic(user, password) if user is not None else {}
        return self.request("GET", path, headers, **options)

    def token(self, user, password, scope="", offline=True, **options):
        """What `docker login` asks for."""
        query = f"service={HOST}&client_id=docker" + ("&offline_token=true" if offline else "")
        query += f"&scope={scope}" if scope else ""
        return self.get(f"/auth/token?{query}", user, password, **options)

    def refresh(self, identity_token, scope=""):
        """What docker asks for with what it kept at login."""
        body = f"grant_type=refresh_token&service={HOST}&client_id=docker&refresh_token={identity_token}"
        body += f"&scope={scope}" if scope else ""
        return self.request("POST", "/auth/token", {"Content-Type": "application/x-www-form-urlencoded"}, body)

    # Clients.

    def trust_in_docker(self):
        run("mount", "-t", "tmpfs", "tmpfs", "/etc/docker")
        certificates = pathlib.Path("/etc/docker/certs.d") / HOST
        certificates.mkdir(parents=True)
        shutil.copy(self.work / "ca/ca.crt", certificates / "ca.crt")

    def environment(self, client):
        home = self.work / "home"
        home.mkdir(exist_ok=True)
        own = {"HOME": str(home), "REGISTRY_AUTH_FILE": str(home / "auth.json")}
        if client == "docker":
            # In a folder that the others do not look into: they refuse a login where docker keeps an
            # identity token.
            own |= {"DOCKER_CONFIG": str(home / "docker"), "DOCKER_HOST": f"unix://{self.work}/docker.sock"}
        return os.environ | own

    def client(self, *command, text=None):
        """Whether a client succeeds, and what it says."""
        done = subprocess.run([str(word) for word in command], input=text, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, env=self.environment(command[0]), cwd=self.work, timeout=120)
        return done.returncode == 0, done.stdout

    def must(self, *command, text=None):
        good, said = self.client(*command, text=text)
        expect(good, f"{' '.join(map(str, command))}: {said[-800:]}")
        return said

    def podman(self, *command):
        own = ["--root", self.work / "storage", "--runroot", self.work / "state", "--storage-driver", "vfs",
               "--events-backend", "none"]
        return ["podman", *own, *command]

    def start_docker(self):
        if "dockerd" in self.children:
            return
        self.start("dockerd", ["dockerd", "--data-root", self.work / "data", "--exec-root", self.work / "exec",
                               "--pidfile", self.work / "pid", "--host", f"unix://{self.work}/docker.sock",
                               "--bridge=none", "--iptables=false", "--ip6tables=false", "--storage-driver=vfs"])
        wait_until(lambda: "API listen on" in self.log("dockerd"), 60, "the Docker engine does not start")
        self.write("noise", base64.b64encode(os.urandom(1 << 20)).decode())
        run("tar", "--create", "--file", "layer.tar", "noise", cwd=self.work)
        self.must("docker", "import", "layer.tar", f"{HOST}/team/app:1")
        self.must("docker", "tag", f"{HOST}/team/app:1", f"{HOST}/elsewhere/app:1")


class Answer:
    def __init__(self, place, name, status, headers, text):
        self.place, self.name, self.status, self.headers, self.text = place, name, status, headers, text

    def json(self):
        return json.loads(self.text)

    @property
    def line(self):
        """Its line in the access log."""
        def found():
            return [line for line in self.place.lines() if line.get("user_agent") == self.name]
        wait_until(found, 5, "the request is not logged")
        return found()[0]

    def expect(self, status, **fields):
        """Compares the status, and fields of the line; a text is a part of the field."""
        line = self.line
        wrong = [name for name, wanted in fields.items()
                 if (wanted not in line.get(name, "") if wanted is not None else name in line)]
        if self.status != status or wrong:
            raise Failed(f"{self.status} instead of {status} {fields}: {self.text.strip()[:300]} {line}")
        return self


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=120, **options)
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}")
    return done.stdout


def expect(condition, complaint):
    if not condition:
        raise Failed(complaint)


def note(text):
    print(time.strftime("%H:%M:%S"), text, flush=True)
