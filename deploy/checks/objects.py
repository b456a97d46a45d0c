"""What makes one object right, and many of them together: schemas, and that every name that is named is there. Must know
nothing of how objects come about."""

import pathlib

import jsonschema
import kubernetes_validate
import yaml

KUBERNETES = "1.34"
SCHEMAS = pathlib.Path(__file__).resolve().parent / "schemas"


def our_schemas():
    found = {}
    for path in sorted(SCHEMAS.glob("*.yaml")):
        file = yaml.safe_load(path.read_text())
        for kind, schema in file["kinds"].items():
            found[kind] = jsonschema.Draft7Validator({**schema, "definitions": file["definitions"]})
    return found


OURS = our_schemas()


def label(thing):
    return f"{thing.get('kind')}/{thing.get('metadata', {}).get('name')}"


def shape(thing):
    """What its schema says against one object."""
    kind = f"{thing.get('apiVersion')}/{thing.get('kind')}"
    if validator := OURS.get(kind):
        for error in validator.iter_errors(thing):
            yield f"{label(thing)}: {'.'.join(map(str, error.absolute_path)) or 'object'}: {error.message}"
    else:
        yield from builtin(thing, label(thing))
    if thing.get("kind") == "Fleet":
        template = thing["spec"]["template"]["spec"]["template"]
        pod = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": thing["metadata"]["name"]}, "template": template}
        yield from builtin(pod, f"{label(thing)}, its pod")
    if thing.get("kind") == "FleetAutoscaler":
        yield from bounds(thing["spec"].get("policy", {}), label(thing))


