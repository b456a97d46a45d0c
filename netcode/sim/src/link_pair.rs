//! Two links over two conditioners in virtual time. Owns when packets and flushes happen; judges every step by
//! the laws. The packet number and a checksum stand in for the session's sealing.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use netcode_proto::{ChannelId, ChannelSet, Link, LinkConfig, LinkStats, SendError};
use netcode_wire::{Ecn, Time};

use crate::conditioner::{Conditioner, ConditionerStats};
use crate::laws::{Ledger, Violation};
use crate::profile::Profile;

/// Two links that talk to each other, and everything that they said.
#[derive(Debug)]
pub struct LinkPair {
    ends: [End; 2],
    paths: [Conditioner; 2],
    now: Time,
    bounds: Bounds,
    packet: Vec<u8>,
    scratch: Vec<u8>,
    /// Whether the ends spread the bodies of a flush over the time until the next one.
    paced: bool,
    ecn: bool,
}

#[derive(Debug)]
struct End {
    link: Link,
    /// What this end sent; the other end's deliveries are booked here.
    ledger: Ledger,
    next_seq: u64,
    next_flush: Time,
    interval: Duration,
    reads: bool,
    body_bytes: u64,
    pure_acks: u64,
    eliciting: u64,
    /// Datagrams that left in the busiest flush.
    flush_packets_max: u64,
    body: Vec<u8>,
    /// The numbers that came, as the session's replay window knows them.
    seen: HashSet<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Bounds {
    queued: usize,
    held: usize,
}

impl LinkPair {
    /// Two fresh links on a path of this kind, flushing `hz` times a second, half a tick apart.
    #[must_use]
    pub fn new(channels: &ChannelSet, config: &LinkConfig, profile: Profile, hz: u32, seed: u64) -> Self {
        let interval = Duration::from_secs(1) / hz;
        let end = |side: u64| End {
            link: Link::new(channels, config.clone()),
            ledger: Ledger::new(channels, seed ^ side << 63),
            // Numbers of the two directions have nothing to do with each other.
            next_seq: side * 70_000,
            next_flush: Time::ZERO + interval * side as u32 / 2,
            interval,
            reads: true,
            body_bytes: 0,
            pure_acks: 0,
            eliciting: 0,
            flush_packets_max: 0,
            body: Vec::new(),
            seen: HashSet::new(),
        };
        let unreliable = channels.kinds().len() * channels.queue_bytes_max;
        let bounds = Bounds {
            queued: channels.reassembly_bytes_max + unreliable,
            // Two kinds of held messages, the inbox, and what one packet can release into it.
            held: 3 * channels.reassembly_bytes_max + config.receive_bytes_max + 4096,
        };
        Self {
            ends: [end(0), end(1)],
            paths: [Conditioner::new(profile, seed), Conditioner::new(profile, !seed)],
            now: Time::ZERO,
            bounds,
            packet: Vec::new(),
            scratch: Vec::new(),
            paced: false,
            ecn: false,
        }
    }

    /// Whether the bodies of a flush leave one after the other, at the rate of the send budget, instead of all at once.
    pub fn set_paced(&mut self, paced: bool) {
        self.paced = paced;
        self.ends.iter_mut().for_each(|end| end.link.set_spread(paced));
    }

    /// Whether both ends mark their packets and answer marks; before the first step.
    pub fn set_ecn(&mut self, agreed: bool) {
        self.ecn = agreed;
        self.ends.iter_mut().for_each(|end| end.link.set_ecn(agreed));
    }

    /// Sends the next message of `len` bytes from `side` (0 or 1). A full channel is no breach.
    ///
    /// # Errors
    /// The link's [`SendError`].
    pub fn send(&mut self, side: usize, channel: ChannelId, len: usize) -> Result<(), SendError> {
        let End { link, ledger, .. } = &mut self.ends[side];
        ledger.compose(channel, len, &mut self.scratch);
        link.send(self.now, channel, &self.scratch)?;
        ledger.sent(self.now, channel, self.scratch.len());
        Ok(())
    }

    /// Bytes of a snapshot that `side` has room for in its next flush.
    #[must_use]
    pub fn room_bytes(&self, side: usize) -> usize {
        self.ends[side].link.room_bytes(self.now, BODY_BYTES)
    }

    /// Runs until the next flush is due: what arrives before it arrives. Gives the side whose flush it is; what
    /// that side sends now leaves in it.
    ///
    /// # Errors
    /// The law that was broken.
    pub fn await_flush(&mut self) -> Result<usize, Violation> {
        let side = usize::from(self.ends[1].next_flush < self.ends[0].next_flush);
        self.arrive_until(self.ends[side].next_flush)?;
        Ok(side)
    }

