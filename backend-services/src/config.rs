//! The command line: flags, environment, and what of it makes no sense. Secrets never print.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Parser, ValueEnum};
use matching::{ModeRules, RuleBook, Step};
use netcode_token::Key;
use operate::logs::{LogFilter, LogFormat};
use operate::{Settings, SettingsError};

pub use operate::Secret;

use crate::allocation::FlagsFault;
use crate::http::limit::Rate;
use crate::leaderboards::rules::Boards;
use crate::matchmaking::BrowserUrl;

/// Which routes a process serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Everything.
    All,
    /// Accounts and tokens.
    Accounts,
    /// Tickets, matches and their results.
    Matchmaking,
    /// Boards.
    Leaderboards,
    /// How many servers a fleet should have; not part of `all`.
    Autoscaler,
}

impl Role {
    /// Whether this role includes that of `part`.
    pub fn has(self, part: Self) -> bool {
        self == part || (self == Self::All && part != Self::Autoscaler)
    }

    /// The single roles that this one includes.
    pub fn parts(self) -> impl Iterator<Item = Self> {
        [Self::Accounts, Self::Matchmaking, Self::Leaderboards]
            .into_iter()
            .filter(move |part| self.has(*part))
    }

    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Accounts => "accounts",
            Self::Matchmaking => "matchmaking",
            Self::Leaderboards => "leaderboards",
            Self::Autoscaler => "autoscaler",
        }
    }
}

/// Accounts, matchmaking and leaderboards for Tickwright games.
#[derive(Clone, Debug, Parser)]
#[command(name = "backend-services", version, no_binary_name = true)]
#[command(after_help = "Rating parameters from a match log: backend-services ratings --help")]
pub struct Args {
    /// Settings file, TOML: a key a flag, by its long name. Flags and environment beat it.
    #[arg(long, env = "TICKWRIGHT_BACKEND_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Check all settings, print them without secrets, and end: with 0, or with 2 if one cannot be used.
    #[arg(long)]
    pub check_config: bool,
    /// Which log lines are written: off, error, warn, info, debug, trace, or target=level in commas. Read again from the
    /// settings file at SIGHUP.
    #[arg(long, env = "RUST_LOG", default_value = "info,sqlx=warn", value_name = "FILTER")]
    pub log_level: LogFilter,
    /// Which routes to serve.
    #[arg(long, value_enum, default_value = "all")]
    pub role: Role,
    /// Where to serve REST; port 0 is a free one.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Where to serve gRPC to game servers; port 0 is a free one.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    pub grpc_listen: SocketAddr,
    /// Folder of the embedded store; made if it is not there.
    #[arg(long, default_value = "tickwright-state", value_name = "FOLDER")]
    pub state: PathBuf,
    /// Postgres instead of the embedded store; needs --redis-url too.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL", requires = "redis_url")]
    pub database_url: Option<Secret>,
    /// Redis for the boards' ranks.
    #[arg(long, env = "REDIS_URL", hide_env_values = true, value_name = "URL", requires = "database_url")]
    pub redis_url: Option<Secret>,
    /// Threads that answer requests; half of the machine's cores unless given, since stores and network want theirs, and
    /// since fewer threads wake each other less.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Connections to Postgres at most.
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub database_connections: u32,

    /// Which boards there are, a JSON list; the arena's unless given.
    #[arg(long, value_name = "FILE")]
    pub boards: Option<PathBuf>,
    /// The rating model's parameters, as `backend-services ratings learn` writes them; the arena's unless given.
    #[arg(long, value_name = "FILE")]
    pub ratings: Option<PathBuf>,
    /// What matches give beside ratings, as JSON: experience, levels, achievements; the arena's unless given.
    #[arg(long, value_name = "FILE")]
    pub progression: Option<PathBuf>,

