//! STANDARD.md against the golden bytes of the reference implementation and against our own datagrams: the tables are
//! read from the document, so that it cannot drift from the wire.

mod common;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use common::{
    ExtendedKeys, Net, client_address, client_sequence, kind, server_address, server_config, token,
};
use netcode_token::aead::{PacketKey, open_extended};
use netcode_token::{Key, PublicToken, Seat};

const PROTOCOL: u64 = 0x1234_5678_90AB_CDEF;

fn key() -> Key {
    Key::from_bytes(std::array::from_fn(|place| place as u8))
}

fn document() -> &'static str {
    include_str!("../../STANDARD.md")
}

/// The cells of every table row in the section with this heading.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let section =
        document().split("\n## ").find(|section| section.starts_with(heading)).expect("the section exists");
    let lines = section.lines().filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'));
    lines.map(|line| line.split('|').map(str::trim).collect()).collect()
}

/// (length, field) of the `table`-th table of a section, tables told apart by their heads.
fn layout(heading: &str, table: usize) -> Vec<(&'static str, &'static str)> {
    let rows = rows(heading);
    let heads: Vec<usize> = (0..rows.len()).filter(|at| rows[*at][0] == "length").collect();
    let body = rows[heads[table] + 2..].iter().take_while(|row| row[0] != "length" && row[0] != "type");
    body.map(|row| (row[0], row[1])).collect()
}

/// Takes `bytes` apart by a layout.
fn decode(bytes: &[u8], layout: &[(&'static str, &'static str)]) -> HashMap<&'static str, Vec<u8>> {
    let (mut rest, mut fields) = (bytes, HashMap::new());
    for &(length, field) in layout {
        let length = match length {
            "addresses" => addresses(rest).1,
            "sequence" => usize::from(bytes[0] >> 4),
            // Told by the direction: the tests read a client's packets.
            "connection id" => 4,
            "rest" => rest.len(),
            number => number.parse().expect("a length in bytes"),
        };
        let (field_bytes, after) = rest.split_at(length);
        fields.insert(field, field_bytes.to_vec());
        rest = after;
    }
    assert!(rest.is_empty(), "{} bytes that the document does not know", rest.len());
    if let Some(zeros) = fields.get("zeros") {
        assert!(zeros.iter().all(|byte| *byte == 0));
    }
    fields
}

