"""The figures that were kept, as RESULTS.md."""

import platform
import re
import subprocess

from .common import BENCHES, GO_VERSION, NAMES, PYTHON, RUST, kept, median, median_ratio, run
from .micro import CASES

OTHER_PARSERS = ["gostd_time", "go-parse-duration", "humantime", "jiff"]


def write():
    (BENCHES / "RESULTS.md").write_text(text())


def text():
    parts = [heading()]
    for section in (targets, refreshes, start, instructions, durations, calls, fleet, build):
        try:
            parts.append(section())
        except MissingFigures:
            pass
    return "\n\n".join(parts) + "\n"


class MissingFigures(Exception):
    """The part of the benchmarks has not been run yet."""


def figures(part):
    found = kept(part)
    if found is None:
        raise MissingFigures
    return found


def table(head, rows):
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def heading():
    model = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read())[1]
    kernel = re.match(r"\d+\.\d+", platform.release())[0]
    cores = len(re.findall(r"^processor", open("/proc/cpuinfo").read(), re.M))
    versions = [
        run("rustc", "--version").stdout.strip(),
        f"Go {GO_VERSION}",
        f"Python {run(PYTHON, '--version').stdout.split()[1]}",
        f"Node.js {run('node', '--version').stdout.strip()}",
        run("curl", "--version").stdout.split(" (")[0],
        run("valgrind", "--version").stdout.strip(),
        *(f"{name} {version}" for name, version in locked()),
        "PyPI " + (BENCHES / "peers/python/requirements.txt").read_text().strip().replace("==", " "),
        "npm " + re.search(r'"(cloudflare)": "(.*?)"', (BENCHES / "peers/npm/package.json").read_text())[2],
    ]
    commit = subprocess.run(
        ["git", "log", "-1", "--format=%h", "--", "../src", "../build", "../Cargo.toml"],
        capture_output=True, text=True, cwd=BENCHES,
    ).stdout.strip()
    return (
        "# Results\n\n"
        "Written by `just bench`; [README.md](README.md) says what each figure is.\n\n"
        f"Machine: {model}, {cores} cores, {platform.system()} {kernel}. "
        f"Sources as of {commit or 'an unknown commit'}.\n\n"
        f"Versions: {', '.join(versions)}."
    )


def locked():
    lock = (BENCHES / "Cargo.lock").read_text()
    for name in ("cloudflare", "hyper", "reqwest", "gostd_time", "humantime", "jiff", "go-parse-duration"):
        found = re.findall(rf'name = "{name}"\nversion = "(.*?)"', lock)
        yield name, " and ".join(found)


def verdict(value, target, at_least=False):
    return "yes" if (value >= target if at_least else value <= target) else "**no**"


