"""Instructions per refresh, counted by valgrind: a busy machine changes them hardly."""

import re
import sys

from .common import Server, kept
from .common import run as run_command
from .spread import Spread

FEW, MANY = 200, 1200
NAMES = ["sdk", "reqwest", "hyper"]
NEEDS = ["server", *NAMES, "rust", "valgrind"]
# What a change may add to the ratio.
TOLERANCE = 0.02


def run(effort, programs):
    few, many = (5, 15) if effort.smoke else (FEW, MANY)
    figures = {name: [] for name in NAMES}
    with Server(programs, "canned") as server:
        for _, name in effort.turns(NAMES, most=3):
            env = server.environment
            # Both counts include the work before and after the calls.
            load = lambda calls, name=name: programs.once_or_load(name, "load", calls, 1)
            extra = instructions(load(many), env) - instructions(load(few), env)
            figures[name].append(extra / (many - few))
    for name, ratio in ratios(figures).items():
        print(f"   over {name}: {ratio.text(3)}")
    return {"per_refresh": figures}


def ratios(figures):
    """Returns how many times the instructions of each other contender the SDK takes."""
    others = [name for name in NAMES if name != "sdk"]
    return {name: Spread.ratio(figures["sdk"], figures[name]) for name in others}


def instructions(command, env):
    valgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    said = run_command(*valgrind, *command, env=env).stderr
    collected = re.search(r"Collected : (\d+)", said)
    if not collected:
        sys.exit(f"valgrind counted nothing:\n{said}")
    return int(collected[1])


def guard(figures):
    """Fails if a refresh takes more instructions than in the kept figures."""
    if not (known := kept("instructions")):
        sys.exit("there is no kept figure: `just bench instructions` keeps one")
    before = ratios(known["figures"]["per_refresh"])
    failed = False
    for name, ratio in ratios(figures["per_refresh"]).items():
        now, then = ratio.median, before[name].median
        change = now / then - 1
        print(f"over {name} by hand: {now:.3f}, kept {then:.3f}, {change:+.1%}")
        failed |= change > TOLERANCE
        if change < -TOLERANCE:
            print("This is better: `just bench instructions` keeps the new figure.")
    if failed:
        sys.exit(
            f"A refresh takes over {TOLERANCE:.0%} more instructions than before. Find out why with "
            "callgrind or, if the gain is worth it, keep the new figure by `just bench instructions`."
        )
