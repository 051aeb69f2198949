"""Holds the dashboard against Grafana's types for it: what they do not know is lost on the
way through them.

Usage: dashboard.py
"""

import json

import expressions
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard

# Grafana has 24 columns.
WIDTH = 24


def lost(given, kept, path=""):
    if isinstance(given, dict) and isinstance(kept, dict):
        for key, value in given.items():
            yield from lost(value, kept[key], f"{path}/{key}") if key in kept else [f"{path}/{key}"]
    elif isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        for number, (one, other) in enumerate(zip(given, kept)):
            yield from lost(one, other, f"{path}/{number}")
    elif given != kept:
        yield path


def faults(given):
    kept = json.loads(json.dumps(dashboard.Dashboard.from_json(given), cls=JSONEncoder))
    return sorted(lost(given, kept))


def overlaps(panels):
    taken = {}
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= WIDTH, panel["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                if (x, y) in taken:
                    yield f"{panel['title']!r} lies on {taken[x, y]!r}"
                taken[x, y] = panel["title"]


plugins.register_default_plugins()
given = json.loads(expressions.DASHBOARD.read_text())
panels = given["panels"]
assert len({panel["id"] for panel in panels}) == len(panels)
assert {panel["type"] for panel in panels} <= {"stat", "table", "timeseries"}
found = faults(given) + sorted(set(overlaps(panels)))
if found:
    raise SystemExit("\n".join(found))
panels[0]["options"]["colourMode"] = "value"
given["templating"]["list"][0]["lable"] = "wrong"
assert faults(given) == ["/panels/0/options/colourMode", "/templating/list/0/lable"], faults(given)
print(f"Grafana's types know all that the dashboard's {len(panels)} panels say")
