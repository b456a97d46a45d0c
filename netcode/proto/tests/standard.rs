//! STANDARD.md against the golden bytes of the reference implementation and against our own datagrams: the tables are
//! read from the document, so that it cannot drift from the wire.

mod common;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use common::{Net, kind, server_config, token};
use netcode_token::aead::{PacketKey, open_extended};
use netcode_token::{Key, Seat};

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

    let types = rows("5. Sealed packet");
    let most = |kind: u8| {
        let row = types.iter().find(|row| row[0] == kind.to_string() && row.len() == 5).expect("a type");
        row[3].rsplit(' ').next().and_then(|most| most.parse::<usize>().ok()).expect("a length")
    };
    assert_eq!((most(0), most(2), most(5)), (1078, 333, 1200));
    for datagram in &net.log {
        assert!(datagram.bytes.len() <= most(kind(&datagram.bytes)), "type {}", kind(&datagram.bytes));
    }
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