/// The addresses at the start of `bytes`, and how many bytes they take.
fn addresses(bytes: &[u8]) -> (Vec<SocketAddr>, usize) {
    let number = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    let (count, mut at, mut found) =
        (u32::from_le_bytes(bytes[..4].try_into().expect("four")), 4, Vec::new());
    for _ in 0..count {
        match bytes[at] {
            1 => {
                let ip: [u8; 4] = bytes[at + 1..at + 5].try_into().expect("four");
                found.push(SocketAddr::from((ip, number(at + 5))));
                at += 7;
            }
            2 => {
                let ip: [u16; 8] = std::array::from_fn(|segment| number(at + 1 + 2 * segment));
                found.push(SocketAddr::from((ip, number(at + 17))));
                at += 19;
            }
            other => panic!("address type {other}"),
        }
    }
    (found, at)
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

fn golden(name: &str) -> Vec<(String, Vec<u8>)> {
    let text = include_str!("../../token/tests/netcode-1.02-vectors.txt");
    let lines = text.lines().filter(|line| line.split(' ').next() == Some(name));
    let parts = lines.map(|line| (line.split(' ').nth(1), line.rsplit(' ').next()));
    parts.map(|(second, hex)| (second.expect("a field").to_string(), unhex(hex.expect("bytes")))).collect()
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal"))
        .collect()
}

#[test]
fn the_golden_token_reads_by_the_document() {
    let token = decode(&golden("TOKEN")[0].1, &layout("1. Connect token", 0));
    assert_eq!(token["version"], b"NETCODE 1.02\0");
    assert_eq!(number(&token["protocol id"]), PROTOCOL);
    assert_eq!(number(&token["expires"]) - number(&token["created"]), 45);
    assert_eq!(number(&token["timeout"]), 17);
    let servers = vec!["127.0.0.1:40000".parse().unwrap(), "[::1]:40001".parse().unwrap()];
    assert_eq!(addresses(&token["servers"]).0, servers);

    let associated = [&token["version"][..], &token["protocol id"], &token["expires"]].concat();
    let mut sealed = token["private part"].clone();
    let nonce = token["nonce"][..].try_into().unwrap();
    let text = open_extended(&key(), nonce, &associated, &mut sealed).unwrap();
    let private = decode(text, &layout("3. Private part", 0));
    assert_eq!(number(&private["client id"]), 0x1122_3344_5566_7788);
    assert_eq!(number(&private["timeout"]), 17);
    assert_eq!(addresses(&private["servers"]).0, servers);
    for name in ["client to server key", "server to client key"] {
        assert_eq!(private[name], token[name]);
    }
    assert!(private["user data"].iter().enumerate().all(|(place, byte)| *byte == 255 - place as u8));
}

#[test]
fn the_golden_packets_read_by_the_document() {
    let packets = golden("PKT");
    assert_eq!(packets.len(), 10);
    for (sequence, bytes) in packets {
        let mut packet = decode(&bytes, &layout("5. Sealed packet", 0));
        assert_eq!(packet["prefix"][0] & 0x0f, 4);
        assert_eq!(number(&packet["sequence"]).to_string(), sequence);
        let associated = [b"NETCODE 1.02\0", &PROTOCOL.to_le_bytes()[..], &packet["prefix"]].concat();
        let sequence = number(&packet["sequence"]);
        let sealed = packet.get_mut("sealed").unwrap();
        let text = PacketKey::new(&key()).open(sequence, &associated, sealed).unwrap();
        let keep_alive = decode(text, &layout("7. Keep-alive", 0));
        assert_eq!((number(&keep_alive["client index"]), number(&keep_alive["clients max"])), (3, 32));
    }
}

#[test]
fn the_golden_challenge_reads_by_the_document() {
    let bytes = &golden("CHALLENGE")[0].1;
    assert_eq!(bytes.len(), 300);
    let challenge = decode(&bytes[..284], &layout("6. Challenge", 1));
    assert_eq!(number(&challenge["client id"]), 0x0102_0304_0506_0708);
    assert!(challenge["user data"].iter().enumerate().all(|(place, byte)| *byte == place as u8 ^ 0x5a));
    assert_eq!(challenge["zeros"].len(), 20);
}

#[test]
fn our_datagrams_are_as_long_as_the_document_says() {
    let mut net = Net::new(server_config(), 1);
    net.connect(&token(1));
    net.run(Duration::from_secs(2));
    let request = decode(&net.log[0].bytes, &layout("4. Request", 0));
    assert_eq!(request["prefix"], [0]);
    assert_eq!(number(&request["protocol id"]), common::PROTOCOL);

    let types = [rows("5. Sealed packet"), rows("10. Beyond the standard")].concat();
    let most = |kind: u8| {
        let row = types.iter().find(|row| row[0] == kind.to_string() && row.len() == 5).expect("a type");
        row[3].rsplit(' ').next().and_then(|most| most.parse::<usize>().ok()).expect("a length")
    };
    assert_eq!((most(0), most(2), most(5), most(9), most(13)), (1078, 333, 1200, 1472, 1472));
    for datagram in &net.log {
        assert!(datagram.bytes.len() <= most(kind(&datagram.bytes)), "type {}", kind(&datagram.bytes));
    }
}

/// A session that moved once: its token, its keys and everything that was sent.
fn moved() -> (Vec<u8>, ExtendedKeys, Net) {
    let (mut net, token) = (Net::new(server_config(), 1), token(1));
    net.connect(&token);
    for _ in 0..120 {
        let now = net.now;
        net.client(0).send(now, netcode_proto::channels::STATE, &[1; 40]).expect("room");
        net.tick();
    }
    net.rebind(0, client_address(7));
    net.run(Duration::from_secs(1));
    let keys = net.extended_keys(client_address(0), &token);
    (token, keys, net)
}

#[test]
fn the_acceptance_and_its_offer_read_by_the_document() {
    let (token, _, net) = moved();
    let keys = PublicToken::decode(&token).unwrap();
    let at = net.log.iter().position(|datagram| kind(&datagram.bytes) == 7).expect("accepted");
    let offer =
        net.log[..at].iter().rfind(|datagram| kind(&datagram.bytes) == 4 && datagram.to == server_address());
    let mut offer = offer.expect("offered").bytes.clone();
    let key = PacketKey::new(&keys.client_to_server);
    let keep_alive = decode(&open_in_place(&key, &mut offer, 0), &layout("7. Keep-alive", 0));
    let word = number(&keep_alive["clients max"]);
    let bits = rows("10. Beyond the standard");
    let mark = bits.iter().find(|row| row[0] == "16–31").expect("the mark")[1];
    assert_eq!((format!("{:#06x}", word >> 16).as_str(), word & 0xffff), (mark, 13));

    let mut acceptance = net.log[at].bytes.clone();
    assert!(acceptance.len() <= 49);
    let text = open_in_place(&PacketKey::new(&keys.server_to_client), &mut acceptance, 0);
    let fields = decode(&text, &layout("10. Beyond the standard", 0));
    assert_eq!(fields["connection id"].len(), 4);
    assert_eq!(
        (fields["cipher"].as_slice(), fields["flags"].as_slice(), fields["salt"].len()),
        (&[0][..], &[3][..], 16)
    );
}

#[test]
fn extended_packets_read_by_the_document() {
    let (_, keys, net) = moved();
    let document = rows("10. Beyond the standard");
    for wanted in [9, 10, 11, 12, 15] {
        let found = net.log.iter().find(|datagram| kind(&datagram.bytes) == wanted).expect("it was sent");
        let from_client = found.to == server_address();
        let row = document.iter().find(|row| row[0] == wanted.to_string()).expect("a type");
        assert!(row[4] == "both" || (row[4] == "client") == from_client, "{row:?}");
        let mut datagram = found.bytes.clone();
        if from_client {
            let packet = decode(&datagram, &layout("10. Beyond the standard", 1));
            assert_eq!((packet["connection id"].as_slice(), packet["prefix"][0] & 8), (&keys.id[..], 8));
            assert_eq!(number(&packet["sequence"]), client_sequence(&datagram));
        }
        let (key, id_len) = if from_client { (&keys.up, 4) } else { (&keys.down, 0) };
        let text = open_in_place(key, &mut datagram, id_len);
        if wanted == 9 {
            assert!([1200, 1472].contains(&found.bytes.len()) && text.iter().all(|byte| *byte == 0));
        } else {
            assert!(row[2].starts_with(&text.len().to_string()), "{row:?} {}", text.len());
        }
    }
}

#[test]
fn a_resumption_reads_by_the_document() {
    let (token, _, mut net) = moved();
    net.clients.clear();
    net.resume_from(client_address(3), &token, 9);
    net.run(Duration::from_secs(1));
    let keys = PublicToken::decode(&token).unwrap();
    let request = net.log.iter().find(|datagram| datagram.bytes[0] == 8).expect("asked");
    let fields = decode(&request.bytes, &layout("11. Resumption", 0));
    assert_eq!((fields["prefix"][0], &fields["private part"][..]), (8, &keys.private[..]));
    let purpose = |name: &'static str| {
        assert!(document().contains(name), "{name}");
        [name.as_bytes(), &fields["fresh"]].concat()
    };
    let proof = keys.client_to_server.derive(&[&purpose("tickwright resume proof 1")]);
    let mut sealed = [&fields["offer"][..], &fields["tag"]].concat();
    let offer = PacketKey::new(&proof).open(0, &[], &mut sealed).unwrap();
    assert_eq!(number(offer), 0x5457_000d);

    // Acceptance and packets are as in §10, under keys that stand in for the token's.
    let resumed = purpose("tickwright resumed session 1");
    let [up, down] = [&keys.client_to_server, &keys.server_to_client].map(|key| key.derive(&[&resumed]));
    let is_it = |datagram: &&common::Datagram| datagram.to == client_address(3) && kind(&datagram.bytes) == 7;
    let mut acceptance = net.log.iter().find(is_it).expect("accepted").bytes.clone();
    let text = open_in_place(&PacketKey::new(&down), &mut acceptance, 0);
    let session = up.derive(&[b"tickwright extended session 1", &text]);
    let first = net.log.iter().find(|datagram| datagram.from == client_address(3) && datagram.bytes[0] != 8);
    let mut first = first.expect("it went on").bytes.clone();
    assert_eq!((kind(&first), client_sequence(&first)), (12, 0));
    assert_eq!(open_in_place(&PacketKey::new(&session), &mut first, 4).len(), 8);
}

