//! A frame as the difference to the one before it on the tape. Owns its bytes, and the digest of a tick's changes; must
//! never know where frames come from.
//!
//! A frame is a list of parts (entity, component, columns), ascending. An entry walks the list of the frame before and
//! says what to do next; each step is one varint, `4 × parts that stay as they are before it + what then`:
//!
//! | what | then | meaning |
//! |---|---|---|
//! | 0 | | the rest stays: the end |
//! | 1 | a signed varint a column: now less before, wrapping | the next part changed |
//! | 2 | varint entity, u8 component, u8 columns, a varint each | a part comes in here |
//! | 3 | | the next part is gone |
//!
//! The first entry of a chunk is the difference to nothing.

use netcode_snapshot::{COLUMNS_MAX, Frame};

use super::tape::{read_varint, write_varint};

/// A frame's parts in one row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FlatFrame {
    pub(crate) parts: Vec<FlatPart>,
    values: Vec<u32>,
}

/// One component of one entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FlatPart {
    pub(crate) entity: u32,
    pub(crate) component: u8,
    len: u8,
    start: u32,
}

impl FlatPart {
    fn key(self) -> (u32, u8) {
        (self.entity, self.component)
    }
}

impl FlatFrame {
    pub(crate) fn clear(&mut self) {
        self.parts.clear();
        self.values.clear();
    }

    /// Makes it what `frame` is.
    pub(crate) fn fill(&mut self, frame: &Frame) {
        self.clear();
        for (entity, component, columns) in frame.walk() {
            self.push((entity.0, component.0), columns.iter().copied());
        }
    }

    pub(crate) fn columns(&self, part: FlatPart) -> &[u32] {
        &self.values[part.start as usize..][..usize::from(part.len)]
    }

    fn push(&mut self, (entity, component): (u32, u8), columns: impl Iterator<Item = u32>) {
        let start = self.values.len() as u32;
        self.values.extend(columns);
        let len = (self.values.len() as u32 - start) as u8;
        self.parts.push(FlatPart { entity, component, len, start });
    }

    /// Appends the difference from `before` to this.
    pub(crate) fn encode(&self, before: &Self, out: &mut Vec<u8>) {
        let (mut old, mut new) = (before.parts.iter().peekable(), self.parts.iter().peekable());
        let mut stay = 0_u64;
        let say = |stay: &mut u64, what: u64, out: &mut Vec<u8>| {
            write_varint(out, std::mem::take(stay) << 2 | what);
        };
        loop {
            match (old.peek(), new.peek()) {
                (None, None) => return say(&mut stay, END, out),
                (Some(was), is) if is.is_none_or(|is| is.key() > was.key()) => {
                    say(&mut stay, GONE, out);
                    old.next();
                }
                (Some(was), Some(is)) if was.key() == is.key() && was.len == is.len => {
                    let (was, is) = (before.columns(**was), self.columns(**is));
                    if was == is {
                        stay += 1;
                    } else {
                        say(&mut stay, CHANGED, out);
                        for (was, is) in was.iter().zip(is) {
                            let by = is.wrapping_sub(*was) as i32;
                            write_varint(out, u64::from((by << 1 ^ by >> 31) as u32));
                        }
                    }
                    old.next();
                    new.next();
                }
                (was, Some(is)) => {
                    if was.is_some_and(|was| was.key() == is.key()) {
                        // Another length: gone, and come again.
                        say(&mut stay, GONE, out);
                        old.next();
                    }
                    say(&mut stay, COMES, out);
                    write_varint(out, u64::from(is.entity));
                    out.extend_from_slice(&[is.component, is.len]);
                    self.columns(**is).iter().for_each(|value| write_varint(out, u64::from(*value)));
                    new.next();
                }
                (Some(_), None) => unreachable!("the second arm takes what is left of the old one"),
            }
        }
    }

