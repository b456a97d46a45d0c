//! The floor: the least that a secure game server can do for the same traffic, written by hand. One datagram a client a
//! tick, sealed; lookups by address; no handshake, no acks, no resends, no replay window. Reliable messages ride along
//! and are lost with their datagram. Nothing that keeps a promise can cost less.
//!
//! | bytes | datagram |
//! |---|---|
//! | 0..8 | sequence, little-endian |
//! | 8..n−16 | sealed: length of each message (1 byte) and its bytes |
//! | n−16..n | tag |

use std::collections::HashMap;
use std::io::ErrorKind;
use std::marker::PhantomData;
use std::net::SocketAddr;

use aws_lc_rs::aead::{AES_128_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use contest::{Class, Counted, Guest, Host, Job, Peer, Traffic};
use netcode_token::Key;

/// Which cipher seals.
pub trait Cipher {
    /// The cipher.
    fn algorithm() -> &'static Algorithm;
}

/// AES-128-GCM: the cheapest where processors have instructions for it.
#[derive(Debug)]
pub struct Aes;
/// ChaCha20-Poly1305: what netcode 1.02 prescribes.
#[derive(Debug)]
pub struct ChaCha;

impl Cipher for Aes {
    fn algorithm() -> &'static Algorithm {
        &AES_128_GCM
    }
}

impl Cipher for ChaCha {
    fn algorithm() -> &'static Algorithm {
        &CHACHA20_POLY1305
    }
}

/// The floor under cipher `C`.
#[derive(Debug)]
pub struct Floor<C>(PhantomData<C>);

impl<C: Cipher> Peer for Floor<C> {
    type Host = FloorHost<C>;
    type Guest = FloorGuest;

    fn host(job: &Job) -> anyhow::Result<FloorHost<C>> {
        Ok(FloorHost {
            socket: Counted::open()?,
            secret: *Key::from_hex(&job.secret)?.as_bytes(),
            addresses: HashMap::new(),
            seats: Vec::new(),
            buffer: vec![0; 2048],
            cipher: PhantomData,
        })
    }

    fn guest(job: &Job, index: usize) -> anyhow::Result<FloorGuest> {
        let secret = Key::from_hex(&job.secret)?;
        Ok(FloorGuest {
            socket: Counted::open()?,
            server: job.connect.ok_or_else(|| anyhow::anyhow!("no address to connect to"))?,
            index: index as u64,
            line: SealedLine::new::<C>(secret.as_bytes(), index as u64, false)?,
            connected: false,
            buffer: vec![0; 2048],
        })
    }
}

/// One end's keys, its next sequence and the datagram in the making.
struct SealedLine {
    seal: LessSafeKey,
    open: LessSafeKey,
    sequence: u64,
    datagram: Vec<u8>,
}

impl SealedLine {
    fn new<C: Cipher>(secret: &[u8; 32], index: u64, server: bool) -> anyhow::Result<Self> {
        let key = |direction: u8| {
            let mut bytes = *secret;
            for (byte, mark) in bytes.iter_mut().zip(index.to_le_bytes().into_iter().chain([direction])) {
                *byte ^= mark;
            }
            let key = UnboundKey::new(C::algorithm(), &bytes[..C::algorithm().key_len()]);
            key.map(LessSafeKey::new).map_err(|_| anyhow::anyhow!("the cipher refuses its key"))
        };
        let (down, up) = (key(1)?, key(2)?);
        let (seal, open) = if server { (down, up) } else { (up, down) };
        Ok(Self { seal, open, sequence: 0, datagram: Vec::with_capacity(1200) })
    }

    fn push(&mut self, message: &[u8]) -> bool {
        let Ok(len) = u8::try_from(message.len()) else { return false };
        if self.datagram.is_empty() {
            self.sequence += 1;
            self.datagram.extend_from_slice(&self.sequence.to_le_bytes());
        }
        self.datagram.push(len);
        self.datagram.extend_from_slice(message);
        true
    }

    fn seal(&mut self) -> anyhow::Result<()> {
        let (head, text) = self.datagram.split_at_mut(8);
        let tag = self.seal.seal_in_place_separate_tag(nonce(head), Aad::from(&*head), text);
        let tag = tag.map_err(|_| anyhow::anyhow!("sealing failed"))?;
        self.datagram.extend_from_slice(tag.as_ref());
        Ok(())
    }
}

