//! Whom the room keeps out: kicked, banned. Owns the list and putting out who is here; must never know who decided.

use std::collections::BTreeMap;

use netcode_wire::Time;

use super::Room;
use super::players::SeatState;
use crate::builder::ServerGame;
use crate::player::PlayerId;

/// Players kept out at once; beyond it, the one whose time is over first may come again.
const BARRED_MAX: usize = 4096;

/// Who is kept out, why, and until when.
#[derive(Debug, Default)]
pub(super) struct Bars(BTreeMap<PlayerId, Bar>);

#[derive(Clone, Copy, Debug)]
struct Bar {
    code: u8,
    /// `None`: for as long as the room lives.
    until: Option<Time>,
}

impl Bars {
    fn insert(&mut self, player: PlayerId, bar: Bar) {
        if self.0.len() >= BARRED_MAX && !self.0.contains_key(&player) {
            let end = |bar: &Bar| bar.until.unwrap_or(Time::from_micros(u64::MAX));
            let first = self.0.iter().min_by_key(|(_, bar)| end(bar)).map(|(player, _)| *player);
            first.and_then(|first| self.0.remove(&first));
        }
        self.0.insert(player, bar);
    }

    /// With which code this player is refused at `now`.
    pub(super) fn code(&self, player: PlayerId, now: Time) -> Option<u8> {
        let bar = self.0.get(&player)?;
        bar.until.is_none_or(|until| until > now).then_some(bar.code)
    }
}

impl<G: ServerGame> Room<G> {
    /// Puts a player out and keeps it out: until then, or for as long as the room lives. What it owns goes as when it leaves,
    /// and its seat is free. `code`, from [`codes`](super::codes), is what its client is told.
    pub fn bar(&mut self, now: Time, player: PlayerId, code: u8, until: Option<Time>) {
        self.bars.insert(player, Bar { code, until });
        if self.awaited.remove(&player).is_some() {
            self.vacate(player);
        }
        for client in self.waiting_clients(player) {
            self.refuse(now, client, code);
        }
        self.dismiss_player(now, player, code);
        let held =
            self.players.get_mut(player).filter(|player| matches!(player.state, SeatState::Held { .. }));
        if let Some(held) = held {
            held.state = SeatState::Left;
            self.depart(player, false);
        }
    }

    /// The player may come again.
    pub fn unbar(&mut self, player: PlayerId) {
        self.bars.0.remove(&player);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_ends_in_time_and_the_list_is_bounded() {
        let mut bars = Bars::default();
        let at = |seconds: u64| Time::from_micros(seconds * 1_000_000);
        bars.insert(PlayerId(1), Bar { code: 9, until: None });
        bars.insert(PlayerId(2), Bar { code: 8, until: Some(at(5)) });
        assert_eq!((bars.code(PlayerId(1), at(99)), bars.code(PlayerId(3), at(0))), (Some(9), None));
        assert_eq!((bars.code(PlayerId(2), at(4)), bars.code(PlayerId(2), at(5))), (Some(8), None));
        for player in 10..10 + BARRED_MAX as u64 {
            bars.insert(PlayerId(player), Bar { code: 7, until: Some(at(100 + player)) });
        }
        assert_eq!(bars.0.len(), BARRED_MAX);
        assert!(bars.code(PlayerId(1), at(0)).is_some(), "for as long as the room lives");
        assert_eq!(bars.code(PlayerId(2), at(0)), None, "its time was over first");
    }
}
