//! The inputs that a tick was simulated with, a line a player. Owns their bits; must never know what an input means.
//!
//! | bits | field |
//! |---|---|
//! | 1 | the players are those of the tick before; else varint count and 64 bits each, ascending |
//! | per player | |
//! | 1 | the input is the player's own, not a repeat |
//! | 2, and the input where it is 2 | this tick's input: 0 neutral, 1 as in the tick before, 2 follows |
//! | 2, and the input where it is 2 | the one before, likewise: 1 is what the tick before had for this tick's |
//! | 1, then a signed varint or 32 bits | rewind: 0 in 1/256 ticks, less that of the tick before; 1 as a float |

use netcode_snapshot::Input;
use netcode_wire::{BitReader, BitWriter, WireError};

/// What one player's things were driven by in one tick.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line<I> {
    pub(crate) player: u64,
    pub(crate) current: I,
    pub(crate) previous: I,
    pub(crate) fresh: bool,
    /// Ticks.
    pub(crate) rewind: f32,
}

/// The lines of a tick and of the one before, which they are coded against. One a direction.
#[derive(Debug)]
pub(crate) struct Lines<I> {
    pub(crate) now: Vec<Line<I>>,
    before: Vec<Line<I>>,
}

impl<I> Default for Lines<I> {
    fn default() -> Self {
        Self { now: Vec::new(), before: Vec::new() }
    }
}

impl<I: Input> Lines<I> {
    /// Writes what is in `now`, ascending by player; then a new tick begins.
    pub(crate) fn encode(&mut self, out: &mut BitWriter) {
        let Self { now, before } = self;
        let same = now.len() == before.len()
            && now.iter().zip(before.iter()).all(|(now, before)| now.player == before.player);
        out.write_bool(same);
        if !same {
            out.write_varint(now.len() as u64);
            now.iter().for_each(|line| out.write_bits(line.player, 64));
        }
        for (index, line) in now.iter().enumerate() {
            let last = find(before, index, line.player);
            let neutral = I::default();
            let write = |input: &I, out: &mut BitWriter| {
                let code = if *input == neutral {
                    0
                } else if last.is_some_and(|last| last.current == *input) {
                    1
                } else {
                    2
                };
                out.write_bits(code, 2);
                if code == 2 {
                    input.encode(out);
                }
            };
            out.write_bool(line.fresh);
            write(&line.current, out);
            write(&line.previous, out);
            let parts = line.rewind * PARTS;
            let exact = parts.fract() == 0.0 && (0.0..PARTS_MAX).contains(&parts);
            out.write_bool(!exact);
            if exact {
                out.write_signed_varint(parts as i64 - last.map_or(0, |last| (last.rewind * PARTS) as i64));
            } else {
                out.write_bits(u64::from(line.rewind.to_bits()), 32);
            }
        }
        self.turn();
    }

    /// Reads a tick's lines.
    pub(crate) fn decode(&mut self, bits: &mut BitReader<'_>) -> Result<&[Line<I>], WireError> {
        self.now.clear();
        let same = bits.read_bool()?;
        let count = if same { self.before.len() } else { bits.read_varint()? as usize };
        if count > PLAYERS_MAX {
            return Err(WireError::TooLong { length: count, limit: PLAYERS_MAX });
        }
        let mut players: Vec<u64> = Vec::new();
        for index in 0..count {
            players.push(if same { self.before[index].player } else { bits.read_bits(64)? });
        }
        for (index, player) in players.into_iter().enumerate() {
            let last = find(&self.before, index, player);
            let read = |bits: &mut BitReader<'_>| match bits.read_bits(2)? {
                0 => Ok(I::default()),
                1 => last.map(|last| last.current.clone()).ok_or(WireError::Malformed("repeated input")),
                2 => I::decode(bits),
                _ => Err(WireError::Malformed("input code")),
            };
            let fresh = bits.read_bool()?;
            let (current, previous) = (read(bits)?, read(bits)?);
            let rewind = if bits.read_bool()? {
                f32::from_bits(bits.read_bits(32)? as u32)
            } else {
                let before = last.map_or(0, |last| (last.rewind * PARTS) as i64);
                let parts = before.saturating_add(bits.read_signed_varint()?);
                if !(0..PARTS_MAX as i64).contains(&parts) {
                    return Err(WireError::Malformed("rewind"));
                }
                parts as f32 / PARTS
            };
            self.now.push(Line { player, current, previous, fresh, rewind });
        }
        self.turn();
        Ok(&self.before)
    }

    fn turn(&mut self) {
        std::mem::swap(&mut self.now, &mut self.before);
        self.now.clear();
    }
}

/// The line of `player`, which most probably is at `guess`.
fn find<I>(lines: &[Line<I>], guess: usize, player: u64) -> Option<&Line<I>> {
    let near = lines.get(guess).filter(|line| line.player == player);
    near.or_else(|| lines.iter().find(|line| line.player == player))
}

/// Views are told in 1/256 ticks.
const PARTS: f32 = 256.0;
/// Beyond 2^20 of them a float holds no whole numbers for certain.
const PARTS_MAX: f32 = 1_048_576.0;
/// No server seats more.
const PLAYERS_MAX: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;
    use netcode_derive::Input;

    #[derive(Input, Clone, Debug, Default, PartialEq)]
    struct Steer {
        #[net(range(-1.0..=1.0), step = 0.1)]
        turn: f32,
        fire: bool,
    }

    #[test]
    fn lines_come_back_bit_for_bit() {
        let mut rng = fastrand::Rng::with_seed(3);
        let (mut writer, mut reader) = (Lines::<Steer>::default(), Lines::<Steer>::default());
        let mut lines: Vec<Line<Steer>> = Vec::new();
        for tick in 0..2000 {
            lines.retain(|_| rng.u8(..) < 250);
            if rng.u8(..) < 20 {
                let line = |player| Line {
                    player,
                    current: Steer::default(),
                    previous: Steer::default(),
                    fresh: false,
                    rewind: 0.0,
                };
                lines.push(line(rng.u64(..)));
                lines.sort_by_key(|line| line.player);
            }
            for line in &mut lines {
                line.previous = line.current.clone();
                if rng.bool() {
                    line.current = Steer { turn: rng.f32() * 2.0 - 1.0, fire: rng.bool() };
                    line.current.snap();
                }
                line.fresh = rng.bool();
                line.rewind = if rng.u8(..) < 9 { rng.f32() } else { rng.u32(..3840) as f32 / PARTS };
            }
            writer.now.extend(lines.iter().cloned());
            let mut bits = BitWriter::new();
            writer.encode(&mut bits);
            let read = reader.decode(&mut BitReader::new(bits.as_bytes())).expect("just written");
            assert_eq!(read, &lines[..], "{tick}");
        }
    }
}
