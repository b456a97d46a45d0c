//! A real server and real clients on a virtual network: tokens, handshakes, encryption, links. Owns when
//! datagrams and ticks happen, and judges every step by the laws. What happens to whom is the caller's story.

mod step;

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use netcode_proto::{
    ChannelId, ChannelSet, Client, ClientConfig, ClientId, ClientState, DisconnectReason, Extensions,
    LinkConfig, Server, ServerConfig,
};
use netcode_token::{Key, Seat as UserData, TokenSpec, mint_with};
use netcode_wire::Time;

use crate::conditioner::Conditioner;
use crate::laws::{Ledger, Violation};
use crate::profile::Profile;
use crate::seat::{Excuse, Seat, TAKEN_OVER};

/// A server, its clients and the weather between them.
#[derive(Debug)]
pub struct Cluster {
    server: Server,
    seats: Vec<Seat>,
    channels: ChannelSet,
    link: LinkConfig,
    private_key: Key,
    now: Time,
    seed: u64,
    tokens: u64,
    rebinds: u16,
    stranger: Stranger,
    /// Sessions that ended before their beginning was told.
    ghosts: Vec<ClientId>,
    /// Sealed datagrams of clients, as an eavesdropper has them: the newest [`CAPTURED_MAX`].
    captured: VecDeque<Vec<u8>>,
    scratch: Vec<u8>,
}

/// Somebody without a token.
#[derive(Debug, Default)]
struct Stranger {
    sent: u64,
    got: u64,
}

impl Cluster {
    /// A server for up to 64 clients, and nobody connected.
    #[must_use]
    pub fn new(channels: &ChannelSet, link: &LinkConfig, seed: u64) -> Self {
        let private_key = key(seed, 1);
        let config = ServerConfig {
            challenge_key: key(seed, 2),
            public_addresses: vec![SERVER],
            channels: channels.clone(),
            link: link.clone(),
            unix_at_zero_s: UNIX,
            seed,
            extensions: extensions(seed),
            ..ServerConfig::new(PROTOCOL, private_key.clone())
        };
        Self {
            server: Server::new(config),
            seats: Vec::new(),
            channels: channels.clone(),
            link: link.clone(),
            private_key,
            now: Time::ZERO,
            seed,
            tokens: 0,
            rebinds: 0,
            stranger: Stranger::default(),
            ghosts: Vec::new(),
            captured: VecDeque::new(),
            scratch: Vec::new(),
        }
    }

    /// Starts a client of `player` on a path of this kind with a fresh token; gives its seat. A player who has
    /// a seat already gets another one: the newer token takes the session over.
    pub fn join(&mut self, player: u64, profile: Profile) -> usize {
        let mut excuse = Excuse::default();
        for older in self.seats.iter_mut().filter(|older| older.player == player) {
            older.excuses = [TAKEN_OVER; 2];
            // Tokens of the same second are equally new: whoever shakes hands last has the session.
            if older.joined.as_micros() / 1_000_000 == self.now.as_micros() / 1_000_000 {
                excuse = TAKEN_OVER;
            }
        }
        let token = self.token(player);
        let client =
            Client::connect(self.now, &token[..], self.client_config()).expect("our own tokens are sound");
        self.seat(player, client, token, profile, [excuse; 2])
    }

    /// Whether [`Cluster::resume`] has something to come back to: a client that crashed, whose session stands or ended
    /// by silence alone, whose player did not come again since, and whose token lives for long enough to say so.
    #[must_use]
    pub fn can_resume(&self, seat: usize) -> bool {
        let crashed = &self.seats[seat];
        let stands = crashed.connected.is_some()
            && crashed.ended.is_none_or(|reason| reason == DisconnectReason::TimedOut);
        let latest = self.seats.iter().rposition(|other| other.player == crashed.player) == Some(seat);
        let left = (crashed.token_from + TOKEN_LIFE).since(self.now);
        crashed.client.is_none() && stands && latest && left > RESUME_SPARE
    }