def targets():
    rows = []

    def row(what, value, target, at_least=False, note=""):
        sign = "≥" if at_least else "≤"
        rows.append([what + note, f"{value:.2f}", f"{sign} {target}", verdict(value, target, at_least)])

    def loads():
        for in_flight in ("1", "64"):
            label = f", {in_flight} in flight"
            row("CPU per refresh over reqwest by hand" + label, cpu_ratio("reqwest", in_flight), 1.05)
            row("CPU per refresh over hyper by hand" + label, cpu_ratio("hyper", in_flight), 1.5)
        for name, target in (("cloudflare", 1.1), ("npm", 8), ("python", 40), ("python-async", 40)):
            row(f"refreshes a second, 64 in flight, over {NAMES[name]}", rate_ratio(name), target, True)

    def counts():
        found = figures("instructions")["per_refresh"]
        row("instructions per refresh over reqwest by hand", found["sdk"] / found["reqwest"], 1.05)

    def parsing():
        found = Durations()
        for case in CASES:
            ours = found.ours("parse", "cf-service-tokens", case)
            other = min((found.ours("parse", name, case) or [1e9] for name in OTHER_PARSERS), key=median)
            row(f"parse `{case}` over the fastest other crate", median_ratio(ours, other), 0.9)
            row(f"parse `{case}` over Go", median_ratio(ours, found.ours("parse", "Go", case)), 0.6)
        for case in CASES:
            go = found.ours("print", "Go", case)
            row(f"print `{case}` into a buffer over Go", median_ratio(found.ours("print", "into a buffer", case), go), 0.5)
            row(f"print `{case}` to a String over Go", median_ratio(found.ours("print", "to a String", case), go), 0.9)

    def fleets():
        found = figures("fleet")
        ours = found["renewals"]["sdk"]
        row("fleet: time over the bound", median([r["seconds"] / r["bound_seconds"] for r in ours]), 1.01)
        row("fleet: 429s", max(r["refused"] for r in ours), 0)
        small, large = found["memory"].values()
        row("memory at 9,000 tokens over 1,000", large / small, 1.2)

    def builds():
        found = figures("build")["cold_seconds"]
        row("cold build over the crate cloudflare", found["sdk"] / found["cloudflare"], 1.0)

    def starts():
        found = figures("start")["milliseconds"]
        row("process start to first answer over curl", median_ratio(found["sdk"], found["curl"]), 1.2)

    measures = {
        "refreshes": loads,
        "instructions": counts,
        "durations": parsing,
        "fleet": fleets,
        "cold build": builds,
        "start": starts,
    }
    for what, measure in measures.items():
        try:
            measure()
        except MissingFigures:
            rows.append([what, "not measured", "", "**no**"])
    return "## Targets\n\n" + table(["", "ratio", "target", "reached"], rows)


def load(name, in_flight):
    return figures("peers")["contenders"][name][in_flight]


def cpu_ratio(name, in_flight):
    cpu = lambda which: [r["cpu_seconds"] / r["calls"] for r in load(which, in_flight)]
    return median_ratio(cpu("sdk"), cpu(name))


def rate_ratio(name):
    rate = lambda which: [r["calls"] / r["seconds"] for r in load(which, "64")]
    return median_ratio(rate("sdk"), rate(name))


def refreshes():
    found = figures("peers")
    rows = []
    for name, loads in found["contenders"].items():
        one, many = loads["1"], loads["64"]
        of = lambda results, figure: median([figure(result) for result in results])
        cpu = lambda r: r["cpu_seconds"] / r["calls"] * 1e6
        rate = lambda r: r["calls"] / r["seconds"]
        rows.append([
            NAMES[name],
            f"{of(one, cpu):.1f}",
            f"{of(many, cpu):.1f}",
            f"{of(one, rate):,.0f}",
            f"{of(many, rate):,.0f}",
            f"{of(one, lambda r: r['p50_us']):,.0f}",
            f"{of(one, lambda r: r['p99_us']):,.0f}",
            f"{of(many, lambda r: r['p50_us']):,.0f}",
            f"{of(many, lambda r: r['p99_us']):,.0f}",
            f"{of(many, lambda r: r['peak_kib']) / 1024:.1f}",
            f"{of(many, lambda r: r['server_cpu_seconds'] / r['seconds']):.0%}",
        ])
    head = [
        "", "CPU µs, 1 in flight", "CPU µs, 64", "refreshes/s, 1", "refreshes/s, 64",
        "p50 µs, 1", "p99 µs, 1", "p50 µs, 64", "p99 µs, 64", "peak MiB, 64", "server busy, 64",
    ]
    return (
        f"## Refreshes\n\n{found['date']}, medians of {len(load('sdk', '1'))} rounds; "
        "the canned-response server.\n\n" + table(head, rows)
    )


def start():
    found = figures("start")
    rows = []
    for name, samples in found["milliseconds"].items():
        peak = found["peak_kib"].get(name)
        rows.append([
            NAMES[name],
            f"{median(samples):.1f}",
            f"{median_ratio(samples, found['milliseconds']['curl']):.2f}",
            f"{median(peak) / 1024:.1f}" if peak else "",
        ])
    return f"## One call\n\n{found['date']}.\n\n" + table(
        ["", "ms from process start to first answer", "over curl", "peak MiB"], rows
    )


