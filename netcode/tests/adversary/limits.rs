//! What an adversary does achieve: asserted, so that nobody takes it for granted in either direction, and so that a
//! remedy shows.

use std::collections::VecDeque;
use std::time::Duration;

use netcode_proto::{Client, ClientConfig, ClientState, Server};
use netcode_token::{KEY_LEN, Key};
use netcode_wire::Time;

use super::parts::{self, PROTOCOL, UNIX, client_address};
use super::stage::Stage;
use super::thieves::Lurkers;

/// Deliberate, and the standard's own rule: a token belongs to the address that showed it first, proven or not. So
/// whoever hears a request and is faster than its owner keeps the owner out, for as long as the token lives, without
/// coming in itself.
#[test]
fn a_faster_thief_spoils_a_token_and_gains_nothing() {
    let mut server = Server::new(parts::server_config());
    let (owner_at, thief_at) = (client_address(0), client_address(1));
    let began = Time::from_secs(1);
    let token = parts::token(1, 1, UNIX + 1);
    let mut owner = Client::connect(began, &token[..], ClientConfig::new(PROTOCOL)).expect("our own token");
    let stolen = owner.poll_transmit().expect("the request").bytes.to_vec();
    server.handle_datagram(began, thief_at, &mut stolen.clone());
    assert_eq!(server.poll_transmit().map(|challenge| challenge.to), Some(thief_at));

    for tick in 1..60_u64 * 40 {
        let now = began + Duration::from_micros(tick * 16_667);
        owner.step(now);
        while let Some(request) = owner.poll_transmit() {
            server.handle_datagram(now, owner_at, &mut request.bytes.to_vec());
        }
        // The thief has no key: it can only say the request again.
        server.handle_datagram(now, thief_at, &mut stolen.clone());
        server.step(now);
        while let Some(answer) = server.poll_transmit() {
            assert_eq!(answer.to, thief_at, "the owner is not even refused");
        }
    }
    assert!(matches!(owner.state(), ClientState::Disconnected(_)), "{:?}", owner.state());
    assert_eq!((server.clients_len(), server.tokens_len()), (0, 0));
    // Nothing lasts: with its next token the owner is in.
    assert!(server.counters().requests_reused > 10 && server.counters().connected == 0);
}

/// Handshakes under way are bounded, and whoever has had a place for a second without going on loses it to who has none.
/// So whoever holds more true tokens than there are places, and never finishes, delays newcomers and keeps nobody out.
#[test]
fn more_lurkers_than_places_delay_newcomers_and_disturb_nobody_else() {
    let calm = Stage::new().play(&mut []);
    let report = Stage::new().play(&mut [Box::new(Lurkers::new(300))]);
    // 2 × 64 slots + 64.
    assert_eq!(report.handshakes_max, 192);
    assert_eq!((report.joins_us.len(), &report.honest_ends[..]), (calm.joins_us.len(), &[][..]));
    assert!(report.joins_us.p99() < calm.joins_us.p99() + 2_500_000, "{} us", report.joins_us.p99());
    for (calm, attacked) in [(&calm.up_us, &report.up_us), (&calm.down_us, &report.down_us)] {
        assert!(attacked.p99() * 10 <= calm.p99() * 11, "{} us, {} us", attacked.p99(), calm.p99());
    }
}

/// Whoever copies a resumption request and says it again and again from elsewhere, faster than a round trip, is given an
/// acceptance that only the owner could use, and only from there: the owner comes back as if nobody had said anything.
#[test]
fn a_copied_resumption_changes_nothing_for_its_owner() {
    let (mut server, token) = (Server::new(parts::server_config()), parts::token(1, 1, UNIX + 1));
    let mut now = Time::from_secs(1);
    let config = || ClientConfig::new(PROTOCOL);
    let first = Client::connect(now, &token[..], config()).expect("our own token");
    assert!(matches!(run(&mut server, &mut now, first, 0, None, 60), ClientState::Connected));

    let resume = |now, fresh: u8| {
        let fresh = Key::from_bytes([fresh; KEY_LEN]);
        Client::resume(now, &token[..], config(), &fresh).expect("our own token")
    };
    let stolen = resume(now, 1).poll_transmit().expect("the request").bytes.to_vec();
    let again = resume(now, 1);
    let begun = now;
    let state = run(&mut server, &mut now, again, 1, Some(&stolen), 12);
    assert_eq!((state, server.counters().resumed), (ClientState::Connected, 1), "{:?}", now.since(begun));
    let session = server.client_of_player(1).expect("resumed");
    assert_eq!(server.address(session), Some(client_address(1)));
    assert!(server.handshakes_len() <= 1, "what the copies are now: one attempt that nobody can confirm");
    // After the next crash the copy of the first request is an attempt of its own, beside the owner's.
    let again = resume(now, 2);
    assert_eq!(run(&mut server, &mut now, again, 2, Some(&stolen), 12), ClientState::Connected);
    assert_eq!((server.counters().resumed, server.clients_len()), (2, 1));
}

/// A client at the address of this number, 33 ms from the server; a thief, if any, says `stolen` every tick.
fn run(
    server: &mut Server,
    now: &mut Time,
    mut client: Client,
    number: usize,
    stolen: Option<&[u8]>,
    ticks: u32,
) -> ClientState {
    let (home, away) = (client_address(number), client_address(40));
    let (mut up, mut down) = (VecDeque::new(), VecDeque::new());
    for _ in 0..ticks {
        *now += Duration::from_micros(16_667);
        client.step(*now);
        client.flush(*now);
        let said: Vec<Vec<u8>> =
            std::iter::from_fn(|| client.poll_transmit().map(|one| one.bytes.to_vec())).collect();
        up.push_back(said);
        if let Some(stolen) = stolen {
            server.handle_datagram(*now, away, &mut stolen.to_vec());
        }
        let due = if up.len() > 2 { up.pop_front().unwrap_or_default() } else { Vec::new() };
        due.into_iter().for_each(|mut bytes| server.handle_datagram(*now, home, &mut bytes));
        server.step(*now);
        server.flush(*now);
        let mut answers = Vec::new();
        while let Some(answer) = server.poll_transmit() {
            if answer.to == home {
                answers.push(answer.bytes.to_vec());
            }
        }
        down.push_back(answers);
        let due = if down.len() > 2 { down.pop_front().unwrap_or_default() } else { Vec::new() };
        due.into_iter()
            .for_each(|mut bytes| client.handle_datagram(*now, parts::server_address(), &mut bytes));
    }
    client.state()
}