/// Opens `datagram` and gives each message; whether it was authentic.
fn open(key: &LessSafeKey, datagram: &mut [u8], accept: &mut dyn FnMut(&[u8])) -> bool {
    if datagram.len() < 8 + 16 {
        return false;
    }
    let (head, sealed) = datagram.split_at_mut(8);
    let Ok(text) = key.open_in_place(nonce(head), Aad::from(&*head), sealed) else { return false };
    let mut rest = &*text;
    while let Some((len, tail)) = rest.split_first() {
        let Some((message, tail)) = tail.split_at_checked(usize::from(*len)) else { return false };
        accept(message);
        rest = tail;
    }
    true
}

fn nonce(head: &[u8]) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(head);
    Nonce::assume_unique_for_key(bytes)
}

/// The server.
pub struct FloorHost<C> {
    socket: Counted,
    secret: [u8; 32],
    addresses: HashMap<SocketAddr, usize>,
    seats: Vec<(SocketAddr, SealedLine)>,
    buffer: Vec<u8>,
    cipher: PhantomData<C>,
}

impl<C: Cipher> FloorHost<C> {
    /// A stranger's greeting is its index; that is all the handshake there is.
    fn admit(&mut self, from: SocketAddr, len: usize) -> anyhow::Result<()> {
        if let Some(index) = self.buffer[..len].first_chunk::<8>()
            && len == 8
        {
            let line = SealedLine::new::<C>(&self.secret, u64::from_le_bytes(*index), true)?;
            self.addresses.insert(from, self.seats.len());
            self.seats.push((from, line));
        }
        Ok(())
    }
}

impl<C: Cipher> Host for FloorHost<C> {
    fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.socket.local_addr()?)
    }

    fn receive(&mut self, accept: &mut dyn FnMut(&[u8])) -> anyhow::Result<()> {
        loop {
            let (len, from) = match self.socket.recv_from(&mut self.buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            match self.addresses.get(&from) {
                Some(seat) => {
                    open(&self.seats[*seat].1.open, &mut self.buffer[..len], accept);
                }
                None => self.admit(from, len)?,
            }
        }
    }

    fn clients(&self) -> usize {
        self.seats.len()
    }

    fn send(&mut self, client: usize, _: Class, message: &[u8]) -> anyhow::Result<bool> {
        Ok(self.seats[client].1.push(message))
    }

    fn transmit(&mut self) -> anyhow::Result<()> {
        for (address, line) in &mut self.seats {
            if !line.datagram.is_empty() {
                line.seal()?;
                // A full socket drops the datagram, as everywhere.
                let _ = self.socket.send_to(&line.datagram, *address);
                line.datagram.clear();
            }
        }
        Ok(())
    }

    fn traffic(&self) -> Traffic {
        self.socket.traffic()
    }

    fn piece_bytes(&self) -> usize {
        // Deliberate: no bulk is ever asked of the floor, which cannot promise it.
        200
    }
}

/// A client.
pub struct FloorGuest {
    socket: Counted,
    server: SocketAddr,
    index: u64,
    line: SealedLine,
    connected: bool,
    buffer: Vec<u8>,
}

impl Guest for FloorGuest {
    fn receive(&mut self, accept: &mut dyn FnMut(Class, &[u8])) -> anyhow::Result<()> {
        loop {
            let len = match self.socket.recv_from(&mut self.buffer) {
                Ok((len, _)) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            // What the floor carries has no class: nothing here is reliable.
            let mut each = |message: &[u8]| accept(Class::Unreliable, message);
            self.connected |= open(&self.line.open, &mut self.buffer[..len], &mut each);
        }
    }

    fn connected(&self) -> bool {
        self.connected
    }

    fn send(&mut self, message: &[u8]) -> anyhow::Result<()> {
        self.line.push(message);
        Ok(())
    }

    fn transmit(&mut self) -> anyhow::Result<()> {
        if !self.connected {
            self.socket.send_to(&self.index.to_le_bytes(), self.server)?;
        } else if !self.line.datagram.is_empty() {
            self.line.seal()?;
            self.socket.send_to(&self.line.datagram, self.server)?;
            self.line.datagram.clear();
        }
        Ok(())
    }
}
