//! The way out that all sessions of one side share: seal, queue, count. Must never know a session's state.

use std::net::SocketAddr;

use netcode_token::aead::PacketKey;
use netcode_wire::Ecn;

use super::outbox::Outbox;
use super::packet::{Form, PacketType, Sealer};
use super::{Counters, Transmit};

/// Sealer, outbox and counters of one server or client.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) sealer: Sealer,
    pub(crate) counters: Counters,
    /// Where bodies are composed before they are sealed.
    pub(crate) body: Vec<u8>,
    /// The mark of the datagram that is being taken in.
    pub(crate) arrived: Ecn,
    outbox: Outbox,
}

impl Wire {
    pub(crate) fn new(protocol_id: u64) -> Self {
        let body = Vec::with_capacity(super::BODY_BYTES_MAX);
        Self {
            sealer: Sealer::new(protocol_id),
            counters: Counters::default(),
            body,
            arrived: Ecn::NotCapable,
            outbox: Outbox::default(),
        }
    }

    /// Seals `text` and queues it to be sent with this mark; gives the datagram's length.
    pub(crate) fn send(
        &mut self,
        to: (SocketAddr, Ecn),
        key: &PacketKey,
        shape: (PacketType, Form),
        sequence: u64,
        text: &[u8],
    ) -> usize {
        let sealer = &self.sealer;
        queue(&mut self.outbox, &mut self.counters, to, |out| sealer.seal(out, key, shape, sequence, text))
    }

    /// Seals what is in `body` as a payload and queues it; gives the datagram's length.
    pub(crate) fn send_body(
        &mut self,
        to: (SocketAddr, Ecn),
        key: &PacketKey,
        form: Form,
        sequence: u64,
    ) -> usize {
        let (sealer, body) = (&self.sealer, &self.body);
        let shape = (PacketType::Payload, form);
        let write = |out: &mut Vec<u8>| sealer.seal(out, key, shape, sequence, body);
        queue(&mut self.outbox, &mut self.counters, to, write)
    }

    /// Queues bytes as they are.
    pub(crate) fn send_clear(&mut self, to: SocketAddr, bytes: &[u8]) {
        queue(&mut self.outbox, &mut self.counters, (to, Ecn::NotCapable), |out| {
            out.extend_from_slice(bytes);
        });
    }

    pub(crate) fn poll(&mut self) -> Option<Transmit<'_>> {
        self.outbox.poll()
    }

    /// Counts a datagram that came in with this mark.
    pub(crate) fn note_received(&mut self, ecn: Ecn, bytes: usize) {
        self.arrived = ecn;
        self.counters.datagrams_in += 1;
        self.counters.bytes_in += bytes as u64;
    }
}

fn queue(
    outbox: &mut Outbox,
    counters: &mut Counters,
    to: (SocketAddr, Ecn),
    write: impl FnOnce(&mut Vec<u8>),
) -> usize {
    let mut written = 0;
    let queued = outbox.push(to, |out| {
        let start = out.len();
        write(out);
        written = out.len() - start;
    });
    match queued {
        true => {
            counters.datagrams_out += 1;
            counters.bytes_out += written as u64;
        }
        false => counters.outbox_overflowed += 1,
    }
    written
}
