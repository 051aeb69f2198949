"""Has a Prometheus server scrape a watcher while it rotates, and answer what the panels of
rotations ask: one secret is rotated, one is not yet due, and one has a sink that fails.

Usage: rotations.py COMMAND SIMULATOR PROMETHEUS
"""

import pathlib
import signal
import sys
import tempfile
import threading
import urllib.parse

import expressions
import prometheus
import watcher

DAY = 24 * 60 * 60
ACCOUNT = "prod"


def rule(token, every, place):
    return f'\n[[account.rotate]]\ntoken = "{token}"\nevery = "{every}"\nsecret_to = "file:{place}/{every}"\n'


class Panels:
    """What the panels show, by title and target."""

    def __init__(self, server):
        self.server = server
        self.panels = {panel["title"]: panel for panel in expressions.panels()}

    def rows(self, title, target):
        """The value of each token, or of the account."""
        for expression, each in expressions.targets(self.panels[title]):
            if each["refId"] == target:
                samples = self.server.ask(expression)
                assert all(sample["metric"]["account_name"] == ACCOUNT for sample in samples), samples
                return {
                    sample["metric"].get("name", ACCOUNT): float(sample["value"][1]) for sample in samples
                }
        raise SystemExit(f"{title} has no target {target}")

    def shown(self):
        return {
            f"{title}, {target}": self.rows(title, target)
            for title, target in [
                ("Rotations", "Rotated"),
                ("Rotations", "Failed"),
                ("Rotated secrets", "Age"),
                ("Rotated secrets", "Due"),
                ("Accounts", "Rotations"),
            ]
        }


def about(value, days):
    return value is not None and abs(value / DAY - days) < 0.1


def is_before(shown):
    """The sink of two that are due is missing."""
    return (
        shown["Accounts, Rotations"] == {ACCOUNT: 2}
        and len(shown["Rotated secrets, Age"]) == 3
        and not shown["Rotations, Rotated"]
    )


def is_after(shown):
    """One attempt has succeeded, and one more has failed."""
    ages, dues = shown["Rotated secrets, Age"], shown["Rotated secrets, Due"]
    # An increase is extrapolated.
    return (
        shown["Accounts, Rotations"] == {ACCOUNT: 1}
        and all(
            0.9 < shown[f"Rotations, {each}"].get(ACCOUNT, 0) < 1.9 for each in ("Rotated", "Failed")
        )
        and about(ages.get("Terraform Cloud"), 0)
        and about(dues.get("Terraform Cloud"), 90)
        and about(ages.get("Nightly backup"), 360)
        and about(dues.get("Nightly backup"), 95 - 360)
        and about(ages["Data warehouse import"] + dues["Data warehouse import"], 3650)
    )


def main():
    command, simulator, program = sys.argv[1:]
    with tempfile.TemporaryDirectory() as directory:
        sink = pathlib.Path(directory, "sink")
        rules = (
            rule("Terraform Cloud", "90d", sink)
            + rule("Nightly backup", "95d", f"{directory}/nothing")
            + rule("Data warehouse import", "3650d", sink)
        )
        with watcher.watching(directory, command, simulator, rules) as (process, url):
            # Nobody reads it, and it must not fill up.
            threading.Thread(target=process.stderr.read, daemon=True).start()
            parts = urllib.parse.urlsplit(url)
            with prometheus.scraping(program, {"watcher": (parts.netloc, parts.path)}) as server:
                panels = Panels(server)
                server.until(lambda: f"before: {panels.shown()}", lambda: is_before(panels.shown()))
                sink.mkdir()
                process.send_signal(signal.SIGHUP)
                server.until(lambda: f"after: {panels.shown()}", lambda: is_after(panels.shown()))
    print("the panels of rotations show what a watcher rotates, and what it can't")


if __name__ == "__main__":
    main()
