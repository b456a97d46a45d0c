//! First come, first served, done well: the oldest party first, into the first lobby of an acceptable region that has
//! room in a team; a lobby that is full is a match. It looks at no rating but to seat the two teams evenly.

use matching::{Millis, ModeRules, Ticket};

use super::lobby::{Made, regions, seat};

/// The queue, oldest first.
#[derive(Debug)]
pub(super) struct Fifo {
    rules: ModeRules,
    waiting: Vec<Ticket>,
}

struct Lobby {
    region: usize,
    open: [usize; 2],
    parties: Vec<usize>,
}

impl Fifo {
    /// Empty.
    pub(super) const fn new(rules: ModeRules) -> Self {
        Self { rules, waiting: Vec::new() }
    }

    /// Puts a party at the end.
    pub(super) fn enqueue(&mut self, ticket: Ticket) {
        self.waiting.push(ticket);
    }

    /// All matches that can be made now.
    pub(super) fn tick(&mut self, now: Millis) -> Vec<Made> {
        let mut open: Vec<Lobby> = Vec::new();
        let mut full: Vec<Lobby> = Vec::new();
        for (index, ticket) in self.waiting.iter().enumerate() {
            let size = ticket.players.len();
            let near = regions(&self.rules, ticket, now);
            // The fullest team that has room keeps the others whole for larger parties.
            let room = |lobby: &Lobby| lobby.open.iter().filter(|open| **open >= size).min().copied();
            let fits = |lobby: &Lobby| near.contains(&lobby.region) && room(lobby).is_some();
            let place = open.iter().position(fits);
            let place = place.unwrap_or_else(|| {
                let region = near.first().copied().unwrap_or(0);
                open.push(Lobby { region, open: [self.rules.team_size; 2], parties: Vec::new() });
                open.len() - 1
            });
            let lobby = &mut open[place];
            let team = (0..2).filter(|team| lobby.open[*team] >= size).min_by_key(|team| lobby.open[*team]);
            lobby.open[team.unwrap_or(0)] -= size;
            lobby.parties.push(index);
            if lobby.open == [0, 0] {
                full.push(open.remove(place));
            }
        }
        let mut gone: Vec<Option<Ticket>> = std::mem::take(&mut self.waiting).into_iter().map(Some).collect();
        let made = full.iter().filter_map(|lobby| self.seated(lobby, &mut gone)).collect();
        self.waiting = gone.into_iter().flatten().collect();
        made
    }

    fn seated(&self, lobby: &Lobby, all: &mut [Option<Ticket>]) -> Option<Made> {
        let parties: Vec<Ticket> = lobby.parties.iter().filter_map(|index| all[*index].take()).collect();
        let (mask, _) = seat(&parties.iter().collect::<Vec<_>>(), self.rules.team_size)?;
        let mut teams = vec![Vec::new(), Vec::new()];
        for (index, ticket) in parties.into_iter().enumerate() {
            teams[(mask >> index & 1) as usize].push(ticket);
        }
        Some(Made { teams })
    }
}
