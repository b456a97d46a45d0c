"""Manifests beside the code: arguments the programs take, variables they read, routes the ingress knows. Must know nothing
of schemas."""

import re


def programs(things_of_pods):
    """(owner, container, image's name) of every container that runs a program of ours."""
    for owner, _, spec in things_of_pods:
        for container in spec["containers"]:
            found = re.search(r"tickwright-([a-z-]+)[:@]", container["image"])
            if found:
                yield owner, container, found.group(1)


def arguments(pods, binaries, known_beside, label):
    for owner, container, image in programs(pods):
        name = f"{label(owner)}, {container['name']}"
        code, _, said = binaries.ask(image, tuple(container.get("args", [])))
        if code != 0:
            yield f"{name}: the program refuses its arguments: {said.strip().splitlines()[0] if said.strip() else code}"
        for variable in container.get("env", []):
            if variable["name"] not in binaries.variables(image) | known_beside:
                yield f"{name}: no program reads {variable['name']}"


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
