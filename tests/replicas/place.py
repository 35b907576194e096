"""Three tidegates, each in a network namespace, behind haproxy; with a registry, an engine that they
share, and an ACME directory.
"""

import base64
import http.client
import json
import os
import pathlib
import re
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from asking import Failed, basic, connects, wait_until  # noqa: E402

HERE = "198.51.100.1"  # registry, engine, directory and clients
ELSEWHERE = "198.51.100.99"  # a client of another address
BALANCER = "198.51.100.2"
REPLICAS = ["one", "two", "three"]
HOST = "registry.replicas.test"
USER = "alice"
DRAIN_DELAY = 3


def address(name):
    return f"198.51.100.{11 + REPLICAS.index(name)}"


class Place:
    def __init__(self, options):
        self.work = pathlib.Path(options.work)
        self.tidegate, self.engine_command = options.tidegate, options.engine.split()
        self.children, self.logs = {}, {}
        self.password, self.engine_password = secrets.token_urlsafe(16), secrets.token_hex(24)
        # Everything that must never reach the engine in clear.
        self.private = {"the password of a user": self.password}
        self.monitor = None
        self.acme = False

    def prepare(self):
        # The folder of named namespaces, and names, of this run alone.
        pathlib.Path("/run/netns").mkdir(exist_ok=True)
        run("mount", "-t", "tmpfs", "tmpfs", "/run/netns")
        hosts = self.work / "hosts"
        hosts.write_text(f"127.0.0.1 localhost\n{BALANCER} {HOST}\n")
        run("mount", "--bind", hosts, "/etc/hosts")
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "switch", "type", "bridge")
        for own in [HERE, ELSEWHERE]:
            run("ip", "address", "add", f"{own}/24", "dev", "switch")
        run("ip", "link", "set", "switch", "up")
        for name, own in [("balancer", BALANCER), *((name, address(name)) for name in REPLICAS)]:
            run("ip", "netns", "add", name)
            run("ip", "link", "add", f"to-{name}", "type", "veth", "peer", "name", "outside", "netns", name)
            run("ip", "link", "set", f"to-{name}", "master", "switch", "up")
            run("ip", "-n", name, "address", "add", f"{own}/24", "dev", "outside")
            run("ip", "-n", name, "link", "set", "outside", "up")
            run("ip", "-n", name, "link", "set", "lo", "up")
        self.command("cert", "ca", "--out", self.work / "ca")
        self.command("cert", "server", "--ca", self.work / "ca", "--out", self.work / "certs", HOST)
        self.command("token", self.work / "token.key")
        self.command("htpasswd", "add", "--cost", "4", self.work / "htpasswd", USER, text=self.password)
        self.write("engine-password", self.engine_password, 0o600)
        seal = base64.b64encode(secrets.token_bytes(48)).decode()
        self.write("seal", seal, 0o600)
        self.private |= {"the password of the engine": self.engine_password, "the secret of the seal": seal}
        key = "".join((self.work / "token.key").read_text().split("-----")[2].split())
        self.private |= {"the token key": key[:40], "the password's hash": self.hash()}
        self.trust = ssl.create_default_context(cafile=self.work / "ca/ca.crt")
        self.start_registry()
        self.start_engine()
        for name in REPLICAS:
            self.lay_out(name)
        self.start_balancer()

    def hash(self):
        return (self.work / "htpasswd").read_text().strip().split(":")[1]

    def write(self, name, text, mode=0o644):
        path = self.work / name
        path.write_text(text)
        path.chmod(mode)
        return path

    def command(self, *arguments, text=""):
        return subprocess.run([self.tidegate, *map(str, arguments)], input=text, text=True, check=True,
                              capture_output=True, timeout=60).stdout

    # Processes.

    def start(self, name, command, namespace=None, text=None, environment={}):
        if namespace:
            command = ["ip", "netns", "exec", namespace, *command]
        log = open(self.work / f"{name}.log", "ab")
        child = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log, cwd=self.work,
                                 stdin=subprocess.PIPE if text else subprocess.DEVNULL,
                                 env=os.environ | environment)
        log.close()
        if text:
            child.stdin.write(text.encode())
            child.stdin.close()
        self.children[name] = child

    def stop(self, name, how=signal.SIGTERM, patience=90):
        """Ends it, and returns how long that took and its exit code."""
        child, start = self.children.pop(name), time.monotonic()
        child.send_signal(how)
        try:
            code = child.wait(patience)
        except subprocess.TimeoutExpired:
            child.kill()
            raise Failed(f"{name} does not end within {patience} s") from None
        return time.monotonic() - start, code

    def end(self):
        for child in self.children.values():
            child.kill()
        for child in self.children.values():
            child.wait()

    def log(self, name):
        return (self.work / f"{name}.log").read_text(errors="replace")

    def start_registry(self):
        self.write("registry.yml", json.dumps({
            "version": 0.1, "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(self.work / "images")}},
            "http": {"addr": f"{HERE}:5000", "secret": "one secret"},
        }))
        self.start("registry", ["docker-registry", "serve", "registry.yml"],
                   environment={"OTEL_TRACES_EXPORTER": "none"})
        wait_until(lambda: connects(HERE, 5000), 30, "the registry does not start")

    def start_engine(self):
        settings = f"""bind {HERE}\nport 6379\nsave ""\nappendonly no\nrequirepass {self.engine_password}\n"""
        self.start("engine", [*self.engine_command, "-"], text=settings)
        wait_until(lambda: connects(HERE, 6379), 30, "the engine does not start")
        self.monitor = Monitor(self.engine_password, self.monitor.lines if self.monitor else [])

    def start_balancer(self):
        servers = "\n".join(f"    server {name} {address(name)}:443 send-proxy-v2 check port 9443" for name in REPLICAS)
        single = "\n".join(f"""
listen only-{name}
    bind {BALANCER}:{4431 + index}
    server {name} {address(name)}:443 send-proxy-v2""" for index, name in enumerate(REPLICAS))
        directory = "\n".join(f"    server {name} {address(name)}:443 send-proxy-v2 check port 9443" for name in REPLICAS)
        # No redispatch and no retry: they would hide what a replica loses.
        self.write("haproxy.cfg", f"""
global
    maxconn 4000
    log stdout format raw local0
defaults
    mode tcp
    log global
    option tcplog
    no option redispatch
    retries 0
    timeout connect 5s
    timeout client 2m
    timeout server 2m
    balance roundrobin
frontend registry
    bind {BALANCER}:443
    tcp-request inspect-delay 5s
    tcp-request content accept if {{ req.ssl_hello_type 1 }}
    use_backend directory if {{ req.ssl_alpn acme-tls/1 }}
    default_backend tidegate
backend tidegate
    option httpchk GET /readyz
    default-server inter 500ms fall 2 rise 1
{servers}
# While there is no certificate yet, no replica is ready; the directory must reach one all the same.
backend directory
    option httpchk GET /healthz
    default-server inter 200ms fall 1 rise 1
{directory}
{single}
""")
        self.start("balancer", ["/usr/sbin/haproxy", "-db", "-f", "haproxy.cfg"], namespace="balancer")
        wait_until(lambda: connects(BALANCER, 443), 30, "haproxy does not start")

    # The replicas.

    def lay_out(self, name):
        folder = self.work / name
        folder.mkdir()
        for file in ["htpasswd", "token.key", "engine-password", "seal"]:
            shutil.copy(self.work / file, folder / file)
        certificate = f"""
[tls]
certificate = "../certs/domain.crt"
key = "../certs/domain.key"
"""
        directory = f"""
[acme]
directory = "https://{HERE}:14000/dir"
names = ["{HOST}"]
state = "acme"
ca = "../ca/ca.crt"
accept_terms = true
"""
        settings = f"""
[server]
listen = ["{address(name)}:443"]
admin = ["{address(name)}:9443"]
proxy_protocol = true
trusted_proxies = ["{BALANCER}"]
drain_delay = "{DRAIN_DELAY}s"
drain_timeout = "60s"
%s
[upstream]
servers = ["http://{HERE}:5000"]
[auth]
mode = "token"
htpasswd = "htpasswd"
[auth.throttle]
window = "10m"
delay = "10m"
[token]
key = "token.key"
[shared]
url = "redis://{HERE}:6379"
password_file = "engine-password"
secret_file = "seal"
[policy]
immutable_tags = ["team/**:v*"]
[admin]
allow = ["198.51.100.0/24"]
[log]
access = "access.log"
"""
        (folder / "proxy.toml").write_text(settings % certificate)
        (folder / "directory.toml").write_text(settings % directory)

    def start_replica(self, name, wait=True):
        settings = "directory.toml" if self.acme else "proxy.toml"
        self.start(name, [self.tidegate, "serve", "--config", f"{name}/{settings}"], namespace=name,
                   environment={"RUST_BACKTRACE": "1"})
        if wait:
            wait_until(lambda: self.ready(name), 60, f"{name} is not ready")

    def start_replicas(self, wait=True):
        for name in REPLICAS:
            self.start_replica(name, wait=False)
        if wait:
            for name in REPLICAS:
                wait_until(lambda: self.ready(name), 60, f"{name} is not ready")
            self.wait_for_balancer()

    def stop_replicas(self):
        for name in REPLICAS:
            if name in self.children:
                self.stop(name, signal.SIGKILL)

    def pid(self, name):
        """Of tidegate itself; `ip netns exec` becomes it."""
        return self.children[name].pid

    def admin(self, name, path):
        connection = http.client.HTTPConnection(address(name), 9443, timeout=5)
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    def ready(self, name):
        if self.children[name].poll() is not None:
            raise Failed(f"{name} has ended:\n{self.log(name)[-2000:]}")
        try:
            return self.admin(name, "/readyz")[0] == 200
        except OSError:
            return False

    def metric(self, name, metric):
        """The sum of the samples that begin with `metric`."""
        lines = self.admin(name, "/metrics")[1].splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if re.match(metric + r"[ {]", line) or
                   line.startswith(metric + "{"))

    def wait_for_balancer(self):
        """Until haproxy sends connections to all of them."""
        def everywhere():
            before = self.log("balancer").count(" tidegate/")
            for _ in range(6):
                try:
                    self.request("GET", "/v2/")
                except OSError:
                    return False
            seen = re.findall(r" tidegate/(\S+)", self.log("balancer"))[before:]
            return set(REPLICAS) <= set(seen)
        wait_until(everywhere, 30, "haproxy does not use all replicas")

    # Requests.

    def request(self, method, path, body=None, headers={}, login=True, port=443, source=HERE, trust=None):
        """One request on a connection of its own: status, header fields and body."""
        raw = socket.create_connection((BALANCER, port), timeout=30, source_address=(source, 0))
        with raw, (trust or self.trust).wrap_socket(raw, server_hostname=HOST) as tls:
            connection = http.client.HTTPSConnection(HOST)
            connection.sock = tls
            headers = {"Connection": "close"} | headers
            if login:
                headers |= basic(USER, self.password if login is True else login)
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()


class Monitor(threading.Thread):
    """All that the engine is told, as its command MONITOR shows it."""

    def __init__(self, password, lines):
        super().__init__(daemon=True)
        self.lines = lines
        self.connection = socket.create_connection((HERE, 6379), timeout=10)
        self.connection.sendall(f"AUTH {password}\r\nMONITOR\r\n".encode())
        self.file = self.connection.makefile("rb")
        for _ in range(2):
            if self.file.readline() != b"+OK\r\n":
                raise Failed("the engine refuses MONITOR")
        self.connection.settimeout(None)
        self.start()

    def run(self):
        try:
            for line in self.file:
                self.lines.append(line)
        except OSError:
            pass


def run(*command):
    subprocess.run([str(word) for word in command], check=True, timeout=60)
