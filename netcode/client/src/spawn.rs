//! What the player's own actions bring into the world, shots above all: there at once, and one thing with the server's
//! entity once that arrives. Owns the list and its matching; must never know what such a thing looks like or hits.
//!
//! The server stays the judge. Its entity is a round trip away and is shown even later, as everything remote is; until
//! then, and while it lives, the player's own copy is shown in its place, in the player's time:
//!
//! | | own copy | server's entity |
//! |---|---|---|
//! | spawned here, the server has not said anything | shown | – |
//! | the server's entity is the same ([`Spawned::same`]) | shown | hidden |
//! | the server's entity is gone | gone | hidden for as long as it would still be shown |
//! | the server was silent for [`SILENCE_TICKS_MAX`] ticks beyond the spawn | gone, counted | – |
//! | ended here ([`Spawns::end`]), the server's entity goes soon after | not shown | hidden |
//! | ended here, but it lives on at the server for as many ticks | shown again, counted | hidden |

use netcode_snapshot::{NetId, Replicate};
use netcode_wire::Tick;

use crate::WorldView;

/// A component that marks what the player's client may spawn ahead of the server.
pub trait Spawned: Replicate + Clone {
    /// The tick whose input brought it into the world.
    fn born(&self) -> Tick;

    /// Whether the server's entity is what was spawned here. Where several could be, the first by id is taken; so it
    /// should differ between players, by place or direction say.
    fn same(&self, authority: &Self) -> bool;
}

/// What was spawned here and is not over.
#[derive(Clone, Debug)]
pub struct Spawn<T> {
    /// As it was spawned; as the server has it, once that is known.
    pub value: T,
    /// The server's entity, once it has arrived.
    pub net_id: Option<NetId>,
    /// The player's tick at which it ended here.
    ended: Option<Tick>,
    /// The server's entity has come and gone.
    gone: bool,
}

/// The spawns of one player. To be turned once a tick, where inputs are asked for.
///
/// ```
/// # use netcode_client::{Spawned, Spawns, WorldView};
/// # fn tick<Shot: Spawned>(spawns: &mut Spawns<Shot>, view: &WorldView<'_>, fired: Option<Shot>,
/// #     draw: &mut dyn FnMut(&Shot), fly: &mut dyn FnMut(&Shot) -> bool) {
/// spawns.turn(view);
/// if let Some(shot) = fired {
///     spawns.spawn(shot); // on the screen in this very frame
/// }
/// spawns.end(view, |shot| fly(shot)); // has it met something, as it looks from here?
/// spawns.shown().for_each(|shot| draw(shot));
/// for (id, shot) in view.iter::<Shot>() {
///     if !spawns.hides(id) {
///         draw(&shot); // somebody else's
///     }
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Spawns<T> {
    live: Vec<Spawn<T>>,
    stats: SpawnStats,
}

/// What was counted since the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpawnStats {
    /// Spawned here.
    pub spawned: u64,
    /// Of those: the server's entity arrived.
    pub matched: u64,
    /// Of those: the server never said anything.
    pub rejected: u64,
    /// Ended here, but not at the server.
    pub revived: u64,
    /// Not spawned, since there were [`SPAWNS_MAX`] already.
    pub refused: u64,
}

/// Spawns of one player that are not over, at most; of more the newest are not spawned ahead, and counted.
pub const SPAWNS_MAX: usize = 256;
/// Ticks of snapshots beyond a spawn after which the server's silence means no: at 60 Hz an eighth of a second.
pub const SILENCE_TICKS_MAX: i32 = 8;

impl<T> Spawn<T> {
    fn is_shown(&self) -> bool {
        self.ended.is_none() && !self.gone
    }
}

impl<T> Default for Spawns<T> {
    fn default() -> Self {
        Self { live: Vec::new(), stats: SpawnStats::default() }
    }
}

impl<T: Spawned> Spawns<T> {
    /// Nothing spawned yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Brings something into the world. What was spawned already (a clock that jumped back asks for ticks again) is not
    /// spawned twice.
    pub fn spawn(&mut self, value: T) {
        if self.live.iter().any(|spawn| spawn.value.born() == value.born() && spawn.value.same(&value)) {
            return;
        }
        if self.live.len() >= SPAWNS_MAX {
            self.stats.refused += 1;
            return;
        }
        self.stats.spawned += 1;
        self.live.push(Spawn { value, net_id: None, ended: None, gone: false });
    }

