//! Closes seasons that are over: their final order is archived and their ranks are forgotten. However many resets
//! a process slept through, every season that has entries is closed once.

use std::time::Duration;

use super::rules::Boards;
use crate::clock::UnixMs;
use crate::store::{BoardId, StoreError, Stores};

/// A season is closed so long after the next has begun: a score that was on its way is on its board by then.
pub const CLOSE_AFTER: Duration = Duration::from_secs(60);

/// Closes what is over at `now`; how many seasons were.
///
/// # Errors
/// A store failed; what is not closed is closed the next time.
pub async fn close_seasons(stores: &Stores, boards: &Boards, now: UnixMs) -> Result<usize, StoreError> {
    let mut closed = 0;
    for id in stores.db.open_boards().await? {
        if !is_over(boards, &id, now) {
            continue;
        }
        if stores.db.close_season(&id, now).await? {
            tracing::info!(board = &*id.name, season = id.season, "season closed");
            metrics::counter!("board_seasons_closed_total").increment(1);
            closed += 1;
        }
        stores.ranks.forget(&id).await?;
    }
    Ok(closed)
}

/// Whether this season of a board has given way to another for long enough. Boards that are not configured any
/// more are left as they are.
fn is_over(boards: &Boards, id: &BoardId, now: UnixMs) -> bool {
    let name = id.name.split('@').next().unwrap_or_default();
    let settled = UnixMs(now.0 - i64::try_from(CLOSE_AFTER.as_millis()).unwrap_or(i64::MAX));
    boards.find(name).is_some_and(|board| id.season < board.at(settled).season)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_season_is_over_a_while_after_the_next_has_begun() {
        let boards = r#"[{ "name": "weekly", "keep": "best", "season": "0 0 * * 1" }, { "name": "ever", "keep": "best" }]"#;
        let boards = Boards::parse(boards).expect("sound");
        let (monday, week) = (345_600_000, 604_800_000);
        for (name, season, now, over) in [
            ("weekly", monday, monday + week, false),
            ("weekly", monday, monday + week + 59_999, false),
            ("weekly", monday, monday + week + 60_000, true),
            ("weekly@eu", monday, monday + 9 * week, true),
            ("weekly", monday + week, monday + week + 60_000, false),
            ("ever", 0, monday, false),
            ("gone", 0, monday, false),
        ] {
            assert_eq!(is_over(&boards, &BoardId::new(name, season), UnixMs(now)), over, "{name} {now}");
        }
    }
}
