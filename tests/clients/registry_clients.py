"""The clients that `table.py` tries, each with the same methods.

Each method returns whether the client succeeded and what it printed. `store` writes a login down
without asking the registry. `push` sends one of two images.
"""

import base64
import json
import pathlib
import shutil
import subprocess
import tempfile

from place import HOST, wait_for


class Docker:
    chooses_tags = True
    keeps_identity_token = True

    def __init__(self, place, store):
        self.place = place
        self.snapshotter = store == "containerd"
        self.name = f"docker, {store} store" if self.snapshotter else "docker, classic store"

    def version(self):
        return self.place.client("docker", "--version")[1].split()[2].rstrip(",")

    def begin(self):
        # A new folder each time: the one before may hold mounts.
        state = pathlib.Path(tempfile.mkdtemp(dir=self.place.engines))
        inside = f"/srv/engines/{state.name}"
        (state / "daemon.json").write_text(json.dumps({"features": {"containerd-snapshotter": self.snapshotter}}))
        log = open(self.place.work / "dockerd.log", "w")
        driver = "native" if self.snapshotter else "vfs"
        self.place.children["dockerd"] = subprocess.Popen(
            ["chroot", str(self.place.root), "dockerd", "--config-file", f"{inside}/daemon.json",
             "--data-root", f"{inside}/data", "--exec-root", f"{inside}/run",
             "--pidfile", f"{inside}/pid", "--host", "unix:///run/tidegate-clients.sock",
             "--bridge", "none", "--iptables=false", "--ip6tables=false", "--storage-driver", driver],
            stdout=log, stderr=log)
        wait_for(lambda: self.place.client("docker", "version")[0], f"dockerd, see {log.name}")

    def end(self):
        self.place.stop("dockerd")

    def login(self, user, password):
        return self.place.client("docker", "login", "-u", user, "--password-stdin", HOST, input=password)

    def store(self, user, password):
        write_login(self.place.work / "home/.docker/config.json", user, password)

    def logout(self):
        (self.place.work / "home/.docker/config.json").unlink(missing_ok=True)

    def push(self, image, number=1):
        tagged = self.load(number) and self.place.client("docker", "tag", f"{HOST}/team/app:1", image)[0]
        return self.place.client("docker", "push", image) if tagged else (False, "not loaded")

    def load(self, number):
        return self.place.client("docker", "load", "-i", f"/srv/place/{['one', 'two'][number - 1]}.tar")[0]

    def mount(self, image, source):
        self.place.client("docker", "tag", source, image)
        return self.place.client("docker", "push", image)

    def pull(self, image):
        self.place.client("docker", "rmi", "-f", image)
        return self.place.client("docker", "pull", image)


