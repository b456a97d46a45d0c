-- What game servers found suspicious of a player in a match, as its result said. For humans: nothing here decides anything.
CREATE TABLE suspicions (
    match_id   TEXT NOT NULL,
    player_id  BIGINT NOT NULL REFERENCES accounts (player_id) ON DELETE CASCADE,
    kind       TEXT NOT NULL,
    count      BIGINT NOT NULL,
    at_unix_ms BIGINT NOT NULL,
    PRIMARY KEY (match_id, player_id, kind)
);
CREATE INDEX suspicions_of_player ON suspicions (player_id, at_unix_ms);
CREATE INDEX suspicions_by_time ON suspicions (at_unix_ms);
