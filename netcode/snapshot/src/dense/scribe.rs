//! From news to numbers and back, on one path for both sides: which entities, which components, which columns, each
//! number in its contexts. Must never know which client it is for, nor how much room there is.
//!
//! | order | what |
//! |---|---|
//! | 1 | whether part 3 follows |
//! | 2 | entities that are new, or were at rest, or (without part 3) any: a flag that one follows, how many ids were skipped, what happens to it |
//! | 3 | entities that were told of lately, in the order of ids: a flag each, then what happens to them |
//!
//! What happens: gone (whether the client's confirmed world has it or not); whole (which components, every column as it is); or changed: whether the components are the same
//! (which, if not), then of each component whether it changed, and its columns against their predictions. Before the columns:
//! where one of the components is coarser from afar, whether it is told so; those are then coded in steps of their own, the
//! predictions as the nearest of these, with a model of their own.

use netcode_wire::WireError;

use super::flight::Flight;
use super::mix::{Contexts, Model, SETS};
use super::past::Past;
use super::range::Coder;
use super::symbol::{self, Kind, Symbol};
use super::world::{World, columns_of, components};
use crate::far::Class;
use crate::field::low_bits;
use crate::record::Action;
use crate::{ComponentId, Field, FieldKind, NetId, Schema, SnapshotError};

/// What one side codes with. Nothing in it changes but the flight.
pub(super) struct Scribe<'a, C> {
    pub(super) schema: &'a Schema,
    pub(super) model: &'a Model,
    pub(super) world: &'a World,
    pub(super) coder: &'a mut C,
    pub(super) flight: &'a mut Flight,
    /// Whether the last entities with a flag were told of, the newest in the lowest bit.
    told: u8,
    /// Residuals of the last entity's columns, added up.
    last: u64,
}

/// What the encoder knows of an entity that it tells of: ids ascend.
#[derive(Debug, Clone, Copy)]
pub(super) struct News<'a> {
    pub(super) id: NetId,
    pub(super) action: Action,
    pub(super) mask: u64,
    pub(super) class: Class,
    pub(super) columns: &'a [u32],
}

impl<'a, C: Coder> Scribe<'a, C> {
    pub(super) fn new(
        schema: &'a Schema,
        model: &'a Model,
        world: &'a World,
        coder: &'a mut C,
        flight: &'a mut Flight,
    ) -> Self {
        Self { schema, model, world, coder, flight, told: 0, last: 0 }
    }

