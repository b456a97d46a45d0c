//! What one player is shown, out of what is near: the cost is that of the neighbourhood, not of the world. Must never know
//! what was sent, nor what fits.

use bevy_ecs::world::World;
use glam::Vec3;
use netcode_snapshot::NetId;

use super::survey::{Seen, Survey};
use super::{HYSTERESIS, Interest, PRIORITY_OWN};
use crate::visibility::Viewer;

/// What a choice is worked out in: all players of a room use one.
#[derive(Debug, Default)]
pub(crate) struct Chooser {
    /// One bit an entity of the survey: shown.
    shown: Vec<u64>,
    /// One bit an entity: far from everything that the player sees from, as far as was looked.
    far: Vec<u64>,
    /// By the same index, where the bit of `shown` is set.
    priorities: Vec<f32>,
    /// Groups of which something is shown, the room, and how urgently.
    groups: Vec<(u32, u16, f32)>,
    eyes: Vec<Eye>,
}

/// Something that the player owns: where it sees from.
#[derive(Clone, Copy, Debug)]
struct Eye {
    room: u16,
    at: Option<Vec3>,
}

/// What the player's own things see together.
#[derive(Clone, Copy, Debug)]
struct Gaze {
    viewer: Viewer,
    watches: u64,
}

impl Chooser {
    /// Puts what `viewer` is shown into `relevant`, ascending, with priorities, who is far marked as such. `before`: what it
    /// was shown last, in the same form, which is then brought up to date.
    pub(crate) fn choose(
        &mut self,
        (interest, survey, world): (&Interest, &Survey, &World),
        viewer: Viewer,
        before: &mut Vec<NetId>,
        relevant: &mut Vec<(NetId, f32)>,
    ) {
        let len = survey.seen.len();
        self.shown.clear();
        self.shown.resize(len.div_ceil(64), 0);
        self.far.clear();
        self.far.resize(len.div_ceil(64), 0);
        self.priorities.resize(len.max(self.priorities.len()), 0.0);
        let gaze = self.open_eyes(survey, viewer);
        self.look_near(survey, gaze, interest.reach(), before);
        for index in survey.everywhere.iter().copied() {
            let seen = &survey.seen[index as usize];
            let in_room = self.eyes.iter().any(|eye| eye.room == seen.room);
            if (in_room || self.eyes.is_empty() && seen.room == 0) && gaze.may_see(seen) {
                self.show(index, seen.weight, self.is_far(seen, before));
            }
        }
        survey.owned(viewer.player).for_each(|index| self.show(index, PRIORITY_OWN, false));
        if survey.has_groups() {
            self.look_together(survey, gaze, before);
        }
        relevant.clear();
        before.clear();
        for (index, priority) in self.shown() {
            let seen = &survey.seen[index];
            if seen.owner == Some(viewer.player) || interest.allows(viewer, world, seen.entity) {
                let is_far = self.far[index / 64] >> (index % 64) & 1 == 1;
                let id = if is_far { seen.id.from_afar() } else { seen.id };
                relevant.push((id, priority));
                before.push(id);
            }
        }
    }

    fn open_eyes(&mut self, survey: &Survey, viewer: Viewer) -> Gaze {
        self.eyes.clear();
        let mut watches = None;
        for index in survey.owned(viewer.player) {
            let seen = &survey.seen[index as usize];
            self.eyes.push(Eye { room: seen.room, at: seen.place });
            watches = Some(watches.unwrap_or(0) | seen.watches);
        }
        Gaze { viewer, watches: watches.unwrap_or(u64::MAX) }
    }

