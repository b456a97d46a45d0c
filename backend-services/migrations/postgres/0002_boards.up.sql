-- A board's entries are kept by season: the moment at which the season began, 0 for boards without seasons.
ALTER TABLE board_entries ADD COLUMN season BIGINT NOT NULL DEFAULT 0;
ALTER TABLE board_entries ALTER COLUMN season DROP DEFAULT;
ALTER TABLE board_entries DROP CONSTRAINT board_entries_pkey;
ALTER TABLE board_entries ADD PRIMARY KEY (board, season, player_id);
DROP INDEX board_entries_in_order;
CREATE INDEX board_entries_in_order ON board_entries (board, season, score DESC, reached_unix_ms, player_id);

-- Every score that counted, once: folding an entry's rows by revision gives the entry.
CREATE TABLE board_log (
    source    TEXT   NOT NULL,
    board     TEXT   NOT NULL,
    player_id BIGINT NOT NULL,
    season    BIGINT NOT NULL,
    revision  BIGINT NOT NULL,
    operator  TEXT   NOT NULL CHECK (operator IN ('best', 'set', 'add')),
    value     BIGINT NOT NULL,
    at_unix_ms BIGINT NOT NULL,
    PRIMARY KEY (player_id, board, source)
);
INSERT INTO board_log (source, board, player_id, season, revision, operator, value, at_unix_ms)
    SELECT 'migration', board, player_id, season, revision, 'set', score, reached_unix_ms FROM board_entries;

-- Which seasons a board has had; a closed one takes no more scores.
CREATE TABLE board_seasons (
    board          TEXT   NOT NULL,
    season         BIGINT NOT NULL,
    closed_unix_ms BIGINT,
    members        BIGINT,
    PRIMARY KEY (board, season)
);
INSERT INTO board_seasons (board, season) SELECT DISTINCT board, season FROM board_entries;

-- The final order of closed seasons.
CREATE TABLE board_archive (
    board           TEXT   NOT NULL,
    season          BIGINT NOT NULL,
    rank            BIGINT NOT NULL,
    player_id       BIGINT NOT NULL REFERENCES accounts (player_id) ON DELETE CASCADE,
    score           BIGINT NOT NULL,
    reached_unix_ms BIGINT NOT NULL,
    PRIMARY KEY (board, season, rank)
);
CREATE INDEX board_archive_by_player ON board_archive (player_id);

-- Who entered a tournament, and who is compared with whom.
CREATE TABLE board_joins (
    board     TEXT   NOT NULL,
    season    BIGINT NOT NULL,
    player_id BIGINT NOT NULL REFERENCES accounts (player_id) ON DELETE CASCADE,
    PRIMARY KEY (board, season, player_id)
);
CREATE TABLE board_cohorts (
    board     TEXT   NOT NULL,
    season    BIGINT NOT NULL,
    player_id BIGINT NOT NULL REFERENCES accounts (player_id) ON DELETE CASCADE,
    cohort    BIGINT NOT NULL,
    PRIMARY KEY (board, season, player_id)
);
CREATE INDEX board_cohorts_by_cohort ON board_cohorts (board, season, cohort);
CREATE TABLE board_cohort_seats (
    board  TEXT   NOT NULL,
    season BIGINT NOT NULL,
    taken  BIGINT NOT NULL,
    PRIMARY KEY (board, season)
);

-- Scores that wait for a human to look at them.
CREATE TABLE board_reviews (
    source    TEXT   NOT NULL,
    board     TEXT   NOT NULL,
    player_id BIGINT NOT NULL REFERENCES accounts (player_id) ON DELETE CASCADE,
    season    BIGINT NOT NULL,
    operator  TEXT   NOT NULL CHECK (operator IN ('best', 'set', 'add')),
    value     BIGINT NOT NULL,
    reason    TEXT   NOT NULL,
    at_unix_ms BIGINT NOT NULL,
    verdict   TEXT   CHECK (verdict IN ('counted', 'refused')),
    PRIMARY KEY (player_id, board, source)
);
CREATE INDEX board_reviews_open ON board_reviews (at_unix_ms) WHERE verdict IS NULL;

DROP TABLE board_outbox;
CREATE TABLE board_outbox (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    board      TEXT   NOT NULL,
    season     BIGINT NOT NULL,
    player_id  BIGINT NOT NULL,
    at_unix_ms BIGINT NOT NULL
);