    /// A crashed client comes back with its token, at another address and on a path of this kind; gives its new seat.
    pub fn resume(&mut self, crashed: usize, profile: Profile) -> usize {
        self.seats[crashed].excuses = [TAKEN_OVER; 2];
        let (player, token) = (self.seats[crashed].player, self.seats[crashed].token.clone());
        let fresh = key(self.seed, 1 << 40 | self.seats.len() as u64);
        let client = Client::resume(self.now, &token[..], self.client_config(), &fresh);
        let (from, token) = (self.seats[crashed].token_from, token);
        let seat =
            self.seat(player, client.expect("our own tokens are sound"), token, profile, Default::default());
        self.seats[seat].token_from = from;
        seat
    }

    fn client_config(&self) -> ClientConfig {
        ClientConfig {
            channels: self.channels.clone(),
            link: self.link.clone(),
            extensions: extensions(self.seed),
            ..ClientConfig::new(PROTOCOL)
        }
    }

    fn seat(
        &mut self,
        player: u64,
        client: Client,
        token: Box<[u8; netcode_token::TOKEN_LEN]>,
        profile: Profile,
        excuses: [Excuse; 2],
    ) -> usize {
        let seat = self.seats.len();
        let salt = self.seed ^ (seat as u64 + 1) << 40;
        self.seats.push(Seat {
            player,
            address: SocketAddr::from((Ipv4Addr::new(10, 1, 0, 1), 10_000 + seat as u16)),
            client: Some(client),
            token,
            token_from: self.now,
            session: None,
            connected: None,
            paths: [Conditioner::new(profile, salt), Conditioner::new(profile, !salt)],
            ledgers: [Ledger::new(&self.channels, salt), Ledger::new(&self.channels, !salt)],
            joined: self.now,
            excuses,
            ended: None,
        });
        seat
    }

    /// Ticks until `span` has passed.
    ///
    /// # Errors
    /// The law that was broken.
    pub fn run_for(&mut self, span: Duration) -> Result<(), Violation> {
        let end = self.now + span;
        while self.now < end {
            self.tick()?;
        }
        Ok(())
    }

    /// Sends the next message of `len` bytes from the client (`down` false) or to it. False: not connected, or
    /// the channel is full.
    pub fn send(&mut self, seat: usize, down: bool, channel: ChannelId, len: usize) -> bool {
        let seat = &mut self.seats[seat];
        seat.ledgers[usize::from(down)].compose(channel, len, &mut self.scratch);
        let outcome = match (&mut seat.client, seat.session) {
            (_, Some(session)) if down => self.server.send(self.now, session, channel, &self.scratch),
            (Some(client), _) if !down && client.state() == ClientState::Connected => {
                client.send(self.now, channel, &self.scratch)
            }
            _ => return false,
        };
        if outcome.is_ok() {
            seat.ledgers[usize::from(down)].sent(self.now, channel, self.scratch.len());
        }
        outcome.is_ok()
    }

    /// The client says goodbye.
    pub fn leave(&mut self, seat: usize) {
        let seat = &mut self.seats[seat];
        if let Some(client) = &mut seat.client {
            client.disconnect(self.now);
            // All ten goodbyes may be lost, or the server may not know the client yet.
            seat.excuses[1] = Excuse { goodbye: true, silence: true, ..seat.excuses[1] };
            seat.excuses[0].goodbye = true;
        }
    }

    /// The server ends the session.
    pub fn kick(&mut self, seat: usize) {
        let seat = &mut self.seats[seat];
        if let Some(session) = seat.session {
            self.server.disconnect(self.now, session, 7);
            seat.excuses[0] = Excuse { goodbye: true, silence: true, ..seat.excuses[0] };
            seat.excuses[1].goodbye = true;
        }
    }

    /// The client's process dies without a word.
    pub fn crash(&mut self, seat: usize) {
        self.seats[seat].client = None;
        self.seats[seat].excuses[1].silence = true;
    }

