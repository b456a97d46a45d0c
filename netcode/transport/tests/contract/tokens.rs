//! Who may come in, who replaces whom, and how strangers fare.

use std::time::Duration;

use netcode_proto::{ClientState, ConnectError, DisconnectReason, ServerEvent};
use netcode_token::Key;

use crate::world::{Weather, World, guest_address, mint, server_address, spec};
use crate::{Kind, for_all};

#[test]
fn a_token_of_our_backend_admits_and_says_who() {
    for_all(|kind| {
        let mut world = World::new(kind, Weather { loss: 0.1, repeats: 0.1, jitter_ms: 30 });
        let (guest, client) = world.connected(&mint(&spec(42, 0)));
        let expected = ServerEvent::Connected { client, player: 42, user_data: Box::new([42; 256]) };
        assert_eq!(world.events, [expected]);
        assert_eq!(world.server.address(client), Some(guest_address(0)));
        assert_eq!(world.guests[guest].session.server(), server_address());
        assert_eq!(world.server.clients_len(), 1);
        assert!(world.server.budget_bytes(client) >= 1000, "a tick's state has room");
    });
}

/// Shows a token and expects that nobody comes in, whatever the client is told.
fn refused(kind: Kind, token: &[u8]) -> World {
    let mut world = World::new(kind, Weather::default());
    world.join(token);
    world.run(Duration::from_secs(2));
    assert_eq!((world.events.len(), world.server.clients_len()), (0, 0));
    world
}

#[test]
fn tokens_that_are_not_for_here_and_now_admit_nobody() {
    for_all(|kind| {
        let forged = netcode_token::mint(&spec(1, 0), &Key::from_bytes([8; 32])).unwrap();
        refused(kind, forged.as_slice());
        let mut elsewhere = spec(1, 0);
        elsewhere.servers = vec![server_address(), "10.9.9.9:1".parse().unwrap()];
        World::new(kind, Weather::default()).connected(&mint(&elsewhere));
        let mut tampered = mint(&spec(1, 0));
        tampered[100] ^= 1;
        refused(kind, &tampered);
        let mut world = World::new(kind, Weather::default());
        world.run(Duration::from_secs(61));
        world.join(&mint(&spec(1, 0)));
        world.run(Duration::from_secs(2));
        assert_eq!(world.events, [], "{}: expired", kind.name);
    });
}

#[test]
fn a_server_that_the_token_does_not_name_is_closed_to_it() {
    for_all(|kind| {
        let mut world = World::new(kind, Weather::default());
        let mut other = spec(1, 0);
        other.servers = vec!["10.9.9.9:1".parse().unwrap()];
        world.join(&mint(&other));
        world.tick();
        // What was meant for another server comes to this one.
        for datagram in world.intercept("10.9.9.9:1".parse().unwrap()) {
            world.inject(guest_address(0), datagram);
        }
        world.run(Duration::from_secs(1));
        assert_eq!(world.events, [], "{}", kind.name);
    });
}

#[test]
fn a_client_sees_at_once_what_it_cannot_use() {
    for_all(|kind| {
        let mut world = World::new(kind, Weather::default());
        let mut other = spec(1, 0);
        other.protocol_id += 1;
        let refused = world.join_from(&mint(&other), guest_address(0));
        assert!(matches!(refused, Err(ConnectError::WrongProtocol { .. })), "{}", kind.name);
        assert!(matches!(world.join_from(&[0; 7], guest_address(0)), Err(ConnectError::Token(_))));
    });
}

#[test]
fn a_token_admits_once() {
    for_all(|kind| {
        let mut world = World::new(kind, Weather::default());
        let token = mint(&spec(1, 0));
        let (guest, client) = world.connected(&token);
        let thief = world.join(&token);
        world.run(Duration::from_secs(2));
        assert_eq!(world.state(thief), ClientState::Connecting, "{}: shown from elsewhere", kind.name);
        assert_eq!(world.server.address(client), Some(guest_address(0)));
        world.guests[guest].session.disconnect(world.now);
        world.run(Duration::from_secs(1));
        assert_eq!(world.server.clients_len(), 0);
        world.join_from(&token, guest_address(0)).unwrap();
        world.run(Duration::from_secs(2));
        assert_eq!(world.server.clients_len(), 0, "{}: shown again", kind.name);
    });
}

#[test]
fn a_newer_token_of_the_same_player_replaces_the_session() {
    for_all(|kind| {
        let mut world = World::new(kind, Weather::default());
        let (_, before) = world.connected(&mint(&spec(1, 0)));
        let (_, after) = world.connected(&mint(&spec(1, 5)));
        assert_ne!(before, after);
        let replaced = ServerEvent::Disconnected { client: before, reason: DisconnectReason::Superseded };
        assert!(world.events.contains(&replaced), "{}: {:?}", kind.name, world.events);
        assert_eq!(world.server.clients_len(), 1);
        assert_eq!(world.server.address(after), Some(guest_address(1)));
        // An older one does not come back in its place.
        world.join(&mint(&spec(1, 3)));
        world.run(Duration::from_secs(2));
        assert_eq!(world.server.address(after), Some(guest_address(1)), "{}", kind.name);
        assert_eq!(world.server.clients_len(), 1);
    });
}

#[test]
fn a_full_server_takes_nobody_and_keeps_whom_it_has() {
    for_all(|kind| {
        let mut world = World::new(kind, Weather::default());
        for player in 1..=4 {
            world.connected(&mint(&spec(player, 0)));
        }
        let fifth = world.join(&mint(&spec(5, 0)));
        world.run_until(|world| world.state(fifth) == ClientState::Disconnected(DisconnectReason::Denied));
        assert_eq!(world.server.clients_len(), 4);
        assert_eq!(world.events.len(), 4);
    });
}

#[test]
fn noise_from_strangers_changes_nothing_and_is_not_amplified() {
    for_all(|kind| {
        let mut world = World::new(kind, Weather::default());
        let (guest, client) = world.connected(&mint(&spec(1, 0)));
        let mut rng = fastrand::Rng::with_seed(5);
        let stranger = guest_address(99);
        let (mut sent, mut returned) = (0, 0);
        for _ in 0..2000 {
            let mut bytes: Vec<u8> = (0..rng.usize(0..1300)).map(|_| rng.u8(..)).collect();
            if let Some(first) = bytes.first_mut() {
                *first &= 0x1f;
            }
            sent += bytes.len();
            world.inject(stranger, bytes);
            if kind.is_sealed {
                let bytes = (0..rng.usize(0..100)).map(|_| rng.u8(..)).collect();
                world.inject(guest_address(0), bytes);
            }
            world.tick();
            returned += world.intercept(stranger).iter().map(Vec::len).sum::<usize>();
        }
        assert!(returned <= sent, "{}: {returned} bytes for {sent}", kind.name);
        assert_eq!(world.state(guest), ClientState::Connected, "{}", kind.name);
        assert_eq!((world.events.len(), world.server.address(client)), (1, Some(guest_address(0))));
    });
}
