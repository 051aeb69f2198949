"""The whole job: an account of 50 tokens, 10 of them due, from the start of a process to its exit."""

import sys

from .common import CF, NPM, PYTHON, Server, empty_page_cache

TOKENS, DUE = 50, 10
# Milliseconds of latency, and whether the server speaks TLS.
CASES = {
    "0 ms": (0, False),
    "5 ms": (5, False),
    "50 ms": (50, False),
    "0 ms, TLS": (0, True),
    "50 ms, TLS": (50, True),
}
FOR_TARGETS = ["0 ms", "50 ms", "50 ms, TLS"]
NAMES = ["command", "reqwest", "shell", "python", "npm"]
NEEDS = ["server", *NAMES, "cf", "rust"]


def run(effort, programs):
    figures = {}
    for case in FOR_TARGETS if effort.targets else CASES:
        figures[case] = {name: [] for name in NAMES}
        for _, name in effort.turns(NAMES):
            figures[case][name].append(job(programs, name, *CASES[case]))
    if effort.targets:
        return {"warm": figures}
    # It takes as long as all others together.
    figures["0 ms"]["cf"] = [job(programs, "cf") for _ in range(1 if effort.smoke else 3)]
    cold = {name: [] for name in NAMES}
    how = None
    for _, name in effort.turns(NAMES, most=3):
        how = empty_page_cache(files(programs, name))
        cold[name].append(job(programs, name))
    return {"warm": figures, "cold": cold, "cold_by": how}


def job(programs, name, latency=0, tls=False):
    with Server(programs, "simulator", TOKENS, DUE, 0, latency, tls=tls) as server:
        figures, output = programs.launch(programs.renewal(name), server.environment)
        counted = server.stop()
    if counted["renewed"] != DUE or counted["refused"]:
        sys.exit(f"{name} renewed {counted['renewed']} of {DUE} tokens:\n{output}")
    return figures | {"requests": counted["requests"]}


def files(programs, name):
    """Returns what a contender reads from the disk besides the programs of the system."""
    if name == "python":
        return [PYTHON.parent.parent]
    if name in ("npm", "cf"):
        return [NPM if name == "npm" else CF]
    return [program for program in programs.renewal(name) if hasattr(program, "is_dir")]
