DROP TABLE board_outbox;
CREATE TABLE board_outbox (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    board     TEXT    NOT NULL,
    player_id INTEGER NOT NULL
) STRICT;
DROP TABLE board_reviews;
DROP TABLE board_cohort_seats;
DROP TABLE board_cohorts;
DROP TABLE board_joins;
DROP TABLE board_archive;
DROP TABLE board_seasons;
DROP TABLE board_log;
-- The older schema knows no seasons: of a board's seasons only the newest is kept.
CREATE TABLE board_entries_of_all_time (
    board           TEXT    NOT NULL,
    player_id       INTEGER NOT NULL REFERENCES accounts (player_id) ON DELETE CASCADE,
    score           INTEGER NOT NULL,
    reached_unix_ms INTEGER NOT NULL,
    revision        INTEGER NOT NULL,
    PRIMARY KEY (board, player_id)
) STRICT;
INSERT INTO board_entries_of_all_time (board, player_id, score, reached_unix_ms, revision)
    SELECT board, player_id, score, reached_unix_ms, revision FROM board_entries e
    WHERE season = (SELECT MAX(season) FROM board_entries m WHERE m.board = e.board);
DROP TABLE board_entries;
ALTER TABLE board_entries_of_all_time RENAME TO board_entries;
CREATE INDEX board_entries_in_order ON board_entries (board, score DESC, reached_unix_ms, player_id);