    /// Where servers come from.
    #[command(flatten)]
    pub allocation: crate::allocation::Flags,
    /// What the autoscaler is told.
    #[command(flatten)]
    pub autoscaling: crate::autoscaling::Flags,
    /// Our fleet's HTTP, asked which servers are alive: http://HOST:PORT.
    #[arg(long, value_name = "URL")]
    pub fleet_http: Option<String>,
    /// The game servers' private key, 64 hex digits. Needed for matchmaking.
    #[arg(long, env = "TICKWRIGHT_KEY", hide_env_values = true, value_name = "HEX")]
    pub server_key_hex: Option<Secret>,
    /// What game servers show to submit results. Needed for matchmaking.
    #[arg(long, env = "TICKWRIGHT_SERVICE_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub service_token: Option<Secret>,
    /// Takes results that are not signed by their match's own server: for as long as servers run that know no
    /// signatures.
    #[arg(long)]
    pub accept_unsigned_results: bool,
    /// Where browsers reach a game server by WebSocket, with {address}, {host} and {port} for the server's own:
    /// wss://play.example.com/{host}/{port}. Without it, matches are told without such a URL.
    #[arg(long, env = "TICKWRIGHT_WEBSOCKET_URL", value_name = "URL")]
    pub websocket_url: Option<BrowserUrl>,
    /// The game's wire version.
    #[arg(long, env = "TICKWRIGHT_PROTOCOL", default_value_t = 0x5449_434B_5752_4947, value_name = "NUMBER")]
    pub protocol_id: u64,

    /// A JSON file with the rules of every mode, instead of the flags about matches below.
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    /// Players in a match.
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub match_size: u16,
    /// Players in a team, of which a match has --match-size / N; parties are at most as large.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=16))]
    pub team_size: u16,
    /// Regions that players measure and matches are played in, in commas; nobody's way matters unless given.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub regions: Vec<String>,
    /// The longest round trip to a match's region, milliseconds, while a ticket is fresh.
    #[arg(long, default_value_t = 150, value_name = "MS", value_parser = clap::value_parser!(u16).range(1..=2000))]
    pub region_ms: u16,
    /// Seconds of waiting after which any way will do.
    #[arg(long, default_value_t = 10.0, value_name = "SECONDS", value_parser = seconds)]
    pub region_any_after: f64,
    /// A running match that has lost a player gets another one while at least so many seconds are left; never unless
    /// given.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub backfill_left: Option<f64>,
    /// Seconds that the players of a match have to say that they are ready; nobody is asked unless given.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub ready_check: Option<f64>,
    /// Players in a match that starts late rather than never; --match-size unless given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub min_match_size: Option<u16>,
    /// Seconds of waiting after which --min-match-size will do.
    #[arg(long, default_value_t = 10.0, value_name = "SECONDS", value_parser = seconds)]
    pub min_match_after: f64,
    /// How long a match is played, seconds.
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub match_seconds: u32,
    /// A match is given up so many seconds after it should have ended.
    #[arg(long, default_value_t = 45.0, value_name = "SECONDS", value_parser = seconds)]
    pub match_grace: f64,
    /// How far apart in rating two fresh tickets may be.
    #[arg(long, default_value_t = 10.0, value_name = "POINTS", value_parser = seconds)]
    pub rating_window: f64,
    /// By how much that grows each second of waiting.
    #[arg(long, default_value_t = 10.0, value_name = "POINTS", value_parser = seconds)]
    pub rating_widening: f64,
    /// How often matches are looked for, milliseconds.
    #[arg(long, default_value_t = 100, value_name = "MS", value_parser = clap::value_parser!(u64).range(10..=10_000))]
    pub matchmaking_tick_ms: u64,
    /// A ticket that nobody asks for so many seconds is dropped; more than the longest poll, 30.
    #[arg(long, default_value_t = 45.0, value_name = "SECONDS", value_parser = seconds)]
    pub ticket_idle: f64,
    /// Tickets at most.
    #[arg(long, default_value_t = 100_000, value_name = "N")]
    pub tickets_max: usize,

