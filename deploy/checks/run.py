"""Runs every check on deploy/ and says what is wrong. `--write` renders the plain manifests anew instead."""

import argparse
import json
import logging
import os
import pathlib
import sys
import time

# Helm tells of every symbolic link in the chart: the dashboards and rules are links on purpose.
logging.disable(logging.INFO)

import yaml

import documents
import manifests
import objects
import render
import source

# Made by somebody else: see deploy/README.md.
OUTSIDE = ["Secret/tickwright", "Secret/tickwright-b", "Secret/allocator-client", "Secret/allocator-tls-ca", "ConfigMap/postgres-ca"]


def plain(write):
    folder = render.DEPLOY / "agones"
    expected = {name: render.tidy(text) for name, text in render.plain()}
    there = {path.relative_to(folder).as_posix() for path in folder.glob("**/*.yaml")}
    for name in sorted(there - set(expected)):
        if write:
            (folder / name).unlink()
        else:
            yield f"deploy/agones/{name}: nothing renders it"
    for name, text in expected.items():
        path = folder / name
        if write:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            yield f"deploy/agones/{name}: is not what the chart renders (deploy/check --write)"


def chart(binaries):
    routes, beside, right = source.routes(), source.read_directly(), set()
    rights = list(yaml.safe_load_all((render.DEPLOY / "ci" / "rights.yaml").read_text()))
    role = rights[0]
    for thing in rights:
        yield from objects.shape(thing)
    for case, values in render.cases().items():
        things = list(render.documents(render.render(values)))
        found = [*render.lint(values)]
        for thing in things:
            # Most objects are the same in most cases.
            text = json.dumps(thing, sort_keys=True)
            if text not in right:
                wrong = list(objects.shape(thing))
                found += wrong
                right |= set() if wrong else {text}
        found += objects.together(things, OUTSIDE)
        maps = {thing["metadata"]["name"]: thing.get("data", {}) for thing in things if thing["kind"] == "ConfigMap"}
        found += manifests.arguments(objects.pods(things), maps, binaries, beside, objects.label)
        found += manifests.ingress(things, routes)
        found += manifests.rights(things, role)
        yield from (f"chart, {case}: {problem}" for problem in found)


def main():
    flags = argparse.ArgumentParser()
    flags.add_argument("--write", action="store_true")
    flags.add_argument("--bots", type=pathlib.Path)
    given = flags.parse_args()
    if given.write:
        list(plain(write=True))
        return 0
    binaries = source.Binaries(given.bots.resolve())
    problems, begun = [], time.monotonic()
    for title, check in [
        ("plain manifests", lambda: plain(write=False)),
        ("chart", lambda: chart(binaries)),
        ("container files", documents.containers),
        ("documents", lambda: documents.check(binaries)),
    ]:
        found = list(check())
        print(f"{title}: {'right' if not found else f'{len(found)} wrong'} ({time.monotonic() - begun:.1f} s)")
        problems += found
    for problem in problems:
        print(f"  {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    os.environ.setdefault("HELM_DEBUG", "false")
    sys.exit(main())
