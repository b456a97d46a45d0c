//! Owns: the `fleet` command's flags and the configuration that they and their files make.
//! Must never know: what is done with it.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Parser;

use super::{Autoscaler, BufferPolicy, BufferSize, FleetConfig, RollingUpdate, Scheduling, Share, Template};
use crate::proto::allocation::{Priority, priority};
use crate::proto::sdk::game_server::status::{CounterStatus, ListStatus};
use crate::sidecar::HealthPolicy;
use crate::text;

/// A local fleet: server processes, each with an Agones sidecar, behind an Agones allocator.
#[derive(Parser, Debug)]
#[command(name = "fleet")]
pub(super) struct Flags {
    /// The fleet's name
    #[arg(long, default_value = "local")]
    name: String,
    /// Where the allocator (gRPC) listens; port 0 chooses a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where the HTTP pages listen; port 0 chooses a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    http: SocketAddr,
    /// Ready servers to keep beside the allocated ones: a count, or a share such as 25%
    #[arg(long, default_value = "2", conflicts_with = "autoscaler")]
    buffer: BufferSize,
    /// An Agones FleetAutoscaler (JSON or YAML) that says how many servers there should be; read again at SIGHUP
    #[arg(long, value_name = "FILE")]
    autoscaler: Option<PathBuf>,
    /// Servers at the start, until the autoscaler has been asked
    #[arg(long, default_value_t = 2, requires = "autoscaler")]
    replicas: u32,
    /// Never fewer servers than this
    #[arg(long, default_value_t = 0)]
    min: u32,
    /// Never more servers than this
    #[arg(long, default_value_t = 64)]
    max: u32,
    /// Folder for the servers' logs
    #[arg(long)]
    state: PathBuf,
    /// What servers are like, instead of COMMAND and the flags below (JSON or YAML: command, env, labels, counters,
    /// lists); read again at SIGHUP, which begins a rolling update
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,
    /// More environment for the servers; {port} and {name} are filled in
    #[arg(long, value_name = "K=V", value_parser = parse_pair)]
    env: Vec<(String, String)>,
    /// More labels on every server
    #[arg(long, value_name = "K=V", value_parser = parse_pair)]
    label: Vec<(String, String)>,
    /// A counter on every server
    #[arg(long, value_name = "NAME=COUNT/CAPACITY", value_parser = parse_counter)]
    counter: Vec<(String, CounterStatus)>,
    /// A list on every server, empty at the start
    #[arg(long, value_name = "NAME=CAPACITY", value_parser = parse_list)]
    list: Vec<(String, ListStatus)>,
    /// In which order servers end when the fleet shrinks: packed or distributed
    #[arg(long, default_value = "packed")]
    scheduling: Scheduling,
    /// The same by the room left: counter or list, its name, ascending (default) or descending
    #[arg(long, value_name = "TYPE:KEY[:ORDER]", value_parser = parse_priority)]
    priority: Vec<Priority>,
    /// Servers beyond the fleet's size during a rolling update: a count, or a share
    #[arg(long, default_value = "25%")]
    max_surge: Share,
    /// Servers below the fleet's size during a rolling update: a count, or a share
    #[arg(long, default_value = "25%")]
    max_unavailable: Share,
    /// From where the servers' ports are chosen
    #[arg(long, default_value = "20000-29999", value_parser = parse_range)]
    ports: RangeInclusive<u16>,
    /// A sign of life is due in each period of so many seconds
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    health_period: u64,
    /// So many missed periods in a row make a server Unhealthy
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    health_failures: u32,
    /// The first period starts so many seconds after the server
    #[arg(long, default_value_t = 5)]
    health_delay: u64,
    /// Seconds between SIGTERM and SIGKILL
    #[arg(long, default_value_t = 10)]
    grace: u64,
    /// Drain and exit when stdin ends
    #[arg(long)]
    pub(super) exit_with_parent: bool,
    /// Program and arguments of a server; {port} and {name} are filled in
    #[arg(last = true, required_unless_present = "template", value_name = "COMMAND")]
    command: Vec<String>,
}

impl Flags {
    /// What the flags and their files say now.
    pub(super) fn config(&self) -> anyhow::Result<FleetConfig> {
        let health = HealthPolicy {
            disabled: false,
            period: Duration::from_secs(self.health_period),
            failure_threshold: self.health_failures,
            initial_delay: Duration::from_secs(self.health_delay),
        };
        Ok(FleetConfig {
            name: self.name.clone(),
            template: self.template()?,
            autoscaler: self.autoscaler()?,
            replicas: self.replicas,
            limits: self.min..=self.max,
            scheduling: self.scheduling,
            priorities: self.priority.clone(),
            rolling: RollingUpdate { surge: self.max_surge, unavailable: self.max_unavailable },
            state_dir: self.state.clone(),
            listen: self.listen,
            http: self.http,
            ports: self.ports.clone(),
            health,
            grace: Duration::from_secs(self.grace),
        })
    }

    fn template(&self) -> anyhow::Result<Template> {
        let flags = Template {
            command: self.command.clone(),
            env: self.env.clone(),
            labels: self.label.clone(),
            counters: self.counter.iter().cloned().collect(),
            lists: self.list.iter().cloned().collect(),
        };
        let Some(path) = &self.template else { return Ok(flags) };
        flags.overlay(&read(path)?).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))
    }

    fn autoscaler(&self) -> anyhow::Result<Autoscaler> {
        match &self.autoscaler {
            None => Ok(BufferPolicy { buffer: self.buffer, min: self.min, max: self.max }.into()),
            Some(path) => Autoscaler::parse(&read(path)?).with_context(|| path.display().to_string()),
        }
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    text::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected K=V".into()),
    }
}

