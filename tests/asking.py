"""What the scripts that try tidegate beside other servers ask of them."""

import base64
import socket
import time


class Failed(Exception):
    """Something is not as promised."""


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def connects(host, port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def wait_until(condition, seconds, complaint):
    """Returns how long it took."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > seconds:
            raise Failed(f"{complaint} within {seconds} s")
        time.sleep(0.05)
    return time.monotonic() - start
