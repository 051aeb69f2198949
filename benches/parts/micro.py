"""Criterion's benchmarks and Go's own, in turn."""

import json
import re

from .common import BENCHES, ENVIRONMENT, TARGET, cargo, run as run_command

CASES = ["2h45m", "8760h", "300ms", "1h2m3.456789s", "1500us", "mix"]
CRITERION = TARGET / "criterion"
MIX = TARGET / "mix.txt"


def run(effort):
    if effort.smoke:
        cargo("bench", "--package", "micro", "--", "--test")
        return {}
    figures = {}
    for _ in effort.turns(most=3):
        cargo("bench", "--package", "micro", env=ENVIRONMENT | {"BENCH_MIX": str(MIX)})
        for name, nanoseconds in [*criterion(), *go()]:
            figures.setdefault(name, []).append(nanoseconds)
    return {"nanoseconds": figures}


def criterion():
    for file in sorted(CRITERION.glob("**/new/estimates.json")):
        name = file.parent.parent.relative_to(CRITERION).as_posix()
        yield name, per_duration(name, json.loads(file.read_text())["median"]["point_estimate"])


def go():
    env = ENVIRONMENT | {
        "BENCH_MIX": str(MIX),
        "GOCACHE": str(TARGET / "go"),
        "GOFLAGS": "-mod=mod",
        "GOTOOLCHAIN": "local",
    }
    program = TARGET / "python" / "bin" / "go"
    said = run_command(
        program, "test", "-bench", ".", "-benchtime", "300ms", "-cpu", "1", env=env, cwd=BENCHES / "micro" / "go"
    ).stdout
    for kind, case, nanoseconds in re.findall(r"Benchmark(\w+)/(\S+)\s+\d+\s+([\d.]+) ns/op", said):
        name = f"{kind.lower()}/Go/{case}"
        yield name, per_duration(name, float(nanoseconds))


def per_duration(name, nanoseconds):
    """The mix is a thousand."""
    return nanoseconds / 1000 if name.endswith("/mix") else nanoseconds
