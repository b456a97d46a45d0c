//! A matcher by queries, as Nakama's: every party, the oldest first, asks an index for others in its region whose
//! rating lies within its range, gets a bounded list of hits, oldest first, and takes them as long as the count
//! comes out. Done well: the index is sorted by rating, the range widens with waiting on the server (theirs does not),
//! both sides must accept each other, and parties that cannot be seated unsplit are not taken.

use matching::{Millis, ModeRules, Ticket};

use super::lobby::{Made, regions, seat};

/// Hits that one query returns.
const HITS_MAX: usize = 24;

/// The index, by rating.
#[derive(Debug)]
pub(super) struct Query {
    rules: ModeRules,
    waiting: Vec<Ticket>,
}

struct Row {
    skill: f64,
    half: f64,
    regions: Vec<usize>,
    taken: bool,
}

impl Query {
    /// Empty.
    pub(super) const fn new(rules: ModeRules) -> Self {
        Self { rules, waiting: Vec::new() }
    }

    /// Puts a party in.
    pub(super) fn enqueue(&mut self, ticket: Ticket) {
        self.waiting.push(ticket);
    }

    /// All matches that can be made now.
    pub(super) fn tick(&mut self, now: Millis) -> Vec<Made> {
        self.waiting.sort_by(|a, b| a.skill().total_cmp(&b.skill()));
        let row = |ticket: &Ticket| Row {
            skill: ticket.skill(),
            half: self.rules.limits(now.since(ticket.queued)).skill_gap / 2.0,
            regions: regions(&self.rules, ticket, now),
            taken: false,
        };
        let mut rows: Vec<Row> = self.waiting.iter().map(row).collect();
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|index| (self.waiting[*index].queued, self.waiting[*index].id));
        let mut lobbies: Vec<(Vec<usize>, u32)> = Vec::new();
        for asker in order {
            if rows[asker].taken {
                continue;
            }
            if let Some((parties, mask)) = self.ask(&rows, asker) {
                parties.iter().for_each(|index| rows[*index].taken = true);
                lobbies.push((parties, mask));
            }
        }
        let mut gone: Vec<Option<Ticket>> = std::mem::take(&mut self.waiting).into_iter().map(Some).collect();
        let mut made = Vec::new();
        for (parties, mask) in lobbies {
            let mut teams = vec![Vec::new(), Vec::new()];
            for (place, index) in parties.into_iter().enumerate() {
                teams[(mask >> place & 1) as usize].extend(gone[index].take());
            }
            made.push(Made { teams });
        }
        self.waiting = gone.into_iter().flatten().collect();
        made
    }

    /// A lobby of the asker and its hits.
    fn ask(&self, rows: &[Row], asker: usize) -> Option<(Vec<usize>, u32)> {
        let own = &rows[asker];
        for region in &own.regions {
            let mut hits = self.hits(rows, asker, *region);
            hits.sort_by_key(|index| (self.waiting[*index].queued, self.waiting[*index].id));
            hits.truncate(HITS_MAX);
            let mut parties = vec![asker];
            let mut players = self.waiting[asker].players.len();
            for hit in hits {
                let size = self.waiting[hit].players.len();
                let near = |one: &usize| {
                    (rows[*one].skill - rows[hit].skill).abs() <= rows[*one].half + rows[hit].half
                };
                if players + size > 2 * self.rules.team_size || !parties.iter().all(near) {
                    continue;
                }
                parties.push(hit);
                players += size;
                if players == 2 * self.rules.team_size {
                    let tickets: Vec<&Ticket> = parties.iter().map(|index| &self.waiting[*index]).collect();
                    if let Some((mask, _)) = seat(&tickets, self.rules.team_size) {
                        return Some((parties, mask));
                    }
                    parties.pop();
                    players -= size;
                }
            }
        }
        None
    }

    fn hits(&self, rows: &[Row], asker: usize, region: usize) -> Vec<usize> {
        let own = &rows[asker];
        let from = rows.partition_point(|row| row.skill < own.skill - own.half);
        let inside = rows[from..].iter().take_while(|row| row.skill <= own.skill + own.half);
        let accepts = |(index, row): &(usize, &Row)| {
            !row.taken
                && *index != asker
                && row.regions.contains(&region)
                && (row.skill - own.skill).abs() <= own.half + row.half
        };
        (from..).zip(inside).filter(accepts).map(|(index, _)| index).collect()
    }
}
