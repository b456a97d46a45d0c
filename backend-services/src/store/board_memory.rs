//! The boards' ranks in this process: the embedded engine's answer to Redis. A copy that is made anew at every
//! start, from SQL.
//!
//! Whoever changes a board in this process says so at once; what another process on the same file changes is
//! found in the log, whose rows are numbered in the order of their commits.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::boards::{BoardId, Change, EntryRow};
use super::db::Db;
use super::ranking::Ranking;
use super::{Standing, StoreError};
use crate::ids::PlayerId;

const PAGE: u64 = 10_000;

/// A copy of the boards in memory; cloning shares it.
#[derive(Clone)]
pub struct BoardMemory {
    db: Db,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    whole: AtomicBool,
    state: RwLock<State>,
    /// One heals or follows at a time; the log's row up to which it has been followed.
    followed: tokio::sync::Mutex<i64>,
}

#[derive(Default)]
struct State {
    boards: HashMap<BoardId, Held>,
    names: HashMap<PlayerId, Arc<str>>,
}

#[derive(Default)]
struct Held {
    ranking: Ranking,
    entries: HashMap<PlayerId, (Standing, i64)>,
}

impl BoardMemory {
    pub(super) fn new(db: Db) -> Self {
        Self { db, shared: Arc::default() }
    }

    /// As `Db::board_page`; `None` while the copy is not whole.
    pub fn page(&self, board: &BoardId, after: Option<Standing>, limit: u64) -> Option<Vec<EntryRow>> {
        let state = self.whole()?;
        let Some(held) = state.boards.get(board) else { return Some(Vec::new()) };
        let skip = after.map_or(0, |after| held.ranking.up_to(&after));
        Some(state.rows(held, skip, limit))
    }

    /// As `Db::board_around`; the outer `None` while the copy is not whole.
    pub fn around(&self, board: &BoardId, of: PlayerId, radius: u64) -> Option<Option<Vec<EntryRow>>> {
        let state = self.whole()?;
        let held = state.boards.get(board);
        let entry = held.and_then(|held| Some((held, held.entries.get(&of)?.0)));
        Some(entry.map(|(held, standing)| {
            let better = held.ranking.better_than(&standing);
            let skip = better.saturating_sub(index(radius));
            state.rows(held, skip, (better - skip) as u64 + 1 + radius)
        }))
    }

    /// As `Db::board_among`; `None` while the copy is not whole.
    pub fn among(&self, board: &BoardId, players: &[PlayerId]) -> Option<Vec<EntryRow>> {
        let state = self.whole()?;
        let Some(held) = state.boards.get(board) else { return Some(Vec::new()) };
        let standings = players.iter().filter_map(|player| held.entries.get(player));
        let mut rows: Vec<EntryRow> =
            standings.map(|(standing, _)| state.row(held.ranking.better_than(standing), standing)).collect();
        rows.sort_unstable_by_key(|row| row.rank);
        rows.dedup_by_key(|row| row.rank);
        Some(rows)
    }

    /// Takes changes over. Repeats and old news change nothing.
    pub fn apply(&self, changes: &[Change]) {
        let mut state = self.write();
        for change in changes {
            state.apply(change);
        }
    }

    /// Forgets a closed season.
    pub fn forget(&self, board: &BoardId) {
        self.write().boards.remove(board);
    }

    /// Reads everything once, and after that what the log says is new. True if it read everything.
    ///
    /// # Errors
    /// SQL failed; the copy is as whole as it was.
    pub async fn heal(&self) -> Result<bool, StoreError> {
        let mut followed = self.shared.followed.lock().await;
        let healed = !self.shared.whole.load(Ordering::Acquire);
        if healed {
            *followed = self.db.board_log_end().await?;
            for board in self.db.open_boards().await? {
                self.load(board).await?;
            }
        }
        while self.follow(&mut followed).await? {}
        self.shared.whole.store(true, Ordering::Release);
        Ok(healed)
    }

    /// Deliberate: changes that come while a board is read are kept by their revision, in either order.
    async fn load(&self, board: BoardId) -> Result<(), StoreError> {
        let mut after = 0;
        loop {
            let page = self.db.board_copy(&board, after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.standing.player.as_i64();
            self.apply(&page);
        }
    }

    async fn follow(&self, followed: &mut i64) -> Result<bool, StoreError> {
        let (end, changes) = self.db.board_log_after(*followed, PAGE).await?;
        let moved = end > *followed;
        *followed = end;
        self.apply(&changes);
        Ok(moved)
    }

    fn whole(&self) -> Option<RwLockReadGuard<'_, State>> {
        let whole = self.shared.whole.load(Ordering::Acquire);
        whole.then(|| self.shared.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.shared.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn apply(&mut self, change: &Change) {
        let player = change.standing.player;
        if self.names.get(&player).is_none_or(|name| **name != *change.display_name) {
            self.names.insert(player, change.display_name.as_str().into());
        }
        let held = match self.boards.get_mut(&change.board) {
            Some(held) => held,
            None => self.boards.entry(change.board.clone()).or_default(),
        };
        let old = held.entries.get(&player);
        if old.is_some_and(|(_, revision)| *revision >= change.revision) {
            return;
        }
        if let Some((standing, _)) = old {
            held.ranking.remove(standing);
        }
        held.ranking.insert(change.standing);
        held.entries.insert(player, (change.standing, change.revision));
    }

    fn rows(&self, held: &Held, skip: usize, limit: u64) -> Vec<EntryRow> {
        let standings = held.ranking.from(skip).take(index(limit));
        (skip..).zip(standings).map(|(better, standing)| self.row(better, standing)).collect()
    }

    fn row(&self, better: usize, standing: &Standing) -> EntryRow {
        let name = self.names.get(&standing.player);
        let display_name = name.map_or_else(String::new, |name| name.as_ref().to_owned());
        EntryRow { rank: better as u64 + 1, standing: *standing, display_name }
    }
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
