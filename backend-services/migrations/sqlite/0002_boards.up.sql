-- A board's entries are kept by season: the moment at which the season began, 0 for boards without seasons.
CREATE TABLE board_entries_by_season (
    board           TEXT    NOT NULL,
    season          INTEGER NOT NULL,
    player_id       INTEGER NOT NULL REFERENCES accounts (player_id) ON DELETE CASCADE,
    score           INTEGER NOT NULL,
    reached_unix_ms INTEGER NOT NULL,
    revision        INTEGER NOT NULL,
    PRIMARY KEY (board, season, player_id)
) STRICT;
INSERT INTO board_entries_by_season (board, season, player_id, score, reached_unix_ms, revision)
    SELECT board, 0, player_id, score, reached_unix_ms, revision FROM board_entries;
DROP TABLE board_entries;
ALTER TABLE board_entries_by_season RENAME TO board_entries;
CREATE INDEX board_entries_in_order ON board_entries (board, season, score DESC, reached_unix_ms, player_id);

-- Every score that counted, once: folding an entry's rows by revision gives the entry.
CREATE TABLE board_log (
    -- One connection writes: the order of ids is the order of commits, and who follows the log misses none.
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    source    TEXT   NOT NULL,
    board     TEXT   NOT NULL,
    player_id INTEGER NOT NULL,
    season    INTEGER NOT NULL,
    revision  INTEGER NOT NULL,
    operator  TEXT   NOT NULL CHECK (operator IN ('best', 'set', 'add')),
    value     INTEGER NOT NULL,
    at_unix_ms INTEGER NOT NULL,
    UNIQUE (player_id, board, source)
) STRICT;
INSERT INTO board_log (source, board, player_id, season, revision, operator, value, at_unix_ms)
    SELECT 'migration', board, player_id, season, revision, 'set', score, reached_unix_ms FROM board_entries;

-- Which seasons a board has had; a closed one takes no more scores.
CREATE TABLE board_seasons (
    board          TEXT   NOT NULL,
    season         INTEGER NOT NULL,
    closed_unix_ms INTEGER,
    members        INTEGER,
    PRIMARY KEY (board, season)
) STRICT;
INSERT INTO board_seasons (board, season) SELECT DISTINCT board, season FROM board_entries;

-- The final order of closed seasons.
CREATE TABLE board_archive (
    board           TEXT   NOT NULL,
    season          INTEGER NOT NULL,
    rank            INTEGER NOT NULL,
    player_id       INTEGER NOT NULL REFERENCES accounts (player_id) ON DELETE CASCADE,
    score           INTEGER NOT NULL,
    reached_unix_ms INTEGER NOT NULL,
    PRIMARY KEY (board, season, rank)
) STRICT;
CREATE INDEX board_archive_by_player ON board_archive (player_id);

-- Who entered a tournament, and who is compared with whom.
CREATE TABLE board_joins (
    board     TEXT   NOT NULL,
    season    INTEGER NOT NULL,
    player_id INTEGER NOT NULL REFERENCES accounts (player_id) ON DELETE CASCADE,
    PRIMARY KEY (board, season, player_id)
) STRICT;
CREATE TABLE board_cohorts (
    board     TEXT   NOT NULL,
    season    INTEGER NOT NULL,
    player_id INTEGER NOT NULL REFERENCES accounts (player_id) ON DELETE CASCADE,
    cohort    INTEGER NOT NULL,
    PRIMARY KEY (board, season, player_id)
) STRICT;
CREATE INDEX board_cohorts_by_cohort ON board_cohorts (board, season, cohort);
CREATE TABLE board_cohort_seats (
    board  TEXT   NOT NULL,
    season INTEGER NOT NULL,
    taken  INTEGER NOT NULL,
    PRIMARY KEY (board, season)
) STRICT;

-- Scores that wait for a human to look at them.
CREATE TABLE board_reviews (
    source    TEXT   NOT NULL,
    board     TEXT   NOT NULL,
    player_id INTEGER NOT NULL REFERENCES accounts (player_id) ON DELETE CASCADE,
    season    INTEGER NOT NULL,
    operator  TEXT   NOT NULL CHECK (operator IN ('best', 'set', 'add')),
    value     INTEGER NOT NULL,
    reason    TEXT   NOT NULL,
    at_unix_ms INTEGER NOT NULL,
    verdict   TEXT   CHECK (verdict IN ('counted', 'refused')),
    PRIMARY KEY (player_id, board, source)
) STRICT;
CREATE INDEX board_reviews_open ON board_reviews (at_unix_ms) WHERE verdict IS NULL;

DROP TABLE board_outbox;
CREATE TABLE board_outbox (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    board      TEXT   NOT NULL,
    season     INTEGER NOT NULL,
    player_id  INTEGER NOT NULL,
    at_unix_ms INTEGER NOT NULL
) STRICT;
