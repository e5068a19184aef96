"""How many pictures a second does the server draw? Clients that each ask for the next one when they have the last."""

import http.client
import json
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from setting import Setting

CLIENTS = (1, 4, 16, 64)
SECONDS = 8.0
# The same work for everybody: twenty guided steps of the largest model.
WISH = {"model": "emoji-c32", "sampler": "ddim", "num_inference_steps": 20, "guidance_scale": 3.0}
WORDS = ("red", "blue", "green", "yellow", "two", "three")
THINGS = ("hearts", "cats", "pineapples", "stars", "dogs", "apples")


def throughput(setting: Setting, models: Path) -> list[dict[str, Any]]:
    """Starts the server and asks it, with more and more clients."""
    port = free_port()
    command = [setting.program("goldilocks"), "serve", "--listen", f"127.0.0.1:{port}", "--config", models]
    log = (setting.work / "server.log").open("w")
    command += ["--state-dir", setting.work / "state"]
    process = subprocess.Popen(command, env=setting.environment, stdout=log, stderr=log)
    try:
        started = time.monotonic()
        wait_until_ready(port, process, setting)
        rows = [{"ready_after_seconds": time.monotonic() - started}]
        for clients in CLIENTS:
            seconds = min(SECONDS, setting.left() / 2)
            if seconds < 2:
                break
            rows.append(Crowd(port, clients, seconds).row())
            print(json.dumps(rows[-1]), flush=True)
        return rows
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()


class Crowd:
    """So many clients for so many seconds."""

    def __init__(self, port: int, clients: int, seconds: float) -> None:
        self.port = port
        self.end = time.monotonic() + seconds
        self.seconds = seconds
        self.latencies: list[float] = []
        self.refusals: list[str] = []
        self.threads = [threading.Thread(target=self.ask, args=(index,)) for index in range(clients)]

    def row(self) -> dict[str, Any]:
        """Asks, and counts what came within the time."""
        for thread in self.threads:
            thread.start()
        for thread in self.threads:
            thread.join()
        took = sorted(self.latencies)
        return {
            "clients": len(self.threads),
            "pictures_per_second": len(took) / self.seconds,
            "median_ms": 1000 * took[len(took) // 2] if took else None,
            "p95_ms": 1000 * took[int(0.95 * (len(took) - 1))] if took else None,
            "refused": len(self.refusals),
            "first_refusal": self.refusals[0] if self.refusals else None,
        }

    def ask(self, index: int) -> None:
        """One client."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        count = 0
        while time.monotonic() < self.end:
            prompt = f"{WORDS[index % 6]} {THINGS[(index // 6 + count) % 6]} on grass"
            body = json.dumps(WISH | {"prompt": prompt, "seed": 1000 * index + count})
            start = time.monotonic()
            connection.request("POST", "/v1/images/generations", body, {"content-type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
            count += 1
            if answer.status != 200:
                self.refusals.append(text.decode()[:300])
                time.sleep(0.1)
            elif time.monotonic() < self.end:
                self.latencies.append(time.monotonic() - start)


def wait_until_ready(port: int, process: subprocess.Popen, setting: Setting) -> None:
    """Until the models are loaded and timed."""
    while setting.left() > 10:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended: {(setting.work / 'server.log').read_text()[-1000:]}")
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.3)
    raise TimeoutError("the server was not ready in time")


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]
