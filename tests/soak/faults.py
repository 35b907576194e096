"""One fault every second, chosen by a seeded generator, and the word on what it excuses."""

import heapq
import itertools
import random
import ssl
import threading
import time

from http_clients import Cut, Hung, Wrong, open_connection, Pace
from place import PASSWORD, values

# A request that begins this long after a registry was killed must succeed at another one. The time
# covers the step between the note of the fault and the fault itself, on a busy machine.
GRACE = 1.5
# A registry that is back must be in use again within this time: a check of a server that fell silent
# may come 30 s after the last one.
RETURN = 45.0
# A changed file must be in use within this time.
RELOAD = 15.0

WEIGHTS = {
    "kill": 3, "freeze": 2, "move": 2, "addresses": 2, "name lost": 1, "all down": 0.5, "unlist": 1.5,
    "certificate": 2, "half a certificate": 2, "reload": 2, "settings": 2, "broken settings": 2, "users": 2,
}


class Faults:
    def __init__(self, run, place, seed):
        self.run, self.place = run, place
        self.random = random.Random(f"faults {seed}")
        self.counts, self.returns = {}, []
        self.windows = []  # [kind, begin, end or None, whether only what began before is excused]
        self.undoing, self.order = [], itertools.count()
        self.blocked = 0  # Faults in force that make tidegate refuse a reload.
        self.blocked_until = 0.0
        self.guest = 0

    # What a fault excuses.

    def excuse(self, begin, end):
        """The kind of a fault that may have broken a request of this time."""
        for kind, since, until, only_running in reversed(self.windows):
            if only_running and begin <= since + GRACE and end >= since:
                return kind
            if not only_running and end >= since and (until is None or begin <= until + GRACE):
                return kind
        return None

    # The clock.

    def work(self):
        """Until the run says stop: a fault every second. Ends with everything undone."""
        due = time.monotonic()
        while not self.run.calm:
            self.undo_due()
            if time.monotonic() >= due:
                due = max(due + 1, time.monotonic())
                self.strike()
            time.sleep(0.05)
        while self.undoing or any(registry.taken for registry in self.place.registries):
            self.undo_due(early=True)
            time.sleep(0.05)

    def strike(self):
        kinds = list(WEIGHTS)
        while kinds:
            kind = self.random.choices(kinds, [WEIGHTS[kind] for kind in kinds])[0]
            if getattr(self, kind.replace(" ", "_"))():
                self.counts[kind] = self.counts.get(kind, 0) + 1
                self.run.note(f"fault: {kind}")
                return
            kinds.remove(kind)

    def later(self, seconds, action, check=False):
        """Does it then; a check may be called early only when nothing else is left to undo."""
        heapq.heappush(self.undoing, (time.monotonic() + seconds, next(self.order), check, action))

    def undo_due(self, early=False):
        """What is due; `early`, everything that is no check at once."""
        if early:
            ready = [entry for entry in self.undoing if not entry[2]]
            self.undoing = [entry for entry in self.undoing if entry[2]]
            heapq.heapify(self.undoing)
        else:
            ready = []
        while self.undoing and self.undoing[0][0] <= time.monotonic():
            ready.append(heapq.heappop(self.undoing))
        for *_, action in ready:
            action()

    # Registries that go and come.

    def available(self):
        """The registries that tidegate can use and knows of."""
        now = time.monotonic()
        return [registry for registry in self.place.registries
                if registry.listed and registry.taken is None and now > registry.returned + 2]

    def victim(self, kinds=None):
        """A registry that can be taken away while another stays, at random."""
        available = self.available()
        others = kinds or (lambda registry: True)
        choice = [registry for registry in available if others(registry)]
        if len(available) < min(2, len(self.place.registries)) or not choice:
            return None
        return self.random.choice(choice)

    def take(self, registry, kind, only_running):
        registry.taken = time.monotonic()
        window = [kind, registry.taken, None, only_running and len(self.place.registries) > 1]
        self.windows.append(window)
        return window

    def give_back(self, registry, window):
        """Watches until tidegate has noticed that the registry is back, in a thread: checks of other
        faults may wait long for an answer, and times are measured here."""
        def watch():
            try:
                self.watch(registry, window)
            finally:
                window[2] = registry.returned = time.monotonic()
                registry.taken = None
        threading.Thread(target=self.run.guarded, args=(watch,), daemon=True).start()

    def watch(self, registry, window):
        while not registry.answers():
            time.sleep(0.1)
        begin, known = time.monotonic(), None
        while registry.listed:
            now = time.monotonic()
            up = values(self.place.metrics(), "tidegate_upstream_up", upstream=registry.server)
            # One that is listed again is unknown while broken settings delay the reload.
            known = known or (now if up else None)
            if any(up):
                self.returns.append((window[0], now - max(begin, known)))
                return
            if now - begin >= RETURN:
                self.run.fail("return", f"registry {registry.name} is not used {RETURN:.0f} s after its return ({window[0]})")
                (self.place.work / "metrics.txt").write_text(self.place.admin("/metrics")[1] + self.place.admin("/api/status")[1])
                return
            time.sleep(0.1)

    def kill(self, kind="kill", registry=None):
        registry = registry or self.victim()
        if registry is None:
            return False
        window = self.take(registry, kind, only_running=kind != "all down")
        registry.kill()

        def restart():
            registry.start()
            self.give_back(registry, window)
        self.later(self.random.uniform(0.5, 5), restart)
        return True

    def all_down(self):
        available = self.available()
        if len(available) < len(self.place.registries):
            return False
        for registry in available:
            self.kill("all down", registry)
        return True

    def freeze(self):
        registry = self.victim()
        if registry is None:
            return False
        window = self.take(registry, "freeze", only_running=False)
        registry.freeze()

        def thaw():
            registry.thaw()
            self.give_back(registry, window)
        self.later(self.random.uniform(1, 14), thaw)
        return True

    def move(self):
        """Killed, and started elsewhere under the same name."""
        registry = self.victim(lambda registry: registry.named and registry.name == "a")
        if registry is None:
            return False
        window = self.take(registry, "move", only_running=True)
        registry.kill()
        new = self.random.choice([f"127.0.1.{n}" for n in range(1, 9) if [f"127.0.1.{n}"] != registry.addresses])
        registry.addresses, registry.listen = [new], f"{new}:{registry.port}"

        def restart():
            registry.start()
            self.place.write_hosts()
            self.give_back(registry, window)
        self.later(self.random.uniform(0.5, 4), restart)
        return True

    # Names, while every process goes on: nothing is excused.

    def addresses(self):
        named = [registry for registry in self.place.registries if registry.named and registry.name == "b"]
        if not named:
            return False
        named[0].addresses = self.random.sample([f"127.0.2.{n}" for n in range(1, 5)], self.random.randint(1, 3))
        self.place.write_hosts()
        return True

    def name_lost(self):
        named = [registry for registry in self.place.registries if registry.named]
        # A name that is lost while its registry moves would keep the old address for good reason.
        if not named or any(registry.taken for registry in named):
            return False
        self.place.write_hosts(without=[self.random.choice(named)])
        self.later(self.random.uniform(1, 5), self.place.write_hosts)
        return True

    # Reloads: nothing is excused.

    def unlist(self):
        if len(self.available()) < 2:
            return False
        registry = self.random.choice(self.available())
        registry.listed = False
        self.settle()

        def list_again():
            registry.listed = True
            registry.returned = time.monotonic()
            self.settle()
        self.later(self.random.uniform(2, 6), list_again)
        return True

    def settings(self):
        change = self.random.choice([
            ("balance", ["least-connections", "round-robin"]), ("level", ["info", "debug", "warn"]),
            ("resolve_every", ["1s", "2s", "3s"]), ("header_bytes", ["32KiB", "48KiB", "64KiB"])])
        self.place.settings[change[0]] = self.random.choice(change[1])
        self.settle()
        return True

    def settle(self):
        """Puts the settings in force, sometimes with a signal and sometimes by the file alone."""
        if self.blocked == 0:
            self.place.write_settings()
        if self.random.random() < 0.5:
            self.place.hang_up()

    def reload(self):
        if self.random.random() < 0.3:
            for name in ["access.log", "audit.log"]:
                if (self.place.work / name).exists():
                    (self.place.work / name).rename(self.place.work / f"{name}.1")
        self.place.hang_up()
        return True

    def broken_settings(self):
        if self.blocked:
            return False
        good = self.place.text()
        text = self.random.choice([
            good[: len(good) // 2] + "\n[", good + '\n[policy]\nread_olny = true\n',
            good.replace('read_timeout = "10s"', 'read_timeout = "ten"'),
            good.replace('key = "domain.key"', 'key = "missing.key"'),
            "\0" * 300, good.replace('servers = [', 'servers = ["ftp://registry", ')])
        self.block()
        self.place.write_settings(text)
        self.place.hang_up()
        seconds = self.random.uniform(1, 6)
        signs = self.place.metrics
        # Two seconds are for the second look at a file, and a busy machine.
        watched = seconds > 5

        def mend():
            if watched and not self.run.calm and signs().get("tidegate_config_last_reload_successful") == 1:
                self.run.fail("reload", f"a broken proxy.toml was not refused: {text[-80:]!r}")
            self.unblock()
            self.place.write_settings()
            self.place.hang_up()
        self.later(seconds, mend)
        return True

    def block(self):
        self.blocked += 1

    def unblock(self):
        self.blocked -= 1
        self.blocked_until = time.monotonic()

    def certificate(self):
        if self.blocked:
            return False
        self.place.install_leaf((self.place.current + 1) % len(self.place.leaves))
        self.expect_leaf(time.monotonic())
        return True

    def half_a_certificate(self):
        if self.blocked:
            return False
        number = (self.place.current + 1) % len(self.place.leaves)
        self.block()
        self.place.install_half(number)

        def complete():
            self.place.install_leaf(number)
            self.unblock()
            self.expect_leaf(time.monotonic())
        self.later(self.random.uniform(0.2, 4), complete)
        return True

    def expect_leaf(self, since):
        """The newest certificate is shown some time after it was complete, if nothing stops a reload."""
        wanted = self.place.current

        def look():
            if self.place.current != wanted:
                return
            now = time.monotonic()
            if self.shown() == self.leaf(wanted):
                return
            if self.blocked or now < max(since, self.blocked_until) + RELOAD:
                return self.later(1, look, check=True)
            self.run.fail("certificate", f"a certificate is not in use {RELOAD:.0f} s after it was written")
        self.later(1, look, check=True)

    def leaf(self, number):
        text = (self.place.leaves[number] / "domain.crt").read_text()
        end = "-----END CERTIFICATE-----"
        return ssl.PEM_cert_to_DER_cert(text[: text.index(end) + len(end)])

    def shown(self):
        connection = self.run.door.connect("http/1.1")
        with connection:
            return connection.getpeercert(binary_form=True)

    def users(self):
        """A user comes, and another one may go. The new one is let in, the old one is not."""
        self.guest += 1
        name = f"guest-{self.guest}"
        gone = next(iter(self.place.guests), None) if len(self.place.guests) > 3 else None
        self.place.guests[name] = True
        if gone:
            del self.place.guests[gone]
        self.place.write_users()
        self.later(1, lambda: self.expect_user(name, 200, time.monotonic()), check=True)
        if gone and self.random.random() < 0.3:
            self.later(1, lambda: self.expect_user(gone, 401, time.monotonic()), check=True)
        return True

    def expect_user(self, name, status, since):
        if status == 200 and name not in self.place.guests:
            return
        begin = time.monotonic()
        try:
            connection = open_connection(self.run.door, "HTTP/1.1")
            fields = [("Authorization", self.run.login(name, PASSWORD))]
            answer = connection.exchange("GET", "/v2/", fields, None, Pace(self.run))
            connection.close()
        except (Cut, Wrong, Hung) as error:
            answer = error
        if getattr(answer, "status", None) == status:
            return
        if self.excuse(begin, time.monotonic()) or time.monotonic() < since + RELOAD:
            return self.later(1, lambda: self.expect_user(name, status, since), check=True)
        self.run.fail("users", f"{name}: {answer} instead of {status}, {RELOAD:.0f} s after the edit")
