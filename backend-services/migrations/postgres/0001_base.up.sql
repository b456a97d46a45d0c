CREATE TABLE accounts (
    player_id       BIGINT  PRIMARY KEY,
    display_name    TEXT    NOT NULL,
    secret_hash     BYTEA   NOT NULL UNIQUE,
    created_unix_ms BIGINT  NOT NULL
);

CREATE TABLE refresh_families (
    family_id       TEXT    PRIMARY KEY,
    player_id       BIGINT  NOT NULL REFERENCES accounts (player_id) ON DELETE CASCADE,
    generation      BIGINT  NOT NULL,
    rotated_unix_ms BIGINT  NOT NULL,
    expires_unix_ms BIGINT  NOT NULL,
    ended_reason    TEXT
);
CREATE INDEX refresh_families_by_expiry ON refresh_families (expires_unix_ms);
CREATE INDEX refresh_families_by_player ON refresh_families (player_id);

CREATE TABLE refresh_tokens (
    token_hash BYTEA   PRIMARY KEY,
    family_id  TEXT    NOT NULL REFERENCES refresh_families (family_id) ON DELETE CASCADE,
    generation BIGINT  NOT NULL
);
CREATE INDEX refresh_tokens_by_family ON refresh_tokens (family_id);

CREATE TABLE service_keys (
    slot            BIGINT  PRIMARY KEY,
    signing_key     BYTEA   NOT NULL,
    pepper          BYTEA   NOT NULL,
    created_unix_ms BIGINT  NOT NULL
);

CREATE TABLE ratings (
    player_id BIGINT  PRIMARY KEY REFERENCES accounts (player_id) ON DELETE CASCADE,
    mu        DOUBLE PRECISION NOT NULL,
    sigma     DOUBLE PRECISION NOT NULL,
    matches   BIGINT  NOT NULL
);

CREATE TABLE matches (
    match_id         TEXT    PRIMARY KEY,
    mode             TEXT    NOT NULL,
    state            TEXT    NOT NULL CHECK (state IN ('allocating', 'running', 'finished', 'lost')),
    server           TEXT,
    address          TEXT,
    opened_unix_ms   BIGINT  NOT NULL,
    deadline_unix_ms BIGINT  NOT NULL,
    ended_unix_ms    BIGINT,
    result           TEXT
);
CREATE INDEX matches_live ON matches (deadline_unix_ms) WHERE state IN ('allocating', 'running');

CREATE TABLE match_players (
    match_id  TEXT    NOT NULL REFERENCES matches (match_id) ON DELETE CASCADE,
    player_id BIGINT  NOT NULL REFERENCES accounts (player_id) ON DELETE CASCADE,
    seat      BIGINT  NOT NULL,
    PRIMARY KEY (match_id, player_id)
);
CREATE INDEX match_players_by_player ON match_players (player_id);

-- One row for each player in a live match: the primary key is the law that nobody is in two.
CREATE TABLE live_players (
    player_id BIGINT  PRIMARY KEY REFERENCES accounts (player_id) ON DELETE CASCADE,
    match_id  TEXT    NOT NULL REFERENCES matches (match_id) ON DELETE CASCADE
);
CREATE INDEX live_players_by_match ON live_players (match_id);

CREATE TABLE board_entries (
    board           TEXT    NOT NULL,
    player_id       BIGINT  NOT NULL REFERENCES accounts (player_id) ON DELETE CASCADE,
    score           BIGINT  NOT NULL,
    reached_unix_ms BIGINT  NOT NULL,
    revision        BIGINT  NOT NULL,
    PRIMARY KEY (board, player_id)
);
CREATE INDEX board_entries_in_order ON board_entries (board, score DESC, reached_unix_ms, player_id);

-- What the Redis mirror has still to be told. Unused, and empty, with the embedded engine.
CREATE TABLE board_outbox (
    id        BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    board     TEXT    NOT NULL,
    player_id BIGINT  NOT NULL
);
