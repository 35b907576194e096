"""What the clients do: pushes and pulls with known digests, in haste, slowly, or not to their end."""

import hashlib
import json
import random
import shutil
import subprocess
import time
import urllib.parse

from http_clients import Cut, Hung, Pace, Vanished, Wrong, open_connection
from place import HOST, PASSWORD, USER

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
UNAVAILABLE = {502, 503, 504}


class Failed(Exception):
    """A request failed and a fault excuses it: the client gives up what it was doing."""


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Image:
    """An image made of random bytes, always the same for one generator."""

    def __init__(self, repository, source, sizes):
        self.repository = repository
        config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}
        self.layers = [source.randbytes(size) for size in sizes]
        config["rootfs"]["diff_ids"] = [digest(layer) for layer in self.layers]
        self.config = json.dumps(config).encode()
        self.blobs = {digest(blob): blob for blob in [self.config, *self.layers]}
        self.manifest = json.dumps({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": digest(self.config), "size": len(self.config)},
            "layers": [{"mediaType": LAYER, "digest": digest(layer), "size": len(layer)} for layer in self.layers],
        }).encode()

    def path(self, kind, reference):
        return f"/v2/{self.repository}/{kind}/{reference}"


class Worker:
    """One client that goes on until the run says stop. Every answer is judged here."""

    def __init__(self, run, number, protocol, kind):
        self.run, self.protocol, self.kind = run, protocol, kind
        self.name = f"{kind}-{number}"
        self.random = random.Random(f"{self.name} {run.seed}")
        self.connection, self.since = None, None
        self.pushes = 0

    def work(self):
        while not self.run.leaving:
            self.pace = Pace(self.run)
            try:
                if self.connection is None:
                    self.guard(lambda: self.connect())
                self.guard(getattr(self, self.kind.replace(" ", "_")))
            except Failed:
                self.drop()
            except Vanished:
                self.run.count("vanished", self.protocol, "left on purpose")
                self.drop()
            if self.random.random() < 0.2:
                self.drop()
            self.run.rest(self.random.uniform(0, 0.3))
        self.drop()

    def connect(self):
        self.connection = open_connection(self.run.door, self.protocol)

    def drop(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def guard(self, action):
        """What went wrong outside a request is never excused."""
        try:
            return action()
        except (Cut, Wrong, Hung) as error:
            self.run.fail("hung" if isinstance(error, Hung) else "connection", f"{self.name}: {error}")
            raise Failed from error

    # One request.

    def ask(self, kind, method, path, expected, fields=(), body=None, wanted=None):
        """The answer, which has one of the expected statuses, and the wanted digest."""
        return self.ask_all(kind, [(method, path, fields, body)], expected, [wanted])[0]

    def ask_all(self, kind, requests, expected, wanted):
        login = ("Authorization", self.run.login(USER, PASSWORD))
        requests = [(method, path, [login, *fields], body) for method, path, fields, body in requests]
        begin = self.since = time.monotonic()
        try:
            if len(requests) == 1:
                answers = [self.connection.exchange(*requests[0], self.pace)]
            else:
                answers = self.connection.exchange_all(requests, self.pace)
        except (Cut, Wrong, Hung) as error:
            self.judge(kind, begin, error, f"{requests[0][0]} {requests[0][1]}")
        finally:
            self.since = None
        for (method, path, *_), answer, sum in zip(requests, answers, wanted):
            self.check(kind, begin, f"{method} {path}", answer, expected, sum)
        return answers

    def check(self, kind, begin, request, answer, expected, wanted):
        if answer.status == 503 and "retry-after" not in answer.fields:
            self.run.fail("no Retry-After", f"{self.name}: {request}: {answer}")
        if answer.status not in expected:
            self.judge(kind, begin, answer, request)
        self.run.count(kind, self.protocol, "done")
        self.run.moved(len(answer.body))
        if wanted is not None:
            self.run.compared(digest(answer.body) == wanted, f"{self.name}: {request}: {len(answer.body)} bytes")

    def judge(self, kind, begin, what, request):
        """Raises `Failed`, after it has noted whether a fault excuses the failure."""
        fault = self.run.faults.excuse(begin, time.monotonic())
        status = getattr(what, "status", None)
        if isinstance(what, Hung):
            self.run.fail("hung", f"{self.name}: {request}: {what}")
        elif fault is None or isinstance(what, Wrong) or (status is not None and status not in UNAVAILABLE):
            age = time.monotonic() - begin
            self.run.fail("request", f"{self.name}: {request}: {what}, after {age:.2f} s; fault: {fault}")
        else:
            self.run.count(kind, self.protocol, "failed")
            self.run.excused(fault, f"{status}" if status else f"cut")
        raise Failed

    # What clients do.

    def pull(self, image=None):
        image = image or self.random.choice(self.run.images)
        accept = [("Accept", MANIFEST)]
        if self.random.random() < 0.3:
            head = self.ask("head", "HEAD", image.path("manifests", "latest"), {200}, accept)
            if head.fields.get("docker-content-digest") != digest(image.manifest):
                self.run.compared(False, f"{self.name}: HEAD of {image.repository}")
        self.ask("pull manifest", "GET", image.path("manifests", "latest"), {200}, accept, wanted=digest(image.manifest))
        requests = [("GET", image.path("blobs", sum), (), None) for sum in image.blobs]
        if self.protocol == "HTTP/2" and self.random.random() < 0.7:
            self.ask_all("pull blob", requests, {200}, list(image.blobs))
        else:
            for request, sum in zip(requests, image.blobs):
                self.ask("pull blob", request[0], request[1], {200}, wanted=sum)
        if self.random.random() < 0.2:
            self.pull_range(image)

    def pull_range(self, image):
        sum, blob = self.random.choice(list(image.blobs.items()))
        first = self.random.randrange(len(blob))
        last = self.random.randrange(first, len(blob))
        part = digest(blob[first : last + 1])
        self.ask("range", "GET", image.path("blobs", sum), {206}, [("Range", f"bytes={first}-{last}")], wanted=part)

    def push(self, sizes=None):
        """A new image into a new repository, and pulled back."""
        self.pushes += 1
        sizes = sizes or [self.random.choice([500, 40_000, 300_000]) for _ in range(self.random.randint(1, 3))]
        image = Image(f"{self.name.replace(' ', '-')}/{self.pushes}", self.random, sizes)
        try:
            self.push_image(image)
            self.pull(image)
        finally:
            self.run.forget(image)

    def push_image(self, image):
        for sum, blob in image.blobs.items():
            self.ask("head", "HEAD", image.path("blobs", sum), {404})
            self.upload(image, sum, blob)
        fields = [("Content-Type", MANIFEST)]
        self.ask("push manifest", "PUT", image.path("manifests", "latest"), {201}, fields, image.manifest)

    def upload(self, image, sum, blob):
        answer = self.ask("upload begin", "POST", image.path("blobs", "uploads/"), {202}, body=b"")
        self.pace.chunked = self.protocol == "HTTP/1.1" and self.random.random() < 0.5
        fields = [("Content-Type", "application/octet-stream")]
        at = self.random.choice([0, len(blob), len(blob) // 2])
        if at:
            answer = self.ask("upload patch", "PATCH", self.place_of(answer), {202}, fields, blob[:at])
        path = self.place_of(answer)
        path += ("&" if "?" in path else "?") + "digest=" + urllib.parse.quote(sum)
        self.ask("upload finish", "PUT", path, {201}, fields, blob[at:])
        self.run.moved(len(blob))

    def place_of(self, answer):
        place = answer.fields["location"]
        if place.startswith(self.run.door.origin + "/"):
            return place.removeprefix(self.run.door.origin)
        if not place.startswith("/"):
            raise Wrong(f"Location: {place}")
        return place

    def slow_pull(self):
        self.pace = Pace(self.run, piece=self.random.choice([4096, 16384]), delay=self.random.uniform(0.02, 0.2))
        self.pull(self.run.images[0])

    def slow_push(self):
        self.pace = Pace(self.run, piece=self.random.choice([2048, 8192]), delay=self.random.uniform(0.02, 0.2))
        self.push([self.random.choice([40_000, 300_000])])

    def vanish(self):
        """Leaves in the middle of a push or pull: closes, resets, cancels, or says nothing any more."""
        direction = self.random.choice(["pull", "push"])
        image = self.run.images[-1]
        after = self.random.choice([0, 1, 20_000, 500_000])
        self.pace = Pace(self.run, vanish=direction, after=after, piece=16384)
        try:
            if direction == "pull":
                self.ask("pull blob", "GET", image.path("blobs", digest(image.layers[-1])), {200})
            else:
                pace, self.pace = self.pace, Pace(self.run)
                answer = self.ask("upload begin", "POST", image.path("blobs", "uploads/"), {202}, body=b"")
                self.pace = pace
                self.ask("upload patch", "PATCH", self.place_of(answer), {202}, body=self.random.randbytes(600_000))
        except Vanished:
            how = self.random.choice(["closes", "resets", "falls silent", "cancels"])
            if how == "cancels" and self.protocol == "HTTP/2":
                self.run.count("vanished", self.protocol, "cancels")
                return self.connection.cancel()
            if how == "resets":
                self.connection.reset()
            if how == "falls silent":
                self.fall_silent(direction)
            self.run.count("vanished", self.protocol, "closes" if how == "cancels" else how)
            self.drop()

    def fall_silent(self, direction):
        """Waits for the end of the connection, which must come when limits.idle_timeout is over."""
        end = time.monotonic() + (45 if direction == "push" else self.random.uniform(1, 20))
        while not self.connection.readable(0.5) or direction == "pull":
            if self.run.leaving:
                return
            if time.monotonic() > end:
                if direction == "push":
                    self.run.fail("silent", f"{self.name}: a silent push is kept for 45 s")
                return
            if direction == "pull":
                self.run.rest(0.5)


class Skopeo(Worker):
    """A client that others have written."""

    def connect(self):
        self.connection = self

    def close(self):
        pass

    def skopeo(self):
        self.pushes += 1
        folder = self.run.place.work / f"skopeo-{self.pushes}"
        image = self.random.choice(self.run.images)
        name = f"docker://{self.run.door.authority}"
        begin = self.since = time.monotonic()
        try:
            self.copy("pull", f"{name}/{image.repository}:latest", f"dir:{folder}", begin)
            self.run.compared((folder / "manifest.json").read_bytes() == image.manifest, "skopeo: manifest")
            for sum, blob in image.blobs.items():
                self.run.compared((folder / sum.removeprefix("sha256:")).read_bytes() == blob, f"skopeo: {sum}")
            begin = self.since = time.monotonic()
            self.copy("push", f"dir:{folder}", f"{name}/skopeo/{self.pushes}:latest", begin)
        finally:
            self.since = None
            shutil.rmtree(folder, ignore_errors=True)
        self.run.rest(3)

    def copy(self, kind, source, target, begin):
        side = "src" if kind == "pull" else "dest"
        command = ["skopeo", "--insecure-policy", "copy", "--quiet", f"--{side}-creds={USER}:{PASSWORD}",
                   f"--{side}-cert-dir={self.run.place.work}/trust", "--preserve-digests", source, target]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        except subprocess.TimeoutExpired:
            self.judge(f"skopeo {kind}", begin, Hung("120 s"), "skopeo copy")
        if done.returncode == 0:
            return self.run.count(f"skopeo {kind}", self.protocol, "done")
        self.judge(f"skopeo {kind}", begin, Cut(done.stderr.strip()[-300:]), f"skopeo copy {source} {target}")
