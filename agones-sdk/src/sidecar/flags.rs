//! Owns: the `sidecar` command's flags, which are the real one's and a few more, and the configuration they make.
//! Must never know: what is done with it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser};

use super::{Expected, FeatureGates, Manner, SidecarConfig, health_of, load_game_server};
use crate::client::{GRPC_PORT_DEFAULT, HTTP_PORT_DEFAULT};
use crate::state::State;
use crate::uid;

/// A local Agones sidecar that answers like the real one.
#[derive(Parser, Debug)]
#[command(name = "sidecar")]
pub(super) struct Flags {
    /// Imitate `sdk-server --local`, as without --managed
    #[arg(long, conflicts_with = "managed", action = ArgAction::Set, num_args = 0..=1, require_equals = true,
          default_value_t = true, default_missing_value = "true", hide_default_value = true)]
    local: bool,
    /// Address that all ports listen on
    #[arg(long, default_value = "localhost", value_parser = parse_address)]
    address: IpAddr,
    /// gRPC port; 0 chooses a free one
    #[arg(long, default_value_t = GRPC_PORT_DEFAULT, env = "AGONES_SDK_GRPC_PORT")]
    grpc_port: u16,
    /// HTTP port; 0 chooses a free one
    #[arg(long, default_value_t = HTTP_PORT_DEFAULT, env = "AGONES_SDK_HTTP_PORT")]
    http_port: u16,
    /// Port of /healthz and /gshealthz; 0 chooses a free one (only with --managed)
    #[arg(long, default_value_t = 8080)]
    health_port: u16,
    /// A GameServer (JSON or YAML) instead of the built-in one; followed when it changes
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The GameServer's name, instead of what the object says
    #[arg(long, env = "GAMESERVER_NAME", value_name = "NAME")]
    gameserver_name: Option<String>,
    /// The GameServer's namespace, instead of what the object says
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAME")]
    pod_namespace: Option<String>,
    /// Conformance mode: exit with 0 if exactly these calls were made in the end, with 1 otherwise
    #[arg(long, value_name = "CALL,CALL")]
    pub(super) test: Option<Expected>,
    /// Whose conformance is tested, for the log and the last word
    #[arg(long, default_value = "", value_name = "NAME")]
    pub(super) sdk_name: String,
    /// Stop after so many seconds; 0: never
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    pub(super) timeout: u64,
    /// Listen only after so many seconds, as a sidecar that comes late
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    pub(super) delay: u64,
    /// Feature gates, such as PlayerTracking=true&CountsAndLists=false
    #[arg(long, default_value = "", env = "FEATURE_GATES", value_name = "GATE=BOOL&GATE=BOOL")]
    feature_gates: FeatureGates,
    /// What is asked for is shown in the object so much later, gathered (only with --managed); 0: at once
    #[arg(long, default_value = "500ms", env = "REQUEST_RATE_LIMIT", value_parser = parse_duration, value_name = "DURATION")]
    request_rate_limit: Duration,
    /// When asked to stop, wait for the game server's Shutdown; asked again, stop (only with --managed)
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = true,
          default_missing_value = "true")]
    graceful_termination: bool,
    /// Judge health and keep final states, as in a cluster, instead of imitating `sdk-server --local`
    #[arg(long)]
    managed: bool,
    /// Answer with the documented error codes instead of upstream's UNKNOWN
    #[arg(long)]
    strict_errors: bool,
    /// Stop when stdin ends
    #[arg(long)]
    pub(super) exit_with_parent: bool,
}

