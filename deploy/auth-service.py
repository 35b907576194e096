#!/usr/bin/env python3
"""A service that judges passwords for [auth.http] of tidegate: an example to build on.

  deploy/auth-service.py ADDRESS USERS [SECRET]

ADDRESS is a port of 127.0.0.1, or the path of a socket. A line of the file USERS is
NAME:PASSWORD:GROUP,GROUP. SECRET is the file of auth.http.secret; without the secret
in it nobody is judged. See docs/auth-service.md.
"""
import base64
import hmac
import os
import socketserver
import sys
from http.server import BaseHTTPRequestHandler


def judge(user, password):
    """Returns the name and the groups of a user whose password is right. Put your own here."""
    for line in open(sys.argv[2], "rb"):
        name, _, rest = line.strip().partition(b":")
        right, _, groups = rest.rpartition(b":")
        if name and name == user.lower() and hmac.compare_digest(right, password):
            return name, groups
    return None


class Handler(BaseHTTPRequestHandler):
    timeout = 5

    def do_GET(self):
        secret = self.headers.get("X-Tidegate-Secret", "").encode("latin-1")
        if not hmac.compare_digest(secret, SECRET):
            # Not 401 or 403, which would be the user's fault.
            return self.answer(400)
        _, _, encoded = self.headers.get("Authorization", "").partition(" ")
        user, _, password = base64.b64decode(encoded).partition(b":")
        found = judge(user, password)
        return self.answer(200, *found) if found else self.answer(401)

    def answer(self, status, user=None, groups=b""):
        self.send_response(status)
        if user:
            self.send_header("Remote-User", user.decode("latin-1"))
            self.send_header("Remote-Groups", groups.decode("latin-1"))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """The log of tidegate has everything."""


class Tcp(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address, daemon_threads, request_queue_size = True, True, 64


class Unix(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads, request_queue_size = True, 64


if __name__ == "__main__":
    if sys.argv[1:] in (["-h"], ["--help"]):
        print(__doc__.strip())
        sys.exit()
    if len(sys.argv) not in (3, 4) or sys.argv[1].startswith("-"):
        print(__doc__.strip(), file=sys.stderr)
        sys.exit(64)
    SECRET = open(sys.argv[3], "rb").read().strip() if len(sys.argv) == 4 else b""
    if sys.argv[1].isdigit():
        server = Tcp(("127.0.0.1", int(sys.argv[1])), Handler)
    else:
        if os.path.exists(sys.argv[1]):
            os.unlink(sys.argv[1])
        # tidegate has to be in the group of the socket.
        os.umask(0o117)
        server = Unix(sys.argv[1], Handler)
    print("listening", server.server_address, flush=True)
    server.serve_forever()
