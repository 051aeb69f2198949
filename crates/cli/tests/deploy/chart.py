"""Renders the Helm chart for each mode and combination, holds the result against the schemas
of Kubernetes and of the Prometheus operator, and runs the command as each pod would, on a
simulator. Then tries values that must be refused.

Usage: chart.py COMMAND SIMULATOR
"""

import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.request

import helm_python as helm
import jsonschema
import kubernetes_validate
import yaml
from cloudcoil.models.prometheus_operator import v1 as prometheus_operator

ROOT = pathlib.Path(__file__).parents[4]
CHART = ROOT / "deploy/helm/cf-service-tokens"
# The oldest Kubernetes that the chart allows, and the newest known.
VERSIONS = ("1.29", "1.37")

# The accounts of the examples. In the simulator, the first has tokens.
FIRST, SECOND = "023e105f4ecef8ad9ca31a8372d0c353", "9b3e105f4ecef8ad9ca31a8372d0c353"
CONFIG = f'[[account]]\nname = "prod"\nid = "{FIRST}"\n'
ROTATE = f"""{CONFIG}
[[account.rotate]]
token = "Grafana scraper"
every = "90d"
secret_to = "file:/var/lib/cf-service-tokens/secret"
"""
MORE = {
    "image": {"digest": "sha256:" + "0" * 64},
    "imagePullSecrets": [{"name": "registry"}],
    "env": [{"name": "HTTPS_PROXY", "value": "http://proxy.example.com:3128"}],
    "volumes": [{"name": "cache", "emptyDir": {}}],
    "volumeMounts": [{"name": "cache", "mountPath": "/var/cache"}],
    "serviceAccount": {"annotations": {"a": "b"}},
    "networkPolicy": {"egress": [{"ports": [{"port": 6443, "protocol": "TCP"}]}]},
    "podAnnotations": {"a": "b"},
    "podLabels": {"team": "ops"},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "a", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "high",
}
# What a text in a ConfigMap must not suffer from.
ODD = '# {{ .Values.mode }}\n  # \ttab \n# "quoted" \\ ü: |\n\n# trailing  \n'


def combinations():
    """Values by name: those that the chart gives as examples, and more."""
    for path in sorted((CHART / "ci").glob("*.yaml")):
        yield path.stem, yaml.safe_load(path.read_text())
    for mode in ("cron", "watch"):
        plain = {"mode": mode, "config": CONFIG}
        yield f"{mode}, plain", plain
        yield f"{mode}, odd text", plain | {"config": ODD + CONFIG}
        yield f"{mode}, all", plain | MORE
        yield f"{mode}, no policy", plain | {"networkPolicy": {"enabled": False}}
        yield f"{mode}, rotation", plain | {"config": ROTATE, "persistence": {"enabled": True}}
        claim = {"enabled": True, "existingClaim": "mine", "storageClass": "fast"}
        yield f"{mode}, a claim", plain | {"config": ROTATE, "persistence": claim}
    yield "watch, interval", {"mode": "watch", "config": CONFIG, "watch": {"interval": "1h"}}
    yield "two shards", {"shards": {"count": 2, "secret": "a"}} | MORE
    for schedule in SCHEDULES:
        yield schedule, {"config": CONFIG, "cron": {"schedule": schedule}}


