"""The figures that were kept, as RESULTS.md."""

from . import targets
from .common import BENCHES, NAMES, kept
from .durations import CASES, PARSERS
from .instructions import ratios
from .spread import Spread, cpu, mebibytes, milliseconds, of, ratio, table

SECTIONS = {}
SCHEMES = [("Over http", "contenders"), ("Over TLS", "tls")]

HEAD = """# Results

Written by `just bench`; [README.md](README.md) explains each figure. A cell shows the median, and
in parentheses the least and the most of the rounds."""


def section(part):
    """Registers a function that writes the section of a part."""

    def register(write):
        SECTIONS[part] = write
        return write

    return register


def write():
    (BENCHES / "RESULTS.md").write_text(text())


def text():
    parts = [HEAD, "## Targets\n\n" + targets.text()]
    for part, write_section in SECTIONS.items():
        if found := kept(part):
            parts.append(write_section(found["figures"]))
    return "\n\n".join([*parts, sources()]) + "\n"


def sources():
    rows = []
    versions = {}
    machines = {}
    for part in SECTIONS:
        if found := kept(part):
            machine = machines.setdefault(found["machine"], len(machines) + 1)
            commit = found["commit"] + (" and changes" if found["dirty"] else "")
            load = " to ".join(str(load) for load in found["load"])
            rows.append([f"`{part}`", found["date"], commit, machine, load, found["seed"]])
            for name, version in found["versions"].items():
                versions.setdefault(name, {}).setdefault(version, []).append(part)
    lines = []
    for name, of_parts in versions.items():
        for version, parts in of_parts.items():
            where = "" if len(of_parts) == 1 else f" ({', '.join(parts)})"
            lines.append(f"{name} {version}{where}")
    return (
        "## Where the figures come from\n\n"
        "Each part keeps its own run. The load is the system's average over a minute at the "
        "start and at the end; the part itself adds about 1.\n\n"
        + table(["part", "date", "commit", "machine", "load", "seed"], rows)
        + "\n\nMachines: "
        + "; ".join(f"{number}: {machine}" for machine, number in machines.items())
        + ".\n\nVersions: "
        + "; ".join(sorted(lines, key=str.lower))
        + "."
    )


@section("job")
def job(found):
    what = (
        "An account of 50 tokens, 10 of them due; from the start of the process to its exit. "
        "Over http, except where a table names TLS."
    )
    parts = ["## The whole job", what]
    cases = {f"Latency of {latency}": samples for latency, samples in found["warm"].items()}
    if "cold" in found:
        cases[f"No latency, empty page cache (by {found['cold_by']})"] = found["cold"]
    for title, contenders in cases.items():
        rows = [
            [
                NAMES[name],
                of(samples, milliseconds("seconds")).text(),
                of(samples, lambda sample: cpu(sample) * 1000).text(),
                of(samples, mebibytes("peak_kib")).text(),
                of(samples, "requests").text(0),
            ]
            for name, samples in contenders.items()
        ]
        head = ["", "wall ms", "CPU ms", "peak MiB", "requests"]
        parts.append(f"{title}:\n\n" + table(head, rows))
    head, rows = ["cf-service-tokens over", *cases, "CPU", "peak memory"], []
    for name in found["warm"]["50 ms"]:
        if name == "command":
            continue
        row = [NAMES[name]]
        for contenders in cases.values():
            row.append(ratio(contenders["command"], contenders[name], "seconds").text(3))
        idle = found["warm"]["0 ms"]
        row.append(ratio(idle["command"], idle[name], cpu).text(3))
        row.append(ratio(idle["command"], idle[name], "peak_kib").text(3))
        rows.append(row)
    parts.append("Ratios of wall time; CPU and memory without latency:\n\n" + table(head, rows))
    return "\n\n".join(parts)


