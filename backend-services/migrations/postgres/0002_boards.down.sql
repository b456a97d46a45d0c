DROP TABLE board_outbox;
CREATE TABLE board_outbox (
    id        BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    board     TEXT    NOT NULL,
    player_id BIGINT  NOT NULL
);
DROP TABLE board_reviews;
DROP TABLE board_cohort_seats;
DROP TABLE board_cohorts;
DROP TABLE board_joins;
DROP TABLE board_archive;
DROP TABLE board_seasons;
DROP TABLE board_log;
-- The older schema knows no seasons: of a board's seasons only the newest is kept.
DELETE FROM board_entries e WHERE season < (SELECT MAX(season) FROM board_entries m WHERE m.board = e.board);
DROP INDEX board_entries_in_order;
ALTER TABLE board_entries DROP CONSTRAINT board_entries_pkey;
ALTER TABLE board_entries DROP COLUMN season;
ALTER TABLE board_entries ADD PRIMARY KEY (board, player_id);
CREATE INDEX board_entries_in_order ON board_entries (board, score DESC, reached_unix_ms, player_id);
