"""Holds each metric, label and label value that the dashboard, the alert rules and
docs/deploying.md name against what a watcher serves, and the tables of the document
against all that it serves and all that alerts. Then tries faults, which must be found.

Usage: names.py METRICS
"""

import copy
import pathlib
import re
import sys

import expressions
import promql_parser as promql
from prometheus_client.parser import text_string_to_metric_families

DOCUMENT = expressions.ROOT / "docs/deploying.md"
PREFIX = "cf_service_tokens_"
FILES = ("metrics.txt", "keep.txt")
# What Prometheus adds to each sample.
OF_SCRAPE = {"job", "instance"}
# The operators that compare a label with one value.
EXACT = (promql.MatchOp.Equal, promql.MatchOp.NotEqual)


class Served:
    """What watchers serve: for each sample its type, and its labels with their values."""

    def __init__(self, texts):
        self.types = {}
        self.labels = {}
        for text in texts:
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    self.types[sample.name] = family.type
                    self.add(sample)
        self.labels["up"] = {}

    def add(self, sample):
        known = self.labels.setdefault(sample.name, {})
        for label, value in sample.labels.items():
            known.setdefault(label, set()).add(value)


class Checked:
    """An expression: the labels of its result, and its faults."""

    def __init__(self, expression, served):
        self.served = served
        self.faults = []
        self.labels = self.visit(promql.parse(expression))

    def visit(self, node):
        match node:
            case promql.VectorSelector():
                return self.selector(node)
            case promql.MatrixSelector():
                return self.selector(node.vector_selector)
            case promql.AggregateExpr():
                return self.aggregate(node)
            case promql.BinaryExpr():
                return self.binary(node)
            case promql.Call():
                return set().union(*map(self.visit, node.args))
            case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
                return self.visit(node.expr)
            case promql.NumberLiteral() | promql.StringLiteral():
                return set()
        raise TypeError(f"unknown: {node!r}")

    def selector(self, node):
        known = self.served.labels.get(node.name)
        if known is None:
            self.faults.append(f"no metric {node.name}")
            return set()
        for matcher in node.matchers.matchers:
            if matcher.name in OF_SCRAPE:
                continue
            if matcher.name not in known:
                self.faults.append(f"{node.name} has no label {matcher.name}")
            elif matcher.op in EXACT and matcher.value not in known[matcher.name]:
                self.faults.append(f"{node.name} has no {matcher.name}={matcher.value!r}")
        return set(known) | OF_SCRAPE

    def aggregate(self, node):
        inner = self.visit(node.expr)
        if node.modifier is None:
            # These return samples of what they aggregate.
            return inner if str(node.op) in ("topk", "bottomk") else set()
        named = set(node.modifier.labels)
        self.require(named, inner, f"{node.op} by")
        if node.modifier.type == promql.AggModifierType.By:
            return named
        return inner - named

    def binary(self, node):
        left, right = self.visit(node.lhs), self.visit(node.rhs)
        matching = node.modifier and node.modifier.matching
        if matching and matching.labels:
            self.require(set(matching.labels), left & right, str(matching.type))
        if str(node.op) == "or":
            return left | right
        # A scalar has no labels.
        return left or right

    def require(self, named, known, where):
        for label in sorted(named - known):
            self.faults.append(f"{where}: no label {label}")


def faults_of_panels(panels, served):
    faults = []
    for panel in panels:
        where = f"dashboard, {panel['title']!r}"
        labels, values = set(), set()
        for expression, target in expressions.targets(panel):
            checked = Checked(expression, served)
            faults += [f"{where}: {fault}" for fault in checked.faults]
            legend = expressions.placeholders(target.get("legendFormat", ""))
            for label in sorted(legend - checked.labels):
                faults.append(f"{where}: the legend names no label {label}")
            labels |= checked.labels
            values |= {"Value", f"Value #{target['refId']}"}
        columns = expressions.columns(panel)
        for column in sorted(columns - labels - values - {"Time"}):
            faults.append(f"{where}: no column {column}")
        organized = [step for step in panel.get("transformations", []) if step["id"] == "organize"]
        shown = {name for step in organized for name in step["options"]["renameByName"].values()}
        for override in panel["fieldConfig"]["overrides"]:
            if override["matcher"]["options"] not in shown:
                faults.append(f"{where}: no column {override['matcher']['options']} to override")
    return faults


