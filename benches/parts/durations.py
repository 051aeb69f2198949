"""Parsing and printing durations: criterion's benchmarks and Go's own, in turn."""

import json
import os
import re

from .common import BENCHES, ENVIRONMENT, GO, TARGET, cargo
from .common import run as run_command

CASES = ["2h45m", "8760h", "300ms", "1h2m3.456789s", "1500us", "mix"]
PARSERS = ["gostd_time", "go-parse-duration", "humantime", "jiff"]
CRITERION = TARGET / "criterion"
MIX = TARGET / "mix.txt"
NEEDS = ["go", "rust", *PARSERS]


def run(effort, programs):
    if effort.smoke:
        # Without `--bench`, criterion runs each benchmark once.
        env = dict(os.environ) | {"BENCH_MIX": str(MIX)}
        cargo("test", "--workspace", "--bench", "durations", env=env)
        go("1x")
        return {}
    figures = {}
    cargo("bench", "--package", "micro", "--no-run")
    for _, which in effort.turns(["criterion", "go"], most=3):
        found = criterion(effort.random.randrange(10**6)) if which == "criterion" else go("300ms")
        for name, nanoseconds in found.items():
            figures.setdefault(name, []).append(nanoseconds)
    return {"nanoseconds": figures}


def criterion(seed, *filters):
    """Runs criterion's benchmarks, of which each has its contenders in the seed's order."""
    env = ENVIRONMENT | {"BENCH_MIX": str(MIX), "BENCH_SEED": str(seed)}
    cargo("bench", "--package", "micro", "--", *filters, env=env)
    found = {}
    for file in sorted(CRITERION.glob("**/new/estimates.json")):
        name = file.parent.parent.relative_to(CRITERION).as_posix()
        found[name] = per_duration(name, json.loads(file.read_text())["median"]["point_estimate"])
    return found


def go(time):
    if not MIX.exists():
        criterion(0, "nothing")
    env = ENVIRONMENT | {
        "BENCH_MIX": str(MIX),
        "GOCACHE": str(TARGET / "go"),
        "GOFLAGS": "-mod=mod",
        "GOTOOLCHAIN": "local",
    }
    test = [GO, "test", "-bench", ".", "-benchtime", time, "-cpu", "1"]
    said = run_command(*test, env=env, cwd=BENCHES / "micro" / "go").stdout
    found = re.findall(r"Benchmark(\w+)/(\S+)\s+\d+\s+([\d.]+) ns/op", said)
    names = {f"{kind.lower()}/Go/{case}": float(nanoseconds) for kind, case, nanoseconds in found}
    return {name: per_duration(name, nanoseconds) for name, nanoseconds in names.items()}


def per_duration(name, nanoseconds):
    """Divides the time of the mix, which is a thousand."""
    return nanoseconds / 1000 if name.endswith("/mix") else nanoseconds
