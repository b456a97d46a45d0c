//! What an operator may set: flags and environment, validated before anything starts. Must never open a
//! socket or know what a flag is used for.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use operate::Secret;
use operate::logs::{LogFilter, LogFormat};

use crate::codec::SnapshotCodec;
use crate::transport::Transport;

mod check;

pub use check::OptionsError;

/// Allowed tick rates, in Hz.
pub const TICK_HZ: std::ops::RangeInclusive<u16> = 10..=128;

/// Protocol id when none is given: the bytes `TICKWRIG`.
pub const PROTOCOL_ID_DEFAULT: u64 = 0x5449_434B_5752_4947;

/// Flags and environment of a game server, to flatten into a game's own clap parser.
///
/// ```
/// use clap::Parser;
/// use server_runtime::ServerOptions;
///
/// #[derive(Parser)]
/// struct Flags {
///     #[command(flatten)]
///     server: ServerOptions,
/// }
///
/// let flags = Flags::parse_from(["my-game", "--port", "7777", "--seconds", "60"]);
/// assert_eq!(flags.server.port, 7777);
/// ```
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Server")]
pub struct ServerOptions {
    /// Settings file, TOML: a key a flag, by its long name, and `[balance]` for the game. Flags and environment beat it.
    #[arg(long, env = "TICKWRIGHT_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Check all settings, print them without secrets, and end: with 0, or with 2 if one cannot be used.
    #[arg(long)]
    pub check_config: bool,
    /// Which log lines are written: off, error, warn, info, debug, trace, or target=level in commas. May change at run
    /// time.
    #[arg(long, env = "TICKWRIGHT_LOG", default_value = "info", value_name = "FILTER")]
    pub log_level: LogFilter,
    /// How log lines look.
    #[arg(long, env = "TICKWRIGHT_LOG_FORMAT", value_enum, default_value_t = LogFormat::Pretty, value_name = "FORMAT")]
    pub log_format: LogFormat,
    /// Address to listen on for players.
    #[arg(long, env = "TICKWRIGHT_BIND", default_value = "0.0.0.0", value_name = "IP")]
    pub bind: IpAddr,
    /// UDP port for players; 0 chooses a free one.
    #[arg(long, env = "TICKWRIGHT_PORT", default_value_t = 0, value_name = "PORT")]
    pub port: u16,
    /// TCP port for players over WebSocket, beside UDP; 0 chooses a free one. Off unless given, or with --transport
    /// websocket: then the UDP port's number. Plain ws://, so end TLS in front of it.
    #[arg(long, env = "TICKWRIGHT_WEBSOCKET_PORT", value_name = "PORT")]
    pub websocket_port: Option<u16>,
    /// What players come by; bots need the same word.
    #[arg(long, env = "TICKWRIGHT_TRANSPORT", value_enum, default_value_t = Transport::Udp, value_name = "NAME")]
    pub transport: Transport,
    /// How snapshots are coded: `auto` gives thin links the dense codec.
    #[arg(long, env = "TICKWRIGHT_SNAPSHOT_CODEC", value_enum, default_value_t = SnapshotCodec::Auto, value_name = "NAME")]
    pub snapshot_codec: SnapshotCodec,
    /// Threads that write snapshots, the match's own among them, 1 to 64; unless set half of the machine's cores, at most 4.
    /// Only ticks with many players use them.
    #[arg(long, env = "TICKWRIGHT_ENCODE_THREADS", value_parser = clap::value_parser!(u16).range(1..=64), value_name = "N")]
    pub encode_threads: Option<u16>,
    /// Address that players use, when it is another than what this machine sees (NAT, host port); repeatable.
    #[arg(
        long = "public-address",
        env = "TICKWRIGHT_PUBLIC_ADDRESS",
        value_delimiter = ',',
        value_name = "IP:PORT"
    )]
    pub public_addresses: Vec<SocketAddr>,
    /// Address of the admin port. Any but loopback needs --admin-token.
    #[arg(long, env = "TICKWRIGHT_ADMIN_BIND", default_value = "127.0.0.1", value_name = "IP")]
    pub admin_bind: IpAddr,
    /// Admin port (health, metrics, live view); 0 chooses a free one.
    #[arg(long, env = "TICKWRIGHT_ADMIN_PORT", default_value_t = 0, value_name = "PORT")]
    pub admin_port: u16,
    /// What the admin port wants to see as `Authorization: Bearer TOKEN`: 16 to 256 visible ASCII characters. Nothing, if
    /// it is not given.
    #[arg(
        long,
        env = "TICKWRIGHT_ADMIN_TOKEN",
        hide_env_values = true,
        value_parser = check::admin_token,
        value_name = "TOKEN"
    )]
    pub admin_token: Option<Secret>,
    /// Private key that connect tokens are sealed with: 64 hexadecimal digits.
    #[arg(
        long,
        env = "TICKWRIGHT_KEY",
        hide_env_values = true,
        value_parser = check::private_key,
        value_name = "HEX"
    )]
    pub key: Option<Secret>,
    /// Protocol id that tokens must name.
    #[arg(
        long = "protocol",
        env = "TICKWRIGHT_PROTOCOL",
        default_value_t = PROTOCOL_ID_DEFAULT,
        value_parser = check::protocol,
        value_name = "ID"
    )]
    pub protocol_id: u64,
    /// Ticks a second, 10 to 128; the game's own rate unless given.
    #[arg(
        long,
        env = "TICKWRIGHT_TICK_RATE",
        value_parser = clap::value_parser!(u16).range(10..=128),
        value_name = "HZ"
    )]
    pub tick_rate: Option<u16>,
    /// Players at once in all rooms together, 1 to 1024.
    #[arg(
        long = "clients-max",
        env = "TICKWRIGHT_CLIENTS_MAX",
        default_value_t = 64,
        value_parser = clap::value_parser!(u16).range(1..=1024),
        value_name = "N"
    )]
    pub clients_max: u16,
    /// Matches at once in this process, 1 to 1000, each in a room of its own; the process stays when one is over. With 1
    /// the process is its match's and ends with it.
    #[arg(
        long,
        env = "TICKWRIGHT_ROOMS",
        default_value_t = 1,
        value_parser = clap::value_parser!(u16).range(1..=1000),
        value_name = "N"
    )]
    pub rooms: u16,
    /// Threads that rooms tick on, 1 to 256; one fewer than there are cores unless given. More than `--rooms` are none.
    #[arg(
        long,
        env = "TICKWRIGHT_THREADS",
        value_parser = clap::value_parser!(u16).range(1..=256),
        value_name = "N"
    )]
    pub threads: Option<u16>,
    /// Ticks that a room catches up at most when it is late, 1 to 60; what is missed beyond is skipped and counted.
    #[arg(
        long = "catch-up-ticks",
        env = "TICKWRIGHT_CATCH_UP_TICKS",
        default_value_t = 4,
        value_parser = clap::value_parser!(u16).range(1..=60),
        value_name = "N"
    )]
    pub catch_up_ticks: u16,
    /// Port of the Agones sidecar, which Agones itself puts into the environment; without it the server
    /// stands alone.
    #[arg(long, env = "AGONES_SDK_GRPC_PORT", value_name = "PORT")]
    pub agones_port: Option<u16>,
    /// Host of the Agones sidecar.
    #[arg(long, env = "AGONES_SDK_GRPC_HOST", value_name = "HOST")]
    pub agones_host: Option<String>,
    /// Play without a matchmaker: anyone with a valid token may join at any time. Implied without a
    /// sidecar.
    #[arg(long)]
    pub standalone: bool,
    /// Length of a stand-alone match, at most 86400; 0 never ends.
    #[arg(
        long,
        env = "TICKWRIGHT_SECONDS",
        default_value_t = 0,
        value_parser = clap::value_parser!(u32).range(0..=86_400),
        value_name = "S"
    )]
    pub seconds: u32,
    /// Seed of a stand-alone match.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// Longest wait for the players of an allocated match, 1 to 600.
    #[arg(
        long,
        env = "TICKWRIGHT_WAIT_SECONDS",
        default_value_t = 20,
        value_parser = clap::value_parser!(u16).range(1..=600),
        value_name = "S"
    )]
    pub wait_seconds: u16,
    /// How long a dropped player's seat and entities are kept, 0 to 600.
    #[arg(
        long,
        env = "TICKWRIGHT_SEAT_HOLD_SECONDS",
        default_value_t = 15,
        value_parser = clap::value_parser!(u16).range(0..=600),
        value_name = "S"
    )]
    pub seat_hold_seconds: u16,
    /// How long an ended match stays to deliver its last messages, 0 to 60.
    #[arg(
        long,
        env = "TICKWRIGHT_GRACE_SECONDS",
        default_value_t = 3,
        value_parser = clap::value_parser!(u16).range(0..=60),
        value_name = "S"
    )]
    pub grace_seconds: u16,
    /// How long a drain waits for the running match, 0 to 3600.
    #[arg(
        long,
        env = "TICKWRIGHT_DRAIN_SECONDS",
        default_value_t = 5,
        value_parser = clap::value_parser!(u16).range(0..=3600),
        value_name = "S"
    )]
    pub drain_seconds: u16,
    /// Where match results go: the backend's gRPC endpoint, like http://127.0.0.1:7070.
    #[arg(long, env = "TICKWRIGHT_BACKEND", value_parser = check::backend, value_name = "URL")]
    pub backend: Option<String>,
    /// Token that the backend expects from servers.
    #[arg(long, env = "TICKWRIGHT_SERVICE_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub service_token: Option<Secret>,
    /// Folder in which results and players' states wait until the backend has them; servers of one machine may share it.
    /// Without it they are lost if the backend stays away for longer than a server's end may take.
    #[arg(long, env = "TICKWRIGHT_RESULT_SPOOL", value_name = "FOLDER")]
    pub result_spool: Option<PathBuf>,
    /// How often players' states are saved while they play, 0 to 3600: what a server that dies may lose; 0 saves them on
    /// the ways out alone.
    #[arg(
        long,
        env = "TICKWRIGHT_CHECKPOINT_SECONDS",
        default_value_t = 30,
        value_parser = clap::value_parser!(u16).range(0..=3600),
        value_name = "S"
    )]
    pub checkpoint_seconds: u16,
    /// Puts a player out who does what honest clients do not so often in a match: early_input, late_input, view_refused,
    /// input_flood, message_flood, malformed, implausible; repeatable. Nobody is put out unless given.
    #[arg(long, env = "TICKWRIGHT_KICK_AT", value_delimiter = ',', value_name = "KIND=COUNT")]
    pub kick_at: Vec<crate::suspicion::KickAt>,
    /// Where this server stands, for boards that are kept by region: 1 to 16 of a-z, 0-9 and -.
    #[arg(long, env = "TICKWRIGHT_REGION", value_parser = check::region, value_name = "NAME")]
    pub region: Option<String>,
    /// Memory for the flight recorder, MiB, at most 1024; 0 turns it off. A match that needs more can be looked at from the
    /// newest ticks only.
    #[arg(
        long,
        env = "TICKWRIGHT_RECORD_MIB",
        default_value_t = 16,
        value_parser = clap::value_parser!(u16).range(0..=1024),
        value_name = "N"
    )]
    pub record_mib: u16,
    /// Folder for recordings: each match's at its end, a panic's, and those that `POST /recording` at the admin port asks
    /// for; the newest 64 are kept. Default: `tickwright-recordings` in the system's folder for temporary files.
    #[arg(long, env = "TICKWRIGHT_RECORD_DIR", value_name = "FOLDER")]
    pub record_dir: Option<PathBuf>,
    /// Drain when standard input ends: the parent that holds its other end is gone.
    #[arg(long)]
    pub exit_with_parent: bool,
}

