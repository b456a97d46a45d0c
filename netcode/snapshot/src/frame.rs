//! A quantised world at one tick: entities sorted by id, their columns packed. Must never know how a frame
//! travels, nor where its components live.

mod apply;
mod rate;

use std::num::NonZeroU32;

use netcode_wire::Tick;

use crate::far::Class;
use crate::{COLUMNS_MAX, ComponentId, Field, NetId, Replicate, Schema};

/// The world at one tick, in quantised columns. On the server it is what is true; on a client it is what the
/// client was shown.
///
/// Layout: one row an entity, sorted by id; each row names a run of parts (one a component, ascending), each
/// part a run of values. All three vectors keep their memory over `clear`.
#[derive(Debug, Clone, Default)]
pub struct Frame {
    tick: Tick,
    /// Equal in two frames of one history: the same entities in the same rows. 0: not known.
    layout: u32,
    rows: Vec<Row>,
    parts: Vec<Part>,
    values: Vec<u32>,
    /// Of `parts` those that a row names: fewer where an entity was replaced or left.
    named_parts: usize,
    /// Of `parts` those that are told less often than every tick, or to who is far as something else.
    kept_parts: usize,
    /// Whether any row has ever had a group.
    has_groups: bool,
}

/// Adds components to one entity of a frame.
#[derive(Debug)]
pub struct EntityWriter<'a> {
    schema: &'a Schema,
    frame: &'a mut Frame,
    first_part: usize,
    group: Option<NonZeroU32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) id: NetId,
    pub(crate) stamp: Tick,
    /// The stamp as it is told to who is far.
    pub(crate) far_stamp: Tick,
    /// On the server: with whom it appears.
    pub(crate) group: Option<NonZeroU32>,
    pub(crate) parts: (u32, u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) component: ComponentId,
    /// Ticks from one time that it is told to the next; on a client, and mostly, 1.
    every: u8,
    /// The same for who is far; 0: it is told to them as to everyone.
    far_every: u8,
    start: u32,
    len: u32,
}

/// One entity of a frame, borrowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entity<'a> {
    pub(crate) stamp: Tick,
    class: Class,
    parts: &'a [Part],
    values: &'a [u32],
}

impl Frame {
    /// An empty world.
    #[must_use]
    pub fn new(tick: Tick) -> Self {
        Self { tick, ..Self::default() }
    }

    /// Makes it an empty world at `tick`; memory is kept.
    pub fn clear(&mut self, tick: Tick) {
        self.tick = tick;
        self.layout = 0;
        self.rows.clear();
        self.parts.clear();
        self.values.clear();
        self.named_parts = 0;
        self.kept_parts = 0;
        self.has_groups = false;
    }

