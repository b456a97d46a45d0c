//! A server's owner that visits each client once: messages of whoever has some, flushing client by client.

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::*;
use netcode_proto::ClientId;
use netcode_proto::channels::{CONTROL, GAME_RELIABLE_UNORDERED, STATE};

/// Three clients that have been connected for a second.
fn three() -> (Net, Vec<ClientId>) {
    let mut net = Net::new(server_config(), 1);
    for player in 1..=3 {
        net.connect(&token(player));
    }
    net.run(Duration::from_secs(1));
    let of = |player| net.server.client_of_player(player).expect("connected");
    let clients = (1..=3).map(of).collect();
    (net, clients)
}

/// What arrived, by client.
type Heard = BTreeMap<ClientId, Vec<Vec<u8>>>;

fn by_any(net: &mut Net) -> Heard {
    let mut heard = Heard::new();
    while let Some((client, _, message)) = net.server.poll_any_message() {
        heard.entry(client).or_default().push(message.to_vec());
    }
    heard
}

fn by_all(net: &mut Net) -> Heard {
    let mut heard = Heard::new();
    net.server.poll_messages(&mut |client, _, message| {
        heard.entry(client).or_default().push(message.to_vec());
    });
    heard
}

/// One message at a time, as an owner that stops in the middle and goes on later.
fn by_ready(net: &mut Net) -> Heard {
    let mut heard = Heard::new();
    while let Some(client) = net.server.poll_ready() {
        let mut more = true;
        while std::mem::take(&mut more) {
            net.server.read_messages(client, &mut |_, message| {
                heard.entry(client).or_default().push(message.to_vec());
                more = true;
                false
            });
        }
    }
    heard
}

/// Short and long messages of each client in each of ten ticks.
fn talk(net: &mut Net, hear: fn(&mut Net) -> Heard) -> Heard {
    let mut heard = Heard::new();
    for tick in 0..30_u8 {
        let now = net.now;
        for number in 0..3 {
            if tick < 10 && usize::from(tick) % 3 >= number {
                let client = net.client(number);
                client.send(now, CONTROL, &[tick, number as u8]).expect("room");
                client.send(now, GAME_RELIABLE_UNORDERED, &vec![tick; 3000]).expect("room");
            }
        }
        net.tick();
        for (client, messages) in hear(net) {
            heard.entry(client).or_default().extend(messages);
        }
    }
    heard
}

#[test]
fn messages_are_the_same_whoever_is_asked_for_them() {
    let mut nets = [three(), three(), three(), three()];
    let clients = nets[0].1.clone();
    let any = talk(&mut nets[0].0, by_any);
    let all = talk(&mut nets[1].0, by_all);
    let each = talk(&mut nets[2].0, |net| {
        let clients: Vec<ClientId> = net.server.clients().collect();
        let mut of = |client| {
            std::iter::from_fn(|| net.server.poll_message(client)).map(|one| one.1.to_vec()).collect()
        };
        clients.into_iter().map(|client| (client, of(client))).collect()
    });
    assert_eq!(any.keys().copied().collect::<Vec<_>>(), clients);
    let ready = talk(&mut nets[3].0, by_ready);
    assert_eq!((&any, &all, &ready), (&each, &each, &each));
    assert_eq!(any.values().map(Vec::len).sum::<usize>(), 2 * (10 + 6 + 3));
    assert_eq!(nets[0].0.server.poll_any_message(), None);
}

#[test]
fn what_a_client_said_before_it_left_is_among_them() {
    let (mut net, clients) = three();
    let now = net.now;
    net.client(1).send(now, CONTROL, b"last words").expect("room");
    net.tick();
    let now = net.now;
    net.client(1).disconnect(now);
    assert!(net.run_until(|net| net.server.clients_len() == 2));
    let (client, _, message) = net.server.poll_any_message().expect("it is still there");
    assert_eq!((client, &message[..]), (clients[1], &b"last words"[..]));
    assert_eq!(net.server.poll_any_message(), None);
}