    /// Cuts or heals both directions of a seat's path. Whoever cuts for longer than [`TIMEOUT_S`] less a few
    /// seconds must excuse the silence.
    pub fn set_down(&mut self, seat: usize, down: bool) {
        self.seats[seat].paths.iter_mut().for_each(|path| path.set_down(down));
    }

    /// A router forgets the client, or it changes networks: from now on it sends from another address, what is
    /// sent to the old one reaches nobody, and it knows nothing of it. What is under way keeps its sender.
    pub fn rebind(&mut self, seat: usize) {
        self.rebinds += 1;
        let [high, low] = self.rebinds.to_be_bytes();
        self.seats[seat].address = SocketAddr::from((Ipv4Addr::new(10, 2, high, low), 20_000));
    }

    /// Both ends of a seat may time out from now on.
    pub fn excuse_silence(&mut self, seat: usize) {
        self.seats[seat].excuses.iter_mut().for_each(|excuse| excuse.silence = true);
    }

    /// Opens an MTU black hole in both directions of a seat's path: longer datagrams vanish. `None` closes it.
    pub fn set_mtu(&mut self, seat: usize, mtu_bytes: Option<usize>) {
        self.seats[seat].paths.iter_mut().for_each(|path| path.set_mtu(mtu_bytes));
    }

    /// Changes a seat's weather.
    pub fn set_profile(&mut self, seat: usize, profile: Profile) {
        self.seats[seat].paths.iter_mut().for_each(|path| path.set_profile(profile));
    }

    /// A stranger sends bytes; the server's answers to it are weighed against them.
    pub fn inject(&mut self, bytes: &mut [u8]) {
        self.stranger.sent += bytes.len() as u64;
        self.server.handle_datagram(self.now, STRANGER, bytes);
        self.collect_from_server();
    }

    /// Somebody sends bytes from a client's address.
    pub fn inject_as(&mut self, seat: usize, bytes: &mut [u8]) {
        self.server.handle_datagram(self.now, self.seats[seat].address, bytes);
        self.collect_from_server();
    }

    /// A client's sealed datagram that somebody overheard, if any was sent yet.
    #[must_use]
    pub fn captured(&self, which: usize) -> Option<Vec<u8>> {
        self.captured.get(which % self.captured.len().max(1)).cloned()
    }

    /// A token for `player`, as the backend would mint it.
    pub fn token(&mut self, player: u64) -> Box<[u8; netcode_token::TOKEN_LEN]> {
        self.tokens += 1;
        let unix = UNIX + self.now.as_micros() / 1_000_000;
        let spec = TokenSpec {
            protocol_id: PROTOCOL,
            create_unix_s: unix,
            expire_unix_s: unix + TOKEN_LIFE.as_secs(),
            timeout_s: TIMEOUT_S,
            client_id: player,
            servers: vec![SERVER],
            user_data: UserData { player, ..UserData::default() }.encode(),
        };
        let salt = 16 + self.tokens * 4;
        let mut nonce = [0; netcode_token::NONCE_LEN];
        nonce[..8].copy_from_slice(&self.tokens.to_le_bytes());
        let keys = [key(self.seed, salt), key(self.seed, salt + 1)];
        mint_with(&spec, &self.private_key, &keys[0], &keys[1], &nonce).expect("a sound spec")
    }

    /// Both ends of a seat are connected to each other.
    #[must_use]
    pub fn is_up(&self, seat: usize) -> bool {
        let seat = &self.seats[seat];
        let client = seat.client.as_ref().is_some_and(|client| client.state() == ClientState::Connected);
        client && seat.session.is_some()
    }

    /// When the server told of a seat's session; `None` before.
    #[must_use]
    pub fn up_since(&self, seat: usize) -> Option<Time> {
        self.seats[seat].connected
    }

