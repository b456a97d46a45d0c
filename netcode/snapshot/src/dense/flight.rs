//! One snapshot's news, kept from when it is coded until it is known to have been decoded. Must never know what came
//! before it.

use netcode_wire::Tick;

use super::symbol::Symbol;
use super::world::columns_of;
use crate::far::Class;
use crate::record::Action;
use crate::{ComponentId, NetId, Schema};

/// What a snapshot told, in the order it told it, and the numbers it was told by. Keeps its memory over `clear`.
#[derive(Debug, Default)]
pub(super) struct Flight {
    pub(super) tick: Tick,
    pub(super) epoch: u8,
    pub(super) complete: bool,
    /// First those that were named, then those by flags: each run ascends.
    pub(super) mentions: Vec<Mention>,
    /// Length of the first run.
    pub(super) named: usize,
    values: Vec<u32>,
    residuals: Vec<u32>,
    pub(super) symbols: Vec<Symbol>,
}

/// What was told of one entity.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mention {
    pub(super) id: NetId,
    pub(super) action: Action,
    pub(super) mask: u64,
    /// As what it was told; near where that makes no difference.
    pub(super) class: Class,
    /// As what the server listed it: nothing is coded by it.
    pub(super) listed: Class,
    start: u32,
    pub(super) len: usize,
}

impl Flight {
    /// Makes it an empty snapshot.
    pub(super) fn clear(&mut self, tick: Tick, epoch: u8, complete: bool) {
        (self.tick, self.epoch, self.complete, self.named) = (tick, epoch, complete, 0);
        self.mentions.clear();
        self.values.clear();
        self.residuals.clear();
        self.symbols.clear();
    }

    /// Tells of an entity. Its columns are zero until they are written.
    pub(super) fn mention(&mut self, id: NetId, action: Action, (mask, class): (u64, Class), len: usize) {
        let start = self.values.len();
        self.values.resize(start + len, 0);
        self.residuals.resize(start + len, 0);
        self.mentions.push(Mention { id, action, mask, class, listed: class, start: start as u32, len });
    }

    /// Notes as what the entity told of last is listed.
    pub(super) fn list(&mut self, class: Class) {
        if let Some(mention) = self.mentions.last_mut() {
            mention.listed = class;
        }
    }

    /// The columns told last, and how far they lay from their predictions.
    pub(super) fn newest_mut(&mut self) -> (&mut [u32], &mut [u32]) {
        let start = self.mentions.last().map_or(0, |mention| mention.start as usize);
        (&mut self.values[start..], &mut self.residuals[start..])
    }

    /// All columns of a mention, and their residuals.
    pub(super) fn columns(&self, mention: &Mention) -> (&[u32], &[u32]) {
        let range = mention.start as usize..mention.start as usize + mention.len;
        (&self.values[range.clone()], &self.residuals[range])
    }

    /// A component as this snapshot has told it so far.
    pub(super) fn component(&self, schema: &Schema, id: NetId, component: ComponentId) -> Option<&[u32]> {
        let (named, flagged) = self.mentions.split_at(self.named.min(self.mentions.len()));
        let mention = [flagged, named].into_iter().find_map(|run| {
            let place = run.binary_search_by_key(&id, |mention| mention.id).ok()?;
            Some(&run[place])
        })?;
        let (first, len) = columns_of(schema, mention.mask, component)?;
        self.columns(mention).0.get(first..first + len)
    }

    /// Notes a number for training, as far as there is room.
    pub(super) fn note(&mut self, symbol: Symbol) {
        if self.symbols.len() < SYMBOLS_MAX {
            self.symbols.push(symbol);
        }
    }

    /// What of an ended one serves the next: its memory, unless it used only a small part of it. So the memory of a few
    /// snapshots that told of the whole world is not held for as long as the client stays, and what is alike from snapshot to
    /// snapshot is never allocated twice.
    pub(super) fn into_spare(self) -> Option<Self> {
        let used = self.symbols.len() * size_of::<Symbol>()
            + self.mentions.len() * size_of::<Mention>()
            + (self.values.len() + self.residuals.len()) * size_of::<u32>();
        let held = self.bytes();
        (held > 0 && held <= SPARE_MIN.max(used * SPARE_TIMES)).then_some(self)
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.symbols.capacity() * size_of::<Symbol>()
            + self.mentions.capacity() * size_of::<Mention>()
            + (self.values.capacity() + self.residuals.capacity()) * size_of::<u32>()
    }
}

/// Numbers of one snapshot that the model learns from: those past them teach nothing. Bounds what a snapshot keeps,
/// at 24 bytes each, and what its confirmation costs.
const SYMBOLS_MAX: usize = 4096;
/// Bytes that are kept whatever was used of them, and beyond that how many times what was used.
const SPARE_MIN: usize = 16 * 1024;
const SPARE_TIMES: usize = 8;
const _: () = assert!(size_of::<Symbol>() == 24, "as the documentation says");
