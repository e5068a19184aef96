#!/usr/bin/env python3
"""Does a server stay whole under everything that clients do? Runs one for a while and holds it against its books.

Mixed requests, several at a time: pictures under budgets of all sizes, streams, jobs, and among them disconnects,
cancelled jobs, bad requests, flash crowds, and steps that fail and panic. Afterwards nothing may be left: no queued
job, no request in flight, every answer given, an end for every job that was admitted, memory flat over the second
half, and SIGTERM ends it.

    python scripts/soak.py --binary target/release/goldilocks --minutes 60

"""

import argparse
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

PROMPTS = [
    "a red heart on grass",
    "three pineapples on a beach",
    "two cats",
    "a teal square above a star",
    "seven spoons",
]


class Counts:
    """What became of requests."""

    def __init__(self):
        self.lock, self.by_name = threading.Lock(), {}

    def add(self, name):
        with self.lock:
            self.by_name[name] = self.by_name.get(name, 0) + 1


class Client:
    """Sends one kind of request after another until told to stop."""

    def __init__(self, port, counts, seed):
        self.port, self.counts, self.random = port, counts, random.Random(seed)

    def body(self):
        body = {"prompt": self.random.choice(PROMPTS), "seed": self.random.randrange(10**6)}
        kind = self.random.random()
        if kind < 0.6:
            limit = self.random.choice([20, 40, 80, 150, 400, 2000])
            body["budget"] = {"latency_ms": limit, "on_late": self.random.choice(["degrade", "reject", "run_late"])}
        elif kind < 0.8:
            body["quality"] = self.random.choice(["auto", "low", "medium", "high", "max"])
        else:
            body |= {"n": self.random.randint(1, 3), "num_inference_steps": self.random.randint(1, 12)}
        return body

    def send(self, method, path, body=None, leave=None):
        """One request; `leave` seconds later the connection is cut."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            data = body if isinstance(body, (bytes, type(None))) else json.dumps(body)
            connection.request(method, path, data, {"content-type": "application/json"})
            if leave is not None:
                time.sleep(leave)
                return None, None
            reply = connection.getresponse()
            return reply.status, reply.read()
        finally:
            connection.close()

    def picture(self):
        status, data = self.send("POST", "/v1/images/generations", self.body())
        assert status in (200, 422, 429, 500, 504), (status, data)
        self.counts.add(f"picture {status}")

    def stream(self):
        body = self.body() | {"stream": True, "partial_images": 2}
        status, data = self.send("POST", "/v1/images/generations", body)
        assert status in (200, 422, 429, 504), (status, data)
        if status == 200:
            assert b"event: image_generation.completed" in data or b"event: error" in data, data[-300:]
        self.counts.add(f"stream {status}")

    def leaves(self):
        body = self.body() | {"stream": self.random.random() < 0.5}
        self.send("POST", "/v1/images/generations", body, leave=self.random.uniform(0, 0.05))
        self.counts.add("left")

    def job(self):
        status, data = self.send("POST", "/v1/images/jobs", self.body())
        assert status in (202, 422, 429), (status, data)
        self.counts.add(f"job {status}")
        if status != 202:
            return
        place = "/v1/images/jobs/" + json.loads(data)["id"]
        if self.random.random() < 0.3:
            status, _ = self.send("DELETE", place)
            assert status == 200
        for _ in range(600):
            status, data = self.send("GET", place)
            assert status == 200, (status, data)
            if json.loads(data)["status"] not in ("queued", "in_progress"):
                self.counts.add("job " + json.loads(data)["status"])
                return
            time.sleep(0.05)
        raise AssertionError("a job did not end")

    def bad(self):
        bad = self.random.choice(
            [
                b"{",
                b"[]",
                b"\xff\xfe",
                json.dumps({"prompt": "x", "steps": 3}).encode(),
                json.dumps({"prompt": ""}).encode(),
                b"x" * 200_000,
            ]
        )
        status, data = self.send("POST", "/v1/images/generations", bad)
        assert 400 <= status < 500, (status, data)
        assert "error" in json.loads(data)
        self.counts.add("bad")

    def run(self, until, faults):
        kinds = [(self.picture, 10), (self.stream, 3), (self.leaves, 3), (self.job, 2), (self.bad, 1)]
        while time.monotonic() < until:
            kind = self.random.choices([kind for kind, _ in kinds], [weight for _, weight in kinds])[0]
            try:
                kind()
            except (AssertionError, OSError, http.client.HTTPException, ValueError) as fault:
                faults.append(f"{kind.__name__}: {fault!r}")
            time.sleep(self.random.expovariate(1 / 0.05))


def metrics(base):
    text = urllib.request.urlopen(base + "/metrics").read().decode()
    pairs = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def resident(pid):
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def crowd(client_of, until, faults):
    """A crowd at once, every half minute."""
    while time.monotonic() + 30 < until:
        time.sleep(30)
        clients = [client_of(1000 + i) for i in range(40)]
        threads = [threading.Thread(target=lambda c=c: c.run(time.monotonic() + 1, faults)) for c in clients]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]


def check(base, faults):
    """Nothing may be left."""
    for _ in range(100):
        now = metrics(base)
        queued = sum(value for name, value in now.items() if name.startswith("goldilocks_queued_jobs"))
        if queued == 0 and now["goldilocks_requests_in_flight"] <= 1:
            break
        time.sleep(0.1)
    else:
        faults.append(f"jobs are left: {queued}, requests: {now['goldilocks_requests_in_flight']}")
    ended = sum(value for name, value in now.items() if name.startswith("goldilocks_jobs_total"))
    admitted = now['goldilocks_admissions_total{result="admitted"}']
    if ended != admitted:
        faults.append(f"{admitted:.0f} jobs were admitted and {ended:.0f} ended")
    if not now["goldilocks_worker_panics_total"] or not now['goldilocks_jobs_total{outcome="failed"}']:
        faults.append("no step failed, though some were to fail on purpose")
    return now


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default="target/release/goldilocks")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--fail-every", type=int, default=400, help="steps")
    parser.add_argument("--port", type=int, default=18070)
    args = parser.parse_args()
    base, counts, faults, memory = f"http://127.0.0.1:{args.port}", Counts(), [], []
    with tempfile.TemporaryDirectory() as state, open(os.path.join(state, "stderr"), "w+") as log:
        command = [
            args.binary,
            "serve",
            "--listen",
            base[7:],
            "--state-dir",
            state,
            "--log",
            "off",
            "--fail-every",
            str(args.fail_every),
        ]
        server = subprocess.Popen(command, stderr=log, env=os.environ | {"RUST_BACKTRACE": "0"})
        try:
            for _ in range(600):
                try:
                    urllib.request.urlopen(base + "/readyz").read()
                    break
                except OSError:
                    time.sleep(0.1)
            until = time.monotonic() + 60 * args.minutes
            client_of = lambda seed: Client(args.port, counts, seed)
            threads = [threading.Thread(target=client_of(i).run, args=(until, faults)) for i in range(args.clients)]
            threads.append(threading.Thread(target=crowd, args=(client_of, until, faults)))
            [thread.start() for thread in threads]
            while time.monotonic() < until and server.poll() is None:
                time.sleep(min(5, 6 * args.minutes))
                memory.append(resident(server.pid))
            [thread.join() for thread in threads]
            assert server.poll() is None, "the server died"
            now = check(base, faults)
            for name in sorted(counts.by_name):
                print(f"{counts.by_name[name]:8} {name}")
            for name in sorted(now):
                if name.startswith(
                    (
                        "goldilocks_images_degraded_total",
                        "goldilocks_jobs_total",
                        "goldilocks_wasted",
                        "goldilocks_worker_panics",
                    )
                ):
                    print(f"{int(now[name]):8} {name}")
            half = memory[len(memory) // 2 :]
            grown = half[-1] - half[0]
            print(f"memory: {half[0]:.1f} MiB at half time, {half[-1]:.1f} at the end, {max(memory):.1f} at most")
            # Results of jobs are kept for ten minutes, up to 256 of them.
            if grown > max(24, 0.15 * half[0]):
                faults.append(f"memory grew by {grown:.1f} MiB in the second half")
        finally:
            server.send_signal(signal.SIGTERM)
            code = server.wait(60)
        log.seek(0)
        faults += [line.strip() for line in log if "panicked at" in line and "faulty.rs" not in line]
    if code != 0:
        faults.append(f"SIGTERM was answered with {code}")
    for fault in faults[:20]:
        print("FAULT", fault)
    print(f"soak: {sum(counts.by_name.values())} requests, {len(faults)} faults")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