@section("accounts")
def accounts(found):
    head = [
        "",
        "seconds",
        "over the bound",
        "requests",
        "429s",
        "busiest second",
        "CPU s",
        "peak MiB",
    ]
    labels = {"one API token": "one API token for all", "one each": "an API token for each"}

    def row(label, samples):
        return [
            label,
            of(samples, "seconds").text(2),
            of(samples, lambda sample: sample["seconds"] / max(sample["bound_seconds"], 1)).text(3),
            of(samples, "requests").text(0),
            of(samples, "refused").text(0),
            of(samples, "busiest_second").text(0),
            of(samples, "cpu_seconds").text(2),
            of(samples, mebibytes("peak_kib")).text(),
        ]

    jobs = [row(labels[way], samples) for way, samples in found["jobs"].items()]
    growth = [row(f"{int(size):,} accounts", samples) for size, samples in found["growth"].items()]
    return (
        "## Many accounts\n\n"
        f"{found['accounts']:,} accounts of 50 tokens, {found['due']} due in each; "
        f"{found['limit']} requests in {found['window']} s for an API token, 200 a second in all.\n\n"
        + table(head, jobs)
        + "\n\nNothing due, one API token, only the 200 requests a second:\n\n"
        + table(head, growth)
    )


@section("rest")
def rest(found):
    rows = [
        [
            name,
            of(samples, mebibytes("resident_kib")).text(),
            of(samples, mebibytes("peak_kib")).text(),
            of(samples, "threads").text(0),
            of(samples, "wake_ups_an_hour").text(0),
        ]
        for name, samples in found["watchers"].items()
    ]
    head = ["watcher", "resident MiB", "peak MiB", "threads", "wake-ups an hour"]
    window = found["window_seconds"]
    what = f"Wake-ups are counted in {window} s of real time, and scaled to an hour."
    return f"## At rest\n\n{what}\n\n" + table(head, rows)


@section("build")
def build(found):
    def cell(figure, variant):
        measured = found.get(figure, {}).get(variant)
        return Spread(measured).text() if measured else ""

    rows = []
    for variant, crates in found["crates"].items():
        name, tls = variant.split()
        tls = {"rustls": "rustls with aws-lc", "ring": "rustls with ring"}.get(tls, tls)
        size = found.get("bytes", {}).get(variant)
        times = [cell("cold_seconds", variant), cell("warm_seconds", variant)]
        size = f"{size / 2**20:.1f}" if size else ""
        rows.append([f"{NAMES[name]}, {tls}", *times, crates, size])
    duplicates = "; ".join(f"{name} {' and '.join(v)}" for name, v in found["duplicates"].items())
    what = (
        "A program that makes one call: `cargo build` from nothing and after a change of the "
        "program, the crates that are built, and the stripped program by `cargo build --release`."
    )
    beside = (
        f"The command itself: {found['command_bytes'] / 1e6:.1f} MB. Crates in several versions, "
        f"with rustls: {duplicates or 'none'}."
    )
    head = ["", "cold s", "warm s", "crates", "MiB"]
    parts = ["## What a dependent pays", what, table(head, rows), beside]
    if "features" in found:
        features = found["features"].items()
        features = [[name, f"{f['seconds']:.1f}", f["crates"]] for name, f in features]
        slowest = [[f"`{name}`", f"{seconds:.1f}"] for name, seconds in found["slowest"]]
        installs = ", ".join(
            f"{NAMES[name]} {one['seconds']:.1f} s and {one['bytes'] / 2**20:.1f} MiB"
            for name, one in found["installs"].items()
        )
        parts += [
            f"After a change of the fragment: {found['regenerate_seconds'][0]:.1f} s.",
            f"To install a package of another language instead: {installs}.",
            "The SDK alone, cold:\n\n" + table(["", "seconds", "crates"], features),
            "The slowest crates of a cold build with rustls:\n\n" + table(["", "seconds"], slowest),
        ]
    return "\n\n".join(parts)


