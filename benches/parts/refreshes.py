"""Refreshes by each contender, one and many at a time, on the canned-response server."""

import json

from .common import RUST, Server
from .common import run as run_command

# So that each takes about a second.
CALLS = {
    **{name: {1: 10_000, 64: 20_000} for name in RUST},
    "npm": {1: 2000, 64: 3000},
    "python": {1: 500, 64: 500},
    "python-async": {1: 500, 64: 500},
}
IN_FLIGHT = [1, 64]
NEEDS = ["server", *CALLS, "rust", "hyper"]
START_NEEDS = [*NEEDS, "curl"]


def run(effort, programs):
    names = ["sdk", "npm", "python"] if effort.targets else list(CALLS)
    figures = {name: {str(n): [] for n in IN_FLIGHT} for name in names}
    with Server(programs, "canned") as server:
        env = server.environment
        for _, name in effort.turns(names, most=5):
            for in_flight in effort.shuffled(IN_FLIGHT):
                calls = effort.of(CALLS[name][in_flight])
                before = server.cpu_seconds()
                load = programs.once_or_load(name, "load", calls, in_flight)
                result = json.loads(run_command(*load, env=env).stdout.splitlines()[-1])
                # The load of the server: near 1, it would be the limit.
                result["server_cpu_seconds"] = server.cpu_seconds() - before
                figures[name][str(in_flight)].append(result)
    return {"contenders": figures}


def run_start(effort, programs):
    """Measures from the start of a process until it prints its first response."""
    names = ["sdk", "curl"] if effort.targets else [*CALLS, "curl"]
    with_tls = [name for name in names if name != "hyper"]
    return {
        "contenders": first_answers(effort, programs, names, tls=False),
        "tls": first_answers(effort, programs, with_tls, tls=True),
    }


def first_answers(effort, programs, names, tls):
    figures = {name: [] for name in names}
    with Server(programs, "canned", tls=tls) as server:
        env = server.environment
        url = (
            f"{env['CLOUDFLARE_BASE_URL']}/accounts/{env['CLOUDFLARE_ACCOUNT_ID']}"
            f"/access/service_tokens/{env['BENCH_TOKEN_ID']}/refresh"
        )
        authorization = f"Authorization: Bearer {env['CLOUDFLARE_API_TOKEN']}"
        curl = ["curl", "--silent", "--show-error", "--fail", "--request", "POST"]
        curl += ["--header", authorization, "--output", "/dev/null", "--write-out", "{}\n", url]
        for _, name in effort.turns(
            [name for name in names for _ in range(1 if effort.smoke else 3)]
        ):
            once = curl if name == "curl" else programs.once_or_load(name, "once")
            seen, _ = programs.launch(once, env)
            figures[name].append(
                {"seconds": seen["first_output_seconds"], "peak_kib": seen["peak_kib"]}
            )
    return figures
