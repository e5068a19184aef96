#!/usr/bin/env python3
"""Do the dashboard and the rules say something of a server that works? Asks a real Prometheus.

    goldilocks serve --listen 127.0.0.1:8080 &
    python scripts/check_metrics.py --server http://127.0.0.1:8080 --goldilocks target/release/goldilocks

Standard library only, but `prometheus` must be installed (Debian: apt-get install prometheus). It scrapes the server
every second under the rules in dashboards/, while `goldilocks load` replays a flash crowd and odd clients cancel,
stream, make jobs, and ask for what cannot be. Then no expression of the dashboard and no recording rule may be empty,
never finite or in error, no alert may be in error or fire, and the counts must add up. Prints every expression with
what it said; exits with 1 if something is wrong, and with 2 where it cannot begin.
"""

import argparse
import http.client
import json
import math
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

DASHBOARDS = Path(__file__).resolve().parent.parent / "dashboards"
JOB = "goldilocks"
# What Grafana puts in place of its variables. Its rate interval is at least four scrapes.
VARIABLES = {"$__rate_interval": "15s", "$job": JOB}
PROMPT = "a red heart on grass"


class Server:
    """The server that is watched."""

    def __init__(self, url: str):
        self.url = url.rstrip("/")
        self.address = urllib.parse.urlsplit(self.url).netloc

    def ask(self, method: str, path: str, body: dict | None = None) -> tuple[int, dict]:
        """Returns status and JSON, whatever the status."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"content-type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return reply.status, json.loads(reply.read() or b"{}")
        except urllib.error.HTTPError as refusal:
            return refusal.code, json.loads(refusal.read() or b"{}")

    def begin(self, body: dict) -> http.client.HTTPConnection:
        """Sends a request for pictures and does not wait for the reply."""
        connection = http.client.HTTPConnection(self.address, timeout=60)
        connection.request("POST", "/v1/images/generations", json.dumps(body), {"content-type": "application/json"})
        return connection

    def floor_ms(self) -> float:
        """Milliseconds that the cheapest plan is expected to take."""
        status, plan = self.ask("POST", "/v1/plan", {"prompt": PROMPT, "quality": "low"})
        if status != 200:
            give_up(f"{self.url} does not plan: {plan}")
        return plan["estimate"]["latency_ms"]["p50"]


class OddClients(threading.Thread):
    """Asks for one odd thing after the other until told to stop."""

    def __init__(self, server: Server):
        super().__init__(daemon=True)
        self.server, self.stop, self.faults, self.n_rounds = server, threading.Event(), [], 0

    def run(self):
        kinds = [self.leave, self.infeasible, self.misspelled, self.job, self.cancelled_job, self.stream, self.reject]
        while not self.stop.is_set():
            for kind in kinds:
                try:
                    kind()
                except Exception as error:  # every fault is told at the end
                    self.faults.append(f"{kind.__name__}: {type(error).__name__}: {error}")
            self.n_rounds += 1
            self.stop.wait(0.4)

    def expect(self, statuses: set[int], method: str, path: str, body: dict | None = None) -> dict:
        status, reply = self.server.ask(method, path, body)
        if status not in statuses:
            raise AssertionError(f"{method} {path} {body} was answered with {status}: {reply}")
        return reply

    def leave(self):
        connection = self.server.begin({"prompt": PROMPT, "n": 10, "quality": "max"})
        time.sleep(0.05)
        connection.close()

    def infeasible(self):
        body = {"prompt": PROMPT, "budget": {"latency_ms": 0.01}}
        self.expect({422}, "POST", "/v1/images/generations", body)

    def misspelled(self):
        self.expect({400}, "POST", "/v1/images/generations", {"prompt": PROMPT, "promt": "x"})

    def job(self):
        made = self.expect({202, 429}, "POST", "/v1/images/jobs", {"prompt": PROMPT, "budget": {"tflops": 1.0}})
        if "id" in made:
            self.expect({200}, "GET", f"/v1/images/jobs/{made['id']}")

    def cancelled_job(self):
        made = self.expect({202, 429}, "POST", "/v1/images/jobs", {"prompt": PROMPT, "n": 10, "quality": "max"})
        if "id" in made:
            self.expect({200}, "DELETE", f"/v1/images/jobs/{made['id']}")

    def stream(self):
        body = {"prompt": PROMPT, "stream": True, "partial_images": 1}
        connection = self.server.begin(body)
        reply = connection.getresponse()
        text = reply.read().decode()
        connection.close()
        if reply.status not in (200, 429):
            raise AssertionError(f"a stream was answered with {reply.status}: {text}")

    def reject(self):
        budget = {"latency_ms": 1.6 * self.server.floor_ms(), "on_late": "reject"}
        body = {"prompt": PROMPT, "budget": budget}
        self.expect({200, 422, 429, 504}, "POST", "/v1/images/generations", body)


class Prometheus:
    """A Prometheus that watches one server, with the rules of dashboards/."""

    def __init__(self, binary: str, folder: Path, server: Server):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{probe.getsockname()[1]}"
        self.url = f"http://{address}"
        config = folder / "prometheus.yml"
        # JSON is YAML.
        config.write_text(
            json.dumps(
                {
                    "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
                    "rule_files": [str(DASHBOARDS / name) for name in ("rules.yml", "alerts.yml")],
                    "scrape_configs": [{"job_name": JOB, "static_configs": [{"targets": [server.address]}]}],
                }
            )
        )
        self.log = (folder / "prometheus.log").open("w+")
        self.process = subprocess.Popen(
            [
                binary,
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={address}",
                "--log.level=warn",
            ],
            stdout=self.log,
            stderr=self.log,
        )

    def wait(self):
        """Waits until it answers."""
        for _ in range(300):
            if self.process.poll() is not None:
                self.log.seek(0)
                give_up(f"prometheus ended: {self.log.read()}")
            try:
                urllib.request.urlopen(f"{self.url}/-/ready", timeout=5).read()
                return
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
        give_up("prometheus did not become ready")

    def get(self, path: str, **parameters) -> dict:
        """Returns the data of an answer; raises RuntimeError with what is wrong with an expression."""
        query = urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=30) as reply:
                return json.load(reply)["data"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)["error"]) from None

    def finite(self, expression: str, since: float, until: float) -> list[float]:
        """Every finite value of an expression in a span, the newest last."""
        data = self.get("query_range", query=expression, start=since, end=until, step="1s")
        samples = [(when, float(value)) for series in data["result"] for when, value in series["values"]]
        return [value for _, value in sorted(samples) if math.isfinite(value)]

    def value(self, expression: str) -> float:
        """The one value of an expression now."""
        result = self.get("query", query=expression)["result"]
        if len(result) != 1:
            raise RuntimeError(f"{expression} has {len(result)} values")
        return float(result[0]["value"][1])

    def end(self):
        self.process.terminate()
        self.process.wait(timeout=30)
        self.log.close()


def expressions() -> list[tuple[str, str]]:
    """Every expression of the dashboard with the title of its panel."""
    dashboard = json.loads((DASHBOARDS / "grafana.json").read_text())
    found = []
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            expression = target["expr"]
            for name, value in VARIABLES.items():
                expression = expression.replace(name, value)
            found.append((panel["title"], expression))
    return found


def put_load_on(server: Server, goldilocks: str, folder: Path, seconds: float):
    """Replays a crowd that comes and goes, odd clients beside it; returns what went wrong."""
    floor = server.floor_ms()
    rate = min(40.0, 400.0 / floor)
    trace = folder / "trace.csv"
    make = [
        goldilocks,
        "trace",
        "flash",
        f"--rate={rate}",
        "--factor=8",
        f"--from={0.4 * seconds}",
        f"--for={0.15 * seconds}",
        f"--seconds={seconds}",
        f"--floor-ms={floor}",
        "--budgets=1.5x:2,3x:4,10x:4,100x:2,none:2",
        "--tflops=none:4,1:1",
        "--images=1:6,2:1",
        f"--output={trace}",
    ]
    subprocess.run(make, check=True, capture_output=True)
    odd = OddClients(server)
    odd.start()
    command = [goldilocks, "load", str(trace), f"--url={server.url}", "--json"]
    replay = subprocess.run(command, check=False, capture_output=True)
    odd.stop.set()
    odd.join()
    if replay.returncode:
        return [f"goldilocks load: {replay.stderr.decode()}"]
    told = json.loads(replay.stdout)
    print(
        f"load: the floor is {floor:.1f} ms; {told['offered']} requests offered, {told['admitted']} admitted, "
        f"{told['attained']} attained; {odd.n_rounds} rounds of odd clients"
    )
    return odd.faults


def check_expressions(prometheus: Prometheus, since: float, until: float) -> list[str]:
    """No expression of the dashboard and no recording rule may be empty or fail."""
    rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
    recorded = [("rule", rule["name"]) for rule in rules if rule["type"] == "recording"]
    alerts = [rule for rule in rules if rule["type"] == "alerting"]
    panels = expressions()
    faults = [
        f"rule {rule['name']}: {rule.get('lastError', rule['health'])}" for rule in rules if rule["health"] != "ok"
    ]
    if not recorded or not alerts or not panels:
        faults.append(
            f"{len(recorded)} recording rules, {len(alerts)} alerts, {len(panels)} expressions: some are missing"
        )
    for title, expression in recorded + panels:
        try:
            values = prometheus.finite(expression, since, until)
        except RuntimeError as error:
            faults.append(f"{title}: {error}: {expression}")
            continue
        if not values:
            faults.append(f"{title}: never finite: {expression}")
            continue
        print(f"{values[-1]:12.5g} last {min(values):12.5g} least {max(values):12.5g} most  {title}: {expression}")
    faults += [f"{rule['name']} fires: {rule['alerts']}" for rule in alerts if rule["state"] == "firing"]
    print(f"{len(recorded)} recording rules, {len(panels)} expressions, {len(alerts)} alerts")
    return faults


def check_sums(prometheus: Prometheus) -> list[str]:
    """What the counts say of one another once everything is done."""
    value, faults = prometheus.value, []

    def must(holds: bool, what: str):
        print(f"{'ok' if holds else 'WRONG':>12}  {what}")
        if not holds:
            faults.append(what)

    admitted, ended = value('goldilocks_admissions_total{result="admitted"}'), value("sum(goldilocks_jobs_total)")
    must(admitted == ended, f"{admitted:.0f} jobs were admitted, {ended:.0f} ended")
    made, told = (
        value('goldilocks_jobs_total{outcome="finished"}'),
        value("goldilocks_generation_duration_seconds_count"),
    )
    # A client may leave while its reply is being written.
    must(made - 2 <= told <= made, f"{made:.0f} jobs finished, {told:.0f} requests were told so")
    plans = value("sum(goldilocks_plans_total)")
    must(plans == told, f"{plans:.0f} plans were run for them")
    dispatched = value('sum(goldilocks_plan_changes_total{at="dispatch"})')
    must(made <= dispatched <= admitted, f"{dispatched:.0f} plans were chosen again as the device began")
    kept_out = value('sum(goldilocks_admissions_total{result!="admitted"})')
    must(kept_out > 0, f"the load kept {kept_out:.0f} out")
    cancelled = value('goldilocks_jobs_total{outcome="cancelled"}')
    must(cancelled > 0, f"{cancelled:.0f} jobs were cancelled")
    wasted, ran = value("sum(goldilocks_wasted_nfe_total)"), value("sum(goldilocks_nfe_total)")
    must(0 < wasted < ran, f"{wasted:.0f} of {ran:.0f} network evaluations were for nothing")
    flops = value("goldilocks_flops_total")
    must(flops > 0, f"{flops / 1e12:.3f} TFLOP ran")
    idle = value(
        "goldilocks_queued_work_seconds + goldilocks_queued_flops + sum by (job, instance) (goldilocks_queued_jobs)"
    )
    must(idle == 0, f"nothing is queued any more: {idle}")
    kept = value("sum(goldilocks_kept_jobs)")
    must(kept > 0, f"{kept:.0f} asynchronous jobs are kept")
    busiest = value("max(max_over_time(goldilocks:device_utilization:ratio_rate5m[1m]))")
    must(0 < busiest <= 1.02, f"the device was busy for at most {100 * busiest:.0f}% of the time")
    infeasible = value('sum(goldilocks_budgets_total{result="infeasible"})')
    must(infeasible > 0, f"{infeasible:.0f} limits were beyond any server")
    return faults


def wait_until_idle(server: Server):
    """Waits until no job is under way, then for two scrapes more."""
    idle = 'goldilocks_queued_jobs{state="running"} 0', 'goldilocks_queued_jobs{state="waiting"} 0'
    for _ in range(600):
        with urllib.request.urlopen(f"{server.url}/metrics", timeout=30) as reply:
            lines = reply.read().decode().splitlines()
        if all(line in lines for line in idle):
            break
        time.sleep(0.1)
    time.sleep(3)


def give_up(why: str):
    print(f"cannot check the metrics: {why}", file=sys.stderr)
    sys.exit(2)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", default="http://127.0.0.1:8080")
    parser.add_argument("--goldilocks", required=True, help="the program, for its commands trace and load")
    parser.add_argument("--prometheus", default="prometheus", help="the program")
    parser.add_argument("--seconds", type=float, default=40.0, help="how long there is load")
    arguments = parser.parse_args()
    binary = shutil.which(arguments.prometheus)
    if binary is None:
        give_up(f"{arguments.prometheus} is not installed; on Debian, apt-get install prometheus")
    server = Server(arguments.server)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prometheus = Prometheus(binary, folder, server)
        try:
            prometheus.wait()
            # The first scrape shows the zeros that rates count from.
            time.sleep(3)
            since = time.time()
            faults = put_load_on(server, arguments.goldilocks, folder, arguments.seconds)
            wait_until_idle(server)
            faults += check_expressions(prometheus, since, time.time())
            faults += check_sums(prometheus)
        finally:
            prometheus.end()
    for fault in faults:
        print(f"FAILED  {fault}")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
