#!/usr/bin/env python3
"""Runs the benchmarks and writes RESULTS.md. README.md explains each figure."""

import argparse
import time

from parts import build, common, fleet, instructions, micro, peers, report

PARTS = {
    "peers": peers.run,
    "start": peers.run_start,
    "instructions": instructions.run,
    "micro": micro.run,
    "fleet": fleet.run,
    "build": build.run,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "parts",
        nargs="*",
        metavar="part",
        help=f"any of {', '.join(PARTS)}; all by default. The others keep their last figures",
    )
    parser.add_argument("--rounds", type=int, default=7, help="turns that contenders take; 7 by default")
    parser.add_argument(
        "--smoke",
        action="store_true",
        help="checks within a minute that all contenders run; discards the figures",
    )
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")

    common.prepare()
    for part in arguments.parts or PARTS:
        started = time.time()
        print(f"== {part}", flush=True)
        figures = PARTS[part](common.Effort(arguments.rounds, arguments.smoke))
        if not arguments.smoke:
            common.keep(part, figures)
        print(f"== {part} took {time.time() - started:.0f} s", flush=True)
    if arguments.smoke:
        print("All contenders ran.")
    else:
        report.write()
        print(report.text())


if __name__ == "__main__":
    main()
