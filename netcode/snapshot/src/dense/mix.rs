//! Adaptive probabilities: counters by context, and a mixer that learns which contexts to trust. Must never know what
//! a context stands for.
//!
//! Logistic mixing after M. Mahoney, *Adaptive Weighing of Context Models for Lossless Data Compression* (2005): each
//! context predicts a bit, the predictions are added in the logistic domain by weights, and the weights follow the
//! error. All arithmetic is in integers, so that two machines never differ. Reading and training are apart: nothing
//! changes while a packet is coded.

/// Contexts that each bit is seen in at once.
pub(super) const SETS: usize = 6;
/// Values of one context.
pub(super) const CONTEXTS: usize = 16;
/// Places in a number's binary decisions that have probabilities of their own; see `symbol.rs`.
pub(super) const NODES: usize = 42;

/// One context value a set.
pub(super) type Contexts = [u8; SETS];

/// The probabilities of a row of columns.
#[derive(Debug, Clone)]
pub(super) struct Model {
    /// Column, set, context, node: probability in the upper 22 bits, number of bits seen in the lower 10.
    slots: Vec<u32>,
    /// Column, node, set: 16.16.
    weights: Vec<[i32; SETS]>,
}

impl Model {
    pub(super) fn new(columns: usize) -> Self {
        Self {
            slots: vec![SLOT_START; columns * SETS * CONTEXTS * NODES],
            weights: vec![[WEIGHT_START; SETS]; columns * NODES],
        }
    }

    /// Forgets everything; memory is kept.
    pub(super) fn clear(&mut self) {
        self.slots.fill(SLOT_START);
        self.weights.fill([WEIGHT_START; SETS]);
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.slots.len() * size_of::<u32>() + self.weights.len() * size_of::<[i32; SETS]>()
    }

    /// The probability, of 65,536, that the bit is 1.
    #[inline]
    pub(super) fn predict(&self, column: usize, contexts: &Contexts, node: usize) -> u32 {
        let weights = &self.weights[column * NODES + node];
        let mut sum = 0;
        for (set, weight) in weights.iter().enumerate() {
            let slot = self.slots[place(column, set, contexts, node)];
            sum += i64::from(stretch(slot)) * i64::from(*weight);
        }
        squash(sum)
    }

    /// Learns that the bit was `bit`.
    pub(super) fn train(&mut self, column: usize, contexts: &Contexts, node: usize, bit: bool) {
        let weights = &mut self.weights[column * NODES + node];
        let mut inputs = [0; SETS];
        let mut sum = 0;
        for (set, (input, weight)) in inputs.iter_mut().zip(weights.iter()).enumerate() {
            *input = stretch(self.slots[place(column, set, contexts, node)]);
            sum += i64::from(*input) * i64::from(*weight);
        }
        let error = i32::from(bit) * 65_535 - squash(sum) as i32;
        for (set, (input, weight)) in inputs.iter().zip(weights).enumerate() {
            *weight += (error * input + (1 << (RATE_BITS - 1))) >> RATE_BITS;
            let slot = &mut self.slots[place(column, set, contexts, node)];
            *slot = learn(*slot, bit);
        }
    }
}

#[inline]
fn place(column: usize, set: usize, contexts: &Contexts, node: usize) -> usize {
    ((column * SETS + set) * CONTEXTS + usize::from(contexts[set]) % CONTEXTS) * NODES + node
}

/// Moves a counter: by half of what is missing at first, by 1/`SEEN_MAX` in the end.
fn learn(slot: u32, bit: bool) -> u32 {
    let (p, seen) = (i64::from(slot >> 10), slot & 1023);
    let target = if bit { (1 << 22) - 1 } else { 0 };
    // 2 / (2n + 3) = 1 / (n + 1.5)
    let moved = p + (target - p) * 2 / i64::from(2 * seen + 3);
    (moved as u32) << 10 | (seen + 1).min(SEEN_MAX)
}

