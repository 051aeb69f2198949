"""Instructions per refresh, counted by valgrind: the same on a busy machine."""

import re
import sys

from .common import RUST, Server, command, run as run_command

FEW, MANY = 200, 1200


def run(effort):
    few, many = (5, 15) if effort.smoke else (FEW, MANY)
    figures = {}
    with Server("canned") as server:
        for name in RUST:
            count = lambda calls: instructions(name, calls, server.environment)
            # Both counts include the work before and after the calls.
            figures[name] = (count(many) - count(few)) / (many - few)
            print(f"   {name}: {figures[name]:,.0f}", flush=True)
    print(f"   over reqwest by hand: {figures['sdk'] / figures['reqwest']:.3f}")
    return {"per_refresh": figures}


def instructions(name, calls, env):
    valgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    said = run_command(*valgrind, *command(name, "load", calls, 1), env=env).stderr
    collected = re.search(r"Collected : (\d+)", said)
    if not collected:
        sys.exit(f"valgrind counted nothing:\n{said}")
    return int(collected[1])