    /// Adds an entity with the components that `write` gives. Entities may come in any order; ascending ids
    /// are cheapest. Components that only some may see become rows of their own ([`Audience`](crate::Audience)).
    ///
    /// # Panics
    /// In debug builds when `id` is greater than [`NetId::LAST`].
    pub fn push(&mut self, schema: &Schema, id: NetId, write: impl FnOnce(&mut EntityWriter<'_>)) {
        let first_part = self.parts.len();
        let mut writer = EntityWriter { schema, frame: self, first_part, group: None };
        write(&mut writer);
        let group = writer.group;
        self.has_groups |= group.is_some();
        debug_assert!(id <= NetId::LAST, "the name of an entity: {id}");
        if schema.has_audiences() {
            return self.divide(schema, (id, group), first_part);
        }
        if !self.parts[first_part..].is_sorted_by_key(|part| part.component) {
            self.parts[first_part..].sort_unstable_by_key(|part| part.component);
        }
        self.seal(id, self.tick, first_part);
        self.rows.last_mut().expect("it was just added").group = group;
    }

    /// Ends the entity whose parts begin at `first_part`: a row for everyone, which is there even if it is empty, and
    /// one for each audience that may see more.
    fn divide(&mut self, schema: &Schema, (id, group): (NetId, Option<NonZeroU32>), first_part: usize) {
        let audience = |part: &Part| schema.audience(part.component);
        self.parts[first_part..].sort_unstable_by_key(|part| (audience(part), part.component));
        let (end, mut start) = (self.parts.len(), first_part);
        self.named_parts += end - first_part;
        let mut next = crate::Audience::EVERYONE;
        loop {
            let len = self.parts[start..].iter().take_while(|part| audience(part) == next).count();
            let parts = (start as u32, (start + len) as u32);
            let (id, stamp) = (id.seen_by(next), self.tick);
            self.rows.push(Row { id, stamp, far_stamp: stamp, group, parts });
            start += len;
            match self.parts.get(start) {
                Some(part) => next = audience(part),
                None => return,
            }
        }
    }

    /// Sets a component of the entity in row `row` (of [`Frame::entities`]), which has it already.
    ///
    /// # Panics
    /// When there is no such row, or the entity lacks the component.
    pub fn set<T: Replicate>(&mut self, row: usize, id: ComponentId, component: &T) {
        let find = |row: &Row| self.parts_of(row).iter().find(|part| part.component == id).copied();
        let whole = self.rows[row];
        let among_parts =
            || self.part_rows(whole.id).find_map(|place| Some((place, find(&self.rows[place])?)));
        let found = find(&whole).map(|part| (row, part)).or_else(among_parts);
        let (row, part) = found.expect("the entity has the component");
        let mut new = [0; COLUMNS_MAX];
        let new = &mut new[..part.len as usize];
        component.quantise(new);
        self.write(row, &part, Class::Near, new);
        if part.far_every > 0 {
            coarsen(T::FIELDS, new);
            self.write(row, &part, Class::Far, new);
        }
    }

    /// Sets with whom the entity in row `row` (of [`Frame::entities`]) appears: as [`EntityWriter::group`].
    ///
    /// # Panics
    /// When there is no such row.
    pub fn set_group(&mut self, row: usize, group: Option<NonZeroU32>) {
        let id = self.rows[row].id;
        self.rows[row].group = group;
        self.has_groups |= group.is_some();
        for audience in crate::Audience::narrow() {
            if let Some(part) = self.row_of(id.seen_by(audience)) {
                self.rows[part].group = group;
            }
        }
    }

    /// Takes what a part is now, as it is told to a class.
    fn write(&mut self, row: usize, part: &Part, class: Class, new: &[u32]) {
        if part.every(class) > 1 {
            // Shown when it is its turn.
            self.values[part.truth(class)].copy_from_slice(new);
            return;
        }
        let values = &mut self.values[part.shown(class)];
        if values != new {
            values.copy_from_slice(new);
            self.rows[row].touch(part, class, self.tick);
        }
    }

    /// Sorts the entities; to be called once all are there ([`History::extract`](crate::History::extract)
    /// does it).
    ///
    /// # Panics
    /// In debug builds when an id is there twice: the server gave one name to two entities.
    pub fn finish(&mut self) {
        if !self.rows.is_sorted_by_key(|row| row.id) {
            self.rows.sort_by_key(|row| row.id);
        }
        debug_assert!(self.rows.windows(2).all(|pair| pair[0].id != pair[1].id), "one id, two entities");
        self.rows.dedup_by_key(|row| row.id);
    }

    /// The tick of this world.
    #[must_use]
    pub fn tick(&self) -> Tick {
        self.tick
    }

    /// Number of rows: of entities, and of what only some may see of them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether the world is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The entities, ascending.
    pub fn entities(&self) -> impl ExactSizeIterator<Item = NetId> + '_ {
        let whole = self.rows.partition_point(|row| !row.id.is_part());
        self.rows[..whole].iter().map(|row| row.id)
    }

    /// Whether the entity is there.
    #[must_use]
    pub fn contains(&self, id: NetId) -> bool {
        self.find(id).is_some()
    }

    /// Whether the entity is there and has the component.
    #[must_use]
    pub fn has(&self, id: NetId, component: ComponentId) -> bool {
        self.columns(id, component).is_some()
    }

    /// The columns of one component of one entity, whoever may see it.
    #[must_use]
    pub fn columns(&self, id: NetId, component: ComponentId) -> Option<&[u32]> {
        let among_parts = || self.part_rows(id).find_map(|at| self.entity(&self.rows[at]).columns(component));
        self.find(id)?.columns(component).or_else(among_parts)
    }

    /// The component itself. `None` when the entity lacks it or the schema does not know `T`. References to entities
    /// that are not in this frame read as `None`.
    #[must_use]
    pub fn get<T: Replicate>(&self, schema: &Schema, id: NetId) -> Option<T> {
        let component = schema.id_of::<T>()?;
        Some(schema.restore(component, self.columns(id, component)?, |id| self.contains(id)))
    }

