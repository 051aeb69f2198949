"""Refreshes by each contender in turn, against the canned-response server."""

import json
import subprocess
import time

from .common import RUST, Server, command, json_of

SDKS = ["python", "python-async", "npm"]
# So that each takes about a second.
CALLS = {
    **{name: {1: 10_000, 64: 20_000} for name in RUST},
    "npm": {1: 2000, 64: 3000},
    "python": {1: 500, 64: 500},
    "python-async": {1: 500, 64: 500},
}
IN_FLIGHT = [1, 64]


def run(effort):
    figures = {name: {str(n): [] for n in IN_FLIGHT} for name in CALLS}
    with Server("canned") as server:
        for number in effort.turns():
            names = list(CALLS)
            # Each contender is first once, and none always follows the same one.
            for name in names[number % len(names) :] + names[: number % len(names)]:
                for in_flight in IN_FLIGHT:
                    calls = effort.of(CALLS[name][in_flight])
                    before = server.cpu_seconds()
                    result = json_of(command(name, "load", calls, in_flight), server.environment)
                    # The load of the server: near 1, it would be the limit.
                    result["server_cpu_seconds"] = server.cpu_seconds() - before
                    figures[name][str(in_flight)].append(result)
    return {"contenders": figures}


def run_start(effort):
    """From the start of a process until its first answer is there."""
    figures = {name: [] for name in [*CALLS, "curl"]}
    memory = {name: [] for name in CALLS}
    with Server("canned") as server:
        env = server.environment
        url = (
            f"{env['CLOUDFLARE_BASE_URL']}/accounts/{env['CLOUDFLARE_ACCOUNT_ID']}"
            f"/access/service_tokens/{env['BENCH_TOKEN_ID']}/refresh"
        )
        authorization = f"Authorization: Bearer {env['CLOUDFLARE_API_TOKEN']}"
        curl = ["curl", "--silent", "--show-error", "--fail", "--request", "POST"]
        curl += ["--header", authorization, "--output", "/dev/null", "--write-out", "{}\n", url]
        for _ in effort.turns():
            for _ in range(1 if effort.smoke else 3):
                for name in figures:
                    once = curl if name == "curl" else command(name, "once")
                    milliseconds, line = time_to_first_line(once, env)
                    figures[name].append(milliseconds)
                    if name != "curl":
                        memory[name].append(line["peak_kib"])
    return {"milliseconds": figures, "peak_kib": memory}


def time_to_first_line(command, env):
    started = time.perf_counter()
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    milliseconds = (time.perf_counter() - started) * 1000
    process.communicate()
    if process.returncode != 0:
        raise SystemExit(f"{command} failed")
    return milliseconds, json.loads(line)