    /// How parties last.
    #[command(flatten)]
    pub parties: crate::parties::Flags,

    /// Log-ins, registrations and refreshes at once from one address.
    #[arg(long, default_value_t = 512.0, value_name = "N", value_parser = positive)]
    pub auth_burst: f64,
    /// The same, each second.
    #[arg(long, default_value_t = 64.0, value_name = "N", value_parser = positive)]
    pub auth_rate: f64,
    /// Other requests at once from one address.
    #[arg(long, default_value_t = 4096.0, value_name = "N", value_parser = positive)]
    pub request_burst: f64,
    /// The same, each second.
    #[arg(long, default_value_t = 1024.0, value_name = "N", value_parser = positive)]
    pub request_rate: f64,

    /// Ends when standard input ends, as it does when the parent dies.
    #[arg(long)]
    pub exit_with_parent: bool,
    /// Log lines as JSON.
    #[arg(long)]
    pub log_json: bool,
    /// Where all this came from.
    #[arg(skip)]
    pub settings: Option<Settings>,
}

/// What the flags ask for.
#[derive(Debug)]
pub enum Wanted {
    /// Run.
    Run(Box<Args>),
    /// Print this and end well: help or version.
    Print(String),
}

/// The flags make no sense.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigFault(String);

impl Args {
    /// Reads the flags, the program's name not among them.
    ///
    /// # Errors
    /// One line that says which flag is wrong.
    pub fn read(args: impl IntoIterator<Item = OsString>) -> Result<Wanted, ConfigFault> {
        let (mut args, settings): (Self, _) = match Settings::read(args) {
            Ok(read) => read,
            Err(SettingsError::Usage(said))
                if matches!(said.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) =>
            {
                return Ok(Wanted::Print(said.to_string()));
            }
            Err(error) => return Err(ConfigFault(error.to_string())),
        };
        settings.expect_sections(&[]).map_err(|error| ConfigFault(error.to_string()))?;
        args.check()?;
        if args.check_config {
            return Ok(Wanted::Print(settings.to_text()));
        }
        args.settings = Some(settings);
        Ok(Wanted::Run(Box::new(args)))
    }

    /// How log lines look.
    pub fn log_format(&self) -> LogFormat {
        if self.log_json { LogFormat::Json } else { LogFormat::Pretty }
    }

    /// The matchmaker's key, needed for its role.
    ///
    /// # Errors
    /// It is not given, or not 64 hex digits.
    pub fn server_key(&self) -> Result<Key, ConfigFault> {
        let hex = needed(self.server_key_hex.as_ref(), "--server-key-hex")?;
        let wrong = || ConfigFault("--server-key-hex must be 64 hex digits".to_owned());
        Key::from_hex(&hex.0).map_err(|_| wrong())
    }

    /// The matchmaker's rules: of the file, or one mode made of the flags.
    ///
    /// # Errors
    /// The file cannot be read, or a value in it makes no sense: which, and what it may be.
    pub fn rules(&self) -> Result<RuleBook, ConfigFault> {
        let fault = |key: &str, problem: &dyn std::fmt::Display| ConfigFault(format!("{key}: {problem}"));
        let Some(file) = &self.rules else {
            let book = RuleBook { modes: vec![self.flag_rules()] };
            return book.check().map(|()| book).map_err(|wrong| fault("the matchmaking flags", &wrong));
        };
        let name = format!("--rules {}", file.display());
        let text = std::fs::read_to_string(file).map_err(|error| fault(&name, &error))?;
        RuleBook::from_json(&text).map_err(|wrong| fault(&name, &wrong))
    }