    /// The components of an entity, ascending; after those that everyone sees, the others.
    pub fn components(&self, id: NetId) -> impl Iterator<Item = ComponentId> + '_ {
        let parts = self.part_rows(id).map(|at| self.entity(&self.rows[at]));
        let all =
            self.find(id).into_iter().flat_map(move |entity| std::iter::once(entity).chain(parts.clone()));
        all.flat_map(|entity| entity.parts.iter().map(|part| part.component))
    }

    /// Every component of every entity, in order: entities by id, their components by number.
    pub fn walk(&self) -> impl Iterator<Item = (NetId, ComponentId, &[u32])> + '_ {
        self.rows.iter().flat_map(|row| self.walk_row(row))
    }

    /// [`Frame::walk`] over the entities that came or changed at this frame's tick.
    pub fn walk_changed(&self) -> impl Iterator<Item = (NetId, ComponentId, &[u32])> + '_ {
        let changed = self.rows.iter().filter(|row| row.stamp == self.tick);
        changed.flat_map(|row| self.walk_row(row))
    }

    fn walk_row(&self, row: &Row) -> impl Iterator<Item = (NetId, ComponentId, &[u32])> + '_ {
        let id = row.id;
        self.parts_of(row).iter().map(move |part| {
            let values = &self.values[part.start as usize..][..part.len as usize];
            (id, part.component, values)
        })
    }

    /// On the server: the tick at which the entity last changed (or appeared). On a client: the tick of the
    /// state that is shown, which is older than the frame's when nothing newer fitted or nothing changed.
    #[must_use]
    pub fn stamp(&self, id: NetId) -> Option<Tick> {
        Some(self.find(id)?.stamp)
    }

    /// Whether both worlds show the same entities with the same columns, whatever their ticks and stamps.
    #[must_use]
    pub fn same_state(&self, other: &Self) -> bool {
        self.rows.len() == other.rows.len()
            && self.rows.iter().zip(&other.rows).all(|(ours, theirs)| {
                ours.id == theirs.id && self.entity(ours).same_state(&other.entity(theirs))
            })
    }

    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub(crate) fn entity(&self, row: &Row) -> Entity<'_> {
        self.entity_as(row, Class::Near)
    }

    /// The entity as it is told to a class.
    pub(crate) fn entity_as(&self, row: &Row, class: Class) -> Entity<'_> {
        let (first, last) = (row.parts.0 as usize, row.parts.1 as usize);
        Entity { stamp: row.stamp_as(class), class, parts: &self.parts[first..last], values: &self.values }
    }

    /// The columns of one component of one entity as they are told to who sees it from afar.
    #[must_use]
    pub fn columns_from_afar(&self, id: NetId, component: ComponentId) -> Option<&[u32]> {
        let far = |at: usize| self.entity_as(&self.rows[at], Class::Far).columns(component);
        far(self.row_of(id)?).or_else(|| self.part_rows(id).find_map(far))
    }

    /// [`Frame::stamp`] as it is told to who sees the entity from afar.
    #[must_use]
    pub fn stamp_from_afar(&self, id: NetId) -> Option<Tick> {
        Some(self.rows[self.row_of(id)?].far_stamp)
    }

    pub(crate) fn find(&self, id: NetId) -> Option<Entity<'_>> {
        Some(self.entity(&self.rows[self.row_of(id)?]))
    }

    /// The rows of what only some may see of an entity.
    fn part_rows(&self, id: NetId) -> impl Iterator<Item = usize> + Clone + '_ {
        // Parts come last: without any, nothing is searched.
        let any = !id.is_part() && self.rows.last().is_some_and(|row| row.id.is_part());
        let audiences = any.then(crate::Audience::narrow).into_iter().flatten();
        audiences.filter_map(move |audience| self.row_of(id.seen_by(audience)))
    }

    /// The entity's place among `rows`.
    pub(crate) fn row_of(&self, id: NetId) -> Option<usize> {
        self.rows.binary_search_by_key(&id, |row| row.id).ok()
    }

    /// As `row_of`, for one who goes through many frames' entities in ascending order and guesses well.
    pub(crate) fn row_near(&self, id: NetId, guess: usize) -> Option<usize> {
        if self.rows.get(guess).is_some_and(|row| row.id == id) { Some(guess) } else { self.row_of(id) }
    }

    /// Number of parts so far: where the next entity's first part will lie.
    pub(crate) fn next_part(&self) -> usize {
        self.parts.len()
    }

    /// Adds a part of `len` zeroed columns to the entity being built.
    pub(crate) fn add_part(&mut self, component: ComponentId, len: usize) -> &mut [u32] {
        let part = self.begin_part(component, len, (1, 0));
        &mut self.values[part.start as usize..]
    }

    /// As `add_part`, for a component that is told every so many ticks, to the near and to the far (0: as to the near).
    fn begin_part(&mut self, component: ComponentId, len: usize, (every, far_every): (u8, u8)) -> Part {
        let start = self.values.len();
        let (every, len) = (every.max(1), len as u32);
        let part = Part { component, every, far_every, start: start as u32, len };
        self.values.resize(start + part.span(), 0);
        self.kept_parts += usize::from(part.is_kept());
        self.parts.push(part);
        part
    }

    /// Ends the entity whose parts begin at `first_part`.
    pub(crate) fn seal(&mut self, id: NetId, stamp: Tick, first_part: usize) {
        self.named_parts += self.parts.len() - first_part;
        let parts = (first_part as u32, self.parts.len() as u32);
        self.rows.push(Row { id, stamp, far_stamp: stamp, group: None, parts });
    }

    /// Makes it as `other` is, at another tick, and leaves out what no row names any more when that is much.
    pub(crate) fn copy_from(&mut self, other: &Self, tick: Tick) {
        self.clear(tick);
        self.has_groups = other.has_groups;
        if other.parts.len() <= 2 * other.named_parts + 64 {
            self.named_parts = other.named_parts;
            self.kept_parts = other.kept_parts;
            self.rows.extend_from_slice(&other.rows);
            self.parts.extend_from_slice(&other.parts);
            self.values.extend_from_slice(&other.values);
            return;
        }
        for row in &other.rows {
            self.copy_row(other, row);
        }
    }

    fn parts_of(&self, row: &Row) -> &[Part] {
        &self.parts[row.parts.0 as usize..row.parts.1 as usize]
    }

    pub(crate) fn has_groups(&self) -> bool {
        self.has_groups
    }

    pub(crate) fn layout(&self) -> u32 {
        self.layout
    }

    pub(crate) fn set_layout(&mut self, layout: u32) {
        self.layout = layout;
    }

    /// Whether both have the same entities, and so in the same rows.
    pub(crate) fn same_entities(&self, other: &Self) -> bool {
        self.rows.len() == other.rows.len()
            && self.rows.iter().zip(&other.rows).all(|(ours, theirs)| ours.id == theirs.id)
    }

    /// Stamps what is as it was in `before` with the stamp it had there.
    pub(crate) fn inherit_stamps(&mut self, before: &Self) {
        let mut theirs = before.rows.iter().peekable();
        for place in 0..self.rows.len() {
            let row = self.rows[place];
            while theirs.next_if(|other| other.id < row.id).is_some() {}
            let Some(other) = theirs.next_if(|other| other.id == row.id) else { continue };
            let is_same = |class| self.entity_as(&row, class).same_state(&before.entity_as(other, class));
            let (near, far) = (is_same(Class::Near), is_same(Class::Far));
            if near {
                self.rows[place].stamp = other.stamp;
            }
            if far {
                self.rows[place].far_stamp = other.far_stamp;
            }
        }
    }
}