@section("instructions")
def instructions(found):
    counts = found["per_refresh"]
    over = ratios(counts)
    rows = [
        [NAMES[name], Spread(counts[name]).text(0), over[name].text(3) if name in over else ""]
        for name in counts
    ]
    return (
        "## Instructions per refresh\n\n`just bench-guard` compares with these ratios.\n\n"
        + table(["", "instructions", "cf-service-tokens over it"], rows)
    )


@section("refreshes")
def refreshes(found):
    found = found["contenders"]
    rate = lambda r: r["calls"] / r["seconds"]
    rows = []
    for name, loads in found.items():
        one, many = loads["1"], loads["64"]
        per_call = lambda r: r["cpu_seconds"] / r["calls"] * 1e6
        rows.append(
            [
                NAMES[name],
                of(one, per_call).text(),
                of(many, per_call).text(),
                of(one, rate).text(0),
                of(many, rate).text(0),
                of(many, "p50_us").text(0),
                of(many, "p99_us").text(0),
                of(many, mebibytes("peak_kib")).text(),
                ratio(found["sdk"]["64"], many, rate).text(2),
                f"{of(many, lambda r: r['server_cpu_seconds'] / r['seconds']).median:.0%}",
            ]
        )
    head = [
        "", "CPU µs, 1 in flight", "CPU µs, 64", "refreshes/s, 1", "refreshes/s, 64",
        "p50 µs, 64", "p99 µs, 64", "peak MiB, 64", "cf-service-tokens over it, 64", "server busy, 64",
    ]  # fmt: skip
    return "## Refreshes\n\nThe canned-response server.\n\n" + table(head, rows)


@section("start")
def start(found):
    def rows(contenders):
        return [
            [
                NAMES[name],
                of(samples, milliseconds("seconds")).text(),
                ratio(samples, contenders["curl"], "seconds").text(2),
                of(samples, mebibytes("peak_kib")).text(),
            ]
            for name, samples in contenders.items()
        ]

    head = ["", "ms from process start to first answer", "over curl", "peak MiB"]
    schemes = [(scheme, found[key]) for scheme, key in SCHEMES if key in found]
    tables = [f"{scheme}:\n\n" + table(head, rows(contenders)) for scheme, contenders in schemes]
    return "## One call\n\n" + "\n\n".join(tables)


@section("fleet")
def fleet(found):
    rows = []
    for name, renewals in found["renewals"].items():
        if renewals:
            over = of(renewals, lambda renewal: renewal["seconds"] / renewal["bound_seconds"])
            counts = [of(renewals, what).text(0) for what in ("requests", "refused", "not_renewed")]
            peak = of(renewals, mebibytes("peak_kib")).text()
            rows.append([NAMES[name], of(renewals, "seconds").text(2), over.text(3), *counts, peak])
    head = ["", "seconds", "over the bound", "requests", "429s", "tokens not renewed", "peak MiB"]
    return (
        f"## One account and its rate limit\n\n{found['tokens']:,} due tokens, "
        f"{found['limit']} requests a second; the simulator.\n\n" + table(head, rows)
    )


@section("durations")
def durations(found):
    found = found["nanoseconds"]

    def cell(kind, name, case):
        samples = found.get(f"{kind}/{name}/{case}")
        return Spread(samples).text() if samples else "refused"

    def rows(kind, names):
        return [[name, *(cell(kind, name, case) for case in CASES)] for name in names]

    head = ["ns", *(f"`{case}`" for case in CASES)]
    return (
        "## Durations\n\nThe mix is a thousand; its figures are those of one. “Refused”: the parser "
        "does not read Go's grammar.\n\nParse:\n\n"
        + table(head, rows("parse", ["cf-service-tokens", *PARSERS, "Go"]))
        + "\n\nPrint to a String:\n\n"
        + table(head, rows("print", ["cf-service-tokens", "humantime", "Go"]))
    )