impl Default for ServerOptions {
    /// What a command line without flags and an empty environment give.
    fn default() -> Self {
        Self {
            config: None,
            check_config: false,
            log_level: LogFilter::default(),
            log_format: LogFormat::Pretty,
            bind: IpAddr::from([0, 0, 0, 0]),
            port: 0,
            websocket_port: None,
            transport: Transport::Udp,
            snapshot_codec: SnapshotCodec::Auto,
            encode_threads: None,
            public_addresses: Vec::new(),
            admin_bind: IpAddr::from([127, 0, 0, 1]),
            admin_port: 0,
            admin_token: None,
            key: None,
            protocol_id: PROTOCOL_ID_DEFAULT,
            tick_rate: None,
            clients_max: 64,
            rooms: 1,
            threads: None,
            catch_up_ticks: 4,
            agones_port: None,
            agones_host: None,
            standalone: false,
            seconds: 0,
            seed: 1,
            wait_seconds: 20,
            seat_hold_seconds: 15,
            grace_seconds: 3,
            drain_seconds: 5,
            backend: None,
            service_token: None,
            result_spool: None,
            checkpoint_seconds: 30,
            kick_at: Vec::new(),
            region: None,
            record_mib: 16,
            record_dir: None,
            exit_with_parent: false,
        }
    }
}

impl ServerOptions {
    /// Bytes of memory for the flight recorder; `None`: it is off.
    pub(crate) fn record_bytes(&self) -> Option<usize> {
        (self.record_mib > 0).then(|| usize::from(self.record_mib) << 20)
    }

    /// Threads that write snapshots; `None`: the match's own alone.
    pub(crate) fn encode_threads(&self) -> Option<NonZeroUsize> {
        let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let threads = self.encode_threads.map_or_else(|| (cores() / 2).min(4), usize::from);
        NonZeroUsize::new(threads).filter(|threads| threads.get() > 1)
    }

    /// Where recordings go.
    pub(crate) fn record_folder(&self) -> PathBuf {
        self.record_dir.clone().unwrap_or_else(|| std::env::temp_dir().join("tickwright-recordings"))
    }
}
