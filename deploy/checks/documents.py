"""Documents and container files beside the code: every flag, metric, path and package that they name is there."""

import json
import re
import subprocess
import sys

import source

DOCUMENTS = ["docs/operations.md", "deploy/README.md"]
# Metrics of others that the documents may name.
FOREIGN = re.compile(r"^(kube|agones|container|node|pg|aws|go|process|up)_")
# Words in backticks that look like metrics and are other systems' settings.
BESIDE = {"max_connections", "use_lockfile"}


def spans(text):
    """What stands in backticks, outside and inside of fenced blocks."""
    fenced = re.findall(r"```[a-z]*\n(.*?)```", text, re.DOTALL)
    return re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL)), fenced


def costs():
    """The table of costs is what the program computes."""
    table = subprocess.run([sys.executable, source.ROOT / "deploy" / "capacity.py", "--markdown"], capture_output=True, text=True, check=True).stdout
    if table not in (source.ROOT / "docs" / "operations.md").read_text():
        yield "docs/operations.md: its table of costs is not what deploy/capacity.py --markdown prints"


def check(binaries):
    yield from costs()
    flags = set().union(*(binaries.flags(image) for image in source.ROLES))
    for words in source.sources().values():
        flags |= {f"--{name}" for name in re.findall(r'long = "([a-z-]+)"', words)}
    metrics, fields = source.words(), set()
    for text in source.sources().values():
        flags |= {"--" + name.replace("_", "-") for name in re.findall(r"#\[arg\((?:.|\n)*?\)\]\s*(?:pub(?:\([a-z]+\))? )?([a-z_]+):", text)}
        fields |= set(re.findall(r"\b([a-z]+(?:_[a-z0-9]+)+)\b", text))
    for path in (source.ROOT / "deploy" / "terraform").glob("*.tf"):
        fields |= set(re.findall(r"\b([a-z]+(?:_[a-z0-9]+)+)\b", path.read_text()))
    for name in DOCUMENTS:
        text = (source.ROOT / name).read_text()
        inline, fenced = spans(text)
        for span in inline:
            for word in re.findall(r"(?<![\w./-])--[a-z][a-z0-9-]+", span):
                if word not in flags and not re.match(r"(kubectl|helm|terraform|aws|openssl|docker|podman|cargo|deploy/|benches |ethtool|scripts/|psql|redis-cli|pg_|--(release|features|profile|disable-tls|build-arg|set|values))", span):
                    yield f"{name}: no program of ours has {word} (in `{span}`)"
            for word in re.findall(r"\b[a-z][a-z0-9]*(?:_[a-z0-9]+)+\b", re.sub(r"\{[^}]*\}", "", span)):
                suffixed = {word, re.sub(r"_(bucket|sum|count)$", "", word)}
                if suffixed & metrics or suffixed & fields or FOREIGN.match(word) or word in BESIDE or "/" in span or "." in span:
                    continue
                yield f"{name}: nothing in the code is called {word}"
        for path in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
            if not (source.ROOT / name).parent.joinpath(path).exists():
                yield f"{name}: links {path}, which is not there"
        for path in {word for span in inline for word in re.findall(r"^(?:deploy|docs|benches|scripts|backend-services|server-runtime|agones-sdk|bots)/[\w./-]+$", span)}:
            if not (source.ROOT / path).exists():
                yield f"{name}: names {path}, which is not there"


def containers():
    """Container files: what they copy is there, what they build and take along exists, nobody runs as root."""
    metadata = subprocess.run(["cargo", "metadata", "--no-deps", "--format-version", "1", "--offline", "--locked"], cwd=source.ROOT,
                              capture_output=True, text=True, check=True).stdout
    packages = {package["name"]: package for package in json.loads(metadata)["packages"]}
    programs = {target["name"] for package in packages.values() for target in package["targets"] if "bin" in target["kind"]}
    files = sorted((source.ROOT / "deploy" / "container").glob("*.Containerfile"))
    if not files:
        yield "there are no container files"
    for file in files:
        text = file.read_text().replace("\\\n", " ")
        name = file.name
        for package in re.findall(r"(?:-p|--package)[ =]([\w-]+)", text):
            if package not in packages:
                yield f"{name}: builds {package}, which is no package"
        for program in re.findall(r"target/shipping/([\w-]+)", text):
            if program not in programs | {"probe"}:  # deploy/container/probe.rs
                yield f"{name}: takes {program}, which is no program"
        for feature in re.findall(r"--features[ =]([\w,/-]+)", text):
            for one in feature.split(","):
                package, _, flag = one.rpartition("/")
                if flag not in packages[package]["features"]:
                    yield f"{name}: {package} has no feature {flag}"
        users = re.findall(r"^USER (.+)$", text, re.MULTILINE)
        if not users or not re.fullmatch(r"\d+(:\d+)?", users[-1]) or users[-1].split(":")[0] == "0":
            yield f"{name}: its last USER must be a number, and not root's"
        if "HEALTHCHECK" not in text:
            yield f"{name}: says nothing of a health check"
        for image in re.findall(r"^(?:FROM|ARG \w+=)\s*([\w.-]+\.[a-z]+/[^\s]+)", text, re.MULTILINE):
            if ":" not in image or image.endswith(":latest"):
                yield f"{name}: {image} has no version"
