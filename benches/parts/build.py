"""What a dependent pays: a program that makes one call, by choice of TLS library."""

import json
import re
import shutil
import sys
import time

from .common import BENCHES, ENVIRONMENT, ROOT, TARGET, cargo, install_npm
from .common import run as run_command

COLD = TARGET / "cold"
# As many jobs as there are cores, whatever the environment says.
ALL_CORES = {name: value for name, value in ENVIRONMENT.items() if name != "CARGO_BUILD_JOBS"}
FRAGMENT = ROOT / "openapi" / "service-tokens.json"
VARIANTS = {
    "sdk": ["rustls", "ring", "native-tls"],
    "reqwest": ["rustls", "ring", "native-tls"],
    "cloudflare": ["ring", "native-tls"],
}
FOR_TARGETS = [
    ("sdk", "rustls"),
    ("reqwest", "rustls"),
    ("sdk", "native-tls"),
    ("cloudflare", "native-tls"),
]
# Of the SDK itself.
FEATURES = {
    "no default features": ["--no-default-features"],
    "default": [],
    "default and blocking": ["--features", "blocking"],
    "default and schemars": ["--features", "schemars"],
}
NEEDS = ["server", "command", "python", "npm", "rust", "reqwest"]


def run(effort, programs):
    variants = [(name, tls) for name, choices in VARIANTS.items() for tls in choices]
    figures = {
        "command_bytes": programs.program("command").stat().st_size,
        "crates": {key(variant): crates(*select(variant)) for variant in variants},
        "duplicates": duplicates(),
    }
    if effort.smoke:
        return figures
    cold, warm = {}, {}
    chosen, rounds = (FOR_TARGETS, 2) if effort.targets else (variants, 3)
    for _, variant in effort.turns(chosen, most=rounds):
        seconds, after_a_touch = build(*select(variant), touched=touched(variant))
        cold.setdefault(key(variant), []).append(seconds)
        warm.setdefault(key(variant), []).append(after_a_touch)
        print(f"   {key(variant)}: cold {seconds:.1f} s, warm {after_a_touch:.1f} s", flush=True)
    figures |= {"cold_seconds": cold, "warm_seconds": warm}
    if effort.targets:
        return figures
    figures["bytes"] = {key(variant): size(variant) for variant in variants}
    figures["regenerate_seconds"] = [build(*select(("sdk", "rustls")), touched=FRAGMENT)[1]]
    figures["slowest"] = slowest_crates()
    figures["features"] = features()
    figures["installs"] = installs()
    return figures


def key(variant):
    return " ".join(variant)


def select(variant):
    """Returns the arguments of cargo for a contender with a TLS library."""
    name, tls = variant
    return ["--package", f"peer-{name}", "--no-default-features", "--features", tls]


def touched(variant):
    return BENCHES / "peers" / variant[0] / "src" / "main.rs"


def build(*arguments, touched=None, cwd=BENCHES):
    """Builds from nothing, then after a change; returns the seconds of both."""
    shutil.rmtree(COLD, ignore_errors=True)
    cargo("fetch", cwd=cwd)
    seconds = []
    for _ in range(2 if touched else 1):
        started = time.perf_counter()
        cargo("build", "--timings", *arguments, target=COLD, env=ALL_CORES, cwd=cwd)
        seconds.append(time.perf_counter() - started)
        if touched:
            touched.touch()
    return seconds


def slowest_crates():
    """Returns the units of the last build from nothing, the slowest first."""
    page = min((COLD / "cargo-timings").glob("cargo-timing-2*.html")).read_text()
    units = json.loads(re.search(r"const UNIT_DATA = (\[.*?\]);\n", page, re.DOTALL)[1])
    units = [[f"{unit['name']}{unit['target']}", unit["duration"]] for unit in units]
    return sorted(units, key=lambda unit: -unit[1])[:12]


def features():
    """Returns the cold build of the SDK alone with other features, and how many crates."""
    package = ["--package", "cf-service-tokens"]
    return {
        name: {
            "seconds": build(*package, *arguments, cwd=ROOT)[0],
            "crates": crates(*package, *arguments, cwd=ROOT),
        }
        for name, arguments in FEATURES.items()
    }


def crates(*arguments, cwd=BENCHES):
    """Returns how many crates are built for a package, itself not counted."""
    return len(set(tree("--prefix", "none", "--no-dedupe", *arguments, cwd=cwd))) - 1


def duplicates():
    """Returns the crates that a program with the SDK builds in several versions."""
    found = {}
    for line in tree("--prefix", "none", "--no-dedupe", *select(("sdk", "rustls"))):
        name, version = line.split()
        found.setdefault(name, set()).add(version)
    return {name: sorted(versions) for name, versions in sorted(found.items()) if len(versions) > 1}


def tree(*arguments, cwd=BENCHES):
    lines = cargo("tree", "--edges", "normal,build", *arguments, cwd=cwd).stdout.splitlines()
    return [" ".join(line.split()[:2]) for line in lines if line]


def size(variant):
    """Returns the bytes of the program by `cargo build --release`, stripped."""
    cargo("build", "--release", *select(variant), target=COLD, env=ALL_CORES)
    stripped = TARGET / "stripped"
    run_command("strip", "--strip-all", "-o", stripped, COLD / "release" / f"peer-{variant[0]}")
    return stripped.stat().st_size


def installs():
    """Returns the seconds to install the packages of other languages, and their size."""
    scratch = TARGET / "install"
    shutil.rmtree(scratch, ignore_errors=True)
    requirements = BENCHES / "peers" / "python" / "requirements.txt"
    started = time.perf_counter()
    run_command(sys.executable, "-m", "venv", scratch / "python")
    pip = [scratch / "python" / "bin" / "python", "-m", "pip", "install", "--quiet"]
    pip += ["--disable-pip-version-check", "--no-cache-dir"]
    run_command(*pip, "--requirement", requirements)
    python = time.perf_counter() - started
    started = time.perf_counter()
    install_npm("npm", scratch)
    npm = time.perf_counter() - started
    packages = next((scratch / "python" / "lib").glob("python*/site-packages"))
    own = ("pip", "setuptools", "pkg_resources", "_distutils_hack")
    sizes = [bytes_in(entry) for entry in packages.iterdir() if not entry.name.startswith(own)]
    found = {
        "python": {"seconds": python, "bytes": sum(sizes)},
        "npm": {"seconds": npm, "bytes": bytes_in(scratch / "npm" / "node_modules")},
    }
    shutil.rmtree(scratch)
    return found


def bytes_in(path):
    if path.is_file():
        return path.stat().st_size
    return sum(file.lstat().st_size for file in path.rglob("*") if not file.is_dir())
