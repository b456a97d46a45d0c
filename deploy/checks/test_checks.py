"""Breaks right objects one by one: each check must find what it is there for."""

import copy
import http.server
import pathlib
import subprocess
import tempfile
import threading
import unittest

import manifests
import objects
import render

THINGS = list(render.documents(render.render({"monitoring": {"enabled": True, "dashboards": False}})))
OUTSIDE = ["Secret/tickwright", "Secret/allocator-client", "Secret/allocator-tls-ca"]


def find(things, kind, name):
    return next(thing for thing in things if objects.label(thing) == f"{kind}/{name}")


class Checks(unittest.TestCase):
    def broken(self, kind, name, change, expected):
        """Changes one object and expects one complaint with these words, where there was none."""
        things = copy.deepcopy(THINGS)
        change(find(things, kind, name))
        changed = [thing for thing in things if thing not in THINGS]
        found = [problem for thing in changed for problem in objects.shape(thing)] + list(objects.together(things, OUTSIDE))
        self.assertTrue(any(expected in problem for problem in found), f"{expected!r} not in {found}")

    def test_what_is_rendered_is_right(self):
        found = [problem for thing in THINGS for problem in objects.shape(thing)] + list(objects.together(THINGS, OUTSIDE))
        self.assertEqual(found, [])

    def test_schemas(self):
        game = lambda fleet: fleet["spec"]["template"]["spec"]
        self.broken("Fleet", "arena", lambda fleet: game(fleet).update(healthz={}), "healthz")
        self.broken("Fleet", "arena", lambda fleet: game(fleet)["health"].update(periodSeconds=0), "minimum")
        self.broken("Fleet", "arena", lambda fleet: game(fleet)["ports"][0].update(protocol="QUIC"), "QUIC")
        self.broken("Fleet", "arena", lambda fleet: game(fleet)["ports"][0].update(hostPort=7777), "does not allow 7777")
        self.broken("Fleet", "arena", lambda fleet: game(fleet)["ports"][0].update(portPolicy="Passthrough"), "does not allow 7777")
        self.broken("Fleet", "arena", lambda fleet: game(fleet).update(eviction={"safe": "Sometimes"}), "Sometimes")
        self.broken("Fleet", "arena", lambda fleet: game(fleet)["template"]["spec"]["containers"][0].update(imagePullPolicy=7), "not of type")
        self.broken("Fleet", "arena", lambda fleet: game(fleet)["template"]["spec"].update(hostNetwrk=True), "hostNetwrk")
        self.broken("Deployment", "backend", lambda thing: thing["spec"].update(replica=3), "replica")
        self.broken("FleetAutoscaler", "arena", lambda thing: thing["spec"]["policy"].update(type="Buffer"), "'buffer' is a required")
        self.broken("PodMonitor", "game-servers", lambda thing: thing["spec"].update(selectr={}), "selectr")

    def test_bounds(self):
        def buffer(**settings):
            return lambda thing: thing["spec"].update(policy={"type": "Buffer", "buffer": settings})

        def counter(**settings):
            return lambda thing: thing["spec"].update(policy={"type": "Counter", "counter": {"key": "rooms", **settings}})

        self.broken("FleetAutoscaler", "arena", buffer(bufferSize=5, maxReplicas=4), "a buffer of 5")
        self.broken("FleetAutoscaler", "arena", buffer(bufferSize=5, minReplicas=2, maxReplicas=9), "a buffer of 5")
        self.broken("FleetAutoscaler", "arena", buffer(bufferSize="20%", maxReplicas=9), "needs minReplicas")
        self.broken("FleetAutoscaler", "arena", buffer(bufferSize="120%", minReplicas=1, maxReplicas=9), "120%")
        self.broken("FleetAutoscaler", "arena", counter(bufferSize=5, maxCapacity=4), "exclude each other")
        self.broken("FleetAutoscaler", "arena", counter(bufferSize=5, maxCapacity=9), "no counter rooms")

    def test_links(self):
        pod = lambda thing: thing["spec"]["template"]["spec"]
        game_pod = lambda thing: thing["spec"]["template"]["spec"]["template"]["spec"]
        self.broken("Service", "backend", lambda thing: thing["spec"]["ports"][0].update(targetPort="web"), "a port web")
        self.broken("Service", "backend", lambda thing: thing["spec"].update(selector={"app": "x"}), "no pod that it selects")
        self.broken("Deployment", "backend", lambda thing: thing["spec"]["selector"]["matchLabels"].update(app="x"), "its own pods")
        self.broken("Deployment", "backend", lambda thing: pod(thing)["volumes"].pop(), "mounts")
        self.broken("Deployment", "backend", lambda thing: pod(thing)["containers"][0].update(image="x:latest"), "no fixed version")
        self.broken("Deployment", "backend", lambda thing: pod(thing)["securityContext"].pop("runAsUser"), "unknown user")
        self.broken("Deployment", "backend", lambda thing: pod(thing)["containers"][0]["env"].append({"name": "REDIS_URL", "value": "x"}), "stands in the manifest")
        self.broken("Deployment", "backend", lambda thing: pod(thing)["containers"][0]["livenessProbe"]["httpGet"].update(port="web"), "asks port web")
        self.broken("Deployment", "backend", lambda thing: pod(thing).update(serviceAccountName="who"), "ServiceAccount/who")
        self.broken("HorizontalPodAutoscaler", "backend", lambda thing: thing["spec"]["scaleTargetRef"].update(name="x"), "Deployment/x")
        self.broken("PodDisruptionBudget", "backend", lambda thing: thing["spec"]["selector"]["matchLabels"].update(app="x"), "selects no pod")
        self.broken("FleetAutoscaler", "arena", lambda thing: thing["spec"].update(fleetName="x"), "Fleet/x")
        self.broken("FleetAutoscaler", "arena", lambda thing: thing["spec"]["policy"]["webhook"]["service"].update(port=80), "webhook is no Service's port")
        self.broken("NetworkPolicy", "game-servers", lambda thing: thing["spec"]["ingress"][0]["ports"][0].update(port=7000), "nobody listens on")
        self.broken("ServiceMonitor", "backend", lambda thing: thing["spec"]["endpoints"][0].update(port="metrics"), "a port named metrics")
        self.broken("PodMonitor", "game-servers", lambda thing: thing["spec"]["podMetricsEndpoints"][0].update(port="metrics"), "a port named metrics")
        self.broken("Fleet", "arena", lambda thing: game_pod(thing).update(terminationGracePeriodSeconds=30), "before its drain")
        self.broken("Fleet", "arena", lambda thing: thing["metadata"].update(name="arena2"), "Fleet/arena, which")

    def test_values(self):
        for values in [{"fleets": {"arena": {"eviction": "Sometimes"}}}, {"fleets": {"b": {"eviction": "Never"}}},
                       {"image": {"digests": {"backend": "latest"}}}, {"backend": {"roles": {"boards": {}}}},
                       {"gameServer": {"region": "EU West"}}]:
            with self.assertRaises(Exception, msg=values):
                render.render(values)

    def test_programs(self):
        class Binaries:
            """Knows one flag and one variable."""

            def judge(self, image, arguments, environment):
                wrong = [argument for argument in arguments if not argument.startswith("--port=")]
                return (2 if wrong else 0, f"error: unexpected argument {wrong}")

            def variables(self, image):
                return {"TICKWRIGHT_KEY"}

        def pod(arguments, variable):
            container = {"name": "c", "image": "r/tickwright-arena-server:1", "args": arguments, "env": [{"name": variable}]}
            return [({"kind": "Fleet", "metadata": {"name": "f"}}, {}, {"containers": [container]})]

        check = lambda arguments, variable: list(manifests.arguments(pod(arguments, variable), {}, Binaries(), set(), objects.label))
        self.assertEqual(check(["--port=1"], "TICKWRIGHT_KEY"), [])
        self.assertIn("refuses its settings", check(["--prot=1"], "TICKWRIGHT_KEY")[0])
        self.assertIn("no program reads TICKWRIGHT_KEE", check(["--port=1"], "TICKWRIGHT_KEE")[0])

    def test_rights(self):
        rule = {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["create"]}
        wanted = [thing for thing in THINGS if thing["kind"] in ("Deployment", "Fleet")]
        found = list(manifests.rights(wanted, {"rules": [rule]}))
        self.assertEqual(found, ["deploy/ci/rights.yaml: a release may not make fleets of agones.dev"])

    def test_ingress(self):
        things = list(render.documents(render.render(render.values_file("values-split.yaml"))))
        routes = {"accounts": {"/v1/me"}, "leaderboards": {"/v1/me/progression"}}
        self.assertEqual(list(manifests.ingress(things, routes)), [])
        routes = {"accounts": {"/v2/me"}, "leaderboards": {"/v1/me/progress"}}
        self.assertEqual(len(list(manifests.ingress(things, routes))), 2)
        paths = find(things, "Ingress", "backend")["spec"]["rules"][0]["http"]["paths"]
        paths.append({"path": "/", "backend": {"service": {"name": "backend-accounts"}}})
        self.assertTrue(any("/metrics" in problem for problem in manifests.ingress(things, {})))


class Page(http.server.BaseHTTPRequestHandler):
    """Health is good, readiness is not."""

    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 503)
        self.end_headers()

    def log_message(self, *words):
        pass


class Probe(unittest.TestCase):
    def test_it_tells_well_from_ill(self):
        with tempfile.TemporaryDirectory() as folder, http.server.HTTPServer(("127.0.0.1", 0), Page) as server:
            probe = pathlib.Path(folder) / "probe"
            source = render.DEPLOY / "container" / "probe.rs"
            subprocess.run(["rustc", "--edition", "2024", "-D", "warnings", source, "-o", probe], check=True, cwd=folder)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            ask = lambda *arguments: subprocess.run([probe, *map(str, arguments)], capture_output=True, timeout=30).returncode
            port = server.server_port
            self.assertEqual([ask(port), ask(port, "/healthz"), ask(port, "/readyz"), ask()], [0, 0, 1, 2])
            server.shutdown()
            server.server_close()
            self.assertEqual(ask(port), 1, "nobody listens")


if __name__ == "__main__":
    unittest.main()