fn parse_counter(text: &str) -> Result<(String, CounterStatus), String> {
    let parsed = parse_pair(text).ok().and_then(|(name, numbers)| {
        let (count, capacity) = numbers.split_once('/')?;
        Some((name, CounterStatus { count: count.parse().ok()?, capacity: capacity.parse().ok()? }))
    });
    match parsed {
        Some((name, counter)) if (0..=counter.capacity).contains(&counter.count) => Ok((name, counter)),
        _ => Err("expected NAME=COUNT/CAPACITY, such as rooms=0/10".into()),
    }
}

fn parse_list(text: &str) -> Result<(String, ListStatus), String> {
    let parsed = parse_pair(text).ok().and_then(|(name, capacity)| Some((name, capacity.parse().ok()?)));
    match parsed {
        Some((name, capacity @ 0..=1000)) => Ok((name, ListStatus { capacity, values: Vec::new() })),
        _ => Err("expected NAME=CAPACITY, such as players=8, and at most 1000".into()),
    }
}

fn parse_priority(text: &str) -> Result<Priority, String> {
    let mut words = text.split(':');
    let kind = match words.next() {
        Some("counter") => priority::Type::Counter,
        Some("list") => priority::Type::List,
        _ => return Err("expected counter:KEY or list:KEY".into()),
    };
    let key = words.next().filter(|key| !key.is_empty()).ok_or("KEY is missing")?;
    let order = match words.next() {
        None | Some("ascending") => priority::Order::Ascending,
        Some("descending") => priority::Order::Descending,
        Some(_) => return Err("expected ascending or descending".into()),
    };
    Ok(Priority { r#type: kind.into(), key: key.into(), order: order.into() })
}

fn parse_range(text: &str) -> Result<RangeInclusive<u16>, String> {
    let bounds = text.split_once('-').and_then(|(low, high)| Some((low.parse().ok()?, high.parse().ok()?)));
    match bounds {
        Some((low, high)) if 0 < low && low <= high => Ok(low..=high),
        _ => Err("expected LOW-HIGH, such as 20000-29999".into()),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::command;
    use crate::fleet::scale::{Policy, Sync};

    fn parse(args: &str) -> Result<FleetConfig, String> {
        let args = ["fleet"].into_iter().chain(args.split_whitespace()).map(OsString::from);
        let flags = command::parse::<Flags>(args).map_err(|error| error.to_string())?;
        flags.expect("no help was asked for").config().map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn flags_become_a_configuration() {
        let config = parse(
            "--name arena --buffer 25% --min 1 --max 8 --state x --env A=b=c --ports 7000-8000 --counter rooms=1/10 \
             --list players=8 --scheduling distributed --priority list:players:descending --max-surge 1 -- srv --p {port}",
        )
        .unwrap();
        let buffer = BufferPolicy { buffer: BufferSize::Percent(25), min: 1, max: 8 };
        assert_eq!((config.autoscaler, config.limits), (buffer.into(), 1..=8));
        assert_eq!(config.template.env, [("A".to_owned(), "b=c".to_owned())]);
        assert_eq!((config.ports, config.template.command.len()), (7000..=8000, 3));
        assert_eq!(config.template.counters["rooms"], CounterStatus { count: 1, capacity: 10 });
        assert_eq!(config.template.lists["players"].capacity, 8);
        assert_eq!((config.scheduling, config.priorities.len()), (Scheduling::Distributed, 1));
        assert_eq!(config.rolling.surge, Share(BufferSize::Count(1)));
    }

    #[test]
    fn files_say_what_flags_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let template = write("template.yaml", "command: [srv, '{port}']\nlabels: {tier: gold}\n");
        let autoscaler = write(
            "autoscaler.json",
            r#"{"policy":{"type":"Buffer","buffer":{"bufferSize":3,"maxReplicas":9}},"sync":{"fixedInterval":{"seconds":2}}}"#,
        );
        let config =
            parse(&format!("--state x --template {template} --autoscaler {autoscaler} --replicas 1"))
                .unwrap();
        assert_eq!((config.template.command.len(), config.replicas), (2, 1));
        assert_eq!(config.autoscaler.sync, Sync::Every(Duration::from_secs(2)));
        assert!(matches!(config.autoscaler.policy, Policy::Buffer(_)));
        let wrong = write("wrong.json", r#"{"policy":{"type":"Magic"}}"#);
        let error = parse(&format!("--state x --autoscaler {wrong} -- srv")).unwrap_err();
        assert!(error.contains("wrong.json: policy.type: \"Magic\" is none of"), "{error}");
    }

    #[test]
    fn wrong_flags_are_one_line() {
        for args in [
            "",
            "--state x",
            "--nope",
            "--state x --env A -- srv",
            "--state x --ports 9-1 -- srv",
            "--state x --counter rooms=11/10 -- srv",
            "--state x --list players=1001 -- srv",
            "--state x --priority rooms -- srv",
            "--state x --buffer 2 --autoscaler y -- srv",
            "--state x --template /no/such/file",
        ] {
            let error = parse(args).unwrap_err();
            assert!(!error.contains('\n') && error.len() < 200, "{error}");
        }
    }
}
