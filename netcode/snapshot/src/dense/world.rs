//! What both sides know that the client held, and how it came there: every entity's last states. Must never know what
//! is coded next nor how.

use netcode_wire::Tick;

use super::PAST_MAX;
use super::flight::Flight;
use super::receiver::push;
use crate::far::Class;
use crate::record::Action;
use crate::{ComponentId, Frame, NetId, Schema};

/// The confirmed world: the snapshots that the client decoded, up to the baseline, applied in their order.
#[derive(Debug, Default)]
pub(super) struct World {
    tracks: Vec<Track>,
    /// Each track's past states, newest first, then the residuals of the newest; one run a track.
    slab: Vec<u32>,
    /// Runs that tracks gave back: columns and place.
    free: Vec<(u16, u32)>,
    /// The newest snapshot applied, and whether it told everything.
    newest: Option<(Tick, bool)>,
}

/// One entity's past.
#[derive(Debug, Clone, Copy)]
pub(super) struct Track {
    pub(super) id: NetId,
    pub(super) mask: u64,
    /// When the past states were, newest first.
    ticks: [Tick; PAST_MAX],
    len: u8,
    /// The snapshot that told of it last.
    pub(super) told: Tick,
    /// As what it was told last.
    pub(super) class: Class,
    /// A tick at which it was as the newest state is, told as what: the only things here that the two sides need not agree
    /// on, and nothing is coded by.
    pub(super) stamp: Tick,
    pub(super) stamp_class: Class,
    columns: u16,
    place: u32,
}

impl World {
    /// Forgets everything; memory is kept.
    pub(super) fn clear(&mut self) {
        self.tracks.clear();
        self.slab.clear();
        self.free.clear();
        self.newest = None;
    }

    /// The newest snapshot applied.
    pub(super) fn newest(&self) -> Option<Tick> {
        self.newest.map(|(tick, _)| tick)
    }

    /// The entities, ascending.
    pub(super) fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// The entity's place among the tracks.
    pub(super) fn find(&self, id: NetId) -> Option<usize> {
        self.tracks.binary_search_by_key(&id, |track| track.id).ok()
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.tracks.capacity() * size_of::<Track>() + self.slab.capacity() * size_of::<u32>()
    }

    /// Whether the entity was told of lately: then it is likely to be told of again.
    pub(super) fn is_active(&self, track: &Track) -> bool {
        self.newest().is_some_and(|newest| newest.since(track.told) <= ACTIVE_TICKS)
    }

    /// Number of past states known. When nothing was told of the entity although everything was told, it still was as
    /// it is: that counts as a state, the newest one.
    pub(super) fn past_len(&self, track: &Track) -> usize {
        usize::from(track.len) + usize::from(self.stood_until(track).is_some())
    }

    /// A past state, 0 the newest: when, and all columns.
    pub(super) fn past(&self, track: &Track, age: usize) -> (Tick, &[u32]) {
        let (age, tick) = match self.stood_until(track) {
            Some(tick) if age == 0 => (0, tick),
            Some(_) => (age - 1, track.ticks[age - 1]),
            None => (age, track.ticks[age]),
        };
        let start = track.place as usize + age * usize::from(track.columns);
        (tick, &self.slab[start..start + usize::from(track.columns)])
    }

    /// How far each column of the newest state lay from its prediction.
    pub(super) fn residuals(&self, track: &Track) -> &[u32] {
        let start = track.place as usize + PAST_MAX * usize::from(track.columns);
        &self.slab[start..start + usize::from(track.columns)]
    }

    /// Begins with a frame that both sides know, but for its stamps and for who is far in it (ascending): all of it counts
    /// as told at its tick, to who is near.
    pub(super) fn seed(&mut self, frame: &Frame, far: &[NetId]) {
        let (tick, mut columns) = (frame.tick(), Vec::new());
        for row in frame.rows() {
            let entity = frame.entity(row);
            columns.clear();
            entity.parts().for_each(|(_, part)| columns.extend_from_slice(part));
            let track = self.track(row.id, entity.mask(), columns.len());
            let place = self.tracks.len();
            self.tracks.push(track);
            let still = vec![0; columns.len()];
            self.push(place, tick, Some((&columns, &still)));
            let track = &mut self.tracks[place];
            (track.told, track.stamp) = (tick, row.stamp);
            track.stamp_class = Class::of(far.binary_search(&row.id).is_ok());
        }
        self.newest = Some((tick, true));
    }