    /// Makes it what an entry says, after `before`. `None`: no encoder writes such an entry.
    pub(crate) fn decode(&mut self, before: &Self, mut entry: &[u8]) -> Option<()> {
        self.clear();
        let mut old = before.parts.iter();
        let entry = &mut entry;
        loop {
            let step = read_varint(entry)?;
            for _ in 0..step >> 2 {
                let part = *old.next()?;
                self.push(part.key(), before.columns(part).iter().copied());
            }
            match step & 3 {
                END => {
                    for part in old {
                        self.push(part.key(), before.columns(*part).iter().copied());
                    }
                    return entry.is_empty().then_some(()).filter(|()| self.is_in_order());
                }
                CHANGED => {
                    let part = *old.next()?;
                    let mut now = [0; COLUMNS_MAX];
                    let now = now.get_mut(..usize::from(part.len))?;
                    for (now, was) in now.iter_mut().zip(before.columns(part)) {
                        let zigzag = u32::try_from(read_varint(entry)?).ok()?;
                        let by = (zigzag >> 1) as i32 ^ -((zigzag & 1) as i32);
                        *now = was.wrapping_add(by as u32);
                    }
                    self.push(part.key(), now.iter().copied());
                }
                COMES => {
                    let entity = u32::try_from(read_varint(entry)?).ok()?;
                    let ([component, len], rest) = entry.split_first_chunk::<2>()?;
                    *entry = rest;
                    let mut now = [0; COLUMNS_MAX];
                    let now = now.get_mut(..usize::from(*len))?;
                    for value in now.iter_mut() {
                        *value = u32::try_from(read_varint(entry)?).ok()?;
                    }
                    self.push((entity, *component), now.iter().copied());
                }
                _ => drop(old.next()?),
            }
        }
    }

    fn is_in_order(&self) -> bool {
        self.parts.is_sorted_by(|one, other| one.key() < other.key())
    }
}

/// A number that differs where the changes of a tick do, but for one chance in 2^64: of who came or changed all columns,
/// of everybody else that they are there. Parts are summed, so that the processor takes several at a time.
pub(crate) fn digest(frame: &Frame) -> u64 {
    // The multiplier of FxHash, and the finish of a splitmix64 (Steele, Lea, Flood 2014).
    const MULTIPLIER: u64 = 0x517c_c1b7_2722_0a95;
    let there = frame
        .entities()
        .fold(0_u64, |sum, id| sum.wrapping_add((u64::from(id.0) + 1).wrapping_mul(MULTIPLIER)));
    frame.walk_changed().fold(there, |sum, (entity, component, columns)| {
        let mut state = (u64::from(entity.0) << 8 | u64::from(component.0)).wrapping_mul(MULTIPLIER);
        for value in columns {
            state = (state.rotate_left(5) ^ u64::from(*value)).wrapping_mul(MULTIPLIER);
        }
        state = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        sum.wrapping_add(state ^ state >> 27)
    })
}

const END: u64 = 0;
const CHANGED: u64 = 1;
const COMES: u64 = 2;
const GONE: u64 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn random(rng: &mut fastrand::Rng) -> FlatFrame {
        let mut frame = FlatFrame::default();
        for entity in 0..rng.u32(0..12) {
            for component in 0..3 {
                if rng.bool() {
                    let len = if component == 0 { 2 } else { rng.usize(1..4) };
                    let columns: Vec<u32> =
                        (0..len).map(|_| if rng.u8(..) < 200 { rng.u32(..5) } else { rng.u32(..) }).collect();
                    frame.push((entity * 7, component), columns.into_iter());
                }
            }
        }
        frame
    }

    #[test]
    fn any_frame_comes_back_after_any_other() {
        let mut rng = fastrand::Rng::with_seed(5);
        let mut before = FlatFrame::default();
        for _ in 0..3000 {
            let after = if rng.u8(..) < 40 { before.clone() } else { random(&mut rng) };
            let (mut entry, mut back) = (Vec::new(), FlatFrame::default());
            after.encode(&before, &mut entry);
            assert_eq!(back.decode(&before, &entry), Some(()));
            assert_eq!(back, after);
            for cut in 0..entry.len() {
                assert_eq!(back.decode(&before, &entry[..cut]), None, "{cut} of {}", entry.len());
            }
            before = after;
        }
    }

    #[test]
    fn bent_entries_never_panic() {
        let mut rng = fastrand::Rng::with_seed(6);
        let (before, mut back) = (random(&mut rng), FlatFrame::default());
        for _ in 0..20_000 {
            let (after, mut entry) = (random(&mut rng), Vec::new());
            after.encode(&before, &mut entry);
            for _ in 0..rng.usize(1..4) {
                let at = rng.usize(..entry.len());
                entry[at] = rng.u8(..);
            }
            let _ = back.decode(&before, &entry);
        }
    }

    #[test]
    fn what_stands_still_costs_a_byte() {
        let frame = random(&mut fastrand::Rng::with_seed(7));
        let mut entry = Vec::new();
        frame.encode(&frame, &mut entry);
        assert!(entry.len() <= 2, "{entry:?}");
    }
}