    /// Compares with what the server says by now.
    pub fn turn(&mut self, view: &WorldView<'_>) {
        let Some(newest) = view.latest_tick() else { return };
        self.match_new(view);
        let stats = &mut self.stats;
        self.live.retain_mut(|spawn| {
            let Some(id) = spawn.net_id else {
                let heard = newest.since(spawn.value.born()) < SILENCE_TICKS_MAX;
                // What ended here at once may have ended there before it was told of.
                stats.rejected += u64::from(!heard && spawn.ended.is_none());
                return heard;
            };
            if spawn.ended.is_some_and(|ended| newest.since(ended) >= SILENCE_TICKS_MAX) {
                spawn.ended = None;
                stats.revived += 1;
            }
            spawn.gone |= view.latest::<T>(id).is_none();
            // It is still in the frames that are shown: were it not hidden, it would appear when it is over.
            !spawn.gone || view.contains(id)
        });
    }

    fn match_new(&mut self, view: &WorldView<'_>) {
        if self.live.iter().all(|spawn| spawn.net_id.is_some()) {
            return;
        }
        for (id, value) in view.iter_latest::<T>() {
            if self.hides(id) {
                continue;
            }
            let mine = |spawn: &&mut Spawn<T>| spawn.net_id.is_none() && spawn.value.same(&value);
            if let Some(spawn) = self.live.iter_mut().find(mine) {
                (spawn.net_id, spawn.value) = (Some(id), value);
                self.stats.matched += 1;
            }
        }
    }

    /// Ends what `over` says is over as the player sees it. If the server does not agree within a while, it is back.
    pub fn end(&mut self, view: &WorldView<'_>, mut over: impl FnMut(&T) -> bool) {
        for spawn in self.live.iter_mut().filter(|spawn| spawn.is_shown()) {
            if over(&spawn.value) {
                // The server plays this tick later: how much later is what the newest snapshot is behind.
                spawn.ended = Some(view.tick());
            }
        }
    }

    /// What of the player's own is to be shown, oldest first, in the player's time ([`WorldView::tick`]).
    pub fn shown(&self) -> impl Iterator<Item = &T> {
        self.live.iter().filter(|spawn| spawn.is_shown()).map(|spawn| &spawn.value)
    }

    /// Whether the server's entity is one of these, and so is not to be shown beside them.
    #[must_use]
    pub fn hides(&self, id: NetId) -> bool {
        self.live.iter().any(|spawn| spawn.net_id == Some(id))
    }

    /// Everything that is not over, ended ones included.
    pub fn iter(&self) -> impl Iterator<Item = &Spawn<T>> {
        self.live.iter()
    }

    /// What was counted.
    #[must_use]
    pub fn stats(&self) -> SpawnStats {
        self.stats
    }
}

#[cfg(test)]
mod tests {
    use netcode_snapshot::{Frame, Schema, ViewTime};

    use super::*;
    use crate::testing::Place;

    /// In these tests a place is a shot: `x` is where it was fired, `life` when.
    impl Spawned for Place {
        fn born(&self) -> Tick {
            Tick(self.life)
        }

        fn same(&self, authority: &Self) -> bool {
            self.life == authority.life && (self.x - authority.x).abs() < 0.1
        }
    }

    fn shot(x: f32, born: u32) -> Place {
        Place { x, life: born }
    }

    /// A turn with a server whose newest snapshot is of tick `newest` and holds `shots`, and is what is shown.
    fn turn(spawns: &mut Spawns<Place>, newest: u32, shots: &[(u32, Place)]) {
        turn_showing(spawns, newest, shots, shots);
    }

    fn turn_showing(spawns: &mut Spawns<Place>, newest: u32, shots: &[(u32, Place)], shown: &[(u32, Place)]) {
        let schema = Schema::builder().component::<Place>().build();
        let frame = |tick: u32, shots: &[(u32, Place)]| {
            let mut frame = Frame::new(Tick(tick));
            for (id, shot) in shots {
                frame.push(&schema, NetId(*id), |entity| entity.component(shot));
            }
            frame.finish();
            frame
        };
        let (newest_frame, shown) = (frame(newest, shots), frame(newest - 1, shown));
        let view = WorldView {
            schema: &schema,
            between: Some(crate::interpolate::Between { from: &shown, to: &shown, t: 0.0 }),
            newest: Some(&newest_frame),
            own: None,
            predicted: None,
            tick: Tick(newest + 6),
            time: ViewTime::default(),
        };
        spawns.turn(&view);
    }

