//! Golden bytes of the C reference implementation of netcode 1.02, decoded by the document alone.

use netcode_token::aead::PacketKey;
use netcode_token::{
    Key, PRIVATE_LEN, PublicToken, TokenError, TokenSpec, VERSION, mint, mint_with, open_private,
};

const PROTOCOL: u64 = 0x1234_5678_90AB_CDEF;

fn key() -> Key {
    Key::from_bytes(std::array::from_fn(|place| place as u8))
}

fn vector(name: &str) -> Vec<Vec<u8>> {
    let lines = include_str!("netcode-1.02-vectors.txt").lines();
    let of_name = lines.filter(|line| line.split(' ').next() == Some(name));
    of_name.map(|line| unhex(line.rsplit(' ').next().expect("a line ends in its bytes"))).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|place| u8::from_str_radix(&text[place..place + 2], 16).expect("hexadecimal"))
        .collect()
}

#[test]
fn the_reference_token_is_read() {
    let token = PublicToken::decode(&vector("TOKEN")[0]).unwrap();
    assert_eq!(token.protocol_id, PROTOCOL);
    assert_eq!(token.expire_unix_s - token.create_unix_s, 45);
    assert_eq!(token.timeout_s, 17);
    assert_eq!(token.servers, ["127.0.0.1:40000".parse().unwrap(), "[::1]:40001".parse().unwrap()]);

    let mut sealed = token.private.clone();
    let private =
        open_private(sealed.as_mut_slice(), &token.nonce, PROTOCOL, token.expire_unix_s, &key()).unwrap();
    assert_eq!(private.client_id, 0x1122_3344_5566_7788);
    assert_eq!(private.timeout_s, 17);
    assert_eq!(private.servers, token.servers);
    assert_eq!(private.client_to_server, token.client_to_server);
    assert_eq!(private.server_to_client, token.server_to_client);
    assert!(private.user_data.iter().enumerate().all(|(place, &byte)| byte == 255 - place as u8));
}

#[test]
fn minting_the_reference_token_gives_its_bytes() {
    let golden = &vector("TOKEN")[0];
    let token = PublicToken::decode(golden).unwrap();
    let spec = TokenSpec {
        protocol_id: PROTOCOL,
        create_unix_s: token.create_unix_s,
        expire_unix_s: token.expire_unix_s,
        timeout_s: 17,
        client_id: 0x1122_3344_5566_7788,
        servers: token.servers.clone(),
        user_data: std::array::from_fn(|place| 255 - place as u8),
    };
    let minted =
        mint_with(&spec, &key(), &token.client_to_server, &token.server_to_client, &token.nonce).unwrap();
    assert_eq!(minted.as_slice(), golden);

    let (first, second) = (mint(&spec, &key()).unwrap(), mint(&spec, &key()).unwrap());
    assert_ne!(first, second, "every token has its own nonce and keys");
}

#[test]
fn the_reference_packets_open() {
    let packets = vector("PKT");
    assert_eq!(packets.len(), 10);
    for mut packet in packets {
        let sequence_len = usize::from(packet[0] >> 4);
        let mut sequence = [0; 8];
        sequence[..sequence_len].copy_from_slice(&packet[1..=sequence_len]);
        let mut associated = VERSION.to_vec();
        associated.extend_from_slice(&PROTOCOL.to_le_bytes());
        associated.push(packet[0]);
        let sealed = &mut packet[1 + sequence_len..];
        let text = PacketKey::new(&key()).open(u64::from_le_bytes(sequence), &associated, sealed).unwrap();
        assert_eq!(text, [3, 0, 0, 0, 32, 0, 0, 0]);
    }
}

#[test]
fn what_the_seal_binds_cannot_be_changed() {
    let token = PublicToken::decode(&vector("TOKEN")[0]).unwrap();
    let open = |place: usize, protocol: u64, expire: u64, key: &Key| {
        let mut sealed = token.private.clone();
        sealed[place] ^= u8::from(place != 0);
        open_private(sealed.as_mut_slice(), &token.nonce, protocol, expire, key)
    };
    let expire = token.expire_unix_s;
    assert!(open(0, PROTOCOL, expire, &key()).is_ok());
    assert_eq!(open(1, PROTOCOL, expire, &key()), Err(TokenError::Forged));
    assert_eq!(open(PRIVATE_LEN - 1, PROTOCOL, expire, &key()), Err(TokenError::Forged));
    assert_eq!(open(0, PROTOCOL + 1, expire, &key()), Err(TokenError::Forged));
    assert_eq!(open(0, PROTOCOL, expire + 1, &key()), Err(TokenError::Forged));
    assert_eq!(open(0, PROTOCOL, expire, &Key::from_bytes([1; 32])), Err(TokenError::Forged));
}

#[test]
fn every_kind_of_nonsense_is_refused() {
    let golden = &vector("TOKEN")[0];
    let check = |place: usize, bytes: &[u8], expected: &str| {
        let mut token = golden.clone();
        token[place..place + bytes.len()].copy_from_slice(bytes);
        assert_eq!(PublicToken::decode(&token).unwrap_err().to_string(), expected);
    };
    check(9, b"01", "token is malformed: version");
    check(21, &u64::MAX.to_le_bytes(), "token is malformed: it expires before it was made");
    // 1085 = 13 + 8 + 8 + 8 + 24 + 1024; then the timeout.
    check(1089, &[0; 4], "token is malformed: number of servers");
    check(1089, &33u32.to_le_bytes(), "token is malformed: number of servers");
    check(1093, &[3], "token is malformed: address type");
    for len in [0, 1, 2047] {
        assert_eq!(PublicToken::decode(&golden[..len]), Err(TokenError::Truncated));
    }
}
