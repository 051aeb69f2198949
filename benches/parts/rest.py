"""The watcher at rest: its memory, and how often it wakes up."""

import re
import subprocess
import sys
import time
from pathlib import Path

from .common import Server

NEEDS = ["server", "command", "rust"]
SETTLE, WINDOW = 15, 60
AN_HOUR = 3600


def run(effort, programs):
    settle, window = (2, 1) if effort.smoke else (SETTLE, WINDOW)
    rounds = 1 if effort.smoke else 3 if effort.targets else 5
    accounts = 10 if effort.smoke else 1000
    listen = ["--listen", "127.0.0.1:0"]
    watchers = {
        "1 account": (["simulator", 50, 0, 0, 0], []),
        "1 account, with its page and metrics": (["simulator", 50, 0, 0, 0], listen),
        f"{accounts:,} accounts": (["accounts", accounts, 0, 10**9, 3], ["--all-accounts"]),
    }
    figures = {name: [] for name in watchers}
    running = {}
    try:
        for name, (arguments, options) in watchers.items():
            server = Server(programs, *arguments)
            command = [programs.program("command"), "renew", "--watch", *options]
            process = subprocess.Popen(
                [str(part) for part in command],
                env=server.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            running[name] = (server, process)
        # The first pass; the next one is about a day away.
        time.sleep(settle)
        for name, (_, process) in running.items():
            if process.poll() is not None:
                sys.exit(f"the watcher of {name} has ended: {process.stderr.read()}")
        for _ in range(rounds):
            before = {name: wake_ups(process.pid) for name, (_, process) in running.items()}
            started = time.perf_counter()
            time.sleep(window)
            for name, (_, process) in running.items():
                woken = wake_ups(process.pid) - before[name]
                seconds = time.perf_counter() - started
                figures[name].append(
                    {
                        "resident_kib": status(process.pid, "VmRSS"),
                        "peak_kib": status(process.pid, "VmHWM"),
                        "threads": status(process.pid, "Threads"),
                        "wake_ups_an_hour": woken * AN_HOUR / seconds,
                    }
                )
    finally:
        for server, process in running.values():
            process.terminate()
            process.communicate()
            server.stop()
    return {"window_seconds": window, "watchers": figures}


def wake_ups(pid):
    """Returns how often the threads of a process have waited and were woken."""
    tasks = Path(f"/proc/{pid}/task").glob("*/status")
    return sum(number(task.read_text(), "voluntary_ctxt_switches") for task in tasks)


def status(pid, name):
    return number(Path(f"/proc/{pid}/status").read_text(), name)


def number(text, name):
    return int(re.search(rf"^{name}:\s*(\d+)", text, re.MULTILINE)[1])