impl EntityWriter<'_> {
    /// Adds a component; when it is there already, the later one holds.
    ///
    /// # Panics
    /// When the schema does not know `T`: the server forgot to register it.
    pub fn component<T: Replicate>(&mut self, component: &T) {
        let id = self.schema.id_of::<T>().expect("the component is registered in the schema");
        self.component_at(id, component);
    }

    /// Says with whom the entity appears: with everybody else of the same group that a client is shown, in one go or not at
    /// all, whatever is lost and however little fits.
    pub fn group(&mut self, group: NonZeroU32) {
        self.group = Some(group);
    }

    /// Adds a component whose id the caller has looked up once.
    pub fn component_at<T: Replicate>(&mut self, id: ComponentId, component: &T) {
        let far_every = T::FAR.map_or(0, |far| far.every.max(1));
        self.write(id, (T::EVERY, far_every), T::FIELDS, |columns| component.quantise(columns));
    }

    /// Adds a component by its columns.
    ///
    /// # Panics
    /// When there are more or fewer columns than the schema says.
    pub fn columns(&mut self, id: ComponentId, columns: &[u32]) {
        let schema = self.schema;
        let fields = schema.fields(id);
        assert_eq!(columns.len(), fields.len(), "one value a column");
        let far_every = schema.far(id).map_or(0, |far| far.every);
        self.write(id, (schema.every(id), far_every), fields, |place| place.copy_from_slice(columns));
    }

    fn write(&mut self, id: ComponentId, every: (u8, u8), fields: &[Field], fill: impl FnOnce(&mut [u32])) {
        let len = fields.len();
        debug_assert_eq!(len, self.schema.fields(id).len(), "the id is that of the component");
        let known = self.frame.parts[self.first_part..].iter().find(|part| part.component == id).copied();
        let part = known.unwrap_or_else(|| self.frame.begin_part(id, len, every));
        let values = &mut self.frame.values;
        let shown = part.shown(Class::Near);
        fill(&mut values[shown.clone()]);
        if part.every > 1 {
            values.copy_within(shown.clone(), part.truth(Class::Near).start);
        }
        if part.far_every > 0 {
            let far = part.shown(Class::Far);
            values.copy_within(shown, far.start);
            coarsen(fields, &mut values[far.clone()]);
            if part.far_every > 1 {
                values.copy_within(far, part.truth(Class::Far).start);
            }
        }
    }
}

