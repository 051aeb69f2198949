"""A service token's whole life, by the command `cf-service-tokens`.

Takes the program from `COMMAND`, a directory to work in from `WORK`, and the API from
the environment, as the command does. Ends with exit code 1 at the first wrong answer.

With the argument `refusal` it deletes the token `TOKEN_ID` instead, and prints the
status of the refusal.
"""

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

WORK = Path(os.environ["WORK"])
NAME = "command"


def check(what, holds, seen=None):
    if not holds:
        raise SystemExit(f"FAILED: {what}; seen: {seen!r}")
    print(f"  ok: {what}")


def run(*arguments):
    """The exit code, and what was written to standard output and standard error."""
    command = [os.environ["COMMAND"], "--output", "json", "--journal", WORK / "journal"]
    ran = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    return ran.returncode, ran.stdout, ran.stderr


def result(*arguments):
    code, stdout, stderr = run(*arguments)
    if code != 0:
        raise SystemExit(f"FAILED: {' '.join(map(str, arguments))}: exit code {code}\n{stderr}")
    return json.loads(stdout)


def lasts(token, hours):
    expires_at = datetime.fromisoformat(token["expires_at"].replace("Z", "+00:00"))
    expected = datetime.now(timezone.utc) + timedelta(hours=hours)
    return abs(expires_at - expected) < timedelta(minutes=5)


def life():
    secret = WORK / "secret"
    secret.unlink(missing_ok=True)
    created = result("create", NAME, "--duration", "100h", "--secret-to", f"file:{secret}")
    token = created["id"]
    first = secret.read_text(encoding="utf-8")
    check("create: the secret is in its file", first.startswith("cfast_"))
    check("create: the expiry is known", lasts(created, 100), created)

    listed = result("list", "--name", NAME)
    check("list: by name, the token once", [one["id"] for one in listed] == [token], listed)
    check("list: by search", token in [one["id"] for one in result("list", "--search", NAME)])
    shown = result("show", token)
    check("show: the same token", shown["id"] == token and lasts(shown, 100), shown)

    updated = result("update", token, "--name", f"{NAME} 2", "--duration", "200h")
    check("update: a name", updated["name"] == f"{NAME} 2", updated)
    check("update: a duration", lasts(updated, 200), updated)
    [refreshed] = result("refresh", token)
    check("refresh: a year", lasts(refreshed, 8760), refreshed)

    rotated = result("rotate", token, "--grace", "2h", "--secret-to", f"file:{secret}")
    second = secret.read_text(encoding="utf-8")
    check("rotate with a grace: a new secret in the file", second != first)
    check("rotate with a grace: the expiry is known", lasts(rotated, 8760), rotated)
    result("update", token, "--old-secret-until", "1h")
    result("rotate", token, "--revoke-now", "--end-grace", "--secret-to", f"file:{secret}")
    check("rotate at once: a new secret in the file", secret.read_text() != second)

    [disabled] = result("disable", token)
    check("disable", disabled["state"] == "disabled", disabled)
    [enabled] = result("enable", token)
    check("enable", enabled["state"] == "active", enabled)
    [deleted] = result("delete", "--yes", token)
    check("delete", deleted["outcome"] == "deleted", deleted)
    code, _, stderr = run("show", token)
    check("show: no deleted token", code == 1, stderr)


def refusal():
    code, stdout, stderr = run("delete", "--yes", os.environ["TOKEN_ID"])
    if code == 0 or not stdout:
        raise SystemExit(f"FAILED: the call was not refused: exit code {code}\n{stderr}")
    [deleted] = json.loads(stdout)
    print(deleted["error_status"])


match sys.argv[1:]:
    case []:
        life()
    case ["refusal"]:
        refusal()
    case _:
        raise SystemExit("usage: command.py [refusal]")
