"""The registries, which share their storage, and tidegate in front of them."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

HOST = "registry.soak.test"
USER, PASSWORD = "soak", "the password of the soak"


class Registry:
    """A docker-registry that can be killed, frozen and moved to another address."""

    def __init__(self, work, name, names):
        self.work, self.name, self.named = work, name, names and name != "c"
        self.process, self.listed = None, True
        self.addresses = ["127.0.0.1"]
        # When it was last taken away, in seconds of time.monotonic(), and when it had returned.
        self.taken, self.returned = None, 0.0
        if name == "c":
            self.listen = str(work / "registry-c.sock")
            self.server = f"unix:{self.listen}"
            return
        self.port = free_port()
        # The second has one process on several addresses, of which its name shows some.
        self.listen = f"0.0.0.0:{self.port}" if name == "b" and names else f"127.0.0.1:{self.port}"
        self.host = f"registry-{name}.soak.test" if self.named else "127.0.0.1"
        self.server = f"http://{self.host}:{self.port}"

    def start(self):
        config = self.work / f"registry-{self.name}.yml"
        net = "unix" if self.name == "c" else "tcp"
        config.write_text(f"""
version: 0.1
log: {{ level: warn, accesslog: {{ disabled: true }} }}
storage:
  filesystem: {{ rootdirectory: "{self.work}/images" }}
  maintenance: {{ uploadpurging: {{ enabled: false }} }}
http: {{ addr: "{self.listen}", net: {net}, secret: "one secret for all of them" }}
""")
        with open(self.work / f"registry-{self.name}.log", "ab") as log:
            self.process = subprocess.Popen(
                ["docker-registry", "serve", config], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=os.environ | {"OTEL_TRACES_EXPORTER": "none"})

    def kill(self):
        self.process.kill()
        self.process.wait()

    def answers(self):
        """Whether it answers by itself. A port that another connection has meanwhile is taken later."""
        if self.process.poll() is not None:
            self.start()
            return False
        try:
            if self.name == "c":
                connection = socket.socket(socket.AF_UNIX)
                connection.settimeout(1)
                connection.connect(self.listen)
            else:
                address = self.listen.rpartition(":")[0].replace("0.0.0.0", "127.0.0.1")
                connection = socket.create_connection((address, self.port), timeout=1)
            with connection:
                connection.sendall(b"GET /v2/ HTTP/1.0\r\nHost: soak\r\n\r\n")
                return b" 200 " in connection.recv(64)
        except OSError:
            return False

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)


class Place:
    """Everything that runs: processes, their files, and the names that tidegate looks up."""

    def __init__(self, options):
        self.work = pathlib.Path(options.work)
        self.tidegate = options.tidegate
        self.names = os.environ.get("SOAK_NAMESPACE") == "1"
        self.registries = [Registry(self.work, name, self.names) for name in "abc"[: options.registries]]
        self.settings = {"balance": "least-connections", "level": "info", "resolve_every": "2s", "header_bytes": "32KiB"}
        self.process, self.port, self.leaves, self.current = None, None, [], 0
        self.guests = {}

    def prepare(self):
        """Files and registries, and then tidegate."""
        if self.names:
            # An edit of /etc/hosts is seen by the processes of this run only.
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            (self.work / "hosts").touch()
            subprocess.run(["mount", "--bind", self.work / "hosts", "/etc/hosts"], check=True)
            self.write_hosts()
        self.command("cert", "ca", "--out", "ca")
        for number in range(4):
            self.command("cert", "server", "--ca", "ca", "--out", f"leaf-{number}", HOST)
            self.leaves.append(self.work / f"leaf-{number}")
        self.install_leaf(0)
        self.command("htpasswd", "add", "htpasswd", USER, text=PASSWORD)
        self.users = (self.work / "htpasswd").read_text()
        self.hash = self.users.strip().partition(":")[2]
        for registry in self.registries:
            registry.start()
        wait_until(lambda: all(registry.answers() for registry in self.registries), 30, "a registry does not start")
        self.write_settings()
        self.start()

    def command(self, *arguments, text=""):
        subprocess.run([self.tidegate, *arguments], cwd=self.work, input=text, text=True, check=True,
                       stdout=subprocess.DEVNULL)

    def write_hosts(self, without=()):
        lines = [f"127.0.0.1 localhost {HOST}"]
        for registry in self.registries:
            if registry.named and registry not in without:
                lines += [f"{address} {registry.host}" for address in registry.addresses]
        # In place: the mount holds this very file.
        (self.work / "hosts").write_text("\n".join(lines) + "\n")

    def install_leaf(self, number):
        """The certificate in use, its files replaced one after the other."""
        self.current = number
        for name in ["domain.key", "domain.crt"]:
            replace(self.work / name, (self.leaves[number] / name).read_bytes(), mode=0o600)

    def install_half(self, number):
        replace(self.work / "domain.key", (self.leaves[number] / "domain.key").read_bytes(), mode=0o600)
        whole = (self.leaves[number] / "domain.crt").read_bytes()
        (self.work / "domain.crt").write_bytes(whole[: len(whole) // 2])

    def write_users(self):
        lines = [f"{name}:{self.hash}\n" for name in self.guests]
        replace(self.work / "htpasswd", (self.users + "".join(lines)).encode(), mode=0o600)

    def text(self):
        servers = ", ".join(f'"{registry.server}"' for registry in self.registries if registry.listed)
        several = f"""
