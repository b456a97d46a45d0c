"""Runs checkov over Terraform, container files, manifests and the workflow. Owns what is passed over in manifests, with the
reason; Terraform's exceptions stand beside the resource as `checkov:skip=ID:reason`."""

import pathlib
import shutil
import subprocess
import sys
import tempfile

import yaml

DEPLOY = pathlib.Path(__file__).resolve().parent.parent
PASSED_OVER = {
    "CKV_K8S_11": "CPU limits throttle a server in the middle of a tick; requests keep neighbours apart, memory has limits",
    "CKV_K8S_15": "images are deployed by digest, or by a version that is pushed once",
    "CKV_K8S_43": "CI gives the digests (image.digests); the chart alone cannot know them",
    "CKV_K8S_35": "the programs read secrets from their environment; nothing else runs in their containers",
    "CKV_K8S_8": "a game server is watched by Agones, which asks for signs of life; a probe beside it would judge twice",
    "CKV_K8S_9": "the same: who is Ready is said to Agones",
    "CKV_GHA_7": "a rollback by hand must be told where and to what; it builds nothing",
    "CKV_K8S_38": "the Agones sidecar in a game server's pod uses the service account that Agones gives it",
}


def manifests(folder):
    """The plain manifests, and game servers' pods once more as Deployments: checkov knows no Fleets."""
    for path in sorted((DEPLOY / "agones").glob("**/*.yaml")):
        things = list(yaml.safe_load_all(path.read_text()))
        for thing in things:
            if thing["kind"] == "Fleet":
                template = thing["spec"]["template"]["spec"]["template"]
                things.append({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {**thing["metadata"], "name": f"fleet-{thing['metadata']['name']}"},
                               "spec": {"selector": {"matchLabels": template["metadata"]["labels"]}, "template": template}})
        (folder / path.name).write_text(yaml.safe_dump_all(things))


def main():
    checkov = pathlib.Path(sys.executable).parent / "checkov"
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "kubernetes").mkdir()
        manifests(folder / "kubernetes")
        shutil.copy(DEPLOY / "ci" / "rights.yaml", folder / "kubernetes" / "ci-rights.yaml")
        (folder / "containers").mkdir()
        for path in (DEPLOY / "container").glob("*.Containerfile"):
            shutil.copy(path, folder / "containers" / f"Dockerfile.{path.stem}")
        shutil.copytree(DEPLOY.parent / ".github", folder / "workflow" / ".github")
        wrong = 0
        for framework, where in [("terraform", DEPLOY / "terraform"), ("secrets", DEPLOY), ("kubernetes", folder / "kubernetes"),
                                 ("dockerfile", folder / "containers"), ("github_actions", folder / "workflow")]:
            command = [checkov, "-d", where, "--framework", framework, "--compact", "--quiet", "--skip-download", "--skip-check", ",".join(PASSED_OVER)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            summary = next((line for line in done.stdout.splitlines() if line.startswith("Passed checks")), "nothing wrong")
            print(f"checkov, {framework}: {summary}")
            if done.returncode:
                print(done.stdout, done.stderr)
                wrong = 1
    workflows = sorted((DEPLOY.parent / ".github" / "workflows").glob("*.yaml"))
    form = subprocess.run([checkov.parent / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows], check=False)
    return wrong or form.returncode


if __name__ == "__main__":
    sys.exit(main())