    /// What has a place.
    fn look_near(&mut self, survey: &Survey, gaze: Gaze, reach: f32, before: &[NetId]) {
        let mut has_sight = false;
        for eye in 0..self.eyes.len() {
            let Eye { room, at: Some(at) } = self.eyes[eye] else { continue };
            has_sight = true;
            survey.grid.near_in(room, at, reach, |index, squared| {
                let seen = &survey.seen[index as usize];
                if is_within(seen, squared, before) && gaze.may_see(seen) {
                    let distance = squared.sqrt() / seen.radius.max(f32::EPSILON);
                    let is_far = is_far_off(seen, squared, before);
                    self.show(index, seen.weight * (1.0 - 0.9 * distance.min(1.0)), is_far);
                }
            });
        }
        if has_sight {
            return;
        }
        // Who owns nothing that is anywhere (dead, or still loading) watches the whole field.
        let rooms = |seen: &Seen| match self.eyes.is_empty() {
            true => seen.room == 0,
            false => self.eyes.iter().any(|eye| eye.room == seen.room),
        };
        let field = survey.seen.iter().enumerate();
        let visible: Vec<u32> = field
            .filter(|(_, seen)| seen.place.is_some() && rooms(seen) && gaze.may_see(seen))
            .map(|(index, _)| index as u32)
            .collect();
        visible.into_iter().for_each(|index| self.show(index, survey.seen[index as usize].weight, false));
    }

    /// What makes one thing with something that is shown.
    fn look_together(&mut self, survey: &Survey, gaze: Gaze, before: &[NetId]) {
        let mut groups = std::mem::take(&mut self.groups);
        groups.clear();
        groups.extend(self.shown().filter_map(|(index, priority)| {
            let seen = &survey.seen[index];
            (seen.group > 0).then_some((seen.group, seen.room, priority))
        }));
        for (group, room, priority) in &groups {
            for index in survey.group(*group) {
                let seen = &survey.seen[index as usize];
                if seen.room == *room && gaze.may_see(seen) {
                    self.show(index, *priority, self.is_far(seen, before));
                }
            }
        }
        self.groups = groups;
    }

    /// Whether it is told as far, wherever it is.
    fn is_far(&self, seen: &Seen, before: &[NetId]) -> bool {
        if seen.far_beyond == f32::INFINITY {
            return false;
        }
        let nearest = self.eyes.iter().filter_map(|eye| distance_squared(eye, seen)).reduce(f32::min);
        nearest.is_some_and(|squared| is_far_off(seen, squared, before))
    }

    /// Of two reasons to show something the more urgent one counts, and the nearer one.
    fn show(&mut self, index: u32, priority: f32, is_far: bool) {
        let (word, bit) = (index as usize / 64, 1 << (index % 64));
        let held = &mut self.priorities[index as usize];
        let is_new = self.shown[word] & bit == 0;
        *held = if is_new { priority } else { held.max(priority) };
        self.shown[word] |= bit;
        if !is_far {
            self.far[word] &= !bit;
        } else if is_new {
            self.far[word] |= bit;
        }
    }

    /// Ascending.
    fn shown(&self) -> impl Iterator<Item = (usize, f32)> + '_ {
        self.shown.iter().enumerate().flat_map(move |(word, bits)| {
            let mut bits = *bits;
            std::iter::from_fn(move || {
                let bit = bits.trailing_zeros() as usize;
                bits &= bits.checked_sub(1)?;
                Some((word * 64 + bit, self.priorities[word * 64 + bit]))
            })
        })
    }
}

impl Gaze {
    /// Whether anything but distance and the game's rule forbids it.
    fn may_see(self, seen: &Seen) -> bool {
        let is_own = seen.owner == Some(self.viewer.player);
        is_own
            || seen.layers & self.watches != 0
                && !seen.owner_only
                && seen.team.is_none_or(|team| team == self.viewer.team)
    }
}

/// Whether it is in sight at this distance. What was in sight before stays a little longer: then nobody who walks along the
/// edge comes and goes.
fn is_within(seen: &Seen, distance_squared: f32, before: &[NetId]) -> bool {
    let leave = seen.radius * (1.0 + HYSTERESIS);
    distance_squared <= seen.radius * seen.radius
        || distance_squared <= leave * leave && shown_before(seen, before).is_some()
}

