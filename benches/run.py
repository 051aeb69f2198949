#!/usr/bin/env python3
"""Runs the benchmarks and writes RESULTS.md. README.md explains each figure."""

import argparse
import os
import random
import time

from parts import (
    accounts,
    build,
    common,
    durations,
    fleet,
    instructions,
    job,
    refreshes,
    report,
    rest,
    targets,
)

PARTS = {
    "job": (job.run, job.NEEDS),
    "accounts": (accounts.run, accounts.NEEDS),
    "rest": (rest.run, rest.NEEDS),
    "instructions": (instructions.run, instructions.NEEDS),
    "refreshes": (refreshes.run, refreshes.NEEDS),
    "start": (refreshes.run_start, refreshes.START_NEEDS),
    "fleet": (fleet.run, fleet.NEEDS),
    "durations": (durations.run, durations.NEEDS),
    "build": (build.run, build.NEEDS),
}


def main():
    arguments = parse()
    names = arguments.parts or list(PARTS)
    print(f"seed {arguments.seed}", flush=True)
    programs = common.Programs(arguments.smoke)
    print("== preparing: the first time it takes minutes", flush=True)
    programs.prepare([need for name in names for need in PARTS[name][1]])
    for name in names:
        measure, needs = PARTS[name]
        started, load = time.time(), os.getloadavg()[0]
        print(f"== {name}", flush=True)
        effort = common.Effort(arguments.rounds, arguments.seed, arguments.smoke, arguments.targets)
        figures = measure(effort, programs)
        if arguments.guard:
            instructions.guard(figures)
        elif not arguments.smoke:
            common.keep(name, effort, needs, load, figures)
        print(f"== {name} took {time.time() - started:.0f} s", flush=True)
    if arguments.smoke:
        print("Everything ran.")
    elif not arguments.guard:
        report.write()
        print(targets.text())


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "parts",
        nargs="*",
        metavar="part",
        help=f"any of {', '.join(PARTS)}; all by default. The others keep their last figures",
    )
    parser.add_argument(
        "--rounds", type=int, default=7, help="turns that contenders take; 7 by default"
    )
    parser.add_argument(
        "--seed", type=int, default=random.randrange(10**6), help="of the order of turns"
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--targets", action="store_true", help="measures only what the table of targets needs"
    )
    how.add_argument(
        "--smoke", action="store_true", help="checks that everything runs; discards the figures"
    )
    how.add_argument(
        "--guard",
        action="store_true",
        help="fails if a refresh takes more instructions than in the kept figures",
    )
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if arguments.guard:
        arguments.parts = ["instructions"]
    return arguments


if __name__ == "__main__":
    main()
