#!/usr/bin/env python3
"""Makes the table of docs/clients.md: what registry clients of today do with tidegate, and what
they show to their user.

Installs Debian unstable with its clients into a folder, Helm and python-dxf from PyPI and the crate
oci-client beside them. Starts a registry, tidegate and, one after the other, two Docker engines in
a network namespace that ends with it. Needs root, debootstrap, cargo and 4 GB. It takes minutes,
and it prints Markdown: put it where docs/clients.md says.
"""

import argparse
import datetime
import os
import pathlib
import re
import shutil
import sys
import time

from place import HOST, PASSWORD, USER, Place, mount, note, run
from registry_clients import clients

HERE = pathlib.Path(__file__).resolve().parent
PACKAGES = """docker.io docker-cli podman skopeo buildah containerd oras docker-registry iproute2
    iptables crun netavark python3-venv python3-pip ca-certificates""".split()
LIBRARIES = ["python-dxf==12.*", "helm-python-sdk"]
MODES = ["basic", "rules", "token"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--root", default="/var/tmp/tidegate-clients", help="where Debian unstable is or goes")
    parser.add_argument("--tidegate", default=HERE.parents[1] / "target/release/tidegate", type=pathlib.Path)
    parser.add_argument("--only", default="", help="one client, such as podman")
    parser.add_argument("--stage", choices=["install", "try"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.root = pathlib.Path(options.root).resolve()
    if os.geteuid() != 0:
        sys.exit("tests/clients/table.py needs root, for debootstrap, namespaces and dockerd")
    if not options.tidegate.is_file():
        sys.exit(f"{options.tidegate} is missing: run cargo build --release, or name another with --tidegate")
    # Mounts, the network and every process belong to namespaces, and end with them.
    if options.stage is None:
        enter("install", "--mount")
    if options.stage == "install":
        install(options.root)
        enter("try", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
    print_table(options)


def enter(stage, *namespaces):
    os.execvp("unshare", ["unshare", *namespaces, sys.executable, *sys.argv, "--stage", stage])


# Installing.


def install(root):
    if not (root / "etc/debian_version").exists():
        note("Debian unstable ...")
        run("debootstrap", "--variant=minbase", "sid", root, debian_mirror())
    shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
    mount(root)
    if not (root / "srv/installed").exists():
        # The authorities that this machine installs by; `Place` puts back the root's.
        shutil.copy("/etc/ssl/certs/ca-certificates.crt", root / "etc/ssl/certs/ca-certificates.crt")
        note("clients ...")
        # A mirror that is a copy of some weeks ago is as good.
        apt = ["apt-get", "-qq", "-y", "-o", "Acquire::Check-Valid-Until=false"]
        chroot(root, *apt, "update")
        chroot(root, *apt, "install", "--no-install-recommends", *PACKAGES)
        chroot(root, "python3", "-m", "venv", "/opt/clients")
        chroot(root, "/opt/clients/bin/pip", "install", "-q", *LIBRARIES)
        (root / "srv/installed").touch()
    crate = HERE / "oci-client"
    run("cargo", "build", "-q", "--locked", "--manifest-path", crate / "Cargo.toml",
        "--target-dir", root / "srv/oci-client")
    shutil.copy(root / "srv/oci-client/debug/oci-client-cases", root / "usr/local/bin")
    shutil.copy(HERE / "library_client.py", root / "srv/library_client.py")


def debian_mirror():
    for file in ["/etc/apt/sources.list", *pathlib.Path("/etc/apt/sources.list.d").glob("*")]:
        for line in pathlib.Path(file).read_text().splitlines() if os.path.exists(file) else []:
            words = line.split()
            if words[:1] in (["URIs:"], ["deb"]):
                return next(word for word in words if "://" in word)
    sys.exit("no Debian mirror in /etc/apt: tests/clients/table.py installs from the one this machine uses")


def chroot(root, *command):
    run("chroot", root, *command)


def cases(client, mode, place):
    """What the client did with each case: a pair of a word for the table and what it printed."""
    app, other = f"{HOST}/team/app:1", f"{HOST}/team/other:1"
    yield "wrong password", client.login(USER, "a wrong password")
    client.logout()
    client.store(USER, "a wrong password")
    yield "push with a wrong stored password", client.push(app)
    client.logout()
    yield "login", client.login(USER, PASSWORD)
    yield "push", client.push(app)
    if client.mount:
        yield "mount", client.mount(other, app)
    yield "pull", client.pull(app)
    if client.chooses_tags:
        stable = f"{HOST}/team/app:stable"
        client.push(stable)
        yield "same push again, immutable tag", client.push(stable)
        yield "another push, immutable tag", client.push(stable, 2)
    if mode != "basic":
        yield "refused push", client.push(f"{HOST}/public/app:1")
        yield "refused pull", client.pull(f"{HOST}/private/app:1")
    if mode == "token" and client.keeps_identity_token:
        run(place.tidegate, "token", "revoke", place.work / "token.key", USER, quiet=True)
        yield "revoked login", client.push(app)
    client.logout()
    if mode == "token":
        client.store("root", PASSWORD)
        client.push(f"{HOST}/public/open:1")
        client.logout()
        yield "anonymous pull", client.pull(f"{HOST}/public/open:1")


def print_table(options):
    place = Place(options)
    results = {}
    versions = {}
    for mode in MODES:
        for client in clients(place):
            if options.only not in client.name:
                continue
            place.begin(mode)
            versions[client.name] = client.version()
            client.begin()
            before, start = len(place.records()), time.monotonic()
            for case, (done, printed) in cases(client, mode, place):
                time.sleep(0.05)  # the access log is written in batches of 20 ms
                records = place.records()[before:]
                seconds = time.monotonic() - start
                result = (done, printed, records, seconds)
                results[client.name, mode, case] = result
                note(f"{mode:6} {client.name:24} {case:34} {'yes' if done else 'no':4} "
                     f"{len(records):3} requests {seconds:5.1f} s  {shown(printed) if not done else ''}")
                before, start = len(place.records()), time.monotonic()
            client.logout()
            client.end()
    for name in list(place.children):
        place.stop(name)
    markdown(results, versions)


GOOD = ["login", "push", "mount", "pull", "same push again, immutable tag", "anonymous pull"]
REFUSED = ["wrong password", "push with a wrong stored password", "refused push", "refused pull",
           "another push, immutable tag", "revoked login"]


def markdown(results, versions):
    print(f"Tried on {datetime.date.today()} with Debian's and PyPI's newest: "
          f"{', '.join(f'{name} {version}' for name, version in versions.items())}.\n")
    print(f"| client | {' | '.join(GOOD)} |")
    print("|---" * (len(GOOD) + 1) + "|")
    for name in versions:
        cells = [in_modes({mode: outcome(results.get((name, mode, case)), case) for mode in MODES}) for case in GOOD]
        print(f"| {name} | {' | '.join(cells)} |")
    print("\nWhat the user sees when it fails:")
    for case in REFUSED:
        texts = {name: {mode: failure(results.get((name, mode, case))) for mode in MODES} for name in versions}
        rows = [f"| {name} | {in_modes(shown)} |" for name, shown in texts.items() if any(shown.values())]
        if rows:
            print("\n".join([f"\n**{case.capitalize()}**\n", "| client | shows |", "|---|---|", *rows]))


def in_modes(texts):
    """One text, with the modes before it where they differ."""
    groups = {}
    for mode, text in texts.items():
        if text:
            groups.setdefault(text, []).append(mode)
    if len(groups) < 2:
        return next(iter(groups), "–")
    return "<br>".join(f"{', '.join(modes)}: {text}" for text, modes in groups.items())


def outcome(result, case):
    """`copies` is a client that has the layers uploaded again, although it could mount them."""
    if result is None:
        return ""
    done, _, records, _ = result
    if not done:
        return "**no**"
    mounted = any(record["status"] == 201 and record["operation"] == "upload-start" for record in records)
    return "yes" if case != "mount" or mounted else "copies"


def failure(result):
    if result is None:
        return ""
    done, printed, records, seconds = result
    return "**succeeds**" if done else f"`{shown(printed)}`{' (after %.0f s)' % seconds if seconds >= 3 else ''}"


def shown(printed):
    """The lines of the output that say why, without what differs from one run to the next."""
    lines = []
    for line in printed.splitlines():
        line = re.sub(r'^time="[^"]*" level=\w+ msg="(.*)"$', r"\1", line.strip()).replace('\\"', '"')
        line = re.sub(r"^\[[^]]*\]\[WARNING\]", "[WARNING]", line)
        line = re.sub(r'\(first encountered at "[^"]*"\)', "(…)", line)
        line = re.sub(r'" challenge=".*', "", line)
        line = re.sub(r"sha256(:|%3A)[0-9a-f]+", "sha256:…", line)
        if line and "cgroups-v1" not in line and line not in lines:
            lines.append(line)
    words = ["error", "denied", "unauthorized", "fail", "fatal", "warning", "invalid"]
    telling = [line for line in lines[:-1] if any(word in line.lower() for word in words)]
    text = " ⏎ ".join(telling[-2:] + lines[-1:])
    return text.replace("|", "\\|").replace("`", "'")


main()
