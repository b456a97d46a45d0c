//! Sessions over joined carriers: players of UDP and of WebSocket on one server, who is taken for whom when somebody
//! moves or forges, and what a stalled connection does to channels. The sessions are the real ones; the network is
//! loopback.

use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use netcode_proto::channels::{GAME_RELIABLE_ORDERED, GAME_UNRELIABLE};
use netcode_proto::{Client, ClientConfig, ClientId, ClientState, Server, ServerConfig, ServerEvent};
use netcode_token::{Key, Seat, TokenSpec, mint};
use netcode_transport::{
    Arrival, Carrier, CarrierCounters, Ecn, Joined, UdpCarrier, UdpThread, UdpThreadConfig,
    WEBSOCKET_PROTOCOL, WebSocketClient, WebSocketOptions, WebSocketServer,
};
use netcode_wire::Time;
use socket2::{Domain, Socket, Type};
use tokio_tungstenite::tungstenite::{
    self, Message, WebSocket, client::IntoClientRequest, http::header::SEC_WEBSOCKET_PROTOCOL,
};

const PROTOCOL: u64 = 0x7769_636b;
const PATIENCE: Duration = Duration::from_secs(20);

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// One clock for both ends.
#[derive(Clone, Copy)]
struct Clock(Instant);

impl Clock {
    fn now(self) -> Time {
        Time::ZERO + self.0.elapsed()
    }
}

struct Host {
    clock: Clock,
    server: Server,
    carriers: Joined<UdpThread, WebSocketServer>,
    key: Key,
    unix_s: u64,
    connected: usize,
}

impl Host {
    fn open() -> Self {
        let udp = UdpThread::open(any_port(), UdpThreadConfig::default()).expect("a free port");
        let websocket = WebSocketServer::open(any_port(), WebSocketOptions::default()).expect("a free port");
        let (key, unix) = (Key::generate(), SystemTime::now().duration_since(UNIX_EPOCH));
        let unix_s = unix.expect("after 1970").as_secs();
        let config = ServerConfig {
            public_addresses: vec![udp.local_addr()],
            unix_at_zero_s: unix_s,
            ..ServerConfig::new(PROTOCOL, key.clone())
        };
        let (server, carriers) = (Server::new(config), Joined::new(udp, Some(websocket)));
        Self { clock: Clock(Instant::now()), server, carriers, key, unix_s, connected: 0 }
    }

    fn address(&self) -> SocketAddr {
        self.carriers.local_addr()
    }

    fn websockets(&self) -> &WebSocketServer {
        self.carriers.connections().expect("it was opened with them")
    }

    fn token(&self, player: u64) -> Vec<u8> {
        let spec = TokenSpec {
            protocol_id: PROTOCOL,
            create_unix_s: self.unix_s,
            expire_unix_s: self.unix_s + 30,
            timeout_s: 10,
            client_id: player,
            servers: vec![self.address()],
            user_data: Seat { player, ..Seat::default() }.encode(),
        };
        mint(&spec, &self.key).expect("a sound spec").to_vec()
    }

    fn by_websocket(&self) -> WebSocketClient {
        let url = format!("ws://{}/", self.websockets().local_addr());
        WebSocketClient::open(&url, self.address(), WebSocketOptions::default())
            .expect("a thread is to be had")
    }

    fn tick(&mut self) {
        let Self { clock, server, carriers, .. } = self;
        carriers.receive_arrivals(&mut |arrival, bytes| {
            server.handle_arrival(clock.now(), arrival.from, arrival.ecn, bytes);
        });
        let now = clock.now();
        server.step(now);
        while let Some(event) = server.poll_event() {
            self.connected += usize::from(matches!(event, ServerEvent::Connected { .. }));
        }
        server.flush(now);
        while let Some(transmit) = server.poll_transmit() {
            carriers.send_marked(transmit.to, transmit.ecn, transmit.bytes);
        }
        carriers.flush();
    }