/// Makes columns what is told of them to who is far.
fn coarsen(fields: &[Field], columns: &mut [u32]) {
    columns.iter_mut().zip(fields).for_each(|(column, field)| *column = field.coarse(*column));
}

impl Row {
    /// Since when it is as it is told to a class.
    #[inline]
    pub(crate) fn stamp_as(&self, class: Class) -> Tick {
        if class.is_far() { self.far_stamp } else { self.stamp }
    }

    /// Notes that what is told of a part to a class changed.
    fn touch(&mut self, part: &Part, class: Class, now: Tick) {
        let is_for_all = part.far_every == 0;
        if class == Class::Near || is_for_all {
            self.stamp = now;
        }
        if class == Class::Far || is_for_all {
            self.far_stamp = now;
        }
    }
}

impl<'a> Entity<'a> {
    pub(crate) fn columns(&self, component: ComponentId) -> Option<&'a [u32]> {
        let part = self.parts.iter().find(|part| part.component == component)?;
        Some(self.part_columns(part))
    }

    pub(crate) fn parts(&self) -> impl Iterator<Item = (ComponentId, &'a [u32])> + '_ {
        self.parts.iter().map(|part| (part.component, self.part_columns(part)))
    }

    /// One bit a component.
    pub(crate) fn mask(&self) -> u64 {
        self.parts.iter().fold(0, |mask, part| mask | 1 << part.component.0)
    }

    pub(crate) fn same_components(&self, other: &Entity<'_>) -> bool {
        self.parts.len() == other.parts.len()
            && self.parts.iter().zip(other.parts).all(|(ours, theirs)| ours.component == theirs.component)
    }

    pub(crate) fn same_state(&self, other: &Entity<'_>) -> bool {
        self.parts.len() == other.parts.len() && self.parts().eq(other.parts())
    }

    fn part_columns(&self, part: &Part) -> &'a [u32] {
        &self.values[part.shown(self.class)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Field, History};

    struct Byte<const N: u8>(u8);

    impl<const N: u8> Replicate for Byte<N> {
        const NAME: &'static str = ["Byte0", "Byte1", "Byte2", "Byte3"][N as usize];
        const FIELDS: &'static [Field] = &[Field::integer("value", 8, false)];

        fn quantise(&self, out: &mut [u32]) {
            out[0] = u32::from(self.0);
        }

        fn restore(columns: &[u32]) -> Self {
            Self(columns[0] as u8)
        }

        fn interpolate(from: &Self, _: &Self, _: f32) -> Self {
            Self(from.0)
        }
    }

    fn schema() -> Schema {
        Schema::builder().component::<Byte<0>>().component::<Byte<1>>().build()
    }

    #[test]
    fn entities_and_components_are_sorted() {
        let schema = schema();
        let mut frame = Frame::new(Tick(3));
        frame.push(&schema, NetId(9), |entity| {
            entity.component(&Byte::<1>(1));
            entity.component(&Byte::<0>(2));
            // Again: the later one holds.
            entity.columns(ComponentId(1), &[7]);
        });
        frame.push(&schema, NetId(4), |_| {});
        frame.finish();
        assert_eq!(frame.entities().collect::<Vec<_>>(), [NetId(4), NetId(9)]);
        assert_eq!(frame.components(NetId(9)).collect::<Vec<_>>(), [ComponentId(0), ComponentId(1)]);
        assert_eq!(frame.columns(NetId(9), ComponentId(1)), Some(&[7][..]));
        assert_eq!(frame.get::<Byte<0>>(&schema, NetId(9)).map(|byte| byte.0), Some(2));
        assert!(frame.get::<Byte<0>>(&schema, NetId(4)).is_none() && frame.contains(NetId(4)));
        assert!(!frame.has(NetId(5), ComponentId(0)) && frame.stamp(NetId(5)).is_none());
        assert_eq!((frame.len(), frame.tick(), frame.stamp(NetId(9))), (2, Tick(3), Some(Tick(3))));
    }

    #[test]
    fn a_history_knows_since_when_things_are_as_they_are() {
        let schema = schema();
        let mut history = History::new(4);
        // The value of entity 1 at each tick; `None`: it is not there.
        let values = [(1, Some(5)), (2, Some(5)), (3, Some(6)), (4, None), (5, Some(6)), (7, Some(6))];
        let mut stamps = Vec::new();
        for (tick, value) in values {
            let frame = history.extract(Tick(tick), |frame| {
                frame.push(&schema, NetId(0), |entity| entity.component(&Byte::<0>(0)));
                if let Some(value) = value {
                    frame.push(&schema, NetId(1), |entity| entity.component(&Byte::<0>(value)));
                }
            });
            assert_eq!(frame.stamp(NetId(0)), Some(Tick(1)));
            stamps.push(frame.stamp(NetId(1)).map(|stamp| stamp.0));
        }
        assert_eq!(stamps, [Some(1), Some(1), Some(3), None, Some(5), Some(5)]);
        assert_eq!(history.newest().map(Frame::tick), Some(Tick(7)));
        let frame = history.update(Tick(8), |frame| {
            frame.set(0, ComponentId(0), &Byte::<0>(0));
            frame.set(1, ComponentId(0), &Byte::<0>(9));
        });
        assert_eq!((frame.stamp(NetId(0)), frame.stamp(NetId(1))), (Some(Tick(1)), Some(Tick(8))));
        assert_eq!(frame.columns(NetId(1), ComponentId(0)), Some(&[9][..]));
        let frame = history.update(Tick(9), |_| {});
        assert_eq!((frame.tick(), frame.stamp(NetId(1))), (Tick(9), Some(Tick(8))));
        let held: Vec<_> = (0..9).filter(|tick| history.frame(Tick(*tick)).is_some()).collect();
        assert_eq!(held, [2, 7, 8]);
    }

    #[test]
    fn a_component_more_or_less_is_a_change() {
        let schema = schema();
        let mut history = History::new(4);
        for tick in 1..=3 {
            let frame = history.extract(Tick(tick), |frame| {
                frame.push(&schema, NetId(0), |entity| match tick {
                    1 => entity.component(&Byte::<0>(0)),
                    _ => entity.component(&Byte::<1>(0)),
                });
            });
            assert_eq!(frame.stamp(NetId(0)), Some(Tick(tick.min(2))));
        }
    }

    #[test]
    fn a_schema_is_its_names_widths_and_order() {
        let schema = schema();
        let other =
            Schema::builder().component::<Byte<1>>().component::<Byte<0>>().component::<Byte<2>>().build();
        assert_eq!(schema.hash(), self::schema().hash());
        assert_ne!(schema.hash(), other.hash());
        assert_eq!((other.len(), other.id_of::<Byte<0>>()), (3, Some(ComponentId(1))));
        assert_eq!((schema.id_of::<Byte<2>>(), schema.name(ComponentId(9))), (None, None));
        assert_eq!(schema.fields(ComponentId(0)), Byte::<0>::FIELDS);
    }
}
