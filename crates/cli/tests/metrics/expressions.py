"""The expressions of the dashboard and of the alert rules.

Usage: expressions.py > RULES   writes those of the dashboard as rules for promtool
"""

import json
import pathlib
import re
import sys

import yaml

ROOT = pathlib.Path(__file__).parents[4]
DASHBOARD = ROOT / "deploy/grafana/dashboard.json"
ALERTS = ROOT / "deploy/prometheus/alerts.yml"

# What Grafana puts in place of the variables that the dashboard uses.
VARIABLES = {"$account": ".*", "$__rate_interval": "4m"}


def alerts():
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels():
    return json.loads(DASHBOARD.read_text())["panels"]


def filled_in(expression):
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    if "$" in expression:
        raise SystemExit(f"an unknown variable: {expression}")
    return expression


def targets(panel):
    """Each expression of a panel, with its target."""
    return [(filled_in(target["expr"]), target) for target in panel["targets"]]


def columns(panel):
    """The columns of a table that a transformation names."""
    found = set()
    for step in panel.get("transformations", []):
        options = step["options"]
        for key in ("excludeByName", "indexByName", "renameByName"):
            found |= set(options.get(key, {}))
        found |= {each["fieldName"] for each in options.get("filters", [])}
    return found


def placeholders(text):
    """The labels that a legend names."""
    return set(re.findall(r"\{\{\s*(\w+)\s*\}\}", text))


if __name__ == "__main__":
    rules = [
        {"record": f"panel_{panel['id']}:{target['refId']}", "expr": expression}
        for panel in panels()
        for expression, target in targets(panel)
    ]
    json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, sys.stdout)
