"""What the code itself says: flags and variables by running the binaries, routes and metrics by reading the source. Must
know nothing of manifests."""

import functools
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# The image's name, and the role under which the one executable of `cargo run` is the same program.
ROLES = {"arena-server": "arena-server", "backend": "backend"}


class Binaries:
    """The programs, as roles of the `bots` executable."""

    def __init__(self, bots):
        self.bots = str(bots)

    @functools.lru_cache(maxsize=None)
    def ask(self, image, arguments):
        """Gives a program its arguments and `--help` after them: it parses them all, then prints help instead of running.
        Its exit code, what it printed, what it complained of."""
        command = [self.bots, "role", ROLES[image], "--", *arguments, "--help"]
        # No environment: the manifest's is all that a container has.
        done = subprocess.run(command, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, timeout=30, check=False)
        return done.returncode, done.stdout, done.stderr

    def judge(self, image, arguments, environment):
        """Has a program check all its settings together, where it can: its exit code and what it complained of."""
        if "--check-config" not in self.flags(image):
            code, _, said = self.ask(image, tuple(arguments))
            return code, said
        command = [self.bots, "role", ROLES[image], "--", *arguments, "--check-config"]
        done = subprocess.run(command, env={"PATH": "/usr/bin:/bin", **environment}, capture_output=True, text=True, timeout=30, check=False)
        return done.returncode, done.stderr

    def variables(self, image):
        """Environment variables that its help names."""
        return set(re.findall(r"\[env: ([A-Z0-9_]+)", self.ask(image, ())[1]))

    def flags(self, image):
        return set(re.findall(r"^\s+(?:-\w, )?(--[a-z][a-z0-9-]*)", self.ask(image, ())[1], re.MULTILINE))


@functools.lru_cache(maxsize=None)
def sources():
    """All Rust source below the crates that are deployed, tests left out."""
    folders = ["server-runtime", "backend-services", "agones-sdk", "bots", "netcode/transport"]
    found = [path for folder in folders for path in (ROOT / folder).glob("**/src/**/*.rs")]
    return {path.relative_to(ROOT).as_posix(): path.read_text() for path in found}


def read_directly():
    """Variables that are read beside the flags."""
    pattern = re.compile(r'(?:from_env|env::var|env::var_os|try_from_env)\("([A-Z0-9_]+)"\)')
    found = {name for text in sources().values() for name in pattern.findall(text)}
    return found | {"RUST_LOG"}


def routes():
    """Paths of the REST API by the role that serves them, as `App::routes` puts them together."""
    app = sources()["backend-services/src/app.rs"]
    table = app[app.index("pub fn routes(") :]
    found = {}
    for role, body in re.findall(r"role\.has\(Role::(\w+)\) \{(.*?)\n        \}", table, re.DOTALL):
        for room in re.findall(r"crate::(\w+)::routes::routes\(\)", body):
            text = sources()[f"backend-services/src/{room}/routes.rs"]
            paths = re.findall(r'\.(?:get|post|put|delete|patch)\(\s*"(/[^"]+)"', text)
            found.setdefault(role.lower(), set()).update(paths)
    if sorted(found) != ["accounts", "leaderboards", "matchmaking"]:
        raise LookupError(f"App::routes reads as {sorted(found)}: is it written otherwise now?")
    return found


def words():
    """Every string in the source that could be a metric's name."""
    return {word for text in sources().values() for word in re.findall(r'"([a-z][a-z0-9]*(?:_[a-z0-9]+)+)"', text)}


def paths():
    """Every path that something of ours answers."""
    return {path for text in sources().values() for path in re.findall(r'"(/[a-zA-Z0-9_./{}:-]+)"', text)}
