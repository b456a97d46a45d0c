//! Attacks on the way in: tokens that expired, belong elsewhere or were stolen, and handshakes that nobody finishes.
//! Must never know a session.

use fastrand::Rng;
use netcode_token::{Key, Seat, TokenSpec, mint_with};

use super::insider::{Insider, request};
use super::parts::{PROTOCOL, UNIX, client_address, private_key, server_address};
use super::stage::{Adversary, Scene};

/// Requests with tokens that no longer, not here, not for this game or not for this thief admit anybody.
pub(crate) struct Tokens {
    rng: Rng,
    useless: Vec<Vec<u8>>,
}

impl Tokens {
    pub(crate) fn new(seed: u64) -> Self {
        let good = TokenSpec {
            protocol_id: PROTOCOL,
            create_unix_s: UNIX,
            expire_unix_s: UNIX + 30,
            timeout_s: 5,
            client_id: 77,
            servers: vec![server_address()],
            user_data: Seat::default().encode(),
        };
        let expired = TokenSpec { expire_unix_s: UNIX + 1, ..good.clone() };
        let elsewhere = TokenSpec { servers: vec![client_address(3)], ..good.clone() };
        let other_game = TokenSpec { protocol_id: 1, ..good.clone() };
        let made = |spec: &TokenSpec, key: &Key| {
            let session = Key::from_bytes([3; 32]);
            request(&mint_with(spec, key, &session, &session, &[8; 24]).expect("a sound spec")[..])
        };
        let forged = Key::from_bytes([8; 32]);
        let mut useless = vec![made(&good, &forged)];
        useless.extend([expired, elsewhere, other_game].iter().map(|spec| made(spec, &private_key())));
        // An expired one whose expiry was written anew.
        let mut renewed = useless[1].clone();
        renewed[22..30].copy_from_slice(&(UNIX + 1000).to_le_bytes());
        useless.push(renewed);
        Self { rng: Rng::with_seed(seed), useless }
    }
}

impl Adversary for Tokens {
    fn act(&mut self, scene: &mut Scene<'_>) {
        for _ in 0..20 {
            let bytes = self.useless[self.rng.usize(0..self.useless.len())].clone();
            scene.send(client_address(3000 + self.rng.usize(0..500)), bytes);
        }
        let requests = scene.overheard.iter().filter(|(_, _, bytes)| bytes.first() == Some(&0));
        let stolen: Vec<Vec<u8>> = requests.map(|(_, _, bytes)| bytes.clone()).collect();
        for bytes in stolen {
            scene.send(client_address(3000 + self.rng.usize(0..500)), bytes);
        }
    }
}

/// True tokens, shown again and again so that the handshake never lapses, and never a response.
pub(crate) struct Lurkers {
    all: Vec<Insider>,
    ticks: usize,
}

impl Lurkers {
    pub(crate) fn new(count: u16) -> Self {
        Self { all: (0..count).map(|number| Insider::new(5000 + number, UNIX)).collect(), ticks: 0 }
    }
}

impl Adversary for Lurkers {
    fn act(&mut self, scene: &mut Scene<'_>) {
        // Each one every 30 ticks.
        for lurker in self.all.iter().skip(self.ticks % 30).step_by(30) {
            scene.send(lurker.address, lurker.request());
        }
        self.ticks += 1;
    }
}
