//! The statements that bring scores onto boards, one for each engine and operator. Text only.

use super::boards::{Operator, SCORE_LIMIT};

/// What every engine's statement begins with: which of the scores are fresh and may count, and the names of who
/// reached them. `$1` board, `$2` season, `$3` scores (with Postgres their players), `$4` now, `$5` attempts, `$6` only
/// who has joined.
macro_rules! fresh {
    ($input:literal) => {
        concat!(
            "SELECT i.player_id, i.value, i.source, k.display_name FROM (",
            $input,
            ") i JOIN accounts k ON k.player_id = i.player_id
            WHERE NOT EXISTS (SELECT 1 FROM board_log l
                    WHERE l.player_id = i.player_id AND l.board = $1 AND l.source = i.source)
                AND NOT EXISTS (SELECT 1 FROM board_seasons s
                    WHERE s.board = $1 AND s.season = $2 AND s.closed_unix_ms IS NOT NULL)
                AND ($6 = 0 OR EXISTS (SELECT 1 FROM board_joins j
                    WHERE j.board = $1 AND j.season = $2 AND j.player_id = i.player_id))"
        )
    };
}

/// `$7` values and `$8` sources, in the order of `$3`. The outbox row has its number before it is written, so that
/// all that follows reads one list: each join of two lists without an index costs the square of their length.
macro_rules! postgres {
    ($operator:literal, $score:literal) => {
        concat!(
            "WITH fresh AS MATERIALIZED (",
            fresh!(
                "SELECT * FROM unnest($3::bigint[], $7::bigint[], $8::text[]) AS r (player_id, value, source)"
            ),
            " ORDER BY i.player_id), changed AS (
                INSERT INTO board_entries AS e (board, season, player_id, score, reached_unix_ms, revision)
                SELECT $1::text, $2::bigint, player_id, value, $4::bigint, 1 FROM fresh
                ON CONFLICT (board, season, player_id) DO UPDATE SET score = ",
            $score,
            ", reached_unix_ms = CASE WHEN ",
            $score,
            " <> e.score THEN excluded.reached_unix_ms ELSE e.reached_unix_ms END,
                    revision = e.revision + 1
                WHERE e.revision < $5::bigint
                RETURNING player_id, score, reached_unix_ms, revision
            ), counted AS MATERIALIZED (
                SELECT c.*, f.value, f.source, f.display_name,
                    nextval('board_outbox_id_seq') AS outbox
                FROM changed c JOIN fresh f ON f.player_id = c.player_id
            ), logged AS (
                INSERT INTO board_log (source, board, player_id, season, revision, operator, value, at_unix_ms)
                SELECT source, $1, player_id, $2, revision, '",
            $operator,
            "', value, $4 FROM counted
            ), opened AS (
                INSERT INTO board_seasons (board, season) SELECT $1, $2
                WHERE EXISTS (SELECT 1 FROM counted WHERE revision = 1)
                    AND NOT EXISTS (SELECT 1 FROM board_seasons WHERE board = $1 AND season = $2)
                ON CONFLICT DO NOTHING
            ), told AS (
                INSERT INTO board_outbox (id, board, season, player_id, at_unix_ms) OVERRIDING SYSTEM VALUE
                SELECT outbox, $1, $2, player_id, $4 FROM counted
            )
            SELECT player_id, score, reached_unix_ms, display_name, revision, outbox FROM counted"
        )
    };
}

macro_rules! sqlite {
    ($score:literal) => {
        concat!(
            "INSERT INTO board_entries AS e (board, season, player_id, score, reached_unix_ms, revision)
            SELECT $1, $2, player_id, value, $4, 1 FROM (",
            fresh!(
                "SELECT value->>'p' AS player_id, value->>'v' AS value, value->>'s' AS source
                FROM json_each($3)"
            ),
            ") WHERE true
            ON CONFLICT (board, season, player_id) DO UPDATE SET score = ",
            $score,
            ", reached_unix_ms = CASE WHEN ",
            $score,
            " <> e.score THEN excluded.reached_unix_ms ELSE e.reached_unix_ms END,
                revision = e.revision + 1
            WHERE e.revision < $5
            RETURNING player_id, score, reached_unix_ms,
                (SELECT display_name FROM accounts a WHERE a.player_id = board_entries.player_id), revision"
        )
    };
}

/// The statement that brings a group of scores onto its board, with Postgres: `player, score, reached, name,
/// revision, outbox id` of each entry that changed.
pub(super) fn postgres_sql(operator: Operator) -> &'static str {
    match operator {
        Operator::Best => postgres!("best", "GREATEST(e.score, excluded.score)"),
        Operator::Set => postgres!("set", "excluded.score"),
        // 9007199254740992 = 2^53, SCORE_LIMIT.
        Operator::Add => {
            postgres!("add", "GREATEST(-9007199254740992, LEAST(9007199254740992, e.score + excluded.score))")
        }
    }
}

/// The same with SQLite, which has neither log nor outbox in it: its caller writes the log.
pub(super) fn sqlite_sql(operator: Operator) -> &'static str {
    match operator {
        Operator::Best => sqlite!("MAX(e.score, excluded.score)"),
        Operator::Set => sqlite!("excluded.score"),
        Operator::Add => {
            sqlite!("MAX(-9007199254740992, MIN(9007199254740992, e.score + excluded.score))")
        }
    }
}

const _: () = assert!(SCORE_LIMIT == 9_007_199_254_740_992, "the statements above name the limit");
