#!/usr/bin/env python3
"""The run of tests/soak.sh, which see: starts everything, watches, and judges the end."""

import argparse
import base64
import pathlib
import random
import shutil
import signal
import sys
import threading
import time
import traceback

from faults import Faults
from http_clients import Door, Pace
from place import HOST, PASSWORD, USER, Place, total
from workload import Image, Skopeo, Worker

MIB = 1 << 20
# The end is compared with the time after the first minute, both without clients and at rest.
# Memory: what the allocator keeps depends on the last load of each thread, and a leak of 1 KiB a
# request would be 50 MiB in half an hour.
MORE_MEMORY = 24 * MIB
# Descriptors, without the idle connections to the registries: all that may differ is a file being read.
MORE_DESCRIPTORS = 4
# Threads: the pool for blocking calls, such as look-ups, keeps a thread for ten seconds.
MORE_THREADS = 3
# How long connections, requests and threads may take to end after the last client has left. The
# longest limit of the settings is 15 s.
REST = 40
CLIENTS = [("pull", "HTTP/1.1"), ("pull", "HTTP/2"), ("push", "HTTP/1.1"), ("push", "HTTP/2"),
           ("pull", "HTTP/1.1"), ("pull", "HTTP/2"), ("push", "HTTP/1.1"), ("push", "HTTP/2"),
           ("slow pull", "HTTP/1.1"), ("slow pull", "HTTP/2"), ("slow push", "HTTP/1.1"), ("slow push", "HTTP/2"),
           ("vanish", "HTTP/1.1"), ("vanish", "HTTP/2"), ("vanish", "HTTP/1.1"), ("vanish", "HTTP/2")]