# Kubernetes accepts these, and refuses BAD_SCHEDULES.
SCHEDULES = [
    "*/15 0-23/2 1,15 * ?",
    "  05 4\t* JAN-Mar,dec sun,fri-sat ",
    "0/59 23 31 12 6",
    *(f"@{name}" for name in ("yearly", "annually", "monthly", "weekly", "daily", "midnight", "hourly")),
    "@every 1h30m",
]
BAD_SCHEDULES = [
    *("", " ", "daily", "@dayly", "@Daily", "@every", "@every day", "@every 1h ", "@reboot"),
    *("17 4 * *", "0 17 4 * * *", "TZ=UTC 17 4 * * *", "CRON_TZ=UTC 17 4 * * *"),
    *("60 4 * * *", "17 24 * * *", "17 4 0 * *", "17 4 32 * *", "17 4 * 0 *", "17 4 * 13 *"),
    *("17 4 * * 7", "17 4 * * mo", "17 4 * mon *", "17 4 jan * *", "17 4 * * 1mon", "17 4 * * L"),
    *("30-10 4 * * *", "17 4 * * fri-mon", "*/0 4 * * *", "*/ 4 * * *", "1,,2 4 * * *", ", 4 * * *"),
    *("-1 4 * * *", "1-2-3 4 * * *", "1.5 4 * * *", "17 4 * * *; x"),
]
# Labels that the chart sets.
OWN_LABELS = [
    *(f"app.kubernetes.io/{name}" for name in ("name", "instance", "component", "version", "managed-by")),
    "helm.sh/chart",
]


def secret_files(*paths):
    return [{"secret": "a", "key": "b", "path": path} for path in paths]


REFUSED = [
    ({}, "config is empty"),
    ({"config": "a = "}, "config is not TOML"),
    ({"config": ROTATE}, "config has a rule to rotate (account prod), and persistence.enabled is false"),
    ({"config": CONFIG + 'rotate = [{ token = "a" }]'}, "a rule to rotate"),
    (
        {
            "config": CONFIG + 'api_token_file = "/run/secrets/cf-service-tokens/prod"',
            "secretFiles": [{"secret": "a", "key": "b", "path": "test"}],
        },
        "/run/secrets/cf-service-tokens/prod, which no entry of secretFiles provides",
    ),
    ({"config": CONFIG, "shards": {"count": 2, "secret": "a"}}, "shards.count and config are both set"),
    ({"mode": "watch", "shards": {"count": 2, "secret": "a"}}, "Shards run as a CronJob"),
    ({"shards": {"count": 2}}, "shards.secret is empty"),
    *(
        ({"config": CONFIG, name: {"enabled": True}}, f"{name}.enabled is true with mode: cron")
        for name in ("podMonitor", "prometheusRule", "dashboard")
    ),
    ({"config": CONFIG, "mode": "once"}, "/mode"),
    ({"config": CONFIG, "shedule": "@daily"}, "shedule"),
    ({"config": CONFIG, "cron": {"shedule": "@daily"}}, "shedule"),
    ({"config": CONFIG, "secretFiles": [{"secret": "a", "key": "b"}]}, "path"),
    ({"config": CONFIG, "secretFiles": secret_files("../b")}, "path"),
    ({"config": CONFIG, "secretFiles": secret_files("a", "b", "a")}, "Two entries of secretFiles have the path a"),
    (
        {"shards": {"count": 2, "secret": "a"}, "secretFiles": secret_files("api-token-1")},
        "An entry of secretFiles has the path api-token-1, which is also a key of shards.secret",
    ),
    *(
        ({"config": CONFIG, "cron": {"schedule": each}}, "is not a schedule" if each else "/cron/schedule")
        for each in BAD_SCHEDULES
    ),
    *(({"config": CONFIG, "podLabels": {each: "b"}}, f"podLabels sets {each}") for each in OWN_LABELS),
    ({"config": CONFIG, "podAnnotations": {"checksum/config": "b"}}, "podAnnotations sets checksum/config"),
    *(
        (
            {"config": CONFIG, "mode": "watch", name: {"enabled": True, "labels": {"helm.sh/chart": "b"}}},
            f"{name}.labels sets helm.sh/chart",
        )
        for name in ("podMonitor", "prometheusRule", "dashboard")
    ),
    (
        {
            "config": CONFIG,
            "persistence": {"enabled": True},
            "env": [{"name": "CF_SERVICE_TOKENS_JOURNAL", "value": "/tmp"}],
        },
        "env sets CF_SERVICE_TOKENS_JOURNAL",
    ),
    *(
        ({"config": CONFIG, "volumes": [{"name": each, "emptyDir": {}}]}, f"volumes has the name {each}")
        for each in ("config", "secrets", "journal")
    ),
]