/// Opens a packet by §5 and §10: the connection id, if any, stands before the sequence and counts for the tag.
fn open_in_place(key: &PacketKey, datagram: &mut [u8], id_len: usize) -> Vec<u8> {
    let (len, prefix) = (usize::from(datagram[0] >> 4), datagram[0]);
    let sequence = number(&datagram[1 + id_len..][..len]);
    let protocol = common::PROTOCOL.to_le_bytes();
    let associated = [b"NETCODE 1.02\0", &protocol[..], &[prefix], &datagram[1..1 + id_len]].concat();
    key.open(sequence, &associated, &mut datagram[1 + id_len + len..]).expect("authentic").to_vec()
}

#[test]
fn a_seat_lies_where_the_document_says() {
    let seat = Seat { match_id: 7, player: 9, team: 3, rating_milli: 25_000, name: "Ada".into() };
    let bytes = seat.encode();
    let fields: HashMap<_, _> = rows("9. Seat")[2..]
        .iter()
        .map(|row| (row[2], (row[0].parse::<usize>().unwrap(), row[1].parse::<usize>().unwrap())))
        .collect();
    let read = |name: &str| &bytes[fields[name].0..][..fields[name].1];
    assert_eq!(number(read("layout")), 1);
    assert_eq!((number(read("match id")), number(read("player")), number(read("team"))), (7, 9, 3));
    assert_eq!((number(read("rating")), number(read("name length"))), (25_000, 3));
    assert_eq!(&read("name")[..4], b"Ada\0");
}
