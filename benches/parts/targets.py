"""The targets, and whether the figures reach them."""

from .common import NAMES, kept
from .durations import CASES, PARSERS
from .instructions import ratios
from .spread import Spread, of, ratio, table, values

MEASURES = {}


def targets_of(part):
    """Registers a function that yields rows: what, its figure, the target, whether more is better."""

    def register(rows):
        MEASURES[part] = rows
        return rows

    return register


def text():
    rows = []
    every = [(part, *row) for part, rows_of in MEASURES.items() for row in rows_of()]
    for part, what, measure, target, *more in every:
        try:
            figure = measure(kept(part)["figures"])
        except (KeyError, TypeError):
            rows.append([what, "not measured", "", "", "", ""])
            continue
        reached = figure.median >= target if more else figure.median <= target
        sign = "≥" if more else "≤"
        digits = 3 if figure.max < 1.2 else 2
        numbers = [f"{number:.{digits}f}" for number in (figure.median, figure.min, figure.max)]
        rows.append([what, *numbers, f"{sign} {target}", "yes" if reached else "**no**"])
    return table(["", "median", "least", "most", "target", "reached"], rows)


@targets_of("job")
def job():
    def over(name, latency, figure):
        return lambda found: ratio(
            found["warm"][latency]["command"], found["warm"][latency][name], figure
        )

    for name, target in (("shell", 0.05), ("python", 0.01), ("npm", 0.02)):
        yield f"the whole job: wall time over {NAMES[name]}", over(name, "0 ms", "seconds"), target
    for case, label in (("50 ms", "50 ms latency"), ("50 ms, TLS", "50 ms latency, TLS")):
        what = f"the whole job, {label}: wall time over {NAMES['shell']}"
        yield what, over("shell", case, "seconds"), 0.25
    for name, target in (("shell", 0.9), ("python", 0.15), ("npm", 0.1)):
        yield (
            f"the whole job: peak memory over {NAMES[name]}",
            over(name, "0 ms", "peak_kib"),
            target,
        )


@targets_of("accounts")
def accounts():
    for way in ("one API token", "one each"):
        over = lambda found, way=way: of(
            found["jobs"][way], lambda job: job["seconds"] / job["bound_seconds"]
        )
        refused = lambda found, way=way: of(found["jobs"][way], "refused")
        label = "one API token for all" if way == "one API token" else "an API token for each"
        yield f"1,000 accounts, {label}: time over the bound", over, 1.05
        yield f"1,000 accounts, {label}: 429s", refused, 0
    growth = lambda found: ratio(found["growth"]["10000"], found["growth"]["10"], "peak_kib")
    yield "memory at 10,000 accounts over 10", growth, 3


@targets_of("rest")
def rest():
    resident = lambda found: of(
        found["watchers"]["1 account"], lambda sample: sample["resident_kib"] / 1024
    )
    yield "watcher at rest, 1 account: resident MiB", resident, 12


@targets_of("instructions")
def instructions():
    over = lambda found: ratios(found["per_refresh"])["reqwest"]
    yield "instructions per refresh over reqwest by hand", over, 1.10


@targets_of("refreshes")
def refreshes():
    rate = lambda sample: sample["calls"] / sample["seconds"]
    for name, target in (("npm", 15), ("python", 45)):
        over = lambda found, name=name: ratio(
            found["contenders"]["sdk"]["64"], found["contenders"][name]["64"], rate
        )
        yield f"refreshes a second, 64 in flight, over {NAMES[name]}", over, target, True


@targets_of("build")
def build():
    def over(ours, theirs):
        return lambda found: Spread.ratio(
            found["cold_seconds"][ours], found["cold_seconds"][theirs]
        )

    what = "cold build over the crate cloudflare, both with native-tls"
    yield what, over("sdk native-tls", "cloudflare native-tls"), 1.3
    yield (
        "cold build over reqwest alone, both with rustls",
        over("sdk rustls", "reqwest rustls"),
        1.3,
    )
    megabytes = lambda found: Spread([found["command_bytes"] / 1e6])
    yield "binary of the release profile, in MB", megabytes, 8.5


@targets_of("durations")
def durations():
    def over(kind, case, fastest):
        def measure(found):
            found = found["nanoseconds"]
            names = PARSERS if fastest else ["Go"]
            others = [
                found[name] for name in (f"{kind}/{name}/{case}" for name in names) if name in found
            ]
            return Spread.ratio(found[f"{kind}/cf-service-tokens/{case}"], min(others, key=min))

        return measure

    for case in CASES:
        yield f"parse `{case}` over the fastest other parser", over("parse", case, True), 0.9
        yield f"parse `{case}` over Go", over("parse", case, False), 0.5
    for case in CASES:
        yield f"print `{case}` to a String over Go", over("print", case, False), 1.0


@targets_of("start")
def start():
    for key, label in (("contenders", ""), ("tls", ", TLS")):
        over = lambda found, key=key: ratio(found[key]["sdk"], found[key]["curl"], "seconds")
        yield f"process start to first answer over curl{label}", over, 0.8


@targets_of("fleet")
def fleet():
    over = lambda found: of(
        found["renewals"]["command"], lambda renewal: renewal["seconds"] / renewal["bound_seconds"]
    )
    yield "fleet of one account: time over the rate-limit bound", over, 1.01
    refused = lambda found: Spread(values(found["renewals"]["command"], "refused"))
    yield "fleet of one account: 429s", refused, 0