    /// What the client shows by what it confirmed, as a frame of `tick`.
    pub(super) fn frame(&self, schema: &Schema, tick: Tick) -> Frame {
        let mut frame = Frame::new(tick);
        for track in &self.tracks {
            push(schema, &mut frame, (track.id, track.stamp, track.mask), self.past(track, 0).1);
        }
        frame
    }

    /// Applies a snapshot that the client is known to have decoded.
    pub(super) fn apply(&mut self, flight: &Flight) {
        let Flight { tick, complete, .. } = *flight;
        for mention in &flight.mentions {
            let found = self.tracks.binary_search_by_key(&mention.id, |track| track.id);
            if mention.action == Action::Gone {
                if let Ok(place) = found {
                    let track = self.tracks.remove(place);
                    self.free.push((track.columns, track.place));
                }
                continue;
            }
            let place = match found {
                Ok(place) if self.tracks[place].mask == mention.mask => place,
                Ok(place) => {
                    let old = self.tracks[place];
                    self.free.push((old.columns, old.place));
                    self.tracks[place] = self.track(mention.id, mention.mask, mention.len);
                    place
                }
                Err(place) => {
                    let track = self.track(mention.id, mention.mask, mention.len);
                    self.tracks.insert(place, track);
                    place
                }
            };
            if let Some(stood) = self.stood_until(&self.tracks[place]) {
                self.push(place, stood, None);
            }
            let (values, residuals) = flight.columns(mention);
            self.push(place, tick, Some((values, residuals)));
            let track = &mut self.tracks[place];
            (track.told, track.stamp) = (tick, tick);
            (track.class, track.stamp_class) = (mention.class, mention.listed);
        }
        self.newest = Some((tick, complete));
    }

    /// The newest snapshot, when it says by silence that the entity stood as it was.
    fn stood_until(&self, track: &Track) -> Option<Tick> {
        let (tick, complete) = self.newest?;
        (complete && track.len > 0 && track.ticks[0] < tick).then_some(tick)
    }

    fn track(&mut self, id: NetId, mask: u64, columns: usize) -> Track {
        let columns = columns as u16;
        let place = match self.free.iter().position(|(len, _)| *len == columns) {
            Some(place) => self.free.swap_remove(place).1,
            None => {
                let place = self.slab.len();
                self.slab.resize(place + (PAST_MAX + 1) * usize::from(columns), 0);
                place as u32
            }
        };
        Track {
            id,
            mask,
            ticks: [Tick(0); PAST_MAX],
            len: 0,
            told: Tick(0),
            class: Class::Near,
            stamp: Tick(0),
            stamp_class: Class::Near,
            columns,
            place,
        }
    }

    /// Adds the newest state: new columns, or the last ones again.
    fn push(&mut self, place: usize, tick: Tick, state: Option<(&[u32], &[u32])>) {
        let track = &mut self.tracks[place];
        let (start, columns) = (track.place as usize, usize::from(track.columns));
        let run = &mut self.slab[start..start + (PAST_MAX + 1) * columns];
        run.copy_within(0..(PAST_MAX - 1) * columns, columns);
        if let Some((values, residuals)) = state {
            run[..columns].copy_from_slice(values);
            run[PAST_MAX * columns..].copy_from_slice(residuals);
        }
        track.ticks.copy_within(0..PAST_MAX - 1, 1);
        track.ticks[0] = tick;
        track.len = (track.len + 1).min(PAST_MAX as u8);
    }
}

/// Where a component's columns lie among all of an entity's: first and number.
pub(super) fn columns_of(schema: &Schema, mask: u64, component: ComponentId) -> Option<(usize, usize)> {
    if component.index() >= schema.len() || mask >> component.0 & 1 == 0 {
        return None;
    }
    let below = components(mask & ((1 << component.0) - 1));
    Some((below.map(|below| schema.fields(below).len()).sum(), schema.fields(component).len()))
}

/// The components of a presence mask, ascending.
pub(super) fn components(mut mask: u64) -> impl Iterator<Item = ComponentId> {
    std::iter::from_fn(move || {
        let component = ComponentId(u8::try_from(mask.trailing_zeros()).ok().filter(|_| mask != 0)?);
        mask &= mask - 1;
        Some(component)
    })
}

/// Who was told of within so many ticks has a flag in every snapshot; the others are named.
const ACTIVE_TICKS: i32 = 8;