    /// Codes everything. The encoder gives its news in two ascending lists: those that are named, and those of active
    /// entities, or (when few of these have news: not `by_flags`) all in the first. The decoder gives none.
    ///
    /// # Errors
    /// Bits that no encoder writes; more than `entities_max` entities.
    pub(super) fn run<'n>(
        &mut self,
        mut named: impl Iterator<Item = News<'n>>,
        active: impl Iterator<Item = News<'n>>,
        by_flags: bool,
        entities_max: usize,
    ) -> Result<(), SnapshotError> {
        let by_flags = self.flag(MORE, OTHERWISE, by_flags);
        let mut next = 0u64;
        loop {
            let news = named.next();
            if !self.flag(MORE, NOTHING, news.is_some()) {
                break;
            }
            next = self.named(next, news.as_ref(), by_flags)?;
            self.hold(entities_max)?;
        }
        self.flight.named = self.flight.mentions.len();
        let mut active = active.peekable();
        let flagged = if by_flags { self.world.tracks().len() } else { 0 };
        for place in 0..flagged {
            let track = &self.world.tracks()[place];
            if self.world.is_active(track) {
                let news = active.next_if(|news| news.id == track.id);
                self.active(place, news.as_ref())?;
                self.hold(entities_max)?;
            }
        }
        debug_assert!(active.next().is_none(), "every active entity is in the world");
        Ok(())
    }

    fn hold(&self, entities_max: usize) -> Result<(), SnapshotError> {
        if self.coder.is_exhausted() {
            return Err(WireError::Malformed("snapshot is cut short").into());
        }
        let told = self.flight.mentions.len();
        if told > entities_max { Err(SnapshotError::TooManyEntities(entities_max)) } else { Ok(()) }
    }

    /// An entity by its id, `next` being the least that it can have; gives the next such.
    fn named(&mut self, next: u64, news: Option<&News<'_>>, by_flags: bool) -> Result<u64, SnapshotError> {
        let skipped = news.map_or(0, |news| i64::from(news.id.0) - next as i64);
        let skipped = self.number(SKIPPED, NOTHING, Kind::Signed, skipped);
        let id = u64::try_from(skipped).ok().and_then(|skipped| u32::try_from(next + skipped).ok());
        let id = NetId(id.ok_or(WireError::Malformed("entity id"))?);
        match self.world.find(id) {
            Some(place) if by_flags && self.world.is_active(&self.world.tracks()[place]) => {
                return Err(WireError::Malformed("active entity by its id").into());
            }
            Some(place) => self.known(place, news)?,
            None => self.whole(id, news)?,
        }
        Ok(u64::from(id.0) + 1)
    }

    fn active(&mut self, place: usize, news: Option<&News<'_>>) -> Result<(), SnapshotError> {
        let track = &self.world.tracks()[place];
        let states = self.world.past_len(track);
        let newest = self.world.past(track, 0).1;
        let still = (1..states).take_while(|age| self.world.past(track, *age).1 == newest).count() as u8;
        let since = self.world.newest().map_or(0, |now| now.since(track.told)).min(7) as u8;
        let moved = scale(self.world.residuals(track).iter().map(|residual| u64::from(*residual)).sum());
        let told = self.told & 7;
        let contexts =
            [still, since, moved, told, (told & 1) * 8 + still.min(7), since.min(1) * 8 + moved / 2];
        let is_told = self.flag(ACTIVE, contexts, news.is_some());
        self.told = self.told << 1 | u8::from(is_told);
        if is_told { self.known(place, news) } else { Ok(()) }
    }

    /// What happens to an entity that the client holds.
    fn known(&mut self, place: usize, news: Option<&News<'_>>) -> Result<(), SnapshotError> {
        let track = &self.world.tracks()[place];
        let (id, before, class) = (track.id, track.mask, track.class);
        if self.flag(GONE, NOTHING, news.is_some_and(|news| news.action == Action::Gone)) {
            self.flight.mention(id, Action::Gone, NO_COMPONENTS, 0);
            return Ok(());
        }
        let mask = match self.flag(SAME, NOTHING, news.is_some_and(|news| news.mask == before)) {
            true => before,
            false => self.mask(news),
        };
        let class = self.class(mask, class, news);
        let len = components(mask).map(|component| self.schema.fields(component).len()).sum();
        self.flight.mention(id, Action::Change, (mask, class), len);
        self.flight.list(news.map_or(class, |news| news.class));
        let alone = mask == before && mask.count_ones() == 1;
        let (mut first, mut sum) = (0, 0);
        for component in components(mask) {
            let len = self.schema.fields(component).len();
            let truth = news.map(|news| &news.columns[first..first + len]);
            match columns_of(self.schema, before, component) {
                Some((first_before, _)) => {
                    let places = (first, first_before, len);
                    sum += self.component(place, (component, class), places, truth, alone)?;
                }
                None => self.whole_component((component, class), first, truth)?,
            }
            first += len;
        }
        self.last = sum;
        Ok(())
    }

    fn whole(&mut self, id: NetId, news: Option<&News<'_>>) -> Result<(), SnapshotError> {
        if self.flag(GONE, OTHERWISE, news.is_some_and(|news| news.action == Action::Gone)) {
            self.flight.mention(id, Action::Gone, NO_COMPONENTS, 0);
            return Ok(());
        }
        let mask = self.mask(news);
        let class = self.class(mask, Class::Near, news);
        let len = components(mask).map(|component| self.schema.fields(component).len()).sum();
        self.flight.mention(id, Action::Whole, (mask, class), len);
        self.flight.list(news.map_or(class, |news| news.class));
        let mut first = 0;
        for component in components(mask) {
            let len = self.schema.fields(component).len();
            let truth = news.map(|news| &news.columns[first..first + len]);
            self.whole_component((component, class), first, truth)?;
            first += len;
        }
        Ok(())
    }

    fn whole_component(
        &mut self,
        (component, class): (ComponentId, Class),
        first: usize,
        truth: Option<&[u32]>,
    ) -> Result<(), SnapshotError> {
        for (place, field) in self.schema.fields(component).iter().enumerate() {
            let grid = Grid::new(field, class);
            let value = truth.map_or(0, |truth| i64::from(grid.lower(truth[place])));
            let value = self.number(MORE, NOTHING, Kind::Raw { bits: grid.field.bits }, value) as u32;
            self.flight.newest_mut().0[first + place] = grid.raise(checked(&grid.field, value)?);
        }
        Ok(())
    }

    /// As what an entity of these components is told; `before`: as what it was told last.
    fn class(&mut self, mask: u64, before: Class, news: Option<&News<'_>>) -> Class {
        if mask & self.schema.coarser() == 0 {
            return Class::Near;
        }
        let contexts = if before.is_far() { AFTER_FAR } else { AFTER_NEAR };
        Class::of(self.flag(SAME, contexts, news.is_some_and(|news| news.class.is_far())))
    }

    /// A component that the client holds; gives its residuals, added up. `places`: its first column among the entity's
    /// now, the same before, and how many there are.
    fn component(
        &mut self,
        place: usize,
        (component, class): (ComponentId, Class),
        places: (usize, usize, usize),
        truth: Option<&[u32]>,
        alone: bool,
    ) -> Result<u64, SnapshotError> {
        let (world, schema) = (self.world, self.schema);
        let (first, first_before, len) = places;
        let track = &world.tracks()[place];
        let before = &world.past(track, 0).1[first_before..first_before + len];
        let residuals = &world.residuals(track)[first_before..first_before + len];
        let is_coarser = class.is_far() && schema.coarser() >> component.0 & 1 == 1;
        let class = Class::of(is_coarser);
        let head = schema.dense_column(component) + if is_coarser { 1 + len } else { 0 };
        self.flight.newest_mut().0[first..first + len].copy_from_slice(before);
        if !alone {
            let moved = scale(residuals.iter().map(|residual| u64::from(*residual)).sum());
            let contexts = [moved, component.0, self.told & 1, 0, 0, 0];
            if !self.flag(head, contexts, truth.is_some_and(|truth| truth != before)) {
                return Ok(0);
            }
        }
        let fields = schema.fields(component);
        let mut told = [0; crate::COLUMNS_MAX];
        let mut guesses = [0; crate::COLUMNS_MAX];
        let guesses = &mut guesses[..len];
        let predict = |flight: &Flight, told: &[u32], guesses: &mut [i64]| {
            guesses.iter_mut().zip(before).for_each(|(guess, before)| *guess = i64::from(*before) * 16);
            if let Some(predict) = schema.predict(component) {
                let tick = flight.tick;
                let past =
                    Past { schema, world, flight, tick, track, component, first: first_before, len, told };
                predict(&past, guesses);
            }
        };
        predict(self.flight, &[], guesses);
        let mut column = Column { so_far: 0, group: 0, bends: 0 };
        let mut sum = 0;
        for place in 0..len {
            let field = &fields[place];
            if place == 0 || !alike(&fields[place - 1], field) {
                column.begin(fields, place, residuals, |age, place| {
                    (age < world.past_len(track)).then(|| world.past(track, age).1[first_before + place])
                });
            }
            let truth = truth.map_or(0, |truth| truth[place]);
            let (value, residual) = self.column(
                head + 1 + place,
                &Grid::new(field, class),
                before[place],
                guesses[place],
                residuals[place],
                &column,
                truth,
            );
            told[place] = checked(field, value)?;
            column.so_far += u64::from(residual) * 2;
            sum += u64::from(residual);
            let (values, residuals) = self.flight.newest_mut();
            (values[first + place], residuals[first + place]) = (value, residual);
            if field.kind == FieldKind::Opaque && residual != 0 && place + 1 < len {
                predict(self.flight, &told[..=place], guesses);
            }
        }
        Ok(sum)
    }

    /// One column against its prediction; gives its value and how far it lay from there.
    #[expect(clippy::too_many_arguments, reason = "a column, what is known of it, and its truth")]
    fn column(
        &mut self,
        model: usize,
        grid: &Grid<'_>,
        before: u32,
        guess: i64,
        residual: u32,
        column: &Column,
        truth: u32,
    ) -> (u32, u32) {
        let field = grid.whole;
        let max = i64::from(field.max);
        // Held in range first: a game's predictor may give anything.
        let rounded = guess.saturating_add(8) >> 4;
        let part = (guess.saturating_add(8) & 15) as u8;
        if field.kind == FieldKind::Opaque {
            let expected = rounded.clamp(0, max) as u32;
            let contexts = [
                expected.min(15) as u8,
                part,
                scale(column.so_far),
                scale(residual.into()),
                scale(self.last),
                0,
            ];
            let kind = Kind::Opaque { bits: field.bits, expected };
            let value = self.number(model, contexts, kind, truth.into()) as u32;
            return (value, u32::from(value != expected));
        }
        let expected = match field.kind {
            FieldKind::Wrapping => rounded as u32 & low_bits(field.bits),
            _ => rounded.clamp(0, max) as u32,
        };
        let (field, expected, before) = (&grid.field, grid.lower(expected), grid.lower(before));
        let truth = grid.lower(truth);
        let moves = difference(field.bits, before, expected);
        let contexts = [
            scale(u64::from(residual) * 2 + column.group),
            if column.so_far == 0 { 8 + scale(self.last) / 2 } else { scale(column.so_far) },
            scale(moves.unsigned_abs()),
            signed_scale(moves),
            part / 4 * 4 + scale(u64::from(residual)) / 4,
            scale(column.bends),
        ];
        let truth = difference(field.bits, truth, expected);
        let value = self.number(model, contexts, Kind::Signed, truth);
        let found = expected.wrapping_add(value as u32) & low_bits(field.bits);
        // What no encoder writes stays what it is, to be refused.
        let found = if found > field.max { u32::MAX } else { grid.raise(found) };
        (found, value.unsigned_abs().min(1 << 24) as u32)
    }

    fn mask(&mut self, news: Option<&News<'_>>) -> u64 {
        let bits = self.schema.len() as u8;
        let mask = news.map_or(0, |news| news.mask);
        let low =
            self.number(MORE, NOTHING, Kind::Raw { bits: bits.min(32) }, (mask & 0xffff_ffff) as i64) as u64;
        let high =
            self.number(MORE, NOTHING, Kind::Raw { bits: bits.saturating_sub(32) }, (mask >> 32) as i64);
        low | (high as u64) << 32
    }

    fn flag(&mut self, column: usize, contexts: Contexts, value: bool) -> bool {
        self.number(column, contexts, Kind::Flag, value.into()) != 0
    }

    fn number(&mut self, column: usize, contexts: Contexts, kind: Kind, value: i64) -> i64 {
        let mut symbol = Symbol { column: column as u16, contexts, kind, value };
        symbol::code(self.model, self.coder, &mut symbol);
        if !matches!(kind, Kind::Raw { .. }) {
            self.flight.note(symbol);
        }
        symbol.value
    }
}

