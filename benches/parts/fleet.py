"""Accounts of thousands of tokens, on the simulator and its rate limit."""

from .common import RELEASE, Server, command, json_of

TOKENS = 4000
# Requests a second.
LIMIT = 400
# The default of a renewal policy.
IN_FLIGHT = 8
SIZES = [1_000, 9_000]


def run(effort):
    tokens = 100 if effort.smoke else TOKENS
    figures = {name: [] for name in ["sdk", "python", "python-async", "npm"]}
    for number in effort.turns(most=3):
        for name in figures:
            # One round is enough: the peers are slower by more than the noise.
            if number == 0 or name == "sdk":
                figures[name].append(renewal(name, tokens))
                print(f"   {name}: {figures[name][-1]}", flush=True)
    return {"renewals": figures, "memory": memory(effort)}


def renewal(name, tokens):
    with Server("simulator", tokens, tokens, LIMIT) as server:
        if name == "sdk":
            program = [RELEASE / "fleet", "renew"]
        else:
            program = command(name, "fleet", IN_FLIGHT)
        seen = json_of(program, server.environment)
        counted = server.stop()
    # Windows begin with their first request: the last of the full ones ends
    # before the rest can be sent.
    needed = counted["requests"] - counted["refused"]
    bound = (needed - 1) // LIMIT
    return {
        "seconds": seen["seconds"],
        "bound_seconds": bound,
        "refused": counted["refused"],
        "requests": counted["requests"],
        "not_renewed": tokens - counted["renewed"],
        "peak_kib": seen["peak_kib"],
    }


def memory(effort):
    peaks = {}
    for size in SIZES[:1] if effort.smoke else SIZES:
        # So many requests a second that a page hardly ever waits.
        with Server("simulator", size, 10, 1000) as server:
            seen = json_of([RELEASE / "fleet", "dry-run"], server.environment)
        if seen["listed"] != size:
            raise SystemExit(f"{seen['listed']} of {size} tokens were listed")
        peaks[str(size)] = seen["peak_kib"]
    return peaks