    /// Runs until the next flush has happened; gives which side flushed.
    ///
    /// # Errors
    /// The law that was broken.
    pub fn step(&mut self) -> Result<usize, Violation> {
        let side = self.await_flush()?;
        self.flush(side)?;
        Ok(side)
    }

    /// Steps until `span` of virtual time has passed.
    ///
    /// # Errors
    /// The law that was broken.
    pub fn run_for(&mut self, span: Duration) -> Result<(), Violation> {
        let end = self.now + span;
        while self.now < end {
            self.step()?;
        }
        Ok(())
    }

    /// Runs on a path that has healed until everything has left and all reliable has been acknowledged, then checks
    /// that both ends fall silent.
    ///
    /// # Errors
    /// The law that was broken: not delivered within `patience`, or not silent.
    pub fn settle(&mut self, patience: Duration) -> Result<(), Violation> {
        let began = self.now;
        self.set_reads(0, true);
        self.set_reads(1, true);
        // Long unreliable messages of which a part has left still leave whole.
        let is_empty = |end: &End| end.link.stats().queued_bytes == 0;
        while !self.ends.iter().all(is_empty) && self.now.since(began) < patience {
            self.step()?;
        }
        // What is under way still arrives, and the last acknowledgements leave.
        self.run_for(SETTLE_SPAN)?;
        for end in &self.ends {
            end.ledger.all_delivered(self.now.since(began))?;
        }
        let before = self.ends.each_ref().map(|end| end.link.stats().packets_sent);
        self.run_for(SILENT_SPAN)?;
        for (end, before) in self.ends.iter().zip(before) {
            let packets = end.link.stats().packets_sent - before;
            if packets > 0 {
                return Err(Violation::NotSilent { packets, span: SILENT_SPAN });
            }
        }
        Ok(())
    }

    /// Changes the weather in both directions.
    pub fn set_profile(&mut self, profile: Profile) {
        self.paths.iter_mut().for_each(|path| path.set_profile(profile));
    }

    /// Opens or closes an MTU black hole in both directions: longer packets vanish, whatever the weather.
    pub fn set_mtu(&mut self, mtu_bytes: Option<usize>) {
        self.paths.iter_mut().for_each(|path| path.set_mtu(mtu_bytes));
    }

    /// Cuts or heals the direction from `side`.
    pub fn set_down(&mut self, side: usize, down: bool) {
        self.paths[side].set_down(down);
    }

    /// Whether the application at `side` takes its messages.
    pub fn set_reads(&mut self, side: usize, reads: bool) {
        self.ends[side].reads = reads;
    }

    /// The virtual time.
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// What the link at `side` says of itself.
    #[must_use]
    pub fn stats(&self, side: usize) -> LinkStats {
        self.ends[side].link.stats()
    }

    /// What happened on the direction from `side`.
    #[must_use]
    pub fn path(&self, side: usize) -> ConditionerStats {
        self.paths[side].stats()
    }

    /// Measures the bottleneck of the direction from `side` from here on.
    pub fn reset_queue_stats(&mut self, side: usize) {
        self.paths[side].reset_queue_stats();
    }

    /// What `side` sent and what of it came.
    #[must_use]
    pub fn ledger(&self, side: usize) -> &Ledger {
        &self.ends[side].ledger
    }

    /// Datagrams of `side`'s busiest flush.
    #[must_use]
    pub fn flush_packets_max(&self, side: usize) -> u64 {
        self.ends[side].flush_packets_max
    }

    /// Lets everything happen that is due by `until`: packets arrive, and bodies that wait for their turn leave.
    fn arrive_until(&mut self, until: Time) -> Result<(), Violation> {
        loop {
            let arrivals = [0, 1].map(|from| self.paths[from].next_due().unwrap_or(Time::MAX));
            let releases = [0, 1].map(|side| self.ends[side].link.release_at().unwrap_or(Time::MAX));
            let due = [arrivals[0], arrivals[1], releases[0], releases[1]];
            let which = (0..4).min_by_key(|which| due[*which]).unwrap_or(0);
            // Deliberate: what has its turn at the very moment of a flush leaves with it.
            if due[which] > until || which > 1 && due[which] == until {
                self.now = until;
                return Ok(());
            }
            self.now = self.now.max(due[which]);
            if which > 1 {
                self.leave(which - 2, Link::poll_release);
            } else if let Some((_, ecn, packet)) = self.paths[which].poll_marked(self.now) {
                self.arrive(1 - which, ecn, &packet)?;
                self.paths[which].recycle(packet);
            }
        }
    }

