//! The bits of one tick that every client's snapshot is put together from: each entity is encoded once against each
//! baseline that anybody needs. Owns the cache; must never know a client.
//!
//! A record's bits depend on nothing but the entity, the frame and the baseline (`codec.rs`), so that what one client's
//! snapshot needed is copied into the next one's. An entity's bits begin at a word; the part of a word that is left
//! over comes first in the stream: then a record of up to 127 bits is two writes, head included.

use netcode_wire::{BitWriter, Tick};

use crate::far::Class;
use crate::frame::Entity;
use crate::record::Action;
use crate::view::Workspace;
use crate::{Frame, History, Schema, codec};

/// What the snapshots of one tick share: one for each thread that encodes, always with the same history. Memory: 8 bytes
/// an entity for each baseline in use (at most [`RECEIVER_TICKS`](crate::RECEIVER_TICKS) or so), and the bits themselves.
#[derive(Debug, Default)]
pub struct SharedBits {
    tick: Option<Tick>,
    tables: Vec<Table>,
    live: usize,
    /// Place in `tables` by the low bits of a key; a guess.
    places: Vec<u8>,
    words: Vec<u64>,
    scratch: BitWriter,
    trial: BitWriter,
    encoded: u64,
    pub(crate) workspace: Workspace,
}

/// All that a record is written from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) schema: &'a Schema,
    pub(crate) history: &'a History,
    pub(crate) frame: &'a Frame,
}

/// What a record is taken against: server ticks, or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Key {
    /// The tick whose columns are the base, plus one; 0: none.
    base: u32,
    /// The same of what the client held before; 0: movement is not continued.
    older: u32,
    /// Ticks from the baseline until now, and from the older baseline to it.
    ahead: u8,
    span: u8,
    classes: Classes,
}

/// As what an entity is told, and as what its base and the state before that were: a bit each, set for who is far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Classes(u8);

/// The bits of one record, its action included, without its id: a run of words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    /// 0: not there.
    bits: u32,
}

#[derive(Debug, Default)]
struct Table {
    key: Key,
    spans: Vec<Span>,
}

impl Key {
    /// Against nothing.
    pub(crate) fn whole(classes: Classes) -> Self {
        Self { classes: classes.of_now(), ..Self::default() }
    }

    /// Against the columns at tick `base`, and the movement to there from tick `older` (both plus one; 0: none), which
    /// took the client `span` ticks, `ahead` ticks ago.
    pub(crate) fn of(base: u32, older: u32, (ahead, span): (u8, u8), classes: Classes) -> Self {
        // What stood still has no movement: then it is the same for more clients.
        if base == 0 || older == 0 || span == 0 || older >= base {
            let classes = if base == 0 { classes.of_now() } else { classes.without_older() };
            return Self { base, classes, ..Self::default() };
        }
        Self { base, older, ahead, span, classes }
    }

    fn place(self) -> usize {
        (self.base as usize * 2 + usize::from(self.classes.0 & 1)) % PLACES
    }
}

impl Classes {
    pub(crate) const fn new(now: Class, base: Class, older: Class) -> Self {
        Self(now as u8 | (base as u8) << 1 | (older as u8) << 2)
    }

    const fn now(self) -> Class {
        Class::of(self.0 & 1 != 0)
    }

    const fn base(self) -> Class {
        Class::of(self.0 & 2 != 0)
    }

    const fn older(self) -> Class {
        Class::of(self.0 & 4 != 0)
    }

    const fn of_now(self) -> Self {
        Self(self.0 & 1)
    }

    const fn without_older(self) -> Self {
        Self(self.0 & 3)
    }
}

impl Span {
    pub(crate) const fn bits(self) -> u32 {
        self.bits
    }
}

impl SharedBits {
    /// Nothing encoded yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many records were encoded so far, all ticks together: the rest were copied.
    #[must_use]
    pub fn encoded(&self) -> u64 {
        self.encoded
    }

    /// Begins the frame of `source`, unless it has begun.
    pub(crate) fn begin(&mut self, tick: Tick) {
        if self.tick != Some(tick) {
            self.tick = Some(tick);
            self.live = 0;
            self.words.clear();
            // The first word is what is taken away: the action alone.
            self.words.push(Action::Gone.code().0);
        }
    }

    /// The record that takes an entity away.
    pub(crate) fn gone(&self) -> Span {
        Span { start: 0, bits: Action::Gone.code().1 }
    }

