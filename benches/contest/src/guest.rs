//! The swarm's loop: many clients in one thread, their sends spread over the tick, and what they see. Must never know a
//! transport.

use std::thread;
use std::time::{Duration, Instant};

use crate::message::{BULK_BYTES, bulk, read_stamp};
use crate::pace::Pace;
use crate::role::{ALONE, Stop, say};
use crate::{Class, INPUT_BYTES, Job, Line, SwarmReport, TICK, Work, monotonic_ns};

/// A transport's client.
pub trait Guest {
    /// Takes in all that has arrived; `accept` gets each message.
    ///
    /// # Errors
    /// The connection is over.
    fn receive(&mut self, accept: &mut dyn FnMut(Class, &[u8])) -> anyhow::Result<()>;

    /// Whether messages can flow.
    fn connected(&self) -> bool;

    /// Hands an unreliable message over.
    ///
    /// # Errors
    /// The connection is over.
    fn send(&mut self, message: &[u8]) -> anyhow::Result<()>;

    /// Once a tick, after everything was handed over, connected or not.
    ///
    /// # Errors
    /// The connection is over.
    fn transmit(&mut self) -> anyhow::Result<()>;
}

/// Plays all clients until the parent says stop, or until the bulk has come; then says what was seen.
///
/// # Errors
/// A client cannot be made, or loses its connection.
pub fn swarm<G: Guest>(
    job: &Job,
    stop: &Stop,
    make: impl Fn(usize) -> anyhow::Result<G>,
) -> anyhow::Result<()> {
    let passes = if job.work == Work::Play || job.work == Work::Idle { 4 } else { 16 };
    let mut guests = Vec::with_capacity(job.clients);
    let mut seats: Vec<Seat> = (0..job.clients).map(|_| Seat::default()).collect();
    let mut pace = Pace::new(TICK / passes);
    let mut pass = 0_usize;
    // Since when the first one is connected.
    let mut first: Option<Instant> = None;
    loop {
        let delivered = job.work == Work::Bulk && seats.iter().all(Seat::has_bulk);
        if delivered || stop.is_set() {
            break;
        }
        // Not all at once: a rush of requests would only measure the socket's buffer.
        let joining = match first {
            _ if job.work != Work::Play => JOIN_AT_ONCE,
            _ if guests.is_empty() => 1,
            Some(at) if at.elapsed() >= ALONE => JOIN_AT_ONCE,
            _ => 0,
        };
        for _ in 0..joining.min(job.clients - guests.len()) {
            guests.push(make(guests.len())?);
        }
        if first.is_none() && guests.iter().any(Guest::connected) {
            first = Some(Instant::now());
        }
        for (index, (guest, seat)) in guests.iter_mut().zip(&mut seats).enumerate() {
            let turn = index % passes as usize == pass % passes as usize;
            if turn || passes > 4 {
                guest.receive(&mut |class, message| seat.accept(job.work, class, message))?;
            }
            if turn {
                if guest.connected() && matches!(job.work, Work::Play | Work::Latency) {
                    guest.send(&[0x33; INPUT_BYTES])?;
                }
                guest.transmit()?;
            }
        }
        pass += 1;
        thread::sleep(pace.due().saturating_duration_since(Instant::now()));
        pace.step();
    }
    let connected = guests.iter().filter(|guest| guest.connected()).count();
    say(&Line::Swarm(report(&seats, connected)));
    // What was acknowledged last must still reach the server.
    thread::sleep(Duration::from_millis(20));
    Ok(())
}

/// What one client has seen.
#[derive(Debug, Default)]
struct Seat {
    next_number: u64,
    faults: u64,
    reliable_ms: Vec<f32>,
    unreliable_ms: Vec<f32>,
    bulk: Vec<u8>,
    bulk_s: Option<f64>,
}

impl Seat {
    fn has_bulk(&self) -> bool {
        self.bulk_s.is_some()
    }

    fn accept(&mut self, work: Work, class: Class, message: &[u8]) {
        if work == Work::Bulk {
            self.accept_bulk(message);
            return;
        }
        let Some((stamp_ns, number)) = read_stamp(message) else { return };
        if class == Class::Reliable {
            self.faults += u64::from(number != self.next_number);
            self.next_number = number + 1;
        }
        if stamp_ns != 0 && work == Work::Latency {
            let ms = (monotonic_ns().saturating_sub(stamp_ns)) as f32 / 1e6;
            match class {
                Class::Reliable => self.reliable_ms.push(ms),
                Class::Unreliable => self.unreliable_ms.push(ms),
            }
        }
    }

    fn accept_bulk(&mut self, piece: &[u8]) {
        self.bulk.extend_from_slice(piece);
        if self.bulk.len() >= BULK_BYTES
            && self.bulk_s.is_none()
            && let Some((stamp_ns, _)) = read_stamp(&self.bulk)
        {
            self.bulk_s = Some(monotonic_ns().saturating_sub(stamp_ns) as f64 / 1e9);
        }
    }

    fn bulk_is_intact(&self) -> bool {
        read_stamp(&self.bulk).is_some_and(|(stamp_ns, _)| self.bulk == bulk(stamp_ns))
    }
}

fn report(seats: &[Seat], connected: usize) -> SwarmReport {
    let sorted = |of: fn(&Seat) -> &Vec<f32>| {
        let mut all: Vec<f32> = seats.iter().flat_map(|seat| of(seat).iter().copied()).collect();
        all.sort_by(f32::total_cmp);
        all
    };
    let slowest = seats.iter().map(|seat| seat.bulk_s).reduce(|slow, next| Some(slow?.max(next?)));
    SwarmReport {
        connected,
        faults: seats.iter().map(|seat| seat.faults).sum(),
        reliable_ms: sorted(|seat| &seat.reliable_ms),
        unreliable_ms: sorted(|seat| &seat.unreliable_ms),
        bulk_s: slowest.flatten(),
        bulk_intact: seats.iter().all(Seat::bulk_is_intact),
    }
}

/// Clients that begin in one pass.
const JOIN_AT_ONCE: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::stamp;

    #[test]
    fn a_seat_sees_gaps_repeats_and_a_broken_bulk() {
        let mut seat = Seat::default();
        let mut message = [0; 32];
        for number in [0, 1, 3, 3] {
            stamp(&mut message, 1, number);
            seat.accept(Work::Latency, Class::Reliable, &message);
        }
        assert_eq!((seat.faults, seat.reliable_ms.len()), (2, 4));

        let mut bytes = bulk(1);
        let mut good = Seat::default();
        for piece in bytes.chunks(1000) {
            good.accept(Work::Bulk, Class::Reliable, piece);
        }
        assert!(good.has_bulk() && good.bulk_is_intact());
        bytes[70_000] ^= 1;
        let mut bad = Seat::default();
        bad.accept(Work::Bulk, Class::Reliable, &bytes);
        assert!(bad.has_bulk() && !bad.bulk_is_intact());
        assert!(!report(&[good, bad], 2).bulk_intact);
    }
}
