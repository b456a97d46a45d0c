//! Attacks on what stands: garbage, bent and replayed datagrams, and players who lie under their own seal. Must never
//! know what the honest say.

use std::net::SocketAddr;

use fastrand::Rng;

use super::insider::Insider;
use super::parts::{PROTOCOL, UNIX, client_address, server_address};
use super::stage::{Adversary, Scene};

/// Bytes without meaning but with plausible lengths and prefixes, from everywhere.
pub(crate) struct Flood(Rng);

impl Flood {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Rng::with_seed(seed))
    }

    fn datagram(&mut self) -> Vec<u8> {
        let rng = &mut self.0;
        let len = [rng.usize(0..64), 18, 26, 326, 1078, rng.usize(0..1250)][rng.usize(0..6)];
        let mut bytes: Vec<u8> = (0..len).map(|_| rng.u8(..)).collect();
        if let Some(prefix) = bytes.first_mut() {
            *prefix = [0, rng.u8(..), 0x10 | rng.u8(0..8), 0x80 | rng.u8(0..8)][rng.usize(0..4)];
        }
        if len == 1078 && bytes[0] == 0 {
            bytes[..14].copy_from_slice(b"\0NETCODE 1.02\0");
            bytes[14..22].copy_from_slice(&PROTOCOL.to_le_bytes());
            bytes[22..30].copy_from_slice(&(UNIX + 20).to_le_bytes());
        }
        bytes
    }
}

impl Adversary for Flood {
    fn act(&mut self, scene: &mut Scene<'_>) {
        // 36,000 a second.
        for _ in 0..600 {
            // From nowhere, and from the very addresses of the honest.
            let from = match self.0.u8(0..4) {
                0 => client_address(self.0.usize(0..12)),
                _ => client_address(20_000 + self.0.usize(0..30_000)),
            };
            let bytes = self.datagram();
            scene.send(from, bytes);
        }
        for _ in 0..60 {
            let bytes = self.datagram();
            scene.send_to_client(client_address(self.0.usize(0..12)), bytes);
        }
    }
}

/// What is done to an overheard datagram before it is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bend {
    Truncate,
    Replay,
    Flip,
    /// New type and number, same seal; from the owner's address and from another honest one's.
    Spoof,
}

/// Somebody on the path who changes what it hears.
pub(crate) struct Bent {
    how: Bend,
    rng: Rng,
}

impl Bent {
    pub(crate) fn new(how: Bend, seed: u64) -> Self {
        Self { how, rng: Rng::with_seed(seed) }
    }

    fn bend(&mut self, from: SocketAddr, mut bytes: Vec<u8>) -> (SocketAddr, Vec<u8>) {
        let rng = &mut self.rng;
        match self.how {
            Bend::Truncate => bytes.truncate(rng.usize(0..bytes.len())),
            Bend::Replay => {}
            Bend::Flip => {
                let at = rng.usize(0..bytes.len());
                bytes[at] ^= 1 << rng.u32(0..8);
            }
            Bend::Spoof => {
                let width = usize::from(bytes[0] >> 4).min(bytes.len() - 1);
                bytes[0] = bytes[0] & 0xf0 | rng.u8(1..16);
                bytes[1..=width].fill_with(|| rng.u8(..));
                // A goodbye is the shortest packet: say it for them.
                if rng.bool() {
                    bytes.truncate(1 + width + 16);
                    bytes[0] = bytes[0] & 0xf0 | [6, 14][rng.usize(0..2)];
                }
                if rng.bool() {
                    return (client_address(rng.usize(0..12)), bytes);
                }
            }
        }
        (from, bytes)
    }
}

impl Adversary for Bent {
    fn act(&mut self, scene: &mut Scene<'_>) {
        if scene.overheard.is_empty() {
            return;
        }
        for _ in 0..200 {
            let (from, to, bytes) = scene.overheard[self.rng.usize(0..scene.overheard.len())].clone();
            if to == server_address() {
                let (from, bytes) = self.bend(from, bytes);
                scene.send(from, bytes);
            } else {
                let (_, bytes) = self.bend(from, bytes);
                scene.send_to_client(to, bytes);
            }
        }
    }
}

/// Somebody close to the honest, with a faster way to the server: its copy of what they say arrives first, from an
/// address of its own.
pub(crate) struct Racer(Rng);