def builtin(thing, name):
    try:
        kubernetes_validate.validate(thing, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        yield f"{name}: {'.'.join(map(str, error.path))}: {error.message}"
    except Exception as error:  # an unknown kind
        yield f"{name}: {error}"


def bounds(policy, name):
    """What Agones' webhook refuses beyond the schema."""
    for entry in policy.get("chain", []):
        yield from bounds(entry, name)
    if "schedule" in policy:
        yield from bounds(policy["schedule"].get("policy", {}), name)
    if buffer := policy.get("buffer"):
        size, least, most = buffer.get("bufferSize"), buffer.get("minReplicas", 0), buffer.get("maxReplicas", 0)
        if isinstance(size, int) and (most < size or 0 < least < size):
            yield f"{name}: a buffer of {size} needs maxReplicas, and minReplicas if any, of at least as many"
        if isinstance(size, str) and least < 1:
            yield f"{name}: a buffer in percent needs minReplicas"
        if least > most:
            yield f"{name}: minReplicas above maxReplicas"
    for counted in filter(None, (policy.get("counter"), policy.get("list"))):
        size, least, most = counted.get("bufferSize"), counted.get("minCapacity", 0), counted.get("maxCapacity", 0)
        if least > most or (isinstance(size, int) and (most < size or 0 < least < size)):
            yield f"{name}: bufferSize {size}, minCapacity {least} and maxCapacity {most} exclude each other"
        if isinstance(size, str) and least < 1:
            yield f"{name}: a buffer in percent needs minCapacity"


def pods(things):
    """Every pod that the objects make: whose it is, its labels, its spec."""
    for thing in things:
        spec = thing.get("spec", {})
        template = spec.get("template", {})
        if thing["kind"] == "Fleet":
            template = template["spec"]["template"]
        if "containers" in template.get("spec", {}):
            yield thing, template["metadata"]["labels"], template["spec"]


def fits(selector, labels):
    return all(labels.get(key) == value for key, value in (selector or {}).items())


def together(things, outside=()):
    """What does not fit between objects. `outside` are names of secrets and config maps that somebody else makes."""
    names = {label(thing) for thing in things} | set(outside)
    if len({label(thing) for thing in things}) < len(things):
        yield "two objects have the same kind and name"
    every_pod = list(pods(things))
    for owner, labels, spec in every_pod:
        yield from pod(owner, spec, names)
        if not fits(owner["spec"].get("selector", {}).get("matchLabels"), labels):
            yield f"{label(owner)}: does not select its own pods"
    for thing in things:
        yield from links(thing, things, every_pod, names)


def pod(owner, spec, names):
    name = label(owner)
    volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
    for volume in volumes.values():
        if secret := volume.get("secret"):
            yield from absent(f"Secret/{secret['secretName']}", names, name)
        if config := volume.get("configMap"):
            yield from absent(f"ConfigMap/{config['name']}", names, name)
        if claim := volume.get("persistentVolumeClaim"):
            yield from absent(f"PersistentVolumeClaim/{claim['claimName']}", names, name)
    if account := spec.get("serviceAccountName"):
        yield from absent(f"ServiceAccount/{account}", names, name)
    security = spec.get("securityContext", {})
    if not (security.get("runAsNonRoot") and security.get("runAsUser")):
        yield f"{name}: runs as an unknown user; a name in the image is not enough for runAsNonRoot"
    used = set()
    for container in spec["containers"]:
        tag = container["image"].rsplit("/", 1)[-1]
        if ("@sha256:" not in tag and ":" not in tag) or tag.endswith(":latest"):
            yield f"{name}: the image {container['image']} has no fixed version"
        used |= {mount["name"] for mount in container.get("volumeMounts", [])}
        ports = {port["name"] for port in container.get("ports", [])}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            port = container.get(probe, {}).get("httpGet", {}).get("port")
            if port is not None and port not in ports:
                yield f"{name}: {probe} asks port {port}, which is not there"
        for variable in container.get("env", []):
            secret = variable.get("valueFrom", {}).get("secretKeyRef", {})
            if secret:
                yield from absent(f"Secret/{secret['name']}", names, name)
            elif any(word in variable["name"] for word in ("KEY", "TOKEN", "PASSWORD", "DATABASE_URL", "REDIS_URL")):
                yield f"{name}: {variable['name']} stands in the manifest"
    if used != set(volumes):
        yield f"{name}: mounts {sorted(used)} of the volumes {sorted(volumes)}"
    drain = [int(argument.split("=")[1]) for container in spec["containers"] for argument in container.get("args", []) if argument.startswith("--drain-seconds=")]
    if drain and spec.get("terminationGracePeriodSeconds", 30) < drain[0] + 10:
        yield f"{name}: is killed before its drain of {drain[0]} s is over"


def absent(wanted, names, name):
    if wanted not in names:
        yield f"{name}: names {wanted}, which is not there"


def links(thing, things, every_pod, names):
    """The references of one object that is not a pod's owner."""
    spec, name, kind = thing.get("spec", {}), label(thing), thing["kind"]
    selected = lambda selector: [found for _, labels, found in every_pod if fits(selector, labels)]
    ports_of = lambda found: {port["name"]: port["containerPort"] for pod in found for container in pod["containers"] for port in container.get("ports", [])}
    if kind == "Service":
        there = ports_of(selected(spec["selector"]))
        for port in spec["ports"]:
            if port["targetPort"] not in there:
                yield f"{name}: no pod that it selects has a port {port['targetPort']}"
    if kind == "HorizontalPodAutoscaler":
        target = spec["scaleTargetRef"]
        yield from absent(f"{target['kind']}/{target['name']}", names, name)
        if spec["minReplicas"] > spec["maxReplicas"]:
            yield f"{name}: minReplicas above maxReplicas"
    if kind == "PodDisruptionBudget" and not selected(spec["selector"]["matchLabels"]):
        yield f"{name}: selects no pod"
    if kind == "FleetAutoscaler":
        yield from absent(f"Fleet/{spec['fleetName']}", names, name)
        if service := spec["policy"].get("webhook", {}).get("service"):
            asked = [other for other in things if label(other) == f"Service/{service['name']}"]
            if not any(port["port"] == service["port"] for other in asked for port in other["spec"]["ports"]):
                yield f"{name}: its webhook is no Service's port"
        fleet = next((other for other in things if label(other) == f"Fleet/{spec['fleetName']}"), None)
        for word in ("counter", "list"):
            counted = spec["policy"].get(word)
            if fleet and counted and counted["key"] not in fleet["spec"]["template"]["spec"].get(f"{word}s", {}):
                yield f"{name}: its fleet's servers have no {word} {counted['key']}"
    if kind == "NetworkPolicy":
        found = selected(spec["podSelector"].get("matchLabels"))
        if not found:
            yield f"{name}: selects no pod"
        game = [other["spec"]["template"]["spec"]["ports"] for other in things if other["kind"] == "Fleet"]
        there = set(ports_of(found).values()) | {port["containerPort"] for ports in game for port in ports}
        for rule in spec.get("ingress", []):
            for port in rule.get("ports", []):
                if port["port"] not in there:
                    yield f"{name}: lets port {port['port']} in, which nobody listens on"
    if kind in ("ServiceMonitor", "PodMonitor"):
        selector = spec["selector"]["matchLabels"]
        if kind == "PodMonitor":
            there = set(ports_of(selected(selector)))
            wanted = spec["podMetricsEndpoints"]
        else:
            services = [other for other in things if other["kind"] == "Service" and fits(selector, other["metadata"]["labels"])]
            there = {port["name"] for service in services for port in service["spec"]["ports"]}
            wanted = spec["endpoints"]
        for endpoint in wanted:
            if endpoint["port"] not in there:
                yield f"{name}: nothing that it selects has a port named {endpoint['port']}"
    if kind == "Ingress":
        for rule in spec["rules"]:
            for path in rule["http"]["paths"]:
                yield from absent(f"Service/{path['backend']['service']['name']}", names, name)
    if kind == "RoleBinding":
        yield from absent(f"Role/{thing['roleRef']['name']}", names, name)
