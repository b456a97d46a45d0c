//! Owns: a FleetAutoscaler object as text, and Agones' own rules of what is one.
//! Must never know: a fleet. What a policy wants is its own file's.
//!
//! Read is the whole object, or its `spec` alone; JSON or YAML. `Wasm` is refused by name.

use std::time::Duration;

use serde::Deserialize;

use super::buffer::{BufferPolicy, BufferSize};
use super::counted::{Counted, CountedPolicy};
use super::schedule::{Period, Schedule};
use super::{Autoscaler, ChainEntry, Policy, Sync, Webhook};
use crate::text;

/// Agones asks so often unless the object says otherwise.
const SYNC_DEFAULT: Duration = Duration::from_secs(30);
/// Schedules inside schedules end here; more is refused.
const DEPTH_MAX: u32 = 8;
/// More entries are refused: each may cost a webhook's deadline.
const CHAIN_MAX: usize = 64;

/// Why a FleetAutoscaler is none: where, and what.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {what}")]
pub struct PolicyError {
    /// The field, for example `policy.chain[1].webhook`.
    pub path: String,
    /// What is wrong with it.
    pub what: String,
}

#[derive(Deserialize)]
struct ObjectText {
    spec: SpecText,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpecText {
    policy: PolicyText,
    sync: Option<SyncText>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SyncText {
    #[serde(default)]
    r#type: String,
    fixed_interval: Option<IntervalText>,
}

#[derive(Deserialize)]
struct IntervalText {
    seconds: i64,
}

#[derive(Deserialize)]
struct PolicyText {
    #[serde(default)]
    id: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    buffer: Option<BufferText>,
    webhook: Option<WebhookText>,
    counter: Option<CountedText>,
    list: Option<CountedText>,
    schedule: Option<Box<ScheduleText>>,
    chain: Option<Vec<PolicyText>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BufferText {
    buffer_size: SizeText,
    #[serde(default)]
    min_replicas: i64,
    max_replicas: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CountedText {
    key: String,
    buffer_size: SizeText,
    #[serde(default)]
    min_capacity: i64,
    max_capacity: i64,
}

/// A number, or a text such as `25%`.
#[derive(Deserialize)]
#[serde(untagged)]
enum SizeText {
    Count(i64),
    Text(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WebhookText {
    url: Option<String>,
    service: Option<ServiceText>,
    /// PEM, in base64.
    ca_bundle: Option<String>,
}

#[derive(Deserialize)]
struct ServiceText {
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    path: String,
    port: Option<u16>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScheduleText {
    #[serde(default)]
    between: BetweenText,
    #[serde(default)]
    active_period: PeriodText,
    policy: PolicyText,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct BetweenText {
    start: Option<String>,
    end: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PeriodText {
    timezone: String,
    start_cron: String,
    duration: String,
}

impl Autoscaler {
    /// Reads a FleetAutoscaler: the whole object as `kubectl` takes it, or its `spec` alone; JSON or YAML.
    ///
    /// # Errors
    /// It is none, by Agones' own rules.
    pub fn parse(source: &str) -> Result<Self, PolicyError> {
        let spec = match text::parse::<ObjectText>(source) {
            Ok(object) => object.spec,
            // The error of the form that it is closer to.
            Err(whole) => text::parse::<SpecText>(source).map_err(|alone| {
                let what = if source.contains("spec") { whole } else { alone };
                fault("autoscaler", what)
            })?,
        };
        let policy = policy(spec.policy, "policy", 0)?;
        Ok(Self { policy, sync: spec.sync.map_or(Ok(Sync::Every(SYNC_DEFAULT)), sync)? })
    }

    /// Checks what was put together in code.
    ///
    /// # Errors
    /// A policy that is none, or one that asks a webhook at every change.
    pub fn validate(&self) -> Result<(), PolicyError> {
        if self.sync == Sync::EveryChange && !self.policy.webhooks().is_empty() {
            return Err(fault("sync", "a webhook is asked at fixed intervals only"));
        }
        check(&self.policy, "policy")
    }
}

fn sync(text: SyncText) -> Result<Sync, PolicyError> {
    if !matches!(text.r#type.as_str(), "" | "FixedInterval") {
        return Err(fault("sync.type", format!("{:?} is not FixedInterval", text.r#type)));
    }
    let Some(interval) = text.fixed_interval else { return Ok(Sync::Every(SYNC_DEFAULT)) };
    match u64::try_from(interval.seconds) {
        Ok(seconds @ 1..) => Ok(Sync::Every(Duration::from_secs(seconds))),
        _ => Err(fault("sync.fixedInterval.seconds", "must be above 0")),
    }
}

fn policy(text: PolicyText, path: &str, depth: u32) -> Result<Policy, PolicyError> {
    if depth > DEPTH_MAX {
        return Err(fault(path, format!("more than {DEPTH_MAX} policies inside each other")));
    }
    let at = |field: &str| format!("{path}.{field}");
    let missing = |field: &str| fault(at(field), "is missing");
    let policy = match text.kind.as_str() {
        "Buffer" => buffer(&text.buffer.ok_or_else(|| missing("buffer"))?, &at("buffer"))?,
        "Counter" => {
            counted(Counted::Counter, text.counter.ok_or_else(|| missing("counter"))?, &at("counter"))?
        }
        "List" => counted(Counted::List, text.list.ok_or_else(|| missing("list"))?, &at("list"))?,
        "Webhook" => webhook(text.webhook.ok_or_else(|| missing("webhook"))?, &at("webhook"))?,
        "Schedule" => schedule(*text.schedule.ok_or_else(|| missing("schedule"))?, &at("schedule"), depth)?,
        "Chain" => {
            let entries = text.chain.ok_or_else(|| missing("chain"))?;
            let entry = |(index, entry): (usize, PolicyText)| {
                let id = entry.id.clone().unwrap_or_else(|| index.to_string());
                let policy = policy(entry, &format!("{path}.chain[{index}]"), depth + 1)?;
                Ok(ChainEntry { id, policy })
            };
            Policy::Chain(entries.into_iter().enumerate().map(entry).collect::<Result<_, _>>()?)
        }
        kind => {
            let known = "Buffer, Counter, List, Webhook, Schedule, Chain";
            return Err(fault(at("type"), format!("{kind:?} is none of {known}")));
        }
    };
    check(&policy, path)?;
    Ok(policy)
}

/// Agones' rules for a policy that is whole.
fn check(policy: &Policy, path: &str) -> Result<(), PolicyError> {
    match policy {
        Policy::Buffer(buffer) => buffer.validate().map_err(|error| fault(format!("{path}.buffer"), error)),
        Policy::Counted(counted) => check_counted(counted, path),
        Policy::Webhook(_) => Ok(()),
        Policy::Schedule(schedule) => {
            if let (Some(start), Some(end)) = (schedule.start, schedule.end)
                && end < start
            {
                return Err(fault(format!("{path}.schedule.between"), "start must be before end"));
            }
            check(&schedule.policy, &format!("{path}.schedule.policy"))
        }
        Policy::Chain(entries) => {
            let path = format!("{path}.chain");
            if entries.is_empty() || entries.len() > CHAIN_MAX {
                return Err(fault(path, format!("must have 1 to {CHAIN_MAX} entries")));
            }
            for (index, entry) in entries.iter().enumerate() {
                let path = format!("{path}[{index}]");
                if entries[..index].iter().any(|before| before.id == entry.id) {
                    return Err(fault(path, format!("id {:?} is not unique", entry.id)));
                }
                if matches!(entry.policy, Policy::Chain(_)) {
                    return Err(fault(path, "a chain cannot be part of a chain"));
                }
                check(&entry.policy, &path)?;
            }
            Ok(())
        }
    }
}

fn check_counted(counted: &CountedPolicy, path: &str) -> Result<(), PolicyError> {
    let CountedPolicy { buffer, min, max, kind, .. } = counted;
    let path = format!("{path}.{}", kind.name().to_lowercase());
    let refuse = |what: String| Err(fault(path, what));
    match buffer {
        BufferSize::Count(0) => return refuse("bufferSize must be above 0".into()),
        BufferSize::Count(buffer) if *max < i64::from(*buffer) => {
            return refuse(format!("maxCapacity must be at least bufferSize ({buffer}), found {max}"));
        }
        BufferSize::Count(buffer) if *min != 0 && *min < i64::from(*buffer) => {
            return refuse(format!("minCapacity must be 0 or at least bufferSize ({buffer}), found {min}"));
        }
        BufferSize::Percent(percent) if !(1..=99).contains(percent) => {
            return refuse(format!("bufferSize must be between 1% and 99%, found {percent}%"));
        }
        BufferSize::Percent(_) if *min < 1 => {
            return refuse("minCapacity must be at least 1 with a bufferSize in percent".into());
        }
        _ => {}
    }
    if min > max {
        refuse(format!("minCapacity ({min}) must not be above maxCapacity ({max})"))
    } else {
        Ok(())
    }
}

fn buffer(text: &BufferText, path: &str) -> Result<Policy, PolicyError> {
    let count = |field: &str, count: i64| {
        u32::try_from(count)
            .map_err(|_| fault(format!("{path}.{field}"), format!("{count} is no number of servers")))
    };
    Ok(Policy::Buffer(BufferPolicy {
        buffer: size(&text.buffer_size, path)?,
        min: count("minReplicas", text.min_replicas)?,
        max: count("maxReplicas", text.max_replicas)?,
    }))
}

fn counted(kind: Counted, text: CountedText, path: &str) -> Result<Policy, PolicyError> {
    let buffer = size(&text.buffer_size, path)?;
    Ok(Policy::Counted(CountedPolicy {
        kind,
        key: text.key,
        buffer,
        min: text.min_capacity,
        max: text.max_capacity,
    }))
}

fn size(text: &SizeText, path: &str) -> Result<BufferSize, PolicyError> {
    let path = || format!("{path}.bufferSize");
    match text {
        SizeText::Count(count) => u32::try_from(*count)
            .map(BufferSize::Count)
            .map_err(|_| fault(path(), format!("{count} must be above 0"))),
        SizeText::Text(text) if text.ends_with('%') => {
            text.parse().map_err(|error: String| fault(path(), error))
        }
        SizeText::Text(text) => Err(fault(path(), format!("{text:?} is neither a number nor a percentage"))),
    }
}

fn webhook(text: WebhookText, path: &str) -> Result<Policy, PolicyError> {
    let ca_pem = text.ca_bundle.map(|bundle| decode_bundle(&bundle)).transpose();
    let ca_pem = ca_pem.map_err(|what| fault(format!("{path}.caBundle"), what))?;
    let url = match (text.url, text.service) {
        (Some(url), None) => url,
        (None, Some(service)) => service_url(&service, ca_pem.is_some()),
        (Some(_), Some(_)) => return Err(fault(path, "url and service cannot be used together")),
        (None, None) => return Err(fault(path, "url or service is needed")),
    };
    Webhook::new(&url, ca_pem.as_deref()).map(Policy::Webhook).map_err(|what| fault(path, what))
}

fn service_url(service: &ServiceText, secure: bool) -> String {
    let scheme = if secure { "https" } else { "http" };
    let namespace = if service.namespace.is_empty() { "default" } else { &service.namespace };
    let slash = if service.path.is_empty() || service.path.starts_with('/') { "" } else { "/" };
    let port = service.port.unwrap_or(8000);
    format!("{scheme}://{}.{namespace}.svc:{port}{slash}{}", service.name, service.path)
}

fn decode_bundle(bundle: &str) -> Result<String, String> {
    let pem = data_encoding::BASE64
        .decode(bundle.trim().as_bytes())
        .map_err(|error| format!("no base64: {error}"))?;
    String::from_utf8(pem).map_err(|_| "no PEM".to_owned())
}

fn schedule(text: ScheduleText, path: &str, depth: u32) -> Result<Policy, PolicyError> {
    let time = |field: &str, text: Option<String>| {
        let parsed = text.filter(|text| !text.is_empty()).map(|text| {
            chrono::DateTime::parse_from_rfc3339(&text)
                .map(|time| time.to_utc())
                .map_err(|error| fault(format!("{path}.between.{field}"), format!("{text:?}: {error}")))
        });
        parsed.transpose()
    };
    let PeriodText { timezone, start_cron, duration } = text.active_period;
    let period = (!start_cron.is_empty()).then(|| Period::new(&start_cron, &timezone, &duration)).transpose();
    let schedule = Schedule {
        start: time("start", text.between.start)?,
        end: time("end", text.between.end)?,
        period: period.map_err(|what| fault(format!("{path}.activePeriod"), what))?,
        policy: policy(text.policy, &format!("{path}.policy"), depth + 1)?,
    };
    Ok(Policy::Schedule(Box::new(schedule)))
}

fn fault(path: impl Into<String>, what: impl std::fmt::Display) -> PolicyError {
    PolicyError { path: path.into(), what: format!("{what}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_object_is_read_in_either_form() {
        let yaml = "
apiVersion: autoscaling.agones.dev/v1
kind: FleetAutoscaler
metadata: { name: arena }
spec:
  fleetName: arena
  policy:
    type: Webhook
    webhook:
      service: { name: autoscaler, namespace: games, path: scale, port: 8000 }
  sync: { type: FixedInterval, fixedInterval: { seconds: 5 } }
";
        let found = Autoscaler::parse(yaml).unwrap();
        let webhook = Webhook::new("http://autoscaler.games.svc:8000/scale", None).unwrap();
        assert_eq!(found.policy, Policy::Webhook(webhook));
        assert_eq!(found.sync, Sync::Every(Duration::from_secs(5)));
        let json = r#"{"policy":{"type":"Counter","counter":{"key":"rooms","bufferSize":"20%","minCapacity":10,"maxCapacity":90}}}"#;
        let found = Autoscaler::parse(json).unwrap();
        let counter = CountedPolicy {
            kind: Counted::Counter,
            key: "rooms".into(),
            buffer: BufferSize::Percent(20),
            min: 10,
            max: 90,
        };
        assert_eq!((found.policy, found.sync), (Policy::Counted(counter), Sync::Every(SYNC_DEFAULT)));
    }

    #[test]
    fn the_manifests_that_we_deploy_are_read() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/agones/");
        for (file, kind) in [("autoscaler.yaml", "Webhook"), ("optional/autoscaler-buffer.yaml", "Buffer")] {
            let text = std::fs::read_to_string(format!("{folder}{file}")).unwrap();
            let object = text.split("\n---").next().unwrap();
            assert_eq!(Autoscaler::parse(object).unwrap().policy.kind(), kind, "{file}");
        }
    }

    #[test]
    fn a_chain_keeps_its_order() {
        let json = r#"{"policy":{"type":"Chain","chain":[
            {"id":"launch","type":"Schedule","schedule":{
                "between":{"start":"2026-02-20T16:04:04Z","end":"2026-02-21T16:04:04Z"},
                "activePeriod":{"timezone":"America/New_York","startCron":"0 18 * * 5","duration":"4h"},
                "policy":{"type":"Buffer","buffer":{"bufferSize":50,"minReplicas":50,"maxReplicas":200}}}},
            {"type":"Webhook","webhook":{"url":"https://predict.example/scale"}},
            {"id":"spare","type":"List","list":{"key":"players","bufferSize":8,"maxCapacity":99}}]}}"#;
        let Policy::Chain(entries) = Autoscaler::parse(json).unwrap().policy else { panic!("a chain") };
        let found: Vec<_> = entries.iter().map(|entry| (entry.id.as_str(), entry.policy.kind())).collect();
        assert_eq!(found, [("launch", "Schedule"), ("1", "Webhook"), ("spare", "List")]);
    }

    #[track_caller]
    fn check(policy: &str, expected: &str) {
        let error = Autoscaler::parse(&format!(r#"{{"policy":{policy}}}"#)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn what_agones_refuses_is_refused_by_name() {
        check(r#"{"type":"Buffer"}"#, "policy.buffer: is missing");
        check(r#"{"type":"Wasm","wasm":{}}"#, "policy.type: \"Wasm\"");
        let buffer = |inner: &str| format!(r#"{{"type":"Buffer","buffer":{{{inner}}}}}"#);
        check(&buffer(r#""bufferSize":5,"maxReplicas":2"#), "max must be at least the buffer (5)");
        check(&buffer(r#""bufferSize":"5","maxReplicas":9"#), "neither a number nor a percentage");
        check(&buffer(r#""bufferSize":"0%","minReplicas":1,"maxReplicas":9"#), "between 1% and 99%");
        check(&buffer(r#""bufferSize":-1,"maxReplicas":9"#), "must be above 0");
        let list = |inner: &str| format!(r#"{{"type":"List","list":{{"key":"p",{inner}}}}}"#);
        check(&list(r#""bufferSize":0,"maxCapacity":9"#), "policy.list: bufferSize must be above 0");
        check(&list(r#""bufferSize":5,"maxCapacity":4"#), "maxCapacity must be at least bufferSize (5)");
        check(
            &list(r#""bufferSize":5,"minCapacity":4,"maxCapacity":9"#),
            "minCapacity must be 0 or at least",
        );
        check(&list(r#""bufferSize":"5%","maxCapacity":9"#), "minCapacity must be at least 1");
        check(&list(r#""bufferSize":"5%","minCapacity":9,"maxCapacity":8"#), "must not be above maxCapacity");
        let webhook = |inner: &str| format!(r#"{{"type":"Webhook","webhook":{{{inner}}}}}"#);
        check(&webhook(""), "url or service is needed");
        check(&webhook(r#""url":"http://h/","service":{"name":"s"}"#), "cannot be used together");
        check(&webhook(r#""url":"http://h/","caBundle":"%%%""#), "policy.webhook.caBundle: no base64");
        check(&webhook(r#""url":"h""#), "policy.webhook: url");
        check(r#"{"type":"Chain","chain":[]}"#, "1 to 64 entries");
        let entry = buffer(r#""bufferSize":1,"maxReplicas":9"#).replacen('{', r#"{"id":"a","#, 1);
        check(
            &format!(r#"{{"type":"Chain","chain":[{entry},{entry}]}}"#),
            "policy.chain[1]: id \"a\" is not unique",
        );
        check(
            &format!(r#"{{"type":"Chain","chain":[{{"type":"Chain","chain":[{entry}]}}]}}"#),
            "part of a chain",
        );
        let cron =
            r#"{"type":"Schedule","schedule":{"activePeriod":{"startCron":"x"},"policy":{"type":"Buffer"}}}"#;
        check(cron, "policy.schedule.activePeriod: startCron");
    }

    #[test]
    fn depth_and_intervals_have_limits() {
        let mut policy = r#"{"type":"Buffer","buffer":{"bufferSize":1,"maxReplicas":9}}"#.to_owned();
        for _ in 0..=DEPTH_MAX {
            policy = format!(r#"{{"type":"Schedule","schedule":{{"policy":{policy}}}}}"#);
        }
        check(&policy, "more than 8 policies inside each other");
        let sync = r#"{"policy":{"type":"Buffer","buffer":{"bufferSize":1,"maxReplicas":9}},"sync":{"fixedInterval":{"seconds":0}}}"#;
        assert_eq!(Autoscaler::parse(sync).unwrap_err().path, "sync.fixedInterval.seconds");
        let webhook = Policy::Webhook(Webhook::new("http://h/", None).unwrap());
        let restless = Autoscaler { policy: webhook, sync: Sync::EveryChange };
        assert_eq!(restless.validate().unwrap_err().path, "sync");
    }
}
