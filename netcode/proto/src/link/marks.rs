//! Explicit congestion notification of one link: what routers wrote into our packets' IP headers, as the peer tells it,
//! and what they wrote into the peer's, to be told. Must never know what an answer to a mark is.
//!
//! Both ends mark every packet as capable, ECT(0), once they agreed. Who receives counts two things, and says so in its
//! bodies until a body that said so was acknowledged; on a path that neither marks nor meddles that is nothing at all:
//!
//! | bytes | field |
//! |---|---|
//! | 1 | 2: marks follow, then the body's head as ever |
//! | 2 | packets that came with CE, "congestion experienced": low 16 bits of their number since the session began |
//! | 1 | packets that came without a mark, or with one that nobody sets: low 8 bits |
//!
//! The second number is what RFC 9000 §13.4.2 validates a path by, turned round: marks that were erased are told, not
//! marks that came, so that a healthy path costs nothing. [`BARE_TOLERATED`] such packets, and the sender marks no more
//! until the path changes. The receiver goes on counting until [`BARE_TOLD_MAX`], since it is not told.
//!
//! Who claims more marks than packets were sent lies, and the connection ends. Who hides marks cannot be found out (a
//! nonce would, RFC 3540, at a bit a packet): it gains what the queue's delay and losses allow it, as without marks.

use netcode_wire::{ByteReader, Ecn};

use super::error::LinkError;

/// Both directions of one link.
#[derive(Debug)]
pub(super) struct Marks {
    /// Both ends take part.
    agreed: bool,
    /// The path erases marks, or marks mean nothing on it.
    failed: bool,
    /// Packets to be told as unmarked before we tell no more.
    bare_left: u8,
    here: Tally,
    /// Our first packet that tells of the last change of `here`; [`NOTHING`]: the peer knows all.
    owed_from: u64,
    there: Tally,
    /// What is known of `there` since the session began.
    told_ce: u32,
    told_bare: u32,
    /// `told_bare` when the path began.
    bare_from: u32,
    /// The first packet of the peer that could bring a newer word.
    told_from: u64,
    /// Packets that left without a body.
    asides: u64,
}

/// Numbers as they are on the wire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) ce: u16,
    pub(super) bare: u8,
}

impl Tally {
    pub(super) fn decode(reader: &mut ByteReader<'_>) -> Result<Self, LinkError> {
        Ok(Self { ce: reader.u16()?, bare: reader.u8()? })
    }
}

impl Default for Marks {
    fn default() -> Self {
        Self {
            agreed: false,
            failed: false,
            bare_left: 0,
            here: Tally::default(),
            owed_from: NOTHING,
            there: Tally::default(),
            told_ce: 0,
            told_bare: 0,
            bare_from: 0,
            told_from: 0,
            asides: 0,
        }
    }
}

impl Marks {
    /// Both ends take part from now on, or one does not.
    pub(super) fn agree(&mut self, agreed: bool) {
        (self.agreed, self.bare_left) = (agreed, BARE_TOLD_MAX);
    }

    pub(super) fn are_agreed(&self) -> bool {
        self.agreed
    }

    /// Whether our packets are to be marked as capable.
    pub(super) fn are_set(&self) -> bool {
        self.agreed && !self.failed
    }

    /// Marks have shown that they are none.
    pub(super) fn fail(&mut self) {
        self.failed = true;
    }

    /// Another path: it may treat marks otherwise.
    pub(super) fn path_changed(&mut self) {
        (self.failed, self.bare_left, self.bare_from) = (false, BARE_TOLD_MAX, self.told_bare);
    }

    /// One packet without a body left.
    pub(super) fn note_aside(&mut self) {
        self.asides += 1;
    }

    /// A packet of the peer came with this mark; our next packet is `next_seq` at least.
    pub(super) fn note(&mut self, ecn: Ecn, next_seq: u64) {
        if !self.agreed {
            return;
        }
        match ecn {
            Ecn::Ect0 => return,
            Ecn::CongestionExperienced => self.here.ce = self.here.ce.wrapping_add(1),
            Ecn::NotCapable | Ecn::Ect1 if self.bare_left > 0 => {
                self.bare_left -= 1;
                self.here.bare = self.here.bare.wrapping_add(1);
            }
            Ecn::NotCapable | Ecn::Ect1 => return,
        }
        self.owed_from = next_seq;
    }

    /// What a body composed now tells; `None`: the peer knows it.
    pub(super) fn owed(&self) -> Option<Tally> {
        (self.owed_from != NOTHING).then_some(self.here)
    }

    /// The peer has our packet `seq`.
    pub(super) fn acknowledged(&mut self, seq: u64) {
        if seq >= self.owed_from {
            self.owed_from = NOTHING;
        }
    }