def instructions():
    found = figures("instructions")
    per_refresh = found["per_refresh"]
    rows = [
        [NAMES[name], f"{per_refresh[name]:,.0f}", f"{per_refresh[name] / per_refresh['reqwest']:.3f}"]
        for name in RUST
    ]
    return f"## Instructions per refresh\n\n{found['date']}.\n\n" + table(
        ["", "instructions", "over reqwest by hand"], rows
    )


class Durations:
    def __init__(self):
        self.found = figures("micro")["nanoseconds"]

    def ours(self, kind, name, case):
        return self.found.get(f"{kind}/{name}/{case}")

    def cell(self, kind, name, case):
        samples = self.ours(kind, name, case)
        return f"{median(samples):.1f}" if samples else "refused"


def durations():
    found = Durations()
    date = figures("micro")["date"]
    rows = lambda kind, names: [[name, *(found.cell(kind, name, case) for case in CASES)] for name in names]
    head = ["ns", *(f"`{case}`" for case in CASES)]
    return (
        f"## Durations\n\n{date}; each of the mix. “Refused”: not Go's grammar.\n\nParse:\n\n"
        + table(head, rows("parse", ["cf-service-tokens", *OTHER_PARSERS, "Go"]))
        + "\n\nPrint; Go's and humantime's to a String:\n\n"
        + table(head, rows("print", ["into a buffer", "to a String", "humantime", "Go"]))
    )


def calls():
    found = figures("micro")["nanoseconds"]
    names = ["envelope decode", "request, cf-service-tokens", "request, reqwest by hand", "renewal decision"]
    return "## Parts of a call\n\n" + table(["", "ns"], [[name, f"{median(found[name]):,.0f}"] for name in names])


def fleet():
    found = figures("fleet")
    rows = []
    for name, renewals in found["renewals"].items():
        of = lambda figure: median([renewal[figure] for renewal in renewals])
        over = median([r["seconds"] / r["bound_seconds"] for r in renewals])
        rows.append([
            NAMES[name], f"{of('seconds'):.2f}", f"{over:.3f}", f"{of('requests'):,.0f}",
            f"{of('refused'):,.0f}", f"{of('not_renewed'):,.0f}", f"{of('peak_kib') / 1024:.1f}",
        ])
    head = ["", "seconds", "over the bound", "requests", "429s", "tokens not renewed", "peak MiB"]
    memory = [[f"{int(size):,}", f"{peak / 1024:.1f}"] for size, peak in found["memory"].items()]
    return (
        f"## A fleet\n\n{found['date']}; 4,000 due tokens, 400 requests a second, 8 in flight; "
        "the simulator.\n\n" + table(head, rows)
        + "\n\nA dry run, 10 tokens due:\n\n" + table(["tokens", "peak MiB"], memory)
    )


def build():
    found = figures("build")
    cold = found["cold_seconds"] | found["install_seconds"]
    rows = [
        [NAMES[name], f"{cold[name]:.1f}", found["dependencies"][name], f"{found['bytes'][name] / 2**20:.1f}"]
        for name in [*RUST, "python", "npm"]
    ]
    features = [[name, f"{f['seconds']:.1f}", f["crates"]] for name, f in found["features"].items()]
    crates = [[f"`{name}`", f"{seconds:.1f}"] for name, seconds in found["crates"]]
    return (
        f"## Build\n\n{found['date']}; a program that makes one call, by `cargo build`, and its size by "
        "`cargo build --release`, stripped. PyPI and npm: install, and size of what is installed.\n\n"
        + table(["", "seconds, cold", "dependencies", "MiB"], rows)
        + f"\n\nAfter a change of the program: {found['warm_seconds']:.1f} s. After a change of the "
        f"fragment: {found['regenerate_seconds']:.1f} s.\n\nThe SDK's own features, cold:\n\n"
        + table(["", "seconds", "crates"], features)
        + "\n\nThe slowest crates of a cold build:\n\n" + table(["", "seconds"], crates)
    )