impl Flags {
    /// What the flags and the file say.
    pub(super) fn config(&self) -> anyhow::Result<SidecarConfig> {
        anyhow::ensure!(
            self.local || self.managed,
            "--local=false needs --managed: there is no cluster to ask"
        );
        let at = |port| SocketAddr::new(self.address, port);
        let mut config = SidecarConfig::local(at(self.grpc_port), at(self.http_port));
        config.strict_errors = self.strict_errors;
        config.gates = self.feature_gates;
        config.request_rate_limit = self.request_rate_limit;
        if self.test.is_some() {
            // Nobody can know it who has not asked for the object.
            config.game_server.meta_mut().uid = uid::random();
        }
        if self.managed {
            config.manner = Manner::Managed;
            config.game_server.status_mut().state = State::Scheduled.name().into();
        }
        if let Some(path) = &self.file {
            config.game_server = load_game_server(path).map_err(anyhow::Error::msg)?;
            config.health = health_of(&config.game_server);
            config.file = Some(path.clone());
        }
        let meta = config.game_server.meta_mut();
        if let Some(name) = &self.gameserver_name {
            meta.name.clone_from(name);
        }
        if let Some(namespace) = &self.pod_namespace {
            meta.namespace.clone_from(namespace);
        }
        Ok(config)
    }

    /// Where the probes listen. The real one has none in its local mode.
    pub(super) fn probe_address(&self) -> Option<SocketAddr> {
        self.managed.then(|| SocketAddr::new(self.address, self.health_port))
    }

    /// Whether the end waits for the game server's.
    pub(super) fn waits_for_shutdown(&self) -> bool {
        self.managed && self.graceful_termination
    }
}

/// An IP address, or `localhost`.
fn parse_address(text: &str) -> Result<IpAddr, String> {
    if text == "localhost" {
        return Ok(Ipv4Addr::LOCALHOST.into());
    }
    text.parse().map_err(|_| "expected an IP address or localhost".to_owned())
}

/// A length of time as Go writes it: numbers with units, such as `500ms` or `1m30s`; zero needs no unit.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a duration such as 500ms or 1.5s".to_owned();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (value, tail) = rest.split_at(number);
        let end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let scale = match unit {
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(wrong()),
        };
        total += value.parse::<f64>().map_err(|_| wrong())? * scale;
        rest = tail;
    }
    match Duration::try_from_secs_f64(total) {
        Ok(duration) if !text.is_empty() && duration <= RATE_LIMIT_MAX => Ok(duration),
        _ => Err(wrong()),
    }
}

/// Longer than anybody can mean.
const RATE_LIMIT_MAX: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Flags, String> {
        let args = ["sidecar"].iter().chain(args);
        Flags::try_parse_from(args).map_err(|error| error.to_string())
    }

    #[test]
    fn the_real_ones_command_lines_are_taken() {
        let flags =
            parse(&["--local=true", "-f", "gs.yaml", "--address", "localhost", "--timeout", "30"]).unwrap();
        assert!(!flags.managed && flags.address == Ipv4Addr::LOCALHOST && flags.timeout == 30);
        let flags = parse(&["--local", "--test=ready,health", "--sdk-name=rust", "--delay=2"]).unwrap();
        assert_eq!((flags.sdk_name.as_str(), flags.delay, flags.test.is_some()), ("rust", 2, true));
        let flags = parse(&["--feature-gates=PlayerTracking=true", "--graceful-termination=false"]).unwrap();
        assert!(flags.feature_gates.player_tracking && !flags.graceful_termination);
        assert_eq!(flags.request_rate_limit, Duration::from_millis(500));
        assert!(parse(&["--managed", "--health-port=0", "--request-rate-limit=0"]).is_ok());
        assert!(parse(&["--managed", "--local"]).is_err());
        assert!(parse(&["--address", "nowhere"]).is_err());
        assert!(parse(&["--feature-gates=Nonsense=true"]).unwrap_err().contains("Nonsense"));
        assert!(parse(&["--local=false"]).unwrap().config().is_err());
    }

    #[test]
    fn durations_are_gos() {
        let check = |text: &str, millis: Option<u128>| {
            assert_eq!(parse_duration(text).ok().map(|found| found.as_millis()), millis, "{text}");
        };
        check("500ms", Some(500));
        check("1.5s", Some(1500));
        check("1m30s", Some(90_000));
        check("0", Some(0));
        check("0s", Some(0));
        for wrong in ["", "5", "ms", "-1s", "1x", "1..2s", "2h"] {
            check(wrong, None);
        }
    }
}