impl Racer {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Rng::with_seed(seed))
    }
}

impl Adversary for Racer {
    fn act(&mut self, scene: &mut Scene<'_>) {
        // Requests are another matter: see `limits`.
        let sealed = scene.leaving.iter().filter(|(_, bytes)| bytes.first() != Some(&0));
        let copies: Vec<Vec<u8>> = sealed.map(|(_, bytes)| bytes.clone()).collect();
        for bytes in copies {
            scene.send(client_address(6000 + self.0.usize(0..3)), bytes);
        }
    }
}

/// What a player with a true token does once it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    /// Acknowledges what was never sent.
    Acks,
    /// Pieces of long messages, never a whole one.
    Fragments,
    /// Numbers that leap to the end of their space and back.
    Sequences,
    /// As much as it can, all of it sound.
    Gush,
}

/// Players who come in one after the other, each with a fresh token, and lie until they are put out.
pub(crate) struct Liar {
    lie: Lie,
    rng: Rng,
    current: Insider,
    next: u16,
    ticks: u32,
    pieces: u16,
}

impl Liar {
    pub(crate) fn new(lie: Lie, seed: u64) -> Self {
        let first = 8000 + lie as u16 * 2000;
        Self {
            lie,
            rng: Rng::with_seed(seed),
            current: Insider::new(first, UNIX),
            next: first + 1,
            ticks: 0,
            pieces: 0,
        }
    }

    fn replace(&mut self, unix_s: u64) {
        self.current = Insider::new(self.next, unix_s);
        (self.next, self.ticks, self.pieces) = (self.next + 1, 0, 0);
    }

    fn lie(&mut self) -> Vec<Vec<u8>> {
        let rng = &mut self.rng;
        match self.lie {
            Lie::Acks => {
                let [low, high, ..] = (self.current.sequence + rng.u64(500..30_000)).to_le_bytes();
                let acks = [1 | rng.u8(0..63) << 2, low, high, rng.u8(..)];
                vec![self.current.seal(5, &acks)]
            }
            Lie::Fragments => (0..4)
                .map(|_| {
                    self.pieces += 1;
                    let body = piece([1, 4][rng.usize(0..2)], self.pieces);
                    self.current.seal(5, &body)
                })
                .collect(),
            Lie::Sequences => (0..8)
                .map(|_| {
                    let leap = [
                        rng.u64(0..64),
                        rng.u64(..1 << 63),
                        (1 << 63) - 1,
                        rng.u64(1 << 63..),
                        u64::MAX - rng.u64(0..4),
                    ][rng.usize(0..5)];
                    self.current.seal_as(5, leap, &[0, 0x80, 1, 2, 3])
                })
                .collect(),
            Lie::Gush => (0..40)
                .map(|_| {
                    let mut body = vec![7; 1150];
                    body[..2].copy_from_slice(&[0, 0x80]);
                    self.current.seal(5, &body)
                })
                .collect(),
        }
    }
}

impl Adversary for Liar {
    fn act(&mut self, scene: &mut Scene<'_>) {
        self.ticks += 1;
        let unix_s = UNIX + scene.now.as_micros() / 1_000_000;
        let mut is_out = self.ticks > 400;
        let answers: Vec<Vec<u8>> = scene
            .answers
            .iter()
            .filter(|(to, _)| *to == self.current.address)
            .map(|(_, bytes)| bytes.clone())
            .collect();
        for bytes in answers {
            is_out |= bytes[0] & 0x0f == 6;
            if let Some(response) = self.current.answer(&bytes) {
                scene.send(self.current.address, response);
            }
        }
        if is_out {
            self.replace(unix_s);
        }
        if !self.current.is_in {
            if self.ticks % 6 <= 1 {
                scene.send(self.current.address, self.current.request());
            }
            return;
        }
        for bytes in self.lie() {
            scene.send(self.current.address, bytes);
        }
    }
}

/// A body with the first piece of a message of 64,000 bytes: 58 pieces of 1104.
fn piece(channel: u8, id: u16) -> Vec<u8> {
    let mut body = vec![0, channel | 0x40];
    body.extend(id.to_le_bytes());
    // Index 0, count 58, total 64,000 as a varint.
    body.extend([0, 58, 0x80, 0xf4, 0x03]);
    body.extend([9; 1104]);
    body
}
