//! Where everything is, whose it is and for whom, once a tick for all players. Must never know what any of them is shown.

use bevy_ecs::prelude::*;
use glam::Vec3;
use netcode_snapshot::NetId;

use super::Interest;
use crate::grid::SpatialGrid;
use crate::player::{Owner, PlayerId};
use crate::visibility::{
    AlwaysRelevant, AppearsTogether, InRoom, Layers, OwnerOnly, TeamOnly, Urgency, Watches,
};

/// This tick's entities, ascending by id. Keeps its memory from tick to tick.
pub(crate) struct Survey {
    pub(super) seen: Vec<Seen>,
    /// Those that have a place that counts, by the index of `seen`.
    pub(super) grid: SpatialGrid<u32>,
    /// Those that have none.
    pub(super) everywhere: Vec<u32>,
    /// Who appears together: group and index, ascending.
    groups: Vec<(u32, u32)>,
    /// Ascending by player.
    owned: Vec<(PlayerId, u32)>,
    /// Last tick's places, ascending by id: what speed follows from.
    places: Vec<(NetId, Vec3)>,
    before: Vec<(NetId, Vec3)>,
}

/// What counts of an entity.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) id: NetId,
    pub(super) entity: Entity,
    pub(super) owner: Option<PlayerId>,
    pub(super) place: Option<Vec3>,
    pub(super) radius: f32,
    /// The distance from which on it is told as far.
    pub(super) far_beyond: f32,
    pub(super) room: u16,
    /// With whom it appears; 0: with nobody.
    pub(super) group: u32,
    pub(super) layers: u64,
    pub(super) watches: u64,
    pub(super) team: Option<u8>,
    pub(super) owner_only: bool,
    /// Urgency, and what its speed adds.
    pub(super) weight: f32,
}

impl Survey {
    /// For the rules of `interest`.
    pub(crate) fn new(interest: &Interest) -> Self {
        let reach = interest.reach();
        Self {
            seen: Vec::new(),
            grid: SpatialGrid::new(if reach > 0.0 { reach / 2.0 } else { 1.0 }),
            everywhere: Vec::new(),
            groups: Vec::new(),
            owned: Vec::new(),
            places: Vec::new(),
            before: Vec::new(),
        }
    }

    /// Looks at all `entities` (ascending by id); a second has `tick_hz` ticks.
    pub(crate) fn take(
        &mut self,
        interest: &Interest,
        world: &World,
        entities: &[(NetId, Entity)],
        tick_hz: u16,
    ) {
        std::mem::swap(&mut self.places, &mut self.before);
        self.places.clear();
        self.seen.clear();
        self.grid.clear();
        self.everywhere.clear();
        self.owned.clear();
        self.groups.clear();
        let mut known = 0;
        for (index, (id, entity)) in entities.iter().enumerate() {
            let mut seen = look(interest, world, *id, *entity);
            let index = index as u32;
            if let Some(owner) = seen.owner {
                self.owned.push((owner, index));
            }
            if seen.group > 0 {
                self.groups.push((seen.group, index));
            }
            match seen.place.filter(|_| seen.radius.is_finite()) {
                Some(place) => {
                    seen.weight *= 1.0 + self.haste(*id, place, seen.radius, &mut known, tick_hz);
                    self.places.push((*id, place));
                    self.grid.insert_in(seen.room, place, index);
                }
                None => self.everywhere.push(index),
            }
            self.seen.push(seen);
        }
        self.grid.sort();
        self.owned.sort_unstable();
        self.groups.sort_unstable();
    }

    /// Whether anything makes one thing with something else.
    pub(super) fn has_groups(&self) -> bool {
        !self.groups.is_empty()
    }

    /// Who appears together, by the index of `seen`.
    pub(super) fn group(&self, group: u32) -> impl Iterator<Item = u32> + '_ {
        let first = self.groups.partition_point(|(other, _)| *other < group);
        self.groups[first..].iter().take_while(move |(other, _)| *other == group).map(|(_, index)| *index)
    }

    /// What `player` owns, by the index of `seen`.
    pub(super) fn owned(&self, player: PlayerId) -> impl Iterator<Item = u32> + '_ {
        let first = self.owned.partition_point(|(owner, _)| *owner < player);
        self.owned[first..].iter().take_while(move |(owner, _)| *owner == player).map(|(_, index)| *index)
    }

    /// How fast it is, as the part of its radius that it crosses in a second, at most 1. `known`: how far `before` was read.
    fn haste(&self, id: NetId, place: Vec3, radius: f32, known: &mut usize, tick_hz: u16) -> f32 {
        while self.before.get(*known).is_some_and(|(before, _)| *before < id) {
            *known += 1;
        }
        let before = self.before.get(*known).filter(|(before, _)| *before == id);
        let moved = before.map_or(0.0, |(_, before)| before.distance(place));
        // `min` leaves NaN out: a place that is no number is in no haste.
        (moved * f32::from(tick_hz) / radius.max(f32::EPSILON)).min(1.0)
    }
}

fn look(interest: &Interest, world: &World, id: NetId, entity: Entity) -> Seen {
    let entity = world.entity(entity);
    let always = entity.contains::<AlwaysRelevant>();
    let (place, radius) = match interest.place(entity) {
        Some((place, radius)) => (Some(place), if always { f32::INFINITY } else { radius }),
        None => (None, f32::INFINITY),
    };
    Seen {
        id,
        entity: entity.id(),
        owner: entity.get::<Owner>().map(|owner| owner.0),
        place,
        radius,
        far_beyond: interest.far_beyond(entity),
        room: entity.get::<InRoom>().map_or(0, |room| room.0),
        group: entity.get::<AppearsTogether>().map_or(0, |together| together.0),
        layers: entity.get::<Layers>().map_or(u64::MAX, |layers| layers.0),
        watches: entity.get::<Watches>().map_or(u64::MAX, |watches| watches.0),
        team: entity.get::<TeamOnly>().map(|team| team.0),
        owner_only: entity.contains::<OwnerOnly>(),
        weight: entity.get::<Urgency>().map_or(1.0, |urgency| urgency.0),
    }
}
