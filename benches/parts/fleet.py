"""One account of 1,000 due tokens, on the simulator and its rate limit."""

from .common import Server

TOKENS = 1000
# Requests a second: below 200, the API's limit for an address.
LIMIT = 100
NAMES = ["command", "python", "npm"]
NEEDS = ["server", *NAMES, "rust"]


def run(effort, programs):
    tokens = 150 if effort.smoke else TOKENS
    figures = {name: [] for name in NAMES}
    for number, name in effort.turns(NAMES, most=3):
        # One round is enough: the others are slower by more than the noise.
        if name == "command" or (number == 0 and not effort.targets):
            figures[name].append(renewal(programs, name, tokens))
            print(f"   {name}: {figures[name][-1]}", flush=True)
    return {"tokens": tokens, "limit": LIMIT, "renewals": figures}


def renewal(programs, name, tokens):
    with Server(programs, "simulator", tokens, tokens, LIMIT, 0) as server:
        # A contender whose tokens were not all renewed exits with 1.
        seen, _ = programs.launch(programs.renewal(name), server.environment, accept=(0, 1))
        counted = server.stop()
    # Windows begin with their first request: the last of the full ones ends before the rest
    # can be sent.
    needed = counted["requests"] - counted["refused"]
    return {
        "seconds": seen["seconds"],
        "bound_seconds": (needed - 1) // LIMIT,
        "requests": counted["requests"],
        "refused": counted["refused"],
        "not_renewed": tokens - counted["renewed"],
        "peak_kib": seen["peak_kib"],
    }
