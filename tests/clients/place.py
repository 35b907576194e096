"""The place where `table.py` tries clients: a registry, tidegate before it, and a Debian root with the
clients, in a network namespace.
"""

import hashlib
import io
import json
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time

ADDRESS = "192.0.2.1"  # not loopback: docker treats 127.0.0.0/8 otherwise
HOST = "registry.test"
USER, PASSWORD = "alice", "a right password"
RULES = """
[[access]]
users = ["alice"]
repositories = ["team/**"]
actions = ["pull", "push"]

[[access]]
users = ["alice"]
repositories = ["public/**"]
actions = ["pull"]

[[access]]
users = ["root"]
repositories = ["**"]
actions = ["*"]
"""
ANONYMOUS = """
[[access]]
users = ["anonymous"]
repositories = ["public/**"]
actions = ["pull"]
"""


class Place:
    """A registry, tidegate before it, and what the clients of one mode have written down."""

    def __init__(self, options):
        self.root = options.root
        self.tidegate = options.tidegate
        self.work = self.root / "srv/place"
        self.children = {}
        run("ip", "link", "set", "lo", "up")
        run("ip", "address", "add", f"{ADDRESS}/24", "dev", "lo")
        mount(self.root)
        (self.root / "etc/hosts").write_text(f"127.0.0.1 localhost\n{ADDRESS} {HOST}\n")
        self.engines = self.root / "srv/engines"
        for folder in [self.work, self.engines]:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        run(self.tidegate, "cert", "ca", "--out", self.work / "ca", quiet=True)
        run(self.tidegate, "cert", "server", "--ca", self.work / "ca", "--out", self.work, HOST, quiet=True)
        for user, password in [(USER, PASSWORD), ("root", PASSWORD)]:
            run(self.tidegate, "htpasswd", "add", self.work / "htpasswd", user, input=f"{password}\n", quiet=True)
        shutil.copy(self.work / "ca/ca.crt", self.root / "usr/local/share/ca-certificates/tidegate-clients.crt")
        self.client("update-ca-certificates")
        for name, image in [("one", 1), ("two", 2)]:
            (self.work / f"{name}.tar").write_bytes(docker_archive(f"{HOST}/team/app:1", image))

    def begin(self, mode):
        for name in list(self.children):
            self.stop(name)
        for path in ["registry", "access.log", "home"]:
            path = self.work / path
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        (self.work / "home").mkdir()
        for file in self.work.glob("token.*"):
            file.unlink()
        run(self.tidegate, "token", self.work / "token.key", quiet=True)
        (self.work / "registry.yml").write_text(json.dumps({
            "version": 0.1,
            "storage": {"filesystem": {"rootdirectory": "/srv/place/registry"}},
            "http": {"addr": "127.0.0.1:5000"},
            "log": {"level": "error", "accesslog": {"disabled": True}},
        }))
        rules = {"basic": "", "rules": RULES, "token": RULES + ANONYMOUS}[mode]
        authentication = 'mode = "token"' if mode == "token" else 'mode = "basic"'
        token = '[token]\nkey = "token.key"\n' if mode == "token" else ""
        (self.work / "proxy.toml").write_text(f"""
[server]
listen = ["{ADDRESS}:443"]
[tls]
certificate = "domain.crt"
key = "domain.key"
[upstream]
servers = ["http://127.0.0.1:5000"]
[auth]
{authentication}
htpasswd = "htpasswd"
[auth.throttle]
failures = 1000
[policy]
immutable_tags = ["team/**:stable"]
[log]
access = "access.log"
{token}{rules}""")
        # The registry of the root, because the machine's own may be another version.
        self.start("registry", ["chroot", self.root, "docker-registry", "serve",
                                "/srv/place/registry.yml"], ("127.0.0.1", 5000))
        self.start("tidegate", [self.tidegate, "serve", "--config", self.work / "proxy.toml"], (ADDRESS, 443))

    def start(self, name, command, address):
        log = open(self.work / f"{name}.log", "w")
        self.children[name] = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log)
        wait_for(lambda: connects(address), f"{name}, see {log.name}")

    def stop(self, name):
        child = self.children.pop(name)
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def client(self, *command, input=None):
        """Runs a command of the root; what it printed, and whether it succeeded."""
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/srv/place/home",
            "CA": "/srv/place/ca/ca.crt",
            "REGISTRY_AUTH_FILE": "/srv/place/home/auth.json",
            "DOCKER_HOST": "unix:///run/tidegate-clients.sock",
            "LANG": "C.UTF-8",
        }
        try:
            done = subprocess.run(["chroot", str(self.root), *map(str, command)], env=environment,
                                  input=input, capture_output=True, text=True, timeout=180)
        except subprocess.TimeoutExpired:
            return False, "(no end within 180 s)"
        return done.returncode == 0, done.stdout + done.stderr

    def records(self):
        try:
            lines = (self.work / "access.log").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in lines]


def docker_archive(name, seed):
    """An image of eight layers, as `docker save` writes one."""
    layers = [tar({f"file-{seed}-{layer}": b"%d %d\n" % (seed, layer)}) for layer in range(8)]
    config = json.dumps({
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["/none"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha256(layer)}" for layer in layers]},
    }).encode()
    names = [f"{sha256(layer)}.tar" for layer in layers]
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": names}]
    return tar({"config.json": config, **dict(zip(names, layers)), "manifest.json": json.dumps(manifest).encode()})


def tar(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def mount(root):
    run("mount", "--bind", root, root)  # containerd looks for the mount that its state is on
    for folder in ["proc", "sys", "dev"]:
        run("mount", "--rbind", f"/{folder}", root / folder)


def run(*command, input=None, quiet=False):
    subprocess.run([str(word) for word in command], check=True, text=True, input=input,
                   stdout=subprocess.DEVNULL if quiet else None)


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def connects(address):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(address) == 0


def wait_for(condition, what):
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    sys.exit(f"{what} did not come up within a minute")


def note(text):
    print(text, file=sys.stderr, flush=True)