#[test]
fn a_client_is_flushed_alone_and_only_once() {
    let (mut net, clients) = three();
    // The search for the path's MTU adds datagrams of its own to the first ones.
    for _ in 0..120 {
        let now = net.now;
        clients.iter().for_each(|client| net.server.send(now, *client, STATE, &[0; 200]).expect("room"));
        net.tick();
    }
    let now = net.now + Duration::from_millis(5);
    for client in &clients {
        net.server.send(now, *client, STATE, &[1; 200]).expect("room");
        net.server.send(now, *client, CONTROL, &[2; 32]).expect("room");
    }
    net.server.flush_client(now, clients[1]);
    let of_it = net.server.address(clients[1]).expect("connected");
    let sent = net.server.poll_transmit().expect("it has something");
    assert_eq!(sent.to, of_it);
    assert!(sent.bytes.len() > 232, "everything in one: {}", sent.bytes.len());
    assert!(net.server.poll_transmit().is_none(), "everything in one");
    net.server.flush_client(now, clients[1]);
    assert!(net.server.poll_transmit().is_none(), "nothing waits any more");
    net.server.flush(now);
    let rest: Vec<_> = std::iter::from_fn(|| net.server.poll_transmit().map(|sent| sent.to)).collect();
    let others = [clients[0], clients[2]].map(|client| net.server.address(client).expect("connected"));
    assert_eq!(rest, others);
}

#[test]
fn who_was_left_out_is_flushed_at_the_end_and_nobody_twice() {
    let (mut net, clients) = three();
    for _ in 0..120 {
        let now = net.now;
        clients.iter().for_each(|client| net.server.send(now, *client, STATE, &[0; 200]).expect("room"));
        net.tick();
    }
    let address = |net: &Net, client| net.server.address(client).expect("connected");
    for left_out in 0..3 {
        net.tick();
        let now = net.now + Duration::from_millis(5);
        let order: Vec<ClientId> = (0..3).map(|step| clients[(left_out + 1 + step) % 3]).collect();
        for (step, client) in order.iter().enumerate() {
            net.server.send(now, *client, STATE, &[1; 200]).expect("room");
            if step < 2 {
                net.server.flush_client(now, *client);
            }
        }
        net.server.flush_rest(now);
        net.server.flush_rest(now);
        let sent: Vec<_> = std::iter::from_fn(|| net.server.poll_transmit().map(|sent| sent.to)).collect();
        assert_eq!(sent, order.iter().map(|client| address(&net, *client)).collect::<Vec<_>>());
    }
    // One of those that had their turn goes: the other one is not taken for it.
    net.tick();
    let now = net.now + Duration::from_millis(5);
    for client in &clients {
        net.server.send(now, *client, STATE, &[1; 200]).expect("room");
    }
    net.server.flush_client(now, clients[0]);
    net.server.flush_client(now, clients[1]);
    net.server.disconnect(now, clients[0], 1);
    while net.server.poll_transmit().is_some() {}
    let last = address(&net, clients[2]);
    net.server.flush_rest(now);
    assert_eq!(net.server.poll_transmit().map(|sent| sent.to), Some(last));
}

#[test]
fn silence_is_told_and_heard_on_time_although_nobody_is_looked_at_each_tick() {
    let (mut net, _) = three();
    // A second in which nobody says anything: two keep-alives each way for each.
    net.log.clear();
    net.run(Duration::from_secs(1));
    for number in 0..3 {
        let down = net.log.iter().filter(|datagram| datagram.to == client_address(number)).count();
        assert!((1..=2).contains(&down), "{down} to {number}");
    }
    // One goes dark; its token says when that is too long.
    net.filter = Box::new(|datagram| datagram.from != client_address(2));
    let limit = Duration::from_secs(spec(1).timeout_s as u64);
    let ended = |net: &Net| net.server.client_of_player(3).is_none();
    net.run(limit - Duration::from_millis(600));
    assert!(!ended(&net));
    net.run(Duration::from_millis(700));
    assert!(ended(&net) && net.server.clients_len() == 2);
}
