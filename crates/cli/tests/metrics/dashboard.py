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


def columns_without_place(panels):
    """Grafana puts a column that has no place behind all others."""
    for panel in panels:
        for step in panel.get("transformations", []):
            if step["id"] == "organize":
                options = step["options"]
                for column in sorted(options["renameByName"].keys() ^ options["indexByName"].keys()):
                    yield f"{panel['title']!r}: {column} has no name or no place"


# What panels of one kind share; the rest depends on what they show.
LOOK = {
    "stat": lambda panel: [panel["options"]["reduceOptions"], panel["options"]["textMode"]],
    "table": lambda panel: [panel["options"]["showHeader"], panel["options"]["cellHeight"]],
    "timeseries": lambda panel: [panel["options"], panel["fieldConfig"]["defaults"]["color"]],
}


def odd_looks(panels):
    for kind, look in LOOK.items():
        alike = [panel for panel in panels if panel["type"] == kind]
        for panel in alike:
            if look(panel) != look(alike[0]):
                yield f"{panel['title']!r} does not look like {alike[0]['title']!r}"


plugins.register_default_plugins()
given = json.loads(expressions.DASHBOARD.read_text())
panels = given["panels"]
assert len({panel["id"] for panel in panels}) == len(panels)
assert {panel["type"] for panel in panels} <= {"stat", "table", "timeseries"}
order = [(panel["gridPos"]["y"], panel["gridPos"]["x"]) for panel in panels]
assert order == sorted(order), "the panels are not in the order in which they are shown"
found = faults(given) + sorted(set(overlaps(panels)))
found += [*columns_without_place(panels), *odd_looks(panels)]
if found:
    raise SystemExit("\n".join(found))
panels[0]["options"]["colourMode"] = "value"
given["templating"]["list"][0]["lable"] = "wrong"
assert faults(given) == ["/panels/0/options/colourMode", "/templating/list/0/lable"], faults(given)
print(f"Grafana's types know all that the dashboard's {len(panels)} panels say")