    fn client(&self, player: u64) -> ClientId {
        self.server.client_of_player(player).expect("connected")
    }

    fn peer(&self, player: u64) -> SocketAddr {
        self.server.address(self.client(player)).expect("connected")
    }
}

struct Guest<C> {
    clock: Clock,
    client: Client,
    carrier: C,
    /// The last datagram it sent.
    last_sent: Vec<u8>,
}

impl<C: Carrier> Guest<C> {
    fn new(host: &Host, player: u64, carrier: C) -> Self {
        let token = host.token(player);
        let client =
            Client::connect(host.clock.now(), &token, ClientConfig::new(PROTOCOL)).expect("a sound token");
        Self { clock: host.clock, client, carrier, last_sent: Vec::new() }
    }

    fn tick(&mut self) {
        let Self { clock, client, carrier, .. } = self;
        carrier.receive_arrivals(&mut |arrival, bytes| {
            client.handle_arrival(clock.now(), arrival.from, arrival.ecn, bytes);
        });
        self.transmit();
    }

    /// As a game that still sends, but reads nothing.
    fn transmit(&mut self) {
        let now = self.clock.now();
        self.client.step(now);
        self.client.flush(now);
        while let Some(transmit) = self.client.poll_transmit() {
            self.last_sent = transmit.bytes.to_vec();
            self.carrier.send_marked(transmit.to, transmit.ecn, transmit.bytes);
        }
        self.carrier.flush();
    }

    fn is_connected(&self) -> bool {
        self.client.state() == ClientState::Connected
    }
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "not in {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A player of each kind, both of the extended form and heard by the server.
fn host_with_both() -> (Host, Guest<UdpCarrier>, Guest<WebSocketClient>) {
    let mut host = Host::open();
    let mut by_udp = Guest::new(&host, 1, UdpCarrier::open(any_port()).expect("a free port"));
    let mut by_websocket = Guest::new(&host, 2, host.by_websocket());
    until("both connected", || {
        by_udp.tick();
        by_websocket.tick();
        host.tick();
        by_udp.is_connected() && by_websocket.is_connected() && host.server.counters().extended == 2
    });
    (host, by_udp, by_websocket)
}

fn say(host: &mut Host, player: u64, text: &[u8]) {
    let (now, client) = (host.clock.now(), host.client(player));
    host.server.send(now, client, GAME_RELIABLE_ORDERED, text).expect("room");
}

fn heard<C: Carrier>(guest: &mut Guest<C>) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| guest.client.poll_message()).map(|(_, bytes)| bytes.to_vec()).collect()
}

#[test]
fn players_of_both_carriers_are_served_at_once() {
    let (mut host, mut by_udp, mut by_websocket) = host_with_both();
    assert_eq!(host.peer(1), by_udp.carrier.local_addr());
    let remote = host.websockets().remote(host.peer(2)).expect("it is a connection");
    assert!(remote.ip().is_loopback());
    say(&mut host, 1, b"to udp");
    say(&mut host, 2, b"to websocket");
    let (mut at_udp, mut at_websocket) = (Vec::new(), Vec::new());
    until("each has heard its own", || {
        host.tick();
        by_udp.tick();
        by_websocket.tick();
        at_udp.extend(heard(&mut by_udp));
        at_websocket.extend(heard(&mut by_websocket));
        !at_udp.is_empty() && !at_websocket.is_empty()
    });
    assert_eq!((at_udp, at_websocket), (vec![b"to udp".to_vec()], vec![b"to websocket".to_vec()]));
}

#[test]
fn a_session_survives_its_broken_websocket() {
    let (mut host, mut by_udp, mut by_websocket) = host_with_both();
    let before = host.peer(2);
    by_websocket.carrier = host.by_websocket();
    say(&mut host, 2, b"on the way when it broke");
    let mut got = Vec::new();
    until("it goes on over the next", || {
        host.tick();
        by_udp.tick();
        by_websocket.tick();
        got.extend(heard(&mut by_websocket));
        host.peer(2) != before && !got.is_empty()
    });
    assert_eq!(got, [b"on the way when it broke"]);
    assert_eq!((host.server.counters().paths_moved, host.connected), (1, 2), "moved, not connected anew");
    assert!(by_udp.is_connected());
}

