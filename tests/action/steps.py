"""Runs the steps of action.yml, and checks what the runner would read."""

import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import urllib.request

import yaml

BUILT, WORK = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
ROOT = pathlib.Path(__file__).resolve().parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
TARGET = "x86_64-unknown-linux-gnu"
ARCHIVE = f"cf-service-tokens-cli-{TARGET}.tar.gz"
VERSION = ACTION["inputs"]["version"]["default"]
JOB_TOKEN = "ghs_of-the-job"
# Looks like a command to the runner, a link and a table to Markdown, and HTML.
HOSTILE = "::error::x ##[error]y\n::set-output name=a::b | [a](b) <img src=x> `c` @d %0A"


def release():
    """Makes what a release has, and a `curl` that serves it."""
    served = WORK / "served"
    shutil.rmtree(served, ignore_errors=True)
    served.mkdir(parents=True)
    with tarfile.open(served / ARCHIVE, "w:gz", compresslevel=1) as archive:
        archive.add(BUILT / "cf-service-tokens", f"cf-service-tokens-cli-{TARGET}/cf-service-tokens")
    digest = hashlib.sha256((served / ARCHIVE).read_bytes()).hexdigest()
    (served / f"{ARCHIVE}.sha256").write_text(f"{digest} *{ARCHIVE}\n")
    programs = WORK / "bin"
    programs.mkdir(exist_ok=True)
    curl = programs / "curl"
    curl.write_text(
        "#!/usr/bin/env bash\n"
        f'printf "%s\\n" "$*" >>"{WORK}/curl.log"\n'
        'while [ $# -gt 1 ]; do [ "$1" != --output ] || out=$2; shift; done\n'
        f'cp "{served}/${{1##*/}}" "$out"\n'
    )
    curl.chmod(0o755)
    gh_says(RECENT_GH)
    return served, digest


# A `gh` that writes down how it is called. It says which options it knows, and verifies.
RECENT_GH = 'case "$*" in *--help*) echo "  --source-ref string" ;; esac'


def gh_says(script):
    gh = WORK / "bin/gh"
    gh.write_text(f'#!/usr/bin/env bash\nprintf "%s\\n" "$GH_TOKEN $*" >>"{WORK}/gh.log"\n{script}\n')
    gh.chmod(0o755)


