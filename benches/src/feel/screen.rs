//! What one player saw: his own shots, as his screen drew them, against the others, as his screen drew them.
//! Must never know the server: what it made of a shot is compared elsewhere.

use std::collections::{HashMap, HashSet};

use arena::rules::{SHIP_RADIUS, SHOT_RADIUS, SHOT_TICKS, TICK_HZ, blocked, fired, shot_from, sweep};
use arena::{Ship, Shot};
use glam::Vec2;
use netcode_client::{Spawned as _, Spawns, WorldView};
use netcode_snapshot::NetId;
use netcode_wire::Tick;

/// A player's screen. It is looked at once a tick, when the player acts.
#[derive(Debug, Default)]
pub(super) struct Screen {
    /// Ships of the others that flew at the last look, and where.
    before: HashMap<NetId, Vec2>,
    now: HashMap<NetId, Vec2>,
    looked_at: Option<Tick>,
    shots: Spawns<Shot>,
    /// Shots that the server's entity was not known of at the last look, by the tick they were fired at.
    ahead: HashSet<u32>,
    /// Ticks at which a shot left the gun, as predicted.
    pub(super) fired: Vec<u32>,
    /// Which ship the shot of which tick met.
    pub(super) hits: HashMap<u32, NetId>,
    pub(super) display: Display,
}

/// How the player's own shots were displayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Display {
    /// Ticks that shots were on the screen before the server's entity was here, all together.
    pub(super) ahead_ticks: u64,
    /// Shots whose entity came.
    pub(super) matched: u64,
    /// Looks at which a shot was there twice: the player's copy, and the server's.
    pub(super) doubles: u64,
}

impl Screen {
    /// The look at `view`, with which the player decides what to do in `tick`.
    pub(super) fn look(&mut self, tick: Tick, view: &WorldView<'_>) {
        // A clock that jumped back plays ticks again: what was on the screen was on the screen.
        if self.looked_at.is_some_and(|last| tick.since(last) <= 0) {
            return;
        }
        let skipped = self.looked_at.is_none_or(|last| tick.since(last) > 1);
        self.looked_at = Some(tick);
        std::mem::swap(&mut self.before, &mut self.now);
        let own = view.own();
        self.now.clear();
        let others = view.iter::<Ship>().filter(|(id, ship)| Some(*id) != own && ship.flies());
        self.now.extend(others.map(|(id, ship)| (id, ship.pos)));
        if skipped {
            self.before.clone_from(&self.now);
        }
        self.shots.turn(view);
        // The own ship is as it was after the tick before.
        if let Some(ship) = own.and_then(|id| view.get::<Ship>(id)).filter(|ship| ship.flies() && fired(ship))
        {
            let shot = shot_from(&ship, tick.0.saturating_sub(1));
            self.fired.push(shot.born);
            self.shots.spawn(shot);
        }
        self.fly(tick, view);
        self.compare(tick, view);
    }

    fn fly(&mut self, tick: Tick, view: &WorldView<'_>) {
        let Self { before, now, shots, hits, .. } = self;
        shots.end(view, |shot| {
            let age = tick.0.saturating_sub(shot.born).max(1);
            let at = |age: u32| shot.at(age as f32 / f32::from(TICK_HZ));
            let (from, to) = (at(age - 1), at(age));
            let stopped = blocked(from, to, SHOT_RADIUS);
            let met = nearest(from, to, before, now);
            let met = met.filter(|(along, _)| stopped.is_none_or(|at| *along < at));
            if let Some((_, victim)) = met {
                hits.entry(shot.born).or_insert(victim);
            }
            met.is_some() || stopped.is_some() || age >= SHOT_TICKS
        });
    }

    /// Own copies beside the server's entities.
    fn compare(&mut self, tick: Tick, view: &WorldView<'_>) {
        let Self { shots, ahead, display, .. } = self;
        for spawn in shots.iter() {
            if spawn.net_id.is_none() {
                ahead.insert(spawn.value.born);
            } else if ahead.remove(&spawn.value.born) {
                display.matched += 1;
                display.ahead_ticks += u64::from(tick.0.saturating_sub(spawn.value.born));
            }
        }
        let beside = view.iter::<Shot>().filter(|(id, _)| !shots.hides(*id));
        let twice = |(_, other): &(NetId, Shot)| shots.shown().any(|shot| shot.same(other));
        display.doubles += beside.filter(twice).count() as u64;
    }
}

/// Who is met first on the way `from` → `to` while everybody moves from `before` to `now`.
fn nearest(
    from: Vec2,
    to: Vec2,
    before: &HashMap<NetId, Vec2>,
    now: &HashMap<NetId, Vec2>,
) -> Option<(f32, NetId)> {
    let met = now.iter().filter_map(|(id, end)| {
        let start = before.get(id).unwrap_or(end);
        // A jump is another life: nobody flies 16 m in a tick.
        let start = if start.distance(*end) > 16.0 { end } else { start };
        let along = sweep(from, to - (*end - *start), *start, SHIP_RADIUS + SHOT_RADIUS)?;
        Some((along, *id))
    });
    met.min_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_those_who_move_is_met() {
        let place = |x: f32, y: f32| Vec2::new(x, y);
        let before = HashMap::from([(NetId(1), place(5.0, 3.0)), (NetId(2), place(9.0, 0.0))]);
        let now = HashMap::from([(NetId(1), place(5.0, -3.0)), (NetId(2), place(9.0, 0.0))]);
        let met = nearest(Vec2::ZERO, place(10.0, 0.0), &before, &now);
        assert_eq!(met.map(|(_, id)| id), Some(NetId(1)), "it crosses the way just then");
        let met = nearest(Vec2::ZERO, place(2.0, 0.0), &before, &now);
        assert_eq!(met, None);
        let jumped = HashMap::from([(NetId(1), place(5.0, 30.0))]);
        assert_eq!(nearest(Vec2::ZERO, place(10.0, 0.0), &jumped, &now).map(|(_, id)| id), Some(NetId(2)));
    }
}
