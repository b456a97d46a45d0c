"""Manifests beside the code: arguments the programs take, variables they read, routes the ingress knows. Must know nothing
of schemas."""

import pathlib
import re
import tempfile

# Values of the right form for what stands in secrets.
SECRETS = {
    "TICKWRIGHT_KEY": "0f" * 32,
    "TICKWRIGHT_SERVICE_TOKEN": "a-service-token",
    "TICKWRIGHT_ADMIN_TOKEN": "an-admin-token-of-its-own",
    "DATABASE_URL": "postgres://u:p@h/tickwright",
    "REDIS_URL": "redis://h",
}


def programs(things_of_pods):
    """(owner, container, image's name) of every container that runs a program of ours."""
    for owner, _, spec in things_of_pods:
        for container in spec["containers"]:
            found = re.search(r"tickwright-([a-z-]+)[:@]", container["image"])
            if found:
                yield owner, container, found.group(1)


def arguments(pods, maps, binaries, known_beside, label):
    """Whether the programs run with what the manifests give them. `maps` are the data of config maps by name."""
    for owner, container, image in programs(pods):
        name = f"{label(owner)}, {container['name']}"
        with tempfile.TemporaryDirectory() as folder:
            code, said = binaries.judge(image, [put(argument, maps, folder) for argument in container.get("args", [])], environment(container))
        if code != 0:
            yield f"{name}: the program refuses its settings: {said.strip().splitlines()[0] if said.strip() else code}"
        for variable in container.get("env", []):
            if variable["name"] not in binaries.variables(image) | known_beside:
                yield f"{name}: no program reads {variable['name']}"


def put(argument, maps, folder):
    """A path into a config map becomes a file with what stands there."""
    flag, _, path = argument.partition("=")
    for files in maps.values():
        file = path.rsplit("/", 1)[-1]
        if path.startswith("/etc/") and file in files:
            here = pathlib.Path(folder) / file
            here.write_text(files[file])
            return f"{flag}={here}"
    return argument


def environment(container):
    return {variable["name"]: variable.get("value", SECRETS.get(variable["name"], "")) for variable in container.get("env", [])}


def ingress(things, routes):
    """Every route reaches the role that serves it, by the longest prefix; operations' own routes reach nobody."""
    for thing in (thing for thing in things if thing["kind"] == "Ingress"):
        paths = {path["path"]: path["backend"]["service"]["name"] for rule in thing["spec"]["rules"] for path in rule["http"]["paths"]}
        for role, served in routes.items():
            for route in served:
                fitting = [prefix for prefix in paths if route == prefix or route.startswith(prefix.rstrip("/") + "/")]
                service = paths[max(fitting, key=len)] if fitting else None
                if service not in (f"backend-{role}", "backend"):
                    yield f"ingress: {route} of {role} goes to {service}"
        for route in ("/metrics", "/healthz", "/readyz"):
            if any(route == prefix or route.startswith(prefix.rstrip("/") + "/") for prefix in paths):
                yield f"ingress: {route} is open to the world"


def rights(things, role):
    """The release's role may make everything that the chart has. Rights themselves are an administrator's to give."""
    for thing in things:
        group = thing["apiVersion"].rpartition("/")[0]
        kind = thing["kind"].lower()
        resource = kind[:-1] + "ies" if kind.endswith("y") else kind + ("es" if kind.endswith("s") else "s")
        covered = any(group in rule["apiGroups"] and resource in rule["resources"] and "create" in rule["verbs"] for rule in role["rules"])
        if not covered and group != "rbac.authorization.k8s.io":
            yield f"deploy/ci/rights.yaml: a release may not make {resource} of {group or 'the core'}"
