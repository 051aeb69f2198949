"""Completes command lines in real shells, and compares what they offer.

bash and zsh run on a terminal, where a key inserts all completions of a word; the line then
runs a program of the same name that records its arguments. fish has a command for it. The
real command is in no shell's PATH: a completion that ran it would run that program, whose
record would have another line.
"""

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = (
    "list report show renew refresh rotate create update enable disable delete doctor verify "
    "journal simulate completions config-schema man help"
)
SINKS = "file: env-file: command: github-env stdout"
# A line up to the cursor, what is offered, and what is not. `=` before the offered words
# means these and no others.
CASES = [
    ("", COMMANDS, "options"),
    ("ren", "= renew", ""),
    ("renew --by ", "= refresh duration", ""),
    ("--simulate renew --by ", "= refresh duration", ""),
    ("list -o ", "= table json jsonl", ""),
    ("list --output j", "= json jsonl", ""),
    ("renew --wi", "= --within", ""),
    ("renew --within ", "=", ""),
    ("list --", "--account --output --simulate --search", "--within"),
    ("journal ", "list finish discard", "rotate"),
    ("journal finish --", "--secret-to --journal --output", "--account --simulate"),
    ("completions ", "bash zsh fish", "powershell deploy.env"),
    ("completions --acc", "=", ""),
    ("help ro", "= rotate", ""),
    ("help opt", "= options", ""),
    ("rotate x --secret-to ", SINKS, ""),
    ("rotate x --secret-to dep", "= deploy.env", ""),
    ("rotate x --secret-to env-file:dep", "= env-file:deploy.env", ""),
    ("rotate x --keep-env ", "= CLOUDFLARE_API_TOKEN CLOUDFLARE_API_KEY CLOUDFLARE_EMAIL", ""),
    ("list --api-token-file ", "deploy.env notes.txt", ""),
    ("list --journal ", "= state", ""),
]
TIMEOUT = 60


class Terminal:
    """A shell on a terminal of its own."""

    def __init__(self, arguments, environment, directory):
        pid, self.terminal = pty.fork()
        if pid == 0:
            os.chdir(directory)
            os.execvpe(arguments[0], arguments, environment)
        self.shown = b""

    def type(self, text):
        os.write(self.terminal, text.encode())

    def until(self, is_done):
        """Reads what the shell shows until the condition holds."""
        deadline = time.monotonic() + TIMEOUT
        while not is_done():
            if time.monotonic() > deadline:
                sys.exit(f"no answer; the shell shows:\n{self.shown.decode(errors='replace')}")
            if select.select([self.terminal], [], [], 0.05)[0]:
                self.shown += os.read(self.terminal, 65536)

    def close(self):
        os.close(self.terminal)


class Recorder:
    """A program named like the command, which records its arguments."""

    def __init__(self, directory):
        self.record = directory / "record"
        self.record.touch()
        self.bin = directory / "bin"
        self.bin.mkdir()
        program = self.bin / "cf-service-tokens"
        program.write_text(
            "#!/bin/sh\n"
            f"{{ for word; do printf '%s\\t' \"$word\"; done; echo; }} >>'{self.record}'\n"
        )
        program.chmod(0o755)

    def lines(self):
        lines = self.record.read_text().splitlines(keepends=True)
        return [line.rstrip("\n").split("\t")[:-1] for line in lines if line.endswith("\n")]


def in_terminal(arguments, setup, key, environment, directory):
    """Returns a function that completes a line in a shell with a key."""
    home = directory / "home"
    home.mkdir(parents=True)
    recorder = Recorder(directory)
    environment = environment | {
        "HOME": str(home),
        "PATH": f"{recorder.bin}:/usr/bin:/bin",
        "TERM": "dumb",
        "INPUTRC": "/dev/null",
    }
    shell = Terminal(arguments, environment, files(directory))
    ready = directory / "ready"
    shell.type(f"{setup}; : >'{ready}'\n")
    shell.until(ready.exists)
    count = 0

    def complete(line):
        nonlocal count
        before = words(line)[:-1]
        shell.type(f"cf-service-tokens {line}{key}\n")
        shell.until(lambda: len(recorder.lines()) > count)
        lines = recorder.lines()
        if len(lines) != count + 1:
            sys.exit(f"the completion of {line!r} ran the command: {lines[count:]}")
        count += 1
        return lines[-1][len(before) :]

    return complete


