//! Owns: the rules of player tracking (alpha, being withdrawn upstream in favour of lists).
//! Must never know: who asks, whether the gate is open, or what a player does.

use super::refusal::Refusal;
use crate::proto::sdk::game_server::Status;
use crate::proto::sdk::game_server::status::PlayerStatus;

/// A player came; false if it was here already.
pub(super) fn connect(status: &mut Status, id: &str) -> Result<bool, Refusal> {
    let players = status.players.get_or_insert_default();
    if is_here(players, id) {
        return Ok(false);
    }
    if players.count >= players.capacity {
        return Err(Refusal::PlayersFull);
    }
    players.ids.push(id.to_owned());
    count(players);
    Ok(true)
}

/// A player left; false if it was not here.
pub(super) fn disconnect(status: &mut Status, id: &str) -> bool {
    let players = status.players.get_or_insert_default();
    let was_here = is_here(players, id);
    players.ids.retain(|known| known != id);
    count(players);
    was_here
}

/// Sets how many players fit; those who are here stay.
pub(super) fn set_capacity(status: &mut Status, capacity: i64) -> Result<(), Refusal> {
    if capacity < 0 {
        return Err(Refusal::Invalid(format!("player capacity must not be negative, found {capacity}")));
    }
    status.players.get_or_insert_default().capacity = capacity;
    Ok(())
}

/// Who is here; nobody where nothing was ever tracked.
pub(super) fn of(status: &Status) -> PlayerStatus {
    status.players.clone().unwrap_or_default()
}

/// Whether a player is here.
pub(super) fn is_here(players: &PlayerStatus, id: &str) -> bool {
    players.ids.iter().any(|known| known == id)
}

fn count(players: &mut PlayerStatus) {
    players.count = i64::try_from(players.ids.len()).unwrap_or(i64::MAX);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn players_come_once_and_only_while_there_is_room() {
        let mut status = Status::default();
        assert_eq!(connect(&mut status, "a"), Err(Refusal::PlayersFull));
        set_capacity(&mut status, 2).unwrap();
        assert_eq!(connect(&mut status, "a"), Ok(true));
        assert_eq!(connect(&mut status, "a"), Ok(false));
        assert_eq!(connect(&mut status, "b"), Ok(true));
        assert_eq!(connect(&mut status, "c"), Err(Refusal::PlayersFull));
        assert_eq!(connect(&mut status, "b"), Ok(false), "who is here is no newcomer");
        assert!(disconnect(&mut status, "a") && !disconnect(&mut status, "a"));
        assert_eq!(of(&status), PlayerStatus { count: 1, capacity: 2, ids: vec!["b".into()] });
        set_capacity(&mut status, 0).unwrap();
        assert!(is_here(&of(&status), "b"));
        assert!(set_capacity(&mut status, -1).is_err());
    }
}