class Job:
    """A job whose steps are the action, on a machine of this system and architecture."""

    def __init__(self, simulator, system="Linux", architecture="X64"):
        self.temporary = WORK / "temporary"
        shutil.rmtree(self.temporary, ignore_errors=True)
        self.temporary.mkdir()
        self.summary = WORK / "summary.md"
        self.summary.write_text("")
        for log in ("curl.log", "gh.log"):
            (WORK / log).write_text("")
        self.environment = {
            "PATH": f"{WORK}/bin:{os.environ['PATH']}",
            "HOME": str(self.temporary),
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "RUNNER_TEMP": str(self.temporary),
            "RUNNER_OS": system,
            "RUNNER_ARCH": architecture,
            "CLOUDFLARE_BASE_URL": simulator["CLOUDFLARE_BASE_URL"],
        }

    def run(self, **inputs):
        """Runs the steps until one fails; returns the exit code and the log."""
        inputs = {name.replace("_", "-"): value for name, value in inputs.items()}
        values = {name: input.get("default") for name, input in ACTION["inputs"].items()}
        assert set(inputs) <= set(values), inputs
        values |= inputs
        self.log = ""
        for step in ACTION["runs"]["steps"]:
            assert step["shell"] == "bash"
            assert "${{" not in step["run"], "an input must not become part of a script"
            environment = {
                name: re.sub(
                    r"\$\{\{ inputs\.([a-z0-9-]+) \}\}",
                    lambda m: values[m[1]],
                    value.replace("${{ github.token }}", JOB_TOKEN),
                )
                for name, value in step["env"].items()
            }
            script = WORK / "step.sh"
            script.write_text(step["run"])
            ran = subprocess.run(
                ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", script],
                env=self.environment | environment,
                cwd=self.temporary,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            self.log += ran.stdout
            if ran.returncode:
                break
        return ran.returncode

    def commands(self):
        """The commands of the log, as the runner finds them in any line."""
        commands, stopped = [], None
        for line in self.log.splitlines():
            match = re.match(r"\s*::([a-z0-9-]+)(?: ([^:]*))?::(.*)", line)
            if stopped:
                if match and match[1] == stopped:
                    stopped = None
            elif match and match[1] == "stop-commands":
                stopped = match[3]
            elif match:
                commands.append((match[1], match[2], match[3]))
            else:
                assert "##[" not in line, line
        assert stopped is None, self.log
        return commands

    def annotations(self):
        return [command for command in self.commands() if command[0] in ("error", "warning")]


def start():
    """Starts a simulator; returns its process and its variables."""
    process = subprocess.Popen(
        [BUILT / "cf-service-tokens-simulator", "--listen", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    variables = {}
    while "CLOUDFLARE_ACCOUNT_ID" not in variables:
        name, _, value = process.stdout.readline().strip().partition("=")
        variables[name] = value
    return process, variables


def control(simulator, path, body):
    base = simulator["CLOUDFLARE_BASE_URL"].removesuffix("/client/v4")
    request = urllib.request.Request(
        f"{base}/_simulator{path}",
        data=json.dumps(body).encode(),
        headers={"X-Simulator-Control": "1", "Content-Type": "application/json"},
    )
    urllib.request.urlopen(request).read()


def check(simulator):
    token, account = simulator["CLOUDFLARE_API_TOKEN"], simulator["CLOUDFLARE_ACCOUNT_ID"]
    served, digest = release()

    print("report: an expired token is an error, and a due one a warning")
    job = Job(simulator)
    code = job.run(command="report", api_token=token, accounts=account)
    assert code == 1, job.log
    assert [level for level, _, _ in job.annotations()] == ["error"] + ["warning"] * 3, job.log
    level, title, words = job.annotations()[0]
    assert title == "title=Partner API (Northwind)", title
    assert "expired on 2" in words, words
    assert job.commands()[0] == ("add-mask", None, token)
    assert job.log.count(token) == 1, "only the mask names the API token"
    summary = job.summary.read_text()
    assert "| Account | Token | Outcome | Expires | Why |" in summary, summary
    assert summary.count("\n| ") == 1 + 10, summary
    fetched = (WORK / "curl.log").read_text().splitlines()
    assert [line.split()[-1] for line in fetched] == [
        "https://github.com/cf-service-tokens/cf-service-tokens/releases/download/"
        f"v{VERSION}/{name}" for name in (ARCHIVE, f"{ARCHIVE}.sha256")
    ], fetched
    assert all("--proto =https" in line for line in fetched), fetched

    asked = (WORK / "gh.log").read_text().splitlines()
    repository = "cf-service-tokens/cf-service-tokens"
    assert asked == [
        f"{JOB_TOKEN} attestation verify --help",
        f"{JOB_TOKEN} attestation verify {ARCHIVE} --hostname github.com --repo {repository}"
        f" --signer-workflow {repository}/.github/workflows/release.yml"
        f" --source-ref refs/tags/v{VERSION} --deny-self-hosted-runners",
    ], asked
    assert JOB_TOKEN not in job.log

    print("renew, dry run: due tokens are warnings, and no failure")
    job = Job(simulator)
    code = job.run(api_token=token, accounts=f"\n{account}\n", dry_run="true", sha256=digest)
    assert code == 0, job.log
    assert [level for level, _, _ in job.annotations()] == ["warning"] * 4, job.log
    assert len((WORK / "curl.log").read_text().splitlines()) == 1, "the checksum is given"
    assert (WORK / "gh.log").read_text() == "", "nothing is left to verify"
    # One of the four expires later.
    job = Job(simulator)
    assert job.run(api_token=token, accounts=account, dry_run="true", within="7d") == 0, job.log
    assert len(job.annotations()) == 3, job.log

    print("renew: renews, and says so in the summary")
    control(simulator, "/tokens", {"name": HOSTILE, "id": "f174e90a", "expires_in": "216h"})
    job = Job(simulator)
    code = job.run(api_token=token, accounts=account)
    assert code == 0, job.log
    assert job.annotations() == [], job.log
    summary = job.summary.read_text()
    assert summary.count("| renewed |") == 5, summary
    for forbidden in ("<img", "[a]", "`c`", "@d", "::error", "\n::"):
        assert forbidden not in summary, summary
    assert len(job.commands()) == 1, job.commands()

    print("renew: nothing is due")
    job = Job(simulator)
    assert job.run(api_token=token, accounts="all") == 0, job.log
    assert "Nothing is due." in job.summary.read_text()

    print("renew: a failure names the token")
    control(simulator, "/tokens", {"name": HOSTILE, "id": "a174e90a", "expires_in": "216h"})
    control(simulator, "/faults", {"fault": {"status": 400}, "on": "refresh", "times": 9})
    job = Job(simulator)
    code = job.run(api_token=token, accounts=account)
    assert code == 1, job.log
    ((level, title, words),) = job.annotations()
    assert level == "error" and "%0A" not in title and "%3A%3Aerror" in title, title
    assert "failed" in words and "%0A" not in words, words
    assert "| failed |" in job.summary.read_text()

    print("refused: an API token that is not valid, and inputs that are none")
    job = Job(simulator)
    code = job.run(api_token="not the token", accounts=account)
    assert code == 3, job.log
    assert job.annotations()[0][0] == "error", job.log
    for inputs, expected in (
        ({"api_token": "", "accounts": account}, "api-token is empty"),
        ({"api_token": token, "accounts": " "}, "accounts is empty"),
        ({"api_token": token, "accounts": account, "command": "keep"}, "neither renew nor report"),
        ({"api_token": token, "accounts": account, "dry_run": "yes"}, "neither true nor false"),
        ({"api_token": token, "accounts": account, "command": "report", "dry_run": "true"}, "is for renew"),
        ({"api_token": token, "accounts": account, "version": "../1"}, "not a version"),
        ({"api_token": token, "accounts": account, "sha256": "AB"}, "not 64 hexadecimal"),
    ):
        job = Job(simulator)
        assert job.run(**inputs) != 0, job.log
        assert expected in job.annotations()[0][2], (inputs, job.log)
    job = Job(simulator)
    assert job.run(api_token=token, accounts="$(touch pwned) --journal=/x") != 0
    assert not (job.temporary / "pwned").exists()

    print("refused: an archive that is not the one that is expected")
    job = Job(simulator)
    assert job.run(api_token=token, accounts=account, sha256="0" * 64) == 1
    assert "not the expected one" in job.annotations()[0][2], job.log
    gh_says(f"{RECENT_GH}\ncase $* in *--help*) ;; *) echo 'HTTP 404' >&2; exit 1 ;; esac")
    job = Job(simulator)
    assert job.run(api_token=token, accounts=account) == 1
    assert "no attestation that can be verified" in job.annotations()[0][2], job.log
    assert "HTTP 404" in job.log
    assert not (job.temporary / "cf-service-tokens/cf-service-tokens").exists()
    # One that lacks the command, and one that lacks the option.
    for script in ("exit 1", "echo '  --repo string'"):
        gh_says(script)
        job = Job(simulator)
        assert job.run(api_token=token, accounts="all", dry_run="true") == 0, job.log
        notices = [text for level, _, text in job.commands() if level == "notice"]
        assert len(notices) == 1 and "no recent gh" in notices[0], job.log
        assert len((WORK / "gh.log").read_text().splitlines()) == 1
    gh_says(RECENT_GH)
    (served / f"{ARCHIVE}.sha256").write_text(f"{'1' * 64} *{ARCHIVE}\n")
    job = Job(simulator)
    assert job.run(api_token=token, accounts=account) == 1
    assert not (job.temporary / "cf-service-tokens/cf-service-tokens").exists()
    job = Job(simulator, "Windows")
    assert job.run(api_token=token, accounts=account) == 1
    assert "no release for Windows" in job.annotations()[0][2]

    version = re.search(r'^version = "(.*)"$', (ROOT / "Cargo.toml").read_text(), re.M)[1]
    assert VERSION == version, "action.yml installs the version of this repository"


process, simulator = start()
try:
    check(simulator)
finally:
    process.terminate()
    process.wait()