def words(line):
    """The words of a line, the last of which is completed."""
    return line.split(" ")


def files(directory):
    place = directory / "place"
    place.mkdir(parents=True)
    (place / "state").mkdir()
    for name in ("deploy.env", "notes.txt"):
        (place / name).touch()
    return place


def bash(command, directory, environment, with_package):
    script = directory / "cf-service-tokens.bash"
    script.write_text(written_by(command, "bash"))
    setup = f". '{script}'"
    if with_package:
        # It finds the script by the name of the command.
        place = directory / "data/bash-completion/completions"
        place.mkdir(parents=True)
        (place / "cf-service-tokens").write_text(script.read_text())
        environment = environment | {"XDG_DATA_HOME": str(directory / "data")}
        setup = ". /usr/share/bash-completion/bash_completion"
    arguments = ["bash", "--noprofile", "--norc", "-i"]
    return in_terminal(arguments, setup, "\x1b*", environment, directory / "shell")


def zsh(command, directory, environment):
    functions = directory / "functions"
    functions.mkdir()
    (functions / "_cf-service-tokens").write_text(written_by(command, "zsh"))
    setup = (
        f"fpath=('{functions}' $fpath); autoload -U compinit; compinit -u -D; "
        "zle -C all complete-word _generic; bindkey '^Xa' all; "
        "zstyle ':completion:all::::' completer _all_matches _complete; "
        "zstyle ':completion:all:*' insert true"
    )
    return in_terminal(["zsh", "-f", "-i"], setup, "\x18a", environment, directory / "shell")


def fish(command, directory, environment):
    script = directory / "cf-service-tokens.fish"
    script.write_text(written_by(command, "fish"))
    recorder = Recorder(directory)
    environment = environment | {
        "HOME": str(directory),
        "PATH": f"{recorder.bin}:/usr/bin:/bin",
    }
    place = files(directory)

    def complete(line):
        asked = f"source '{script}'; complete --do-complete 'cf-service-tokens {line}'"
        ran = subprocess.run(
            ["fish", "--no-config", "-c", asked],
            cwd=place,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
        if recorder.lines():
            sys.exit(f"the completion of {line!r} ran the command: {recorder.lines()}")
        return [offer.split("\t")[0] for offer in ran.stdout.splitlines()]

    return complete


def written_by(command, shell):
    ran = subprocess.run([command, "completions", shell], check=True, capture_output=True)
    return ran.stdout.decode()


def fault(line, offered, expected, unexpected):
    """Returns what is wrong with the words that a shell offers."""
    # A word that is not completed stays. Not every shell marks a directory.
    offered = {word.removesuffix("/") for word in offered if word != words(line)[-1]} - {""}
    is_all = expected.startswith("=")
    expected = set(expected.removeprefix("=").split())
    if not expected <= offered:
        return f"lacks {expected - offered}"
    if is_all and offered != expected:
        return f"also has {offered - expected}"
    if offered & set(unexpected.split()):
        return f"has {offered & set(unexpected.split())}"
    return None


def main():
    command, work = sys.argv[1], Path(sys.argv[2])
    environment = {"LANG": "C.UTF-8"}
    shells = {
        "bash": lambda place: bash(command, place, environment, with_package=False),
        "bash with bash-completion": lambda place: bash(
            command, place, environment, with_package=True
        ),
        "zsh": lambda place: zsh(command, place, environment),
        "fish": lambda place: fish(command, place, environment),
    }
    faults = 0
    for name, shell in shells.items():
        place = work / name.replace(" ", "-")
        place.mkdir(parents=True)
        complete = shell(place)
        for line, expected, unexpected in CASES:
            offered = complete(line)
            print(f"{name}: cf-service-tokens {line}<TAB> {' '.join(offered)}")
            wrong = fault(line, offered, expected, unexpected)
            if wrong:
                faults += 1
                print(f"WRONG: {wrong}")
        if name != "fish":
            # No space parts the beginning of a sink from its file.
            offered = complete("rotate x --secret-to env-f\tdep")
            if offered != ["env-file:deploy.env"]:
                faults += 1
                print(f"WRONG: {name}: {offered}")
    if faults:
        sys.exit(f"{faults} completions are wrong")


main()