/// A column as it is, and as it is told to a class.
struct Grid<'a> {
    whole: &'a Field,
    field: Field,
    is_coarser: bool,
}

impl<'a> Grid<'a> {
    #[inline]
    fn new(whole: &'a Field, class: Class) -> Self {
        let is_coarser = class.is_far() && whole.far_shift > 0;
        Self { whole, field: if is_coarser { whole.far() } else { *whole }, is_coarser }
    }

    fn lower(&self, value: u32) -> u32 {
        if self.is_coarser { self.whole.lower(value) } else { value }
    }

    fn raise(&self, value: u32) -> u32 {
        if self.is_coarser { self.whole.raise(value) } else { value }
    }
}

/// What is known of a column beside itself.
struct Column {
    /// Residuals of the component's columns so far, twice.
    so_far: u64,
    /// The last residuals of the columns like it.
    group: u64,
    /// How much the motion of the columns like it bent lately.
    bends: u64,
}

impl Column {
    /// Begins a run of columns alike. `value` gives a past state's column.
    fn begin(
        &mut self,
        fields: &[Field],
        place: usize,
        residuals: &[u32],
        value: impl Fn(usize, usize) -> Option<u32>,
    ) {
        let run = place
            ..place + 1 + fields[place..].windows(2).take_while(|pair| alike(&pair[0], &pair[1])).count();
        self.group = run.clone().map(|place| u64::from(residuals[place])).sum();
        self.bends = run
            .map(|place| match (value(0, place), value(1, place), value(2, place)) {
                (Some(a), Some(b), Some(c)) => {
                    let bits = fields[place].bits;
                    (difference(bits, a, b) - difference(bits, b, c)).unsigned_abs()
                }
                _ => 0,
            })
            .sum();
    }
}

