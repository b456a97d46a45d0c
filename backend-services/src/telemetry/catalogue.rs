//! Which metrics there are, in words, and that each is there from the start: an alert on a counter that comes into being
//! with its first fault sees no increase. A test compares this list with what the sources record.

use Kind::{Counter, Gauge, Histogram};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

struct Metric {
    kind: Kind,
    name: &'static str,
    help: &'static str,
    /// The label and its values that are there from the start; none: the metric has no label, or its values come with use.
    labels: Option<(&'static str, &'static [&'static str])>,
    /// Its labels are known with use alone.
    late: bool,
}

const fn metric(kind: Kind, name: &'static str, help: &'static str) -> Metric {
    Metric { kind, name, help, labels: None, late: false }
}

impl Metric {
    const fn by(mut self, label: &'static str, values: &'static [&'static str]) -> Self {
        self.labels = Some((label, values));
        self
    }

    const fn late(mut self) -> Self {
        self.late = true;
        self
    }
}

const METRICS: &[Metric] = &[
    metric(Histogram, "allocation_seconds", "Time to get a server for a match."),
    metric(Counter, "allocations_total", "Servers asked for, by what came of it.").by(
        "outcome",
        &["taken", "none_ready", "contention", "unreachable", "deadline", "refused", "bad_reply"],
    ),
    metric(Counter, "auth_token_theft_suspected_total", "Refresh tokens that were used twice."),
    metric(Histogram, "board_batch_scores", "Scores written at once."),
    metric(Counter, "board_mirror_misses_total", "Rows asked of the mirror that it did not have."),
    metric(Gauge, "board_ranks_whole", "1 while the boards' ranks are up to date."),
    metric(Counter, "board_seasons_closed_total", "Seasons closed."),
    metric(Counter, "config_reloads_total", "How often the settings file was read again.")
        .by("outcome", &["applied", "refused"]),
    metric(Gauge, "fleet_arrivals_per_second", "Players a second that the autoscaler sees, by fleet.").late(),
    metric(Gauge, "fleet_replicas_wanted", "Servers that the autoscaler wants, by fleet.").late(),
    metric(Histogram, "http_request_seconds", "Time of a request, by method and route.").late(),
    metric(Counter, "http_requests_total", "Requests, by method, route and status.").late(),
    metric(Counter, "matches_disbelieved_total", "Words on a match that were not its server's, by why.")
        .by("why", &["result_unsigned", "result_signature_wrong"]),
    metric(Counter, "matches_filled_total", "Running matches that got other players."),
    metric(Counter, "matches_finished_total", "Matches whose result counted."),
    metric(Gauge, "matches_live", "Matches under way."),
    metric(Counter, "matches_lost_total", "Matches without a result."),
    metric(Counter, "matches_not_started_total", "Matches that found no server; their tickets waited on."),
    metric(Counter, "matches_started_total", "Matches that got their server."),
    metric(Gauge, "matchmaking_leases", "Modes that this process makes matches of."),
    metric(Counter, "matchmaking_recovered_total", "Matches left half started and brought to an end."),
    metric(Gauge, "matchmaking_tickets", "Tickets that wait."),
    metric(Histogram, "matchmaking_wait_seconds", "Time from ticket to match."),
    metric(Counter, "player_states_saved_total", "Players' states that servers saved, by what came of it.")
        .late(),
    metric(Counter, "player_states_taken_total", "Players' states taken from a server that held them."),
    metric(Counter, "sanctions_total", "Kicks, bans and lifted bans that operators decided.")
        .by("kind", &["kick", "ban", "unban"]),
    metric(Counter, "ready_answers_total", "Answers to ready checks.")
        .by("answer", &["accepted", "declined"]),
    metric(Counter, "ready_checks_off_total", "Ready checks called off."),
    metric(Counter, "ready_checks_total", "Ready checks."),
];

/// Explains every metric to the recorder in place, and begins those whose labels are known.
pub(super) fn introduce() {
    for metric in METRICS {
        let (name, help) = (metric.name, metric.help);
        match metric.kind {
            Counter => metrics::describe_counter!(name, help),
            Gauge => metrics::describe_gauge!(name, help),
            Histogram => metrics::describe_histogram!(name, help),
        }
        let values = metric.labels.map_or(&[][..], |(_, values)| values);
        for value in values {
            let label = metric.labels.map_or("", |(label, _)| label);
            metrics::counter!(name, label => *value).increment(0);
        }
        if metric.labels.is_none() && !metric.late {
            match metric.kind {
                Counter => metrics::counter!(name).increment(0),
                Gauge => metrics::gauge!(name).increment(0.0),
                Histogram => drop(metrics::histogram!(name)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// Every name in a recording macro below `folder`.
    fn recorded(folder: &Path, names: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                recorded(&path, names);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for kind in ["counter", "gauge", "histogram"] {
                let call = format!("metrics::{kind}!(\"");
                let calls = text.split(&call).skip(1);
                names.extend(calls.filter_map(|rest| rest.split('"').next()).map(str::to_owned));
            }
        }
    }

    #[test]
    fn every_metric_is_explained_and_whole_from_the_start() {
        let mut names = BTreeSet::new();
        recorded(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut names);
        let listed: BTreeSet<String> = METRICS.iter().map(|metric| metric.name.to_owned()).collect();
        assert_eq!(listed, names);
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new()
            .set_buckets(&super::super::SECONDS)
            .unwrap()
            .build_recorder();
        metrics::with_local_recorder(&recorder, introduce);
        let families = operate::exposition::parse(&recorder.handle().render()).expect("what a scraper reads");
        for metric in METRICS.iter().filter(|metric| !metric.late) {
            let family = families.get(metric.name).unwrap_or_else(|| panic!("{} is not there", metric.name));
            assert_eq!(family.help, metric.help);
        }
    }
}