def faults_of_alerts(alerts, served):
    faults = []
    for rule in alerts:
        checked = Checked(rule["expr"], served)
        texts = " ".join(rule["annotations"].values())
        named = set(re.findall(r"\$labels\.(\w+)", texts))
        faults += [f"{rule['alert']}: {fault}" for fault in checked.faults]
        faults += [f"{rule['alert']}: no label {label}" for label in sorted(named - checked.labels)]
    return faults


def rows(document, heading):
    """The cells of the table's rows under a heading."""
    sections = re.split(r"^##+ ", document, flags=re.MULTILINE)
    (section,) = [part for part in sections if part.startswith(heading + "\n")]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def faults_of_document(document, alerts, served):
    faults = []
    documented = {}
    for names, kind, labels, *_ in rows(document, "Metrics"):
        named = set(re.findall(r"`(\w+)`", labels))
        if "account" in labels.replace("`account", ""):
            named |= {"account", "account_name"}
        for name in re.findall(r"`(\w+)`", names):
            documented[PREFIX + name] = (kind, named)
    real = {
        name: (served.types[name], set(labels))
        for name, labels in served.labels.items()
        if name != "up"
    }
    for name in sorted(documented.keys() | real.keys()):
        if documented.get(name) != real.get(name):
            faults.append(f"{DOCUMENT.name}: {name} is {documented.get(name)}, not {real.get(name)}")
    shown = {(re.findall(r"`(\w+)`", name)[0], severity) for name, _, severity in rows(document, "Alerts")}
    exist = {(rule["alert"], rule["labels"]["severity"]) for rule in alerts}
    faults += [f"{DOCUMENT.name}: alert {alert}" for alert in sorted(shown ^ exist)]
    return faults


def faults(panels, alerts, document, served):
    return [
        *faults_of_panels(panels, served),
        *faults_of_alerts(alerts, served),
        *faults_of_document(document, alerts, served),
    ]


def mistakes(panels, alerts, document):
    """Copies with a fault each."""
    for old, new in [
        ("cf_service_tokens_expiry_timestamp_seconds", "cf_service_tokens_expires_timestamp_seconds"),
        ('account=~"$account"', 'acount=~"$account"'),
        ('state="expired"', 'state="expried"'),
        ("sum by (job, instance)", "sum by (job, pod)"),
    ]:
        changed = copy.deepcopy(panels)
        for panel in changed:
            for target in panel["targets"]:
                target["expr"] = target["expr"].replace(old, new)
        yield changed, alerts, document
    changed = copy.deepcopy(panels)
    for panel in changed:
        for target in panel["targets"]:
            if "legendFormat" in target:
                target["legendFormat"] += " {{pod}}"
    yield changed, alerts, document
    changed = copy.deepcopy(alerts)
    for rule in changed:
        rule["expr"] = rule["expr"].replace("account_vanished", "vanished")
    yield panels, changed, document
    changed = copy.deepcopy(alerts)
    changed[0]["annotations"]["summary"] += "{{ $labels.token }}"
    yield panels, changed, document
    yield panels, alerts, document.replace("`renewals_total` | counter", "`renewals_total` | gauge")
    yield panels, alerts, document.replace("`waits_total`, ", "")
    yield panels, alerts, document.replace("| `ServiceTokenExpired` |", "| `ServiceTokenDied` |")


def main():
    served = Served(pathlib.Path(sys.argv[1], name).read_text() for name in FILES)
    panels, alerts, document = expressions.panels(), expressions.alerts(), DOCUMENT.read_text()
    found = faults(panels, alerts, document, served)
    if found:
        raise SystemExit("\n".join(found))
    tried = list(mistakes(panels, alerts, document))
    for number, mistake in enumerate(tried):
        assert faults(*mistake, served), f"mistake {number} is not found"
    print(
        f"{len(panels)} panels, {len(alerts)} alerts and {DOCUMENT.name} name only what is served, "
        f"and all of it; {len(tried)} mistakes are found"
    )


if __name__ == "__main__":
    main()
