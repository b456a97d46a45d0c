//! Datagrams waiting to be polled, back to back in one buffer that is reused. Must never know what they say.

use std::net::SocketAddr;

use netcode_wire::Ecn;

use super::Transmit;

/// A queue of datagrams. What it hands out stays valid until the next push.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    /// Where each goes, with which mark, and where its bytes end.
    datagrams: Vec<((SocketAddr, Ecn), u32)>,
    polled: usize,
    /// The most bytes of late, slowly forgotten: what a burst needed beyond it is given back.
    peak: usize,
    /// Where the bytes of the next one to be polled begin.
    start: usize,
}

impl Outbox {
    /// Lets `write` append one datagram's bytes. At [`OUTBOX_BYTES_MAX`] nothing is written: false.
    pub(crate) fn push(&mut self, to: (SocketAddr, Ecn), write: impl FnOnce(&mut Vec<u8>)) -> bool {
        if self.polled == self.datagrams.len() {
            self.clear();
        }
        if self.bytes.len() >= OUTBOX_BYTES_MAX {
            return false;
        }
        write(&mut self.bytes);
        self.datagrams.push((to, self.bytes.len() as u32));
        true
    }

    /// The oldest datagram not yet handed out.
    pub(crate) fn poll(&mut self) -> Option<Transmit<'_>> {
        let &((to, ecn), end) = self.datagrams.get(self.polled)?;
        let end = end as usize;
        let bytes = &self.bytes[self.start..end];
        self.polled += 1;
        self.start = end;
        Some(Transmit { to, ecn, bytes })
    }

    fn clear(&mut self) {
        self.peak = self.bytes.len().max(self.peak - self.peak.div_ceil(PEAK_MEMORY));
        if self.bytes.capacity() > 2 * self.peak + KEEP_BYTES {
            self.bytes.truncate(0);
            self.bytes.shrink_to(self.peak);
        }
        self.bytes.clear();
        self.datagrams.clear();
        (self.polled, self.start) = (0, 0);
    }
}

/// Rounds in which about two thirds of a peak are forgotten: two seconds of ticks.
const PEAK_MEMORY: usize = 128;
/// Capacity that is never given back.
const KEEP_BYTES: usize = 64 << 10;
// A tick of 4096 clients with ten datagrams each; beyond it nobody polls, and the newest are dropped.
const OUTBOX_BYTES_MAX: usize = 4096 * 10 * super::DATAGRAM_BYTES_BASE;
const _: () = assert!(OUTBOX_BYTES_MAX + super::DATAGRAM_BYTES_MAX <= u32::MAX as usize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_in_first_out_and_then_reused() {
        let mut outbox = Outbox::default();
        let to = |port| (SocketAddr::from(([127, 0, 0, 1], port)), Ecn::Ect0);
        for round in 0..3 {
            for port in 1..4 {
                assert!(outbox.push(to(port), |bytes| bytes.extend_from_slice(&[round; 3][..port as usize])));
            }
            for port in 1..4 {
                let (to, ecn) = to(port);
                let expected = Transmit { to, ecn, bytes: &[round; 3][..port as usize] };
                assert_eq!(outbox.poll(), Some(expected));
            }
            assert_eq!(outbox.poll(), None);
        }
        assert!(outbox.bytes.capacity() < 64, "the buffer does not grow from round to round");
    }

    #[test]
    fn a_burst_is_given_back() {
        let mut outbox = Outbox::default();
        let to = (SocketAddr::from(([127, 0, 0, 1], 1)), Ecn::NotCapable);
        let mut round = |bytes: usize| {
            assert!(outbox.push(to, |out| out.resize(out.len() + bytes, 1)));
            while outbox.poll().is_some() {}
            outbox.bytes.capacity()
        };
        assert!(round(4 << 20) >= 4 << 20);
        let kept = (0..1000).map(|_| round(1000)).last().expect("a thousand rounds");
        assert!(kept <= 2 * KEEP_BYTES, "{kept}");
    }

    #[test]
    fn a_full_outbox_says_so() {
        let mut outbox = Outbox::default();
        let to = (SocketAddr::from(([127, 0, 0, 1], 1)), Ecn::NotCapable);
        let chunk = vec![0; OUTBOX_BYTES_MAX];
        assert!(outbox.push(to, |bytes| bytes.extend_from_slice(&chunk)));
        assert!(!outbox.push(to, |_| panic!("must not be asked")));
        assert!(outbox.poll().is_some());
        assert!(outbox.push(to, |bytes| bytes.push(1)), "there is room again once it is drained");
    }
}
