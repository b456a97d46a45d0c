//! From members to teams: nobody's party split, every role filled, chances as even as they get. Pure; must
//! never know why these are the members.

use rating::{Rating, TrueSkill};

use crate::group::Seeker;
use crate::roles::can_fill;
use crate::rules::RoleSlots;
use crate::shape::Shape;

/// Teams, each of parties, as places in the list of seekers.
pub(crate) type Teams = Vec<Vec<u32>>;

/// Two teams of more parties than this are not split exactly: C(15, 7) = 6435 ways at most.
const EXACT_MAX: usize = 16;
/// Steps of a packing by trial.
const STEPS_MAX: u32 = 4096;
/// Rounds of swaps between the best and the worst team.
const SWAPS_MAX: usize = 32;

/// How the members of one match must be divided.
pub(crate) struct Division<'a> {
    pub(crate) all: &'a [Seeker<'a>],
    pub(crate) shape: &'a Shape,
    /// What each team must fill; empty: nothing.
    pub(crate) roles: &'a [RoleSlots],
}

impl Division<'_> {
    /// The most even teams of exactly these members (for two teams), or even ones (for more).
    pub(crate) fn split(&self, members: &[u32]) -> Option<Teams> {
        if self.shape.teams == 2 && members.len() <= EXACT_MAX {
            return self.halves(members);
        }
        let mut teams = self.pack(members, members.len())?;
        self.even_out(&mut teams);
        Some(teams)
    }

    /// Teams of some of these candidates, the earlier ones preferred, the first one always among them.
    pub(crate) fn choose(&self, candidates: &[u32]) -> Option<Teams> {
        let mut teams = self.pack(candidates, 0)?;
        if self.shape.teams == 2 {
            return self.halves(&teams.concat()).or(Some(teams));
        }
        self.even_out(&mut teams);
        Some(teams)
    }

    /// By how much the best team's chance to beat the worst exceeds the reverse.
    pub(crate) fn spread(&self, teams: &Teams) -> f64 {
        let rate = |team: &Vec<u32>| -> Vec<Rating> {
            let players = team.iter().flat_map(|&who| self.all[who as usize].players);
            players.map(|player| Rating { mu: player.mu, sigma: player.sigma }).collect()
        };
        win_spread(&teams.iter().map(rate).collect::<Vec<_>>())
    }

    fn size(&self, who: u32) -> usize {
        self.all[who as usize].prepared.size
    }

    fn total(&self, who: u32) -> f64 {
        self.all[who as usize].prepared.total
    }

    fn filled(&self, team: &[u32]) -> bool {
        self.fits(team, self.shape.size - team.iter().map(|&who| self.size(who)).sum::<usize>())
    }

    fn fits(&self, team: &[u32], open: usize) -> bool {
        if self.roles.is_empty() {
            return true;
        }
        let takes: Vec<u8> =
            team.iter().flat_map(|&who| &self.all[who as usize].prepared.roles).copied().collect();
        can_fill(self.roles, &takes, open)
    }

    /// All ways to halve the members, the first one in the first team.
    fn halves(&self, members: &[u32]) -> Option<Teams> {
        let everything: f64 = members.iter().map(|&who| self.total(who)).sum();
        let mut search = Halves { division: self, members, everything, best: f64::INFINITY, mask: None };
        let first = *members.first()?;
        search.walk(1, 1, self.size(first), self.total(first));
        let mask = search.mask?;
        let mut teams = vec![Vec::new(), Vec::new()];
        for (index, &who) in members.iter().enumerate() {
            teams[usize::from(mask >> index & 1 == 0)].push(who);
        }
        Some(teams)
    }

    fn pack(&self, candidates: &[u32], needed: usize) -> Option<Teams> {
        let mut packing =
            Packing { division: self, candidates, needed, teams: Vec::new(), open: Vec::new(), steps: 0 };
        packing.teams = vec![Vec::new(); self.shape.teams];
        packing.open = vec![self.shape.size; self.shape.teams];
        let left = candidates.iter().map(|&who| self.size(who)).sum();
        packing.walk(0, left).then_some(packing.teams)
    }

    /// Swaps parties of one size between the best and the worst team as long as that brings them closer.
    fn even_out(&self, teams: &mut Teams) {
        for _ in 0..SWAPS_MAX {
            let sum = |team: &Vec<u32>| team.iter().map(|&who| self.total(who)).sum::<f64>();
            let sums: Vec<f64> = teams.iter().map(sum).collect();
            let by = |a: &usize, b: &usize| sums[*a].total_cmp(&sums[*b]);
            let (Some(best), Some(worst)) = ((0..sums.len()).max_by(by), (0..sums.len()).min_by(by)) else {
                return;
            };
            let gap = sums[best] - sums[worst];
            let mut choice: Option<(f64, usize, usize)> = None;
            for (i, &strong) in teams[best].iter().enumerate() {
                for (j, &weak) in teams[worst].iter().enumerate() {
                    let left = (gap - 2.0 * (self.total(strong) - self.total(weak))).abs();
                    if self.size(strong) == self.size(weak) && left < choice.map_or(gap - 1e-9, |c| c.0) {
                        choice = Some((left, i, j));
                    }
                }
            }
            let Some((_, i, j)) = choice else { return };
            let (strong, weak) = (teams[best][i], teams[worst][j]);
            (teams[best][i], teams[worst][j]) = (weak, strong);
            if !self.filled(&teams[best]) || !self.filled(&teams[worst]) {
                (teams[best][i], teams[worst][j]) = (strong, weak);
                return;
            }
        }
    }
}