    fn flag_rules(&self) -> ModeRules {
        let team = usize::from(self.team_size);
        let teams = usize::from(self.match_size) / team;
        let mut rules = ModeRules::new("arena", teams, team, self.rating_window.min(1e6));
        rules.ready_check_s = self.ready_check;
        rules.backfill_left_s = self.backfill_left.map(|left| left.min(86_400.0));
        rules.skill_gap_per_s = self.rating_widening.min(1e6);
        if let Some(least) = self.min_match_size {
            let (after_s, teams_min) =
                (self.min_match_after.min(86_400.0), Some(usize::from(least).div_ceil(team)));
            rules.expansion.push(Step { after_s, teams_min, ..Step::default() });
        }
        if !self.regions.is_empty() {
            rules.regions.clone_from(&self.regions);
            rules.latency_ms = self.region_ms;
            let after_s = self.region_any_after.min(86_400.0);
            rules.expansion.push(Step {
                after_s,
                latency_ms: Some(matching::LATENCY_MAX_MS),
                ..Step::default()
            });
            rules.expansion.sort_by(|one, other| one.after_s.total_cmp(&other.after_s));
        }
        rules
    }

    /// Threads that answer requests.
    pub fn workers(&self) -> usize {
        let half = || std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
        self.threads.map_or_else(half, usize::from)
    }

    /// Limits for log-ins and for everything.
    pub fn rates(&self) -> (Rate, Rate) {
        let auth = Rate { burst: self.auth_burst, refill_per_s: self.auth_rate };
        (auth, Rate { burst: self.request_burst, refill_per_s: self.request_rate })
    }

    /// The boards.
    ///
    /// # Errors
    /// The file cannot be read, or makes no sense.
    pub fn board_rules(&self) -> Result<Boards, ConfigFault> {
        let Some(file) = &self.boards else { return Ok(Boards::default()) };
        let wrong = |what: String| ConfigFault(format!("--boards {}: {what}", file.display()));
        let json = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
        Boards::parse(&json).map_err(|fault| wrong(fault.to_string()))
    }

    fn check(&self) -> Result<(), ConfigFault> {
        if self.min_match_size.is_some_and(|least| least > self.match_size) {
            return Err(ConfigFault("--min-match-size must not exceed --match-size".to_owned()));
        }
        if !self.match_size.is_multiple_of(self.team_size) {
            return Err(ConfigFault("--match-size must be a multiple of --team-size".to_owned()));
        }
        if self.role.has(Role::Matchmaking) {
            self.server_key()?;
            self.rules()?;
            needed(self.service_token.as_ref(), "--service-token")?;
            if !self.allocation.is_given() {
                return Err(ConfigFault(FlagsFault::Missing.to_string()));
            }
        }
        Ok(())
    }
}

fn needed<'a, T>(value: Option<&'a T>, flag: &str) -> Result<&'a T, ConfigFault> {
    value.ok_or_else(|| ConfigFault(format!("{flag} is needed for matchmaking (or choose another --role)")))
}

pub(crate) fn first_paragraph(text: &str) -> String {
    let lines = text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim);
    let line = lines.collect::<Vec<_>>().join(" ");
    line.strip_prefix("error: ").unwrap_or(&line).to_owned()
}

/// A number of seconds or points: finite, not negative, and no more than a Duration holds.
fn seconds(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1e9).contains(&number) { Ok(number) } else { Err("must be 0 to 1e9".to_owned()) }
}