class Podman:
    name = "podman"
    chooses_tags = True
    keeps_identity_token = False
    command = ["podman", "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "file"]

    def __init__(self, place):
        self.place = place

    def version(self):
        return self.place.client("podman", "--version")[1].split()[-1]

    def begin(self):
        self.place.client(*self.command, "system", "reset", "--force")

    def end(self):
        pass

    def login(self, user, password):
        return self.place.client(*self.command, "login", "-u", user, "--password-stdin", HOST, input=password)

    def store(self, user, password):
        write_login(self.place.work / "home/auth.json", user, password)

    def logout(self):
        (self.place.work / "home/auth.json").unlink(missing_ok=True)

    def push(self, image, number=1):
        self.place.client(*self.command, "load", "-i", f"/srv/place/{['one', 'two'][number - 1]}.tar")
        return self.place.client(*self.command, "push", f"{HOST}/team/app:1", image)

    def mount(self, image, source):
        self.place.client(*self.command, "pull", source)
        return self.place.client(*self.command, "push", source, image)

    def pull(self, image):
        self.place.client(*self.command, "rmi", "-f", image)
        return self.place.client(*self.command, "pull", image)


class Skopeo(Podman):
    name = "skopeo"

    def begin(self):
        pass

    def login(self, user, password):
        return self.place.client("skopeo", "login", "-u", user, "--password-stdin", HOST, input=password)

    def version(self):
        return self.place.client("skopeo", "--version")[1].split()[-1]

    def push(self, image, number=1):
        archive = f"docker-archive:/srv/place/{['one', 'two'][number - 1]}.tar"
        return self.place.client("skopeo", "--insecure-policy", "copy", archive, f"docker://{image}")

    def mount(self, image, source):
        return self.place.client("skopeo", "--insecure-policy", "copy", f"docker://{source}", f"docker://{image}")

    def pull(self, image):
        shutil.rmtree(self.place.work / "pulled", ignore_errors=True)
        return self.place.client("skopeo", "--insecure-policy", "copy", f"docker://{image}", "dir:/srv/place/pulled")


class Oras(Docker):
    name = "oras"
    keeps_identity_token = False

    def __init__(self, place):
        self.place = place

    def begin(self):
        pass

    end = begin

    def version(self):
        return self.place.client("oras", "version")[1].split()[1]

    def login(self, user, password):
        return self.place.client("oras", "login", "-u", user, "--password-stdin", HOST, input=password)

    def push(self, image, number=1):
        (self.place.work / "artifact").write_text(f"an artifact {number}")
        # Without the annotation, oras writes the time into the manifest: a second later it is another.
        made = "org.opencontainers.image.created=2026-01-01T00:00:00Z"
        return self.place.client("sh", "-c", f"cd /srv/place && oras push --annotation {made} {image} artifact")

    def mount(self, image, source):
        return self.place.client("oras", "copy", source, image)

    def pull(self, image):
        return self.place.client("oras", "pull", "-o", "/srv/place/pulled", image)


class Library:
    """A library, by a small program that gets the login each time."""

    chooses_tags = True
    keeps_identity_token = False

    def __init__(self, place, name, command, version):
        self.place, self.name, self.command, self.known = place, name, command, version
        self.user = self.password = ""

    def begin(self):
        pass

    end = begin

    def version(self):
        return self.known

    def call(self, action, image, *more):
        return self.place.client(*self.command, self.user, self.password, action, image, *more)

    def login(self, user, password):
        self.store(user, password)
        return self.call("login", f"{HOST}/team/app:1")

    def store(self, user, password):
        self.user, self.password = user, password

    def logout(self):
        self.user = self.password = ""

    def push(self, image, number=1):
        return self.call("push", image, number)

    def mount(self, image, source):
        return self.call("mount", image, source)

    def pull(self, image):
        return self.call("pull", image)


class Helm(Library):
    """Helm, which takes the tag from the chart and cannot mount."""

    chooses_tags = False

    def login(self, user, password):
        self.user, self.password = user, password
        return self.call("login", f"{HOST}/team/app:1")

    def store(self, user, password):
        self.user, self.password = user, password
        self.call("store", f"{HOST}/team/app:1")

    def logout(self):
        super().logout()
        (self.place.root / "srv/library-client.json").unlink(missing_ok=True)

    mount = None


def clients(place):
    python = ["/opt/clients/bin/python", "/srv/library_client.py"]
    libraries = place.client("/opt/clients/bin/pip", "list", "--format=freeze")[1].splitlines()
    installed = dict(line.split("==") for line in libraries if "==" in line)
    return [
        Docker(place, "classic"),
        Docker(place, "containerd"),
        Podman(place),
        Skopeo(place),
        Oras(place),
        Helm(place, "Helm 4", [*python, "helm"], f"helm-python-sdk {installed['helm-python-sdk']}"),
        Library(place, "python-dxf", [*python, "dxf"], installed["python-dxf"]),
        Library(place, "oci-client", ["oci-client-cases", "/srv/place/ca/ca.crt"], "0.18.0"),
    ]


def write_login(file, user, password):
    file.parent.mkdir(exist_ok=True)
    entry = base64.b64encode(f"{user}:{password}".encode()).decode()
    file.write_text(json.dumps({"auths": {HOST: {"auth": entry}}}))