    fn end(spawns: &mut Spawns<Place>, tick: u32) {
        let schema = Schema::builder().component::<Place>().build();
        let view = WorldView {
            schema: &schema,
            between: None,
            newest: None,
            own: None,
            predicted: None,
            tick: Tick(tick),
            time: ViewTime::default(),
        };
        spawns.end(&view, |_| true);
    }

    fn shown(spawns: &Spawns<Place>) -> usize {
        spawns.shown().count()
    }

    #[test]
    fn a_shot_is_there_at_once_and_once() {
        let mut spawns = Spawns::new();
        spawns.spawn(shot(5.0, 20));
        spawns.spawn(shot(5.0, 20));
        assert_eq!(shown(&spawns), 1);
        let (mine, theirs) = ((7, shot(5.0, 20)), (6, shot(-5.0, 20)));
        turn(&mut spawns, 19, &[]);
        assert_eq!(shown(&spawns), 1, "the server is not there yet");
        turn(&mut spawns, 20, &[theirs.clone(), mine.clone()]);
        assert_eq!((shown(&spawns), spawns.hides(NetId(7)), spawns.hides(NetId(6))), (1, true, false));
        // Gone at the server, but still in the frames that are shown: neither of both.
        turn_showing(&mut spawns, 40, &[], &[mine]);
        assert_eq!((shown(&spawns), spawns.hides(NetId(7))), (0, true));
        turn(&mut spawns, 41, &[]);
        assert_eq!((shown(&spawns), spawns.hides(NetId(7))), (0, false));
        assert_eq!(spawns.stats(), SpawnStats { spawned: 1, matched: 1, ..SpawnStats::default() });
    }

    #[test]
    fn what_the_server_never_saw_vanishes() {
        let mut spawns = Spawns::new();
        spawns.spawn(shot(5.0, 20));
        turn(&mut spawns, 20 + SILENCE_TICKS_MAX as u32 - 1, &[(3, shot(9.0, 20))]);
        assert_eq!(shown(&spawns), 1);
        turn(&mut spawns, 20 + SILENCE_TICKS_MAX as u32, &[]);
        assert_eq!((shown(&spawns), spawns.stats().rejected), (0, 1));
    }

    #[test]
    fn what_ended_here_stays_hidden_unless_the_server_disagrees() {
        let mine = (7, shot(5.0, 20));
        let mut spawns = Spawns::new();
        spawns.spawn(shot(5.0, 20));
        turn(&mut spawns, 22, std::slice::from_ref(&mine));
        end(&mut spawns, 28);
        turn(&mut spawns, 28, std::slice::from_ref(&mine));
        assert_eq!((shown(&spawns), spawns.hides(NetId(7))), (0, true));
        let mut agreed = spawns.clone();
        turn(&mut agreed, 29, &[]);
        assert_eq!((shown(&agreed), agreed.hides(NetId(7)), agreed.stats().revived), (0, false, 0));
        turn(&mut spawns, 28 + SILENCE_TICKS_MAX as u32, &[mine]);
        assert_eq!((shown(&spawns), spawns.stats().revived), (1, 1));
    }

    #[test]
    fn what_ended_before_the_server_told_of_it_is_no_rejection() {
        let mut spawns = Spawns::new();
        spawns.spawn(shot(5.0, 20));
        end(&mut spawns, 22);
        turn(&mut spawns, 40, &[]);
        assert_eq!((spawns.iter().count(), spawns.stats().rejected), (0, 0));
    }

    #[test]
    fn memory_is_bounded() {
        let mut spawns = Spawns::new();
        (0..300_u16).for_each(|n| spawns.spawn(shot(f32::from(n) / 5.0, 20)));
        assert_eq!((shown(&spawns), spawns.stats().refused), (SPAWNS_MAX, 300 - SPAWNS_MAX as u64));
    }
}