    fn arrive(&mut self, side: usize, ecn: Ecn, packet: &[u8]) -> Result<(), Violation> {
        let Some((seq, elicits, body)) = open(packet) else { return Ok(()) };
        let end = &mut self.ends[side];
        if self.ecn && end.is_fresh(seq) {
            end.link.handle_mark(ecn);
        }
        end.eliciting += u64::from(elicits);
        end.link.handle_body(self.now, seq, body).map_err(|error| Violation::Accused(error.to_string()))?;
        self.read(side)
    }

    fn read(&mut self, side: usize) -> Result<(), Violation> {
        let [first, second] = &mut self.ends;
        let (end, peer) = if side == 0 { (first, second) } else { (second, first) };
        while end.reads {
            let Some((channel, message)) = end.link.receive() else { break };
            peer.ledger.delivered(self.now, channel, &message, &mut self.scratch)?;
        }
        Ok(())
    }

    fn flush(&mut self, side: usize) -> Result<(), Violation> {
        self.read(side)?;
        let end = &mut self.ends[side];
        end.next_flush += end.interval;
        let packets = self.leave(side, Link::poll_body);
        let end = &mut self.ends[side];
        end.flush_packets_max = end.flush_packets_max.max(packets);
        end.judge(self.bounds)
    }

    /// Sends what `poll` composes; gives how many packets.
    fn leave(&mut self, side: usize, poll: fn(&mut Link, Time, u64, usize, &mut Vec<u8>) -> bool) -> u64 {
        let end = &mut self.ends[side];
        let mut packets = 0;
        let messages = |link: &Link| link.stats().ledger.channel.iter().sum::<u64>();
        let mut before = messages(&end.link);
        while poll(&mut end.link, self.now, end.next_seq, BODY_BYTES, &mut end.body) {
            let after = messages(&end.link);
            let elicits = after > before;
            before = after;
            end.pure_acks += u64::from(!elicits);
            seal(end.next_seq, elicits, &end.body, &mut self.packet);
            end.body_bytes += end.body.len() as u64;
            end.next_seq += 1;
            packets += 1;
            let ecn = if end.link.marks_packets() { Ecn::Ect0 } else { Ecn::NotCapable };
            self.paths[side].push_marked(self.now, ADDRS[1 - side], ecn, &self.packet);
        }
        packets
    }
}

impl End {
    /// Whether no packet of this number came before.
    fn is_fresh(&mut self, seq: u64) -> bool {
        self.seen.insert(seq)
    }

    fn judge(&self, bounds: Bounds) -> Result<(), Violation> {
        let stats = self.link.stats();
        let check = |what, bytes, bound| {
            if bytes > bound { Err(Violation::MemoryUnbounded { what, bytes, bound }) } else { Ok(()) }
        };
        check("the outgoing queue", stats.queued_bytes, bounds.queued)?;
        check("the incoming queue", stats.held_bytes, bounds.held)?;
        if stats.ledger.total() != self.body_bytes {
            return Err(Violation::LedgerOff { booked: stats.ledger.total(), sent: self.body_bytes });
        }
        if self.pure_acks > self.eliciting {
            return Err(Violation::AcksBreedAcks { pure: self.pure_acks, eliciting: self.eliciting });
        }
        Ok(())
    }
}

/// Number, whether the body holds messages (for the laws, not for the link), body, checksum.
fn seal(seq: u64, elicits: bool, body: &[u8], packet: &mut Vec<u8>) {
    packet.clear();
    packet.push(u8::from(elicits));
    packet.extend_from_slice(&seq.to_le_bytes());
    packet.extend_from_slice(body);
    let sum = checksum(packet);
    packet.extend_from_slice(&sum.to_le_bytes());
}

fn open(packet: &[u8]) -> Option<(u64, bool, &[u8])> {
    let (sealed, sum) = packet.split_last_chunk::<8>()?;
    if checksum(sealed) != u64::from_le_bytes(*sum) {
        return None;
    }
    let (elicits, rest) = sealed.split_first()?;
    let (seq, body) = rest.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*seq), *elicits == 1, body))
}

/// Enough to notice one flipped bit, which is all the damage that the conditioner does.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(bytes.len() as u64, |sum, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        (sum ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
    })
}

const ADDRS: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 1),
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), 2),
];
/// 1200 datagram − 25 sealing.
const BODY_BYTES: usize = 1175;
/// Longer than any path and any acknowledgement delay.
const SETTLE_SPAN: Duration = Duration::from_secs(3);
/// How long two idle ends must say nothing.
const SILENT_SPAN: Duration = Duration::from_secs(2);
