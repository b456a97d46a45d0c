//! Dashboards and alert rules against the running programs: every metric that they name is there, and every expression is
//! PromQL.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod promql;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A program of ours; killed with the test.
struct Program {
    child: Child,
    ready: serde_json::Value,
}

impl Program {
    fn start(args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_bots"))
            .arg("role")
            .args(args)
            .env("TICKWRIGHT_KEY", "11".repeat(32))
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, ready: serde_json::from_str(&line).unwrap() }
    }

    /// Names of all lines on its page of metrics, which must be sound.
    fn metrics(&self, at: &str) -> BTreeSet<String> {
        let url = format!("http://{}/metrics", self.ready[at].as_str().unwrap());
        // Twice: the first request is counted by then.
        support::get(&url);
        let text = support::get(&url);
        let text = text.split_once("\r\n\r\n").map_or(text.as_str(), |(_, body)| body);
        let families =
            operate::exposition::parse(text).unwrap_or_else(|flaw| panic!("{url}: {flaw}\n{text}"));
        let mut names: BTreeSet<String> = families.keys().cloned().collect();
        for family in families.values() {
            names.extend(family.samples.iter().map(|sample| sample.name.clone()));
        }
        names
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Every expression in files below `deploy/`, with where it stands.
fn expressions() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for folder in ["deploy/grafana", "deploy/prometheus"] {
        for entry in std::fs::read_dir(support::workspace().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let value: serde_json::Value = if path.extension().is_some_and(|end| end == "json") {
                serde_json::from_str(&text).unwrap()
            } else {
                serde_saphyr::from_str(&text).unwrap()
            };
            collect(&value, &path.display().to_string(), &mut all);
        }
    }
    all
}

fn collect(value: &serde_json::Value, place: &str, all: &mut Vec<(String, String)>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (key, value) in fields {
                match value.as_str().filter(|_| key == "expr") {
                    Some(expression) => all.push((place.to_owned(), expression.to_owned())),
                    None => collect(value, place, all),
                }
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, place, all)),
        _ => {}
    }
}

#[test]
fn what_is_no_query_is_refused() {
    for good in [
        "up",
        "sum by (a, b) (rate(x_total{le=\"1\",c!~\"5..\"}[5m])) / clamp_min(sum(y), 0.1) > 0.5",
        "histogram_quantile(0.99, sum(rate(x_bucket[1h])) by (le)) * 8",
        "sum(a) == 0 and sum(b) > bool 1 or topk(3, c)",
    ] {
        assert!(promql::metrics(good).is_ok(), "{good}: {:?}", promql::metrics(good));
    }
    for bad in [
        "",
        "sum(x",
        "sum(x))",
        "rate(x)",
        "rate(x[5])",
        "sum(rate(x[5m])",
        "x[5m]",
        "sum by le (x)",
        "x{a=1}",
        "x{a=\"1}",
        "x +",
        "x y",
        "frobnicate(x)",
        "1 and x",
        "histogram_quantile(x)",
    ] {
        assert!(promql::metrics(bad).is_err(), "{bad}");
    }
}

#[test]
fn every_metric_that_dashboards_and_alerts_name_is_there() {
    let expressions = expressions();
    let files: BTreeMap<&str, usize> = expressions.iter().fold(BTreeMap::new(), |mut files, (place, _)| {
        *files.entry(place.as_str()).or_default() += 1;
        files
    });
    assert!(files.len() >= 4 && files.values().all(|count| *count >= 5), "{files:?}");

    let state = tempfile::tempdir().unwrap();
    let folder = |name: &str| state.path().join(name).display().to_string();
    let server = Program::start(&["arena-server", "--standalone", "--bind=127.0.0.1", "--record-mib=0"]);
    let backend = Program::start(&["backend", "--role=accounts", "--state", &folder("backend")]);
    let mut known = server.metrics("admin");
    known.extend(backend.metrics("http"));
    // Those of a fleet that nobody has asked about yet: the list that a test of the backend compares with its sources.
    known.extend(["fleet_replicas_wanted", "fleet_arrivals_per_second"].map(str::to_owned));

    for (place, expression) in expressions {
        let plain = expression.replace("$__rate_interval", "5m").replace("$__range", "1h");
        let names = promql::metrics(&plain).unwrap_or_else(|error| panic!("{place}: {expression}: {error}"));
        assert!(!names.is_empty(), "{place}: {expression} asks for nothing");
        for name in names {
            assert!(known.contains(&name), "{place}: {expression}: nobody has {name}");
        }
    }
}