class UniqueKeys(yaml.SafeLoader):
    """Refuses a mapping with a key twice, as Kubernetes does. PyYAML takes the last one."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        assert not twice, f"twice: {twice}"
        return super().construct_mapping(node, deep)


def rendered(chart, values, release="release"):
    files = chart.render(values, name=release, namespace="default")
    notes = files.pop("cf-service-tokens/templates/NOTES.txt")
    assert f"{release}-cf-service-tokens" in notes and "<no value>" not in notes, notes
    objects = [each for text in files.values() for each in yaml.load_all(text, UniqueKeys) if each]
    return {key_of(each): each for each in objects}


def key_of(each):
    is_dashboard = each["metadata"]["name"].endswith("-dashboard")
    return "Dashboard" if is_dashboard else each["kind"]


def strict(model):
    """The schema of a custom resource, without room for unknown keys."""
    schema = model.model_json_schema()
    for part in [schema, *schema["$defs"].values()]:
        if "properties" in part:
            part.setdefault("additionalProperties", False)
    return schema


CUSTOM = {
    "PodMonitor": strict(prometheus_operator.PodMonitor),
    "PrometheusRule": strict(prometheus_operator.PrometheusRule),
}


def check_schemas(objects):
    for kind, each in objects.items():
        if kind in CUSTOM:
            assert each["apiVersion"] == "monitoring.coreos.com/v1"
            # Without a check of the schema: it has a regular expression that only Go knows.
            jsonschema.Draft202012Validator(CUSTOM[kind]).validate(each)
            continue
        for version in VERSIONS:
            kubernetes_validate.validate(each, version, strict=True)


def pod_of(objects):
    """The template of the pod."""
    if "Deployment" in objects:
        return objects["Deployment"]["spec"]["template"]
    return objects["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]


def check_pod(objects, values):
    pod = pod_of(objects)
    spec = pod["spec"]
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    wanted = values.get("serviceAccount", {}).get("mountToken", False)
    assert spec["automountServiceAccountToken"] is wanted
    volumes = {volume["name"] for volume in spec["volumes"]}
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert volumes == mounts, volumes ^ mounts
    for mount in container["volumeMounts"]:
        assert mount["name"] != "secrets" or "subPath" not in mount
    if "config" in values:
        assert objects["ConfigMap"]["data"] == {"config.toml": values["config"]}

    # What selects the pod does, and nothing of it is too long for a label.
    labels = pod["metadata"]["labels"]
    assert all(len(value) < 64 for value in labels.values())
    selectors = [
        objects.get("Deployment", {}).get("spec", {}).get("selector"),
        objects.get("NetworkPolicy", {}).get("spec", {}).get("podSelector"),
        objects.get("PodMonitor", {}).get("spec", {}).get("selector"),
    ]
    for selector in filter(None, selectors):
        assert selector["matchLabels"].items() <= labels.items(), selector
    if "PodMonitor" in objects:
        # The alert rules expect this name of the job.
        assert labels[objects["PodMonitor"]["spec"]["jobLabel"]] == "cf-service-tokens"
    if "PersistentVolumeClaim" in objects:
        claims = [volume.get("persistentVolumeClaim") for volume in spec["volumes"]]
        name = objects["PersistentVolumeClaim"]["metadata"]["name"]
        assert {"claimName": name} in claims
    if "ServiceAccount" in objects:
        assert objects["ServiceAccount"]["metadata"]["name"] == spec["serviceAccountName"]
    if "CronJob" in objects:
        assert objects["CronJob"]["spec"]["concurrencyPolicy"] == "Forbid"
    if "Deployment" in objects:
        assert objects["Deployment"]["spec"]["strategy"] == {"type": "Recreate"}


def check_numbers(chart):
    """A name or a key may be a number, which is a text there too."""
    number = "123"
    for mode in ("cron", "watch"):
        values = {
            "mode": mode,
            "config": CONFIG,
            "secretFiles": [{"secret": number, "key": number, "path": number}],
            "persistence": {"enabled": True, "storageClass": number},
            "image": {"repository": number, "digest": "sha256:" + "0" * 64},
            "serviceAccount": {"name": number, "annotations": {"a": number}},
            "podAnnotations": {"a": number},
            "podLabels": {"a": number},
            "priorityClassName": number,
        }
        claim = values | {"persistence": {"enabled": True, "existingClaim": number}}
        for each in (values, claim):
            check_schemas(rendered(chart, each, release=number))
    shards = {"shards": {"count": 2, "secret": number, "within": number}}
    check_schemas(rendered(chart, shards, release=number))


def check_readers(chart):
    """Nobody may read what a watcher serves if the list of readers is empty."""
    values = {"mode": "watch", "config": CONFIG, "networkPolicy": {"from": []}}
    assert rendered(chart, values)["NetworkPolicy"]["spec"]["ingress"] == []


def check_files(objects):
    """The alert rules and the dashboard are those of deploy."""
    alerts = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
    assert objects["PrometheusRule"]["spec"] == alerts
    (dashboard,) = objects["Dashboard"]["data"].values()
    assert json.loads(dashboard) == json.loads((ROOT / "deploy/grafana/dashboard.json").read_text())


def check_scrape_config(labels):
    """The scrape configuration for a Prometheus without the operator finds the watcher."""
    config = yaml.safe_load((ROOT / "deploy/prometheus/kubernetes.yml").read_text())
    rule = config["scrape_configs"][0]["relabel_configs"][0]
    found = []
    for source in rule["source_labels"]:
        label = source.removeprefix("__meta_kubernetes_pod_label_")
        names = {re.sub(r"\W", "_", name): value for name, value in labels.items()}
        found.append(names.get(label, "http"))
    assert re.fullmatch(rule["regex"], ";".join(found)), found


@contextlib.contextmanager
def running(arguments, **options):
    """A program that is ended at last."""
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, **options)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def free_port():
    with socket.socket(socket.AF_INET6) as free:
        free.bind(("::", 0))
        return free.getsockname()[1]


def until(what, is_so):
    give_up_at = time.monotonic() + 60
    while not is_so():
        if time.monotonic() > give_up_at:
            raise SystemExit(f"{what} has not come")
        time.sleep(0.1)


class Cluster:
    """What the pods find: the API, and their files, in a directory in place of the root."""

    def __init__(self, command, simulator, directory):
        self.command = command
        self.directory = pathlib.Path(directory)
        settings = (simulator.stdout.readline().strip().split("=", 1) for _ in range(3))
        self.settings = dict(settings)

    def run(self, objects):
        root = pathlib.Path(tempfile.mkdtemp(dir=self.directory))
        spec = pod_of(objects)["spec"]
        (container,) = spec["containers"]
        places = {mount["mountPath"]: str(root) + mount["mountPath"] for mount in container["volumeMounts"]}
        self.write_files(objects, spec, root)

        def placed(text):
            for path, place in places.items():
                text = text.replace(path, place)
            return text.replace("$(JOB_COMPLETION_INDEX)", "0")

        if "ConfigMap" in objects:
            config = root / "etc/cf-service-tokens/config.toml"
            config.write_text(placed(self.own_accounts(objects["ConfigMap"]["data"]["config.toml"])))
        # Nothing needs a proxy or another root's home.
        variables = {each["name"]: placed(each["value"]) for each in container.get("env", [])}
        variables.pop("HTTPS_PROXY", None)
        variables |= {"PATH": f"{self.stand_in(root)}:{os.environ['PATH']}"}
        variables["CLOUDFLARE_BASE_URL"] = self.settings["CLOUDFLARE_BASE_URL"]
        # For a configuration that names no file.
        variables["CLOUDFLARE_API_TOKEN"] = self.settings["CLOUDFLARE_API_TOKEN"]
        arguments = [self.command, *map(placed, container["args"])]
        if "Deployment" in objects:
            return self.watch(arguments, variables, container)
        ran = subprocess.run(arguments, check=False, env=variables, capture_output=True, text=True)
        assert ran.returncode == 0, f"{arguments}: {ran.stdout}{ran.stderr}"

    def own_accounts(self, config):
        """The first account is the one of the simulator that has tokens."""
        return config.replace(FIRST, self.settings["CLOUDFLARE_ACCOUNT_ID"])

    def write_files(self, objects, spec, root):
        for place in ("etc/cf-service-tokens", "run/secrets/cf-service-tokens", "var/lib/cf-service-tokens"):
            (root / place).mkdir(parents=True)
        secrets = [volume["projected"]["sources"] for volume in spec["volumes"] if "projected" in volume]
        for source in (each["secret"] for sources in secrets for each in sources):
            names = [item["path"] for item in source.get("items", [{"path": "api-token-0"}])]
            for name in names:
                path = root / "run/secrets/cf-service-tokens" / name
                path.write_text(self.settings["CLOUDFLARE_API_TOKEN"])
                path.chmod(0o440)

    def stand_in(self, root):
        """A directory with a kubectl that only reads."""
        directory = root / "bin"
        directory.mkdir()
        program = directory / "kubectl"
        program.write_text("#!/bin/sh\nexec cat >/dev/null\n")
        program.chmod(0o755)
        return directory

    def watch(self, arguments, variables, container):
        (port,) = [port["containerPort"] for port in container["ports"]]
        path = container["readinessProbe"]["httpGet"]["path"]

        def is_ready():
            assert watcher.poll() is None, f"{arguments}: {watcher.stdout.read()}"
            # Both protocols reach it.
            try:
                for host in ("127.0.0.1", "[::1]"):
                    with urllib.request.urlopen(f"http://{host}:{port}{path}") as answer:
                        assert answer.status == 200
            except OSError:
                return False
            return True

        with running(arguments, env=variables, stderr=subprocess.STDOUT) as watcher:
            until("a ready watcher", is_ready)
        assert watcher.returncode == 0, f"{arguments}: {watcher.stdout.read()}"


def refuse(chart):
    for values, words in REFUSED:
        try:
            chart.render(values, name="release", namespace="default")
        except helm.HelmError as error:
            assert words in str(error), f"{values}: {error}"
        else:
            raise SystemExit(f"{values} are not refused")


def main():
    command, simulator = sys.argv[1:]
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert about["version"] == about["appVersion"] == version
    # Severity 1 is advice.
    found = [each for each in helm.lint(str(CHART))["messages"] if each["severity"] > 1]
    assert not found, found
    accounts = [f"--account={SECOND}"]
    with (
        tempfile.TemporaryDirectory() as directory,
        running([simulator, *accounts], stderr=subprocess.DEVNULL) as simulating,
        # As it is published: the links are files then.
        helm.Chart.load(helm.package(str(CHART), destination=directory)) as chart,
    ):
        cluster = Cluster(command, simulating, directory)
        count = 0
        for name, values in combinations():
            if values.get("mode") == "watch":
                values.setdefault("watch", {})["port"] = free_port()
            objects = rendered(chart, values)
            try:
                check_schemas(objects)
                check_pod(objects, values)
                cluster.run(objects)
            except Exception:
                print(f"with the values {name!r}", file=sys.stderr)
                raise
            if name == "watch-values":
                check_files(objects)
                check_scrape_config(pod_of(objects)["metadata"]["labels"])
            count += 1
        check_numbers(chart)
        check_readers(chart)
        refuse(chart)
    print(f"the chart is valid with {count} sets of values, and refuses {len(REFUSED)}")


if __name__ == "__main__":
    main()
