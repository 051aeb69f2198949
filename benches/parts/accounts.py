"""Thousands of accounts of 50 tokens, renewed by the command in one run."""

import sys
import tempfile
from pathlib import Path

from .common import TARGET, Server

ACCOUNTS = 1000
# Of 50 tokens that are valid for a year, so many expire within 30 days.
DUE = 4
# Requests of an API token in a window of seconds. The window is a hundredth of Cloudflare's.
LIMIT, WINDOW = 400, 3
ADDRESS_LIMIT = 200
WAYS = ["one API token", "one each"]
SIZES = [10, 100, 1000, 10_000]
NO_LIMIT = 1_000_000_000
NEEDS = ["server", "command", "rust"]


def run(effort, programs):
    accounts, due = (20, 1) if effort.smoke else (ACCOUNTS, DUE)
    jobs = {way: [] for way in WAYS}
    for _, way in effort.turns(WAYS, most=1 if effort.targets else 3):
        jobs[way].append(job(programs, way, accounts, due))
        print(f"   {way}: {jobs[way][-1]}", flush=True)
    sizes = [2, 20] if effort.smoke else [SIZES[0], SIZES[-1]] if effort.targets else SIZES
    growth = {str(size): [] for size in sizes}
    for number, size in effort.turns(sizes, most=3):
        # At 200 requests a second, the largest takes a minute.
        if number == 0 or size < SIZES[-1]:
            growth[str(size)].append(job(programs, "no limit", size, 0))
    conditions = {"accounts": accounts, "due": due, "limit": LIMIT, "window": WINDOW}
    return conditions | {"jobs": jobs, "growth": growth}


def job(programs, way, accounts, due):
    limit = NO_LIMIT if way == "no limit" else LIMIT
    with Server(programs, "accounts", accounts, due, limit, WINDOW) as server:
        env = server.environment
        with tempfile.TemporaryDirectory(dir=TARGET) as directory:
            command = [programs.program("command"), "--quiet"]
            if way == "one each":
                command += ["keep", "--config", configuration(Path(directory), accounts)]
                env = env | {"CF_SERVICE_TOKENS_JOURNAL": directory}
            else:
                command += ["renew", "--all-accounts"]
            seen, output = programs.launch(command, env)
        counted = server.stop()
    if counted["renewed"] != accounts * due:
        sys.exit(f"{way}: {counted['renewed']} of {accounts * due} tokens were renewed:\n{output}")
    return {
        "seconds": seen["seconds"],
        "cpu_seconds": seen["user_seconds"] + seen["system_seconds"],
        "bound_seconds": bound(way, counted["requests"]),
        "requests": counted["requests"],
        "refused": counted["refused"],
        "busiest_second": counted["busiest_second"],
        "peak_kib": seen["peak_kib"],
    }


def bound(way, requests):
    """Returns the seconds that the limits need at least for so many requests."""
    seconds = 0
    if way == "one API token":
        # Windows begin with their first request.
        full = (requests - 1) // LIMIT
        seconds, requests = full * WINDOW, requests - full * LIMIT
    return seconds + (requests - 1) // ADDRESS_LIMIT


def configuration(directory, accounts):
    """Writes a file of accounts with an API token for each."""
    lines = []
    for account in range(accounts):
        token = directory / f"api-token-{account}"
        token.write_text(f"an-api-token-for-account-{account:06}-of-the-bench")
        token.chmod(0o600)
        lines += ["[[account]]", f'name = "account {account}"', f'id = "{account:032x}"']
        lines += [f'api_token_file = "{token.name}"']
    file = directory / "accounts.toml"
    file.write_text("\n".join(lines) + "\n")
    file.chmod(0o600)
    return file
