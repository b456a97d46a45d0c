//! Log lines that follow the settings file, and metrics for Prometheus. Set up once a process.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use operate::{Settings, SettingsError, logs};
use tokio::signal::unix::{SignalKind, signal};

mod catalogue;

/// Upper bounds of latency buckets, seconds.
const SECONDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

static METRICS: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Follows the settings file: at SIGHUP it is read again, and the log level in it is in force. What else has changed in it
/// is named; a fault changes nothing. Without a file, SIGHUP ends the process as ever.
pub async fn follow_settings(settings: Option<Settings>) {
    let Some(mut settings) = settings.filter(|settings| settings.path().is_some()) else { return };
    let mut hangups = match signal(SignalKind::hangup()) {
        Ok(hangups) => hangups,
        Err(error) => return tracing::error!(%error, "SIGHUP cannot be watched"),
    };
    while hangups.recv().await.is_some() {
        let outcome = match reload(&settings) {
            Ok(read) => {
                settings = read;
                "applied"
            }
            Err(error) => {
                tracing::error!(%error, "settings refused; the old ones are in force");
                "refused"
            }
        };
        metrics::counter!("config_reloads_total", "outcome" => outcome).increment(1);
    }
}

fn reload(settings: &Settings) -> Result<Settings, SettingsError> {
    let read = settings.read_again()?;
    read.expect_sections(&[])?;
    let (mine, others): (Vec<&str>, Vec<&str>) =
        read.changed_since(settings).into_iter().partition(|key| *key == LOG_LEVEL);
    if let Some(filter) = mine.first().and_then(|key| read.value(key)?.parse().ok()) {
        logs::set_filter(&filter);
    }
    tracing::info!(applied = ?mine, "settings read again");
    if !others.is_empty() {
        tracing::warn!(keys = ?others, "changed in the file, and in force only after a restart");
    }
    let others: Vec<String> = others.into_iter().map(str::to_owned).collect();
    Ok(read.keeping(settings, &others))
}

/// The flag that may change while the process runs.
const LOG_LEVEL: &str = "log-level";

/// The process's metrics; `None` if somebody else's recorder is in place.
pub fn start_metrics() -> Option<PrometheusHandle> {
    let start = || {
        let builder = PrometheusBuilder::new().set_buckets(&SECONDS).ok()?;
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).ok()?;
        catalogue::introduce();
        Some(handle)
    };
    METRICS.get_or_init(start).clone()
}
