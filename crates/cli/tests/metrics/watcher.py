"""Runs a watcher with all that a configuration file can say, on a simulator, and writes what
it serves under /metrics.

Usage: watcher.py METRICS COMMAND SIMULATOR
"""

import contextlib
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import urllib.request


@contextlib.contextmanager
def running(arguments, **options):
    """A program that is ended at last."""
    process = subprocess.Popen(arguments, text=True, **options)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def watching(directory, command, simulator, rules):
    """A watcher with rotation rules, and the URL of its metrics."""
    with running([simulator], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as simulating:
        settings = dict(simulating.stdout.readline().strip().split("=", 1) for _ in range(3))
        config = pathlib.Path(directory, "config.toml")
        account = f'[[account]]\nname = "prod"\nid = "{settings.pop("CLOUDFLARE_ACCOUNT_ID")}"\n'
        config.write_text(account + rules)
        arguments = [command, "keep", f"--config={config}", "--watch", "--listen=127.0.0.1:0"]
        settings["CF_SERVICE_TOKENS_JOURNAL"] = f"{directory}/journal"
        with running(arguments, env=settings, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as watcher:
            for line in watcher.stderr:
                if found := re.search(r"the metrics at (\S+)", line):
                    yield watcher, found[1]
                    return
            raise SystemExit("the watcher does not say where its metrics are")


def metrics_of(url):
    give_up_at = time.monotonic() + 60
    while time.monotonic() < give_up_at:
        with urllib.request.urlopen(url) as answer:
            text = answer.read().decode()
        # These come last.
        if "cf_service_tokens_tokens_at_risk{" in text and "cf_service_tokens_rotation_due" in text:
            return text
        time.sleep(0.1)
    raise SystemExit(f"the watcher does not serve all metrics:\n{text}")


def main():
    metrics, command, simulator = sys.argv[1:]
    with tempfile.TemporaryDirectory() as directory:
        rules = f"""
[[account.rotate]]
token = "Grafana scraper"
every = "3650d"
secret_to = "file:{directory}/secret"
"""
        with watching(directory, command, simulator, rules) as (_, url):
            pathlib.Path(metrics, "keep.txt").write_text(metrics_of(url))


if __name__ == "__main__":
    main()