#[test]
fn a_session_moves_between_carriers_by_proof_alone() {
    let (mut host, mut by_udp, by_websocket) = host_with_both();
    // wifi at the office lets no UDP through: the player of UDP comes by WebSocket from here on.
    let mut moved = Guest {
        clock: by_udp.clock,
        client: by_udp.client,
        carrier: host.by_websocket(),
        last_sent: Vec::new(),
    };
    until("it is a connection now", || {
        host.tick();
        moved.tick();
        host.websockets().remote(host.peer(1)).is_some()
    });
    // What is for the old address reaches nobody any more.
    let mut stray = 0;
    by_udp.carrier.receive(&mut |_, _| stray += 1);
    say(&mut host, 1, b"here");
    until("heard by websocket", || {
        host.tick();
        moved.tick();
        !heard(&mut moved).is_empty()
    });
    let mut late = 0;
    by_udp.carrier.receive(&mut |_, _| late += 1);
    assert_eq!(late, 0, "{stray} came before it had moved");
    assert_eq!(host.server.counters().paths_moved, 1);
    drop(by_websocket);
}

#[test]
fn copies_of_a_players_packets_on_the_other_carrier_move_nothing() {
    let (mut host, mut by_udp, mut by_websocket) = host_with_both();
    let homes = [host.peer(1), host.peer(2)];
    let thief = UdpSocket::bind(any_port()).expect("a free port");
    thief.set_nonblocking(true).expect("a socket can");
    let mut thief_by_websocket = host.by_websocket();
    let (mut stolen, mut returned) = (0, 0);
    let mut buffer = [0; 2048];
    for _ in 0..200 {
        by_udp.tick();
        by_websocket.tick();
        // Each is copied before the original is read: the thief's may well be the first.
        stolen += thief.send_to(&by_websocket.last_sent, host.address()).expect("loopback");
        thief_by_websocket.send(host.address(), &by_udp.last_sent);
        host.tick();
        returned += thief.recv(&mut buffer).unwrap_or(0);
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!([host.peer(1), host.peer(2)], homes);
    assert_eq!(host.server.counters().paths_moved, 0);
    assert!(returned <= stolen, "the thief got {returned} bytes for {stolen}");
    assert!(by_udp.is_connected() && by_websocket.is_connected());
}

/// A browser's connection whose page can freeze: then nobody reads, and soon its machine's small buffers are full.
struct Tab {
    socket: WebSocket<TcpStream>,
    server: SocketAddr,
    is_frozen: bool,
}

impl Tab {
    fn open(host: &Host) -> Self {
        let address = host.websockets().local_addr();
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket is to be had");
        socket.set_recv_buffer_size(4 << 10).expect("any size will do");
        socket.connect(&address.into()).expect("the server listens");
        let mut request = format!("ws://{address}/").into_client_request().expect("a url of our own");
        let protocol = WEBSOCKET_PROTOCOL.parse().expect("plain letters");
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, protocol);
        let (socket, _) =
            tungstenite::client(request, TcpStream::from(socket)).expect("the server shakes hands");
        socket.get_ref().set_nonblocking(true).expect("a socket can");
        Self { socket, server: host.address(), is_frozen: false }
    }
}

impl Carrier for Tab {
    fn receive_arrivals(&mut self, accept: &mut dyn FnMut(&Arrival, &mut [u8])) -> usize {
        let mut received = 0;
        while !self.is_frozen
            && let Ok(message) = self.socket.read()
        {
            if let Message::Binary(bytes) = message {
                let arrival = Arrival { from: self.server, at: Instant::now(), ecn: Ecn::NotCapable };
                accept(&arrival, &mut bytes.to_vec());
                received += 1;
            }
        }
        received
    }

