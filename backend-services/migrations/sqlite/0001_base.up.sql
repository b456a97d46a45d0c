CREATE TABLE accounts (
    player_id       INTEGER PRIMARY KEY,
    display_name    TEXT    NOT NULL,
    secret_hash     BLOB    NOT NULL UNIQUE,
    created_unix_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE refresh_families (
    family_id       TEXT    PRIMARY KEY,
    player_id       INTEGER NOT NULL REFERENCES accounts (player_id) ON DELETE CASCADE,
    generation      INTEGER NOT NULL,
    rotated_unix_ms INTEGER NOT NULL,
    expires_unix_ms INTEGER NOT NULL,
    ended_reason    TEXT
) STRICT;
CREATE INDEX refresh_families_by_expiry ON refresh_families (expires_unix_ms);
CREATE INDEX refresh_families_by_player ON refresh_families (player_id);

CREATE TABLE refresh_tokens (
    token_hash BLOB    PRIMARY KEY,
    family_id  TEXT    NOT NULL REFERENCES refresh_families (family_id) ON DELETE CASCADE,
    generation INTEGER NOT NULL
) STRICT;
CREATE INDEX refresh_tokens_by_family ON refresh_tokens (family_id);

CREATE TABLE service_keys (
    slot            INTEGER PRIMARY KEY,
    signing_key     BLOB    NOT NULL,
    pepper          BLOB    NOT NULL,
    created_unix_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE ratings (
    player_id INTEGER PRIMARY KEY REFERENCES accounts (player_id) ON DELETE CASCADE,
    mu        REAL    NOT NULL,
    sigma     REAL    NOT NULL,
    matches   INTEGER NOT NULL
) STRICT;

CREATE TABLE matches (
    match_id         TEXT    PRIMARY KEY,
    mode             TEXT    NOT NULL,
    state            TEXT    NOT NULL CHECK (state IN ('allocating', 'running', 'finished', 'lost')),
    server           TEXT,
    address          TEXT,
    opened_unix_ms   INTEGER NOT NULL,
    deadline_unix_ms INTEGER NOT NULL,
    ended_unix_ms    INTEGER,
    result           TEXT
) STRICT;
CREATE INDEX matches_live ON matches (deadline_unix_ms) WHERE state IN ('allocating', 'running');

CREATE TABLE match_players (
    match_id  TEXT    NOT NULL REFERENCES matches (match_id) ON DELETE CASCADE,
    player_id INTEGER NOT NULL REFERENCES accounts (player_id) ON DELETE CASCADE,
    seat      INTEGER NOT NULL,
    PRIMARY KEY (match_id, player_id)
) STRICT;
CREATE INDEX match_players_by_player ON match_players (player_id);

-- One row for each player in a live match: the primary key is the law that nobody is in two.
CREATE TABLE live_players (
    player_id INTEGER PRIMARY KEY REFERENCES accounts (player_id) ON DELETE CASCADE,
    match_id  TEXT    NOT NULL REFERENCES matches (match_id) ON DELETE CASCADE
) STRICT;
CREATE INDEX live_players_by_match ON live_players (match_id);

CREATE TABLE board_entries (
    board           TEXT    NOT NULL,
    player_id       INTEGER NOT NULL REFERENCES accounts (player_id) ON DELETE CASCADE,
    score           INTEGER NOT NULL,
    reached_unix_ms INTEGER NOT NULL,
    revision        INTEGER NOT NULL,
    PRIMARY KEY (board, player_id)
) STRICT;
CREATE INDEX board_entries_in_order ON board_entries (board, score DESC, reached_unix_ms, player_id);

-- What the Redis mirror has still to be told. Unused, and empty, with the embedded engine.
CREATE TABLE board_outbox (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    board     TEXT    NOT NULL,
    player_id INTEGER NOT NULL
) STRICT;