    /// The table of a key, for [`SharedBits::record`].
    #[inline]
    pub(crate) fn table(&mut self, key: Key, source: Source<'_>) -> usize {
        let place = key.place();
        match self.places.get(place) {
            Some(&at) if usize::from(at) < self.live && self.tables[usize::from(at)].key == key => at.into(),
            _ => self.open(key, place, source),
        }
    }

    /// The record of row `row` against the base of `table`. Where the base has no such entity, it is whole.
    #[inline]
    pub(crate) fn record(&mut self, table: usize, row: usize, source: Source<'_>) -> Span {
        match self.tables[table].spans[row] {
            Span { bits: 0, .. } => self.fill(table, row, source),
            span => span,
        }
    }

    /// Whether a record is a change, and not the whole entity.
    pub(crate) fn is_change(&self, span: Span) -> bool {
        self.words[span.start as usize] & 1 == 0
    }

    /// Writes `head_bits` (at most 40) of `head`, then the record.
    #[inline]
    pub(crate) fn append(&self, span: Span, head: u64, head_bits: u32, out: &mut BitWriter) {
        let rest = span.bits % 64;
        let words = &self.words[span.start as usize..][..span.bits.div_ceil(64) as usize];
        let mut full = words;
        if rest > 0 {
            let (first, others) = words.split_first().expect("a record has a word");
            full = others;
            if head_bits + rest <= 64 {
                out.write_bits(head | first << head_bits, head_bits + rest);
            } else {
                out.write_bits(head, head_bits);
                out.write_bits(*first, rest);
            }
        } else {
            out.write_bits(head, head_bits);
        }
        full.iter().for_each(|word| out.write_bits(*word, 64));
    }

    #[cold]
    fn open(&mut self, key: Key, place: usize, source: Source<'_>) -> usize {
        self.places.resize(PLACES, u8::MAX);
        let known = self.tables[..self.live].iter().position(|table| table.key == key);
        let at = known.unwrap_or_else(|| {
            if self.live == self.tables.len() {
                self.tables.push(Table::default());
            }
            let table = &mut self.tables[self.live];
            table.key = key;
            table.spans.clear();
            table.spans.resize(source.frame.len(), Span::default());
            self.live += 1;
            self.live - 1
        });
        self.places[place] = u8::try_from(at).unwrap_or(u8::MAX);
        at
    }

    #[cold]
    fn fill(&mut self, table: usize, row: usize, source: Source<'_>) -> Span {
        let key = self.tables[table].key;
        let class = key.classes.now();
        let entity = source.frame.entity_as(&source.frame.rows()[row], class);
        let before = entity_at(source, key.base, row, key.classes.base());
        let older = entity_at(source, key.older, row, key.classes.older());
        let (ahead, span) = (i32::from(key.ahead), i32::from(key.span));
        let older = older.map(|entity| codec::Older { entity, ahead, span });
        self.scratch.clear();
        let action = if before.is_some() { Action::Change } else { Action::Whole };
        let (code, bits) = action.code();
        self.scratch.write_bits(code, bits);
        match before {
            Some(before) => {
                let out = (&mut self.scratch, &mut self.trial);
                codec::encode_change(source.schema, &entity, &before, older.as_ref(), class, out);
            }
            None => codec::encode_whole(source.schema, &entity, class, &mut self.scratch),
        }
        let span = Span { start: self.words.len() as u32, bits: self.scratch.bit_len() as u32 };
        let mut from = netcode_wire::BitReader::new(self.scratch.as_bytes());
        let mut next = |bits| from.read_bits(bits).expect("it was just written");
        if !span.bits.is_multiple_of(64) {
            self.words.push(next(span.bits % 64));
        }
        (0..span.bits / 64).for_each(|_| self.words.push(next(64)));
        self.tables[table].spans[row] = span;
        self.encoded += 1;
        span
    }
}

/// The entity of row `row` as it was told to a class at a tick, given plus one.
fn entity_at(source: Source<'_>, tick: u32, row: usize, class: Class) -> Option<Entity<'_>> {
    let before = source.history.frame(Tick(tick.checked_sub(1)?))?;
    let id = source.frame.rows()[row].id;
    Some(before.entity_as(&before.rows()[before.row_near(id, row)?], class))
}

/// Two classes for more than the ticks of a history: then no two keys in use meet, or few.
const PLACES: usize = 512;
