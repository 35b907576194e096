#!/usr/bin/python3
"""Opens connections at a steady rate, and prints how many failed and how long the slowest took.

load.py SECONDS RATE PORT AUTHORIZATION

Each connection is a TLS session of its own with one request. The port is one of this machine.
"""

import http.client
import ssl
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

SECONDS, RATE, PORT = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
AUTHORIZATION = sys.argv[4]
PATIENCE = 20

context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE

lock = threading.Lock()
times, failures = [], []


def ask(begun):
    """One connection. Its time includes the wait for a thread, as a user would feel it."""
    try:
        connection = http.client.HTTPSConnection("127.0.0.1", PORT, timeout=PATIENCE, context=context)
        connection.request("GET", "/v2/", headers={"Authorization": AUTHORIZATION})
        response = connection.getresponse()
        response.read()
        connection.close()
        problem = None if response.status == 200 else f"status {response.status}"
    except OSError as error:
        problem = repr(error)
    except http.client.HTTPException as error:
        problem = repr(error)
    with lock:
        times.append(time.monotonic() - begun)
        if problem:
            failures.append(problem)


begun = time.monotonic()
with ThreadPoolExecutor(128) as threads:
    for number in range(SECONDS * RATE):
        due = begun + number / RATE
        time.sleep(max(0, due - time.monotonic()))
        threads.submit(ask, time.monotonic())

slow = sum(1 for one in times if one > 1)
print(f"connections {len(times)}, failed {len(failures)}, over 1 s {slow}, slowest {max(times):.3f} s")
for problem in sorted(set(failures)):
    print(f"  {failures.count(problem)} times {problem}")
sys.exit(0 if not failures and not slow else 1)