    /// Everything reliable of every seat that is up has come.
    ///
    /// # Errors
    /// What is missing.
    pub fn all_delivered(&self, after: Duration) -> Result<(), Violation> {
        for seat in (0..self.seats.len()).filter(|seat| self.is_up(*seat)) {
            self.seats[seat].ledgers.iter().try_for_each(|ledger| ledger.all_delivered(after))?;
        }
        Ok(())
    }

    /// Every seat that is up has the extended form: whatever was lost, its offer was heard.
    ///
    /// # Errors
    /// [`Violation::NeverExtended`].
    pub fn all_extended(&self) -> Result<(), Violation> {
        let plain = |seat: &usize| {
            let client = self.seats[*seat].client.as_ref();
            self.is_up(*seat) && client.is_some_and(|client| client.counters().extended == 0)
        };
        match (0..self.seats.len()).find(plain) {
            Some(seat) => Err(Violation::NeverExtended { seat }),
            None => Ok(()),
        }
    }

    /// Runs `span` in which nobody says anything; nobody may send more than two datagrams a second.
    ///
    /// # Errors
    /// [`Violation::NotSilent`].
    pub fn idle_for(&mut self, span: Duration) -> Result<(), Violation> {
        let pushed = |cluster: &Self| -> Vec<u64> {
            cluster.seats.iter().flat_map(|seat| seat.paths.iter().map(|path| path.stats().pushed)).collect()
        };
        let before = pushed(self);
        self.run_for(span)?;
        let allowed = 2 * span.as_secs() + 1;
        for (after, before) in pushed(self).into_iter().zip(before) {
            if after - before > allowed {
                return Err(Violation::NotSilent { packets: after - before, span });
            }
        }
        Ok(())
    }

    /// The virtual time.
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// The server.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// How many clients were ever started.
    #[must_use]
    pub fn seats_len(&self) -> usize {
        self.seats.len()
    }

    /// A seat's client; `None` after a crash.
    #[must_use]
    pub fn client(&self, seat: usize) -> Option<&Client> {
        self.seats[seat].client.as_ref()
    }

    /// Why the server's session with a seat ended.
    #[must_use]
    pub fn ended(&self, seat: usize) -> Option<DisconnectReason> {
        self.seats[seat].ended
    }

    /// What a seat sent (`down` false) or was sent, and what of it came.
    #[must_use]
    pub fn ledger(&self, seat: usize, down: bool) -> &Ledger {
        &self.seats[seat].ledgers[usize::from(down)]
    }

    /// Datagrams that left, of all ends.
    #[must_use]
    pub fn datagrams(&self) -> u64 {
        self.seats.iter().flat_map(|seat| &seat.paths).map(|path| path.stats().pushed).sum()
    }
}

/// All that a session can have; AES in half of the runs.
fn extensions(seed: u64) -> Extensions {
    Extensions { aes_hardware: seed & 2 != 0, ..Extensions::default() }
}

/// A key that depends on the seed and on which it is.
fn key(seed: u64, which: u64) -> Key {
    let mut rng = fastrand::Rng::with_seed(seed ^ which.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut bytes = [0; netcode_token::KEY_LEN];
    rng.fill(&mut bytes);
    Key::from_bytes(bytes)
}

const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 4000);
const STRANGER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(10, 66, 6, 6)), 666);
const PROTOCOL: u64 = 0x5469_636b;
const UNIX: u64 = 1_700_000_000;
/// Both ends tick together, 60 times a second.
const TICK: Duration = Duration::from_micros(16_667);
/// Datagrams that an eavesdropper keeps.
const CAPTURED_MAX: usize = 64;
/// How long a token admits.
const TOKEN_LIFE: Duration = Duration::from_secs(30);
/// What a token must still live for a resumption with it to succeed in any weather.
const RESUME_SPARE: Duration = Duration::from_secs(8);
/// Silence after which a session ends, seconds.
pub const TIMEOUT_S: i32 = 8;