    /// Takes the peer's word from its packet `seq`; gives how many more of our packets met congestion. `bodies` of ours
    /// have left.
    pub(super) fn take(&mut self, seq: u64, tally: Tally, bodies: u64) -> Result<u32, LinkError> {
        if seq < self.told_from {
            return Ok(0);
        }
        self.told_from = seq.saturating_add(1);
        let ce = u32::from(tally.ce.wrapping_sub(self.there.ce));
        self.told_ce = self.told_ce.saturating_add(ce);
        self.told_bare = self.told_bare.saturating_add(u32::from(tally.bare.wrapping_sub(self.there.bare)));
        self.there = tally;
        let sent = bodies + self.asides;
        let told = u64::from(self.told_ce) + u64::from(self.told_bare);
        if told > sent {
            return Err(LinkError::MarksOfUnsent { told, sent });
        }
        self.failed |= self.told_bare - self.bare_from >= BARE_TOLERATED;
        Ok(ce)
    }

    /// Packets of ours that met congestion, as told.
    pub(super) fn told_ce(&self) -> u64 {
        u64::from(self.told_ce)
    }
}

/// Appends the marks' part of a body.
pub(super) fn encode(tally: Tally, out: &mut Vec<u8>) {
    out.push(MARKS);
    out.extend_from_slice(&tally.ce.to_le_bytes());
    out.push(tally.bare);
}

/// The first byte of a body that begins with marks: as a head it would be malformed.
pub(super) const MARKS: u8 = 2;
/// Bytes of that part.
pub(super) const MARKS_BYTES: usize = 4;
/// No packet: no session gets there.
const NOTHING: u64 = u64::MAX;
/// So many packets may lose their mark on one path, before it is taken for one that erases them.
const BARE_TOLERATED: u32 = 8;
/// So many are told on one path.
const BARE_TOLD_MAX: u8 = 32;

const _: () = assert!(BARE_TOLD_MAX as u32 > BARE_TOLERATED);

#[cfg(test)]
mod tests {
    use super::*;

    fn agreed() -> Marks {
        let mut marks = Marks::default();
        marks.agree(true);
        marks
    }

    #[test]
    fn a_healthy_path_says_nothing_and_a_mark_is_told_until_it_arrived() {
        let mut marks = agreed();
        (0..100).for_each(|seq| marks.note(Ecn::Ect0, seq));
        assert_eq!(marks.owed(), None);
        marks.note(Ecn::CongestionExperienced, 7);
        marks.acknowledged(6);
        assert_eq!(marks.owed(), Some(Tally { ce: 1, bare: 0 }));
        marks.note(Ecn::CongestionExperienced, 9);
        marks.acknowledged(8);
        assert_eq!(marks.owed(), Some(Tally { ce: 2, bare: 0 }), "8 told of one mark only");
        marks.acknowledged(9);
        assert_eq!(marks.owed(), None);
    }

    #[test]
    fn erased_marks_end_marking_until_the_path_changes() {
        let (mut sender, mut receiver) = (agreed(), agreed());
        let told = |sender: &mut Marks, receiver: &mut Marks, seq| {
            receiver.note(Ecn::NotCapable, 0);
            sender.take(seq, receiver.owed().expect("just noted"), 1000).expect("honest")
        };
        for seq in 1..u64::from(BARE_TOLERATED) {
            told(&mut sender, &mut receiver, seq);
            assert!(sender.are_set(), "{seq}");
        }
        told(&mut sender, &mut receiver, 20);
        assert!(!sender.are_set());
        sender.path_changed();
        assert!(sender.are_set());
        // Unmarked packets are not told for ever.
        receiver.owed_from = NOTHING;
        (0..100).for_each(|_| receiver.note(Ecn::Ect1, 0));
        assert_eq!(receiver.here.bare, BARE_TOLD_MAX);
        receiver.owed_from = NOTHING;
        receiver.note(Ecn::NotCapable, 0);
        assert_eq!(receiver.owed(), None);
    }

    #[test]
    fn words_come_late_wrap_and_may_not_exceed_what_was_sent() {
        let mut marks = agreed();
        let tally = |ce: u64| Tally { ce: ce as u16, bare: 0 };
        assert_eq!(marks.take(5, tally(40_000), 100_000), Ok(40_000));
        assert_eq!(marks.take(4, tally(39_000), 100_000), Ok(0), "an older word");
        assert_eq!(marks.take(6, tally(80_000), 100_000), Ok(40_000));
        (0..3).for_each(|_| marks.note_aside());
        assert_eq!(marks.take(7, tally(100_003), 100_000), Ok(20_003), "what had no body counts");
        let lie = LinkError::MarksOfUnsent { told: 100_004, sent: 100_003 };
        assert_eq!(marks.take(8, tally(100_004), 100_000), Err(lie));
    }

    #[test]
    fn who_did_not_agree_counts_nothing() {
        let mut marks = Marks::default();
        marks.note(Ecn::CongestionExperienced, 0);
        assert!(marks.owed().is_none() && !marks.are_set());
    }
}
