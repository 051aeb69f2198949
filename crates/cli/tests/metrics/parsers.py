"""Has Prometheus's own parsers for Python read both formats of /metrics.

Usage: parsers.py METRICS
"""

import pathlib
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

# What the names of the tokens are; see hostile_names() in src/serve/tests.rs.
NAMES = {'<b>"bold"</b>', "line\nfeed", "back\\slash", "\u202e", "", "ünïcode 🦀"}


def read(parser, path):
    samples = {}
    for family in parser(path.read_text()):
        assert family.documentation and family.type in ("gauge", "counter"), family
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in samples, f"{key} is there twice"
            samples[key] = sample.value
    return samples


directory = pathlib.Path(sys.argv[1])
text = read(prometheus, directory / "metrics.txt")
open_text = read(openmetrics, directory / "openmetrics.txt")
assert text == open_text, set(text.items()) ^ set(open_text.items())
expiries = [labels for (name, labels) in text if name == "cf_service_tokens_expiry_timestamp_seconds"]
names = {dict(labels)["name"] for labels in expiries}
assert NAMES <= names, NAMES - names
renewals = [count for (name, _), count in text.items() if name == "cf_service_tokens_renewals_total"]
assert sum(renewals) > 0, renewals
print(f"prometheus_client reads {len(text)} samples, the same in both formats")
