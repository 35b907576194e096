"""The issuer, and tokens with the claims that GitLab, GitHub and Kubernetes document."""

import base64
import http.client
import json
import socket
import subprocess
import threading
import time

from place import HOST, Failed, basic


class Issuer:
    """issuer.mjs, which keeps its keys when it is started again."""

    def __init__(self, place, name):
        self.place, self.name, self.url = place, name, f"https://{name}:8443"
        self.start()

    def start(self):
        log = open(self.place.work / f"{self.name}.log", "ab")
        command = ["node", "issuer/issuer.mjs", self.name, self.url]
        self.child = subprocess.Popen(command, cwd=self.place.work, text=True, stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=log)
        log.close()
        self.place.children[self.name] = self.child
        if self.child.stdout.readline() != '"ready"\n':
            raise Failed(f"{self.name} does not start:\n{self.place.log(self.name)}")

    def ask(self, command, **options):
        self.child.stdin.write(json.dumps({"command": command} | options) + "\n")
        self.child.stdin.flush()
        answer = json.loads(self.child.stdout.readline())
        if isinstance(answer, dict) and "error" in answer:
            raise Failed(f"{self.name}: {answer['error']}")
        return answer

    def mint(self, claims, **options):
        claims = {name: value for name, value in claims.items() if value is not None}
        return self.ask("mint", claims=claims, **options)

    def job(self, changes={}, **options):
        return self.mint(gitlab(self.url) | changes, **options)


class Listener(threading.Thread):
    """Counts connections, and closes them."""

    def __init__(self, host, port):
        super().__init__(daemon=True)
        self.count, self.socket = 0, socket.create_server((host, port))
        self.start()

    def run(self):
        while True:
            self.socket.accept()[0].close()
            self.count += 1


# Tokens with the claims that these systems document.


def times(lives=300):
    now = int(time.time())
    return {"iat": now, "nbf": now - 5, "exp": now + lives}


def gitlab(url):
    return times() | {
        "iss": url, "aud": f"https://{HOST}", "jti": "235b3a54-b797-45c7-ae9a-f72d7bc6ef5b",
        "sub": "project_path:team/app:ref_type:branch:ref:main", "namespace_id": "72", "namespace_path": "team",
        "project_id": "20", "project_path": "team/app", "user_id": "1", "user_login": "sample-user",
        "user_email": "sample-user@example.com", "user_access_level": "developer",
        "groups_direct": ["ops", "team/leads"], "pipeline_id": "574", "pipeline_source": "push", "job_id": "302",
        "ref": "main", "ref_type": "branch", "ref_path": "refs/heads/main", "ref_protected": "true", "runner_id": 1,
        "runner_environment": "self-hosted", "sha": "714a629c0b401fdce83e847fc9589983fc6f46bc",
        "project_visibility": "private", "ci_config_ref_uri": "gitlab.test/team/app//.gitlab-ci.yml@refs/heads/main",
    }


def github(url):
    return times() | {
        "iss": url, "aud": f"https://{HOST}", "jti": "0d8a7f2e", "sub": "repo:octo-org/octo-repo:environment:prod",
        "environment": "prod", "ref": "refs/heads/main", "ref_type": "branch", "ref_protected": "true",
        "sha": "example-sha", "repository": "octo-org/octo-repo", "repository_owner": "octo-org", "actor": "octocat",
        "actor_id": "12", "repository_visibility": "private", "repository_id": "74", "repository_owner_id": "65",
        "run_id": "example-run-id", "run_number": "10", "run_attempt": "2", "runner_environment": "github-hosted",
        "workflow": "release", "head_ref": "", "base_ref": "", "event_name": "push",
        "workflow_ref": "octo-org/octo-repo/.github/workflows/release.yml@refs/heads/main",
        "job_workflow_ref": "octo-org/octo-repo/.github/workflows/release.yml@refs/heads/main",
    }


def kubernetes(url):
    return times(3600) | {
        "iss": url, "aud": ["another", f"https://{HOST}"], "jti": "1a2b", "sub": "system:serviceaccount:shop:web",
        "kubernetes.io": {
            "namespace": "shop", "node": {"name": "node-1", "uid": "b1"}, "pod": {"name": "web-5d8", "uid": "c2"},
            "serviceaccount": {"name": "web", "uid": "d3"}, "warnafter": int(time.time()) + 3607,
        },
    }


def own_token(place, audience=f"https://{HOST}"):
    """One that the provider makes and signs: an access token for a client (RFC 9068)."""
    connection = http.client.HTTPSConnection(place.gitlab.name, 8443, context=place.trust, timeout=10)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/token", f"grant_type=client_credentials&resource={audience}",
                       form | basic("workload", "the+secret+of+a+workload"))
    return json.loads(connection.getresponse().read())["access_token"]


def header(token):
    return json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "==="))