/// Whether two columns measure the same kind of thing: the axes of one vector, the parts of one rotation.
fn alike(a: &Field, b: &Field) -> bool {
    (a.bits, a.kind, a.max, a.step.to_bits()) == (b.bits, b.kind, b.max, b.step.to_bits())
}

fn checked(field: &Field, value: u32) -> Result<u32, WireError> {
    if value > field.max { Err(WireError::Malformed("column beyond its range")) } else { Ok(value) }
}

/// `a − b` in a column of so many bits, the short way round.
fn difference(bits: u8, a: u32, b: u32) -> i64 {
    let unused = 32 - u32::from(bits);
    i64::from((a.wrapping_sub(b) << unused) as i32 >> unused)
}

/// 0..=15 by half octaves: 0, 1, 2, 3, 4–5, 6–7, 8–11, 12–15, 16–23, …, from 192.
fn scale(value: u64) -> u8 {
    if value < 4 {
        return value as u8;
    }
    let octave = 63 - value.leading_zeros();
    (octave * 2 + (value >> (octave - 1) & 1) as u32).min(15) as u8
}

/// 0..=12: the sign and octaves by pairs.
fn signed_scale(value: i64) -> u8 {
    let size = (u64::BITS - value.unsigned_abs().leading_zeros()).min(8) as u8;
    let size = [0, 1, 2, 3, 4, 5, 5, 6, 6][usize::from(size)];
    if value < 0 { 6 - size } else { 6 + size }
}

const NOTHING: Contexts = [0; SETS];
/// For the second question of a column.
const OTHERWISE: Contexts = [1; SETS];
/// For a third one, after either answer.
const AFTER_NEAR: Contexts = [2; SETS];
const AFTER_FAR: Contexts = [3; SETS];
const NO_COMPONENTS: (u64, Class) = (0, Class::Near);
/// Columns of the model that belong to no component.
const MORE: usize = 0;
const SKIPPED: usize = 1;
const ACTIVE: usize = 2;
const GONE: usize = 3;
const SAME: usize = 4;
/// How many those are.
pub(crate) const HEAD_COLUMNS: usize = 5;