/// ln(p / (1 − p)) in 1/256, of a counter.
#[inline]
fn stretch(slot: u32) -> i32 {
    i32::from(STRETCH[(slot >> 20) as usize])
}

/// 65,536 / (1 + e^(−x)) of a sum in 1/256 and 1/65,536; never quite 0 or 1.
#[inline]
fn squash(sum: i64) -> u32 {
    let x = ((sum >> 16) + LOGISTIC_HALF).clamp(0, 2 * LOGISTIC_HALF - 1);
    u32::from(SQUASH[x as usize])
}

/// The logistic function on −8..8 in steps of 1/256, computed by the compiler: the same bits on every machine.
const fn squash_table() -> [u16; 2 * LOGISTIC_HALF as usize] {
    // e^(1/256) by its series, then by multiplication.
    let (mut step, mut term, mut n) = (1.0f64, 1.0f64, 1);
    while n < 12 {
        term = term / 256.0 / n as f64;
        step += term;
        n += 1;
    }
    let mut table = [0; 2 * LOGISTIC_HALF as usize];
    let (mut power, mut x) = (1.0f64, 0);
    while x < LOGISTIC_HALF as usize {
        let high = (65_536.0 * power / (1.0 + power)) as u16;
        table[LOGISTIC_HALF as usize + x] = high;
        table[LOGISTIC_HALF as usize - 1 - x] = (65_536 - high as u32) as u16;
        power *= step;
        x += 1;
    }
    table
}

/// The inverse, for probabilities of 4096.
const fn stretch_table() -> [i16; 4096] {
    let squash = squash_table();
    let (mut table, mut p, mut x) = ([0; 4096], 0, 0);
    while p < 4096 {
        while x + 1 < squash.len() && (squash[x] as usize) < p * 16 + 8 {
            x += 1;
        }
        table[p] = x as i16 - LOGISTIC_HALF as i16;
        p += 1;
    }
    table
}

static SQUASH: [u16; 2 * LOGISTIC_HALF as usize] = squash_table();
static STRETCH: [i16; 4096] = stretch_table();

/// e^8: nothing is surer than 2980 to 1, and a surprise costs 11.5 bits.
const LOGISTIC_HALF: i64 = 2048;
/// Even odds, seen never.
const SLOT_START: u32 = 1 << 31;
/// Counters follow the last 500 bits or so: among 127, 255, 500 and 1000 the best on both halves of the cube scene.
const SEEN_MAX: u32 = 500;
/// The contexts agree more than they differ: together somewhat surer than their mean.
const WEIGHT_START: i32 = 65_536 * 3 / 10;
/// Rate of the weights: 2^8 / 2^16 of error times input.
const RATE_BITS: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_each_others_inverse() {
        assert!(SQUASH.is_sorted() && STRETCH.is_sorted());
        assert_eq!((squash(0), SQUASH[0], SQUASH[4095]), (32_768, 23, 65_513));
        for (p, x) in STRETCH.iter().enumerate().take(4094).skip(2) {
            let back = squash(i64::from(*x) << 16);
            assert!(back.abs_diff(p as u32 * 16 + 8) <= 80, "{p}: {back}");
        }
    }

    #[test]
    fn a_context_that_tells_is_trusted() {
        let mut model = Model::new(1);
        // The bit is the third context's; the others mislead.
        for round in 0..4000u32 {
            let bit = round.wrapping_mul(0x9e37_79b9) >> 31 == 1;
            let noise = (round.wrapping_mul(0x85eb_ca6b) >> 28) as u8;
            model.train(0, &[noise, 3, u8::from(bit), noise / 2, 0, 0], 5, bit);
        }
        let told = [1, 0].map(|tells| model.predict(0, &[1, 3, tells, 0, 0, 0], 5));
        assert!(told[0] > 60_000 && told[1] < 5_500, "{told:?}");
        model.clear();
        assert!(model.predict(0, &[0; SETS], 5).abs_diff(32_768) < 100);
    }
}
