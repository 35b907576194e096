"""Helm and python-dxf as clients of `table.py`, which runs this file inside its Debian root.

    library_client.py helm|dxf USER PASSWORD login|pull|store IMAGE
    library_client.py helm|dxf USER PASSWORD push IMAGE NUMBER
    library_client.py dxf USER PASSWORD mount IMAGE SOURCE

`store` writes down a login without asking the registry. An empty USER is anonymous. NUMBER chooses
what is pushed.
"""

import base64
import json
import os
import sys
import tempfile

CONTENT = b"a layer of python-dxf, "
LOGINS = "/srv/library-client.json"


def helm(user, password, action, image, _):
    from helm_python import Chart, RegistryClient

    host, _, path = image.partition("/")
    folder, _, name = path.rpartition(":")[0].rpartition("/")
    with RegistryClient(credentials_file=LOGINS) as client:
        if action == "login":
            client.login(host, user, password)
        elif action == "store":
            entry = base64.b64encode(f"{user}:{password}".encode()).decode()
            with open(LOGINS, "w") as file:
                json.dump({"auths": {host: {"auth": entry}}}, file)
        elif action == "push":
            with tempfile.TemporaryDirectory() as work:
                Chart.create(name, work)
                archive = Chart.load(f"{work}/{name}").save(work)
                client.push(archive, f"oci://{host}/{folder}")
        elif action == "pull":
            with tempfile.TemporaryDirectory() as work:
                client.pull(f"oci://{host}/{folder}/{name}", destination=work)
        else:
            sys.exit(f"helm has no {action}")


def dxf(user, password, action, image, argument):
    from dxf import DXF, hash_bytes

    def log_in(client, response):
        if user:
            client.authenticate(user, password, response=response)
        else:
            client.authenticate(response=response)

    host, _, path = image.partition("/")
    repository, _, tag = path.rpartition(":")
    with DXF(host, repository, log_in, tlsverify=os.environ["CA"]) as client:
        if action == "login":
            client.api_version_check()
        elif action == "push":
            content = CONTENT + argument.encode()
            digest = client.push_blob(data=content, digest=hash_bytes(content))
            client.set_alias(tag, digest)
        elif action == "pull":
            for digest in client.get_alias(tag):
                b"".join(client.pull_blob(digest))
        elif action == "mount":
            source = argument.partition("/")[2].rpartition(":")[0]
            client.mount_blob(source, hash_bytes(CONTENT + b"1"))
        else:
            sys.exit(f"python-dxf has no {action}")


def main():
    library, user, password, action, image = sys.argv[1:6]
    argument = sys.argv[6] if len(sys.argv) > 6 else ""
    run = {"helm": helm, "dxf": dxf}[library]
    try:
        run(user, password, action, image, argument)
    except Exception as error:  # what a user of the library would print
        sys.exit(f"{type(error).__name__}: {error}")


main()