struct Halves<'a> {
    division: &'a Division<'a>,
    members: &'a [u32],
    everything: f64,
    best: f64,
    mask: Option<u32>,
}

impl Halves<'_> {
    fn walk(&mut self, index: usize, mask: u32, size: usize, sum: f64) {
        let whole = self.division.shape.size;
        if size == whole {
            let apart = (self.everything - 2.0 * sum).abs();
            if apart < self.best && self.sound(mask) {
                (self.best, self.mask) = (apart, Some(mask));
            }
            return;
        }
        for next in index..self.members.len() {
            let who = self.members[next];
            let grown = size + self.division.size(who);
            if grown <= whole {
                self.walk(next + 1, mask | 1 << next, grown, sum + self.division.total(who));
            }
        }
    }

    fn sound(&self, mask: u32) -> bool {
        let side = |inside: bool| -> Vec<u32> {
            let of = |index: &usize| (mask >> index & 1 == 1) == inside;
            (0..self.members.len()).filter(of).map(|index| self.members[index]).collect()
        };
        self.division.roles.is_empty()
            || (self.division.fits(&side(true), 0) && self.division.fits(&side(false), 0))
    }
}

/// Puts candidates into teams in their order, with a way back, for a bounded number of steps.
struct Packing<'a> {
    division: &'a Division<'a>,
    candidates: &'a [u32],
    /// So many of the candidates must be used; the first always.
    needed: usize,
    teams: Teams,
    open: Vec<usize>,
    steps: u32,
}

impl Packing<'_> {
    /// `left`: players among the candidates from `index` on.
    fn walk(&mut self, index: usize, left: usize) -> bool {
        self.steps += 1;
        let wanted: usize = self.open.iter().sum();
        if wanted == 0 {
            return true;
        }
        if left < wanted || self.steps > STEPS_MAX {
            return false;
        }
        let who = self.candidates[index];
        let size = self.division.size(who);
        let mut tried = Vec::new();
        for team in 0..self.teams.len() {
            let empty = self.teams[team].is_empty();
            let same = (self.open[team], empty && !self.division.roles.is_empty());
            if self.open[team] < size || (empty || self.division.roles.is_empty()) && tried.contains(&same) {
                continue;
            }
            tried.push(same);
            self.teams[team].push(who);
            self.open[team] -= size;
            if self.division.fits(&self.teams[team], self.open[team]) && self.walk(index + 1, left - size) {
                return true;
            }
            self.teams[team].pop();
            self.open[team] += size;
        }
        let optional = index > 0 && self.candidates.len() > self.needed;
        optional && self.walk(index + 1, left - size)
    }
}

/// By how much the best team's chance to beat the worst exceeds the reverse: 0 is even, 1 is decided.
#[must_use]
pub fn win_spread(teams: &[Vec<Rating>]) -> f64 {
    let sum = |team: &Vec<Rating>| team.iter().map(|rating| rating.mu).sum::<f64>();
    let by = |a: &&Vec<Rating>, b: &&Vec<Rating>| sum(a).total_cmp(&sum(b));
    let (Some(best), Some(worst)) = (teams.iter().max_by(by), teams.iter().min_by(by)) else { return 0.0 };
    if teams.len() < 2 {
        return 0.0;
    }
    let model = TrueSkill::default();
    (model.win_probability(best, worst) - model.win_probability(worst, best)).max(0.0)
}