    fn send(&mut self, _: SocketAddr, datagram: &[u8]) {
        // A full connection is a lost datagram.
        let _ = self.socket.send(Message::binary(datagram.to_vec()));
    }

    fn local_addr(&self) -> SocketAddr {
        self.server
    }

    fn counters(&self) -> CarrierCounters {
        CarrierCounters::default()
    }
}

/// What the server says to player 1 every tick, each with its number: a state that is soon stale, and at times a word
/// to keep.
#[derive(Default)]
struct Talk {
    states_at: Vec<Instant>,
    words: u32,
}

impl Talk {
    fn tick(&mut self, host: &mut Host) {
        let (now, client) = (host.clock.now(), host.client(1));
        let mut state = [0; 300];
        state[..4].copy_from_slice(&(self.states_at.len() as u32).to_le_bytes());
        self.states_at.push(Instant::now());
        // Where the congestion control has no budget for it, it is dropped there: that is as good.
        let _ = host.server.send(now, client, GAME_UNRELIABLE, &state);
        if self.states_at.len().is_multiple_of(20) && self.words < WORDS {
            say(host, 1, &self.words.to_le_bytes());
            self.words += 1;
        }
        host.tick();
    }
}

/// What a guest has heard, by number, in the order in which it came.
#[derive(Default)]
struct Ears {
    states: Vec<u32>,
    words: Vec<u32>,
}

impl Ears {
    fn listen<C: Carrier>(&mut self, guest: &mut Guest<C>) {
        guest.tick();
        while let Some((channel, bytes)) = guest.client.poll_message() {
            let number = u32::from_le_bytes(bytes[..4].try_into().expect("each has a number"));
            if channel == GAME_UNRELIABLE { &mut self.states } else { &mut self.words }.push(number);
        }
    }
}

#[test]
fn after_a_stall_comes_what_is_new_and_everything_reliable() {
    let mut host = Host::open();
    let tab = Tab::open(&host);
    let mut guest = Guest::new(&host, 1, tab);
    until("connected", || {
        guest.tick();
        host.tick();
        guest.is_connected() && host.server.counters().extended == 1
    });
    let (mut talk, mut ears) = (Talk::default(), Ears::default());
    guest.carrier.is_frozen = true;
    let mut full_since = None;
    until("its buffers are full, and stay so for a second", || {
        talk.tick(&mut host);
        ears.listen(&mut guest);
        if full_since.is_none() && host.websockets().counters().dropped_send_full > 0 {
            full_since = Some(Instant::now());
        }
        full_since.is_some_and(|since| since.elapsed() > Duration::from_secs(1))
    });
    assert!(ears.states.is_empty());
    guest.carrier.is_frozen = false;
    let thawed = Instant::now();
    let first_after = talk.states_at.len() as u32;
    until("news, and all words", || {
        talk.tick(&mut host);
        ears.listen(&mut guest);
        ears.words.len() >= WORDS as usize && ears.states.last() > Some(&first_after)
    });
    assert!(ears.words.iter().copied().eq(0..WORDS), "each once, in order: {:?}", ears.words);
    assert!(ears.states.is_sorted(), "{:?}", ears.states);
    // Of what was sent while nothing more could leave, only the youngest came: what was fresh at the end.
    let full_since = full_since.expect("it was full") + Duration::from_millis(50);
    let fresh_from = thawed - WebSocketOptions::default().stale_after - Duration::from_millis(50);
    let stale = |state: &&u32| (full_since..fresh_from).contains(&talk.states_at[**state as usize]);
    assert_eq!(ears.states.iter().filter(stale).count(), 0, "of {:?}", ears.states);
    let stalled = talk.states_at.iter().filter(|at| (full_since..fresh_from).contains(at)).count();
    assert!(stalled > 20, "only {stalled} were sent in the meantime");
}

const WORDS: u32 = 60;
