//! `seal`: what a session's packet costs beside its cipher alone: head, associated data, the copy into the datagram, the
//! tag's place, the replay window. Owns the two loops and their ratio; must never know a link.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use netcode_proto::PacketBench;
use netcode_token::Key;
use netcode_token::aead::{Cipher, PacketKey};
use serde::Serialize;

/// One row.
#[derive(Debug, Clone, Serialize)]
pub struct SealFigures {
    cipher: &'static str,
    /// Of the text.
    bytes: usize,
    /// Sealing and opening by the cipher alone, in place, with the same associated data.
    aead_ns: f64,
    /// Sealing a packet from its text, and opening it again.
    packet_ns: f64,
    ratio: f64,
}

/// Measures both ciphers with texts of up to 256 bytes, prints the table and writes `target/bench/seal.json`.
///
/// # Errors
/// The figures cannot be written.
pub fn seal(workspace: &Path) -> anyhow::Result<Vec<SealFigures>> {
    let ciphers = [
        ("aes-256-gcm", Cipher::Aes256Gcm, &AES_256_GCM),
        ("chacha20-poly1305", Cipher::ChaCha20Poly1305, &CHACHA20_POLY1305),
    ];
    let mut figures = Vec::new();
    for (name, cipher, algorithm) in ciphers {
        for bytes in [16, 64, 128, 256] {
            let (aead_ns, packet_ns) = measure(cipher, algorithm, bytes);
            figures.push(SealFigures { cipher: name, bytes, aead_ns, packet_ns, ratio: packet_ns / aead_ns });
        }
    }
    println!("| cipher            | bytes | AEAD alone, ns | packet, ns | ratio |");
    println!("| ----------------- | ----: | -------------: | ---------: | ----: |");
    for SealFigures { cipher, bytes, aead_ns, packet_ns, ratio } in &figures {
        println!("| {cipher:<17} | {bytes:>5} | {aead_ns:>14.0} | {packet_ns:>10.0} | {ratio:>5.2} |");
    }
    let folder = workspace.join("target/bench");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("seal.json"), serde_json::to_string_pretty(&figures)? + "\n")?;
    Ok(figures)
}

/// Nanoseconds of a seal and an open: the cipher alone, and a packet. Rounds of both take turns; of each the fastest
/// counts, which nothing disturbed.
fn measure(cipher: Cipher, algorithm: &'static Algorithm, bytes: usize) -> (f64, f64) {
    let unbound = UnboundKey::new(algorithm, &[9; 32]).expect("a key of either cipher is 32 bytes");
    let alone = LessSafeKey::new(unbound);
    let mut packets = PacketBench::new(PacketKey::with_cipher(&Key::from_bytes([9; 32]), cipher));
    let text = vec![5_u8; bytes];
    let (mut sealed, mut datagram) = (Vec::with_capacity(bytes + 64), Vec::with_capacity(bytes + 64));
    let (mut sequence, mut best) = (0_u64, (f64::MAX, f64::MAX));
    for _ in 0..ROUNDS {
        sealed.resize(bytes, 5);
        let began = Instant::now();
        for _ in 0..ROUND {
            sequence += 1;
            seal_and_open(&alone, sequence, &mut sealed, bytes);
        }
        best.0 = best.0.min(began.elapsed().as_nanos() as f64 / f64::from(ROUND));
        let began = Instant::now();
        for _ in 0..ROUND {
            sequence += 1;
            packets.seal(sequence, black_box(&text), &mut datagram);
            assert_eq!(packets.open(black_box(&mut datagram)), Some(bytes));
        }
        best.1 = best.1.min(began.elapsed().as_nanos() as f64 / f64::from(ROUND));
    }
    best
}

fn seal_and_open(key: &LessSafeKey, sequence: u64, bytes: &mut Vec<u8>, len: usize) {
    let nonce = || {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&sequence.to_le_bytes());
        Nonce::assume_unique_for_key(nonce)
    };
    bytes.truncate(len);
    let tag = key.seal_in_place_separate_tag(nonce(), Aad::from(ASSOCIATED), black_box(bytes.as_mut_slice()));
    bytes.extend_from_slice(tag.expect("the text is short").as_ref());
    let opened = key.open_in_place(nonce(), Aad::from(ASSOCIATED), black_box(bytes.as_mut_slice()));
    assert_eq!(opened.map(|text| text.len()).ok(), Some(len));
}

/// As long as a packet's.
const ASSOCIATED: [u8; 22] = [7; 22];
const ROUNDS: u32 = 400;
const ROUND: u32 = 500;