/// Whether it is told as far at this distance. What was told as near stays so a little longer.
fn is_far_off(seen: &Seen, distance_squared: f32, before: &[NetId]) -> bool {
    let beyond = seen.far_beyond;
    if distance_squared <= beyond * beyond || beyond == f32::INFINITY {
        return false;
    }
    let leave = beyond * (1.0 + HYSTERESIS);
    distance_squared > leave * leave || shown_before(seen, before).is_none_or(NetId::is_far)
}

/// As what it was shown last, if it was.
fn shown_before(seen: &Seen, before: &[NetId]) -> Option<NetId> {
    let place = before.binary_search_by_key(&seen.id, |id| id.entity()).ok()?;
    Some(before[place])
}

fn distance_squared(eye: &Eye, seen: &Seen) -> Option<f32> {
    Some(eye.at.filter(|_| eye.room == seen.room)?.distance_squared(seen.place?))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bevy_ecs::prelude::*;
    use netcode_snapshot::Far;

    use super::*;
    use crate::player::{Owner, PlayerId};
    use crate::visibility::{
        AlwaysRelevant, AppearsTogether, InRoom, Layers, OwnerOnly, TeamOnly, Urgency, Watches,
    };

    #[derive(Component)]
    struct At(Vec3);

    const ME: Viewer = Viewer { player: PlayerId(1), team: 2 };

    struct Scene {
        world: World,
        interest: Interest,
        survey: Survey,
        chooser: Chooser,
        entities: Vec<(NetId, Entity)>,
        before: Vec<NetId>,
    }

    impl Scene {
        fn new(interest: Interest) -> Self {
            let survey = Survey::new(&interest);
            let (world, chooser) = (World::new(), Chooser::default());
            Self { world, interest, survey, chooser, entities: Vec::new(), before: Vec::new() }
        }

        fn spawn(&mut self, bundle: impl Bundle) -> NetId {
            let id = NetId(self.entities.len() as u32 + 1);
            self.entities.push((id, self.world.spawn(bundle).id()));
            id
        }

        fn put(&mut self, id: NetId, x: f32) {
            let entity = self.entities[id.0 as usize - 1].1;
            self.world.entity_mut(entity).insert(At(Vec3::X * x));
        }

        fn look(&mut self, viewer: Viewer) -> Vec<(NetId, f32)> {
            self.survey.take(&self.interest, &self.world, &self.entities, 60);
            let mut relevant = Vec::new();
            let with = (&self.interest, &self.survey, &self.world);
            self.chooser.choose(with, viewer, &mut self.before, &mut relevant);
            assert!(relevant.is_sorted_by(|one, next| one.0.entity() < next.0.entity()), "{relevant:?}");
            assert!(relevant.iter().map(|(id, _)| *id).eq(self.before.iter().copied()));
            relevant
        }

        fn ids(&mut self) -> Vec<NetId> {
            self.look(ME).into_iter().map(|(id, _)| id).collect()
        }
    }

    fn within(radius: f32) -> Interest {
        let mut interest = Interest::default();
        interest.within::<At>(radius, |at| at.0);
        interest
    }

    fn at(x: f32, y: f32, z: f32) -> At {
        At(Vec3::new(x, y, z))
    }

    #[test]
    fn near_is_urgent_and_far_is_hidden() {
        let mut scene = Scene::new(within(10.0));
        let own = scene.spawn((at(0.0, 0.0, 0.0), Owner(ME.player)));
        let second = scene.spawn((at(100.0, 0.0, 0.0), Owner(ME.player)));
        let near = scene.spawn(at(0.0, 1.0, 0.0));
        let farther = scene.spawn(at(0.0, 5.0, 7.0));
        let _above = scene.spawn(at(0.0, 5.0, 9.0));
        let beside_the_second = scene.spawn(at(99.0, 0.0, 0.0));
        let placeless = scene.spawn(());
        let important = scene.spawn((at(0.0, -1.0, 0.0), Urgency(3.0)));
        let seen = scene.look(ME);
        let ids: Vec<NetId> = seen.iter().map(|(id, _)| *id).collect();
        assert_eq!(ids, [own, second, near, farther, beside_the_second, placeless, important]);
        let priority = |id: NetId| seen.iter().find(|(held, _)| *held == id).expect("it is shown").1;
        assert_eq!((priority(own), priority(placeless)), (PRIORITY_OWN, 1.0));
        assert!(priority(near) > priority(farther) && priority(beside_the_second) == priority(near));
        assert!((priority(important) - 3.0 * priority(near)).abs() < 1e-6);
    }

    #[test]
    fn what_moves_fast_is_more_urgent() {
        let mut scene = Scene::new(within(60.0));
        scene.spawn((at(0.0, 0.0, 0.0), Owner(ME.player)));
        let (still, moving) = (scene.spawn(at(10.0, 0.0, 0.0)), scene.spawn(at(9.5, 0.0, 0.0)));
        scene.look(ME);
        scene.put(moving, 10.0);
        let seen = scene.look(ME);
        // Half a unit in a tick is 30 a second: half of the radius.
        assert_eq!(seen[1].0, still);
        assert!((seen[2].1 - 1.5 * seen[1].1).abs() < 1e-5, "{seen:?}");
    }

    #[test]
    fn the_edge_of_sight_does_not_flicker() {
        let mut scene = Scene::new(within(10.0));
        let own = scene.spawn((at(0.0, 0.0, 0.0), Owner(ME.player)));
        let other = scene.spawn(at(10.5, 0.0, 0.0));
        assert_eq!(scene.ids(), [own], "never seen, and beyond the radius");
        for (x, is_seen) in [(9.9, true), (10.5, true), (10.99, true), (11.1, false), (10.5, false)] {
            scene.put(other, x);
            assert_eq!(scene.ids().contains(&other), is_seen, "at {x}");
        }
    }

    #[derive(Component)]
    struct Pose;

    #[derive(Component)]
    struct Mood;

    #[test]
    fn who_sees_a_part_of_a_thing_sees_all_of_it_that_it_may() {
        let mut scene = Scene::new(within(10.0));
        let own = scene.spawn((at(0.0, 0.0, 0.0), Owner(ME.player)));
        let tank = scene.spawn((at(9.0, 0.0, 0.0), AppearsTogether(5)));
        let turret = scene.spawn((at(11.5, 0.0, 0.0), AppearsTogether(5)));
        let _secret = scene.spawn((at(9.0, 0.0, 0.0), AppearsTogether(5), TeamOnly(1)));
        let _elsewhere = scene.spawn((at(9.0, 0.0, 0.0), AppearsTogether(5), InRoom(2)));
        let _others =
            [scene.spawn((at(90.0, 0.0, 0.0), AppearsTogether(6))), scene.spawn(at(90.0, 0.0, 0.0))];
        let seen = scene.look(ME);
        assert_eq!(seen.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [own, tank, turret]);
        assert_eq!(seen[1].1, seen[2].1, "as urgent as each other");
        // All of it stays where a part of it does, and goes as one.
        scene.put(tank, 11.5);
        assert_eq!(scene.ids(), [own]);
        scene.put(turret, 9.0);
        assert_eq!(scene.ids(), [own, tank, turret]);
    }

    #[test]
    fn what_is_far_is_told_as_such_and_the_border_does_not_flicker() {
        let mut interest = within(100.0);
        interest.far::<Pose>(Far { beyond: 20.0, every: 1 });
        interest.far::<Mood>(Far { beyond: 10.0, every: 4 });
        let mut scene = Scene::new(interest);
        let own = scene.spawn((at(0.0, 0.0, 0.0), Owner(ME.player), Pose, Mood));
        let (both, mood) =
            (scene.spawn((at(15.0, 0.0, 0.0), Pose, Mood)), scene.spawn((at(15.0, 0.0, 0.0), Mood)));
        let (plain, beacon) =
            (scene.spawn(at(90.0, 0.0, 0.0)), scene.spawn((at(500.0, 0.0, 0.0), Pose, AlwaysRelevant)));
        // Each by the farthest that its own components state.
        assert_eq!(scene.ids(), [own, both, mood.from_afar(), plain, beacon.from_afar()]);
        let mut steps =
            vec![(19.9, false), (21.9, false), (22.1, true), (21.9, true), (20.1, true), (19.9, false)];
        steps.extend([(150.0, false), (21.0, true), (f32::NAN, false)]);
        for (x, is_far) in steps {
            scene.put(both, x);
            assert_eq!(scene.ids().contains(&both.from_afar()), is_far, "at {x}");
        }
        // Far from one thing of the player's and near to another.
        scene.put(both, 50.0);
        assert!(scene.ids().contains(&both.from_afar()));
        let second = scene.spawn((at(45.0, 0.0, 0.0), Owner(ME.player), Pose));
        assert_eq!(scene.ids(), [own, both, mood.from_afar(), plain, beacon.from_afar(), second]);
    }

    #[test]
    fn rooms_layers_teams_and_owners_hide() {
        let mut scene = Scene::new(within(10.0));
        let here = |x: f32| at(x, 0.0, 0.0);
        let own =
            scene.spawn((here(0.0), Owner(ME.player), InRoom(3), Watches(0b0110), OwnerOnly, Layers(8)));
        let mut shown = vec![own];
        shown.push(scene.spawn((here(1.0), InRoom(3))));
        shown.push(scene.spawn((here(1.0), InRoom(3), TeamOnly(2))));
        shown.push(scene.spawn((here(1.0), InRoom(3), Layers(0b0010))));
        shown.push(scene.spawn((here(900.0), InRoom(3), AlwaysRelevant)));
        shown.push(scene.spawn(InRoom(3)));
        scene.spawn(here(1.0));
        scene.spawn(());
        scene.spawn((here(1.0), InRoom(4), AlwaysRelevant));
        scene.spawn((here(1.0), InRoom(3), TeamOnly(1)));
        scene.spawn((here(1.0), InRoom(3), Layers(0b1001)));
        scene.spawn((here(1.0), InRoom(3), OwnerOnly));
        scene.spawn((here(1.0), InRoom(3), OwnerOnly, Owner(PlayerId(9))));
        scene.spawn((InRoom(3), TeamOnly(1), AlwaysRelevant));
        assert_eq!(scene.ids(), shown);
    }

    #[test]
    fn who_owns_nothing_watches_the_field_and_no_more() {
        let mut scene = Scene::new(within(10.0));
        let far = scene.spawn(at(500.0, 0.0, 0.0));
        let ours = scene.spawn((at(500.0, 0.0, 0.0), TeamOnly(2)));
        scene.spawn((at(500.0, 0.0, 0.0), TeamOnly(1)));
        scene.spawn((at(500.0, 0.0, 0.0), InRoom(1)));
        let placeless = scene.spawn(());
        assert_eq!(scene.ids(), [far, ours, placeless]);
    }

    #[test]
    fn a_rule_of_the_game_is_asked_of_what_is_near_alone() {
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let mut interest = within(10.0);
        interest.only_if(move |viewer, entity| {
            counter.fetch_add(1, Ordering::Relaxed);
            assert_eq!(viewer, ME);
            entity.get::<At>().is_none_or(|at| at.0.y >= 0.0)
        });
        let mut scene = Scene::new(interest);
        let own = scene.spawn((at(0.0, -1.0, 0.0), Owner(ME.player)));
        let allowed = scene.spawn(at(1.0, 1.0, 0.0));
        let _forbidden = scene.spawn(at(1.0, -1.0, 0.0));
        for index in 0..5000 {
            scene.spawn(at(100.0 + index as f32, 0.0, 0.0));
        }
        assert_eq!(scene.ids(), [own, allowed]);
        assert_eq!(asked.load(Ordering::Relaxed), 2, "of 5002 entities, and never of one's own");
    }

    #[test]
    fn without_positions_everyone_sees_everything() {
        let mut scene = Scene::new(Interest::default());
        let all: Vec<NetId> = (0..70).map(|_| scene.spawn(at(1e6, 0.0, 0.0))).collect();
        assert_eq!(scene.ids(), all);
    }
}
