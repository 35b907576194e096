"""Clients that push and pull through the balancer while something happens, and what fails."""

import base64
import hashlib
import json
import os
import random
import subprocess
import threading
import time

from place import HOST, USER, Failed

OCTETS = "application/octet-stream"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = b'{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[]}}'


def digest(content):
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def manifest(layers, note=""):
    return json.dumps({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(CONFIG), "size": len(CONFIG)},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(layer), "size": len(layer)}
                   for layer in layers],
        "annotations": {"note": note},
    }).encode()


class Curl:
    """curl with the login, on connections of its own."""

    def __init__(self, place, name):
        self.folder = place.work / f"curl-{name}"
        self.folder.mkdir(exist_ok=True)
        self.settings = self.folder / "settings"
        self.settings.write_text(f'user = "{USER}:{place.password}"\ncacert = "{place.work}/ca/ca.crt"\nsilent\nshow-error\n')

    def run(self, method, url, *options, content=None, patience=120):
        """Status, the fields of the head, and the body."""
        head, body = self.folder / "head", self.folder / "body"
        command = ["curl", "-K", self.settings, "-X", method, "-D", head, "-o", body, "-w", "%{http_code}",
                   "-m", str(patience), *options, url if url.startswith("https:") else f"https://{HOST}{url}"]
        if method == "HEAD":
            command[3:5] = ["-I"]
        if content is not None:
            (self.folder / "content").write_bytes(content)
            command[1:1] = ["--data-binary", f"@{self.folder}/content"]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=patience + 10)
        if done.returncode != 0:
            raise Failed(f"curl {method} {url}: {done.stderr.strip()} (exit {done.returncode})")
        fields = {}
        for line in head.read_text(errors="replace").splitlines():
            name, colon, value = line.partition(":")
            if colon:
                fields[name.lower()] = value.strip()
        return int(done.stdout), fields, body.read_bytes() if body.exists() else b""

    def expect(self, status, method, url, *options, **more):
        found, fields, body = self.run(method, url, *options, **more)
        if found != status:
            raise Failed(f"{method} {url}: {found} instead of {status}: {body[:300]!r}")
        return fields, body

    def push_blob(self, repository, content):
        fields, _ = self.expect(202, "POST", f"/v2/{repository}/blobs/uploads/", "-H", "Content-Length: 0")
        place = fields["location"]
        place += ("&" if "?" in place else "?") + f"digest={digest(content)}"
        self.expect(201, "PUT", place, "-H", f"Content-Type: {OCTETS}", content=content)

    def push(self, repository, tag, layers, note=""):
        for layer in [CONFIG, *layers]:
            self.push_blob(repository, layer)
        content = manifest(layers, note)
        self.expect(201, "PUT", f"/v2/{repository}/manifests/{tag}", "-H", f"Content-Type: {MANIFEST}", content=content)
        return content

    def pull(self, repository, tag, layers, *options):
        _, content = self.expect(200, "GET", f"/v2/{repository}/manifests/{tag}", "-H", f"Accept: {MANIFEST}")
        for layer in json.loads(content)["layers"]:
            _, body = self.expect(200, "GET", f"/v2/{repository}/blobs/{layer['digest']}", *options)
            if digest(body) != layer["digest"]:
                raise Failed(f"the layer of {repository}:{tag} has another digest")
        if [layer["digest"] for layer in json.loads(content)["layers"]] != [digest(layer) for layer in layers]:
            raise Failed(f"{repository}:{tag} is another image")