/// A rate: a bucket must let one request in, and flow.
fn positive(text: &str) -> Result<f64, String> {
    let number = seconds(text)?;
    if number >= 1.0 { Ok(number) } else { Err("must be at least 1".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Wanted, ConfigFault> {
        Args::read(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn wrong_flags_give_one_line() {
        let key = "0".repeat(64);
        for (line, expected) in [
            ("--role accounts --bogus", "--bogus"),
            ("--role everything", "everything"),
            ("--listen here", "listen is "),
            ("--role all", "--server-key-hex is needed"),
            ("--server-key-hex 12", "64 hex digits"),
            (&format!("--server-key-hex {key}"), "--service-token is needed"),
            (&format!("--server-key-hex {key} --service-token t"), "--allocator is needed"),
            (
                "--role accounts --match-size 0",
                "match-size is \"0\" (from the command line): 0 is not in 1..=64; allowed is 1 to 64",
            ),
            ("--role accounts --team-size 3", "--team-size"),
            ("--role accounts --min-match-size 9", "--min-match-size"),
            ("--role accounts --auth-rate 0", "auth-rate is "),
            ("--role accounts --match-grace NaN", "match-grace is "),
            ("--role accounts --database-url postgres://x", "--redis-url"),
        ] {
            let fault = read(line).expect_err(line).to_string();
            assert!(fault.contains(expected), "{line}: {fault}");
            assert!(!fault.contains('\n') && !fault.contains(&key), "{fault}");
        }
    }

    #[test]
    fn regions_and_backfill_are_rules_too() {
        let line = "--role accounts --regions eu,us --region-ms 80 --region-any-after 5 --backfill-left 20 \
            --min-match-size 4 --min-match-after 9";
        let Ok(Wanted::Run(args)) = read(line) else { panic!("these flags are right") };
        let rules = args.rules().expect("sound").modes.remove(0);
        assert_eq!((rules.regions.len(), rules.backfill_left_s), (2, Some(20.0)));
        assert_eq!(
            (rules.limits(4000).latency_ms, rules.limits(5000).latency_ms),
            (80, matching::LATENCY_MAX_MS)
        );
        assert_eq!((rules.limits(8000).teams_min, rules.limits(9000).teams_min), (8, 4));
        let Ok(Wanted::Run(plain)) = read("--role accounts --threads 3") else {
            panic!("these flags are right")
        };
        assert_eq!(plain.workers(), 3);
        let rules = plain.rules().expect("sound").modes.remove(0);
        assert!(rules.regions.is_empty() && rules.backfill_left_s.is_none());
    }

    #[test]
    fn secrets_do_not_print() {
        let key = "ab".repeat(32);
        let Ok(Wanted::Run(args)) = read(&format!(
            "--server-key-hex {key} --service-token hush --allocator http://a:1 \
             --database-url postgres://u:hush@h/d --redis-url redis://:hush@h"
        )) else {
            panic!("these flags are right")
        };
        let printed = format!("{args:?}");
        assert!(!printed.contains("hush") && !printed.contains(&key), "{printed}");
    }

    #[test]
    fn a_file_stands_below_the_flags() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("backend.toml");
        let text = "role = \"accounts\"\nmatch-size = 4\nredis-url = \"redis://:hush@h\"\n\
                    database_url = \"postgres://u:hush@h/d\"\nregions = [\"eu\", \"us\"]\n";
        std::fs::write(&file, text).unwrap();
        let config = format!("--config {}", file.display());
        let Ok(Wanted::Run(args)) = read(&format!("{config} --match-size 6")) else { panic!("sound") };
        assert_eq!((args.role, args.match_size, args.regions.len()), (Role::Accounts, 6, 2));
        assert!(args.database_url.is_some() && args.redis_url.is_some());
        let Ok(Wanted::Print(shown)) = read(&format!("{config} --check-config")) else { panic!("sound") };
        assert!(shown.contains("match-size = 4  # from ") && !shown.contains("hush"), "{shown}");
        std::fs::write(&file, "match_siez = 4").unwrap();
        let fault = read(&config).expect_err("a slip").to_string();
        assert!(
            fault.contains("match_siez is no setting") && fault.ends_with("did you mean match-size?"),
            "{fault}"
        );
        std::fs::write(&file, "[balance]\nx = 1").unwrap();
        assert!(read(&config).expect_err("no such table").to_string().starts_with("[balance] is no setting"));
    }

    #[test]
    fn help_is_not_an_error() {
        assert!(matches!(read("--help"), Ok(Wanted::Print(text)) if text.contains("--allocator")));
    }
}
