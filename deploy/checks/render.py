"""Renders the chart with Helm's own engine. Owns the cases that are checked and which of them are the plain manifests;
must know nothing of what makes an object right."""

import copy
import pathlib

import yaml
from helm_python import chart as helm

DEPLOY = pathlib.Path(__file__).resolve().parent.parent
CHART = DEPLOY / "helm" / "tickwright"
NAMESPACE = "tickwright"

# Allocation policies as an operator with two clusters would write them.
POLICIES = [
    {
        "name": name,
        "region": "eu",
        "spec": {
            "priority": priority,
            "weight": 100,
            "connectionInfo": {
                "clusterName": name,
                "allocationEndpoints": [f"{name}.allocator.example.com"],
                "secretName": "allocator-client",
                "namespace": NAMESPACE,
                # The authority of that cluster's allocator (secret allocator-tls-ca), PEM in base64.
                "serverCa": "",
            },
        },
    }
    for priority, name in [(1, "eu-1"), (2, "eu-2")]
]


def merge(base, over):
    """Values as Helm merges several files: maps by key, everything else replaced."""
    merged = copy.deepcopy(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else copy.deepcopy(value)
    return merged


def values_file(name):
    return yaml.safe_load((CHART / name).read_text())


def autoscaled_by(policy):
    return {"fleets": {"arena": {"autoscaler": {"policy": policy}}}}



def rooms(policy):
    """Servers that play eight matches at once."""
    return autoscaled_by(policy) | {"gameServer": {"rooms": 8, "clientsMax": 64}}



def cases():
    """Every set of values that is rendered, linted and checked, by name."""
    split, pools = values_file("values-split.yaml"), values_file("values-pools.yaml")
    regions = [{"name": "eu", "clusters": [policy["spec"] for policy in POLICIES]}]
    files = {"rules": '{"modes": [{"mode": "arena", "teams": 8, "team_size": 1, "skill_gap": 10}]}', "boards": "[]", "ratings": "", "progression": ""}
    everything = {
        "image": {"digests": {"arenaServer": "sha256:" + "a" * 64, "backend": "sha256:" + "b" * 64}, "pullSecrets": [{"name": "pull"}]},
        "backend": {"files": files, "websocketUrl": "wss://play.example.com/{host}/{port}", "postgresCaConfigMap": "postgres-ca",
                    "service": {"type": "LoadBalancer", "annotations": {"a": "b"}}},
        "gameServer": {"protocol": "TCPUDP", "region": "eu", "tickRate": 30, "args": ["--seat-hold-seconds=30"],
                       "env": [{"name": "TICKWRIGHT_LOG", "value": "info"}], "resultSpool": "/var/lib/tickwright/results",
                       "settings": (DEPLOY.parent / "docs" / "arena.toml").read_text()},
        "monitoring": {"enabled": True, "labels": {"release": "prometheus"}},
        "networkPolicy": {"allocatorCidrs": ["10.9.0.0/16"]},
    }
    return {
        "default": {},
        "split": split,
        "pools": pools,
        "split, pools": merge(split, pools),
        "buffer": autoscaled_by("buffer"),
        "list": rooms("list"),
        "counter": rooms("counter"),
        "kubernetes": {"allocation": {"by": "kubernetes"}},
        "regions": {"allocation": {"by": "regions", "regions": regions, "policies": POLICIES}},
        "plain http": {"allocation": {"endpoint": "http://fleet:443"}, "networkPolicy": {"enabled": False}},
        "everything": everything,
        # Keys are being changed: see "Secrets" in docs/operations.md.
        "rotation": {"allocation": {"fleet": "arena-b"}, "secretName": "tickwright-b",
                     "fleets": {"arena": {"secretName": "tickwright"}, "arena-b": values_file("values.yaml")["fleets"]["arena"]}},
    } | {f"environment {path.stem}": merge(pools, yaml.safe_load(path.read_text())) for path in sorted((DEPLOY / "environments").glob("*.yaml"))}


def render(values):
    """Text of every template, by its file name."""
    with helm.Chart.load(CHART) as chart:
        chart.validate_schema(values)
        texts = chart.render(values, name="tickwright", namespace=NAMESPACE)
    return {path.rsplit("/", 1)[-1]: text for path, text in texts.items()}


def documents(texts):
    """Every object in rendered templates."""
    for name, text in sorted(texts.items()):
        if name.endswith(".yaml"):
            yield from (document for document in yaml.safe_load_all(text) if document)


def lint(values):
    """What Helm's linter finds: warnings and errors."""
    report = helm.lint(CHART, values, strict=True, namespace=NAMESPACE, kube_version="v1.34.0")
    return [f"{found['path']}: {found['error']}" for found in report["messages"] if found["severity"] >= 2] + report["errors"]


def plain():
    """The manifests for those without Helm: path below deploy/agones and text."""
    namespace = {"apiVersion": "v1", "kind": "Namespace",
                 "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/warn": "baseline"}}}
    yield "namespace.yaml", yaml.safe_dump(namespace, sort_keys=False)
    texts = render({})
    for name in ["fleet.yaml", "autoscaler.yaml", "backend.yaml", "network.yaml"]:
        yield name, texts[name]
    optional = {
        "autoscaler-buffer.yaml": ("autoscaler.yaml", autoscaled_by("buffer")),
        "autoscaler-list.yaml": ("autoscaler.yaml", rooms("list")),
        "autoscaler-counter.yaml": ("autoscaler.yaml", rooms("counter")),
        "fleet-rooms.yaml": ("fleet.yaml", rooms("list")),
        "fleets-pools.yaml": ("fleet.yaml", values_file("values-pools.yaml")),
        "autoscaler-pools.yaml": ("autoscaler.yaml", values_file("values-pools.yaml")),
        "allocation-policy.yaml": ("allocation.yaml", {"allocation": {"policies": POLICIES}}),
        "allocation-rights.yaml": ("allocation.yaml", {"allocation": {"by": "kubernetes"}}),
        "monitoring.yaml": ("monitoring.yaml", {"monitoring": {"enabled": True, "dashboards": False}}),
    }
    for name, (template, values) in optional.items():
        yield f"optional/{name}", render(values)[template]


HEADER = "# Rendered from deploy/helm/tickwright by `deploy/check --write`; change the chart, not this file.\n"


def tidy(text):
    """A rendered template as a file: the header, no first separator, no blank lines, one newline at the end."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    while lines and lines[0] == "---":
        lines.pop(0)
    return HEADER + "\n".join(lines) + "\n"