class Load:
    """Threads that each repeat one thing until the load ends. Whatever fails is in `failures`."""

    def __init__(self, place):
        self.place, self.failures, self.counts = place, [], {}
        self.stopping = threading.Event()
        random.seed(16)
        self.layers = [random.randbytes(300_000), random.randbytes(1_500_000)]
        self.long = random.randbytes(12_000_000)
        first = Curl(place, "first")
        first.push("load/app", "1", self.layers)
        first.push("load/long", "1", [self.long])
        self.skopeo_settings()

    def skopeo_settings(self):
        folder = self.place.work / "skopeo"
        folder.mkdir(exist_ok=True)
        (folder / "ca.crt").write_bytes((self.place.work / "ca/ca.crt").read_bytes())
        self.skopeo = ["skopeo", "--insecure-policy", "copy", "--quiet", "--retry-times", "0"]
        self.trust = ["--src-cert-dir", folder], ["--dest-cert-dir", folder]
        login = json.dumps({"auths": {HOST: {"auth": self.encoded()}}})
        (folder / "auth.json").write_text(login)
        self.environment = os.environ | {"REGISTRY_AUTH_FILE": str(folder / "auth.json")}
        self.run_skopeo(*self.trust[0], f"docker://{HOST}/load/app:1", f"dir:{folder}/image")
        self.image = folder / "image"

    def encoded(self):
        return base64.b64encode(f"{USER}:{self.place.password}".encode()).decode()

    def run_skopeo(self, *arguments):
        done = subprocess.run([str(word) for word in [*self.skopeo, *arguments]], env=getattr(self, "environment", None),
                              capture_output=True, text=True, timeout=180)
        if done.returncode != 0:
            raise Failed(f"skopeo {arguments[-2]} {arguments[-1]}: {done.stderr.strip()[-500:]}")

    def start(self, more=()):
        work = [("pull by HTTP/2", self.pull), ("pull by HTTP/1.1", self.pull_by_1), ("push", self.push),
                ("long pull", self.pull_long), ("long push", self.push_long),
                ("skopeo pull", self.skopeo_pull), ("skopeo push", self.skopeo_push), *more]
        self.threads = [threading.Thread(target=self.repeat, args=one, daemon=True) for one in work]
        for thread in self.threads:
            thread.start()

    def repeat(self, name, action):
        curl, number = Curl(self.place, name.replace(" ", "-").replace("/", "-")), 0
        while not self.stopping.is_set():
            number += 1
            try:
                action(curl, number)
                self.counts[name] = self.counts.get(name, 0) + 1
            except Exception as error:
                self.failures.append(f"{time.strftime('%H:%M:%S')} {name} {number}: {error}")
            self.stopping.wait(0.05)

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(200)
        return dict(self.counts)

    def pull(self, curl, number):
        curl.pull("load/app", "1", self.layers, "--http2")

    def pull_by_1(self, curl, number):
        curl.pull("load/app", "1", self.layers, "--http1.1")

    def pull_long(self, curl, number):
        curl.pull("load/long", "1", [self.long], "--limit-rate", "1500k")

    def push(self, curl, number):
        layers = [random.randbytes(200_000)]
        content = curl.push("load/pushed", f"t{number}", layers, str(number))
        fields, _ = curl.expect(200, "HEAD", f"/v2/load/pushed/manifests/t{number}", "-H", f"Accept: {MANIFEST}")
        if fields["docker-content-digest"] != digest(content):
            raise Failed(f"load/pushed:t{number} has another digest")

    def push_long(self, curl, number):
        content = random.randbytes(6_000_000)
        fields, _ = curl.expect(202, "POST", "/v2/load/long/blobs/uploads/", "-H", "Content-Length: 0")
        where = fields["location"] + ("&" if "?" in fields["location"] else "?") + f"digest={digest(content)}"
        curl.expect(201, "PUT", where, "--limit-rate", "1000k", "-H", f"Content-Type: {OCTETS}", "-H", "Expect:", content=content)

    def skopeo_pull(self, curl, number):
        self.run_skopeo(*self.trust[0], f"docker://{HOST}/load/app:1", f"dir:{self.image.parent}/pulled")

    def skopeo_push(self, curl, number):
        self.run_skopeo(*self.trust[1], f"dir:{self.image}", f"docker://{HOST}/load/skopeo:{number}")