class Run:
    """What all clients share: when to stop, and what has happened."""

    def __init__(self, options):
        self.seed, self.options = options.seed, options
        self.place = Place(options)
        self.lock = threading.Lock()
        self.stop = threading.Event()
        self.calm = False
        self.requests, self.failures, self.excuses = {}, {}, {}
        self.bytes, self.digests, self.peak = 0, 0, [0, 0, 0]
        self.began = time.monotonic()
        self.log = open(self.place.work / "events.log", "w", buffering=1)

    @property
    def leaving(self):
        return self.stop.is_set()

    def rest(self, seconds):
        self.stop.wait(seconds)

    def login(self, user, password):
        return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def note(self, text):
        self.log.write(f"{time.monotonic() - self.began:8.2f} {text}\n")

    def count(self, kind, protocol, outcome):
        with self.lock:
            key = (kind, protocol, outcome)
            self.requests[key] = self.requests.get(key, 0) + 1

    def excused(self, fault, what):
        self.note(f"excused: {what} by {fault}")
        with self.lock:
            self.excuses[fault, what] = self.excuses.get((fault, what), 0) + 1

    def fail(self, kind, text):
        self.note(f"FAILED: {kind}: {text}")
        with self.lock:
            self.failures.setdefault(kind, []).append(text)
            if len(self.failures[kind]) <= 5:
                print(f"  {time.monotonic() - self.began:5.0f} s  FAILED  {kind}: {text}", flush=True)

    def moved(self, count):
        with self.lock:
            self.bytes += count

    def compared(self, equal, what):
        with self.lock:
            self.digests += 1
        if not equal:
            self.fail("wrong digest", what)

    def forget(self, image):
        """Takes a pushed image from the disk. Nobody else knows its name or its random layers."""
        images = self.place.work / "images/docker/registry/v2"
        shutil.rmtree(images / "repositories" / image.repository, ignore_errors=True)
        for sum in image.blobs:
            name = sum.removeprefix("sha256:")
            shutil.rmtree(images / "blobs/sha256" / name[:2] / name, ignore_errors=True)

    # The phases.

    def go(self):
        self.place.prepare()
        (self.place.work / "trust").mkdir()
        shutil.copy(self.place.work / "ca/ca.crt", self.place.work / "trust/ca.crt")
        self.door = Door(HOST, self.place.port, self.place.work / "ca/ca.crt")
        self.faults = Faults(self, self.place, self.seed)
        self.push_images()
        seconds = self.options.minutes * 60
        first = min(60.0, seconds / 3)
        self.began = time.monotonic()
        self.load(first)
        base = self.settle()
        self.report("after the first phase, at rest", base)
        self.load(max(1.0, seconds - (time.monotonic() - self.began)))
        end = self.settle()
        self.report("at the end, at rest", end)
        self.compare(base, end)

    def push_images(self):
        """Images that stay for the whole run: each must be there and right at any time."""
        source = random.Random(f"images {self.seed}")
        sizes = [[3000, 120_000], [700, 300_000, 50_000], [4_000_000], [100], [2_000_000, 2_000_000]]
        self.images = [Image(f"seed/{number}", source, part) for number, part in enumerate(sizes)]
        worker = Worker(self, 0, "HTTP/1.1", "pull")
        worker.pace = Pace(self)
        worker.guard(worker.connect)
        for image in self.images:
            worker.push_image(image)
            worker.pull(image)
        worker.drop()

    def load(self, seconds):
        """Clients and faults for so long; ends when all clients have left and all faults are undone."""
        self.stop.clear()
        self.calm = False
        workers = [Worker(self, number, protocol, kind) for number, (kind, protocol) in enumerate(CLIENTS)]
        workers.append(Skopeo(self, 0, "skopeo", "skopeo"))
        self.phase = getattr(self, "phase", 0) + 1
        for worker in workers:
            worker.name += f"-{self.phase}"
        threads = [threading.Thread(target=self.guarded, args=(worker.work,), daemon=True) for worker in workers]
        threads.append(threading.Thread(target=self.guarded, args=(self.faults.work,), daemon=True))
        for thread in threads:
            thread.start()
        end, shown = time.monotonic() + seconds, time.monotonic()
        while time.monotonic() < end and self.watch(workers):
            if time.monotonic() - shown > 10:
                shown = time.monotonic()
                self.show()
            time.sleep(1)
        self.calm = True
        self.stop.set()
        end = time.monotonic() + 130
        for thread in threads:
            while thread.is_alive() and time.monotonic() < end:
                thread.join(1)
                self.watch(workers)
            if thread.is_alive():
                self.fail("hung", "a client or a fault did not end within 130 s")
                return

    def guarded(self, work):
        """A mistake of this test must not pass for a success."""
        try:
            work()
        except Exception as error:
            self.note(traceback.format_exc())
            self.fail("the test itself", f"{type(error).__name__}: {error}")

    def watch(self, workers):
        """Once a second; false when there is nothing left to watch."""
        code = self.place.process.poll()
        if code is not None:
            self.fail("exit", f"tidegate has ended with {code}")
            raise SystemExit(1)
        self.peak = [max(pair) for pair in zip(self.peak, self.place.usage())]
        try:
            status = self.place.admin("/healthz")[0]
            if status != 200:
                self.fail("health", f"/healthz answers {status}")
        except OSError as error:
            self.fail("health", f"/healthz: {error}")
        now = time.monotonic()
        for worker in workers:
            since = worker.since
            if since is not None and now - since > 180:
                worker.since = None
                self.fail("hung", f"{worker.name}: {now - since:.0f} s")
        return "exit" not in self.failures

    def settle(self):
        """Without clients: waits until tidegate has nothing left to do, and measures."""
        end = time.monotonic() + REST
        while True:
            left = self.left_over()
            usage = self.place.usage()
            if not left:
                break
            if time.monotonic() > end:
                self.fail("leak", f"{REST} s after the last client: {left}")
                break
            time.sleep(0.5)
        idle = int(total(self.place.metrics(), "tidegate_upstream_connections", state="idle"))
        return usage[0], usage[1] - idle, usage[2]

    def left_over(self):
        samples = self.place.metrics()
        left = {name: total(samples, name) for name in ["tidegate_connections", "tidegate_requests_in_flight",
                                                        "tidegate_transfers"]}
        left["active upstream connections"] = total(samples, "tidegate_upstream_connections", state="active")
        left["refused settings"] = 1 - samples["tidegate_config_last_reload_successful"]
        if hasattr(self, "base"):
            left["threads"] = max(0, self.place.usage()[2] - self.base[2] - MORE_THREADS)
            idle = total(samples, "tidegate_upstream_connections", state="idle")
            left["descriptors"] = max(0, self.place.usage()[1] - idle - self.base[1] - MORE_DESCRIPTORS)
        return {name: value for name, value in left.items() if value}

    def compare(self, base, end):
        for name, before, after, more in zip(["resident bytes", "descriptors", "threads"], base, end,
                                             [MORE_MEMORY, MORE_DESCRIPTORS, MORE_THREADS]):
            if after > before + more:
                self.fail("leak", f"{name}: {before} after the first phase, {after} at the end")

    # What is printed.

    def show(self):
        memory, descriptors, threads = self.place.usage()
        done = sum(count for (*_, outcome), count in self.requests.items() if outcome == "done")
        print(f"  {time.monotonic() - self.began:5.0f} s  {done} requests, {sum(self.excuses.values())} excused, "
              f"{sum(map(len, self.failures.values()))} failed; {memory / MIB:.0f} MiB, {descriptors} descriptors, "
              f"{threads} threads", flush=True)

    def report(self, when, usage):
        if not hasattr(self, "base"):
            self.base = usage
        self.end = usage
        print(f"  {when}: {usage[0] / MIB:.1f} MiB, {usage[1]} descriptors without idle connections to registries, "
              f"{usage[2]} threads", flush=True)

    def summary(self):
        print("\nrequests")
        for (kind, protocol, outcome), count in sorted(self.requests.items()):
            print(f"  {count:8}  {kind}, {protocol}: {outcome}")
        if hasattr(self, "faults"):
            print("faults")
            for kind, count in sorted(self.faults.counts.items()):
                print(f"  {count:8}  {kind}")
            for kind in sorted({kind for kind, _ in self.faults.returns}):
                times = sorted(waited for name, waited in self.faults.returns if name == kind)
                print(f"            back in use after {kind}: median {times[len(times) // 2]:.1f} s, longest {times[-1]:.1f} s")
        print("failures that a fault excuses")
        for (fault, what), count in sorted(self.excuses.items()):
            print(f"  {count:8}  {what} by {fault}")
        print(f"{self.bytes / MIB:.0f} MiB of bodies, {self.digests} digests compared")
        if hasattr(self, "base"):
            rows = zip(["memory", "descriptors", "threads"], self.base, self.end, self.peak)
            for name, before, after, peak in rows:
                unit = MIB if name == "memory" else 1
                print(f"{name}: {before / unit:.4g} after the first phase, {after / unit:.4g} at the end, "
                      f"{peak / unit:.4g} at most{' MiB' if name == 'memory' else ''}")
        errors, strange = self.place.errors()
        print(f"lines of level error: {sum(errors.values())}")
        for message, count in sorted(errors.items()):
            print(f"  {count:8}  {message}")
        for line in strange:
            self.fail("log", line)
        print("failures that nothing excuses" if self.failures else "nothing failed without a reason")
        for kind, texts in sorted(self.failures.items()):
            print(f"  {len(texts):8}  {kind}, for instance {texts[0]}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--seed", required=True)
    parser.add_argument("--registries", type=int, required=True)
    parser.add_argument("--tidegate", type=pathlib.Path, required=True)
    parser.add_argument("--work", required=True)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    run = Run(options)
    try:
        run.go()
    finally:
        try:
            run.summary()
        finally:
            run.stop.set()
            run.calm = True
            run.place.end()
    sys.exit(1 if run.failures else 0)


if __name__ == "__main__":
    main()