balance = "{self.settings["balance"]}"
shared_storage = true
resolve_every = "{self.settings["resolve_every"]}"
health_every = "2s"
""" if len(self.registries) > 1 else ""
        return f"""
[server]
listen = ["127.0.0.1:0"]
admin = ["unix:{self.work}/admin.sock"]

[limits]
handshake_timeout = "15s"
header_timeout = "15s"
idle_timeout = "15s"
header_bytes = "{self.settings["header_bytes"]}"

[tls]
certificate = "domain.crt"
key = "domain.key"

[upstream]
servers = [{servers}]
connect_timeout = "2s"
read_timeout = "10s"
{several}
[auth]
htpasswd = "htpasswd"

[log]
level = "{self.settings["level"]}"
format = "json"
access = "access.log"
audit = "audit.log"
"""

    def write_settings(self, text=None):
        replace(self.work / "proxy.toml", (self.text() if text is None else text).encode())

    def start(self):
        with open(self.work / "tidegate.log", "ab") as log:
            self.process = subprocess.Popen([self.tidegate, "serve", "proxy.toml"], cwd=self.work,
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=os.environ | {"RUST_BACKTRACE": "1"})

        def listening():
            if self.process.poll() is not None:
                raise SystemExit("tidegate does not start:\n" + (self.work / "tidegate.log").read_text())
            found = re.search(r"127\.0\.0\.1:(\d+)", (self.work / "tidegate.log").read_text())
            self.port = int(found[1]) if found else None
            return found
        wait_until(listening, 30, "tidegate does not say where it listens")

    def hang_up(self):
        self.process.send_signal(signal.SIGHUP)

    def admin(self, path, patience=20):
        """The status and the body of an answer of the admin listener."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(patience)
            connection.connect(str(self.work / "admin.sock"))
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            data = b""
            while part := connection.recv(65536):
                data += part
        head, _, body = data.partition(b"\r\n\r\n")
        return int(head.split(b" ", 2)[1]), body.decode()

    def metrics(self):
        """Every sample of /metrics by its name and labels."""
        samples = {}
        for line in self.admin("/metrics")[1].splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                samples[name] = float(value)
        return samples

    def usage(self):
        """Resident bytes, descriptors and threads of tidegate."""
        folder = pathlib.Path(f"/proc/{self.process.pid}")
        status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        descriptors = len(os.listdir(folder / "fd"))
        return int(status["VmRSS"].split()[0]) * 1024, descriptors, int(status["Threads"])

    def errors(self):
        """The lines of level error in tidegate's log by their message, and what is no line of the log."""
        counts, strange = {}, []
        for line in (self.work / "tidegate.log").read_text(errors="replace").splitlines():
            try:
                record = json.loads(line)
                level, message = record["level"], record.get("message") or record.get("fields", {}).get("message", line)
            except (ValueError, LookupError, AttributeError, TypeError):
                strange.append(line)
                continue
            if "panic" in line:
                strange.append(line)
            if level.lower() == "error":
                counts[str(message)[:100]] = counts.get(str(message)[:100], 0) + 1
        return counts, strange

    def end(self):
        for process in [self.process, *(registry.process for registry in self.registries)]:
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()


def total(samples, name, **labels):
    """The sum of the samples with this name and these labels."""
    return sum(values(samples, name, **labels))


def values(samples, name, **labels):
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    return [value for sample, value in samples.items()
            if sample.partition("{")[0] == name and all(label in sample for label in wanted)]


def replace(path, data, mode=0o644):
    new = path.with_name(path.name + ".new")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(data)
    new.rename(path)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, seconds, complaint):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"{complaint} within {seconds} s")
        time.sleep(0.1)
